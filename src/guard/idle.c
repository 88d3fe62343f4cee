/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/idle.h"

#include <malloc.h>

#include "base/clock.h"
#include "runtime/loop.h"

enum { IDLE_US = CLOCK_S };

static void on_timer(struct timer *t)
{
    struct idle *i = (struct idle *)(void *)t;
    int64_t now_us = loop_now_us();
    if (now_us - i->looked_us < IDLE_US)
        timer_arm(t, i->looked_us + IDLE_US, on_timer);
    else if (i->shed(i))
        timer_arm(t, now_us + 1, on_timer);
    else
        malloc_trim(
            0); /* freed blocks lie between living ones, so free() alone gives back little */
}

void idle_look(struct idle *i)
{
    i->looked_us = loop_now_us();
    if (!timer_armed(&i->timer))
        timer_arm(&i->timer, i->looked_us + IDLE_US, on_timer);
}

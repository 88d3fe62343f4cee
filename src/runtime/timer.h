/* SPDX-License-Identifier: Apache-2.0 */
/* Timers for code that is not a fiber. The struct lives in its owner; no allocation. One loop's. */
#ifndef RUNTIME_TIMER_H
#define RUNTIME_TIMER_H

#include <stdbool.h>
#include <stdint.h>

/* Ordered in a heap of the loop: arming and disarming are O(log n) and touch no system call. */
struct timer {
    int64_t at_us; /* monotonic; 0 when not armed */
    unsigned heap_index;
    void (*fn)(struct timer *);
};

/* (Re)arms on the current loop; fn runs in a callback with the timer already disarmed. */
void timer_arm(struct timer *t, int64_t at_mono_us, void (*fn)(struct timer *));
/* Safe when not armed. */
void timer_disarm(struct timer *t);

static inline bool timer_armed(const struct timer *t)
{
    return t->at_us != 0;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives a cache's memory back when nobody has looked into it for a second: after a burst the server
 * is as small as before. One loop's, as the cache is; the struct lives in the cache.
 */
#ifndef GUARD_IDLE_H
#define GUARD_IDLE_H

#include "runtime/timer.h"

struct idle {
    struct timer timer; /* first: the callback finds the rest by it */
    int64_t looked_us;
    bool (*shed)(
        struct idle *); /* drops some entries, a millisecond's work; false when none is left */
};

/* At every look into the cache: two stores while the timer runs. */
void idle_look(struct idle *i);

#endif

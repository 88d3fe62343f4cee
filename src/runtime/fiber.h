/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fibers: straight-line code on a stack of its own that parks whenever it waits. A fiber begins and
 * ends on one loop. It parks only in fiber code, never inside a library's callback: callbacks copy,
 * wake and return. Nothing thread-local, errno included, is relied on across a park.
 *
 * Stacks: pooled mmap, 256 KiB (1 MiB under sanitizers) with a guard page. Once a second pages
 * beyond 32 KiB of those in the pool go back to the kernel, and stacks that nobody needed.
 */
#ifndef RUNTIME_FIBER_H
#define RUNTIME_FIBER_H

#include <stdint.h>

#include "base/err.h"
#include "base/list.h"

struct fiber;

enum fiber_result {
    FIBER_WOKEN, /* fiber_wake was called, maybe for a reason that no longer holds: look again */
    FIBER_LATE,  /* the wait's own limit or the fiber's deadline has passed */
    FIBER_GONE,  /* fiber_cancel: nobody wants the result any more */
};

#define FIBER_NEVER INT64_MAX

/*
 * Starts fn(arg) on the current loop. From a callback it runs at once until its first park, then
 * returns here; from a fiber it is queued and begins at the end of this turn. Its name (in
 * warnings about slow turns) is fn's.
 */
#define fiber_start(fn, arg) fiber_start_named((fn), (arg), #fn)
void fiber_start_named(void (*fn)(void *), void *arg, const char *name);
/* As fiber_start, for work that a client causes: false when there is no memory for its stack. */
#define fiber_try_start(fn, arg) fiber_try_start_named((fn), (arg), #fn)
MUST_CHECK bool fiber_try_start_named(void (*fn)(void *), void *arg, const char *name);
/* The running fiber; NULL in callbacks. */
struct fiber *fiber_current(void);

/*
 * The deadline that every wait of this fiber obeys, monotonic µs; FIBER_NEVER at start.
 * Waits return FIBER_LATE from then on at once.
 */
void fiber_set_deadline(int64_t mono_us);
int64_t fiber_deadline(void);
/* Microseconds left, ≥ 0. */
int64_t fiber_time_left_us(void);

/*
 * Waits until fiber_wake, the deadline, `until` (monotonic µs, or FIBER_NEVER) or fiber_cancel. A
 * wake that came before the park is not lost: the park returns at once and consumes it.
 * Callers loop: while (!done) if (fiber_park(until) != FIBER_WOKEN) return late…
 */
enum fiber_result fiber_park(int64_t until_us);
/* Lets everything else that is ready on this loop go first, sockets included; does not wait. */
void fiber_yield(void);
/* On the fiber's own loop (from a callback or another fiber). It runs at the end of this turn. */
void fiber_wake(struct fiber *f);
/* The fiber's client is gone: this and later parks return FIBER_GONE, until fiber_uncancel. */
void fiber_cancel(struct fiber *f);
void fiber_uncancel(void);
bool fiber_cancelled(void);
/* FIBER_LATE when the time is over (the normal end), else FIBER_GONE. */
enum fiber_result fiber_sleep(int64_t us);

/* Fills e for a wait that ended badly: 504 "request_timeout" or 499 "client_gone"; is false. */
bool fiber_fail(enum fiber_result r, struct err *e);

/*
 * A FIFO of waiting fibers, e.g. for a pool's slots. Owner: one loop.
 */
struct fiber_queue {
    struct list waiters;
    unsigned length;
};
void fiber_queue_init(struct fiber_queue *q);
/*
 * Parks the current fiber at the end of the queue. FIBER_WOKEN exactly when fiber_queue_wake_one
 * took it off, even if it was cancelled or late in the same moment: what it was given is then its
 * own, to use or to pass on.
 */
enum fiber_result fiber_queue_wait(struct fiber_queue *q, int64_t until_us);
/* Takes the first waiter off and wakes it; false when nobody waits. */
bool fiber_queue_wake_one(struct fiber_queue *q);

struct fiber_stats {
    unsigned running, pooled_stacks;
};
struct fiber_stats fiber_stats(void); /* of the current loop */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a loop, private to runtime/: each part below belongs to the file it names. A turn
 * is: libuv polls and runs callbacks, then the prepare handle runs due timers, posted calls,
 * deferred calls, tasks and runnable fibers, and the next poll begins.
 */
#ifndef RUNTIME_LOOP_IMPL_H
#define RUNTIME_LOOP_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "base/list.h"
#include "runtime/fiber.h"
#include "runtime/fiber_switch.h"
#include "runtime/loop.h"
#include "runtime/poller.h"
#include "runtime/timer.h"

struct loop_call {
    void (*fn)(void *);
    void *arg;
};

struct loop_mail {
    struct loop_mail *next;
    struct loop_call call;
};

struct loop_calls {
    struct loop_call *v;
    unsigned n, cap;
};

/* Deferred work that lives in its owner and can be taken back (list_remove(&t->node)). */
struct loop_task {
    struct list node;
    void (*fn)(struct loop_task *);
};

/* poller.c */
enum { POLLER_BATCH = 128 }; /* events taken from the kernel at once: 1.5 KiB */
struct poller {
    uv_poll_t handle;
    int fd;
    int at, ready; /* the batch being dispatched */
    struct epoll_event batch[POLLER_BATCH];
};

/* timer.c */
struct timer_slot {
    int64_t at_us; /* a copy, so that sifting touches no owner's memory but to tell its index */
    struct timer *timer;
};
struct timer_heap {
    struct timer_slot *v; /* binary heap, earliest first */
    unsigned n, cap;
    uv_timer_t alarm; /* wakes the poll; may be early, never later than v[0] */
    int64_t alarm_ms; /* 0: not set */
};

/* fiber.c */
struct fiber_sched {
    struct fiber *current;
    struct fiber_switch main; /* the loop's own stack while a fiber runs */
    struct list runnable, pooled;
    struct list all; /* every fiber that has a stack, for debuggers and leak checkers */
    unsigned alive;  /* started, not ended */
    unsigned pooled_count;
    unsigned pooled_least; /* fewest since the last sweep: that many were not needed */
    unsigned pooled_used;  /* returned since the last sweep, so perhaps deep */
    struct timer sweep;
    void *asan_fake;
    const void *asan_bottom;
    size_t asan_size;
    void *tsan;
};

/* What one read takes at most beyond the room that its input has; untouched pages cost nothing. */
enum { LOOP_SCRATCH_BYTES = 64 * 1024 };

struct loop {
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_idle_t idle; /* started when work is left, so that the poll does not sleep */
    uv_async_t async;
    unsigned index;
    pthread_t thread;
    int64_t turn_us; /* when this turn began; 0 while polling */

    /* The mailbox: from any thread, without a lock, since the thread of a hash pool that is
       scheduled away while it held one would stop the loop. */
    _Atomic(struct loop_mail *) mail; /* newest first */
    atomic_uint posting;              /* threads inside loop_post_try */
    atomic_bool sleeping;             /* the loop polls, or is about to: who posts must wake it */

    struct loop_calls deferred, deferred_taken;
    struct list tasks;
    struct poller poller;
    struct fdwatch *abandoned; /* the latest first */
    struct timer_heap timers;
    struct fiber_sched fibers;

    unsigned handles;  /* socks and watches that keep the loop from leaving */
    atomic_uint socks; /* connections given to this loop; incremented by loop 0 */
    char *scratch;     /* LOOP_SCRATCH_BYTES, for sock.c's reads */

    struct timer leave_timer;
    bool stopping, leaving;

    _Atomic int64_t longest_turn_us;
    _Atomic uint64_t slow_turns;
    const char *culprit; /* debug builds: what ran longest in this turn */
    int64_t culprit_begin_us, culprit_us, logged_us;
} __attribute__((aligned(64))); /* neighbours in the array are written by other threads */

/* Begins a turn if it has not begun: first thing in every callback from libuv. */
void loop_enter(struct loop *l);
/* As loop_post; false when the loop has ended, and fn is never called. */
bool loop_post_try(struct loop *l, void (*fn)(void *), void *arg);
/* t->fn at the end of this turn, or of the next when called from such work. */
void loop_task_add(struct loop *l, struct loop_task *t);
/* Debug builds: names what ran from begin until now, for the warning about slow turns. */
#if !defined(__OPTIMIZE__) || defined(LOOP_NAME_CULPRIT)
enum { LOOP_DEBUG = 1 };
#else
enum { LOOP_DEBUG = 0 };
#endif
void loop_note(struct loop *l, const char *name, int64_t begin_us);

/* Called by loop.c. */
void timer_heap_open(struct loop *l);
void timer_heap_close(struct loop *l);
void timer_heap_run(struct loop *l);       /* what is due */
void timer_heap_set_alarm(struct loop *l); /* so that the poll wakes for the next */
void fiber_sched_open(struct loop *l);
void fiber_sched_close(struct loop *l);
bool fiber_sched_run(struct loop *l); /* who is runnable now; false when nobody was */
/* Frees the abandoned watches of before that time. */
void fdwatch_bury(struct loop *l, int64_t before_us);

#endif

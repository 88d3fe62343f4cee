/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded thread pools for what must not run on a loop: hashing, file I/O, connecting. Work given
 * to a thread owns its memory (architecture invariant 5): the block is heap memory that the pool
 * frees through its own destructor when the fiber has stopped waiting for it.
 */
#ifndef RUNTIME_OFFLOAD_H
#define RUNTIME_OFFLOAD_H

#include "base/err.h"
#include "runtime/fiber.h"

struct offload_pool;

struct offload_config {
    const char *name; /* thread name and metrics label, static */
    unsigned threads;
    unsigned queue_max; /* jobs waiting, beyond it offload_run refuses at once */
    int nice;           /* 0..19, added to the threads' nice value */
    void (*idle)(void); /* on a thread that has had no job for idle_ms; may be NULL */
    int idle_ms;
    int64_t max_wait_us; /* refuse early when the queue would take longer than this (by the measured
                               mean job time); 0: only queue_max counts */
};

MUST_CHECK bool offload_open(const struct offload_config *c, struct offload_pool **out,
                             struct err *e);
/*
 * Finishes what is queued within timeout_ms, gives the rest back (429), then joins. Nobody may
 * queue any more, so after the loops have ended or stopped taking requests.
 */
void offload_close(struct offload_pool *p, int timeout_ms);

/*
 * Embedded first in the caller's heap block. run() is called on a pool thread; drop() frees the
 * whole block, on the fiber's loop (on the pool's thread if that has ended) after a refused, late
 * or cancelled wait, never while run() is running.
 */
struct offload_job {
    void (*run)(struct offload_job *);
    void (*drop)(struct offload_job *);
    /* the pool's own: */
    struct offload_job *next;
    struct fiber *waiter;
    void *home;
    int state;
    int64_t queued_us;
};

/*
 * Queues the job and parks until it has run. True: it ran, the caller owns the block again and
 * frees it. False: the pool owns the block; e is 429 "over_capacity" with Retry-After (refused at
 * once, full or too long a wait), 504 "request_timeout" or 499 "client_gone".
 */
MUST_CHECK bool offload_run(struct offload_pool *p, struct offload_job *job, struct err *e);
/*
 * A place in the queue, taken before other work that has to come first: who would be refused after
 * it is refused at once (429 as above) and costs nothing. offload_run_at uses the place up, or queues
 * as offload_run when it holds none. For CLEANUP: offload_place_drop.
 */
struct offload_place {
    struct offload_pool *pool;
};
MUST_CHECK bool offload_place_take(struct offload_pool *p, struct offload_place *out,
                                   struct err *e);
void offload_place_drop(struct offload_place *place);
MUST_CHECK bool offload_run_at(struct offload_pool *p, struct offload_place *place,
                               struct offload_job *job, struct err *e);
/*
 * From any thread, nobody waits: run() and drop() are both called on the pool's thread. False when
 * full: the block is then still the caller's.
 */
bool offload_detach(struct offload_pool *p, struct offload_job *job);

struct offload_stats {
    unsigned threads, busy, queued;
    uint64_t done, refused;
    int64_t mean_us; /* of recent jobs */
};
struct offload_stats offload_stats(struct offload_pool *p);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that outlives its request: a queue and a scheduler in PostgreSQL, shared by all nodes. A job
 * is added in the transaction it belongs to and is taken after that has committed, by one node, for
 * the time of a lease; a handler that fails is tried again, later each time, and a job whose node
 * died is taken by another. So a handler may run again after it has done its work: at least once.
 *
 * Handlers run in fibers of loop 0, few at once, each with a pg_client of its own: they hold no
 * connection while they wait for something else. jobs/ knows neither mail nor files:
 * app/background.c registers the handlers.
 */
#ifndef JOBS_JOBS_H
#define JOBS_JOBS_H

#include "base/uuid.h"
#include "pg/pg_tx.h"

/* Queued in tx: it exists exactly when tx commits. payload: JSON object. run_at_us: wall, 0 = now. */
void jobs_add(struct pg_tx *tx, const char *kind, struct str payload, int64_t run_at_us);

/* One attempt; what it points to lives as long as that. */
struct job {
    struct pg_client *pg;
    struct arena *arena;
    void *ctx; /* jobs_config.ctx */
    int64_t id;
    struct uuid lease;
    struct str kind;
    struct str payload; /* JSON object */
    int attempt;        /* 1 is the first */
    bool last;          /* another failure and the job is dead */
    bool done;          /* by jobs_done_in */
    /* A failing handler's word on what comes next; else the policy's back-off. */
    bool give_up;        /* no further attempt would help */
    int64_t postpone_us; /* > 0: again after this time, and the attempt does not count */
};

/* In a fiber with a deadline. False: e says why, for the log and the row's last_error. */
typedef bool jobs_handler(struct job *job, struct err *e);

struct jobs_policy {
    int attempts;                           /* then the job is dead: kept, counted, logged */
    int64_t timeout_us;                     /* of one attempt */
    int64_t backoff_min_us, backoff_max_us; /* doubled each time, ± a quarter */
};

/* kind and name live as long as the process. Before jobs_start. Jobs of kinds that no node registers wait. */
void jobs_register(const char *kind, jobs_handler *fn, const struct jobs_policy *p);
/* Every period, once over all nodes; not while the former run is still at work. */
void jobs_every(const char *name, int64_t period_us, jobs_handler *fn);

/* Queues the job's end in the handler's own last flush, so that its rows and the job's end are one. */
void jobs_done_in(struct job *job, struct pg_tx *tx);

struct jobs_config {
    unsigned at_once; /* handlers */
    int64_t poll_us;  /* how often is looked without being woken */
    void *ctx;
};
/* Once loop 0 exists, any thread. */
void jobs_start(const struct jobs_config *c);
/* On loop 0: there is work, maybe. */
void jobs_wake(void);
/*
 * On loop 0: takes nothing new, gives running handlers grace_us, then cancels them (their jobs go
 * back to the queue); done is called on loop 0 when all have ended.
 */
void jobs_stop(int64_t grace_us, void (*done)(void *), void *ctx);

/* A jobs_handler for a tick: forgets jobs that have been dead for 30 days. */
bool jobs_purge(struct job *job, struct err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/jobs.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "jobs/jobs_sql.h"
#include "ops/metrics.h"
#include "pg/pg_notify.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"
#include "runtime/timer.h"

enum {
    KINDS_MAX = 32,
    AT_ONCE_MAX = 16,
    ARENA_BUDGET = 16 * 1024 * 1024, /* of one attempt */
    LIST_MAX = 4096,                 /* an array's text: KINDS_MAX names or numbers */
};
static const int64_t statement_us = 10 * CLOCK_S; /* for the queue's own statements */
static const int64_t margin_us =
    30 * CLOCK_S; /* a lease outlives its attempt by the time to say so */
static const int64_t count_us = 10 * CLOCK_S; /* how often the gauges are refreshed */
static const int64_t unheard_us = CLOCK_S;    /* the listener's heartbeat; older: we are not told */
static const int64_t dead_kept_us = 30 * 24 * 3600 * CLOCK_S;
static const struct jobs_policy tick_policy = {.attempts = 5,
                                               .timeout_us = 60 * CLOCK_S,
                                               .backoff_min_us = 2 * CLOCK_S,
                                               .backoff_max_us = 60 * CLOCK_S};

struct kind {
    const char *name;
    jobs_handler *fn;
    struct jobs_policy policy;
    int64_t period_us; /* > 0: a tick */
};

/* An attempt under way. */
struct run {
    struct list link;
    struct arena arena;
    struct pg_client client;
    struct job job;
    const struct kind *kind;
    struct fiber *fiber;
};

/* All of it loop 0's, but for what is registered before the start. */
static struct {
    struct kind kinds[KINDS_MAX];
    unsigned count;
    struct jobs_config config;
    struct fiber *dispatcher;
    struct list runs;
    unsigned running;
    bool stopping, behind; /* behind: the last look found more than there was room for */
    bool failing;          /* the last look failed, and was logged */
    int64_t counted_us;
    struct timer grace;
    void (*stopped)(void *);
    void *stopped_ctx;
} jobs;

/* ---- adding and registering ------------------------------------------------------------------ */

void jobs_add(struct pg_tx *tx, const char *kind, struct str payload, int64_t run_at_us)
{
    pg_tx_add(tx, &job_insert_sql, PG_ARGS(str_from(kind), payload, pg_tx_time(tx, run_at_us)));
}

void jobs_register(const char *kind, jobs_handler *fn, const struct jobs_policy *p)
{
    BUG(jobs.count == KINDS_MAX || jobs.dispatcher);
    jobs.kinds[jobs.count++] = (struct kind){.name = kind, .fn = fn, .policy = *p};
}

void jobs_every(const char *name, int64_t period_us, jobs_handler *fn)
{
    jobs_register(name, fn, &tick_policy);
    jobs.kinds[jobs.count - 1].period_us = period_us;
}

static const struct kind *kind_of(struct str name)
{
    for (unsigned i = 0; i < jobs.count; i++)
        if (str_is(name, jobs.kinds[i].name))
            return &jobs.kinds[i];
    return NULL;
}

/* ---- one attempt ------------------------------------------------------------------------------- */

/* Doubled each time, within a quarter of that: nodes that failed together do not come back together. */
static int64_t backoff(const struct jobs_policy *p, int attempt)
{
    int64_t us = p->backoff_min_us;
    for (int i = 1; i < attempt && us < p->backoff_max_us; i++)
        us *= 2;
    if (us > p->backoff_max_us)
        us = p->backoff_max_us;
    return us * 3 / 4 + us / 2 * rand_below(1000) / 1000;
}

static void count(const char *result)
{
    metrics_add(METRIC_jobs, metrics_label(METRIC_jobs, str_from(result)), 1);
}

static void log_failure(const struct job *j, bool dead, const struct err *e)
{
    struct log_line l;
    log_begin(&l, dead ? LOG_ERROR : LOG_WARN, dead ? "job.dead" : "job.failed");
    log_str(&l, "kind", j->kind);
    log_i64(&l, "id", j->id);
    log_i64(&l, "attempt", j->attempt);
    log_cstr(&l, "message", e->message);
    log_err(&l, e);
    log_end(&l);
}

void jobs_done_in(struct job *j, struct pg_tx *tx)
{
    pg_tx_add(tx, &job_done_sql, PG_ARGS(pg_tx_i64(tx, j->id), uuid_str(&j->lease)));
    j->done = true;
}

/* Its end, or when it is tried again; a node whose lease was lost changes nothing. */
static bool settle(struct run *r, bool dead, const struct err *why, struct err *e)
{
    struct job *j = &r->job;
    bool counts = j->postpone_us == 0;
    int64_t delay = counts ? backoff(&r->kind->policy, j->attempt) : j->postpone_us;
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, &r->client, PG_LOGIN_AUTH, e))
        return false;
    if (why)
        pg_tx_add(&tx, &job_failed_sql,
                  PG_ARGS(pg_tx_i64(&tx, j->id), uuid_str(&j->lease),
                          dead ? (struct str){0} : pg_tx_i64(&tx, delay), str_from(why->message),
                          pg_tx_bool(counts)));
    else
        jobs_done_in(j, &tx);
    return pg_tx_commit(&tx, e);
}

static bool handle(struct run *r, struct err *e)
{
    struct job *j = &r->job;
    int64_t from = clock_mono_us();
    if (j->attempt > r->kind->policy.attempts) { /* maybe it is what kills its nodes */
        j->give_up = true;
        return err_set(e, 500, "job_lost", "every attempt ended without a word");
    }
    fiber_set_deadline(from + r->kind->policy.timeout_us);
    bool ok = r->kind->fn(j, e);
    BUG(r->client.open);
    metrics_observe_us(METRIC_job_duration, 0, clock_mono_us() - from);
    if (fiber_cancelled() && !ok) /* we stop, another takes it up at once */
        j->postpone_us = 1;
    fiber_uncancel();
    return ok;
}

static void attempt(struct run *r)
{
    struct job *j = &r->job;
    struct err why = {0}, e = {0};
    bool ok = handle(r, &why);
    bool dead = !ok && (j->give_up || (j->last && j->postpone_us == 0));
    count(ok ? "done" : dead ? "dead" : "retried");
    if (!ok && (dead || j->postpone_us == 0))
        log_failure(j, dead, &why);
    fiber_set_deadline(clock_mono_us() + statement_us);
    if (!(ok && j->done) && !settle(r, dead, ok ? NULL : &why, &e))
        log_failure(j, false, &e); /* the lease ends, and somebody takes it up */
}

static void run_end(struct run *r)
{
    list_remove(&r->link);
    arena_wipe(&r->arena); /* mails hold tokens */
    arena_close(&r->arena);
    free(r);
    jobs.running--;
    if (jobs.behind || jobs.stopping)
        jobs_wake();
}

static void run_fiber(void *arg)
{
    struct run *r = arg;
    r->fiber = fiber_current();
    attempt(r);
    run_end(r);
}

static void run_begin(const struct pg_result *row, size_t i, const struct uuid *lease)
{
    struct run *r = calloc(1, sizeof(*r));
    BUG(!r);
    arena_init(&r->arena, ARENA_BUDGET);
    r->client.arena = &r->arena;
    r->kind = kind_of(pg_row_str(row, i, JOB_CLAIM_KIND));
    r->job = (struct job){
        .pg = &r->client,
        .arena = &r->arena,
        .ctx = jobs.config.ctx,
        .id = pg_row_i64(row, i, JOB_CLAIM_ID),
        .lease = *lease,
        .kind = str_from(r->kind->name),
        .payload = arena_str(&r->arena, pg_row_str(row, i, JOB_CLAIM_PAYLOAD)),
        .attempt = (int)pg_row_i64(row, i, JOB_CLAIM_ATTEMPTS),
    };
    r->job.last = r->job.attempt >= r->kind->policy.attempts;
    list_push_back(&jobs.runs, &r->link);
    jobs.running++;
    fiber_start(run_fiber, r);
}

/* ---- looking for work -------------------------------------------------------------------------- */

/* The kinds as arrays of PostgreSQL. Names are words of ours, without a comma or a quote. */
struct lists {
    struct str kinds, leases, ticks, periods;
};

static void list_item(struct buf *b, const char *text, int64_t number)
{
    buf_char(b, b->n == 0 ? '{' : ',');
    if (text)
        buf_str(b, str_from(text));
    else
        buf_i64(b, number);
}

static struct str list_end(struct buf *b)
{
    buf_str(b, b->n == 0 ? S("{}") : S("}"));
    BUG(b->failed);
    return buf_view(b);
}

static struct lists lists_make(struct arena *a)
{
    struct buf b[4];
    for (int i = 0; i < 4; i++)
        buf_init_arena(&b[i], a, LIST_MAX);
    for (unsigned i = 0; i < jobs.count; i++) {
        const struct kind *k = &jobs.kinds[i];
        list_item(&b[0], k->name, 0);
        list_item(&b[1], NULL, k->policy.timeout_us + margin_us);
        if (k->period_us == 0)
            continue;
        list_item(&b[2], k->name, 0);
        list_item(&b[3], NULL, k->period_us);
    }
    return (struct lists){list_end(&b[0]), list_end(&b[1]), list_end(&b[2]), list_end(&b[3])};
}

static void gauges_set(const struct pg_result *r)
{
    metrics_set(METRIC_jobs_waiting, 0, pg_row_i64(r, 0, JOB_COUNT_WAITING));
    metrics_set(METRIC_jobs_dead, 0, pg_row_i64(r, 0, JOB_COUNT_DEAD));
    jobs.counted_us = loop_now_us();
}

/*
 * One flush: ticks that are due become jobs, as many jobs as there is room for are taken and begun;
 * *wait_us is the time until the next, unless we are told sooner.
 */
static bool look(struct pg_client *client, int64_t *wait_us, struct err *e)
{
    unsigned room = jobs.config.at_once - jobs.running;
    bool counting = loop_now_us() - jobs.counted_us >= count_us || jobs.counted_us == 0;
    struct uuid lease = uuid_v4();
    struct lists l = lists_make(client->arena);
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, client, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &job_tick_sql, PG_ARGS(l.ticks, l.periods));
    pg_tx_add(&tx, &job_claim_sql,
              PG_ARGS(l.kinds, l.leases, uuid_str(&lease), pg_tx_i64(&tx, room)));
    pg_tx_add(&tx, &job_next_sql, PG_ARGS(l.kinds, l.ticks, l.periods));
    if (counting)
        pg_tx_add(&tx, &job_count_sql, PG_NO_ARGS);
    if (!pg_tx_commit(&tx, e))
        return false;
    const struct pg_result *taken = pg_tx_result(&tx, 1), *next = pg_tx_result(&tx, 2);
    for (size_t i = 0; i < pg_row_count(taken); i++)
        run_begin(taken, i, &lease);
    jobs.behind = pg_row_count(taken) == room;
    if (counting)
        gauges_set(pg_tx_result(&tx, 3));
    if (!pg_row_null(next, 0, JOB_NEXT_WAIT_US))
        *wait_us = pg_row_i64(next, 0, JOB_NEXT_WAIT_US);
    return true;
}

/* How long the dispatcher may sleep. */
static int64_t turn(struct arena *a)
{
    struct pg_client client = {.arena = a};
    struct err e = {0};
    int64_t wait = jobs.config.poll_us, next = INT64_MAX;
    if (jobs.running == jobs.config.at_once)
        return wait;
    fiber_set_deadline(clock_mono_us() + statement_us);
    bool ok = look(&client, &next, &e);
    fiber_set_deadline(FIBER_NEVER);
    if (!ok && !jobs.failing) {
        struct log_line l;
        log_begin(&l, LOG_WARN, "jobs.failed");
        log_err(&l, &e);
        log_end(&l);
    }
    jobs.failing = !ok;
    if (jobs.running < jobs.config.at_once && next < wait)
        wait = next > CLOCK_MS ? next : CLOCK_MS;
    if (clock_mono_us() - pg_notify_heard_us() > unheard_us && wait > CLOCK_S)
        wait = CLOCK_S;
    return wait;
}

static void stopped_maybe(void)
{
    if (!jobs.stopping || jobs.running > 0 || jobs.dispatcher || !jobs.stopped)
        return;
    void (*done)(void *) = jobs.stopped;
    jobs.stopped = NULL;
    timer_disarm(&jobs.grace);
    done(jobs.stopped_ctx);
}

static void dispatcher_fiber(void *arg)
{
    struct arena arena;
    (void)arg;
    jobs.dispatcher = fiber_current();
    arena_init(&arena, ARENA_BUDGET);
    while (!jobs.stopping) {
        int64_t wait = turn(&arena);
        arena_reset(&arena);
        if (!jobs.stopping)
            fiber_park(clock_mono_us() + wait);
    }
    while (jobs.running > 0)
        fiber_park(FIBER_NEVER);
    arena_close(&arena);
    jobs.dispatcher = NULL;
    stopped_maybe();
}

static void begin(void *arg)
{
    (void)arg;
    list_init(&jobs.runs);
    if (!jobs.stopping)
        fiber_start(dispatcher_fiber, NULL);
}

void jobs_start(const struct jobs_config *c)
{
    jobs.config = *c;
    BUG(c->at_once == 0 || c->at_once > AT_ONCE_MAX);
    loop_post(loop_at(0), begin, NULL);
}

void jobs_wake(void)
{
    if (jobs.dispatcher)
        fiber_wake(jobs.dispatcher);
}

/* ---- stopping ---------------------------------------------------------------------------------- */

static void grace_over(struct timer *t)
{
    (void)t;
    LIST_EACH(n, &jobs.runs)
    fiber_cancel(LIST_ENTRY(n, struct run, link)->fiber);
}

void jobs_stop(int64_t grace_us, void (*done)(void *), void *ctx)
{
    jobs.stopping = true;
    jobs.stopped = done;
    jobs.stopped_ctx = ctx;
    timer_arm(&jobs.grace, loop_now_us() + grace_us, grace_over);
    jobs_wake();
    stopped_maybe();
}

/* ---- retention --------------------------------------------------------------------------------- */

bool jobs_purge(struct job *j, struct err *e)
{
    for (size_t gone = 1; gone > 0;) {
        CLEANUP(pg_tx_end) struct pg_tx tx = {0};
        if (!pg_tx_single(&tx, j->pg, PG_LOGIN_AUTH, e))
            return false;
        pg_tx_add(&tx, &job_purge_sql, PG_ARGS(pg_tx_time(&tx, clock_wall_us() - dead_kept_us)));
        if (!pg_tx_commit(&tx, e))
            return false;
        gone = pg_row_affected(pg_tx_result(&tx, 0));
    }
    return true;
}

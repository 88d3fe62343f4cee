/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/pg_connect.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "pg/pg_error.h"
#include "runtime/loop.h"
#include "runtime/offload.h"

enum {
    CONNECT_THREADS = 2,
    QUEUE_MAX = 1024, /* more than all slots of a large pool; what is beyond is tried again later */
};

/*
 * Process-wide, behind `lock`. `stopped` is looked at and the post to the loop done in one critical
 * section, so that after pg_connect_stop no thread can post to a loop that is gone.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;
static bool stopped;
static struct offload_pool *connecting, *cancelling;

bool pg_connect_open(struct err *e)
{
    if (users > 0) {
        users++;
        return true;
    }
    static const struct offload_config connect_config = {
        .name = "pg-connect", .threads = CONNECT_THREADS, .queue_max = QUEUE_MAX};
    static const struct offload_config cancel_config = {
        .name = "pg-cancel", .threads = 1, .queue_max = QUEUE_MAX};
    if (!offload_open(&connect_config, &connecting, e))
        return false;
    if (!offload_open(&cancel_config, &cancelling, e)) {
        offload_close(connecting, 0);
        return false;
    }
    stopped = false;
    users = 1;
    return true;
}

void pg_connect_stop(void)
{
    pthread_mutex_lock(&lock);
    stopped = true;
    pthread_mutex_unlock(&lock);
}

static bool busy(void)
{
    return offload_stats(connecting).busy + offload_stats(cancelling).busy > 0;
}

bool pg_connect_close(int timeout_ms)
{
    if (users == 0 || --users > 0)
        return users == 0;
    pg_connect_stop();
    int64_t until = clock_mono_us() + timeout_ms * CLOCK_MS;
    while (busy() && clock_mono_us() < until)
        poll(NULL, 0, 5);
    if (busy()) /* joining could take for ever: PQcancel has no time limit */
        return false;
    offload_close(connecting, 0);
    offload_close(cancelling, 0);
    connecting = cancelling = NULL;
    return true;
}

/* False when the loops are going: the caller disposes of arg. */
static bool post(struct loop *home, void (*fn)(void *), void *arg)
{
    pthread_mutex_lock(&lock);
    bool ok = !stopped;
    if (ok)
        loop_post(home, fn, arg);
    pthread_mutex_unlock(&lock);
    return ok;
}

/* ---- connecting -------------------------------------------------------------------------- */

static void drop_notice(void *ctx, const PGresult *r)
{
    (void)ctx;
    (void)r;
}

static bool wait_readable(PGconn *pg, int64_t deadline_us)
{
    struct pollfd p = {.fd = PQsocket(pg), .events = POLLIN};
    int64_t left_ms = (deadline_us - clock_mono_us()) / CLOCK_MS;
    return left_ms > 0 && poll(&p, 1, (int)left_ms) != 0;
}

/* PQexec has no time limit, and a server that has been stopped would keep the thread. */
static bool run(PGconn *pg, const char *sql, int64_t deadline_us)
{
    bool ok = PQsendQuery(pg, sql);
    while (ok) {
        while (ok && PQisBusy(pg))
            ok = wait_readable(pg, deadline_us) && PQconsumeInput(pg);
        if (!ok)
            break;
        PGresult *r = PQgetResult(pg);
        if (!r)
            return PQstatus(pg) == CONNECTION_OK;
        ok = PQresultStatus(r) == PGRES_COMMAND_OK || PQresultStatus(r) == PGRES_TUPLES_OK;
        PQclear(r);
    }
    return false;
}

/*
 * What holds for the whole session, so that no flush pays for it. A transaction left open by a
 * fiber that is busy elsewhere is our own mistake: a second more than a statement may take.
 */
static bool settle(PGconn *pg, const struct pg_connect_spec *s)
{
    char sql[512];
    if (s->per_transaction)
        return true;
    int64_t ms = s->statement_timeout_us / CLOCK_MS;
    int n = snprintf(sql, sizeof sql,
                     "set datestyle = 'ISO, MDY'; set statement_timeout = %lld;"
                     "set idle_in_transaction_session_timeout = %lld;",
                     (long long)ms, (long long)(ms ? ms + 1000 : 0));
    if (s->set_role) {
        char *role = PQescapeIdentifier(pg, s->set_role, strlen(s->set_role));
        if (!role)
            return false;
        snprintf(sql + n, sizeof sql - (size_t)n, "set role %s", role);
        PQfreemem(role);
    }
    return run(pg, sql, clock_mono_us() + s->timeout_us);
}

PGconn *pg_connect_now(const struct pg_connect_spec *s, char *reason, size_t reason_size)
{
    char timeout_s[16];
    int64_t seconds = (s->timeout_us + CLOCK_S - 1) / CLOCK_S;
    snprintf(timeout_s, sizeof timeout_s, "%lld", (long long)(seconds > 2 ? seconds : 2));
    /* libpq quotes text that it cannot parse, and with it the password */
    PQconninfoOption *parsed = PQconninfoParse(s->conninfo, NULL);
    if (!parsed) {
        snprintf(reason, reason_size, "the database URL is malformed");
        return NULL;
    }
    PQconninfoFree(parsed);
    /* what comes later wins, so that the URL's own settings override ours */
    const char *names[] = {"connect_timeout", "fallback_application_name", "client_encoding",
                           "dbname", NULL};
    const char *values[] = {timeout_s, "basalt", "UTF8", s->conninfo, NULL};
    PGconn *pg = PQconnectdbParams(names, values, 1);
    if (pg)
        PQsetNoticeReceiver(pg, drop_notice, NULL);
    if (pg && PQstatus(pg) == CONNECTION_OK && settle(pg, s))
        return pg;
    struct str text = pg_error_reason(pg);
    snprintf(reason, reason_size, "%.*s", STR_ARG(text));
    if (!reason[0])
        snprintf(reason, reason_size, "no answer in time");
    PQfinish(pg);
    return NULL;
}

/* Handed from loop to thread and back; whoever has it frees it. */
struct attempt {
    struct pg_connect_spec spec;
    struct loop *home;
    pg_connect_fn *fn;
    void *ctx;
    PGconn *pg;
    char reason[200];
};

struct connect_job {
    struct offload_job job;
    struct attempt *attempt;
};

static void attempt_ended(void *arg)
{
    struct attempt *a = arg;
    a->fn(a->ctx, a->pg, a->reason);
    free(a);
}

static void connect_run(struct offload_job *job)
{
    struct connect_job *j = (struct connect_job *)(void *)job;
    struct attempt *a = j->attempt;
    j->attempt = NULL;
    a->pg = pg_connect_now(&a->spec, a->reason, sizeof a->reason);
    if (!post(a->home, attempt_ended, a)) {
        PQfinish(a->pg);
        free(a);
    }
}

/* The attempt is still there when the pool was closed before it ran. */
static void connect_drop(struct offload_job *job)
{
    free(((struct connect_job *)(void *)job)->attempt);
    free(job);
}

bool pg_connect_start(const struct pg_connect_spec *s, pg_connect_fn *fn, void *ctx)
{
    struct connect_job *j = calloc(1, sizeof *j);
    struct attempt *a = calloc(1, sizeof *a);
    if (j && a) {
        j->job = (struct offload_job){.run = connect_run, .drop = connect_drop};
        j->attempt = a;
        *a = (struct attempt){.spec = *s, .home = loop_current(), .fn = fn, .ctx = ctx};
        if (offload_detach(connecting, &j->job))
            return true;
    }
    free(j);
    free(a);
    return false;
}

/* ---- cancelling -------------------------------------------------------------------------- */

enum { CANCEL_QUEUED, CANCEL_SENDING, CANCEL_SKIPPED };

/* Two hold it, the slot and the thread: when the loops go, neither can tell the other. */
struct pg_cancel {
    PGcancel *pg;
    struct loop *home;
    void (*fn)(void *ctx); /* NULL: forgotten; the loop's own */
    void *ctx;
    atomic_int state, holders;
};

struct cancel_job {
    struct offload_job job;
    struct pg_cancel *cancel;
};

static void cancel_release(struct pg_cancel *c)
{
    if (atomic_fetch_sub(&c->holders, 1) != 1)
        return;
    PQfreeCancel(c->pg);
    free(c);
}

static void cancel_ended(void *arg)
{
    struct pg_cancel *c = arg;
    if (c->fn) {
        c->fn(c->ctx);
        cancel_release(c);
    }
    cancel_release(c);
}

static void cancel_run(struct offload_job *job)
{
    struct cancel_job *j = (struct cancel_job *)(void *)job;
    struct pg_cancel *c = j->cancel;
    j->cancel = NULL;
    char said[256];
    int expected = CANCEL_QUEUED;
    /* a failure needs no report: the pool closes the connection when no answer comes */
    if (atomic_compare_exchange_strong(&c->state, &expected, CANCEL_SENDING))
        PQcancel(c->pg, said, sizeof said);
    if (!post(c->home, cancel_ended, c))
        cancel_release(c);
}

static void cancel_drop(struct offload_job *job)
{
    struct pg_cancel *c = ((struct cancel_job *)(void *)job)->cancel;
    if (c)
        cancel_release(c);
    free(job);
}

struct pg_cancel *pg_connect_cancel(PGconn *pg, void (*fn)(void *ctx), void *ctx)
{
    struct cancel_job *j = calloc(1, sizeof *j);
    struct pg_cancel *c = calloc(1, sizeof *c);
    PGcancel *request = PQgetCancel(pg);
    if (j && c && request) {
        j->job = (struct offload_job){.run = cancel_run, .drop = cancel_drop};
        j->cancel = c;
        c->pg = request;
        c->home = loop_current();
        c->fn = fn;
        c->ctx = ctx;
        atomic_init(&c->state, CANCEL_QUEUED);
        atomic_init(&c->holders, 2);
        if (offload_detach(cancelling, &j->job))
            return c;
    }
    PQfreeCancel(request);
    free(j);
    free(c);
    return NULL;
}

bool pg_connect_cancel_skip(struct pg_cancel *c)
{
    int expected = CANCEL_QUEUED;
    if (!atomic_compare_exchange_strong(&c->state, &expected, CANCEL_SKIPPED))
        return false;
    pg_connect_cancel_forget(c);
    return true;
}

void pg_connect_cancel_forget(struct pg_cancel *c)
{
    c->fn = NULL;
    cancel_release(c);
}

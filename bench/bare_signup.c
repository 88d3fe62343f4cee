/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bare_signup CONNINFO CONNECTIONS SECONDS: the inserts of a signup (user, identity, audit row,
 * profile) with the server's own statements and values of the same size, pipelined into one implicit
 * transaction over libpq, every connection always busy: what the database gives to a client that
 * does nothing else. One JSON object on stdout.
 */
#include <err.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "audit/audit_sql.h"
#include "auth/auth_sql.h"
#include "base/clock.h"
#include "base/uuid.h"
#include "histogram.h"

enum { CONNECTIONS_MAX = 256, STATEMENTS = 4, ARGUMENTS_MAX = 16, TEXT_MAX = 1024 };

static const struct pg_sql *const statements[STATEMENTS] = {&user_insert_sql, &identity_insert_sql,
                                                            &audit_insert_sql, &profile_write_sql};

struct session {
    PGconn *pg;
    int64_t sent_us;
};

static struct {
    struct session sessions[CONNECTIONS_MAX];
    unsigned count;
    int epoll;
    int64_t until_us;
    unsigned long long started;
    struct histogram latency;
} run;

/* ---- the values of one signup, as signup_run() makes them ------------------------------------ */

struct texts {
    struct uuid user, audit;
    char email[128], metadata[128], identity[TEXT_MAX], payload[TEXT_MAX];
};

static const char hash[] = "$argon2id$v=19$m=19456,t=2,p=1$YmVuY2htYXJrYmVuY2htYQ"
                           "$n1m2bWJlbmNobWFya2JlbmNobWFya2JlbmNobWFya2I";

static void texts_make(struct texts *t)
{
    t->user = uuid_v4();
    t->audit = uuid_v7();
    snprintf(t->email, sizeof(t->email), "%s@bench.example", t->user.text);
    snprintf(t->metadata, sizeof(t->metadata), "{\"name\":\"Bench\",\"email_verified\":true}");
    snprintf(t->identity, sizeof(t->identity),
             "{\"sub\":\"%s\",\"email\":\"%s\",\"email_verified\":false,\"phone_verified\":false}",
             t->user.text, t->email);
    snprintf(
        t->payload, sizeof(t->payload),
        "{\"actor_id\":\"%s\",\"actor_via_sso\":false,\"actor_username\":\"%s\","
        "\"action\":\"user_signedup\",\"log_type\":\"team\",\"traits\":{\"provider\":\"email\"}}",
        t->user.text, t->email);
}

static void arguments(const struct texts *t, const char *out[STATEMENTS][ARGUMENTS_MAX])
{
    const char *id = t->user.text;
    const char *const rows[STATEMENTS][ARGUMENTS_MAX] = {
        {id, "authenticated", "authenticated", t->email, NULL, hash, "true", "false",
         "{\"provider\":\"email\",\"providers\":[\"email\"]}", t->metadata, NULL, "false"},
        {id, id, "email", t->identity},
        {t->audit.text, "user_signedup", "success", id, "service", id, "127.0.0.1", NULL,
         t->audit.text, "{\"provider\":\"email\"}", t->payload},
        {"public.profiles", id, "{\"name\":\"Bench\",\"role\":\"basic_user\"}"},
    };
    memcpy(out, rows, sizeof(rows));
}

/* ---- one connection --------------------------------------------------------------------------- */

_Noreturn static void failed(const struct session *s, const char *what)
{
    errx(1, "%s: %s", what, PQerrorMessage(s->pg));
}

static void interest(const struct session *s, int op, unsigned events)
{
    struct epoll_event ev = {.events = events, .data.ptr = (void *)(uintptr_t)s};
    if (epoll_ctl(run.epoll, op, PQsocket(s->pg), &ev) != 0)
        err(1, "epoll_ctl");
}

static void session_open(struct session *s, const char *conninfo)
{
    s->pg = PQconnectdb(conninfo);
    if (PQstatus(s->pg) != CONNECTION_OK)
        failed(s, "connecting");
    for (unsigned i = 0; i < STATEMENTS; i++) {
        const struct pg_sql *q = statements[i];
        PGresult *r = PQprepare(s->pg, q->name, q->text, q->params, q->param_oids);
        if (PQresultStatus(r) != PGRES_COMMAND_OK)
            failed(s, q->name);
        PQclear(r);
    }
    if (PQsetnonblocking(s->pg, 1) != 0 || !PQenterPipelineMode(s->pg))
        failed(s, "pipeline");
    interest(s, EPOLL_CTL_ADD, EPOLLIN);
}

static void session_send(struct session *s)
{
    struct texts t;
    const char *args[STATEMENTS][ARGUMENTS_MAX] = {0};
    s->sent_us = clock_mono_us();
    if (s->sent_us >= run.until_us)
        return;
    texts_make(&t);
    arguments(&t, args);
    for (unsigned i = 0; i < STATEMENTS; i++)
        if (!PQsendQueryPrepared(s->pg, statements[i]->name, statements[i]->params, args[i], NULL,
                                 NULL, 0))
            failed(s, statements[i]->name);
    if (!PQpipelineSync(s->pg) || PQflush(s->pg) < 0) /* 4 KiB: the socket takes it at once */
        failed(s, "sync");
    run.started++;
}

/* True when the Sync is back. */
static bool results_read(struct session *s)
{
    while (!PQisBusy(s->pg)) {
        PGresult *r = PQgetResult(s->pg);
        ExecStatusType status = r ? PQresultStatus(r) : PGRES_TUPLES_OK;
        PQclear(r);
        if (status == PGRES_PIPELINE_SYNC)
            return true;
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
            failed(s, "signup");
    }
    return false;
}

static void session_ready(struct session *s)
{
    if (!PQconsumeInput(s->pg))
        failed(s, "reading");
    if (!results_read(s))
        return;
    histogram_record(&run.latency, clock_mono_us() - s->sent_us);
    session_send(s);
}

/* ---- all of them -------------------------------------------------------------------------------- */

static void loop(void)
{
    struct epoll_event events[CONNECTIONS_MAX];
    for (unsigned i = 0; i < run.count; i++)
        session_send(&run.sessions[i]);
    while (run.latency.count < run.started) {
        int n = epoll_wait(run.epoll, events, CONNECTIONS_MAX, 10000);
        if (n <= 0)
            errx(1, "no answer for 10 s");
        for (int i = 0; i < n; i++)
            session_ready(events[i].data.ptr);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4)
        errx(2, "usage: bare_signup CONNINFO CONNECTIONS SECONDS");
    run.count = (unsigned)strtoul(argv[2], NULL, 10);
    double seconds = strtod(argv[3], NULL);
    if (run.count == 0 || run.count > CONNECTIONS_MAX)
        errx(2, "1 to %d connections", CONNECTIONS_MAX);
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < run.count; i++)
        session_open(&run.sessions[i], argv[1]);
    int64_t from = clock_mono_us();
    run.until_us = from + (int64_t)(seconds * CLOCK_S);
    loop();
    double took = (double)(clock_mono_us() - from) / CLOCK_S;
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    double cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec)
                 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / CLOCK_S;
    printf("{\"seconds\":%.3f,\"answered\":%llu,\"per_s\":%.1f,\"client_cpu_s\":%.3f,"
           "\"latency_ms\":",
           took, run.started, (double)run.started / took, cpu);
    histogram_put_json(&run.latency, stdout);
    printf("}\n");
    return 0;
}

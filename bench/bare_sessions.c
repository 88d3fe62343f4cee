/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bare_sessions redis SOCKET COUNT | bare_sessions postgres CONNINFO COUNT: who is behind a token, asked
 * COUNT times, one at a time, of what a server could keep sessions in. Redis: GET of the session as
 * JSON, one of 10,000, which a COUNT of 0 puts there. PostgreSQL: the server's own statements for user and session, one pipelined
 * flush. One JSON object on stdout.
 */
#include <err.h>
#include <hiredis/hiredis.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "auth/auth_sql.h"
#include "base/clock.h"
#include "histogram.h"

enum {
    SESSIONS = 10000,
    SESSION_BYTES = 900, /* a User object of GoTrue's is as long */
    STRIDE = 7919,       /* a prime: every session in turn, none beside the one before */
};

static struct histogram latency;

/* ---- Redis ---------------------------------------------------------------------------------------- */

static void redis_do(redisContext *c, redisReply *r)
{
    if (!r || (r->type != REDIS_REPLY_STATUS && r->type != REDIS_REPLY_STRING))
        errx(1, "Redis: %s", r && r->str ? r->str : c->errstr);
    freeReplyObject(r);
}

static void redis_run(const char *socket, long count)
{
    redisContext *c = redisConnectUnix(socket);
    char session[SESSION_BYTES];
    if (!c || c->err)
        errx(1, "Redis: %s", c ? c->errstr : "no memory");
    memset(session, 'x', sizeof(session));
    for (int i = 0; count == 0 && i < SESSIONS; i++)
        redis_do(c, redisCommand(c, "SET session:%d %b", i, session, sizeof(session)));
    for (long i = 0; i < count; i++) {
        int64_t from = clock_mono_us();
        redis_do(c, redisCommand(c, "GET session:%d", (int)(i * STRIDE % SESSIONS)));
        histogram_record(&latency, clock_mono_us() - from);
    }
    redisFree(c);
}

/* ---- PostgreSQL ------------------------------------------------------------------------------------- */

_Noreturn static void failed(PGconn *pg, const char *what)
{
    errx(1, "%s: %s", what, PQerrorMessage(pg));
}

static void prepare(PGconn *pg, const struct pg_sql *q)
{
    PGresult *r = PQprepare(pg, q->name, q->text, q->params, q->param_oids);
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        failed(pg, q->name);
    PQclear(r);
}

static void ask(PGconn *pg, const char *user, const char *session)
{
    const char *of_user[] = {user}, *of_session[] = {session, user};
    if (!PQsendQueryPrepared(pg, user_by_id_sql.name, 1, of_user, NULL, NULL, 0)
        || !PQsendQueryPrepared(pg, session_find_sql.name, 2, of_session, NULL, NULL, 0)
        || !PQpipelineSync(pg))
        failed(pg, "asking");
    for (ExecStatusType status = PGRES_TUPLES_OK; status != PGRES_PIPELINE_SYNC;) {
        PGresult *r = PQgetResult(pg);
        status = r ? PQresultStatus(r) : PGRES_TUPLES_OK; /* NULL: the end of one statement's */
        if (status == PGRES_FATAL_ERROR || (status == PGRES_TUPLES_OK && r && PQntuples(r) != 1))
            failed(pg, "reading");
        PQclear(r);
    }
}

static void postgres_run(const char *conninfo, long count)
{
    PGconn *pg = PQconnectdb(conninfo);
    if (PQstatus(pg) != CONNECTION_OK)
        failed(pg, "connecting");
    PGresult *all = PQexec(pg, "select user_id, id from auth.sessions limit 10000");
    int n = PQntuples(all);
    if (n == 0)
        failed(pg, "no sessions");
    prepare(pg, &user_by_id_sql);
    prepare(pg, &session_find_sql);
    if (!PQenterPipelineMode(pg))
        failed(pg, "pipeline");
    for (long i = 0; i < count; i++) {
        int row = (int)(i * STRIDE % n);
        int64_t from = clock_mono_us();
        ask(pg, PQgetvalue(all, row, 0), PQgetvalue(all, row, 1));
        histogram_record(&latency, clock_mono_us() - from);
    }
    PQclear(all);
    PQfinish(pg);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        errx(2, "usage: bare_sessions redis SOCKET COUNT | postgres CONNINFO COUNT");
    long count = strtol(argv[3], NULL, 10);
    if (strcmp(argv[1], "redis") == 0)
        redis_run(argv[2], count);
    else
        postgres_run(argv[2], count);
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    double cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec)
                 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / CLOCK_S;
    printf("{\"answered\":%ld,\"client_cpu_s\":%.3f,\"latency_ms\":", count, cpu);
    histogram_put_json(&latency, stdout);
    printf("}\n");
    return 0;
}

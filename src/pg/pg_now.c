/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/pg_now.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "pg/pg_error.h"
#include "pg/pg_result.h"

struct pg_now {
    PGconn *pg;
    char notes[2048]; /* of the last error */
};

enum {
    ARGS_MAX = 64,        /* no statement of ours has more; an array on the stack */
    CONNINFO_MAX = 16384, /* several hosts with long options still fit */
};

void pg_now_forget_environment(void)
{
    /* what PQconndefaults does not list: startup parameters, and where services are looked up */
    static const char *const others[] = {"PGTZ", "PGDATESTYLE", "PGGEQO", "PGSERVICEFILE",
                                         "PGSYSCONFDIR"};
    PQconninfoOption *options = PQconndefaults();
    for (const PQconninfoOption *o = options; o && o->keyword; o++)
        if (o->envvar)
            unsetenv(o->envvar);
    PQconninfoFree(options);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        unsetenv(others[i]);
}

static void drop_notice(void *ctx, const PGresult *r)
{
    (void)ctx;
    (void)r;
}

static void append_note(struct pg_now *c, const PGresult *r, const char *name, int field)
{
    const char *text = r ? PQresultErrorField(r, field) : NULL;
    size_t n = strlen(c->notes);
    if (text)
        snprintf(c->notes + n, sizeof c->notes - n, "%s%s: %s", n ? "\n" : "", name, text);
}

/*
 * The message is PostgreSQL's own: whoever reads it is the operator, and a migration that failed
 * with "the database could not do the request" would help nobody.
 */
static bool failed(struct pg_now *c, const PGresult *r, struct err *e)
{
    pg_error_set(e, r);
    c->notes[0] = '\0';
    append_note(c, r, "DETAIL", PG_DIAG_MESSAGE_DETAIL);
    append_note(c, r, "HINT", PG_DIAG_MESSAGE_HINT);
    append_note(c, r, "CONTEXT", PG_DIAG_CONTEXT);
    const char *said = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    struct str text = said ? str_from(said) : pg_error_reason(c->pg);
    snprintf(e->message, sizeof e->message, "%.*s", STR_ARG(text));
    return false;
}

static bool settle(PGconn *pg, struct err *e)
{
    /* times are read as ISO text whatever the database or the role has set */
    PGresult *r = PQexec(pg, "set datestyle = 'ISO, MDY'");
    bool ok = PQresultStatus(r) == PGRES_COMMAND_OK;
    if (!ok)
        pg_error_set(e, r);
    PQclear(r);
    return ok;
}

/* libpq quotes the text that it cannot parse, and with it the password: its words stay unsaid. */
static bool parse(const char *conninfo, PQconninfoOption **out, struct err *e)
{
    char *said = NULL;
    *out = PQconninfoParse(conninfo, &said);
    PQfreemem(said);
    return *out || err_set(e, 503, "database_unavailable", "the database URL is malformed");
}

bool pg_now_open(const char *conninfo, int timeout_ms, struct pg_now **out, struct err *e)
{
    PQconninfoOption *options;
    if (!parse(conninfo, &options, e))
        return false;
    PQconninfoFree(options);
    char timeout_s[16];
    snprintf(timeout_s, sizeof timeout_s, "%d", timeout_ms > 2000 ? (timeout_ms + 999) / 1000 : 2);
    /* what comes later wins, so that the URL's own settings override ours */
    const char *names[] = {"connect_timeout", "fallback_application_name", "client_encoding",
                           "tcp_user_timeout", "keepalives_idle", "dbname", NULL};
    const char *values[] = {timeout_s, "basalt", "UTF8", "30000", "30", conninfo, NULL};
    PGconn *pg = PQconnectdbParams(names, values, 1);
    if (!pg || PQstatus(pg) != CONNECTION_OK) {
        struct str text = str_from(pg ? PQerrorMessage(pg) : "out of memory");
        err_set(e, 503, "database_unavailable", "%.*s", (int)strcspn(text.p, "\n"), text.p);
        PQfinish(pg);
        return false;
    }
    PQsetNoticeReceiver(pg, drop_notice, NULL);
    struct pg_now *c = settle(pg, e) ? malloc(sizeof *c) : NULL;
    if (!c) {
        PQfinish(pg);
        return e->status ? false : err_set(e, 503, "database_unavailable", "out of memory");
    }
    *c = (struct pg_now){.pg = pg};
    *out = c;
    return true;
}

void pg_now_close(struct pg_now **c)
{
    if (!*c)
        return;
    PQfinish((*c)->pg);
    free(*c);
    *c = NULL;
}

/* NUL-terminated copies in one block, which the caller frees; the absent str is null. */
static bool copy_args(const struct str *args, size_t n, const char **values, char **block,
                      struct err *e)
{
    size_t total = 1;
    for (size_t i = 0; i < n; i++)
        total += args[i].n + 1;
    char *p = *block = malloc(total);
    if (!p)
        return err_set(e, 500, "database_error", "out of memory");
    for (size_t i = 0; i < n; i++) {
        values[i] = args[i].p ? p : NULL;
        if (args[i].n && memchr(args[i].p, 0, args[i].n))
            return err_set(e, 400, "validation_failed", "a value contains a NUL character");
        if (args[i].n)
            memcpy(p, args[i].p, args[i].n);
        p[args[i].n] = 0;
        p += args[i].n + 1;
    }
    return true;
}

static PGresult *run(struct pg_now *c, const char *sql, const struct str *args, size_t n,
                     struct err *e)
{
    const char *values[ARGS_MAX];
    char *block = NULL;
    PGresult *r = NULL;
    BUG(n > ARGS_MAX);
    if (copy_args(args, n, values, &block, e))
        r = PQexecParams(c->pg, sql, (int)n, NULL, values, NULL, NULL, 0);
    free(block);
    return r;
}

bool pg_now_query(struct pg_now *c, const char *sql, const struct str *args, size_t n,
                  struct pg_result **out, struct err *e)
{
    err_clear(e);
    PGresult *r = run(c, sql, args, n, e);
    if (!r && e->status)
        return false;
    ExecStatusType status = PQresultStatus(r);
    bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
    struct pg_result *box = ok && out ? malloc(sizeof *box) : NULL;
    if (!ok)
        failed(c, r, e);
    else if (out && !box)
        ok = err_set(e, 500, "database_error", "out of memory");
    if (!box) {
        PQclear(r);
        return ok;
    }
    *box = (struct pg_result){.pg = r};
    *out = box;
    return true;
}

void pg_now_free(struct pg_result **r)
{
    if (!*r)
        return;
    PQclear((*r)->pg);
    free(*r);
    *r = NULL;
}

/* A script cannot bring COPY data along: ends the copy, which makes the statement fail. */
static void end_copy(struct pg_now *c, ExecStatusType status)
{
    char *row = NULL;
    if (status == PGRES_COPY_IN || status == PGRES_COPY_BOTH)
        PQputCopyEnd(c->pg, "COPY FROM STDIN is not possible here");
    if (status == PGRES_COPY_OUT)
        while (PQgetCopyData(c->pg, &row, 0) > 0)
            PQfreemem(row);
}

bool pg_now_script(struct pg_now *c, const char *sql, int *position, struct err *e)
{
    bool ok = true;
    if (position)
        *position = 0;
    if (!PQsendQuery(c->pg, sql))
        return failed(c, NULL, e);
    for (PGresult *r; (r = PQgetResult(c->pg));) {
        ExecStatusType status = PQresultStatus(r);
        end_copy(c, status);
        if (ok && (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE)) {
            const char *at = PQresultErrorField(r, PG_DIAG_STATEMENT_POSITION);
            int64_t n = 0;
            if (position && at && str_to_i64(str_from(at), &n))
                *position = (int)n;
            ok = failed(c, r, e);
        }
        PQclear(r);
        if (PQstatus(c->pg) != CONNECTION_OK)
            break; /* PQgetResult could go on forever in a copy */
    }
    return ok;
}

const char *pg_now_error_notes(const struct pg_now *c)
{
    return c->notes;
}

int pg_now_server_version(const struct pg_now *c)
{
    return PQserverVersion(c->pg);
}

static struct str take(char *libpq_owned, struct arena *a)
{
    if (!libpq_owned)
        return (struct str){0};
    size_t n = strlen(libpq_owned);
    char *p = arena_alloc(a, n + 1);
    memcpy(p, libpq_owned, n + 1);
    PQfreemem(libpq_owned);
    return str_of(p, n);
}

struct str pg_now_literal(struct pg_now *c, struct str s, struct arena *a)
{
    return take(PQescapeLiteral(c->pg, s.p, s.n), a);
}

struct str pg_now_identifier(struct pg_now *c, struct str s, struct arena *a)
{
    return take(PQescapeIdentifier(c->pg, s.p, s.n), a);
}

/* keyword='value', \ and ' escaped (libpq manual, 34.1.1.1). */
static void put_option(struct buf *b, const char *keyword, struct str value)
{
    buf_printf(b, "%s%s='", b->n ? " " : "", keyword);
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] == '\\' || value.p[i] == '\'')
            buf_char(b, '\\');
        buf_char(b, value.p[i]);
    }
    buf_char(b, '\'');
}

static bool conninfo_end(struct buf *b, const char **out, struct err *e)
{
    buf_char(b, 0);
    if (b->failed || memchr(b->p, 0, b->n - 1))
        return err_set(e, 503, "database_unavailable", "the database URL is malformed");
    *out = b->p;
    return true;
}

bool pg_now_conninfo(const char *base, struct str user, struct str password, struct str dbname,
                     struct arena *a, const char **out, struct err *e)
{
    PQconninfoOption *options;
    if (!parse(base, &options, e))
        return false;
    struct buf b;
    buf_init_arena(&b, a, CONNINFO_MAX);
    for (const PQconninfoOption *o = options; o->keyword; o++) {
        struct str value = str_from(o->val);
        if (user.p && strcmp(o->keyword, "user") == 0)
            value = user;
        else if (password.p && strcmp(o->keyword, "password") == 0)
            value = password;
        else if (dbname.p && strcmp(o->keyword, "dbname") == 0)
            value = dbname;
        if (value.p)
            put_option(&b, o->keyword, value);
    }
    PQconninfoFree(options);
    return conninfo_end(&b, out, e);
}

bool pg_now_without_password(const char *base, struct arena *a, const char **out,
                             struct str *password, struct err *e)
{
    PQconninfoOption *options;
    if (!parse(base, &options, e))
        return false;
    struct buf b;
    buf_init_arena(&b, a, CONNINFO_MAX);
    *password = (struct str){0};
    for (const PQconninfoOption *o = options; o->keyword; o++) {
        if (strcmp(o->keyword, "password") == 0)
            *password = arena_str(a, str_from(o->val));
        else if (o->val)
            put_option(&b, o->keyword, str_from(o->val));
    }
    PQconninfoFree(options);
    return conninfo_end(&b, out, e);
}

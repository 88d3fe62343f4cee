/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/pg_error.h"

#include <stdio.h>

/* The order of the label's values in ops/metrics.def. */
enum {
    CLASS_CONNECTION,
    CLASS_TIMEOUT,
    CLASS_CONFLICT,
    CLASS_CONSTRAINT,
    CLASS_DENIED,
    CLASS_SYNTAX,
    CLASS_RESOURCES,
    CLASS_OTHER
};

/* A SQLSTATE or the beginning of one; the first row that fits counts. */
struct meaning {
    const char *prefix;
    int status;
    const char *code;
    const char *message;
    int retry_after_s;
    unsigned class;
};

/* clang-format off */
static const struct meaning meanings[] = {
    {"57014", 504, "request_timeout",      "the database took too long",             1, CLASS_TIMEOUT},
    {"25P03", 504, "request_timeout",      "the database took too long",             1, CLASS_TIMEOUT},
    {"57P0",  503, "database_unavailable", "the database is not available right now", 1, CLASS_CONNECTION},
    {"08",    503, "database_unavailable", "the database is not available right now", 1, CLASS_CONNECTION},
    {"25006", 503, "database_unavailable", "the database is not available right now", 1, CLASS_CONNECTION},
    {"53100", 503, "database_full",        "the database has no room left",          5, CLASS_RESOURCES},
    {"53",    503, "database_unavailable", "the database is out of resources",       1, CLASS_RESOURCES},
    {"40001", 409, "conflict",             "a concurrent change got in between",     0, CLASS_CONFLICT},
    {"55P03", 409, "conflict",             "somebody else is changing the same",     1, CLASS_CONFLICT},
    {"40P01", 409, "conflict",             "a concurrent change got in between",     0, CLASS_CONFLICT},
    {"23",    500, "database_error",       "the database refused the change",        0, CLASS_CONSTRAINT},
    {"42501", 500, "database_error",       "the database denied the request",        0, CLASS_DENIED},
    {"42",    500, "database_error",       "the database could not do the request",  0, CLASS_SYNTAX},
    {"",      500, "database_error",       "the database could not do the request",  0, CLASS_OTHER},
};
/* clang-format on */

static const struct meaning *meaning_of(const char *sqlstate)
{
    const struct meaning *m = meanings;
    while (strncmp(sqlstate, m->prefix, strlen(m->prefix)) != 0)
        m++;
    return m;
}

static const char *field(const PGresult *r, int code)
{
    const char *v = PQresultErrorField(r, code);
    return v ? v : "";
}

/* " name=value" when the server sent it. */
static void append(char *out, size_t size, const char *name, const char *value)
{
    size_t n = strlen(out);
    if (value[0] && n < size)
        snprintf(out + n, size - n, " %s=%s", name, value);
}

static void fill_detail(struct err *e, const PGresult *r)
{
    char text[sizeof e->detail];
    snprintf(text, sizeof text, "%s %.160s", field(r, PG_DIAG_SQLSTATE),
             field(r, PG_DIAG_MESSAGE_PRIMARY));
    append(text, sizeof text, "schema", field(r, PG_DIAG_SCHEMA_NAME));
    append(text, sizeof text, "table", field(r, PG_DIAG_TABLE_NAME));
    append(text, sizeof text, "column", field(r, PG_DIAG_COLUMN_NAME));
    append(text, sizeof text, "constraint", field(r, PG_DIAG_CONSTRAINT_NAME));
    /* the innermost function or trigger comes first */
    append(text, sizeof text, "context", field(r, PG_DIAG_CONTEXT));
    for (char *p = text; *p; p++)
        if (*p == '\n')
            *p = ' ';
    err_detail(e, "%s", text);
}

bool pg_error_set(struct err *e, const PGresult *r)
{
    const char *sqlstate = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    if (!sqlstate) { /* libpq's own: the connection broke */
        const char *text = PQresultErrorMessage(r);
        return pg_error_connection(e, text && *text ? text : "connection lost");
    }
    const struct meaning *m = meaning_of(sqlstate);
    err_set(e, m->status, m->code, "%s", m->message);
    e->retry_after_s = m->retry_after_s;
    snprintf(e->sqlstate, sizeof e->sqlstate, "%s", sqlstate);
    fill_detail(e, r);
    return false;
}

bool pg_error_connection(struct err *e, const char *reason)
{
    err_set(e, 503, "database_unavailable", "the database is not available right now");
    e->retry_after_s = 1;
    return err_detail(e, "%.*s", (int)strcspn(reason, "\n"), reason);
}

static struct str copy(struct arena *a, const PGresult *r, int code)
{
    const char *v = PQresultErrorField(r, code);
    return v ? arena_printf(a, "%.4000s", v) : (struct str){0};
}

void pg_error_read(struct pg_error *out, const PGresult *r, struct arena *a)
{
    out->sqlstate = copy(a, r, PG_DIAG_SQLSTATE);
    out->message = copy(a, r, PG_DIAG_MESSAGE_PRIMARY);
    out->detail = copy(a, r, PG_DIAG_MESSAGE_DETAIL);
    out->hint = copy(a, r, PG_DIAG_MESSAGE_HINT);
    out->schema = copy(a, r, PG_DIAG_SCHEMA_NAME);
    out->table = copy(a, r, PG_DIAG_TABLE_NAME);
    out->column = copy(a, r, PG_DIAG_COLUMN_NAME);
    out->constraint = copy(a, r, PG_DIAG_CONSTRAINT_NAME);
    out->context = copy(a, r, PG_DIAG_CONTEXT);
}

struct str pg_error_reason(const PGconn *c)
{
    struct str s = str_from(c ? PQerrorMessage(c) : "out of memory");
    size_t at;
    if (str_find(s, S(" failed: "), &at))
        s = str_from_at(s, at + 9);
    if (str_find_char(s, '\n', &at))
        s.n = at;
    return s;
}

unsigned pg_error_class(const struct err *e)
{
    if (e->sqlstate[0])
        return meaning_of(e->sqlstate)->class;
    return e->status == 504 || e->status == 499 ? CLASS_TIMEOUT : CLASS_CONNECTION;
}

bool pg_error_ends_session(const char *sqlstate)
{
    return strncmp(sqlstate, "57P", 3) == 0 || strncmp(sqlstate, "08", 2) == 0
           || strcmp(sqlstate, "25P03") == 0 || strcmp(sqlstate, "25006") == 0;
}

bool pg_error_is_stale_plan(const PGresult *r)
{
    const char *sqlstate = field(r, PG_DIAG_SQLSTATE);
    if (strcmp(sqlstate, "26000") == 0 || strcmp(sqlstate, "42P05") == 0)
        return true;
    /* 0A000 is any "not supported"; the message is translated, the function's name is not */
    return strcmp(sqlstate, "0A000") == 0
           && strcmp(field(r, PG_DIAG_SOURCE_FUNCTION), "RevalidateCachedQuery") == 0;
}

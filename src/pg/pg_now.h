/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A blocking connection for start-up, migrations and the command line. Never on a running loop.
 */
#ifndef PG_NOW_H
#define PG_NOW_H

#include "base/arena.h"
#include "base/err.h"
#include "pg/pg_row.h"

struct pg_now;

/*
 * Drops libpq's variables (PGHOST, PGSERVICE, PGOPTIONS…) from our environment: they speak of some
 * other server, and some of them keep us from our private one. Before there are threads that connect.
 */
void pg_now_forget_environment(void);
/* e 503 with a sentence: which server, why (password never shown). */
MUST_CHECK bool pg_now_open(const char *conninfo, int timeout_ms, struct pg_now **out,
                            struct err *e);
void pg_now_close(struct pg_now **c); /* usable with CLEANUP; safe on NULL */
/* One statement with text parameters; result may be NULL when it is not wanted. Freed by pg_now_free. */
MUST_CHECK bool pg_now_query(struct pg_now *c, const char *sql, const struct str *args, size_t n,
                             struct pg_result **out, struct err *e);
void pg_now_free(struct pg_result **r);
/* Several statements without parameters (simple protocol). position: 1-based character of the error, or 0. */
MUST_CHECK bool pg_now_script(struct pg_now *c, const char *sql, int *position, struct err *e);
/* What PostgreSQL added to its last error here: its DETAIL, HINT and CONTEXT lines, "" for nothing. */
const char *pg_now_error_notes(const struct pg_now *c);
int pg_now_server_version(const struct pg_now *c); /* 150018 */
/* Quoted for SQL text, in the arena. */
struct str pg_now_literal(struct pg_now *c, struct str s, struct arena *a);
struct str pg_now_identifier(struct pg_now *c, struct str s, struct arena *a);
/* libpq's own parsing: the conninfo with user, password and database replaced (absent: kept). */
MUST_CHECK bool pg_now_conninfo(const char *base, struct str user, struct str password,
                                struct str dbname, struct arena *a, const char **out,
                                struct err *e);
/* The same conninfo without its password, which comes apart (absent: none): for a program's arguments,
 * which everybody may read. */
MUST_CHECK bool pg_now_without_password(const char *base, struct arena *a, const char **out,
                                        struct str *password, struct err *e);

#endif

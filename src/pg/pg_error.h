/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to pg/: what libpq says in the words of struct err and struct pg_error. SQLSTATE classes
 * from PostgreSQL's appendix A. The detail names message, schema.table, column, constraint and
 * context for the log; nothing of it reaches a client.
 */
#ifndef PG_PG_ERROR_H
#define PG_PG_ERROR_H

#include <libpq-fe.h>

#include "pg/pg_tx.h"

/* Fills e from a failed result by its SQLSTATE (the table in pg_error.c); is false. */
bool pg_error_set(struct err *e, const PGresult *r);
/* Copies every field that the server sent into the arena. statement is left alone. */
void pg_error_read(struct pg_error *out, const PGresult *r, struct arena *a);
/* 503 "database_unavailable" with libpq's reason in detail; is false. */
bool pg_error_connection(struct err *e, const char *reason);
/* Its own reason of a connection that cannot be made, first line, without "connection to …failed: ". */
struct str pg_error_reason(const PGconn *c);
/* Which value of the label of metric pg_errors: "connection timeout conflict …". */
unsigned pg_error_class(const struct err *e);
/* The server will not serve this session any more, or not as the primary: close the connection. */
bool pg_error_ends_session(const char *sqlstate);
/* A prepared statement is gone, doubled or stale: the flush may be repeated with fresh ones. */
bool pg_error_is_stale_plan(const PGresult *r);

#endif

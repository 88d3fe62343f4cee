/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to pg/: what libpq can only do blocking, on threads of its own: opening connections (two
 * threads, since a host that drops packets holds one for the whole connect timeout) and sending
 * cancels (one thread: PQcancel knows no timeout and blocked 3 s against a stopped server). Queues are
 * bounded; answers come as callbacks on the loop that asked.
 */
#ifndef PG_PG_CONNECT_H
#define PG_PG_CONNECT_H

#include <libpq-fe.h>

#include "base/err.h"
#include "base/str.h"

/* Strings belong to the caller and live until pg_connect_close. */
struct pg_connect_spec {
    const char *conninfo;
    const char *set_role;         /* or NULL */
    int64_t timeout_us;           /* per host */
    int64_t statement_timeout_us; /* 0: none */
    bool per_transaction; /* a pooler gives every transaction another session: set nothing here */
};

/* Starts the threads; counted, so that pool and listener need not know each other. */
MUST_CHECK bool pg_connect_open(struct err *e);
/* On a loop while it still runs: from now on no callback comes and what arrives is closed. */
void pg_connect_stop(void);
/*
 * Off the loops. Joins the threads when the last user is gone; connections in the making are closed.
 * False: one is still held by a server that does not answer; it is left behind, and with it whatever
 * the specs point to.
 */
bool pg_connect_close(int timeout_ms);

/* Blocking. NULL with the reason (no secret in it) in `reason`. */
PGconn *pg_connect_now(const struct pg_connect_spec *s, char *reason, size_t reason_size);

/* pg is the callback's to own, NULL with a reason. In a callback on the loop that asked. */
typedef void pg_connect_fn(void *ctx, PGconn *pg, const char *reason);
/* False when the queue is full. */
bool pg_connect_start(const struct pg_connect_spec *s, pg_connect_fn *fn, void *ctx);

struct pg_cancel;
/*
 * Asks the server to stop what pg is doing. fn(ctx) on the loop that asked, when the request has been
 * delivered or has failed; the cancel is gone then. NULL when the queue is full: close the connection then.
 */
struct pg_cancel *pg_connect_cancel(PGconn *pg, void (*fn)(void *ctx), void *ctx);
/* No need any more. True: it will not be sent. False: it is under way, fn will come. */
bool pg_connect_cancel_skip(struct pg_cancel *c);
/* fn will not come (its context is about to go). */
void pg_connect_cancel_forget(struct pg_cancel *c);

#endif

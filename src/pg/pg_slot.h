/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to pg/: a place in a loop's pool, and how pg_tx uses it. A slot is in exactly one list of
 * its pool, changed in one function; a request holds it from pg_pool_take to pg_pool_give or
 * pg_pool_abandon. What it was doing when it was abandoned stays with the pool, which drains it.
 */
#ifndef PG_PG_SLOT_H
#define PG_PG_SLOT_H

#include "pg/pg_conn.h"
#include "pg/pg_connect.h"
#include "runtime/fiber.h"
#include "runtime/timer.h"

enum slot_state {
    SLOT_FREE,       /* no connection */
    SLOT_CONNECTING, /* a thread is making one */
    SLOT_IDLE,       /* most recently used first, a list per login */
    SLOT_USED,       /* a request's */
    SLOT_DRAINING,   /* nobody's: results, cancel, rollback on their way */
    SLOT_STATES
};

struct pool;

struct pg_slot {
    struct pg_conn conn;
    struct list link;
    struct pool *pool;
    enum slot_state state;
    enum pg_login login;
    unsigned epoch;   /* of the pool when it was connected */
    int64_t since_us; /* idle since */
    int64_t connected_us;
    struct fiber *waiter;     /* parked until the flush has ended */
    struct pg_cancel *cancel; /* on its way */
    struct timer drain_limit;
    bool rejoined; /* the drain's own Sync has been sent */
    /* the request's queue, valid while it holds the slot */
    unsigned queued;
    struct pg_conn_item queue[PG_TX_STATEMENTS_MAX];
    bool nul, oversize, writes;
    size_t argument_bytes;
};

/* From a fiber. e: 503 "database_busy", 503 "database_unavailable", 499 "client_gone". */
MUST_CHECK bool pg_pool_take(enum pg_login login, struct pg_slot **out, struct err *e);
/* Back to the pool, in whatever state its transaction is; no flush may be under way. Never waits. */
void pg_pool_give(struct pg_slot *s);
/* Back with a flush under way: cancelled, drained, rolled back by the pool. Never waits. */
void pg_pool_abandon(struct pg_slot *s);

/*
 * Behind a transaction pooler, where a session's settings would be another client's next: what a
 * connection otherwise sets at connect, as the first statement of each transaction. False: not needed.
 */
bool pg_pool_preamble(enum pg_login login, struct pg_conn_item *out);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to pg/: one connection in pipeline mode on a loop. A flush is a row of statements and one
 * Sync, sent at once; results are collected in callbacks until the Sync has come back, and stay here
 * (never in a request's memory) until somebody takes them or the next flush begins. Knows nothing of
 * pools, transactions or fibers. One loop's.
 */
#ifndef PG_PG_CONN_H
#define PG_PG_CONN_H

#include <libpq-fe.h>

#include "base/list.h"
#include "base/map.h"
#include "pg/pg_tx.h"
#include "runtime/fdwatch.h"

enum {
    /* a request's statements, and the pool's own: ROLLBACK, DEALLOCATE ALL, BEGIN, settings, SET CONSTRAINTS, COMMIT */
    PG_CONN_ITEMS_MAX = PG_TX_STATEMENTS_MAX + 6,
    PG_CONN_PREPARED_MAX = 200,          /* a connection; each costs the server 10 to 100 KiB */
    PG_CONN_RESULT_BYTES_MAX = 64 << 20, /* of one flush; beyond it the connection is given up */
};

enum { PG_CONN_VERDICTS = 64 };

/* One statement of a flush; values are read only during pg_conn_send. */
struct pg_conn_item {
    const struct pg_sql *sql;
    const char *const *values; /* NUL-terminated, NULL: null */
    uint64_t role; /* part of the prepared statement's key: a role change replans under RLS */
};

enum pg_conn_op_kind { PG_CONN_PREPARE, PG_CONN_DEALLOCATE, PG_CONN_EXECUTE, PG_CONN_SYNC };

/* What was sent, in order; one or two results of libpq each. */
struct pg_conn_op {
    enum pg_conn_op_kind kind;
    unsigned item;
    struct pg_prepared *entry; /* of PREPARE and DEALLOCATE */
};

struct pg_conn {
    PGconn *pg; /* NULL: closed */
    struct fdwatch *watch;
    void (*on_end)(
        struct pg_conn *); /* a flush has ended, or an idle connection has broken; in a callback */
    void (*on_notify)(struct pg_conn *,
                      const PGnotify *); /* NULL: dropped; set after pg_conn_attach */
    bool prepare;
    /* the flush under way or the last one */
    bool busy, writing;
    bool complete;  /* its Sync came back */
    bool lost;      /* broken: only pg_conn_close is left */
    bool too_large; /* lost on purpose: the result was over its bound */
    bool op_answered;
    unsigned op_at, op_count, item_count;
    struct pg_conn_op ops[3 * PG_CONN_ITEMS_MAX + 1];
    PGresult *results[PG_CONN_ITEMS_MAX]; /* of the items that succeeded */
    PGresult *error;                      /* the first one */
    int error_item;                       /* the item it belongs to; item_count: the Sync */
    size_t result_bytes;                  /* of complete results */
    size_t resident_bytes;                /* of the process when a long answer began */
    unsigned reads;
    /* prepared statements */
    struct map prepared;
    struct list recent; /* most recently used first */
    struct list doomed; /* to be deallocated */
    unsigned prepared_count, next_name;
    struct {
        const struct pg_sql *sql;
        bool writes;
    } verdicts[PG_CONN_VERDICTS];
};

/* Takes pg over on this loop; it must be idle. False: could not be switched to pipeline mode (pg is then closed). */
bool pg_conn_attach(struct pg_conn *c, PGconn *pg, bool prepare, void (*on_end)(struct pg_conn *));
/* Closes at once, drops results and caches; safe when closed. */
void pg_conn_close(struct pg_conn *c);
/* As pg_conn_close when the loop is gone already. */
void pg_conn_close_late(struct pg_conn *c);

/*
 * Sends all items and a Sync (n may be 0) without waiting; on_end follows in a callback. False: the
 * connection is broken, no on_end comes. Not while busy.
 */
bool pg_conn_send(struct pg_conn *c, const struct pg_conn_item *items, unsigned n);
/* The i-th item's result, now the caller's; NULL when it has none. */
PGresult *pg_conn_take(struct pg_conn *c, unsigned i);
void pg_conn_drop_results(struct pg_conn *c);
/* Forgets every prepared statement; the caller sends DEALLOCATE ALL first in the next flush. */
void pg_conn_forget(struct pg_conn *c);
/* Not busy: 'I' idle, 'T' in a transaction, 'E' in a failed one, '?' broken. */
char pg_conn_transaction(const struct pg_conn *c);
/*
 * The statement may leave a deferred constraint behind: anything but a SELECT that calls only pure
 * functions of PostgreSQL. Reading the text costs 1 µs, so that the verdict is remembered by address.
 */
bool pg_conn_writes(struct pg_conn *c, const struct pg_sql *sql);

#endif

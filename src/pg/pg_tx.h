/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One use of one connection by a request, in as few flushes as the rules allow. Everything is
 * pipelined: statements are queued, a flush sends them with one Sync and parks the fiber until
 * every result is in. All parameters and results are text.
 *
 *   One flush, one implicit transaction:
 *       CLEANUP(pg_tx_end) struct pg_tx tx = {0};
 *       if (!pg_tx_single(&tx, req->pg, PG_LOGIN_AUTH, e)) return false;
 *       pg_tx_add(&tx, &user_by_id_sql, PG_ARGS(id));
 *       if (!pg_tx_commit(&tx, e)) return false;
 *       const struct pg_result *r = pg_tx_result(&tx, 0);
 *   Several flushes: pg_tx_begin, then pg_tx_add… pg_tx_flush (results of that flush), …, pg_tx_commit.
 *
 * The slot goes back to its pool when commit has returned, results stay until pg_tx_end.
 */
#ifndef PG_TX_H
#define PG_TX_H

#include "base/arena.h"
#include "base/err.h"
#include "pg/pg_pool.h"
#include "pg/pg_row.h"
#include "pg/pg_sql.h"

struct pg_slot;

/* A request's one place for a connection; zero-initialised but for arena. Taking a second slot is a BUG(). */
struct pg_client {
    struct arena *arena;
    struct pg_tx *open;
    int64_t wait_us, query_us; /* spent waiting for a slot / for results, for Server-Timing */
};

enum { PG_TX_STATEMENTS_MAX = 24 }; /* queued in one flush, the pool's own not counted */

/* What PostgreSQL said about a failed statement; strings in the client's arena, absent when not given. */
struct pg_error {
    struct str sqlstate, message, detail, hint, schema, table, column, constraint, context;
    int statement; /* index in its flush of the statement that failed; count of statements when SET CONSTRAINTS or COMMIT failed; -1: connection */
};

struct pg_tx {
    struct pg_client *client;
    struct pg_slot *slot;
    enum pg_login login;
    bool begun, flushed, done;
    bool read_only; /* see pg_tx_read_only */
    unsigned count;
    uint64_t role; /* see pg_tx_role */
    struct pg_result *results[PG_TX_STATEMENTS_MAX];
    struct pg_result *kept; /* of earlier flushes, freed in pg_tx_end */
    struct pg_error error;
};

/* Takes a slot (waits at most the fiber's deadline: 503 "database_busy" with Retry-After; 503
 * "database_unavailable" while none can connect) for one flush. */
MUST_CHECK bool pg_tx_single(struct pg_tx *tx, struct pg_client *c, enum pg_login login,
                             struct err *e);
/* As above with BEGIN queued (READ COMMITTED), no round trip of its own. */
MUST_CHECK bool pg_tx_begin(struct pg_tx *tx, struct pg_client *c, enum pg_login login,
                            struct err *e);

#define PG_ARGS(...)                   \
    (const struct str[]){__VA_ARGS__}, \
        sizeof((const struct str[]){__VA_ARGS__}) / sizeof(struct str)
#define PG_NO_ARGS NULL, 0
/*
 * Queues; arguments are copied now, absent ones are null. Count must equal the statement's (BUG). sql
 * lives as long as the process: connections know what they have prepared by its address.
 */
void pg_tx_add(struct pg_tx *tx, const struct pg_sql *sql, const struct str *args, size_t n);

/*
 * The statements queued from here on run under that role: each is prepared once per role, since
 * PostgreSQL plans anew when the role changes under row level security. The switch itself is a
 * statement of the caller's (set_config('role', $1, true)). The absent str: the login's own.
 */
void pg_tx_role(struct pg_tx *tx, struct str role);
/*
 * Promises that nothing queued can leave a deferred constraint behind. Without it everything but a
 * SELECT that calls only pure functions of PostgreSQL counts as writing: its last flush is wrapped
 * in BEGIN, SET CONSTRAINTS ALL IMMEDIATE and COMMIT (+6 µs; without BEGIN the server would log a warning each).
 */
void pg_tx_read_only(struct pg_tx *tx);

/* Numbers and times as arguments, printed into the client's arena. */
struct str pg_tx_i64(struct pg_tx *tx, int64_t v);
struct str pg_tx_bool(bool v);
struct str pg_tx_time(struct pg_tx *tx, int64_t wall_us); /* 0: null */

/*
 * Sends what is queued and waits for its results; only after pg_tx_begin. Errors: 500
 * "database_error" with sqlstate (tx->error filled, the transaction is rolled back and over); 504
 * "request_timeout" (57014, or late after the flush had left: the outcome is then unknown); 503 "database_unavailable"
 * (connection lost, 57P0x, 08xxx); 507? no: 53100 is 503 "database_full".
 * 40001 and 40P01 are 409 "conflict" for the caller to repeat, and so is a statement whose plan a
 * migration has just made stale in the middle of a transaction (in its first flush it is repeated here).
 * 400 "validation_failed" for an argument with a NUL in it, 413 "payload_too_large" for arguments over
 * 256 MiB or the arena's budget, 500 "result_too_large" for results over 64 MiB.
 * After an error the transaction is over and the slot is on its way back; only pg_tx_end is left.
 */
MUST_CHECK bool pg_tx_flush(struct pg_tx *tx, struct err *e);
/*
 * The last flush: queued statements, SET CONSTRAINTS ALL IMMEDIATE when something was written,
 * COMMIT or the Sync. True only when PostgreSQL has acknowledged it. 503 "outcome_unknown" when the
 * connection broke while a writing flush was out: it has happened whole or not at all.
 */
MUST_CHECK bool pg_tx_commit(struct pg_tx *tx, struct err *e);
/* Result of the index-th statement of the last flush. */
const struct pg_result *pg_tx_result(const struct pg_tx *tx, unsigned index);
/* For CLEANUP: rolls back what was not committed (marks, never waits), frees results. */
void pg_tx_end(struct pg_tx *tx);

#endif

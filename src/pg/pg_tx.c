/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/pg_tx.h"

#include "base/clock.h"
#include "ops/metrics.h"
#include "pg/pg_error.h"
#include "pg/pg_result.h"
#include "pg/pg_slot.h"

enum {
    ARGUMENT_BYTES_MAX = 256 << 20, /* of one flush; libpq's message lengths are int */
    ARGUMENTS_MAX = 64,
};

static const struct pg_sql begin_sql = {.name = "begin", .text = "begin"};
static const struct pg_sql commit_sql = {.name = "commit", .text = "commit"};
static const struct pg_sql rollback_sql = {.name = "rollback", .text = "rollback"};
static const struct pg_sql deallocate_sql = {.name = "deallocate", .text = "deallocate all"};
/* Deferred triggers run under statement_timeout and fail as a statement of their own. */
static const struct pg_sql constraints_sql = {.name = "constraints",
                                              .text = "set constraints all immediate"};

/* What goes out at once, and where the request's own statements are in it. */
struct flush {
    struct pg_conn_item items[PG_CONN_ITEMS_MAX];
    unsigned n, first;
    bool last, commits; /* commits: the last flush of something that writes */
};

/* ---- beginning and ending ---------------------------------------------------------------- */

static bool start(struct pg_tx *tx, struct pg_client *c, enum pg_login login, bool begun,
                  struct err *e)
{
    BUG(c->open || tx->slot);
    int64_t before = clock_mono_us();
    bool ok = pg_pool_take(login, &tx->slot, e);
    int64_t waited = clock_mono_us() - before;
    c->wait_us += waited;
    metrics_observe_us(METRIC_pg_pool_wait, 0, waited);
    if (!ok) {
        tx->slot = NULL;
        metrics_add(METRIC_pg_errors, pg_error_class(e), 1);
        return false;
    }
    tx->client = c;
    tx->login = login;
    tx->begun = begun;
    c->open = tx;
    return true;
}

bool pg_tx_single(struct pg_tx *tx, struct pg_client *c, enum pg_login login, struct err *e)
{
    return start(tx, c, login, false, e);
}

bool pg_tx_begin(struct pg_tx *tx, struct pg_client *c, enum pg_login login, struct err *e)
{
    return start(tx, c, login, true, e);
}

static void leave(struct pg_tx *tx)
{
    tx->slot = NULL;
    tx->done = true;
    tx->client->open = NULL;
}

void pg_tx_end(struct pg_tx *tx)
{
    if (tx->slot) {
        pg_pool_give(tx->slot);
        leave(tx);
    }
    for (struct pg_result *r = tx->kept; r; r = r->next) {
        PQclear(r->pg);
        r->pg = NULL;
    }
    tx->kept = NULL;
}

/* ---- queueing ---------------------------------------------------------------------------- */

static const char *copy_argument(struct pg_tx *tx, struct str s)
{
    struct pg_slot *slot = tx->slot;
    if (!s.p)
        return NULL;
    slot->argument_bytes += s.n;
    if (s.n > ARGUMENT_BYTES_MAX || slot->argument_bytes > ARGUMENT_BYTES_MAX) {
        slot->oversize = true;
        return NULL;
    }
    slot->nul = slot->nul || (s.n && memchr(s.p, 0, s.n));
    const char *copy = arena_cstr(tx->client->arena, s);
    slot->oversize = slot->oversize || !copy;
    return copy;
}

void pg_tx_add(struct pg_tx *tx, const struct pg_sql *sql, const struct str *args, size_t n)
{
    BUG(!tx->slot || tx->count >= PG_TX_STATEMENTS_MAX);
    BUG(n != (size_t)sql->params || n > ARGUMENTS_MAX);
    struct pg_slot *slot = tx->slot;
    const char **values = n ? arena_new(tx->client->arena, const char *, n) : NULL;
    for (size_t i = 0; i < n; i++)
        values[i] = copy_argument(tx, args[i]);
    slot->queue[tx->count++] =
        (struct pg_conn_item){.sql = sql, .values = values, .role = tx->role};
    slot->writes = slot->writes || (!tx->read_only && pg_conn_writes(&slot->conn, sql));
}

void pg_tx_role(struct pg_tx *tx, struct str role)
{
    tx->role = role.p ? map_hash(role) : 0;
}

void pg_tx_read_only(struct pg_tx *tx)
{
    tx->read_only = true;
}

struct str pg_tx_i64(struct pg_tx *tx, int64_t v)
{
    return arena_printf(tx->client->arena, "%lld", (long long)v);
}

struct str pg_tx_bool(bool v)
{
    return v ? S("true") : S("false");
}

struct str pg_tx_time(struct pg_tx *tx, int64_t wall_us)
{
    char text[28];
    if (wall_us == 0)
        return (struct str){0};
    clock_rfc3339(wall_us, text);
    return arena_printf(tx->client->arena, "%s", text);
}

/* ---- one flush --------------------------------------------------------------------------- */

static void put(struct flush *f, const struct pg_sql *sql)
{
    f->items[f->n++] = (struct pg_conn_item){.sql = sql};
}

static void compose(struct flush *f, const struct pg_tx *tx, bool last, bool afresh)
{
    const struct pg_slot *slot = tx->slot;
    f->n = 0;
    f->last = last;
    f->commits = last && slot->writes;
    if (afresh && pg_conn_transaction(&slot->conn) != 'I')
        put(f, &rollback_sql);
    if (afresh)
        put(f, &deallocate_sql);
    if (!tx->flushed && (tx->begun || f->commits))
        put(f, &begin_sql);
    if (!tx->flushed && pg_pool_preamble(tx->login, &f->items[f->n]))
        f->n++;
    f->first = f->n;
    for (unsigned i = 0; i < tx->count; i++)
        f->items[f->n++] = slot->queue[i];
    if (f->commits)
        put(f, &constraints_sql);
    if (last && (tx->begun || f->commits))
        put(f, &commit_sql);
}

static bool arguments_ok(const struct pg_tx *tx, struct err *e)
{
    if (tx->slot->nul)
        return err_set(e, 400, "validation_failed", "a value contains a NUL character");
    if (tx->slot->oversize)
        return err_set(e, 413, "payload_too_large", "the request is too large");
    return true;
}

/* In time? Nothing has left yet, so that nothing is unknown either. */
static bool still_wanted(struct err *e)
{
    if (fiber_cancelled())
        return fiber_fail(FIBER_GONE, e);
    return fiber_time_left_us() > 0 || fiber_fail(FIBER_LATE, e);
}

static bool gave_up(const struct flush *f, enum fiber_result r, struct err *e)
{
    fiber_fail(r, e);
    if (r == FIBER_LATE && f->commits)
        err_set(e, 504, "request_timeout",
                "the request took too long; it may still have taken effect");
    return err_detail(e, "%s while PostgreSQL was working on %s",
                      r == FIBER_LATE ? "deadline" : "client left",
                      f->n > f->first ? f->items[f->first].sql->name : "a transaction");
}

/* Sends and parks until the Sync is back. False: gave up, the pool has the slot. */
static bool exchange(struct pg_tx *tx, const struct flush *f, struct err *e)
{
    struct pg_slot *slot = tx->slot;
    enum fiber_result r = FIBER_WOKEN;
    slot->waiter = fiber_current();
    if (!pg_conn_send(&slot->conn, f->items, f->n))
        return true; /* lost, which judge() finds */
    while (slot->conn.busy && r == FIBER_WOKEN)
        r = fiber_park(FIBER_NEVER);
    slot->waiter = NULL;
    if (!slot->conn.busy)
        return true;
    pg_pool_abandon(slot);
    leave(tx);
    return gave_up(f, r, e);
}

static void note_statement(struct pg_tx *tx, const struct flush *f, int item)
{
    int at = item - (int)f->first;
    tx->error.statement = at < 0 ? -1 : at < (int)tx->count ? at : (int)tx->count;
}

static bool outcome_unknown(struct err *e)
{
    char detail[sizeof e->detail];
    memcpy(detail, e->detail, sizeof detail);
    err_set(
        e, 503, "outcome_unknown",
        "the connection broke while the change was being saved; it is safe to repeat the request");
    e->retry_after_s = 1;
    return err_detail(e, "%s", detail);
}

/* The connection broke. Whether the change happened is open unless a statement before COMMIT failed. */
static bool judge_lost(struct pg_tx *tx, const struct flush *f, struct err *e)
{
    struct pg_conn *c = &tx->slot->conn;
    tx->error.statement = -1;
    if (c->too_large) {
        err_set(e, 500, "result_too_large", "the result is too large");
        return err_detail(e, "more than %d MiB", PG_CONN_RESULT_BYTES_MAX >> 20);
    }
    bool said_why = c->error && PQresultErrorField(c->error, PG_DIAG_SQLSTATE);
    if (c->error)
        pg_error_set(e, c->error);
    else
        pg_error_connection(e, "server closed the connection");
    if (said_why)
        pg_error_read(&tx->error, c->error, tx->client->arena);
    bool before_commit = said_why && c->error_item < (int)(f->n - 1);
    return f->commits && !before_commit ? outcome_unknown(e) : false;
}

static bool judge_error(struct pg_tx *tx, const struct flush *f, struct err *e)
{
    struct pg_conn *c = &tx->slot->conn;
    pg_error_read(&tx->error, c->error, tx->client->arena);
    note_statement(tx, f, c->error_item);
    pg_error_set(e, c->error);
    if (pg_error_is_stale_plan(c->error)) {
        e->status = 409;
        e->code = "conflict";
        pg_conn_forget(c);
        c->lost = true; /* what it has prepared is not known any more */
    }
    if (pg_error_ends_session(e->sqlstate))
        c->lost = true;
    return false;
}

/* COMMIT of a transaction that has failed answers ROLLBACK without an error. */
static bool committed(struct pg_tx *tx, const struct flush *f, struct err *e)
{
    if (!f->last || f->n == 0 || f->items[f->n - 1].sql != &commit_sql)
        return true;
    const PGresult *r = tx->slot->conn.results[f->n - 1];
    if (r && strcmp(PQcmdStatus((PGresult *)(uintptr_t)r), "COMMIT") == 0)
        return true;
    return err_set(e, 500, "database_error", "the database could not do the request");
}

static bool judge(struct pg_tx *tx, const struct flush *f, struct err *e)
{
    const struct pg_conn *c = &tx->slot->conn;
    if (!c->complete)
        return judge_lost(tx, f, e);
    if (c->error)
        return judge_error(tx, f, e);
    return committed(tx, f, e);
}

static void take_results(struct pg_tx *tx, const struct flush *f)
{
    for (unsigned i = 0; i < PG_TX_STATEMENTS_MAX; i++)
        tx->results[i] = NULL;
    for (unsigned i = 0; i < tx->count; i++) {
        struct pg_result *r = arena_new(tx->client->arena, struct pg_result, 1);
        *r =
            (struct pg_result){.pg = pg_conn_take(&tx->slot->conn, f->first + i), .next = tx->kept};
        tx->results[i] = tx->kept = r;
    }
    tx->count = 0;
    tx->slot->nul = tx->slot->oversize = false;
    tx->slot->argument_bytes = 0;
}

static bool stale(const struct pg_tx *tx)
{
    const struct pg_conn *c = &tx->slot->conn;
    return !tx->flushed && c->complete && !c->lost && c->error && pg_error_is_stale_plan(c->error);
}

/* False with the slot still ours or already the pool's (tx->slot is NULL then). */
static bool run(struct pg_tx *tx, bool last, struct err *e)
{
    struct flush f;
    if (!arguments_ok(tx, e) || !still_wanted(e))
        return false;
    compose(&f, tx, last, false);
    if (!exchange(tx, &f, e))
        return false;
    if (stale(tx)) {
        pg_conn_forget(&tx->slot->conn);
        compose(&f, tx, last, true);
        if (!exchange(tx, &f, e))
            return false;
    }
    if (!judge(tx, &f, e))
        return false;
    tx->flushed = true;
    take_results(tx, &f);
    return true;
}

static bool finish(struct pg_tx *tx, bool last, struct err *e)
{
    BUG(!tx->slot || tx->done);
    tx->error = (struct pg_error){0};
    struct pg_client *client = tx->client;
    int64_t before = clock_mono_us();
    bool ok = run(tx, last, e);
    int64_t took = clock_mono_us() - before;
    client->query_us += took;
    metrics_observe_us(METRIC_pg_query_duration, 0, took);
    if (!ok)
        metrics_add(METRIC_pg_errors, pg_error_class(e), 1);
    if (tx->slot && (last || !ok)) {
        pg_pool_give(tx->slot);
        leave(tx);
    }
    return ok;
}

bool pg_tx_flush(struct pg_tx *tx, struct err *e)
{
    BUG(!tx->begun);
    return finish(tx, false, e);
}

bool pg_tx_commit(struct pg_tx *tx, struct err *e)
{
    return finish(tx, true, e);
}

const struct pg_result *pg_tx_result(const struct pg_tx *tx, unsigned index)
{
    BUG(index >= PG_TX_STATEMENTS_MAX || !tx->results[index]);
    return tx->results[index];
}

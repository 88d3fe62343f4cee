/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/pg_pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/rand.h"
#include "ops/metrics.h"
#include "pg/pg_error.h"
#include "pg/pg_slot.h"
#include "runtime/loop.h"

enum {
    WAITING_MAX = 1024,              /* a loop; more could not be served within a deadline */
    IDLE_KEPT = 2,                   /* connections a loop keeps however long they are idle */
    IDLE_MAX_US = 300 * 1000 * 1000, /* the others */
    IDLE_TICK_US = 30 * 1000 * 1000,
    DRAIN_MAX_US = 5 * 1000 * 1000, /* an abandoned flush that takes longer costs its connection */
    SHORT_LIFE_US = 1000 * 1000,    /* a connection lost this young counts as a failed attempt */
    REASON_MAX = 200,
};

struct login_state {
    struct list idle;
    unsigned live, connecting; /* live: idle, used and draining */
    unsigned failures;         /* attempts in a row */
    int64_t retry_at_us;       /* no attempt before it */
};

/* A loop's share. Touched by that loop alone, but for the atomics. */
struct pool {
    struct pg_slot *slots;
    unsigned size;
    struct list lists[SLOT_STATES]; /* of SLOT_IDLE unused: see login_state */
    struct login_state logins[PG_LOGIN_COUNT];
    struct list waiters;
    unsigned epoch; /* bumped by pg_pool_reset */
    bool closing;
    char reason[REASON_MAX]; /* of the last failed attempt */
    struct timer retry, idle_tick;
    _Atomic unsigned in_state[SLOT_STATES], waiting;
    _Atomic uint64_t timeouts, connects, connect_failures, cancels;
} __attribute__((aligned(64)));

struct waiter {
    struct list link;
    struct fiber *fiber;
    enum pg_login login;
    struct pg_slot *slot; /* handed over by serve() */
    bool refused;         /* nothing can be had: fail now */
};

/* Written by open_all before the loops run and by close_all after them. */
static struct pg_pool_config config;
static struct pool *pools;
static char statement_timeout_ms[24], idle_timeout_ms[24];
static const char *preamble_values[PG_LOGIN_COUNT][3];

/* What /readyz says: the last outcome of all loops. */
static pthread_mutex_t health_lock = PTHREAD_MUTEX_INITIALIZER;
static bool unhealthy;
static char unhealthy_reason[REASON_MAX];

static void serve(struct pool *p);
static void connect_slot(struct pg_slot *s, enum pg_login login);
static void probe(struct pool *p);

static void count(_Atomic unsigned *counter, int by)
{
    atomic_fetch_add_explicit(counter, (unsigned)by, memory_order_relaxed);
}

static void count_event(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static bool is_live(enum slot_state s)
{
    return s == SLOT_IDLE || s == SLOT_USED || s == SLOT_DRAINING;
}

/* The only place where a slot changes its state. Idle and free lists are stacks. */
static void move(struct pg_slot *s, enum slot_state to)
{
    struct pool *p = s->pool;
    struct login_state *l = &p->logins[s->login];
    list_remove(&s->link);
    count(&p->in_state[s->state], -1);
    l->live -= is_live(s->state);
    l->connecting -= s->state == SLOT_CONNECTING;
    s->state = to;
    s->since_us = loop_now_us();
    l->live += is_live(to);
    l->connecting += to == SLOT_CONNECTING;
    count(&p->in_state[to], 1);
    list_push_front(to == SLOT_IDLE ? &l->idle : &p->lists[to], &s->link);
}

/* ---- health ------------------------------------------------------------------------------ */

static void set_health(const char *reason)
{
    pthread_mutex_lock(&health_lock);
    unhealthy = reason != NULL;
    snprintf(unhealthy_reason, sizeof unhealthy_reason, "%s", reason ? reason : "");
    pthread_mutex_unlock(&health_lock);
}

bool pg_pool_ready(struct err *e)
{
    char reason[REASON_MAX];
    pthread_mutex_lock(&health_lock);
    bool ready = !unhealthy;
    memcpy(reason, unhealthy_reason, sizeof reason);
    pthread_mutex_unlock(&health_lock);
    if (ready)
        return true;
    err_set(e, 503, "database_unavailable", "no connection to PostgreSQL: %.120s", reason);
    e->retry_after_s = 1;
    return err_detail(e, "%s", reason);
}

static unsigned all_live(const struct pool *p)
{
    unsigned n = 0;
    for (int i = 0; i < PG_LOGIN_COUNT; i++)
        n += p->logins[i].live;
    return n;
}

/*
 * Doubling from the minimum, with jitter of half, counted from the beginning of the attempt: one
 * that ran into its time limit has waited enough, and a server that was only stopped is found at once.
 */
static void note_failure(struct pool *p, enum pg_login login, int64_t began_us, const char *reason)
{
    struct login_state *l = &p->logins[login];
    unsigned doublings = l->failures < 16 ? l->failures : 16;
    int64_t wait = config.reconnect_min_us << doublings;
    if (wait > config.reconnect_max_us)
        wait = config.reconnect_max_us;
    wait = wait / 2 + rand_below((uint32_t)(wait / 2) + 1);
    l->failures++;
    l->retry_at_us = began_us + wait;
    count_event(&p->connect_failures);
    metrics_add(METRIC_pg_connects, 1, 1);
    snprintf(p->reason, sizeof p->reason, "%s", reason);
    if (all_live(p) == 0)
        set_health(reason);
}

/* ---- slots without a connection ---------------------------------------------------------- */

static void on_retry(struct timer *t)
{
    struct pool *p = LIST_ENTRY(t, struct pool, retry);
    probe(p);
    serve(p);
}

static bool backing_off(const struct login_state *l)
{
    return l->failures > 0 && (l->connecting > 0 || loop_now_us() < l->retry_at_us);
}

/* While a login that was in use cannot connect, one attempt after the other goes on without requests. */
static void probe(struct pool *p)
{
    int64_t next = 0;
    for (int i = 0; i < PG_LOGIN_COUNT && !p->closing; i++) {
        struct login_state *l = &p->logins[i];
        if (l->failures == 0 || l->live > 0 || l->connecting > 0)
            continue;
        if (backing_off(l))
            next = next && next < l->retry_at_us ? next : l->retry_at_us;
        else if (!list_empty(&p->lists[SLOT_FREE]))
            connect_slot(LIST_ENTRY(p->lists[SLOT_FREE].next, struct pg_slot, link),
                         (enum pg_login)i);
    }
    if (next)
        timer_arm(&p->retry, next, on_retry);
}

static void close_slot(struct pg_slot *s)
{
    timer_disarm(&s->drain_limit);
    if (s->cancel)
        pg_connect_cancel_forget(s->cancel);
    s->cancel = NULL;
    pg_conn_close(&s->conn);
    move(s, SLOT_FREE);
}

/* Its connection broke by itself; the last one of a login is looked after at once. */
static void lose_slot(struct pg_slot *s)
{
    struct pool *p = s->pool;
    enum pg_login login = s->login;
    int64_t lived_us = loop_now_us() - s->connected_us;
    close_slot(s);
    if (lived_us < SHORT_LIFE_US)
        note_failure(p, login, loop_now_us(), "the server ends connections at once");
    else if (list_empty(&p->waiters) && p->logins[login].live == 0
             && p->logins[login].connecting == 0 && !p->closing)
        connect_slot(s, login);
    probe(p);
    serve(p);
}

static void on_end(struct pg_conn *c);

static void connected(void *ctx, PGconn *pg, const char *reason)
{
    struct pg_slot *s = ctx;
    struct pool *p = s->pool;
    enum pg_login login = s->login;
    if (p->closing) {
        PQfinish(pg);
        move(s, SLOT_FREE);
        return;
    }
    if (pg && pg_conn_attach(&s->conn, pg, config.prepare, on_end)) {
        p->logins[login].failures = 0;
        s->connected_us = loop_now_us();
        s->epoch = p->epoch;
        count_event(&p->connects);
        metrics_add(METRIC_pg_connects, 0, 1);
        set_health(NULL);
        move(s, SLOT_IDLE);
    } else {
        int64_t began_us = s->since_us;
        move(s, SLOT_FREE);
        note_failure(p, login, began_us, pg ? "no pipeline mode" : reason);
        probe(p);
    }
    serve(p);
}

static struct pg_connect_spec spec_of(enum pg_login login)
{
    return (struct pg_connect_spec){.conninfo = config.conninfo[login],
                                    .set_role = config.set_role[login],
                                    .timeout_us = config.connect_timeout_us,
                                    .statement_timeout_us = config.statement_timeout_us,
                                    .per_transaction = !config.prepare};
}

static const struct pg_sql preamble_sql = {
    .name = "preamble",
    .text = "select set_config('statement_timeout', $1, true),"
            " set_config('idle_in_transaction_session_timeout', $2, true),"
            " set_config('datestyle', 'ISO, MDY', true),"
            " case when $3 is not null then set_config('role', $3, true) end",
    .params = 3,
    .columns = 4,
    .param_oids = (const unsigned[]){25, 25, 25},
};

static void preamble_init(void)
{
    int64_t ms = config.statement_timeout_us / CLOCK_MS;
    snprintf(statement_timeout_ms, sizeof statement_timeout_ms, "%lld", (long long)ms);
    snprintf(idle_timeout_ms, sizeof idle_timeout_ms, "%lld", (long long)(ms ? ms + 1000 : 0));
    for (int i = 0; i < PG_LOGIN_COUNT; i++) {
        preamble_values[i][0] = statement_timeout_ms;
        preamble_values[i][1] = idle_timeout_ms;
        preamble_values[i][2] = config.set_role[i];
    }
}

bool pg_pool_preamble(enum pg_login login, struct pg_conn_item *out)
{
    if (config.prepare)
        return false;
    *out = (struct pg_conn_item){.sql = &preamble_sql, .values = preamble_values[login]};
    return true;
}

static void connect_slot(struct pg_slot *s, enum pg_login login)
{
    struct pg_connect_spec spec = spec_of(login);
    if (s->state != SLOT_FREE)
        close_slot(s);
    s->login = login;
    move(s, SLOT_CONNECTING);
    if (pg_connect_start(&spec, connected, s))
        return;
    move(s, SLOT_FREE);
    note_failure(s->pool, login, loop_now_us(), "too many connections being opened");
}

/* ---- waiting ----------------------------------------------------------------------------- */

static struct pg_slot *pop_idle(struct login_state *l)
{
    struct list *first = l->idle.next;
    if (first == &l->idle)
        return NULL;
    struct pg_slot *s = LIST_ENTRY(first, struct pg_slot, link);
    move(s, SLOT_USED);
    return s;
}

/* The one idle longest, of any other login: its own has none. */
static struct pg_slot *oldest_idle(struct pool *p)
{
    struct pg_slot *oldest = NULL;
    for (int i = 0; i < PG_LOGIN_COUNT; i++) {
        struct list *last = p->logins[i].idle.prev;
        if (last == &p->logins[i].idle)
            continue;
        struct pg_slot *s = LIST_ENTRY(last, struct pg_slot, link);
        if (!oldest || s->since_us < oldest->since_us)
            oldest = s;
    }
    return oldest;
}

static void hand_over(struct pool *p, struct waiter *w, struct pg_slot *s)
{
    w->slot = s;
    w->refused = s == NULL;
    list_remove(&w->link);
    count(&p->waiting, -1);
    if (w->fiber != fiber_current()) /* which has not parked yet: the wake would end its next park */
        fiber_wake(w->fiber);
}

/* One waiter: a connection of its login, or one begun for it, or nothing. */
static void serve_one(struct pool *p, struct waiter *w, unsigned *claimed)
{
    struct login_state *l = &p->logins[w->login];
    struct pg_slot *s = pop_idle(l);
    if (s) {
        hand_over(p, w, s);
    } else if (*claimed < l->connecting) {
        (*claimed)++;
    } else if (backing_off(l)) {
        if (l->live == 0 && l->connecting == 0)
            hand_over(p, w, NULL);
    } else {
        s = list_empty(&p->lists[SLOT_FREE])
                ? oldest_idle(p)
                : LIST_ENTRY(p->lists[SLOT_FREE].next, struct pg_slot, link);
        if (!s)
            return;
        connect_slot(s, w->login);
        *claimed += l->connecting > *claimed;
    }
}

static bool nothing_to_give(const struct pool *p)
{
    if (!list_empty(&p->lists[SLOT_FREE]))
        return false;
    for (int i = 0; i < PG_LOGIN_COUNT; i++)
        if (!list_empty(&p->logins[i].idle) || p->logins[i].failures > 0)
            return false;
    return true;
}

/*
 * Called whenever a slot or an attempt has ended and when somebody begins to wait: in order of
 * arrival each gets a connection of its login, or one is opened for it, in the place of another
 * login's idle one if need be. Nobody overtakes within a login.
 */
static void serve(struct pool *p)
{
    unsigned claimed[PG_LOGIN_COUNT] = {0};
    LIST_EACH(it, &p->waiters)
    {
        struct waiter *w = LIST_ENTRY(it, struct waiter, link);
        if (nothing_to_give(p))
            return;
        serve_one(p, w, &claimed[w->login]);
    }
}

static bool busy(struct pool *p, struct err *e)
{
    count_event(&p->timeouts);
    metrics_add(METRIC_pg_pool_timeouts, 0, 1);
    err_set(e, 503, "database_busy", "the database is busy, try again");
    e->retry_after_s = 1;
    return false;
}

static bool wait_for_slot(struct pool *p, enum pg_login login, struct pg_slot **out, struct err *e)
{
    struct waiter w = {.fiber = fiber_current(), .login = login};
    enum fiber_result r = FIBER_WOKEN;
    if (atomic_load_explicit(&p->waiting, memory_order_relaxed) >= WAITING_MAX)
        return busy(p, e);
    list_push_back(&p->waiters, &w.link);
    count(&p->waiting, 1);
    serve(p);
    while (!w.slot && !w.refused && r == FIBER_WOKEN)
        r = fiber_park(FIBER_NEVER);
    if (list_linked(&w.link)) {
        list_remove(&w.link);
        count(&p->waiting, -1);
    }
    if (r == FIBER_WOKEN && w.slot) {
        *out = w.slot;
        return true;
    }
    if (w.slot)
        pg_pool_give(w.slot);
    if (w.refused)
        return pg_error_connection(e, p->reason);
    return r == FIBER_GONE ? fiber_fail(r, e) : busy(p, e);
}

static void begin_use(struct pg_slot *s)
{
    s->queued = 0;
    s->nul = s->oversize = s->writes = false;
    s->argument_bytes = 0;
}

static void on_idle_tick(struct timer *t);

bool pg_pool_take(enum pg_login login, struct pg_slot **out, struct err *e)
{
    struct pool *p = &pools[loop_index()];
    BUG(!fiber_current() || loop_index() >= config.loops || !config.conninfo[login]);
    if (p->closing)
        return pg_error_connection(e, "shutting down");
    if (!timer_armed(&p->idle_tick))
        timer_arm(&p->idle_tick, loop_now_us() + IDLE_TICK_US, on_idle_tick);
    *out = list_empty(&p->waiters) ? pop_idle(&p->logins[login]) : NULL;
    if (!*out && !wait_for_slot(p, login, out, e))
        return false;
    begin_use(*out);
    return true;
}

/* ---- giving back ------------------------------------------------------------------------- */

/* Clean and nobody's. */
static void make_idle(struct pg_slot *s)
{
    struct pool *p = s->pool;
    timer_disarm(&s->drain_limit);
    if (p->closing || s->epoch != p->epoch)
        close_slot(s);
    else
        move(s, SLOT_IDLE);
    serve(p);
}

static const struct pg_sql rollback_sql = {.name = "rollback", .text = "rollback"};

static void on_drain_limit(struct timer *t)
{
    struct pg_slot *s = LIST_ENTRY(t, struct pg_slot, drain_limit);
    struct pool *p = s->pool;
    close_slot(s);
    serve(p);
}

/*
 * One step towards clean: results, then the cancel's own end, then a Sync of ours (with ROLLBACK in
 * front inside a transaction). That Sync tells that a late cancel can hit nobody else's statement.
 */
static void drain(struct pg_slot *s)
{
    if (s->conn.lost) {
        lose_slot(s);
        return;
    }
    if (s->conn.busy)
        return;
    pg_conn_drop_results(&s->conn);
    if (s->cancel) {
        if (!pg_connect_cancel_skip(s->cancel))
            return; /* on_cancelled comes */
        s->cancel = NULL;
    }
    char state = pg_conn_transaction(&s->conn);
    if (state == 'I' && s->rejoined) {
        make_idle(s);
        return;
    }
    if (state == '?' || s->rejoined) {
        lose_slot(s);
        return;
    }
    s->rejoined = true;
    const struct pg_conn_item item = {.sql = &rollback_sql};
    if (!pg_conn_send(&s->conn, &item, state == 'I' ? 0 : 1))
        lose_slot(s);
}

static void begin_drain(struct pg_slot *s)
{
    s->waiter = NULL;
    s->rejoined = false;
    move(s, SLOT_DRAINING);
    timer_arm(&s->drain_limit, loop_now_us() + DRAIN_MAX_US, on_drain_limit);
}

static void on_cancelled(void *ctx)
{
    struct pg_slot *s = ctx;
    s->cancel = NULL;
    drain(s);
}

void pg_pool_abandon(struct pg_slot *s)
{
    struct pool *p = s->pool;
    BUG(s->state != SLOT_USED);
    begin_drain(s);
    if (s->conn.busy) {
        s->cancel = pg_connect_cancel(s->conn.pg, on_cancelled, s);
        count_event(&p->cancels);
        metrics_add(METRIC_pg_cancels, 0, 1);
    }
    if (s->conn.busy && !s->cancel) {
        close_slot(s);
        serve(p);
        return;
    }
    drain(s);
}

void pg_pool_give(struct pg_slot *s)
{
    BUG(s->state != SLOT_USED || s->conn.busy);
    s->waiter = NULL;
    pg_conn_drop_results(&s->conn);
    if (s->conn.too_large) {
        close_slot(s);
        serve(s->pool);
    } else if (s->conn.lost) {
        lose_slot(s);
    } else if (pg_conn_transaction(&s->conn) == 'I') {
        make_idle(s);
    } else {
        begin_drain(s);
        drain(s);
    }
}

static void on_end(struct pg_conn *c)
{
    struct pg_slot *s = LIST_ENTRY(c, struct pg_slot, conn);
    if (s->state == SLOT_DRAINING)
        drain(s);
    else if (s->state == SLOT_USED && s->waiter)
        fiber_wake(s->waiter);
    else if (s->state == SLOT_IDLE && c->lost)
        lose_slot(s);
}

/* ---- idle connections, reset ------------------------------------------------------------- */

static void on_idle_tick(struct timer *t)
{
    struct pool *p = LIST_ENTRY(t, struct pool, idle_tick);
    int64_t now = loop_now_us();
    struct pg_slot *s;
    while (all_live(p) > IDLE_KEPT && (s = oldest_idle(p)) && now - s->since_us > IDLE_MAX_US)
        close_slot(s);
    if (all_live(p) > IDLE_KEPT)
        timer_arm(t, now + IDLE_TICK_US, on_idle_tick);
}

static void close_idle(struct pool *p)
{
    for (int i = 0; i < PG_LOGIN_COUNT; i++)
        LIST_EACH(it, &p->logins[i].idle)
        {
            close_slot(LIST_ENTRY(it, struct pg_slot, link));
        }
}

static void reset(void *arg)
{
    struct pool *p = arg;
    if (p->closing)
        return;
    p->epoch++;
    for (int i = 0; i < PG_LOGIN_COUNT; i++) {
        struct login_state *l = &p->logins[i];
        bool wanted = l->failures > 0 || l->live > 0;
        l->retry_at_us = 0;
        l->failures = wanted ? 1 : 0; /* one attempt first; probe() makes it */
    }
    timer_disarm(&p->retry);
    close_idle(p);
    probe(p);
    serve(p);
}

void pg_pool_reset(void)
{
    for (unsigned i = 0; pools && i < config.loops; i++)
        loop_post(loop_at(i), reset, &pools[i]);
}

/* ---- opening and closing ----------------------------------------------------------------- */

/* One connection per login that differs, so that a wrong password is said before the first request. */
static bool try_logins(struct err *e)
{
    for (int i = 1; i < PG_LOGIN_COUNT; i++) {
        char reason[REASON_MAX] = "";
        struct pg_connect_spec spec = spec_of((enum pg_login)i);
        PGconn *pg = spec.conninfo ? pg_connect_now(&spec, reason, sizeof reason) : NULL;
        PQfinish(pg);
        if (spec.conninfo && !pg) {
            err_set(e, 503, "database_unavailable", "no connection to PostgreSQL: %.120s", reason);
            return err_detail(e, "%s", reason);
        }
    }
    return true;
}

static void config_copy(const struct pg_pool_config *c)
{
    config = *c;
    if (config.connect_timeout_us <= 0)
        config.connect_timeout_us = 5 * CLOCK_S;
    if (config.reconnect_min_us <= 0)
        config.reconnect_min_us = 100 * CLOCK_MS;
    if (config.reconnect_max_us < config.reconnect_min_us)
        config.reconnect_max_us = 50 * config.reconnect_min_us;
    for (int i = 0; i < PG_LOGIN_COUNT; i++) {
        config.conninfo[i] = c->conninfo[i] ? strdup(c->conninfo[i]) : NULL;
        config.set_role[i] = c->set_role[i] ? strdup(c->set_role[i]) : NULL;
    }
    preamble_init();
}

static void config_free(void)
{
    for (int i = 0; i < PG_LOGIN_COUNT; i++) {
        free((void *)(uintptr_t)config.conninfo[i]);
        free((void *)(uintptr_t)config.set_role[i]);
    }
    config = (struct pg_pool_config){0};
}

static void pool_init(struct pool *p, unsigned size)
{
    p->size = size;
    p->slots = calloc(size, sizeof *p->slots);
    BUG(!p->slots); /* out of memory at start */
    list_init(&p->waiters);
    for (int i = 0; i < SLOT_STATES; i++)
        list_init(&p->lists[i]);
    for (int i = 0; i < PG_LOGIN_COUNT; i++)
        list_init(&p->logins[i].idle);
    for (unsigned i = 0; i < size; i++) {
        p->slots[i].pool = p;
        list_push_back(&p->lists[SLOT_FREE], &p->slots[i].link);
    }
    atomic_init(&p->in_state[SLOT_FREE], size);
}

static int64_t gauge(void *which)
{
    struct pg_pool_stats s = pg_pool_stats();
    const unsigned values[] = {s.size, s.in_use, s.idle, s.waiting};
    return values[(intptr_t)which];
}

bool pg_pool_open_all(const struct pg_pool_config *c, struct err *e)
{
    BUG(pools || c->loops == 0);
    if (c->size < c->loops)
        return err_set(e, 500, "config", "a pool of %u connections cannot serve %u loops", c->size,
                       c->loops);
    config_copy(c);
    if (!try_logins(e) || !pg_connect_open(e)) {
        config_free();
        return false;
    }
    pools = aligned_alloc(64, c->loops * sizeof *pools);
    BUG(!pools);
    memset(pools, 0, c->loops * sizeof *pools);
    for (unsigned i = 0; i < c->loops; i++)
        pool_init(&pools[i], c->size / c->loops + (i < c->size % c->loops));
    set_health(NULL);
    metrics_gauge_fn(METRIC_pg_pool_size, 0, gauge, (void *)0);
    metrics_gauge_fn(METRIC_pg_pool_in_use, 0, gauge, (void *)1);
    metrics_gauge_fn(METRIC_pg_pool_idle, 0, gauge, (void *)2);
    metrics_gauge_fn(METRIC_pg_pool_waiting, 0, gauge, (void *)3);
    return true;
}

static void on_close_limit(struct timer *t)
{
    struct pool *p = LIST_ENTRY(t, struct pool, retry);
    for (unsigned i = 0; i < p->size; i++)
        if (p->slots[i].state == SLOT_DRAINING)
            close_slot(&p->slots[i]);
}

static _Atomic int close_timeout_ms;

static void begin_close(void *arg)
{
    struct pool *p = arg;
    if (p->closing)
        return;
    p->closing = true;
    timer_disarm(&p->idle_tick);
    close_idle(p);
    while (!list_empty(&p->waiters))
        hand_over(p, LIST_ENTRY(p->waiters.next, struct waiter, link), NULL);
    /* requests in flight end by their own deadlines; what they left behind has this long */
    timer_arm(&p->retry, loop_now_us() + close_timeout_ms * CLOCK_MS, on_close_limit);
}

void pg_pool_close_all(int timeout_ms)
{
    if (!pools)
        return;
    if (loop_current()) {
        close_timeout_ms = timeout_ms;
        pg_connect_stop();
        for (unsigned i = 0; i < config.loops; i++)
            loop_post(loop_at(i), begin_close, &pools[i]);
        return;
    }
    bool joined = pg_connect_close(timeout_ms);
    for (unsigned i = 0; i < config.loops; i++) {
        for (unsigned k = 0; k < pools[i].size; k++) {
            struct pg_slot *s = &pools[i].slots[k];
            if (s->cancel) /* still drained when the loops went */
                pg_connect_cancel_forget(s->cancel);
            pg_conn_close_late(&s->conn);
        }
        free(pools[i].slots);
    }
    free(pools);
    pools = NULL;
    if (joined)
        config_free();
}

struct pg_pool_stats pg_pool_stats(void)
{
    struct pg_pool_stats s = {0};
    for (unsigned i = 0; pools && i < config.loops; i++) {
        struct pool *p = &pools[i];
        s.size += p->size;
        s.in_use += p->in_state[SLOT_USED] + p->in_state[SLOT_DRAINING];
        s.idle += p->in_state[SLOT_IDLE];
        s.waiting += p->waiting;
        s.timeouts += p->timeouts;
        s.connects += p->connects;
        s.connect_failures += p->connect_failures;
        s.cancels += p->cancels;
    }
    return s;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/pg_notify.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/rand.h"
#include "pg/pg_conn.h"
#include "pg/pg_connect.h"
#include "runtime/loop.h"
#include "runtime/timer.h"

enum {
    CHANNELS_MAX = 16,
    CHANNEL_MAX = 63,           /* NAMEDATALEN - 1 */
    BEAT_US = 250 * 1000,       /* four within the second that cached users may be used */
    DEAF_US = 10 * 1000 * 1000, /* an answer this late: connect anew */
    CONNECT_US = 5 * 1000 * 1000,
    RETRY_MIN_US = 50 * 1000,
    RETRY_MAX_US = 1000 * 1000, /* caches are unused meanwhile: shorter than the pool's */
    PROOF_MS = 2000,
};

/* One a process; all of it loop 0's but heard_us. */
static struct {
    struct pg_notify_config config;
    char *conninfo;
    char beat_channel[CHANNEL_MAX + 1];
    char sql_text[CHANNELS_MAX + 2][2 * CHANNEL_MAX + 16];
    struct pg_sql sql[CHANNELS_MAX + 2]; /* LISTEN for each, then NOTIFY to itself */
    unsigned statements;
    struct pg_conn conn;
    struct timer beat, retry;
    int64_t began_us, sent_us;
    unsigned failures;
    bool connecting, listening, proven, closing;
    _Atomic int64_t heard_us;
} notify;

static void connect_now(void);

int64_t pg_notify_heard_us(void)
{
    return atomic_load_explicit(&notify.heard_us, memory_order_acquire);
}

/* ---- connecting -------------------------------------------------------------------------- */

static void on_retry(struct timer *t)
{
    (void)t;
    connect_now();
}

static void retry(void)
{
    int64_t wait = (int64_t)RETRY_MIN_US << (notify.failures < 8 ? notify.failures : 8);
    if (wait > RETRY_MAX_US)
        wait = RETRY_MAX_US;
    wait = wait / 2 + rand_below((uint32_t)(wait / 2) + 1);
    notify.failures++;
    timer_disarm(&notify.beat);
    pg_conn_close(&notify.conn);
    if (!notify.closing)
        timer_arm(&notify.retry, notify.began_us + wait, on_retry);
}

static void on_beat(struct timer *t)
{
    int64_t now = loop_now_us();
    if (notify.conn.busy && now - notify.sent_us > DEAF_US) {
        retry();
        return;
    }
    timer_arm(t, now + BEAT_US, on_beat);
    if (notify.conn.busy)
        return;
    notify.sent_us =
        clock_mono_us(); /* not loop_now_us, which may be older than a commit just heard of */
    if (!pg_conn_send(&notify.conn, NULL, 0))
        retry();
}

static void on_end(struct pg_conn *c)
{
    if (c->lost || c->error) {
        retry();
        return;
    }
    if (!notify.listening) { /* only now is nothing missed any more */
        notify.listening = true;
        notify.config.on_reconnect(notify.config.ctx);
    }
    if (!notify.proven)
        return;
    notify.failures = 0;
    atomic_store_explicit(&notify.heard_us, notify.sent_us, memory_order_release);
}

static void on_notify(struct pg_conn *c, const PGnotify *n)
{
    (void)c;
    if (strcmp(n->relname, notify.beat_channel) == 0)
        notify.proven = true;
    else if (notify.listening) /* else on_reconnect is still to come and covers it */
        notify.config.on_message(notify.config.ctx, str_from(n->relname), str_from(n->extra));
}

static void listen_now(void)
{
    struct pg_conn_item items[CHANNELS_MAX + 2];
    for (unsigned i = 0; i < notify.statements; i++)
        items[i] = (struct pg_conn_item){.sql = &notify.sql[i]};
    notify.conn.on_notify = on_notify;
    notify.listening = notify.proven = false;
    notify.sent_us = clock_mono_us();
    if (pg_conn_send(&notify.conn, items, notify.statements))
        timer_arm(&notify.beat, loop_now_us() + BEAT_US, on_beat);
    else
        retry();
}

static void connected(void *ctx, PGconn *pg, const char *reason)
{
    (void)ctx;
    (void)reason; /* the pool says why, for the same server */
    notify.connecting = false;
    if (notify.closing)
        PQfinish(pg);
    else if (pg && pg_conn_attach(&notify.conn, pg, false, on_end))
        listen_now();
    else
        retry();
}

/* Sets nothing at connect: no statement of it runs long, and no times are read. */
static struct pg_connect_spec spec(void)
{
    return (struct pg_connect_spec){
        .conninfo = notify.conninfo, .timeout_us = CONNECT_US, .per_transaction = true};
}

static void connect_now(void)
{
    struct pg_connect_spec s = spec();
    notify.began_us = loop_now_us();
    notify.connecting = pg_connect_start(&s, connected, NULL);
    if (!notify.connecting)
        retry();
}

/* ---- the statements ---------------------------------------------------------------------- */

static void add_statement(const char *verb, const char *channel)
{
    char *out = notify.sql_text[notify.statements];
    size_t size = sizeof notify.sql_text[0];
    size_t n = (size_t)snprintf(out, size, "%s \"", verb);
    for (const char *p = channel; *p; p++) {
        if (*p == '"')
            out[n++] = '"';
        out[n++] = *p;
    }
    snprintf(out + n, size - n, "\"");
    notify.sql[notify.statements++] = (struct pg_sql){.name = verb, .text = out};
}

static void build_statements(const char *const *channels)
{
    unsigned char random[8];
    char text[2 * sizeof random + 1];
    rand_bytes(random, sizeof random);
    hex_encode(random, sizeof random, text);
    snprintf(notify.beat_channel, sizeof notify.beat_channel, "basalt_heartbeat_%s", text);
    notify.statements = 0;
    for (unsigned i = 0; channels[i]; i++) {
        BUG(i >= CHANNELS_MAX || strlen(channels[i]) > CHANNEL_MAX);
        add_statement("listen", channels[i]);
    }
    add_statement("listen", notify.beat_channel);
    add_statement("notify", notify.beat_channel);
}

/* ---- opening and closing ----------------------------------------------------------------- */

static bool run_all(PGconn *pg)
{
    bool ok = true;
    for (unsigned i = 0; ok && i < notify.statements; i++) {
        PGresult *r = PQexec(pg, notify.sql[i].text);
        ok = PQresultStatus(r) == PGRES_COMMAND_OK;
        PQclear(r);
    }
    return ok;
}

static bool heard_itself(PGconn *pg)
{
    int64_t until = clock_mono_us() + PROOF_MS * CLOCK_MS;
    for (int64_t left; (left = until - clock_mono_us()) > 0;) {
        PGnotify *n = PQnotifies(pg);
        bool ours = n && strcmp(n->relname, notify.beat_channel) == 0;
        PQfreemem(n);
        if (ours)
            return true;
        struct pollfd p = {.fd = PQsocket(pg), .events = POLLIN};
        if (!n && (poll(&p, 1, (int)(left / CLOCK_MS) + 1) < 0 || !PQconsumeInput(pg)))
            return false;
    }
    return false;
}

static bool prove(struct err *e)
{
    char reason[200] = "";
    struct pg_connect_spec s = spec();
    PGconn *pg = pg_connect_now(&s, reason, sizeof reason);
    if (!pg) {
        err_set(e, 503, "database_unavailable", "no connection to PostgreSQL: %.120s", reason);
        return err_detail(e, "%s", reason);
    }
    bool ok = run_all(pg) && heard_itself(pg);
    if (!ok) {
        err_set(
            e, 500, "notify_unavailable",
            "this database connection carries no notifications (a transaction pooler or a standby?)");
        err_detail(e, "%.*s", (int)strcspn(PQerrorMessage(pg), "\n"), PQerrorMessage(pg));
    }
    PQfinish(pg);
    return ok;
}

static void release(void)
{
    free(notify.conninfo);
    notify.conninfo = NULL;
}

bool pg_notify_open(const struct pg_notify_config *c, struct err *e)
{
    BUG(notify.conninfo);
    memset(&notify, 0, sizeof notify);
    notify.config = *c;
    notify.conninfo = strdup(c->conninfo);
    build_statements(c->channels);
    if (prove(e) && pg_connect_open(e))
        return true;
    release();
    return false;
}

static void begin(void *arg)
{
    (void)arg;
    connect_now();
}

void pg_notify_start(void)
{
    loop_post(loop_at(0), begin, NULL);
}

void pg_notify_close(void)
{
    if (!notify.conninfo)
        return;
    notify.closing = true;
    if (loop_current()) {
        timer_disarm(&notify.beat);
        timer_disarm(&notify.retry);
        pg_conn_close(&notify.conn);
        return;
    }
    pg_conn_close_late(&notify.conn);
    if (pg_connect_close(1000))
        release();
}

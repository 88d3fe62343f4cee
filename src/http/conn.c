/* SPDX-License-Identifier: Apache-2.0 */
#include "http/conn.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/secret.h"
#include "http/answer.h"
#include "http/intake.h"
#include "ops/metrics.h"
#include "runtime/loop.h"

enum {
    SPARE_MAX = 8, /* conn_work kept per loop: some 9 KiB each; answers that do not wait need one */
    USER_AGENT_MAX = 512,
    SERVED_PER_TURN = 32,       /* pipelined answers before others have their turn */
    PROBE_US = 1000 * 1000,     /* an answer that comes sooner is probe enough */
    LAST_LOOK_US = 1000,        /* one more turn, so that what the kernel holds is read */
    TLS_SEALED_MAX = 64 * 1024, /* cipher text written at once */
};

static void conn_close(struct conn *c, bool linger);
static void conn_run(void *arg);
static void end_busy(struct conn *c);
static void on_limit(struct timer *t);

static void count(_Atomic unsigned *n, int by)
{
    unsigned was = atomic_load_explicit(n, memory_order_relaxed); /* its loop is the only writer */
    atomic_store_explicit(n, was + (unsigned)by, memory_order_relaxed);
}

static void count_one(_Atomic uint64_t *n)
{
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static void count_timeout(const char *phase)
{
    metrics_add(METRIC_http_timeouts, metrics_label(METRIC_http_timeouts, str_from(phase)), 1);
}

/* ---- conn_work: one request's memory ---- */

static struct conn_work *work_take(struct conn_home *h)
{
    struct list *n = list_pop_front(&h->spare);
    if (n) {
        h->spare_count--;
        return LIST_ENTRY(n, struct conn_work, link);
    }
    struct conn_work *w = calloc(1, sizeof(*w));
    BUG(!w);
    arena_init(&w->arena, h->config->arena_budget_bytes);
    return w;
}

static void work_free(struct conn_work *w)
{
    arena_close(&w->arena);
    free(w);
}

static void work_give(struct conn_home *h, struct conn_work *w)
{
    if (h->spare_count == SPARE_MAX) {
        work_free(w);
        return;
    }
    list_push_front(&h->spare, &w->link);
    h->spare_count++;
}

/* ---- the input ---- */

struct str conn_pending(const struct conn *c)
{
    return str_of(c->in.p ? c->in.p + c->pos : "", c->in.n - c->pos);
}

void conn_consume(struct conn *c, size_t n)
{
    secret_wipe_bytes(c->in.p + c->pos, n); /* heads carry tokens; whoever needed them has a copy */
    c->pos += n;
    if (c->pos < c->in.n)
        return;
    c->in.n = c->pos = 0;
}

void conn_resume(struct conn *c)
{
    if (!c->paused)
        return;
    buf_consume(&c->in, c->pos);
    c->pos = 0;
    if (c->in.n >= CONN_INPUT_MAX)
        return;
    c->paused = false;
    sock_resume(c->sock);
}

/* ---- output ---- */

static bool write_plain(struct conn *c, const struct str *pieces, unsigned n, struct err *e)
{
    if (c->broken)
        return fiber_fail(FIBER_GONE, e);
    if (sock_write(c->sock, pieces, n, c->home->config->body_min_rate_bps, e))
        return true;
    if (e->status == 504)
        count_timeout("write");
    c->broken = true;
    return false;
}

/* tls_out is taken away while it is written: what the peer's input provokes queues behind it. */
static bool flush_tls(struct conn *c, struct err *e)
{
    struct buf sealed = c->tls_out;
    struct str view = buf_view(&sealed);
    buf_init(&c->tls_out, sealed.max_bytes);
    bool ok = sealed.n == 0 || write_plain(c, &view, 1, e);
    buf_free(&sealed);
    return ok;
}

static bool write_sealed(struct conn *c, struct str plain, struct err *e)
{
    while (plain.n > 0) {
        struct str slice = str_of(plain.p, plain.n < TLS_SEALED_MAX ? plain.n : TLS_SEALED_MAX);
        plain = str_from_at(plain, slice.n);
        if (!tls_conn_seal(c->tls, slice, &c->tls_out, e)) {
            c->broken = true;
            return false;
        }
        if (c->tls_out.n >= TLS_SEALED_MAX && !flush_tls(c, e))
            return false;
    }
    return true;
}

bool conn_write(struct conn *c, const struct str *pieces, unsigned n, struct err *e)
{
    if (!c->tls)
        return write_plain(c, pieces, n, e);
    for (unsigned i = 0; i < n; i++)
        if (!write_sealed(c, pieces[i], e))
            return false;
    return flush_tls(c, e);
}

/* ---- time limits of an idle connection ---- */

/* The timer is moved only when it would be late: most requests do not touch it at all. */
static void set_limit(struct conn *c, int64_t at_us)
{
    if (at_us != c->limit_us) /* a dribbled head keeps its limit, and its last look */
        c->last_look = false;
    c->limit_us = at_us;
    if (!timer_armed(&c->timer) || c->timer.at_us > at_us)
        timer_arm(&c->timer, at_us, on_limit);
}

static void set_idle_limit(struct conn *c)
{
    int64_t at = loop_now_us() + c->home->config->idle_timeout_us;
    if (c->home->draining && at > c->home->drain_idle_until_us)
        at = c->home->drain_idle_until_us;
    set_limit(c, at);
}

/* ---- requests ---- */

static void begin_busy(struct conn *c, struct conn_work *w)
{
    c->work = w;
    list_remove(&c->link);
    list_push_back(&c->home->busy, &c->link);
    if (fiber_try_start(conn_run, c))
        return; /* c may be gone */
    arena_reset(&w->arena);
    end_busy(c);
    conn_close(c, false); /* no memory: fewer connections are the cure */
}

static void begin_malformed(struct conn_work *w)
{
    w->req.malformed = &w->malformed;
    w->head.chunked = w->head.expect_continue = w->head.keep_alive = false;
    w->head.content_length = -1;
}

/* The head's bytes move to the arena, so that the input buffer may move. */
static void own_head(struct conn *c, struct conn_work *w, size_t n)
{
    struct str bytes = str_of(conn_pending(c).p, n);
    char *copy = arena_alloc(&w->arena, n + 1);
    memcpy(copy, bytes.p, n);
    head_rebase(&w->head, bytes, copy);
    conn_consume(c, n);
    metrics_add(METRIC_http_request_bytes, 0, n);
}

static void fill_req(struct conn *c, struct conn_work *w)
{
    struct req *r = &w->req;
    const struct server_config *cfg = c->home->config;
    r->arena = &w->arena;
    r->conn = c;
    r->head = &w->head;
    r->method = w->head.method;
    r->path = w->head.path.p ? w->head.path : S("");
    r->query = w->head.query;
    r->surface = route_surface_of(r->path);
    r->client_ip = c->trusted ? proxy_client(c->home->proxies, &w->head, str_from(c->peer.ip))
                              : str_from(c->peer.ip);
    r->user_agent = head_get(&w->head, S("user-agent"));
    if (r->user_agent.n > USER_AGENT_MAX)
        r->user_agent.n = USER_AGENT_MAX;
    r->tls = c->tls || (c->trusted && proxy_https(&w->head));
    r->admin_listener = cfg->admin;
    r->draining = c->home->draining;
    r->start_us = c->head_begin_us;
    r->head_us = clock_mono_us();
    r->now_us = clock_wall_us();
}

/*
 * Looks for a whole head in what has come in. True: w holds a request, maybe a refused one.
 * False: more is needed.
 */
static bool take_request(struct conn *c, struct conn_work *w)
{
    size_t used = 0;
    struct str bytes = conn_pending(c);
    enum head_result r = head_parse(bytes, &c->scanned, &w->head, &used, &w->malformed);
    if (r == HEAD_MORE)
        return false;
    c->scanned = 0;
    memset(&w->req, 0, sizeof(w->req));
    own_head(c, w, r == HEAD_DONE ? used : bytes.n);
    if (r == HEAD_BAD)
        begin_malformed(w);
    fill_req(c, w);
    intake_begin(w);
    return true;
}

/* Idle, and bytes have come in. */
static void advance(struct conn *c)
{
    struct conn_work *w = work_take(c->home);
    if (c->head_begin_us == 0)
        c->head_begin_us = loop_now_us();
    if (take_request(c, w)) {
        begin_busy(c, w);
        return;
    }
    work_give(c->home, w);
    if (c->in.n > c->pos)
        set_limit(c, c->head_begin_us + c->home->config->head_timeout_us);
}

/* The head took too long: answered like any other refused one. */
static void answer_timeout(struct conn *c)
{
    struct conn_work *w = work_take(c->home);
    struct err ignored;
    size_t used, scanned = 0;
    (void)!head_parse(conn_pending(c), &scanned, &w->head, &used, &ignored);
    err_set(&w->malformed, 408, "request_timeout", "the request head came too slowly");
    count_timeout("head");
    memset(&w->req, 0, sizeof(w->req));
    own_head(c, w, conn_pending(c).n);
    begin_malformed(w);
    fill_req(c, w);
    intake_begin(w);
    begin_busy(c, w);
}

/*
 * While draining the connection is announced to close, except to a client that has sent more
 * already: those requests are answered first. So the kernel's buffer is looked at once more.
 */
static bool drain_keeps(struct conn *c)
{
    (void)fiber_sleep(LAST_LOOK_US);
    return conn_pending(c).n > 0;
}

static bool may_keep(struct conn *c)
{
    const struct conn_work *w = c->work;
    if (w->req.malformed || w->resp.close || !w->head.keep_alive || c->broken
        || !intake_droppable(c))
        return false;
    if (c->eof && conn_pending(c).n == 0 && w->body_pos == w->body.n)
        return false;
    return !c->home->draining || w->body_pos < w->body.n || drain_keeps(c);
}

/* Answers the request in c->work; false when the connection has to close. */
static bool serve(struct conn *c)
{
    struct conn_work *w = c->work;
    const struct server_config *cfg = c->home->config;
    struct err e;
    uint64_t sent = 0;
    count(&c->home->in_flight, 1);
    count_one(&c->home->requests);
    if (w->req.malformed) {
        count_one(&c->home->malformed);
        metrics_add(METRIC_http_malformed, 0, w->req.malformed->status != 408);
    }
    resp_init(&w->resp, &w->arena);
    cfg->handle(&w->req, &w->resp, cfg->ctx);
    fiber_set_deadline(FIBER_NEVER); /* the minimum rate rules from here */
    bool keep = may_keep(c);
    bool whole = answer_send(c, keep, &sent, &e);
    keep = keep && whole && !w->resp.close;
    if (cfg->finished)
        cfg->finished(&w->req, &w->resp, sent, cfg->ctx);
    resp_clear(&w->resp);
    keep = keep && intake_drop(c);
    intake_end(c);
    arena_wipe(&w->arena); /* heads carry tokens, bodies and answers passwords and more tokens */
    arena_reset(&w->arena);
    count(&c->home->in_flight, -1);
    return keep;
}

/* The request that was pipelined behind the last one, if it is here. */
static bool take_next(struct conn *c)
{
    conn_resume(c);
    c->head_begin_us = 0;
    if (c->broken || conn_pending(c).n == 0)
        return false;
    c->head_begin_us = loop_now_us();
    return take_request(c, c->work);
}

static void end_busy(struct conn *c)
{
    work_give(c->home, c->work);
    c->work = NULL;
    c->last_look = false;
    list_remove(&c->link);
    list_push_back(&c->home->idle, &c->link);
}

/* Back to idle: no fiber, and no buffer unless the next head has begun. */
static void rest(struct conn *c)
{
    end_busy(c);
    if (c->tls_out.n > 0) /* records that came up behind the answer */
        c->broken = !sock_try_write(c->sock, buf_view(&c->tls_out)) || c->broken;
    buf_free(&c->tls_out);
    if (c->eof || c->broken) {
        conn_close(c, false);
        return;
    }
    if (c->in.n == c->pos) {
        buf_free(&c->in);
        c->pos = 0;
        set_idle_limit(c);
        return;
    }
    buf_consume(&c->in, c->pos);
    c->pos = 0;
    set_limit(c, c->head_begin_us + c->home->config->head_timeout_us);
}

static void conn_run(void *arg)
{
    struct conn *c = arg;
    bool keep = true;
    c->work->fiber = fiber_current();
    for (unsigned served = 1;; served++) {
        keep = serve(c);
        if (!keep || !take_next(c))
            break;
        if (served % SERVED_PER_TURN == 0)
            fiber_yield();
    }
    if (keep) {
        rest(c);
        return;
    }
    end_busy(c);
    conn_close(c, !c->broken);
}

/* ---- events ---- */

/* Decrypts what came in; false when the connection is of no more use. */
static bool feed_tls(struct conn *c)
{
    struct err e;
    bool ok = tls_conn_feed(c->tls, buf_view(&c->cipher), &c->in, &c->tls_out, &e);
    buf_free(&c->cipher);
    if (c->tls_out.n > 0 && !c->work) { /* a busy connection's fiber writes it, in order */
        ok = sock_try_write(c->sock, buf_view(&c->tls_out)) && ok;
        buf_free(&c->tls_out);
    }
    c->eof = c->eof || tls_conn_ended(c->tls);
    if (c->in.n - c->pos >= CONN_INPUT_MAX && !c->paused) {
        c->paused = true;
        sock_pause(c->sock);
    }
    return ok && !c->in.failed && !c->tls_out.failed;
}

static void wake_body(struct conn *c)
{
    if (c->work->body_waits)
        fiber_wake(c->work->fiber);
}

static void on_gone(struct conn *c)
{
    c->broken = true;
    if (c->work)
        fiber_cancel(c->work->fiber); /* nobody wants the answer: its query is cancelled too */
    else
        conn_close(c, false);
}

/* A whole request still gets its answer. */
static void on_end(struct conn *c)
{
    c->eof = true;
    if (!c->work) {
        conn_close(c, false);
        return;
    }
    wake_body(c);
    if (c->work->head.minor > 0)
        set_limit(c, loop_now_us() + PROBE_US);
}

/*
 * TCP tells a client that has gone from one that only sends no more when it is written to: then the
 * former answers with a reset, and its query can be cancelled. 102 is for everybody else to ignore
 * (RFC 9110 §15.2), and nothing that HTTP/1.0 knows.
 */
static void probe(struct conn *c)
{
    static const struct str line = S_INIT("HTTP/1.1 102 Processing\r\n\r\n");
    struct err e;
    if (!c->eof || c->probed || c->broken)
        return;
    if (c->work->answering) { /* what is written now finds out as well */
        timer_arm(&c->timer, loop_now_us() + PROBE_US, on_limit);
        return;
    }
    c->probed = true;
    if (!c->tls) {
        (void)!sock_try_write(c->sock, line);
        return;
    }
    if (!tls_conn_seal(c->tls, line, &c->tls_out, &e)
        || !sock_try_write(c->sock, buf_view(&c->tls_out)))
        on_gone(c);
    buf_reset(&c->tls_out);
}

static void on_data(struct conn *c)
{
    if (c->tls && !feed_tls(c)) {
        on_gone(c);
        return;
    }
    if (c->work) {
        wake_body(c);
        return;
    }
    if (c->in.n > c->pos) {
        advance(c);
        return;
    }
    if (c->eof) {
        conn_close(c, false);
    } else if (!c->handshaken && tls_conn_ready(c->tls)) {
        c->handshaken = true;
        set_idle_limit(c);
    }
}

static void on_event(void *ctx, enum sock_event event)
{
    struct conn *c = ctx;
    if (c->broken)
        return; /* its fiber knows, and closes it */
    switch (event) {
    case SOCK_DATA:
        on_data(c);
        return;
    case SOCK_FULL:
        c->paused = true;
        return;
    case SOCK_EOF:
        on_end(c);
        return;
    case SOCK_ERROR:
        on_gone(c);
        return;
    }
}

static void on_limit(struct timer *t)
{
    struct conn *c = LIST_ENTRY(t, struct conn, timer);
    int64_t now = loop_now_us();
    if (c->work && !c->eof)
        return; /* armed again when it is idle */
    if (now < c->limit_us) {
        timer_arm(t, c->limit_us, on_limit);
        return;
    }
    if (c->work) {
        probe(c);
        return;
    }
    if (!c->last_look) { /* a request may be in the kernel's buffer */
        c->last_look = true;
        timer_arm(t, now + LAST_LOOK_US, on_limit);
        return;
    }
    if (c->in.n > c->pos) {
        answer_timeout(c);
        return;
    }
    count_timeout(c->tls && !c->handshaken ? "head" : "idle");
    conn_close(c, true);
}

/* ---- life ---- */

void conn_accept(struct conn_home *h, struct sock *sock)
{
    struct conn *c = calloc(1, sizeof(*c));
    BUG(!c);
    c->home = h;
    c->sock = sock;
    c->peer = sock_peer(sock);
    c->trusted = proxy_trusts(h->proxies, str_from(c->peer.ip));
    buf_init(&c->in, 4 * CONN_INPUT_MAX);
    buf_init(&c->cipher, CONN_INPUT_MAX);
    buf_init(&c->tls_out, 4 * CONN_INPUT_MAX);
    list_push_back(&h->idle, &c->link);
    count(&h->connections, 1);
    metrics_add(METRIC_http_connections_accepted, 0, 1);
    if (h->config->tls) {
        c->tls = tls_conn_new(h->config->tls);
        set_limit(c, loop_now_us() + h->config->head_timeout_us);
    } else {
        set_idle_limit(c);
    }
    sock_read_start(sock, c->tls ? &c->cipher : &c->in, CONN_INPUT_MAX, on_event, c);
}

static void say_bye(struct conn *c)
{
    if (c->broken)
        return;
    tls_conn_bye(c->tls, &c->tls_out);
    (void)!sock_try_write(c->sock, buf_view(&c->tls_out));
}

/* Idle by now: no fiber works for it. */
static void conn_close(struct conn *c, bool linger)
{
    struct conn_home *h = c->home;
    timer_disarm(&c->timer);
    list_remove(&c->link);
    if (c->tls) {
        say_bye(c);
        tls_conn_free(c->tls);
    }
    sock_close(c->sock, linger && !c->eof);
    buf_free(&c->in);
    buf_free(&c->cipher);
    buf_free(&c->tls_out);
    free(c);
    count(&h->connections, -1);
    if (h->draining && h->emptied && list_empty(&h->idle) && list_empty(&h->busy)) {
        timer_disarm(&h->drain_timer);
        h->emptied(h);
    }
}

void conn_home_init(struct conn_home *h, const struct server_config *config,
                    const struct proxy_list *proxies, void *owner)
{
    h->config = config;
    h->proxies = proxies;
    h->owner = owner;
    list_init(&h->idle);
    list_init(&h->busy);
    list_init(&h->spare);
}

/* Drained too long: whoever still works is told that nobody waits. */
static void on_drain_over(struct timer *t)
{
    struct conn_home *h = LIST_ENTRY(t, struct conn_home, drain_timer);
    LIST_EACH(n, &h->busy)
    on_gone(LIST_ENTRY(n, struct conn, link));
    LIST_EACH(n, &h->idle)
    conn_close(LIST_ENTRY(n, struct conn, link), true);
}

void conn_home_drain(struct conn_home *h, int64_t idle_until_us, int64_t until_us,
                     void (*emptied)(struct conn_home *))
{
    h->draining = true;
    h->drain_idle_until_us = idle_until_us;
    h->emptied = emptied;
    if (list_empty(&h->idle) && list_empty(&h->busy)) {
        emptied(h);
        return;
    }
    timer_arm(&h->drain_timer, until_us, on_drain_over);
    LIST_EACH(n, &h->idle)
    {
        struct conn *c = LIST_ENTRY(n, struct conn, link);
        if (c->in.n == c->pos && c->limit_us > idle_until_us)
            set_limit(c, idle_until_us);
    }
}

/* The loops have ended: only memory is left. */
void conn_home_close(struct conn_home *h)
{
    for (struct list *n; (n = list_pop_front(&h->spare));)
        work_free(LIST_ENTRY(n, struct conn_work, link));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "http/server.h"

#include <stdlib.h>

#include "base/clock.h"
#include "http/conn.h"
#include "runtime/loop.h"

enum { BACKLOG = 1024 }; /* what may wait while the loop is busy; the kernel caps it at somaxconn */

struct server {
    struct conn_home homes[LOOP_MAX];
    struct server_config config;
    struct sock_listener *listener;
    struct sock_addr addr;
    bool started;
    struct proxy_list *proxies;
    /* draining, on loop 0 */
    unsigned homes_left;
    int64_t drain_idle_until_us, drain_until_us;
    struct timer drain_timer;
    void (*done)(void *ctx);
    void *done_ctx;
};

/* The message names the setting, so that whoever reads it knows what to change. */
static bool listen_failed(const struct server_config *c, struct err *e)
{
    struct err was = *e;
    err_set(e, was.status, was.code, "%s (setting %s)", was.message, c->setting);
    return err_detail(e, "%s", was.detail);
}

bool server_open(const struct server_config *c, struct server **out, struct err *e)
{
    struct server *s = aligned_alloc(_Alignof(struct server), sizeof(*s));
    BUG(!s);
    memset(s, 0, sizeof(*s));
    s->config = *c;
    if (!proxy_open(c->trusted_proxies, &s->proxies, e)) {
        free(s);
        return false;
    }
    if (!sock_listener_open(str_from(c->listen), BACKLOG, &s->listener, e)) {
        proxy_close(s->proxies);
        free(s);
        return listen_failed(c, e);
    }
    s->addr = sock_listener_addr(s->listener);
    for (unsigned i = 0; i < LOOP_MAX; i++)
        conn_home_init(&s->homes[i], &s->config, s->proxies, s);
    *out = s;
    return true;
}

struct sock_addr server_addr(const struct server *s)
{
    return s->addr;
}

static void on_accept(struct sock *sock, void *ctx)
{
    struct server *s = ctx;
    conn_accept(&s->homes[loop_index()], sock);
}

void server_start(struct server *s)
{
    s->started = true;
    sock_listener_start(s->listener, s->config.max_connections, on_accept, s);
}

/* ---- draining ---- */

static void drained(struct server *s)
{
    void (*done)(void *) = s->done;
    timer_disarm(&s->drain_timer);
    s->done = NULL;
    if (done)
        done(s->done_ctx);
}

static void home_left(void *arg)
{
    struct server *s = arg;
    if (--s->homes_left == 0)
        drained(s);
}

static void home_emptied(struct conn_home *h)
{
    h->emptied = NULL;
    loop_post(loop_at(0), home_left, h->owner);
}

static void drain_home(void *arg)
{
    struct conn_home *h = arg;
    struct server *s = h->owner;
    conn_home_drain(h, s->drain_idle_until_us, s->drain_until_us, home_emptied);
}

static void on_drain_late(struct timer *t)
{
    drained(LIST_ENTRY(t, struct server, drain_timer));
}

void server_drain(struct server *s, void (*done)(void *ctx), void *ctx)
{
    int64_t now = clock_mono_us();
    BUG(s->done || !s->listener);
    s->done = done;
    s->done_ctx = ctx;
    s->homes_left = loop_count();
    s->drain_idle_until_us = now + s->config.drain_idle_us;
    s->drain_until_us = s->drain_idle_until_us + s->config.drain_us;
    sock_listener_close(s->listener); /* hands over what is queued, before the calls below */
    s->listener = NULL;
    /* a moment after the homes have ended what was left, for a fiber that does not hear */
    timer_arm(&s->drain_timer, s->drain_until_us + 100 * CLOCK_MS, on_drain_late);
    for (unsigned i = 0; i < loop_count(); i++)
        loop_post(loop_at(i), drain_home, &s->homes[i]);
}

void server_close(struct server *s)
{
    if (!s)
        return;
    if (s->listener && !s->started) /* else the loops ended without a drain, and the process does */
        sock_listener_close(s->listener);
    for (unsigned i = 0; i < LOOP_MAX; i++)
        conn_home_close(&s->homes[i]);
    proxy_close(s->proxies);
    free(s);
}

struct server_stats server_stats(const struct server *s)
{
    struct server_stats sum = {0};
    for (unsigned i = 0; i < LOOP_MAX; i++) {
        const struct conn_home *h = &s->homes[i];
        sum.connections += atomic_load_explicit(&h->connections, memory_order_relaxed);
        sum.in_flight += atomic_load_explicit(&h->in_flight, memory_order_relaxed);
        sum.requests += atomic_load_explicit(&h->requests, memory_order_relaxed);
        sum.malformed += atomic_load_explicit(&h->malformed, memory_order_relaxed);
    }
    return sum;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 over sockets: connections, keep-alive, pipelining (answers in order), time limits,
 * draining. Idle connections hold no fiber and at most a few hundred bytes; each request is a
 * fiber that calls `handle` once and writes what it left in resp. A client that is gone has its
 * fiber cancelled; one that only ended its side is asked with 102 Processing after a second, since
 * TCP tells the two apart no sooner than at a write, and still gets its answer.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "http/req.h"
#include "http/resp.h"
#include "runtime/sock.h"

struct server;
struct tls;

struct server_config {
    const char *listen;          /* "127.0.0.1:8000" */
    const char *setting;         /* name of the setting, for "address in use" */
    struct tls *tls;             /* NULL: plain */
    bool admin;                  /* requests carry admin_listener */
    unsigned max_connections;    /* accepting pauses beyond it */
    int64_t head_timeout_us;     /* 10 s, first to last byte of a head (and for a TLS handshake) */
    int64_t idle_timeout_us;     /* 75 s between requests */
    unsigned body_min_rate_bps;  /* 500 bytes/s over 10 s windows, both directions */
    int64_t drain_us;            /* 30 s for what was read */
    int64_t drain_idle_us;       /* 2 s for idle keep-alive connections */
    const char *trusted_proxies; /* addresses and CIDRs whose X-Forwarded-* and Forwarded count */
    size_t arena_budget_bytes;   /* per request, for client-sized memory */
    /* In the request's fiber. Always leaves an answer in resp, also for a refused head
     * (req->malformed). */
    void (*handle)(struct req *req, struct resp *resp, void *ctx);
    /* After the last byte was sent or the client was gone (sent: body bytes). In the fiber. */
    void (*finished)(struct req *req, struct resp *resp, uint64_t sent, void *ctx);
    void *ctx;
};

/* Binds; before the loops run. */
MUST_CHECK bool server_open(const struct server_config *c, struct server **out, struct err *e);
struct sock_addr server_addr(const struct server *s);
void server_start(struct server *s);
/*
 * From loop 0: accepts what is queued, closes the listener, finishes requests already read, gives
 * idle connections drain_idle_us in which a next request is answered with Connection: close; then
 * done(ctx) on loop 0, at the latest after drain_us + drain_idle_us.
 */
void server_drain(struct server *s, void (*done)(void *ctx), void *ctx);
/* After the loops have ended. */
void server_close(struct server *s);

struct server_stats {
    unsigned connections, in_flight;
    uint64_t requests, malformed;
};
struct server_stats server_stats(const struct server *s);

#endif

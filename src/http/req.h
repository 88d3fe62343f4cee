/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request on its way through the pipeline. Lives in its connection until the last byte of the
 * answer is sent; everything in it belongs to req->arena. The pointers to other layers are set by
 * app/pipeline.c; http/ only carries them.
 */
#ifndef HTTP_REQ_H
#define HTTP_REQ_H

#include "base/arena.h"
#include "http/head.h"
#include "http/route.h"
#include "ops/trace.h"

struct conn;
struct services;    /* app/services.h: what handlers work with */
struct principal;   /* guard/principal.h: who is calling */
struct pg_client;   /* pg/pg_tx.h: the request's one place for a connection */
struct caller;      /* auth/auth.h: the user behind the token, on routes that ask for one */
struct quota_met;   /* guard/quota.c: the limits that this request met */
struct audit_trail; /* audit/audit.h: events of this request, logged when it is answered */

struct req {
    struct arena *arena;
    struct conn *conn;
    const struct head *head;
    enum method method;
    struct str path, query; /* raw, from head */
    struct str body;        /* whole, unless the route streams; absent before it is read */
    struct str params[ROUTE_PARAMS_MAX]; /* raw path parameters */
    const struct route *route;           /* NULL before it is found or when there is none */
    enum route_surface surface;
    char id[129]; /* X-Request-ID */
    struct trace trace;
    struct str client_ip;  /* by Forwarded headers only from configured proxies */
    struct str server_ip;  /* of the app's server that named client_ip (guard/context.h); absent: none did */
    struct str user_agent; /* at most 512 bytes */
    bool tls, admin_listener;
    bool draining;         /* the server is stopping: answer with Connection: close */
    int64_t start_us;      /* monotonic, first byte of the head */
    int64_t head_us;       /* monotonic, head complete */
    int64_t now_us;        /* wall time, taken once */
    struct err *malformed; /* not NULL: the head was refused with this; answer and close */
    size_t body_bytes;     /* payload bytes read so far */

    struct services *services;
    struct principal *principal;
    struct pg_client *pg;
    struct audit_trail *audit;
    struct caller *caller;
    struct quota_met *quota;
    int layer; /* number of the authorization layer that refused; 0: none has */
    struct err *failure; /* what the answer reports, for the log; NULL: none */
    int64_t hash_us;     /* time spent waiting for hashes, for Server-Timing and metrics */
    int64_t handled_us;  /* monotonic, the answer was built */
};

struct str req_header(const struct req *req, struct str name);
/* First value in the query, decoded; absent when missing or malformed. */
struct str req_query(const struct req *req, const char *name);

/*
 * Next piece of the body, valid until the next call; piece->n is 0 at its end. Sends 100 Continue
 * when it was asked for. From the request's fiber. A body that is slower than the minimum rate: 408
 * "request_timeout"; over max (of the route): 413 "request_entity_too_large"; malformed: 400.
 */
MUST_CHECK bool req_body_read(struct req *req, struct str *piece, struct err *e);
/* Reads the whole body, at most max bytes, into req->body (arena). */
MUST_CHECK bool req_body_all(struct req *req, size_t max, struct err *e);

#endif

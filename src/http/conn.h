/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection of a server and the request it is answering; private to http/. Callbacks of the
 * socket feed bytes; each whole head starts a fiber that answers it and what was pipelined behind
 * it, in order. A connection belongs to one loop and is in exactly one list of its conn_home; only
 * while it is busy does it hold a conn_work, a fiber and buffers.
 */
#ifndef HTTP_CONN_H
#define HTTP_CONN_H

#include <stdatomic.h>

#include "base/list.h"
#include "http/body.h"
#include "http/proxy.h"
#include "http/server.h"
#include "http/tls.h"
#include "runtime/fiber.h"
#include "runtime/sock.h"
#include "runtime/timer.h"

enum {
    CONN_INPUT_MAX = 64 * 1024, /* read ahead while busy: pipelined requests and a piece of body */
    CONN_DROP_MAX = 64 * 1024,  /* of a body nobody read, to keep the connection */
    CONN_RATE_WINDOW_US = 10 * 1000 * 1000,
};

/* What the connections of one loop share. Touched on that loop only, but for the counters. */
struct conn_home {
    const struct server_config *config;
    const struct proxy_list *proxies;
    struct list idle, busy;
    struct list spare; /* conn_work, to be used again */
    unsigned spare_count;
    int64_t date_s; /* second that date tells */
    char date[30];
    bool draining;
    int64_t drain_idle_until_us;
    struct timer drain_timer;
    void (*emptied)(struct conn_home *); /* draining, and the last connection has closed */
    void *owner;
    _Atomic unsigned connections, in_flight;
    _Atomic uint64_t requests, malformed;
} __attribute__((aligned(64))); /* neighbours in the array belong to other loops */

/* One request. Pooled per loop, with its arena's first block. */
struct conn_work {
    struct list link;
    struct arena arena;
    struct head head;
    struct err malformed;
    struct req req;
    struct resp resp;
    struct fiber *fiber;
    struct body_decoder decoder;
    struct buf body;        /* bytes the decoder works on; pieces handed out point here */
    size_t body_pos;        /* decoded so far */
    bool body_waits;        /* the fiber is parked until input comes */
    bool body_broken;       /* framing is lost: nothing can follow on this connection */
    bool answering;         /* bytes of the answer have left, or are about to */
    bool continue_due;      /* the client waits for 100 Continue */
    int64_t rate_waited_us; /* of the current window */
    size_t rate_bytes;
};

struct conn {
    struct list link;
    struct conn_home *home;
    struct sock *sock;
    struct buf in;         /* plain text; bytes before pos are done with */
    size_t pos, scanned;   /* scanned: from pos, see head_parse */
    int64_t head_begin_us; /* first byte of the head that is coming in; 0: none */
    int64_t limit_us;      /* what the timer stands for; it may be armed earlier than that */
    struct timer timer;
    struct conn_work *work; /* busy */
    struct tls_conn *tls;
    struct buf cipher, tls_out; /* from the peer; for the peer, in order */
    struct sock_addr peer;
    bool trusted;    /* peer is one of our proxies */
    bool paused;     /* reading, by a full buffer */
    bool eof;        /* the peer sends no more */
    bool probed;     /* after eof: whether anybody is left was asked */
    bool broken;     /* nothing can be written any more */
    bool handshaken; /* TLS is up: the idle limit counts from here */
    bool last_look;  /* the time is over: closed unless something is in the kernel's buffer */
};

void conn_home_init(struct conn_home *h, const struct server_config *config,
                    const struct proxy_list *proxies, void *owner);
void conn_home_close(struct conn_home *h);
/* On the home's loop. */
void conn_accept(struct conn_home *h, struct sock *sock);
/* On the home's loop: idle connections end at idle_until, all at until; emptied() with the last. */
void conn_home_drain(struct conn_home *h, int64_t idle_until_us, int64_t until_us,
                     void (*emptied)(struct conn_home *));

/* From the connection's fiber: all pieces to the peer, through TLS where there is some. After a
 * failure the connection is broken. */
MUST_CHECK bool conn_write(struct conn *c, const struct str *pieces, unsigned n, struct err *e);
/* Bytes that have come in and are not done with. */
struct str conn_pending(const struct conn *c);
void conn_consume(struct conn *c, size_t n);
/* Reading goes on when it was paused and there is room again. */
void conn_resume(struct conn *c);

#endif

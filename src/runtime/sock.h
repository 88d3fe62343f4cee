/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stream sockets (TCP and Unix) on a loop: listening, connecting input to callbacks, writing from
 * fibers. A sock belongs to the loop on which it was opened.
 */
#ifndef RUNTIME_SOCK_H
#define RUNTIME_SOCK_H

#include "base/buf.h"
#include "base/err.h"

struct sock;
struct sock_listener;

enum sock_event {
    SOCK_DATA,  /* bytes were appended to the input buf */
    SOCK_EOF,   /* it sent no more than was read; it may still read. Also told while paused */
    SOCK_ERROR, /* reset or another failure: nobody is there. Also told while paused */
    SOCK_FULL,  /* the input buf is at its maximum: reading is paused until sock_resume */
};

/* Address of a peer or of ourselves as text. */
struct sock_addr {
    char ip[46]; /* "127.0.0.1", "::1", "" for a Unix socket */
    int port;
};

/*
 * Binds host:port now (IPv4, [IPv6] or a name of this machine; port 0 picks one), without
 * SO_REUSEPORT, so that a second server fails with e 500 "address_in_use" naming host:port; also
 * "address_invalid", "address_forbidden" (a port under 1024). CLOEXEC. Before the loops run.
 */
MUST_CHECK bool sock_listener_open(struct str host_port, int backlog, struct sock_listener **out,
                                   struct err *e);
struct sock_addr sock_listener_addr(const struct sock_listener *l);
/*
 * Starts accepting on loop 0 and hands each connection to the loop with the fewest: on_accept runs
 * on that loop. At max_connections accepting pauses until one closes.
 */
void sock_listener_start(struct sock_listener *l, unsigned max_connections,
                         void (*on_accept)(struct sock *, void *ctx), void *ctx);
/* Accepts what the kernel has queued, then closes the listening socket; from loop 0. */
void sock_listener_close(struct sock_listener *l);
unsigned sock_open_count(void); /* accepted and not closed yet, all loops */

struct sock_addr sock_peer(const struct sock *s);

/*
 * Reads into `in` whenever there is something and calls on_event in a callback. Reading pauses by
 * itself when in->n reaches in_max (SOCK_FULL) until sock_resume.
 */
void sock_read_start(struct sock *s, struct buf *in, size_t in_max,
                     void (*on_event)(void *ctx, enum sock_event), void *ctx);
void sock_pause(struct sock *s);
void sock_resume(struct sock *s);

/*
 * Writes all n pieces, from a fiber: at once if the kernel takes them, else parks until done or
 * late. The memory is only read until it returns; after a late or failed write the rest is dropped
 * and the sock is broken (only sock_close remains). One fiber writes at a time. min_rate_bps > 0
 * replaces the fiber's deadline during the call by a minimum rate: of time spent waiting for the
 * peer, each 10 s must move that much, also over several calls.
 * e: 499 "client_gone" or 504 "request_timeout".
 */
MUST_CHECK bool sock_write(struct sock *s, const struct str *pieces, unsigned n,
                           unsigned min_rate_bps, struct err *e);
/*
 * Sends length bytes of an open file from offset, as sock_write; ranges must be resident or small.
 * e: also 500 "file_io" when the file ends early.
 */
MUST_CHECK bool sock_sendfile(struct sock *s, int fd, int64_t offset, int64_t length,
                              unsigned min_rate_bps, struct err *e);
/* From callbacks: all or nothing into the kernel's buffer; false when it did not fit whole. */
bool sock_try_write(struct sock *s, struct str bytes);
/* No more writing (FIN); reading goes on. */
void sock_shutdown(struct sock *s);
/*
 * Closes; s is gone when this returns, no callback comes afterwards. No fiber may be inside of
 * sock_write (cancel it and wait for its end first). linger: let the peer read what was sent (FIN,
 * then discard its input up to 1 s), so that an error answer is not lost to a reset.
 */
void sock_close(struct sock *s, bool linger);

#endif

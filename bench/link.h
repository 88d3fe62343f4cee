/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One keep-alive connection of the load generator: a request out, an answer in, one at a time.
 * Knows HTTP/1.1 as far as Content-Length; TLS and chunked answers it does not speak.
 */
#ifndef BENCH_LINK_H
#define BENCH_LINK_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINK_REQUEST_MAX = 16 * 1024, LINK_ANSWER_MAX = 4 * 1024 * 1024 };

struct link_arrival {
    int64_t at_us; /* when the request was meant to leave */
    unsigned kind;
};

struct link {
    int fd;        /* -1: closed */
    size_t client; /* whose request is next */
    bool busy, wants_write;
    struct link_arrival now; /* the request that is out */
    int64_t sent_us;
    char *out;
    size_t out_n, out_sent;
    char *in;
    size_t in_n, in_max;
    struct link_arrival *waiting; /* arrivals while busy, oldest first */
    size_t waiting_from, waiting_n, waiting_max;
};

enum link_event {
    LINK_NOTHING, /* more is to come */
    LINK_ANSWER,
    LINK_CLOSED, /* by the other side, or an error */
    LINK_BAD     /* an answer that cannot be told apart */
};

struct link_answer {
    int status;
    const char *body; /* in the link's memory, until its next request */
    size_t n, head_n;
    bool close;
};

/* Blocking, since all connections stand before the clock starts; false when refused. */
bool link_open(struct link *l, const struct sockaddr_in *to, int epoll);
void link_close(struct link *l);
/* Sends what is in out[0..out_n); false when the connection is gone. */
bool link_send(struct link *l, int epoll);
/* After EPOLLIN or EPOLLOUT. */
enum link_event link_ready(struct link *l, int epoll, struct link_answer *out);
void link_wait(struct link *l, struct link_arrival a);
/* False when nothing waits. */
bool link_next(struct link *l, struct link_arrival *out);

#endif

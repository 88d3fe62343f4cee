/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readiness of descriptors, private to runtime/: an epoll set of ours in each loop, itself watched
 * by the loop's libuv. uv_poll costs five system calls a connection and two a change of interest,
 * and cannot watch for a reset alone; here it is one each, and edge triggering (EPOLLET) needs no
 * changes at all. The set costs one more epoll_wait a turn, shared by all that is ready in it.
 */
#ifndef RUNTIME_POLLER_H
#define RUNTIME_POLLER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop;

/* Embedded in its owner. */
struct poller_watch {
    int fd;
    uint32_t events; /* EPOLL… as registered; 0: not registered */
    void (*fn)(struct poller_watch *w, uint32_t ready); /* in a callback, on the loop */
};

/*
 * Changes interest; 0 takes the watch off, and no event that is already in hand reaches it. Before
 * the descriptor is closed. False (errno) when the kernel refuses.
 */
bool poller_set(struct loop *l, struct poller_watch *w, uint32_t events);

/* Called by loop.c. */
bool poller_open(struct loop *l);
void poller_close(struct loop *l);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/fdwatch.h"

#include <stdlib.h>

#include "base/clock.h"
#include "runtime/loop_impl.h"

/*
 * A child of ours has a copy of each descriptor from its fork until it drops them, a moment later.
 * What was closed meanwhile is still watched by the kernel, under a number that means nothing any
 * more; so an abandoned watch is kept until no such child can be left.
 */
enum { ABANDONED_US = 10 * 1000 * 1000 };

struct fdwatch {
    struct poller_watch watch;
    struct fdwatch *next; /* abandoned before */
    int64_t abandoned_us;
    struct loop *loop;
    void (*fn)(void *ctx, int ready);
    void *ctx;
};

static void fdwatch_ready(struct poller_watch *pw, uint32_t ready)
{
    struct fdwatch *w = LIST_ENTRY(pw, struct fdwatch, watch);
    int events = 0;
    if (ready & (EPOLLERR | EPOLLHUP))
        events = FDWATCH_READ | FDWATCH_WRITE; /* the library finds the error whichever it tries */
    if (ready & EPOLLIN)
        events |= FDWATCH_READ;
    if (ready & EPOLLOUT)
        events |= FDWATCH_WRITE;
    int64_t begin = LOOP_DEBUG ? clock_mono_us() : 0;
    struct loop *l = w->loop;
    w->fn(w->ctx, events); /* may close w */
    if (LOOP_DEBUG)
        loop_note(l, "fdwatch callback", begin);
}

struct fdwatch *fdwatch_open(int fd, void (*fn)(void *ctx, int ready), void *ctx)
{
    struct loop *l = loop_current();
    BUG(!l);
    struct fdwatch *w = calloc(1, sizeof(*w));
    BUG(!w); /* out of memory */
    w->watch = (struct poller_watch){.fd = fd, .fn = fdwatch_ready};
    w->loop = l;
    w->fn = fn;
    w->ctx = ctx;
    l->handles++;
    return w;
}

void fdwatch_set(struct fdwatch *w, int events)
{
    BUG(w->loop != loop_current());
    uint32_t mask =
        ((events & FDWATCH_READ) ? EPOLLIN : 0u) | ((events & FDWATCH_WRITE) ? EPOLLOUT : 0u);
    /* refused: a closed descriptor, one watched twice, one that cannot be polled: our mistakes */
    BUG(!poller_set(w->loop, &w->watch, mask));
}

void fdwatch_close(struct fdwatch *w)
{
    if (!w)
        return;
    BUG(w->loop != loop_current());
    poller_set(w->loop, &w->watch, 0);
    w->loop->handles--;
    free(w);
}

static void fdwatch_ignored(struct poller_watch *pw, uint32_t ready)
{
    (void)pw, (void)ready;
}

void fdwatch_bury(struct loop *l, int64_t before_us)
{
    struct fdwatch **at = &l->abandoned;
    while (*at && (*at)->abandoned_us >= before_us) /* the latest first */
        at = &(*at)->next;
    for (struct fdwatch *w; (w = *at);) {
        *at = w->next;
        free(w);
    }
}

void fdwatch_abandon(struct fdwatch *w)
{
    if (!w)
        return;
    struct loop *l = w->loop;
    BUG(l != loop_current());
    w->watch.fn = fdwatch_ignored;
    w->abandoned_us = clock_mono_us();
    w->next = l->abandoned;
    l->abandoned = w;
    l->handles--;
    fdwatch_bury(l, w->abandoned_us - ABANDONED_US);
}

void fdwatch_free(struct fdwatch *w)
{
    free(w);
}

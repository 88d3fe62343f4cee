/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/poller.h"

#include <errno.h>
#include <unistd.h>

#include "runtime/loop_impl.h"

/* An event already taken from the kernel must not reach a watch that is gone. */
static void poller_forget(struct poller *p, const struct poller_watch *w)
{
    for (int i = p->at; i < p->ready; i++) {
        if (p->batch[i].data.ptr == w)
            p->batch[i].data.ptr = NULL;
    }
}

bool poller_set(struct loop *l, struct poller_watch *w, uint32_t events)
{
    if (w->events == events)
        return true;
    int op = events == 0 ? EPOLL_CTL_DEL : w->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    struct epoll_event ev = {.events = events, .data.ptr = w};
    if (events == 0)
        poller_forget(&l->poller, w);
    w->events = events;
    if (epoll_ctl(l->poller.fd, op, w->fd, &ev) == 0 || events == 0)
        return true;
    w->events = 0;
    return false;
}

static void poller_on_ready(uv_poll_t *h, int status, int events)
{
    (void)status, (void)events;
    struct loop *l = h->data;
    struct poller *p = &l->poller;
    loop_enter(l);
    p->ready = epoll_wait(p->fd, p->batch, POLLER_BATCH, 0);
    for (p->at = 0; p->at < p->ready;) {
        struct epoll_event ev = p->batch[p->at++];
        struct poller_watch *w = ev.data.ptr;
        if (w)
            w->fn(w, ev.events);
    }
    p->at = p->ready = 0;
}

bool poller_open(struct loop *l)
{
    struct poller *p = &l->poller;
    p->fd = epoll_create1(EPOLL_CLOEXEC);
    if (p->fd < 0)
        return false;
    if (uv_poll_init(&l->uv, &p->handle, p->fd) != 0) {
        close(p->fd);
        return false;
    }
    p->handle.data = l;
    return uv_poll_start(&p->handle, UV_READABLE, poller_on_ready) == 0;
}

void poller_close(struct loop *l)
{
    close(l->poller.fd);
}

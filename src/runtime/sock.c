/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/secret.h"
#include "runtime/loop_impl.h"
#include "runtime/sock_impl.h"

enum {
    SOCK_READ_TURN_BYTES = 256 * 1024, /* of one connection, then the others have their turn */
    SOCK_WRITE_TURN_BYTES = 1024 * 1024,
    SOCK_IOV_MAX = 16, /* pieces of one system call */
    SOCK_LINGER_US = 1000 * 1000,
    SOCK_RATE_WINDOW_US = 10 * 1000 * 1000,
};

struct sock {
    struct poller_watch watch;
    struct loop_task task; /* goes on reading, or frees */
    struct timer linger;
    struct loop *loop;
    struct sock_listener *listener;
    struct buf *in;
    size_t in_max;
    void (*on_event)(void *ctx, enum sock_event);
    void *ctx;
    struct fiber *writer; /* parked in a write */
    union sock_name peer;
    int64_t rate_blocked_us; /* time spent waiting for the peer in this window */
    uint64_t rate_bytes;     /* and what it took meanwhile */
    bool readable : 1;       /* the kernel may hold input: edges are told once */
    bool hung : 1;           /* FIN or reset seen: read on to the end even after a short read */
    bool failed : 1;         /* the kernel reported an error */
    bool paused : 1;
    bool ended : 1;  /* SOCK_EOF was told */
    bool lost : 1;   /* SOCK_ERROR was told */
    bool broken : 1; /* a write failed or stopped in the middle */
    bool lingering : 1;
    bool closed : 1;
};

static void sock_run_task(struct loop_task *t);

/* ---- reading --------------------------------------------------------------------------------- */

enum fill { FILL_DRAINED, FILL_MORE, FILL_FULL, FILL_EOF, FILL_ERROR };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/*
 * One read, first into the room that the input has and then into the loop's scratch, so that an
 * input grows to what its client sends and an idle connection holds no 64 KiB.
 */
static ssize_t sock_read_once(struct sock *s, size_t room, size_t *asked)
{
    struct buf *in = s->in;
    size_t own = smaller(in->cap - in->n, room);
    size_t extra = smaller(room - own, LOOP_SCRATCH_BYTES);
    char *scratch = s->loop->scratch;
    struct iovec iov[2] = {{in->p ? in->p + in->n : scratch, own}, {scratch, extra}};
    int skip = own == 0;
    *asked = own + extra;
    ssize_t r = readv(s->watch.fd, iov + skip, 2 - skip);
    if (r <= 0)
        return r;
    size_t kept = smaller((size_t)r, own);
    in->n += kept;
    if ((size_t)r > kept) {
        buf_add(in, scratch, (size_t)r - kept);
        secret_wipe_bytes(scratch, (size_t)r - kept); /* it stays for as long as the loop does */
    }
    return r;
}

static enum fill sock_fill(struct sock *s)
{
    for (size_t got = 0; got < SOCK_READ_TURN_BYTES;) {
        size_t asked, max = smaller(s->in_max, s->in->max_bytes);
        if (s->in->n >= max)
            return FILL_FULL;
        ssize_t r = sock_read_once(s, max - s->in->n, &asked);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0 && errno != EAGAIN)
            return FILL_ERROR;
        if (r == 0)
            return FILL_EOF;
        if (s->in->failed)
            return FILL_ERROR; /* no memory */
        if (r < 0 || ((size_t)r < asked && !s->hung)) {
            s->readable = false; /* a stream's short read means empty; what comes next is an edge */
            return FILL_DRAINED;
        }
        got += (size_t)r;
    }
    return FILL_MORE;
}

static void sock_tell_end(struct sock *s)
{
    if (s->ended)
        return;
    s->ended = true;
    s->on_event(s->ctx, SOCK_EOF);
}

static void sock_tell_lost(struct sock *s)
{
    if (s->lost)
        return;
    s->lost = s->broken = true;
    s->on_event(s->ctx, SOCK_ERROR);
}

static void sock_tell_full(struct sock *s)
{
    if (s->in->n >= smaller(s->in_max, s->in->max_bytes)) {
        s->paused = true;
        s->on_event(s->ctx, SOCK_FULL);
    } else if (!s->paused) { /* its reader took some at SOCK_DATA */
        loop_task_add(s->loop, &s->task);
    }
}

static void sock_pump(struct sock *s)
{
    size_t before = s->in->n;
    enum fill f = sock_fill(s);
    if (s->in->n > before) {
        s->on_event(s->ctx, SOCK_DATA);
        if (s->closed)
            return;
    }
    switch (f) {
    case FILL_DRAINED:
        return;
    case FILL_MORE:
        loop_task_add(s->loop, &s->task);
        return;
    case FILL_FULL:
        sock_tell_full(s);
        return;
    case FILL_EOF:
        sock_tell_end(s);
        return;
    case FILL_ERROR:
        sock_tell_lost(s);
        return;
    }
}

/* Reading is paused, but whoever works for this client learns that it is gone. */
static void sock_look_paused(struct sock *s)
{
    if (s->failed) {
        sock_tell_lost(s);
        return;
    }
    int unread = 0;
    if (s->hung && ioctl(s->watch.fd, FIONREAD, &unread) == 0 && unread == 0)
        sock_tell_end(s); /* else after what is unread */
}

static void sock_look(struct sock *s)
{
    if (!s->on_event || s->lost)
        return;
    if (s->ended) {
        if (s->failed)
            sock_tell_lost(s);
    } else if (s->paused) {
        sock_look_paused(s);
    } else if (s->readable) {
        sock_pump(s);
    }
}

static void sock_finish(struct sock *s);

/* Reads away what a lingering client still sends, so that our FIN is not turned into a reset. */
static void sock_discard(struct sock *s)
{
    char *scratch = s->loop->scratch;
    for (size_t got = 0; got < SOCK_READ_TURN_BYTES;) {
        ssize_t r = read(s->watch.fd, scratch, LOOP_SCRATCH_BYTES);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0 && errno == EAGAIN)
            return;
        if (r <= 0) {
            sock_finish(s);
            return;
        }
        got += (size_t)r;
    }
    loop_task_add(s->loop, &s->task);
}

static void sock_ready(struct poller_watch *w, uint32_t ready)
{
    struct sock *s = LIST_ENTRY(w, struct sock, watch);
    int64_t begin = LOOP_DEBUG ? clock_mono_us() : 0;
    struct loop *l = s->loop;
    if (s->writer && (ready & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
        fiber_wake(s->writer);
    if (ready & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        s->readable = true;
    if (ready & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        s->hung = true;
    if (ready & EPOLLERR)
        s->failed = true;
    if (s->lingering)
        sock_discard(s);
    else
        sock_look(s);
    if (LOOP_DEBUG)
        loop_note(l, "socket callback", begin);
}

static void sock_run_task(struct loop_task *t)
{
    struct sock *s = LIST_ENTRY(t, struct sock, task);
    if (s->closed && !s->lingering)
        free(s);
    else if (s->lingering)
        sock_discard(s);
    else
        sock_look(s);
}

void sock_read_start(struct sock *s, struct buf *in, size_t in_max,
                     void (*on_event)(void *ctx, enum sock_event), void *ctx)
{
    s->in = in;
    s->in_max = in_max;
    s->on_event = on_event;
    s->ctx = ctx;
    sock_resume(s);
}

void sock_pause(struct sock *s)
{
    s->paused = true; /* edges go on coming, and only set a flag */
}

void sock_resume(struct sock *s)
{
    s->paused = false;
    if (s->readable && !s->closed)
        loop_task_add(s->loop, &s->task);
}

/* ---- writing --------------------------------------------------------------------------------- */

static bool sock_break(struct sock *s, struct err *e, const char *what, int error)
{
    s->broken = true;
    err_set(e, 499, "client_gone", "the client has closed the connection");
    return err_detail(e, "%s: %s", what, strerror(error));
}

static bool sock_too_slow(struct sock *s, enum fiber_result r, struct err *e)
{
    s->broken = true;
    return fiber_fail(r, e);
}

/* EPOLLOUT is asked for when first needed: most connections never fill their buffer. */
static bool sock_watch_writable(struct sock *s)
{
    return poller_set(s->loop, &s->watch, s->watch.events | EPOLLOUT);
}

/*
 * Waits until the peer has taken something. With a minimum rate the limit is not the fiber's
 * deadline but that in each ten seconds of such waiting rate * 10 bytes have moved; time that our
 * own side needs to produce bytes does not count against the client.
 */
static bool sock_wait(struct sock *s, unsigned min_rate_bps, struct err *e)
{
    if (!sock_watch_writable(s))
        return sock_break(s, e, "epoll_ctl", errno);
    int64_t deadline = fiber_deadline(), begin = clock_mono_us(), until = FIBER_NEVER;
    if (min_rate_bps > 0) {
        fiber_set_deadline(FIBER_NEVER);
        until = begin + SOCK_RATE_WINDOW_US - s->rate_blocked_us;
    }
    s->writer = fiber_current();
    enum fiber_result r = fiber_park(until);
    s->writer = NULL;
    if (min_rate_bps == 0)
        return r == FIBER_WOKEN || sock_too_slow(s, r, e);

    fiber_set_deadline(deadline);
    s->rate_blocked_us += clock_mono_us() - begin;
    if (r == FIBER_GONE)
        return sock_too_slow(s, r, e);
    if (s->rate_blocked_us < SOCK_RATE_WINDOW_US)
        return true;
    if (s->rate_bytes < (uint64_t)min_rate_bps * (SOCK_RATE_WINDOW_US / CLOCK_S))
        return sock_too_slow(s, FIBER_LATE, e);
    s->rate_blocked_us = 0;
    s->rate_bytes = 0;
    return true;
}

/* One step of a write: r is what the system call gave. Waits or gives way as needed. */
static bool sock_stepped(struct sock *s, ssize_t r, size_t *turn_bytes, unsigned min_rate_bps,
                         const char *what, struct err *e)
{
    if (r >= 0) {
        s->rate_bytes += (uint64_t)r;
        *turn_bytes += (size_t)r;
        if (*turn_bytes >= SOCK_WRITE_TURN_BYTES) { /* a fast reader must not hold the loop */
            *turn_bytes = 0;
            fiber_yield();
        }
        return true;
    }
    if (errno == EINTR)
        return true;
    if (errno != EAGAIN)
        return sock_break(s, e, what, errno);
    *turn_bytes = 0;
    return sock_wait(s, min_rate_bps, e);
}

/* The pieces from *at on, less the skip bytes of the first that are written already. */
static int sock_gather(const struct str *pieces, unsigned n, unsigned at, size_t skip,
                       struct iovec iov[SOCK_IOV_MAX])
{
    int count = 0;
    for (; at < n && count < SOCK_IOV_MAX; at++, skip = 0) {
        if (pieces[at].n <= skip)
            continue;
        union {
            const char *from;
            void *base; /* iovec serves reading too, hence not const */
        } p = {.from = pieces[at].p + skip};
        iov[count++] = (struct iovec){p.base, pieces[at].n - skip};
    }
    return count;
}

static void sock_advance(const struct str *pieces, unsigned n, unsigned *at, size_t *skip,
                         size_t by)
{
    *skip += by;
    while (*at < n && *skip >= pieces[*at].n) {
        *skip -= pieces[*at].n;
        ++*at;
    }
}

bool sock_write(struct sock *s, const struct str *pieces, unsigned n, unsigned min_rate_bps,
                struct err *e)
{
    BUG(s->writer || !fiber_current());
    if (s->broken)
        return sock_break(s, e, "write", EPIPE);
    unsigned at = 0;
    size_t skip = 0, turn_bytes = 0;
    for (sock_advance(pieces, n, &at, &skip, 0); at < n;) {
        struct iovec iov[SOCK_IOV_MAX];
        int count = sock_gather(pieces, n, at, skip, iov);
        ssize_t r = writev(s->watch.fd, iov, count);
        if (!sock_stepped(s, r, &turn_bytes, min_rate_bps, "writev", e))
            return false;
        if (r > 0)
            sock_advance(pieces, n, &at, &skip, (size_t)r);
    }
    return true;
}

bool sock_sendfile(struct sock *s, int fd, int64_t offset, int64_t length, unsigned min_rate_bps,
                   struct err *e)
{
    BUG(s->writer || !fiber_current());
    if (s->broken)
        return sock_break(s, e, "sendfile", EPIPE);
    size_t turn_bytes = 0;
    for (off_t at = offset, end = offset + length; at < end;) {
        size_t ask = smaller((size_t)(end - at), SOCK_WRITE_TURN_BYTES);
        ssize_t r = sendfile(s->watch.fd, fd, &at, ask);
        if (r == 0) {
            s->broken = true;
            err_set(e, 500, "file_io", "a file could not be read");
            return err_detail(e, "sendfile: the file ends %lld bytes early", (long long)(end - at));
        }
        if (!sock_stepped(s, r, &turn_bytes, min_rate_bps, "sendfile", e))
            return false;
    }
    return true;
}

bool sock_try_write(struct sock *s, struct str bytes)
{
    if (s->broken || s->writer)
        return false;
    ssize_t r = send(s->watch.fd, bytes.p, bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (r == (ssize_t)bytes.n)
        return true;
    if (r > 0)
        s->broken = true; /* half of it is on its way: nothing sensible can follow */
    return false;
}

void sock_shutdown(struct sock *s)
{
    shutdown(s->watch.fd, SHUT_WR);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct sock_addr sock_name_text(const union sock_name *n)
{
    struct sock_addr a = {.ip = ""};
    if (n->family == AF_INET) {
        inet_ntop(AF_INET, &n->v4.sin_addr, a.ip, sizeof(a.ip));
        a.port = ntohs(n->v4.sin_port);
    } else if (n->family == AF_INET6) {
        const struct in6_addr *ip = &n->v6.sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(ip))
            inet_ntop(AF_INET, &ip->s6_addr[12], a.ip, sizeof(a.ip));
        else
            inet_ntop(AF_INET6, ip, a.ip, sizeof(a.ip));
        a.port = ntohs(n->v6.sin6_port);
    }
    return a;
}

unsigned sock_open_count(void)
{
    return sock_listener_connections();
}

struct sock_addr sock_peer(const struct sock *s)
{
    return sock_name_text(&s->peer);
}

struct sock *sock_new(int fd, const union sock_name *peer, struct sock_listener *listener)
{
    struct sock *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->watch = (struct poller_watch){.fd = fd, .fn = sock_ready};
    s->task.fn = sock_run_task;
    s->listener = listener;
    s->peer = *peer;
    return s;
}

struct sock_listener *sock_listener_of(const struct sock *s)
{
    return s->listener;
}

bool sock_adopt(struct sock *s)
{
    s->loop = loop_current();
    s->loop->handles++;
    if (poller_set(s->loop, &s->watch, EPOLLIN | EPOLLRDHUP | EPOLLET))
        return true;
    sock_close(s, false);
    return false;
}

void sock_destroy_unadopted(struct sock *s)
{
    close(s->watch.fd);
    free(s);
}

static void sock_finish(struct sock *s)
{
    struct loop *l = s->loop;
    s->lingering = false;
    timer_disarm(&s->linger);
    poller_set(l, &s->watch, 0); /* a child between fork and exec may hold the descriptor */
    close(s->watch.fd);
    l->handles--;
    sock_listener_gone(s->listener, l);
    loop_task_add(l, &s->task); /* frees: our caller may stand in a callback of s */
}

static void sock_linger_over(struct timer *t)
{
    sock_finish(LIST_ENTRY(t, struct sock, linger));
}

void sock_close(struct sock *s, bool linger)
{
    BUG(s->closed || s->writer); /* end the writing fiber first, e.g. by fiber_cancel */
    s->closed = true;
    s->on_event = NULL;
    list_remove(&s->task.node);
    if (!linger || s->ended || s->broken || shutdown(s->watch.fd, SHUT_WR) != 0) {
        sock_finish(s);
        return;
    }
    s->lingering = true;
    timer_arm(&s->linger, loop_now_us() + SOCK_LINGER_US, sock_linger_over);
    loop_task_add(s->loop, &s->task);
}

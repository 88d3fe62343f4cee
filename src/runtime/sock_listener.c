/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets: binding, accepting on loop 0, handing each connection to the idlest loop. */
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/loop_impl.h"
#include "runtime/sock_impl.h"

enum {
    LISTENER_MAX = 8,               /* open at once: requests, administration, and room for tests */
    LISTENER_BATCH = 64,            /* accepted in one go, then the others have their turn */
    LISTENER_RETRY_US = 100 * 1000, /* out of descriptors: try again */
};

struct sock_listener {
    struct poller_watch watch;
    struct timer retry;
    unsigned max_connections;
    int backlog;
    void (*on_accept)(struct sock *, void *ctx);
    void *ctx;
    atomic_uint open;   /* its connections, on all loops */
    atomic_bool paused; /* at max_connections: the next to close wakes loop 0 */
    bool used, started;
};

/* Static: a connection may outlive its listener. A slot is reused when the last is gone. */
static struct sock_listener listeners[LISTENER_MAX];

/* ---- addresses ------------------------------------------------------------------------------- */

static bool address_invalid(struct str host_port, const char *why, struct err *e)
{
    return err_set(e, 500, "address_invalid", "%.*s is not an address to listen on: %s",
                   STR_ARG(host_port), why);
}

/* "host:port" or "[host]:port" as C strings. */
static bool address_split(struct str hp, char host[256], char port[8], struct err *e)
{
    size_t colon = hp.n;
    while (colon > 0 && hp.p[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return address_invalid(hp, "write HOST:PORT", e);
    struct str h = {hp.p, colon - 1}, p = str_from_at(hp, colon);
    if (h.n >= 2 && h.p[0] == '[' && h.p[h.n - 1] == ']')
        h = str_of(h.p + 1, h.n - 2);
    else if (memchr(h.p, ':', h.n))
        return address_invalid(hp, "write an IPv6 address in brackets, [::1]:8000", e);
    uint64_t number;
    if (!str_to_u64(p, &number) || number > 65535)
        return address_invalid(hp, "the port is a number from 0 to 65535", e);
    if (h.n == 0)
        return address_invalid(hp, "write 0.0.0.0:PORT or [::]:PORT for all addresses", e);
    if (h.n > 255)
        return address_invalid(hp, "the name is too long", e);
    memcpy(host, h.p, h.n);
    host[h.n] = 0;
    snprintf(port, 8, "%u", (unsigned)number);
    return true;
}

static bool address_resolve(struct str host_port, union sock_name *out, socklen_t *len,
                            struct err *e)
{
    char host[256], port[8];
    if (!address_split(host_port, host, port, e))
        return false;
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(host, port, &hints, &list);
    if (rc != 0 || !list)
        return address_invalid(host_port, gai_strerror(rc), e);
    const struct addrinfo *best = list; /* "localhost" shall mean 127.0.0.1, as clients write it */
    for (const struct addrinfo *a = list; a && best->ai_family != AF_INET; a = a->ai_next) {
        if (a->ai_family == AF_INET)
            best = a;
    }
    bool ok = best->ai_addrlen <= sizeof(*out);
    if (ok) {
        memcpy(out, best->ai_addr, best->ai_addrlen);
        *len = best->ai_addrlen;
    }
    freeaddrinfo(list);
    return ok || address_invalid(host_port, "neither IPv4 nor IPv6", e);
}

static bool bind_failed(struct str host_port, int error, struct err *e)
{
    if (error == EADDRINUSE)
        return err_set(e, 500, "address_in_use",
                       "%.*s is in use by another program: end that one or choose another",
                       STR_ARG(host_port));
    if (error == EACCES || error == EPERM)
        return err_set(e, 500, "address_forbidden", "%.*s needs root: take a port from 1024 on",
                       STR_ARG(host_port));
    if (error == EADDRNOTAVAIL || error == EAFNOSUPPORT)
        return address_invalid(host_port, "this machine does not have it", e);
    err_set(e, 500, "address_invalid", "listening on %.*s failed", STR_ARG(host_port));
    return err_detail(e, "%s", strerror(error));
}

/* ---- accepting, on loop 0 -------------------------------------------------------------------- */

static void listener_adopt(void *arg)
{
    struct sock *s = arg;
    struct sock_listener *l = sock_listener_of(s);
    if (sock_adopt(s))
        l->on_accept(s, l->ctx);
}

static struct loop *loop_idlest(void)
{
    struct loop *best = loop_at(0);
    unsigned least = atomic_load_explicit(&best->socks, memory_order_relaxed);
    for (unsigned i = 1; i < loop_count(); i++) {
        struct loop *l = loop_at(i);
        unsigned n = atomic_load_explicit(&l->socks, memory_order_relaxed);
        if (n < least) {
            least = n;
            best = l;
        }
    }
    return best;
}

static void listener_hand_over(struct sock_listener *l, int fd, const union sock_name *peer)
{
    struct sock *s = sock_new(fd, peer, l);
    if (!s) {
        close(fd);
        return;
    }
    struct loop *to = loop_idlest();
    atomic_fetch_add(&to->socks, 1);
    atomic_fetch_add(&l->open, 1);
    if (to == loop_current()) {
        listener_adopt(s);
    } else if (!loop_post_try(to, listener_adopt, s)) { /* it has ended */
        sock_destroy_unadopted(s);
        sock_listener_gone(l, to);
    }
}

static void listener_watch(struct sock_listener *l, bool on)
{
    BUG(!poller_set(loop_at(0), &l->watch, on ? EPOLLIN : 0));
}

/* False when the listener must pause. */
static bool listener_below_max(struct sock_listener *l)
{
    if (atomic_load(&l->open) < l->max_connections)
        return true;
    atomic_store(&l->paused, true);
    /* one may have closed in between, without seeing that we pause */
    return atomic_load(&l->open) < l->max_connections && atomic_exchange(&l->paused, false);
}

static void listener_on_retry(struct timer *t)
{
    listener_watch(LIST_ENTRY(t, struct sock_listener, retry), true);
}

/* False when the kernel has no more or cannot give it. */
static bool listener_accept_one(struct sock_listener *l)
{
    union sock_name peer = {.family = AF_UNSPEC};
    socklen_t len = sizeof(peer);
    int fd = accept4(l->watch.fd, &peer.any, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        listener_hand_over(l, fd, &peer);
        return true;
    }
    if (errno == EAGAIN)
        return false;
    if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO || errno == EPERM)
        return true;          /* that connection's own trouble */
    listener_watch(l, false); /* out of descriptors or memory: the connection waits in the kernel */
    timer_arm(&l->retry, loop_now_us() + LISTENER_RETRY_US, listener_on_retry);
    return false;
}

static void listener_ready(struct poller_watch *w, uint32_t ready)
{
    (void)ready;
    struct sock_listener *l = LIST_ENTRY(w, struct sock_listener, watch);
    for (int i = 0; i < LISTENER_BATCH; i++) {
        if (!listener_below_max(l)) {
            listener_watch(l, false);
            return;
        }
        if (!listener_accept_one(l))
            return;
    }
}

static void listener_go_on(void *arg)
{
    struct sock_listener *l = arg;
    if (l->started && !timer_armed(&l->retry))
        listener_watch(l, true);
}

void sock_listener_gone(struct sock_listener *l, struct loop *on)
{
    atomic_fetch_sub(&on->socks, 1);
    atomic_fetch_sub(&l->open, 1);
    if (atomic_load(&l->paused) && atomic_exchange(&l->paused, false))
        loop_post(loop_at(0), listener_go_on, l);
}

/* ---- life ------------------------------------------------------------------------------------ */

static struct sock_listener *listener_slot(void)
{
    for (int i = 0; i < LISTENER_MAX; i++) {
        struct sock_listener *l = &listeners[i];
        if (l->used || atomic_load(&l->open) > 0)
            continue;
        memset(l, 0, sizeof(*l));
        l->used = true;
        return l;
    }
    return NULL;
}

static int listener_bind(const union sock_name *name, socklen_t len, int backlog)
{
    int fd = socket(name->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    int on = 1, off = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* connections inherit it */
    if (name->family == AF_INET6) /* "[::]:8000" means every address of the machine */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, &name->any, len) == 0 && listen(fd, backlog) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

bool sock_listener_open(struct str host_port, int backlog, struct sock_listener **out,
                        struct err *e)
{
    union sock_name name = {0};
    socklen_t len = 0;
    if (!address_resolve(host_port, &name, &len, e))
        return false;
    int fd = listener_bind(&name, len, backlog);
    if (fd < 0)
        return bind_failed(host_port, errno, e);
    struct sock_listener *l = listener_slot();
    BUG(!l);
    l->watch = (struct poller_watch){.fd = fd, .fn = listener_ready};
    l->backlog = backlog;
    *out = l;
    return true;
}

struct sock_addr sock_listener_addr(const struct sock_listener *l)
{
    union sock_name name = {0};
    socklen_t len = sizeof(name);
    if (getsockname(l->watch.fd, &name.any, &len) != 0)
        name.family = AF_UNSPEC;
    return sock_name_text(&name);
}

static void listener_begin(void *arg)
{
    struct sock_listener *l = arg;
    if (!l->used || l->started)
        return;
    l->started = true;
    loop_at(0)->handles++;
    listener_watch(l, true);
}

void sock_listener_start(struct sock_listener *l, unsigned max_connections,
                         void (*on_accept)(struct sock *, void *ctx), void *ctx)
{
    l->max_connections = max_connections;
    l->on_accept = on_accept;
    l->ctx = ctx;
    loop_post(loop_at(0), listener_begin, l);
}

void sock_listener_close(struct sock_listener *l)
{
    if (l->started) {
        BUG(loop_current() != loop_at(0));
        timer_disarm(&l->retry);
        listener_watch(l, false);
        /* also beyond max_connections: they are established; bounded, for more may be arriving */
        for (int left = l->backlog + 1; left > 0 && listener_accept_one(l); left--)
            ;
        timer_disarm(&l->retry);
        listener_watch(l, false);
        loop_at(0)->handles--;
    }
    close(l->watch.fd);
    l->started = l->used = false;
}

unsigned sock_listener_connections(void)
{
    unsigned n = 0;
    for (int i = 0; i < LISTENER_MAX; i++)
        n += atomic_load(&listeners[i].open);
    return n;
}

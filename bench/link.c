/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { IN_FIRST = 8 * 1024, WAITING_FIRST = 16 };

static void *grown(void *p, size_t n, size_t size)
{
    p = reallocarray(p, n, size);
    if (!p)
        err(1, "memory");
    return p;
}

static void interest(struct link *l, int epoll, int op, unsigned events)
{
    struct epoll_event ev = {.events = events, .data.ptr = l};
    if (epoll_ctl(epoll, op, l->fd, &ev) != 0)
        err(1, "epoll_ctl");
}

bool link_open(struct link *l, const struct sockaddr_in *to, int epoll)
{
    if (!l->out) {
        l->out = grown(NULL, LINK_REQUEST_MAX, 1);
        l->in = grown(NULL, l->in_max = IN_FIRST, 1);
    }
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        err(1, "socket (see ulimit -n)");
    if (connect(l->fd, (const struct sockaddr *)to, sizeof(*to)) != 0) {
        link_close(l);
        return false;
    }
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    l->in_n = 0;
    l->wants_write = false;
    interest(l, epoll, EPOLL_CTL_ADD, EPOLLIN);
    return true;
}

void link_close(struct link *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    l->busy = false;
}

/* ---- out ------------------------------------------------------------------------------------- */

static bool push(struct link *l, int epoll)
{
    while (l->out_sent < l->out_n) {
        ssize_t n =
            send(l->fd, l->out + l->out_sent, l->out_n - l->out_sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return false;
        if (n < 0)
            break;
        l->out_sent += (size_t)n;
    }
    bool more = l->out_sent < l->out_n;
    if (more != l->wants_write)
        interest(l, epoll, EPOLL_CTL_MOD, more ? EPOLLIN | EPOLLOUT : EPOLLIN);
    l->wants_write = more;
    return true;
}

bool link_send(struct link *l, int epoll)
{
    l->out_sent = 0;
    l->in_n = 0;
    l->busy = true;
    return push(l, epoll);
}

/* ---- in -------------------------------------------------------------------------------------- */

/* Value of a header in [head, end); NULL when it is not there. */
static const char *header(const char *head, const char *end, const char *name)
{
    size_t n = strlen(name);
    for (const char *line = head; line && line < end; line++) {
        if ((size_t)(end - line) > n && line[n] == ':' && strncasecmp(line, name, n) == 0) {
            const char *value = line + n + 1;
            return value + strspn(value, " ");
        }
        line = memchr(line, '\n', (size_t)(end - line));
        if (!line)
            break;
    }
    return NULL;
}

static enum link_event parse(struct link *l, struct link_answer *out)
{
    const char *end = memmem(l->in, l->in_n, "\r\n\r\n", 4);
    if (!end)
        return l->in_n < l->in_max ? LINK_NOTHING : LINK_BAD;
    end += 4;
    struct link_answer a = {
        .status = (int)strtol(l->in + 9, NULL, 10), .body = end, .head_n = (size_t)(end - l->in)};
    const char *length = header(l->in, end, "content-length");
    if (!length && a.status != 204 && a.status != 304)
        return LINK_BAD;
    a.n = length ? strtoul(length, NULL, 10) : 0;
    size_t whole = a.head_n + a.n;
    if (whole > LINK_ANSWER_MAX || l->in_n > whole)
        return LINK_BAD;
    if (whole > l->in_max)
        l->in = grown(l->in, l->in_max = whole, 1);
    if (l->in_n < whole)
        return LINK_NOTHING;
    const char *connection = header(l->in, end, "connection");
    a.close = connection && strncasecmp(connection, "close", 5) == 0;
    *out = a;
    l->busy = false;
    return LINK_ANSWER;
}

enum link_event link_ready(struct link *l, int epoll, struct link_answer *out)
{
    if (l->wants_write && !push(l, epoll))
        return LINK_CLOSED;
    ssize_t n = recv(l->fd, l->in + l->in_n, l->in_max - l->in_n, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return LINK_NOTHING;
    if (n <= 0)
        return LINK_CLOSED;
    l->in_n += (size_t)n;
    return l->busy ? parse(l, out) : LINK_BAD;
}

/* ---- what waits ------------------------------------------------------------------------------ */

void link_wait(struct link *l, struct link_arrival a)
{
    if (l->waiting_n == l->waiting_max) {
        size_t max = l->waiting_max ? 2 * l->waiting_max : WAITING_FIRST;
        struct link_arrival *w = grown(NULL, max, sizeof(*w));
        for (size_t i = 0; i < l->waiting_n; i++)
            w[i] = l->waiting[(l->waiting_from + i) % l->waiting_max];
        free(l->waiting);
        l->waiting = w;
        l->waiting_max = max;
        l->waiting_from = 0;
    }
    l->waiting[(l->waiting_from + l->waiting_n++) % l->waiting_max] = a;
}

bool link_next(struct link *l, struct link_arrival *out)
{
    if (l->waiting_n == 0)
        return false;
    *out = l->waiting[l->waiting_from];
    l->waiting_from = (l->waiting_from + 1) % l->waiting_max;
    l->waiting_n--;
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of the server: a client that sends any bytes and reads answers one by one. */
#ifndef HTTP_TEST_CLIENT_H
#define HTTP_TEST_CLIENT_H

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"

enum { CLIENT_BODY_MAX = 8 * 1024 * 1024, WAIT_MS = 8000 };

struct client {
    int fd;
    char *p;
    size_t n, cap;
    bool ended;
};

struct answer {
    int status;
    struct str head, body;
};

static inline struct client connect_to(int port)
{
    struct client c = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(c.fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return c;
}

static inline void leave(struct client *c)
{
    close(c->fd);
    free(c->p);
    *c = (struct client){.fd = -1};
}

/* Stops early when the server has closed: what it answered is still to be read. */
static inline void send_bytes(struct client *c, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        p += sent;
        n -= (size_t)sent;
    }
}

static inline void say(struct client *c, const char *text)
{
    send_bytes(c, text, strlen(text));
}

/* Reads some more; false at the end or when nothing comes in time. */
static inline bool read_some(struct client *c, int wait_ms)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    if (poll(&p, 1, wait_ms) != 1)
        return false;
    if (c->cap - c->n < 65536) {
        c->cap = c->cap * 2 + 65536;
        c->p = realloc(c->p, c->cap);
    }
    ssize_t n = recv(c->fd, c->p + c->n, c->cap - c->n - 1, 0);
    c->ended = n <= 0;
    if (n > 0)
        c->n += (size_t)n;
    return n > 0;
}

static inline bool find_answer(struct client *c, bool head_only, size_t *whole, struct answer *out)
{
    size_t at, length = 0, cl;
    struct str all = str_of(c->p ? c->p : "", c->n);
    if (!str_find(all, S("\r\n\r\n"), &at))
        return false;
    out->head = str_of(all.p, at + 2);
    out->status = (int)strtol(all.p + 9, NULL, 10);
    if (!head_only && str_find(out->head, S("Content-Length: "), &cl))
        length = (size_t)strtoul(all.p + cl + 16, NULL, 10);
    *whole = at + 4 + length;
    out->body = str_of(all.p + at + 4, length);
    return c->n >= *whole;
}

static char last_memory[CLIENT_BODY_MAX + 65536];

/* The next answer, valid until the one after it; status 0 when none came. */
static inline struct answer hear_as(struct client *c, bool head_only)
{
    struct answer a = {0};
    size_t whole = 0;
    while (!find_answer(c, head_only, &whole, &a))
        if (!read_some(c, WAIT_MS))
            return (struct answer){0};
    memcpy(last_memory, c->p, whole);
    a.head.p = last_memory;
    a.body.p = last_memory + (whole - a.body.n);
    memmove(c->p, c->p + whole, c->n - whole);
    c->n -= whole;
    return a;
}

static inline struct answer hear(struct client *c)
{
    return hear_as(c, false);
}

static inline bool has(struct answer a, const char *line)
{
    size_t at;
    return str_find(a.head, str_from(line), &at);
}

static inline void expect(struct answer a, int status, const char *body)
{
    assert_int_equal(a.status, status);
    if (!body)
        return;
    assert_int_equal(a.body.n, strlen(body));
    assert_memory_equal(a.body.p, body, a.body.n);
}

/* The server closes, and sends nothing more before. */
static inline void expect_close(struct client *c)
{
    assert_int_equal(c->n, 0);
    while (!c->ended)
        if (!read_some(c, WAIT_MS))
            break;
    assert_true(c->ended);
    assert_int_equal(c->n, 0);
}

static inline void wait_until(const atomic_int *value, int least)
{
    for (int i = 0; atomic_load(value) < least; i++) {
        assert_true(i < WAIT_MS);
        poll(NULL, 0, 1);
    }
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

#endif

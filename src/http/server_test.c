/* SPDX-License-Identifier: Apache-2.0 */
/* The server on real sockets and loops; the tests are its clients, on a thread of their own. */
#include "http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "runtime/fiber.h"
#include "runtime/file.h"
#include "runtime/loop.h"

enum { BIG = 8 * 1024 * 1024, WAIT_MS = 8000 };

enum {
    MAIN,
    HASTY,
    NARROW,
    DRAINED,
    SERVERS
}; /* HASTY: short time limits; NARROW: two connections */
static struct server *servers[SERVERS];
static char ports_text[SERVERS][32];
static int ports[SERVERS];
static pthread_t server_thread;
static atomic_int cancelled, parked, finished;
static char *big;

/* ---- what the server does ---- */

static struct route any_route = {METHOD_POST,      "/", NULL, ACCESS_OPEN, LIMIT_NONE,
                                 16 * 1024 * 1024, 0,   0};

static bool answer_echo(struct req *req, struct resp *resp, struct err *e)
{
    if (!req_body_all(req, 1024 * 1024, e))
        return false;
    resp_text(resp, 200, S("application/octet-stream"), req->body);
    return true;
}

static bool answer_stream(struct req *req, struct resp *resp, struct err *e)
{
    struct str piece;
    unsigned sum = 0;
    do {
        if (!req_body_read(req, &piece, e))
            return false;
        struct str before = piece;
        if (piece.n > 0
            && fiber_sleep(10) == FIBER_GONE) /* the piece outlives what comes in meanwhile */
            return err_set(e, 499, "client_gone", "gone");
        for (size_t i = 0; i < piece.n; i++)
            sum = sum * 31 + (unsigned char)before.p[i];
    } while (piece.n > 0);
    resp_text(resp, 200, S("text/plain"), arena_printf(req->arena, "%zu %u", req->body_bytes, sum));
    return true;
}

static bool answer_park(struct req *req, struct resp *resp, struct err *e)
{
    (void)req;
    atomic_fetch_add(&parked, 1);
    if (fiber_sleep(20 * CLOCK_S) == FIBER_GONE)
        atomic_fetch_add(&cancelled, 1);
    resp_empty(resp, 200);
    (void)e;
    return true;
}

static bool answer_nap(struct req *req, struct resp *resp, struct err *e)
{
    atomic_fetch_add(&parked, 1);
    if (fiber_sleep(300 * CLOCK_MS) == FIBER_GONE)
        return err_set(e, 499, "client_gone", "gone");
    resp_text(resp, 200, S("text/plain"), req->query.p ? req->query : S("nap"));
    return true;
}

static bool answer_info(struct req *req, struct resp *resp, struct err *e)
{
    (void)e;
    resp_text(resp, 200, S("text/plain"),
              arena_printf(req->arena, "%.*s %.*s %d %.*s", STR_ARG(req->client_ip),
                           STR_ARG(req->query), req->tls, STR_ARG(req->user_agent)));
    return true;
}

static bool answer_big(struct req *req, struct resp *resp, struct err *e)
{
    (void)req;
    (void)e;
    resp_empty(resp, 200);
    resp->body_shared = str_of(big, BIG);
    return true;
}

static bool answer_file(struct req *req, struct resp *resp, struct err *e)
{
    (void)req;
    if (!file_open_unlinked(S("/tmp"), &resp->file_fd, e)
        || !file_write_at(resp->file_fd, S("0123456789"), 0, e))
        return false;
    resp_empty(resp, 206);
    resp->file_offset = 2;
    resp->file_length = 5;
    return true;
}

static bool answer_empty(struct req *req, struct resp *resp, struct err *e)
{
    (void)req;
    (void)e;
    resp_text(resp, 204, S("text/plain"), S("must not be sent"));
    return true;
}

static bool answer_inject(struct req *req, struct resp *resp, struct err *e)
{
    (void)req;
    (void)e;
    resp_text(resp, 200, S("text/plain"), S("x"));
    resp_header(resp, "Location", S("/\r\nSet-Cookie: a=b"));
    return true;
}

static bool answer_hello(struct req *req, struct resp *resp, struct err *e)
{
    (void)req;
    (void)e;
    resp_text(resp, 200, S("text/plain"), S("hello"));
    return true;
}

static const struct {
    const char *path;
    route_handler *handler;
} handlers[] = {
    {"/hello", answer_hello},   {"/echo", answer_echo}, {"/stream", answer_stream},
    {"/park", answer_park},     {"/nap", answer_nap},   {"/info", answer_info},
    {"/big", answer_big},       {"/file", answer_file}, {"/empty", answer_empty},
    {"/inject", answer_inject},
};

static bool answer(struct req *req, struct resp *resp, struct err *e)
{
    if (req->malformed) {
        *e = *req->malformed;
        return false;
    }
    req->route = &any_route;
    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
        if (str_is(req->path, handlers[i].path))
            return handlers[i].handler(req, resp, e);
    return err_set(e, 404, "not_found", "no such path");
}

static void handle(struct req *req, struct resp *resp, void *ctx)
{
    struct err e;
    (void)ctx;
    if (answer(req, resp, &e))
        return;
    resp_clear(resp);
    resp_text(resp, e.status, S("text/plain"), str_from(e.message));
}

static void on_finished(struct req *req, struct resp *resp, uint64_t sent, void *ctx)
{
    (void)req;
    (void)resp;
    (void)sent;
    (void)ctx;
    atomic_fetch_add(&finished, 1);
}

static const struct server_config usual = {
    .listen = "127.0.0.1:0",
    .setting = "listen",
    .max_connections = 1000,
    .head_timeout_us = 10 * CLOCK_S,
    .idle_timeout_us = 75 * CLOCK_S,
    .body_min_rate_bps = 500,
    .drain_us = 30 * CLOCK_S,
    .drain_idle_us = 1500 * CLOCK_MS,
    .trusted_proxies = "127.0.0.0/8",
    .arena_budget_bytes = 16 * 1024 * 1024,
    .handle = handle,
    .finished = on_finished,
};

static void open_server(int i, struct server_config c)
{
    struct err e = {0};
    if (!server_open(&c, &servers[i], &e))
        fail_msg("server_open: %s (%s)", e.message, e.detail);
    ports[i] = server_addr(servers[i]).port;
    snprintf(ports_text[i], sizeof(ports_text[i]), "127.0.0.1:%d", ports[i]);
    server_start(servers[i]);
}

static void *run(void *arg)
{
    (void)arg;
    loop_run_all();
    return NULL;
}

static int group_begin(void **state)
{
    (void)state;
    struct err e;
    struct server_config hasty = usual, narrow = usual;
    big = malloc(BIG);
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i * 7 >> 3);
    assert_true(loop_create_all(2, &e));
    assert_true(file_pool_open(&e));
    hasty.head_timeout_us = 300 * CLOCK_MS;
    hasty.idle_timeout_us = 400 * CLOCK_MS;
    narrow.max_connections = 2;
    open_server(MAIN, usual);
    open_server(HASTY, hasty);
    open_server(NARROW, narrow);
    open_server(DRAINED, usual);
    return pthread_create(&server_thread, NULL, run, NULL);
}

static void stop(void *arg)
{
    (void)arg;
    loop_stop_all();
}

static int group_end(void **state)
{
    (void)state;
    loop_post(loop_at(0), stop, NULL);
    pthread_join(server_thread, NULL);
    file_pool_close();
    for (int i = 0; i < SERVERS; i++)
        server_close(servers[i]);
    free(big);
    return 0;
}

/* ---- a client ---- */

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

static struct client connect_to(int server)
{
    struct client c = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)ports[server])};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(c.fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return c;
}

static void leave(struct client *c)
{
    close(c->fd);
    free(c->p);
    *c = (struct client){.fd = -1};
}

/* Stops early when the server has closed: what it answered is still to be read. */
static void send_bytes(struct client *c, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        p += sent;
        n -= (size_t)sent;
    }
}

static void say(struct client *c, const char *text)
{
    send_bytes(c, text, strlen(text));
}

/* Reads some more; false at the end or when nothing comes in time. */
static bool read_some(struct client *c, int wait_ms)
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

static bool find_answer(struct client *c, bool head_only, size_t *whole, struct answer *out)
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

static char last_memory[BIG + 65536];

/* The next answer, valid until the one after it; status 0 when none came. */
static struct answer hear_as(struct client *c, bool head_only)
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

static struct answer hear(struct client *c)
{
    return hear_as(c, false);
}

static bool has(struct answer a, const char *line)
{
    size_t at;
    return str_find(a.head, str_from(line), &at);
}

static void expect(struct answer a, int status, const char *body)
{
    assert_int_equal(a.status, status);
    if (!body)
        return;
    assert_int_equal(a.body.n, strlen(body));
    assert_memory_equal(a.body.p, body, a.body.n);
}

/* The server closes, and sends nothing more before. */
static void expect_close(struct client *c)
{
    assert_int_equal(c->n, 0);
    while (!c->ended)
        if (!read_some(c, WAIT_MS))
            break;
    assert_true(c->ended);
    assert_int_equal(c->n, 0);
}

static void wait_until(const atomic_int *value, int least)
{
    for (int i = 0; atomic_load(value) < least; i++) {
        assert_true(i < WAIT_MS);
        poll(NULL, 0, 1);
    }
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

/* ---- keeping connections ---- */

static void test_keep_alive(void **state)
{
    (void)state;
    struct client c = connect_to(MAIN);
    for (int i = 0; i < 3; i++) {
        say(&c, GET("/hello"));
        struct answer a = hear(&c);
        expect(a, 200, "hello");
        assert_true(has(a, "HTTP/1.1 200 OK\r\nDate: "));
        assert_true(has(a, "Connection: keep-alive\r\n"));
    }
    say(&c, "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    struct answer a = hear(&c);
    expect(a, 200, "hello");
    assert_true(has(a, "Connection: close\r\n"));
    expect_close(&c);
    leave(&c);
}

static void test_http10(void **state)
{
    (void)state;
    struct client c = connect_to(MAIN);
    say(&c, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_true(has(hear(&c), "Connection: keep-alive\r\n"));
    say(&c, "GET /hello HTTP/1.0\r\n\r\n");
    assert_true(has(hear(&c), "Connection: close\r\n"));
    expect_close(&c);
    leave(&c);
}

static void test_bodyless(void **state)
{
    (void)state;
    struct client c = connect_to(MAIN);
    say(&c, "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    struct answer a = hear_as(&c, true);
    assert_int_equal(a.status, 200);
    assert_true(has(a, "Content-Length: 5\r\n"));
    say(&c, GET("/empty"));
    a = hear(&c);
    assert_int_equal(a.status, 204);
    assert_false(has(a, "Content-Length"));
    say(&c, GET("/nothing"));
    expect(hear(&c), 404, "no such path");
    leave(&c);
}

struct sending {
    struct client *c;
    const char *p;
    size_t n;
};

static void *send_all(void *arg)
{
    struct sending *s = arg;
    send_bytes(s->c, s->p, s->n);
    return NULL;
}

static void test_pipelining(void **state)
{
    (void)state;
    enum { COUNT = 3000 }; /* more than the input buffer holds */
    struct client c = connect_to(MAIN);
    static char all[COUNT * 64];
    size_t n = 0;
    for (int i = 0; i < COUNT; i++)
        n += (size_t)snprintf(all + n, sizeof(all) - n, "GET /info?%d HTTP/1.1\r\nHost: a\r\n\r\n",
                              i);
    struct sending s = {&c, all, n};
    pthread_t sender; /* sends while we read: neither side may wait for the other */
    assert_int_equal(pthread_create(&sender, NULL, send_all, &s), 0);
    for (int i = 0; i < COUNT; i++) {
        char want[64];
        snprintf(want, sizeof(want), "127.0.0.1 %d 0 ", i);
        expect(hear(&c), 200, want);
    }
    pthread_join(sender, NULL);
    leave(&c);
}

static void test_pipelined_bodies(void **state)
{
    (void)state;
    struct client c = connect_to(MAIN);
    say(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            "2\r\nde\r\n1;x\r\nf\r\n0\r\n\r\n"
            "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nGET " GET("/hello"));
    expect(hear(&c), 200, "abc");
    expect(hear(&c), 200, "def");
    expect(hear(&c), 200, "hello");
    expect(hear(&c), 200, "hello");
    leave(&c);
}

static void test_bytewise(void **state)
{
    (void)state;
    struct client c = connect_to(MAIN);
    static const char text[] =
        "\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n0\r\nX: y\r\n\r\n" GET("/hello");
    for (size_t i = 0; i < sizeof(text) - 1; i++)
        send_bytes(&c, text + i, 1);
    expect(hear(&c), 200, "abc");
    expect(hear(&c), 200, "hello");
    leave(&c);
}

static void test_half_close(void **state)
{
    (void)state;
    struct client c = connect_to(MAIN);
    say(&c, GET("/nap") GET("/hello"));
    shutdown(c.fd, SHUT_WR);
    expect(hear(&c), 200, "nap");
    struct answer a = hear(&c);
    expect(a, 200, "hello");
    assert_true(has(a, "Connection: close\r\n"));
    expect_close(&c);
    leave(&c);
    c = connect_to(MAIN);
    say(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    shutdown(c.fd, SHUT_WR);
    expect(hear(&c), 400, NULL);
    expect_close(&c);
    leave(&c);
}

/* ---- refused heads ---- */

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int status;
    } rows[] = {
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         400},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
         400},
        {"GET /hello HTTP/1.1\nHost: a\n\n", 400},
        {"GET /hello HTTP/1.1\r\n\r\n", 400},
        {"GET http://b/hello HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET /hello HTTP/3.0\r\nHost: a\r\n\r\n", 505},
        {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct client c = connect_to(MAIN);
        say(&c, rows[i].text);
        say(&c, GET("/hello")); /* smuggled: must not be answered */
        struct answer a = hear(&c);
        expect(a, rows[i].status, NULL);
        assert_true(has(a, "Connection: close\r\n"));
        expect_close(&c);
        leave(&c);
    }
}

static void test_long_line(void **state)
{
    (void)state;
    static char line[200 * 1024];
    struct client c = connect_to(MAIN);
    memset(line, 'a', sizeof(line));
    memcpy(line, "GET /", 5);
    send_bytes(&c, line, sizeof(line)); /* more than we take: the answer survives it */
    expect(hear(&c), 414, NULL);
    leave(&c);
}

static void test_bad_header(void **state)
{
    (void)state;
    struct client c = connect_to(MAIN);
    say(&c, GET("/inject"));
    struct answer a = hear(&c);
    expect(a, 500, "");
    assert_false(has(a, "Set-Cookie"));
    expect_close(&c);
    leave(&c);
}

/* ---- bodies ---- */

static unsigned checksum(const char *p, size_t n)
{
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++)
        sum = sum * 31 + (unsigned char)p[i];
    return sum;
}

static void test_large_bodies(void **state)
{
    (void)state;
    char head[128], want[64];
    struct client c = connect_to(MAIN);
    snprintf(want, sizeof(want), "%d %u", BIG, checksum(big, BIG));
    snprintf(head, sizeof(head), "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n",
             BIG);
    say(&c, head);
    send_bytes(&c, big, BIG);
    expect(hear(&c), 200, want);
    say(&c, "POST /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (size_t at = 0, n = 1; at < BIG; at += n, n = n * 3 % 70001 + 1) {
        n = n < BIG - at ? n : BIG - at;
        snprintf(head, sizeof(head), "%zx\r\n", n);
        say(&c, head);
        send_bytes(&c, big + at, n);
        say(&c, "\r\n");
    }
    say(&c, "0\r\n\r\n" GET("/hello"));
    expect(hear(&c), 200, want);
    expect(hear(&c), 200, "hello");
    leave(&c);
}

static void test_too_large(void **state)
{
    (void)state;
    struct client c = connect_to(MAIN);
    say(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n");
    expect(hear(&c), 413, NULL);
    expect_close(&c);
    leave(&c);
    c = connect_to(MAIN);
    say(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n");
    send_bytes(&c, big, 0x100001);
    expect(hear(&c), 413, NULL);
    leave(&c);
}

static void test_unread_body(void **state)
{
    (void)state;
    struct client c = connect_to(MAIN);
    say(&c, "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n");
    expect(hear(&c), 200, "hello");
    send_bytes(&c, big, 60000);
    say(&c, GET("/hello"));
    expect(hear(&c), 200, "hello");
    say(&c, "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n");
    struct answer a = hear(&c);
    expect(a, 200, "hello");
    assert_true(has(a, "Connection: close\r\n"));
    send_bytes(&c, big, 100000);
    expect_close(&c);
    leave(&c);
}

#define EXPECTS "Host: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"

static void test_continue(void **state)
{
    (void)state;
    struct client c = connect_to(MAIN);
    say(&c, "POST /echo HTTP/1.1\r\n" EXPECTS);
    expect(hear(&c), 100, NULL);
    say(&c, "abc");
    expect(hear(&c), 200, "abc");
    say(&c, "POST /echo HTTP/1.1\r\n" EXPECTS "abc"); /* sent already: no need to ask for it */
    expect(hear(&c), 200, "abc");
    say(&c, "POST /hello HTTP/1.1\r\n" EXPECTS);
    struct answer a = hear(&c);
    expect(a, 200, "hello");
    assert_true(has(a, "Connection: close\r\n"));
    expect_close(&c);
    leave(&c);
    c = connect_to(MAIN);
    say(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n");
    expect(hear(&c), 417, NULL);
    leave(&c);
}

/* ---- answers ---- */

static void test_big_answer(void **state)
{
    (void)state;
    struct client c = connect_to(MAIN);
    say(&c, GET("/big") GET("/file"));
    struct answer a = hear(&c);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.body.n, BIG);
    assert_memory_equal(a.body.p, big, BIG);
    a = hear(&c);
    expect(a, 206, "23456");
    leave(&c);
}

static void test_gone(void **state)
{
    (void)state;
    int before = atomic_load(&cancelled), parked_before = atomic_load(&parked);
    struct linger reset = {1, 0};
    struct client c = connect_to(MAIN);
    say(&c, GET("/park"));
    wait_until(&parked, parked_before + 1);
    setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    leave(&c);
    wait_until(&cancelled, before + 1);
    c = connect_to(MAIN); /* leaves in the middle of an answer */
    say(&c, GET("/big"));
    assert_true(read_some(&c, WAIT_MS));
    int done = atomic_load(&finished);
    leave(&c);
    wait_until(&finished, done + 1);
}

static void test_forwarded(void **state)
{
    (void)state;
    struct client c = connect_to(MAIN);
    say(&c, "GET /info?q HTTP/1.1\r\nHost: a\r\nUser-Agent: me\r\nX-Forwarded-Proto: https\r\n"
            "X-Forwarded-For: 6.6.6.6, 1.2.3.4, 127.0.0.9\r\n\r\n");
    expect(hear(&c), 200, "1.2.3.4 q 1 me");
    leave(&c);
}

/* ---- time ---- */

static void test_head_timeout(void **state)
{
    (void)state;
    struct client c = connect_to(HASTY);
    say(&c, "GET /hello HTTP/1.1\r\nHost:");
    struct answer a = hear(&c);
    expect(a, 408, NULL);
    assert_true(has(a, "Connection: close\r\n"));
    expect_close(&c);
    leave(&c);
}

static void test_idle_timeout(void **state)
{
    (void)state;
    struct client c = connect_to(HASTY);
    say(&c, GET("/hello"));
    expect(hear(&c), 200, "hello");
    int64_t begin = clock_mono_us();
    expect_close(&c);
    assert_in_range(clock_mono_us() - begin, 350 * CLOCK_MS, 3 * CLOCK_S);
    leave(&c);
    c = connect_to(HASTY);
    expect_close(&c);
    leave(&c);
}

static void test_slow_body(void **state)
{
    (void)state;
    struct client c = connect_to(MAIN);
    say(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n");
    for (int i = 0; i < 60 && c.n == 0; i++) { /* 50 bytes in ten seconds */
        say(&c, "x");
        read_some(&c, 200);
    }
    expect(hear(&c), 408, NULL);
    expect_close(&c);
    leave(&c);
}

static void test_connection_cap(void **state)
{
    (void)state;
    struct client a = connect_to(NARROW), b = connect_to(NARROW), late = connect_to(NARROW);
    say(&a, GET("/hello"));
    say(&b, GET("/hello"));
    say(&late, GET("/hello"));
    expect(hear(&a), 200, "hello");
    expect(hear(&b), 200, "hello");
    assert_false(read_some(&late, 100));
    leave(&a);
    expect(hear(&late), 200, "hello");
    leave(&late);
    leave(&b);
}

/* ---- stopping ---- */

static atomic_int drained;

static void on_drained(void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&drained, 1);
}

static void begin_drain(void *ctx)
{
    (void)ctx;
    server_drain(servers[DRAINED], on_drained, NULL);
}

enum { IDLE = 20, NAPS = 20, PIPES = 10 };

static void answer_closing(struct client *c, const char *body)
{
    struct answer a = hear(c);
    expect(a, 200, body);
    assert_true(has(a, "Connection: close\r\n"));
    expect_close(c);
    leave(c);
}

static void test_second_server(void **state)
{
    (void)state;
    struct server_config c = usual;
    struct server *second = NULL;
    struct err e;
    c.listen = ports_text[MAIN];
    assert_false(server_open(&c, &second, &e));
    assert_string_equal(e.code, "address_in_use");
    assert_non_null(strstr(e.message, "setting listen"));
}

static void test_drain(void **state)
{
    (void)state;
    struct client idle[IDLE], naps[NAPS], pipes[PIPES], partial = connect_to(DRAINED),
                                                        silent = connect_to(DRAINED);
    int before = atomic_load(&parked);
    for (int i = 0; i < IDLE; i++) {
        idle[i] = connect_to(DRAINED);
        if (i % 2 == 0) { /* the others have not sent anything yet */
            say(&idle[i], GET("/hello"));
            expect(hear(&idle[i]), 200, "hello");
        }
    }
    for (int i = 0; i < NAPS; i++) {
        naps[i] = connect_to(DRAINED);
        say(&naps[i], GET("/nap"));
    }
    for (int i = 0; i < PIPES; i++) {
        pipes[i] = connect_to(DRAINED);
        say(&pipes[i], GET("/nap") GET("/hello") GET("/nap?2"));
    }
    say(&partial, "GET /hello HTTP/1.1\r\n");
    wait_until(&parked, before + NAPS + PIPES);
    struct client queued = connect_to(DRAINED);
    loop_post(loop_at(0), begin_drain, NULL);
    for (int i = 0; i < NAPS; i++)
        answer_closing(&naps[i], "nap");
    for (int i = 0; i < PIPES; i++) {
        expect(hear(&pipes[i]), 200, "nap");
        expect(hear(&pipes[i]), 200, "hello");
        answer_closing(&pipes[i], "2");
    }
    for (int i = 0; i < IDLE; i++) {
        say(&idle[i], GET("/hello"));
        answer_closing(&idle[i], "hello");
    }
    say(&queued, GET("/hello"));
    answer_closing(&queued, "hello");
    say(&partial, "Host: a\r\n\r\n");
    answer_closing(&partial, "hello");
    assert_int_equal(atomic_load(&drained), 0);
    expect_close(&silent);
    leave(&silent);
    wait_until(&drained, 1);
    struct server_stats s = server_stats(servers[DRAINED]);
    assert_int_equal(s.connections, 0);
    assert_int_equal(s.in_flight, 0);
    assert_int_equal(s.requests, IDLE + IDLE / 2 + NAPS + 3 * PIPES + 2);
}

/* Nothing of all that went before is left behind. */
static void test_nothing_left(void **state)
{
    (void)state;
    for (int i = 0; server_stats(servers[MAIN]).connections > 0; i++) {
        assert_true(i < WAIT_MS);
        poll(NULL, 0, 1);
    }
    assert_int_equal(server_stats(servers[MAIN]).in_flight, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keep_alive),       cmocka_unit_test(test_http10),
        cmocka_unit_test(test_bodyless),         cmocka_unit_test(test_pipelining),
        cmocka_unit_test(test_pipelined_bodies), cmocka_unit_test(test_bytewise),
        cmocka_unit_test(test_half_close),       cmocka_unit_test(test_refused),
        cmocka_unit_test(test_long_line),        cmocka_unit_test(test_bad_header),
        cmocka_unit_test(test_large_bodies),     cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_unread_body),      cmocka_unit_test(test_continue),
        cmocka_unit_test(test_big_answer),       cmocka_unit_test(test_gone),
        cmocka_unit_test(test_forwarded),        cmocka_unit_test(test_head_timeout),
        cmocka_unit_test(test_idle_timeout),     cmocka_unit_test(test_connection_cap),
        cmocka_unit_test(test_second_server),    cmocka_unit_test(test_drain),
        cmocka_unit_test(test_slow_body),        cmocka_unit_test(test_nothing_left),
    };
    return cmocka_run_group_tests(tests, group_begin, group_end);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The server on real sockets and loops; the tests are its clients, on a thread of their own. */
#include "http/server.h"

#include <pthread.h>

#include "base/clock.h"
#include "http/test_client.h"
#include "runtime/fiber.h"
#include "runtime/file.h"
#include "runtime/loop.h"

enum { BIG = CLIENT_BODY_MAX };

static struct server *server;
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

static bool answer_long(struct req *req, struct resp *resp, struct err *e)
{
    (void)req;
    if (fiber_sleep(1400 * CLOCK_MS) == FIBER_GONE)
        return err_set(e, 499, "client_gone", "gone");
    resp_text(resp, 200, S("text/plain"), S("long"));
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
    {"/hello", answer_hello}, {"/echo", answer_echo},     {"/stream", answer_stream},
    {"/nap", answer_nap},     {"/long", answer_long},     {"/park", answer_park},
    {"/info", answer_info},   {"/big", answer_big},       {"/file", answer_file},
    {"/empty", answer_empty}, {"/inject", answer_inject},
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

static void *run(void *arg)
{
    (void)arg;
    loop_run_all();
    return NULL;
}

static int group_begin(void **state)
{
    (void)state;
    struct err e = {0};
    big = malloc(BIG);
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i * 7 >> 3);
    assert_true(loop_create_all(2, &e));
    assert_true(file_pool_open(&e));
    if (!server_open(&usual, &server, &e))
        fail_msg("server_open: %s (%s)", e.message, e.detail);
    server_start(server);
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
    server_close(server);
    free(big);
    return 0;
}

static struct client meet(void)
{
    return connect_to(server_addr(server).port);
}

/* ---- keeping connections ---- */

static void test_keep_alive(void **state)
{
    (void)state;
    struct client c = meet();
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
    struct client c = meet();
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
    struct client c = meet();
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
    struct client c = meet();
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
    struct client c = meet();
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
    struct client c = meet();
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
    struct client c = meet();
    say(&c, GET("/nap") GET("/hello"));
    shutdown(c.fd, SHUT_WR);
    expect(hear(&c), 200, "nap");
    struct answer a = hear(&c);
    expect(a, 200, "hello");
    assert_true(has(a, "Connection: close\r\n"));
    expect_close(&c);
    leave(&c);
    c = meet();
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
        struct client c = meet();
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
    struct client c = meet();
    memset(line, 'a', sizeof(line));
    memcpy(line, "GET /", 5);
    send_bytes(&c, line, sizeof(line)); /* more than we take: the answer survives it */
    expect(hear(&c), 414, NULL);
    leave(&c);
}

static void test_bad_header(void **state)
{
    (void)state;
    struct client c = meet();
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
    struct client c = meet();
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
    struct client c = meet();
    say(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n");
    expect(hear(&c), 413, NULL);
    expect_close(&c);
    leave(&c);
    c = meet();
    say(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n");
    send_bytes(&c, big, 0x100001);
    expect(hear(&c), 413, NULL);
    leave(&c);
}

static void test_unread_body(void **state)
{
    (void)state;
    struct client c = meet();
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
    struct client c = meet();
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
    c = meet();
    say(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n");
    expect(hear(&c), 417, NULL);
    leave(&c);
}

/* ---- answers ---- */

static void test_big_answer(void **state)
{
    (void)state;
    struct client c = meet();
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
    struct client c = meet();
    say(&c, GET("/park"));
    wait_until(&parked, parked_before + 1);
    setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    leave(&c);
    wait_until(&cancelled, before + 1);
    c = meet(); /* leaves in the middle of an answer */
    say(&c, GET("/big"));
    assert_true(read_some(&c, WAIT_MS));
    int done = atomic_load(&finished);
    leave(&c);
    wait_until(&finished, done + 1);
}

/* Closed, which looks like a half-closed connection until something is written. */
static void test_gone_quietly(void **state)
{
    (void)state;
    int before = atomic_load(&cancelled), parked_before = atomic_load(&parked);
    struct client c = meet();
    say(&c, GET("/park"));
    wait_until(&parked, parked_before + 1);
    leave(&c);
    wait_until(&cancelled, before + 1);
    c = meet(); /* half-closed for longer: is asked, and answered */
    say(&c, GET("/long") GET("/hello"));
    shutdown(c.fd, SHUT_WR);
    expect(hear(&c), 102, NULL);
    expect(hear(&c), 200, "long");
    expect(hear(&c), 200, "hello");
    expect_close(&c);
    leave(&c);
}

static void test_forwarded(void **state)
{
    (void)state;
    struct client c = meet();
    say(&c, "GET /info?q HTTP/1.1\r\nHost: a\r\nUser-Agent: me\r\nX-Forwarded-Proto: https\r\n"
            "X-Forwarded-For: 6.6.6.6, 1.2.3.4, 127.0.0.9\r\n\r\n");
    expect(hear(&c), 200, "1.2.3.4 q 1 me");
    leave(&c);
}

/* Nothing of all that went before is left behind. */
static void test_nothing_left(void **state)
{
    (void)state;
    for (int i = 0; server_stats(server).connections > 0; i++) {
        assert_true(i < WAIT_MS);
        poll(NULL, 0, 1);
    }
    assert_int_equal(server_stats(server).in_flight, 0);
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
        cmocka_unit_test(test_gone_quietly),     cmocka_unit_test(test_forwarded),
        cmocka_unit_test(test_nothing_left),
    };
    return cmocka_run_group_tests(tests, group_begin, group_end);
}

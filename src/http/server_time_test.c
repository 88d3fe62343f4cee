/* SPDX-License-Identifier: Apache-2.0 */
/* The server's time limits, its cap and how it stops, on real sockets and loops. */
#include "http/server.h"

#include <pthread.h>

#include "base/clock.h"
#include "http/test_client.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"

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
static atomic_int parked;

static const struct route any_route = {METHOD_POST, "/",   NULL, ACCESS_OPEN,
                                       LIMIT_NONE,  65536, 0,    0};

static bool answer(struct req *req, struct resp *resp, struct err *e)
{
    if (req->malformed) {
        *e = *req->malformed;
        return false;
    }
    req->route = &any_route;
    if (!req_body_all(req, any_route.body_max, e))
        return false;
    if (str_is(req->path, "/nap")) {
        atomic_fetch_add(&parked, 1);
        if (fiber_sleep(300 * CLOCK_MS) == FIBER_GONE)
            return err_set(e, 499, "client_gone", "gone");
        resp_text(resp, 200, S("text/plain"), req->query.p ? req->query : S("nap"));
        return true;
    }
    resp_text(resp, 200, S("text/plain"), S("hello"));
    return true;
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

static const struct server_config usual = {
    .listen = "127.0.0.1:0",
    .setting = "listen",
    .max_connections = 1000,
    .head_timeout_us = 10 * CLOCK_S,
    .idle_timeout_us = 75 * CLOCK_S,
    .body_min_rate_bps = 500,
    .drain_us = 30 * CLOCK_S,
    .drain_idle_us = 1500 * CLOCK_MS,
    .arena_budget_bytes = 1024 * 1024,
    .handle = handle,
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
    assert_true(loop_create_all(2, &e));
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
    for (int i = 0; i < SERVERS; i++)
        server_close(servers[i]);
    return 0;
}

static struct client meet(int i)
{
    return connect_to(ports[i]);
}

/* ---- time ---- */

static void test_head_timeout(void **state)
{
    (void)state;
    struct client c = meet(HASTY);
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
    struct client c = meet(HASTY);
    say(&c, GET("/hello"));
    expect(hear(&c), 200, "hello");
    int64_t begin = clock_mono_us();
    expect_close(&c);
    assert_in_range(clock_mono_us() - begin, 350 * CLOCK_MS, 3 * CLOCK_S);
    leave(&c);
    c = meet(HASTY);
    expect_close(&c);
    leave(&c);
}

static void test_slow_body(void **state)
{
    (void)state;
    struct client c = meet(MAIN);
    say(&c, "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n");
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
    struct client a = meet(NARROW), b = meet(NARROW), late = meet(NARROW);
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
    struct client idle[IDLE], naps[NAPS], pipes[PIPES], partial = meet(DRAINED),
                                                        silent = meet(DRAINED);
    int before = atomic_load(&parked);
    for (int i = 0; i < IDLE; i++) {
        idle[i] = meet(DRAINED);
        if (i % 2 == 0) { /* the others have not sent anything yet */
            say(&idle[i], GET("/hello"));
            expect(hear(&idle[i]), 200, "hello");
        }
    }
    for (int i = 0; i < NAPS; i++) {
        naps[i] = meet(DRAINED);
        say(&naps[i], GET("/nap"));
    }
    for (int i = 0; i < PIPES; i++) {
        pipes[i] = meet(DRAINED);
        say(&pipes[i], GET("/nap") GET("/hello") GET("/nap?2"));
    }
    say(&partial, "GET /hello HTTP/1.1\r\n");
    wait_until(&parked, before + NAPS + PIPES);
    struct client queued = meet(DRAINED);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_timeout),  cmocka_unit_test(test_idle_timeout),
        cmocka_unit_test(test_slow_body),     cmocka_unit_test(test_connection_cap),
        cmocka_unit_test(test_second_server), cmocka_unit_test(test_drain),
    };
    return cmocka_run_group_tests(tests, group_begin, group_end);
}

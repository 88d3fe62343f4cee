/* SPDX-License-Identifier: Apache-2.0 */
/* Outgoing calls against a server that answers, hangs, lies and breaks off. */
#include "client.c"

#include "http/server.h"
#include "http/test_cert.h"
#include "http/test_upstream.h"
#include "http/tls.h"
#include "runtime/timer.h"

/* ---- the server ---- */

static char big[100 * 1024];

static void answer(int fd, const char *path, const char *request, size_t n, int number)
{
    char text[16384];
    size_t length = 0;
    if (strcmp(path, "/echo") == 0) {
        length = (size_t)snprintf(text, sizeof(text),
                                  "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                                  "Content-Length: %zu\r\n\r\n",
                                  n);
        upstream_say(fd, text, length);
        upstream_say(fd, request, n);
        return;
    }
    if (strcmp(path, "/big") == 0) {
        length = (size_t)snprintf(text, sizeof(text),
                                  "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", sizeof(big));
        upstream_say(fd, text, length);
        upstream_say(fd, big, sizeof(big));
        return;
    } else if (strcmp(path, "/redirect") == 0)
        length = (size_t)snprintf(
            text, sizeof(text), "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
    else if (strcmp(path, "/early") == 0)
        length = (size_t)snprintf(text, sizeof(text),
                                  "HTTP/1.1 103 Early Hints\r\nX-A: early\r\n\r\n"
                                  "HTTP/1.1 204 No Content\r\nX-A: late\r\n\r\n");
    else if (strcmp(path, "/down") == 0)
        length = (size_t)snprintf(text, sizeof(text),
                                  "HTTP/1.1 503 Away\r\nContent-Length: 4\r\n\r\ndown");
    else
        length = (size_t)snprintf(
            text, sizeof(text),
            "HTTP/1.1 200 OK\r\nX-Connection:  %d \r\nContent-Length: 5\r\n\r\nhello", number);
    upstream_say(fd, text, length);
}

/* Answers that are none; true when the connection is over. */
static bool misbehave(int fd, const char *path)
{
    static const struct {
        const char *path, *answer;
    } rows[] = {
        {"/drop", ""},
        {"/garbage", "220 this is no HTTP\r\n"},
        {"/short", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"},
        {"/chunked",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n"},
    };
    if (strcmp(path, "/hang") == 0) {
        upstream_hang(fd);
        return true;
    }
    if (strcmp(path, "/headers") == 0) {
        upstream_say(fd, "HTTP/1.1 200 OK\r\n", 17);
        for (int i = 0; i < 4000; i++)
            upstream_say(fd, "X-Filler: 0123456789012345678901234567890123456789\r\n", 52);
        upstream_say(fd, "\r\n", 2);
        return true;
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(path, rows[i].path) == 0) {
            upstream_say(fd, rows[i].answer, strlen(rows[i].answer));
            return true;
        }
    }
    return false;
}

/* One request after the other; a body is read by its Content-Length. */
static void serve(int fd, int number)
{
    char in[16384];
    for (size_t n = 0;;) {
        size_t end, length = 0;
        struct str have = str_of(in, n);
        if (!str_find(have, S("\r\n\r\n"), &end)) {
            ssize_t got = recv(fd, in + n, sizeof(in) - 1 - n, 0);
            if (got <= 0)
                return;
            n += (size_t)got;
            continue;
        }
        in[n] = '\0';
        const char *given = strstr(in, "Content-Length: ");
        if (given)
            length = strtoul(given + 16, NULL, 10);
        while (n < end + 4 + length) {
            ssize_t got = recv(fd, in + n, sizeof(in) - 1 - n, 0);
            if (got <= 0)
                return;
            n += (size_t)got;
        }
        char path[64] = "";
        sscanf(in, "%*s %63s", path);
        if (misbehave(fd, path))
            return;
        answer(fd, path, in, n, number);
        n = 0;
    }
}

/* ---- calls ---- */

struct one {
    struct client_request request;
    const char *url, *path; /* url, else path at the server */
    int64_t deadline_us;    /* 0: none */
    int64_t cancel_us;      /* 0: never */
    /* what came of it */
    bool ok;
    struct err e;
    struct arena arena;
    struct client_response response;
    int64_t took_us;
};

struct canceller {
    struct timer timer;
    struct fiber *fiber;
};

static void on_cancel(struct timer *t)
{
    fiber_cancel(LIST_ENTRY(t, struct canceller, timer)->fiber);
}

static void one_run(void *arg)
{
    struct one *o = arg;
    struct canceller c = {.fiber = fiber_current()};
    char url[128];
    if (o->deadline_us)
        fiber_set_deadline(clock_mono_us() + o->deadline_us);
    if (o->cancel_us)
        timer_arm(&c.timer, clock_mono_us() + o->cancel_us, on_cancel);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", upstream.port, o->path ? o->path : "");
    o->request.url = str_from(o->url ? o->url : url);
    if (!o->request.method)
        o->request.method = "GET";
    if (!o->request.timeout_us)
        o->request.timeout_us = 10 * CLOCK_S;
    if (!o->request.response_max)
        o->request.response_max = 64 * 1024;
    int64_t begin = clock_mono_us();
    err_clear(&o->e);
    o->ok = client_fetch(&o->request, &o->arena, &o->response, &o->e);
    o->took_us = clock_mono_us() - begin;
    timer_disarm(&c.timer);
}

static struct one fetch_on(unsigned loop, struct one o)
{
    arena_init(&o.arena, 1 << 20);
    in_fiber(loop, one_run, &o);
    return o;
}

static struct one fetch(struct one o)
{
    return fetch_on(0, o);
}

static void done(struct one *o)
{
    arena_close(&o->arena);
}

static void expect_error(struct one o, int status, const char *code)
{
    if (o.ok || o.e.status != status || strcmp(o.e.code, code) != 0)
        fail_msg("wanted %d %s, got %d %s (%s)", status, code, o.e.status,
                 o.ok ? "success" : o.e.code, o.ok ? "" : o.e.detail);
    done(&o);
}

static void expect_answer(struct one *o, int status, const char *body)
{
    if (!o->ok)
        fail_msg("%d %s (%s)", o->e.status, o->e.code, o->e.detail);
    assert_int_equal(o->response.status, status);
    if (!str_is(o->response.body, body))
        fail_msg("got %.*s", STR_ARG(o->response.body));
}

/* ---- tests ---- */

static void connections_are_kept(void **state)
{
    (void)state;
    struct one first = fetch((struct one){.path = "/ok"});
    expect_answer(&first, 200, "hello");
    struct str number = field_get(first.response.headers, "x-connection");
    assert_true(number.n > 0);
    for (int i = 0; i < 3; i++) {
        struct one o = fetch((struct one){.path = "/ok"});
        expect_answer(&o, 200, "hello");
        assert_true(str_eq(field_get(o.response.headers, "X-Connection"), number));
        assert_null(o.response.content_type.p);
        done(&o);
    }
    done(&first);
    first = fetch_on(1, (struct one){.path = "/ok"}); /* another loop has its own */
    expect_answer(&first, 200, "hello");
    done(&first);
}

static void what_is_sent(void **state)
{
    (void)state;
    struct one o =
        fetch((struct one){.path = "/echo",
                           .request = {.method = "POST",
                                       .headers = S("X-A: 1\r\nX-Empty:\r\n"
                                                    "Content-Type: application/json\r\n"),
                                       .body = S("{\"a\":\0}")}});
    assert_true(o.ok);
    struct str text = o.response.body;
    size_t at;
    assert_true(str_starts(text, S("POST /echo HTTP/1.1\r\nHost: 127.0.0.1:")));
    assert_true(str_find(text, S("\r\nX-A: 1\r\n"), &at));
    assert_true(str_find(text, S("\r\nX-Empty:\r\n"), &at));
    assert_true(str_find(text, S("\r\nContent-Type: application/json\r\n"), &at));
    assert_true(str_find(text, S("\r\nUser-Agent: basalt\r\n"), &at));
    assert_false(str_find(text, S("Expect"), &at));
    assert_true(str_ends(text, S("\r\n\r\n{\"a\":\0}")));
    assert_true(str_is(o.response.content_type, "text/plain"));
    done(&o);
}

static void answers(void **state)
{
    (void)state;
    struct one o = fetch((struct one){.path = "/redirect"});
    expect_answer(&o, 302, ""); /* not followed */
    assert_true(str_is(field_get(o.response.headers, "location"), "/ok"));
    done(&o);
    o = fetch((struct one){.path = "/early"});
    expect_answer(&o, 204, "");
    assert_true(str_is(field_get(o.response.headers, "x-a"), "late"));
    done(&o);
    o = fetch((struct one){.path = "/ok", .request.method = "HEAD"});
    expect_answer(&o, 200, "");
    done(&o);
    o = fetch((struct one){.path = "/big", .request.response_max = 100 * 1024});
    assert_true(o.ok);
    assert_int_equal(o.response.body.n, 100 * 1024);
    done(&o);
}

static void bad_answers(void **state)
{
    (void)state;
    static const char *const paths[] = {"/drop", "/garbage", "/short", "/chunked"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        expect_error(fetch((struct one){.path = paths[i]}), 502, "upstream_unreachable");
    expect_error(fetch((struct one){.path = "/big"}), 502, "upstream_too_large");
    expect_error(fetch((struct one){.path = "/headers"}), 502, "upstream_too_large");
}

static void refused_calls(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "http://127.0.0.1:1/", "file:///etc/passwd", "ftp://127.0.0.1/", "no url", "http://",
        "http://127.0.0.1/a b"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        expect_error(fetch((struct one){.url = urls[i]}), 502, "upstream_unreachable");
    static const struct str headers[] = {S_INIT("A: 1"),       S_INIT("A: 1\r\n\r\nGET"),
                                         S_INIT("A B: 1\r\n"), S_INIT("A: 1\nB: 2\r\n"),
                                         S_INIT(": 1\r\n"),    S_INIT("A\r\n")};
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        expect_error(fetch((struct one){.path = "/ok", .request.headers = headers[i]}), 502,
                     "upstream_unreachable");
}

static void time_limits(void **state)
{
    (void)state;
    struct one o = fetch((struct one){.path = "/hang", .request.timeout_us = 200 * CLOCK_MS});
    assert_true(o.took_us >= 200 * CLOCK_MS && o.took_us < 5 * CLOCK_S);
    expect_error(o, 504, "upstream_timeout");
    o = fetch((struct one){.path = "/hang", .deadline_us = 200 * CLOCK_MS});
    assert_true(o.took_us >= 190 * CLOCK_MS && o.took_us < 5 * CLOCK_S);
    expect_error(o, 504, "upstream_timeout");
    o = fetch((struct one){.path = "/hang", .cancel_us = 100 * CLOCK_MS});
    assert_true(o.took_us < 5 * CLOCK_S);
    expect_error(o, 499, "client_gone");
    o = fetch((struct one){.path = "/ok"}); /* the multi goes on */
    expect_answer(&o, 200, "hello");
    done(&o);
}

/* A resolver that takes its time delays neither the loop nor the end of who gives up. */
static void names(void **state)
{
    (void)state;
    char url[64];
    snprintf(url, sizeof(url), "http://localhost:%d/ok", upstream.port);
    struct one o = fetch((struct one){.url = url});
    expect_answer(&o, 200, "hello");
    done(&o);
    o = fetch((struct one){.url = "http://does-not-exist.invalid/", .request.timeout_us = CLOCK_S});
    assert_true(o.took_us < 5 * CLOCK_S);
    assert_false(o.ok);
    assert_true(o.e.status == 502 || o.e.status == 504);
    done(&o);
}

enum { MANY = 100 };

static struct one many[MANY];
static sem_t many_ended;

static void many_run(void *arg)
{
    one_run(arg);
    sem_post(&many_ended);
}

static void many_begin(void *arg)
{
    fiber_start(many_run, arg);
}

/* Some hang, some are given up, some answer, on two loops at once. */
static void many_at_once(void **state)
{
    (void)state;
    sem_init(&many_ended, 0, 0);
    for (int i = 0; i < MANY; i++) {
        many[i] = (struct one){.path = i % 3 == 0 ? "/hang" : "/ok",
                               .request.timeout_us = i % 3 == 0 ? 300 * CLOCK_MS : 20 * CLOCK_S,
                               .cancel_us = i % 6 == 0 ? 50 * CLOCK_MS : 0};
        arena_init(&many[i].arena, 1 << 20);
        loop_post(loop_at((unsigned)i % 2), many_begin, &many[i]);
    }
    for (int i = 0; i < MANY; i++)
        while (sem_wait(&many_ended) != 0)
            ;
    for (int i = 0; i < MANY; i++) {
        if (i % 6 == 0)
            expect_error(many[i], 499, "client_gone");
        else if (i % 3 == 0)
            expect_error(many[i], 504, "upstream_timeout");
        else {
            expect_answer(&many[i], 200, "hello");
            done(&many[i]);
        }
    }
    sem_destroy(&many_ended);
}

static void breakers(void **state)
{
    (void)state;
    struct breaker *b = breaker_named(BREAKER_captcha);
    for (int i = 0; i < 5; i++) {
        struct one o = fetch((struct one){.path = "/down", .request.breaker = b});
        expect_answer(&o, 503, "down");
        done(&o);
    }
    expect_error(fetch((struct one){.path = "/ok", .request.breaker = b}), 503,
                 "upstream_breaker_open");
    breaker_report(b, true);
    struct one o = fetch((struct one){.path = "/ok", .request.breaker = b});
    expect_answer(&o, 200, "hello");
    done(&o);
    for (int i = 0; i < 6; i++) /* a client that leaves says nothing about the service */
        expect_error(
            fetch((struct one){.path = "/hang", .cancel_us = CLOCK_MS, .request.breaker = b}), 499,
            "client_gone");
    assert_int_equal(breaker_state(b), BREAKER_CLOSED);
    for (int i = 0; i < 5; i++)
        expect_error(
            fetch((struct one){.path = "/hang", .request = {.timeout_us = CLOCK_MS, .breaker = b}}),
            504, "upstream_timeout");
    assert_int_equal(breaker_state(b), BREAKER_OPEN);
    breaker_report(b, true);
}

/* ---- TLS: our own server, whose certificate nobody has signed ---- */

static void handle(struct req *req, struct resp *resp, void *ctx)
{
    (void)req, (void)ctx;
    resp_text(resp, 200, S("text/plain"), S("secure"));
}

static void finished(struct req *req, struct resp *resp, uint64_t sent, void *ctx)
{
    (void)req, (void)resp, (void)sent, (void)ctx;
}

static struct tls *tls;
static struct server *tls_server;
static char certs[] = "/tmp/basalt-client-test-XXXXXX";
static char cert[64], key[64];

static void certificates(void **state)
{
    (void)state;
    char url[64], by_address[64];
    snprintf(url, sizeof(url), "https://localhost:%d/", server_addr(tls_server).port);
    snprintf(by_address, sizeof(by_address), "https://127.0.0.1:%d/", server_addr(tls_server).port);
    expect_error(fetch((struct one){.url = url}), 502, "upstream_unreachable");
    client_trust(cert);
    struct one o = fetch((struct one){.url = url, .request.headers = S("Connection: close\r\n")});
    expect_answer(&o, 200, "secure");
    done(&o);
    expect_error(fetch((struct one){.url = by_address}), 502, "upstream_unreachable");
    client_trust("");
    expect_error(fetch((struct one){.url = url}), 502, "upstream_unreachable");
}

static int group_begin(void **state)
{
    (void)state;
    struct err e;
    memset(big, 'x', sizeof(big));
    BUG(!mkdtemp(certs));
    snprintf(cert, sizeof(cert), "%s/cert.pem", certs);
    snprintf(key, sizeof(key), "%s/key.pem", certs);
    test_cert_write(cert, key, "localhost");
    BUG(!tls_open(cert, key, &tls, &e));
    upstream_open(serve);
    BUG(!loop_create_all(2, &e));
    struct server_config config = {.listen = "127.0.0.1:0",
                                   .setting = "listen",
                                   .max_connections = 100,
                                   .head_timeout_us = 10 * CLOCK_S,
                                   .idle_timeout_us = 75 * CLOCK_S,
                                   .body_min_rate_bps = 500,
                                   .drain_us = CLOCK_S,
                                   .arena_budget_bytes = 1 << 20,
                                   .tls = tls,
                                   .handle = handle,
                                   .finished = finished};
    if (!server_open(&config, &tls_server, &e))
        fail_msg("server_open: %s (%s)", e.message, e.detail);
    server_start(tls_server);
    return pthread_create(&loops_thread, NULL, loops_run, NULL);
}

static int group_end(void **state)
{
    (void)state;
    loops_end();
    server_close(tls_server);
    tls_close(tls);
    upstream_close();
    unlink(cert);
    unlink(key);
    rmdir(certs);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_are_kept),
        cmocka_unit_test(what_is_sent),
        cmocka_unit_test(answers),
        cmocka_unit_test(bad_answers),
        cmocka_unit_test(refused_calls),
        cmocka_unit_test(time_limits),
        cmocka_unit_test(names),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(breakers),
        cmocka_unit_test(certificates),
    };
    return cmocka_run_group_tests(tests, group_begin, group_end);
}

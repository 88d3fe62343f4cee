/* SPDX-License-Identifier: Apache-2.0 */
/* The server behind TLS on real sockets, with OpenSSL's client. */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "http/server.h"
#include "http/test_cert.h"
#include "http/tls.h"
#include "runtime/file.h"
#include "runtime/loop.h"

enum { BIG = 3 * 1024 * 1024 + 17 };

static struct tls *tls;
static struct server *server;
static pthread_t server_thread;
static char folder[] = "/tmp/server_tls_test.XXXXXX", cert[64], key[64];
static char *big;

/* Gives back the body that came, a file, or what the client is told about itself. */
static bool answer(struct req *req, struct resp *resp, struct err *e)
{
    if (req->malformed) {
        *e = *req->malformed;
        return false;
    }
    if (str_is(req->path, "/file")) {
        resp_empty(resp, 200);
        resp->file_length = 200000;
        return file_open_unlinked(S("/tmp"), &resp->file_fd, e)
               && file_write_at(resp->file_fd, str_of(big, 200000), 0, e);
    }
    if (!req_body_all(req, BIG, e))
        return false;
    resp_text(resp, 200, S("text/plain"), req->body.n > 0 ? req->body : S(""));
    resp_header_i64(resp, "X-Tls", req->tls);
    return true;
}

static void handle(struct req *req, struct resp *resp, void *ctx)
{
    static const struct route upload = {METHOD_POST, "/", NULL, ACCESS_OPEN, LIMIT_NONE, BIG, 0, 0};
    struct err e;
    (void)ctx;
    req->route = &upload;
    if (answer(req, resp, &e))
        return;
    resp_clear(resp);
    resp_text(resp, e.status, S("text/plain"), str_from(e.message));
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
    struct err e = {0};
    big = malloc(BIG);
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i * 13 >> 4);
    assert_non_null(mkdtemp(folder));
    snprintf(cert, sizeof(cert), "%s/crt", folder);
    snprintf(key, sizeof(key), "%s/key", folder);
    test_cert_write(cert, key, "a.example");
    assert_true(tls_open(cert, key, &tls, &e));
    struct server_config c = {
        .listen = "127.0.0.1:0",
        .setting = "listen",
        .tls = tls,
        .max_connections = 100,
        .head_timeout_us = 400 * CLOCK_MS,
        .idle_timeout_us = 75 * CLOCK_S,
        .body_min_rate_bps = 500,
        .drain_us = 5 * CLOCK_S,
        .drain_idle_us = 200 * CLOCK_MS,
        .arena_budget_bytes = 16 * 1024 * 1024,
        .handle = handle,
    };
    assert_true(loop_create_all(1, &e));
    assert_true(file_pool_open(&e));
    assert_true(server_open(&c, &server, &e));
    server_start(server);
    return pthread_create(&server_thread, NULL, run, NULL);
}

static void on_drained(void *ctx)
{
    (void)ctx;
    loop_stop_all();
}

static void drain(void *ctx)
{
    (void)ctx;
    server_drain(server, on_drained, NULL);
}

static int group_end(void **state)
{
    (void)state;
    loop_post(loop_at(0), drain, NULL);
    pthread_join(server_thread, NULL);
    file_pool_close();
    server_close(server);
    tls_close(tls);
    free(big);
    unlink(cert);
    unlink(key);
    return rmdir(folder);
}

/* ---- a client ---- */

static int connect_plain(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval wait = {8, 0};
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)server_addr(server).port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static SSL *connect_tls(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    SSL_set_fd(ssl, connect_plain());
    assert_int_equal(SSL_connect(ssl), 1);
    return ssl;
}

static void leave(SSL *ssl)
{
    close(SSL_get_fd(ssl));
    SSL_free(ssl);
}

static void say(SSL *ssl, struct str s)
{
    for (int n; s.n > 0; s = str_from_at(s, (size_t)n)) {
        n = SSL_write(ssl, s.p, s.n > 100000 ? 100000 : (int)s.n);
        assert_true(n > 0);
    }
}

static char heard[BIG + 4096];

/* Reads until the answer is whole: its head, then as much body as is expected. */
static struct str hear(SSL *ssl, size_t body_n)
{
    size_t n = 0, at = 0;
    while (!str_find(str_of(heard, n), S("\r\n\r\n"), &at) || n < at + 4 + body_n) {
        int got = SSL_read(ssl, heard + n, (int)(sizeof(heard) - n));
        assert_true(got > 0);
        n += (size_t)got;
    }
    assert_memory_equal(heard, "HTTP/1.1 200 OK\r\n", 17);
    assert_int_equal(n, at + 4 + body_n);
    return str_of(heard + at + 4, body_n);
}

static void test_requests(void **state)
{
    (void)state;
    SSL *ssl = connect_tls();
    size_t at;
    for (int i = 0; i < 3; i++) {
        say(ssl, S("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"));
        assert_memory_equal(hear(ssl, 3).p, "abc", 3);
        assert_true(str_find(str_of(heard, 400), S("X-Tls: 1\r\n"), &at));
    }
    say(ssl, S("GET /file HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_memory_equal(hear(ssl, 200000).p, big, 200000);
    leave(ssl);
}

static void test_large(void **state)
{
    (void)state;
    SSL *ssl = connect_tls();
    char head[128];
    int n = snprintf(head, sizeof(head), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n",
                     BIG);
    say(ssl, str_of(head, (size_t)n));
    say(ssl, str_of(big, BIG));
    assert_memory_equal(hear(ssl, BIG).p, big, BIG);
    leave(ssl);
}

static void test_close(void **state)
{
    (void)state;
    char end;
    SSL *ssl = connect_tls();
    say(ssl, S("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    hear(ssl, 0);
    assert_int_equal(SSL_read(ssl, &end, 1), 0); /* close_notify, so that nothing was cut off */
    assert_int_equal(SSL_get_error(ssl, 0), SSL_ERROR_ZERO_RETURN);
    leave(ssl);
    ssl = connect_tls(); /* says goodbye with its request */
    say(ssl, S("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    SSL_shutdown(ssl);
    hear(ssl, 0);
    leave(ssl);
}

static void test_handshake_limit(void **state)
{
    (void)state;
    char byte;
    int fd = connect_plain();
    assert_int_equal(recv(fd, &byte, 1, 0), 0); /* silent: closed after the head's time */
    close(fd);
    fd = connect_plain();
    assert_true(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL) > 0);
    while (recv(fd, &byte, 1, 0) > 0)
        continue; /* an alert, maybe */
    close(fd);
    SSL *ssl = connect_tls(); /* shaken hands: may be idle for longer */
    poll(NULL, 0, 700);
    say(ssl, S("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    hear(ssl, 0);
    leave(ssl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_requests),
                                       cmocka_unit_test(test_large), cmocka_unit_test(test_close),
                                       cmocka_unit_test(test_handshake_limit)};
    return cmocka_run_group_tests(tests, group_begin, group_end);
}

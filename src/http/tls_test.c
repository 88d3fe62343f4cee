/* SPDX-License-Identifier: Apache-2.0 */
/* The server's side of TLS against OpenSSL's client, through memory: no sockets. */
#include "tls.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "http/test_cert.h"

static char folder[] = "/tmp/tls_test.XXXXXX";
static char cert_a[64], key_a[64], cert_b[64], key_b[64];

static int make_files(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(cert_a, sizeof(cert_a), "%s/a.crt", folder);
    snprintf(key_a, sizeof(key_a), "%s/a.key", folder);
    snprintf(cert_b, sizeof(cert_b), "%s/b.crt", folder);
    snprintf(key_b, sizeof(key_b), "%s/b.key", folder);
    test_cert_write(cert_a, key_a, "a.example");
    test_cert_write(cert_b, key_b, "b.example");
    return 0;
}

static int drop_files(void **state)
{
    (void)state;
    unlink(cert_a);
    unlink(key_a);
    unlink(cert_b);
    unlink(key_b);
    return rmdir(folder);
}

/* ---- a client, joined to the server by hand ---- */

struct pair {
    struct tls_conn *server;
    SSL *client;
    BIO *to_client, *to_server;
    struct buf in, out;
    bool ok;
    struct err e;
};

static void to_client(struct pair *p)
{
    if (p->out.n > 0)
        BIO_write(p->to_client, p->out.p, (int)p->out.n);
    buf_reset(&p->out);
}

/* The client's bytes to the server and its answers back, until both are silent. */
static void exchange(struct pair *p)
{
    static char bytes[65536];
    for (int i = 0; i < 10; i++) {
        SSL_do_handshake(p->client);
        int n = BIO_read(p->to_server, bytes, sizeof(bytes));
        if (n > 0)
            p->ok =
                p->ok && tls_conn_feed(p->server, str_of(bytes, (size_t)n), &p->in, &p->out, &p->e);
        to_client(p);
    }
}

static struct pair meet(struct tls *t, int max_version, const char *alpn, size_t alpn_n)
{
    struct pair p = {.server = tls_conn_new(t), .ok = true};
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(ctx, max_version);
    p.client = SSL_new(ctx);
    SSL_CTX_free(ctx);
    SSL_set_security_level(p.client, 0);
    SSL_set_connect_state(p.client);
    SSL_set_alpn_protos(p.client, (const unsigned char *)alpn, (unsigned)alpn_n);
    p.to_client = BIO_new(BIO_s_mem());
    p.to_server = BIO_new(BIO_s_mem());
    SSL_set_bio(p.client, p.to_client, p.to_server);
    buf_init(&p.in, 1 << 20);
    buf_init(&p.out, 1 << 20);
    exchange(&p);
    return p;
}

static void part(struct pair *p)
{
    tls_conn_free(p->server);
    SSL_free(p->client);
    buf_free(&p->in);
    buf_free(&p->out);
}

static struct tls *open_a(void)
{
    struct tls *t = NULL;
    struct err e;
    assert_true(tls_open(cert_a, key_a, &t, &e));
    return t;
}

#define OFFER "\x02h2\x08http/1.1"

static void talk(struct tls *t, int version)
{
    struct pair p = meet(t, version, OFFER, sizeof(OFFER) - 1);
    static char text[100000], got[sizeof(text)];
    const unsigned char *chosen;
    unsigned chosen_n;
    size_t n = 0;
    memset(text, 'x', sizeof(text));
    assert_true(p.ok);
    assert_true(tls_conn_ready(p.server));
    SSL_get0_alpn_selected(p.client, &chosen, &chosen_n);
    assert_int_equal(chosen_n, 8);
    assert_memory_equal(chosen, "http/1.1", 8);

    assert_int_equal(SSL_write(p.client, "GET / HTTP/1.1", 14), 14);
    exchange(&p);
    assert_int_equal(p.in.n, 14);
    assert_true(tls_conn_seal(p.server, str_of(text, sizeof(text)), &p.out, &p.e));
    to_client(&p);
    for (int r; (r = SSL_read(p.client, got + n, (int)(sizeof(got) - n))) > 0;)
        n += (size_t)r;
    assert_int_equal(n, sizeof(text));
    assert_memory_equal(got, text, n);

    SSL_shutdown(p.client);
    exchange(&p);
    assert_true(tls_conn_ended(p.server));
    tls_conn_bye(p.server, &p.out);
    to_client(&p);
    SSL_read(p.client, got, 1);
    assert_int_equal(SSL_get_shutdown(p.client), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    part(&p);
}

static void test_talk(void **state)
{
    (void)state;
    struct tls *t = open_a();
    talk(t, TLS1_3_VERSION);
    talk(t, TLS1_2_VERSION);
    tls_close(t);
}

/* What curl --http1.0 and old proxies name. */
static void test_old_protocol(void **state)
{
    (void)state;
    struct tls *t = open_a();
    struct pair p = meet(t, TLS1_3_VERSION, "\x02h2\x08http/1.0", 12);
    const unsigned char *chosen;
    unsigned chosen_n;
    assert_true(p.ok);
    SSL_get0_alpn_selected(p.client, &chosen, &chosen_n);
    assert_int_equal(chosen_n, 8);
    assert_memory_equal(chosen, "http/1.0", 8);
    part(&p);
    tls_close(t);
}

static void test_refused(void **state)
{
    (void)state;
    struct tls *t = open_a();
    struct pair p = meet(t, TLS1_1_VERSION, OFFER, sizeof(OFFER) - 1);
    assert_false(p.ok);
    part(&p);
    p = meet(t, TLS1_3_VERSION, "\x02h2", 3);
    assert_false(p.ok);
    assert_string_equal(p.e.code, "tls_broken");
    part(&p);
    struct tls_conn *c = tls_conn_new(t);
    struct buf in, out;
    struct err e;
    buf_init(&in, 4096);
    buf_init(&out, 4096);
    assert_false(tls_conn_feed(c, S("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), &in, &out, &e));
    tls_conn_free(c);
    buf_free(&in);
    buf_free(&out);
    tls_close(t);
}

static void expect_name(struct tls *t, const char *name)
{
    struct pair p = meet(t, TLS1_3_VERSION, OFFER, sizeof(OFFER) - 1);
    X509 *x = SSL_get1_peer_certificate(p.client);
    char got[64];
    assert_non_null(x);
    X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, got, sizeof(got));
    assert_string_equal(got, name);
    X509_free(x);
    part(&p);
}

static void test_reload(void **state)
{
    (void)state;
    struct tls *t = open_a();
    struct err e;
    expect_name(t, "a.example");
    assert_int_equal(rename(cert_b, cert_a), 0);
    assert_false(tls_reload(t, &e)); /* the key is not yet the new one */
    assert_string_equal(e.code, "tls_key");
    expect_name(t, "a.example");
    assert_int_equal(rename(key_b, key_a), 0);
    assert_true(tls_reload(t, &e));
    expect_name(t, "b.example");
    tls_close(t);
    assert_false(tls_open("/nonexistent.crt", key_a, &t, &e));
    assert_string_equal(e.code, "tls_certificate");
    assert_non_null(strstr(e.message, "/nonexistent.crt"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_talk), cmocka_unit_test(test_old_protocol),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_reload)};
    return cmocka_run_group_tests(tests, make_files, drop_files);
}

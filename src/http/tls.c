/* SPDX-License-Identifier: Apache-2.0 */
#include "http/tls.h"

#include <pthread.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

enum { RECORD_MAX = 16 * 1024 }; /* plain text of one TLS record */

/* The context is swapped by tls_reload on loop 0 while every loop takes connections from it. */
struct tls {
    pthread_mutex_t lock;
    SSL_CTX *ctx;
    char *cert_file, *key_file;
};

struct tls_conn {
    SSL *ssl;
    BIO *from_peer, *to_peer; /* owned by ssl */
};

/* OpenSSL's newest reason; its queue is per thread, so it is read before anything may park. */
static bool refuse(struct err *e, const char *code, const char *what, const char *name)
{
    char reason[200];
    ERR_error_string_n(ERR_peek_last_error(), reason, sizeof(reason));
    ERR_clear_error();
    err_set(e, 500, code, "%s%s%.100s", what, name ? " " : "", name ? name : "");
    return err_detail(e, "%s", reason);
}

static bool selected(struct str ours, const unsigned char **out, unsigned char *out_n,
                     const unsigned char *in, unsigned in_n)
{
    for (unsigned at = 0; at < in_n && at + 1 + in[at] <= in_n; at += in[at] + 1U) {
        if (in[at] != ours.n || memcmp(in + at + 1, ours.p, ours.n) != 0)
            continue;
        *out = in + at + 1;
        *out_n = in[at];
        return true;
    }
    return false;
}

/* RFC 7301 §3.2: a client that names protocols, but none of ours, is told so. */
static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                           const unsigned char *in, unsigned in_n, void *arg)
{
    (void)ssl;
    (void)arg;
    bool ok = selected(S("http/1.1"), out, out_n, in, in_n)
              || selected(S("http/1.0"), out, out_n, in, in_n);
    return ok ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool load_files(SSL_CTX *ctx, const struct tls *t, struct err *e)
{
    if (SSL_CTX_use_certificate_chain_file(ctx, t->cert_file) != 1)
        return refuse(e, "tls_certificate", "cannot load the certificate", t->cert_file);
    if (SSL_CTX_use_PrivateKey_file(ctx, t->key_file, SSL_FILETYPE_PEM) != 1)
        return refuse(e, "tls_key", "cannot load the private key", t->key_file);
    if (SSL_CTX_check_private_key(ctx) != 1)
        return refuse(e, "tls_key", "the private key does not belong to the certificate",
                      t->cert_file);
    return true;
}

static bool make_context(const struct tls *t, SSL_CTX **out, struct err *e)
{
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    BUG(!ctx);
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION
                                 | SSL_OP_PRIORITIZE_CHACHA | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);         /* 34 KiB less in an idle connection */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets instead: no state here */
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_alpn_select_cb(ctx, select_protocol, NULL);
    if (!load_files(ctx, t, e)) {
        SSL_CTX_free(ctx);
        return false;
    }
    *out = ctx;
    return true;
}

static char *copy(const char *s)
{
    char *p = strdup(s);
    BUG(!p);
    return p;
}

bool tls_open(const char *cert_file, const char *key_file, struct tls **out, struct err *e)
{
    struct tls *t = calloc(1, sizeof(*t));
    BUG(!t);
    pthread_mutex_init(&t->lock, NULL);
    t->cert_file = copy(cert_file);
    t->key_file = copy(key_file);
    if (!make_context(t, &t->ctx, e)) {
        tls_close(t);
        return false;
    }
    *out = t;
    return true;
}

bool tls_reload(struct tls *t, struct err *e)
{
    SSL_CTX *made = NULL;
    if (!make_context(t, &made, e))
        return false;
    pthread_mutex_lock(&t->lock);
    SSL_CTX *old = t->ctx;
    t->ctx = made;
    pthread_mutex_unlock(&t->lock);
    SSL_CTX_free(old); /* connections hold references of their own */
    return true;
}

void tls_close(struct tls *t)
{
    if (!t)
        return;
    SSL_CTX_free(t->ctx);
    pthread_mutex_destroy(&t->lock);
    free(t->cert_file);
    free(t->key_file);
    free(t);
}

struct tls_conn *tls_conn_new(struct tls *t)
{
    struct tls_conn *c = calloc(1, sizeof(*c));
    BUG(!c);
    pthread_mutex_lock(&t->lock);
    c->ssl = SSL_new(t->ctx);
    pthread_mutex_unlock(&t->lock);
    c->from_peer = BIO_new(BIO_s_mem());
    c->to_peer = BIO_new(BIO_s_mem());
    BUG(!c->ssl || !c->from_peer || !c->to_peer);
    SSL_set_bio(c->ssl, c->from_peer, c->to_peer);
    SSL_set_accept_state(c->ssl);
    return c;
}

void tls_conn_free(struct tls_conn *c)
{
    SSL_free(c->ssl);
    free(c);
}

bool tls_conn_ready(const struct tls_conn *c)
{
    return SSL_is_init_finished(c->ssl) != 0;
}

bool tls_conn_ended(const struct tls_conn *c)
{
    return (SSL_get_shutdown(c->ssl) & SSL_RECEIVED_SHUTDOWN) != 0;
}

static void take_output(struct tls_conn *c, struct buf *out)
{
    size_t n = BIO_ctrl_pending(c->to_peer);
    if (n == 0 || !buf_reserve(out, n))
        return;
    int got = BIO_read(c->to_peer, out->p + out->n, (int)n);
    if (got > 0)
        out->n += (size_t)got;
}

/* SSL_read shakes hands too. Through the stack, so that an idle connection's buf stays small. */
static bool read_all(struct tls_conn *c, struct buf *in, struct err *e)
{
    char piece[RECORD_MAX];
    for (;;) {
        int n = SSL_read(c->ssl, piece, sizeof(piece));
        if (n > 0) {
            buf_add(in, piece, (size_t)n);
            continue;
        }
        int why = SSL_get_error(c->ssl, n);
        if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_ZERO_RETURN)
            return true;
        return refuse(e, "tls_broken", "TLS failed", NULL);
    }
}

bool tls_conn_feed(struct tls_conn *c, struct str ciphertext, struct buf *in, struct buf *out,
                   struct err *e)
{
    ERR_clear_error();
    if (ciphertext.n > 0
        && BIO_write(c->from_peer, ciphertext.p, (int)ciphertext.n) != (int)ciphertext.n)
        return refuse(e, "tls_broken", "out of memory", NULL);
    bool ok = read_all(c, in, e);
    take_output(c, out); /* the alert too, when it failed */
    return ok;
}

bool tls_conn_seal(struct tls_conn *c, struct str plain, struct buf *out, struct err *e)
{
    ERR_clear_error();
    if (plain.n > 0 && SSL_write(c->ssl, plain.p, (int)plain.n) != (int)plain.n)
        return refuse(e, "tls_broken", "TLS failed", NULL);
    take_output(c, out);
    return !out->failed || err_set(e, 500, "tls_broken", "out of memory");
}

void tls_conn_bye(struct tls_conn *c, struct buf *out)
{
    ERR_clear_error();
    if (SSL_is_init_finished(c->ssl))
        SSL_shutdown(c->ssl);
    ERR_clear_error();
    take_output(c, out);
}

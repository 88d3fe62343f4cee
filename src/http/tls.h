/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS for the listener (OpenSSL, TLS 1.2 and 1.3, ALPN http/1.1) over memory BIOs: bytes in, bytes
 * out, no I/O of its own. Certificates are read again on tls_reload; connections keep theirs.
 */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include "base/buf.h"
#include "base/err.h"

struct tls;
struct tls_conn;

MUST_CHECK bool tls_open(const char *cert_file, const char *key_file, struct tls **out,
                         struct err *e);
/* Keeps the old certificate when the new one does not load. */
MUST_CHECK bool tls_reload(struct tls *t, struct err *e);
void tls_close(struct tls *t);

struct tls_conn *tls_conn_new(struct tls *t);
void tls_conn_free(struct tls_conn *c);
/* Feeds ciphertext; plain text is appended to in, what must go to the peer (handshake, alerts) to
 * out. False: broken. */
MUST_CHECK bool tls_conn_feed(struct tls_conn *c, struct str ciphertext, struct buf *in,
                              struct buf *out, struct err *e);
/* The handshake is done. */
bool tls_conn_ready(const struct tls_conn *c);
/* The peer has said that it will send no more (close_notify). */
bool tls_conn_ended(const struct tls_conn *c);
/* Encrypts into out. */
MUST_CHECK bool tls_conn_seal(struct tls_conn *c, struct str plain, struct buf *out, struct err *e);
/* close_notify into out. */
void tls_conn_bye(struct tls_conn *c, struct buf *out);

#endif

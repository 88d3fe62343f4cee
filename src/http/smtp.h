/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends one message by SMTP (RFC 5321) from a fiber, which parks; by libcurl on a few threads of
 * their own, connections kept. The message is composed here (RFC 5322, MIME): what could add a header
 * or a recipient is refused, so callers may hand in what users wrote.
 */
#ifndef HTTP_SMTP_H
#define HTTP_SMTP_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum smtp_tls {
    SMTP_TLS_STARTTLS, /* required: without it nothing is said, not even the password */
    SMTP_TLS_IMPLICIT, /* smtps:// */
    SMTP_TLS_OFF,
};

struct smtp_server {
    struct str host;
    int port;
    enum smtp_tls tls;
    struct str user, password; /* absent: no AUTH */
    int64_t timeout_us;        /* of one message; 0: 15 s */
};

/*
 * smtp://[user:password@]host[:port][?tls=off] or smtps://…; user and password percent-encoded.
 * Ports 587 and 465 when absent. smtp:// requires STARTTLS, but on loopback, where it is off unless
 * ?tls=starttls says otherwise. e: 400 "smtp_url_invalid".
 */
MUST_CHECK bool smtp_server_parse(struct str url, struct arena *a, struct smtp_server *out,
                                  struct err *e);
/* For settings of GoTrue: the same rules about TLS for host and port; 465 is implicit TLS. */
enum smtp_tls smtp_tls_for(struct str host, int port);

struct smtp_message {
    struct str from;       /* address */
    struct str from_name;  /* UTF-8, may be absent */
    struct str to;         /* one address */
    struct str subject;    /* UTF-8 */
    struct str text, html; /* UTF-8; at least one; both become multipart/alternative */
    struct str headers;    /* further "Name: value\r\n"…, ASCII; may be absent */
    struct str message_id; /* without <>; absent: made. The same id when a message is sent again */
    int64_t date_us;       /* wall; 0: now */
};

/*
 * e: 503 "smtp_temporary" (no connection, no TLS, AUTH refused, 4xx, breaker open, too late: try
 * again later), 502 "smtp_rejected" (5xx to this message, or it cannot be composed: never again),
 * 499 "client_gone".
 */
MUST_CHECK bool smtp_send(const struct smtp_server *s, const struct smtp_message *m, struct err *e);

/* Ends the threads, if there were any; after the loops. */
void smtp_close(void);

/* The message as it goes over the wire (before dot-stuffing). e: 502 "smtp_rejected". */
MUST_CHECK bool smtp_compose(const struct smtp_message *m, struct buf *out, struct err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of a request, strictly (RFC 9112 §2-5, §6.1-6.3): bytes in, fields out, no I/O and no
 * allocation; everything points into the input. Refuses what smuggles: both Content-Length and
 * Transfer-Encoding, several or signed lengths, bare LF, folded fields, NUL or CR in values, space
 * before the colon, a missing or second Host, an absolute target whose host is another one.
 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include "base/err.h"
#include "http/method.h"

enum {
    HEAD_LINE_MAX = 8192,
    HEAD_BYTES_MAX = 32768,
    HEAD_FIELDS_MAX = 100,
};

struct head_field {
    struct str name, value; /* value without outer white space */
};

struct head {
    enum method method;
    struct str method_text;
    struct str target; /* as sent */
    struct str path;   /* "/…", not decoded, without the query; "*" for OPTIONS * */
    struct str query;  /* without '?', absent when there was none */
    int minor;         /* HTTP/1.minor: 0 or 1 */
    struct str host;
    bool keep_alive; /* by version and Connection */
    bool expect_continue;
    bool chunked;
    int64_t content_length; /* -1: none given */
    unsigned field_count;
    struct head_field fields[HEAD_FIELDS_MAX];
};

enum head_result { HEAD_MORE, HEAD_DONE, HEAD_BAD };

/*
 * bytes is all that has come in; *scanned remembers how far the end was looked for (0 at first).
 * HEAD_DONE sets *used to the head's length. HEAD_BAD sets e: 400 "bad_request", 414
 * "uri_too_long", 431 "headers_too_large", 501 "not_implemented" (transfer codings other than
 * chunked), 505 "http_version", 417 "expectation_failed"; the connection closes then. out may be
 * partly filled then (for the log and CORS).
 * Empty lines before the request line are skipped, at most one (RFC 9112 §2.2).
 */
enum head_result head_parse(struct str bytes, size_t *scanned, struct head *out, size_t *used,
                            struct err *e);

/* The bytes that h was parsed from were copied to `to`: makes it point there. */
void head_rebase(struct head *h, struct str from, const char *to);

/* First field of that name, any case; absent when there is none. */
struct str head_get(const struct head *h, struct str name);
/* Whether a comma separated field contains the token (any case), over all fields of that name. */
bool head_has_token(const struct head *h, struct str name, struct str token);

#endif

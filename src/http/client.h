/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outgoing HTTP from a fiber, which parks: libcurl's multi interface on the fiber's own loop,
 * connections kept and shared by that loop's calls. Never while a database transaction is open.
 * Certificates are verified, redirects are not followed, proxies of the environment are not used,
 * names are resolved on threads. Everything that the transfer touches is its own memory.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "base/arena.h"
#include "base/err.h"
#include "ops/breaker.h"

struct client_request {
    const char *method;      /* "GET", "POST" … */
    struct str url;          /* http or https */
    struct str headers;      /* "Name: value\r\n"…, checked */
    struct str body;         /* absent: none */
    int64_t timeout_us;      /* of the whole call; never beyond the fiber's deadline */
    size_t response_max;     /* bytes of the body */
    struct breaker *breaker; /* may be NULL; an answer under 500 counts as success */
};

struct client_response {
    int status;
    struct str headers; /* "Name: value\r\n"…; see http/field.h */
    struct str body;
    struct str content_type; /* absent when it has none */
};

/*
 * e: 502 "upstream_unreachable" (connection, TLS, broken answer), 502 "upstream_too_large",
 * 504 "upstream_timeout", 503 "upstream_breaker_open", 503 "upstream_busy" (too many calls on this
 * loop), 499 "client_gone". Any status that came is a success here. out's memory is of a.
 */
MUST_CHECK bool client_fetch(const struct client_request *r, struct arena *a,
                             struct client_response *out, struct err *e);

/*
 * A file of certificates (PEM) to trust beside the system's, for HTTP and SMTP; "" for none. Before
 * the first call.
 */
void client_trust(const char *ca_file);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "http/client.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/secret.h"
#include "base/url.h"
#include "http/field.h"
#include "http/transfer.h"
#include "runtime/fiber.h"

enum {
    URL_MAX = 8192,
    HEADERS_MAX = 64 * 1024, /* of a request and of an answer */
    STATUS_SERVER_ERROR = 500,
};

#define AWAY "A service that is needed for this is unreachable"

struct call {
    struct transfer transfer;
    struct curl_slist *lines;
    struct buf headers, answer;
    bool too_large;
};

static void call_free(struct call **at)
{
    struct call *c = *at;
    if (!c)
        return;
    transfer_close(&c->transfer);
    curl_slist_free_all(c->lines);
    buf_free(&c->headers);
    buf_free(&c->answer);
    free(c);
    *at = NULL;
}

/* ---- what libcurl calls ---------------------------------------------------------------------- */

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct call *c = arg;
    (void)size; /* always 1 */
    struct str line = str_of(p, n);
    if (str_starts(line, S("HTTP/"))) { /* of the next answer: what came was a 1xx */
        buf_reset(&c->headers);
        return n;
    }
    if (!str_eq(line, S("\r\n")))
        buf_str(&c->headers, line);
    c->too_large |= c->headers.failed;
    return c->too_large ? 0 : n;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct call *c = arg;
    (void)size;
    buf_add(&c->answer, p, n);
    c->too_large |= c->answer.failed;
    return c->too_large ? 0 : n;
}

/* ---- the request ----------------------------------------------------------------------------- */

static void add_line(struct call *c, const char *line)
{
    struct curl_slist *lines = curl_slist_append(c->lines, line);
    BUG(!lines); /* out of memory */
    c->lines = lines;
}

/* libcurl takes "Name:" for "do not send it" and "Name;" for an empty value. */
static bool add_headers(struct call *c, struct str headers)
{
    struct str name, value;
    struct buf b;
    buf_init(&b, HEADERS_MAX);
    while (field_next(&headers, &name, &value)) {
        buf_reset(&b);
        buf_str(&b, name);
        buf_str(&b, value.n > 0 ? S(": ") : S(";"));
        buf_str(&b, value);
        buf_char(&b, '\0');
        if (b.failed)
            break;
        add_line(c, b.p);
    }
    bool ok = !b.failed && headers.n == 0;
    buf_free(&b);
    return ok;
}

static bool url_usable(struct str url)
{
    struct url_parts u;
    return url.n <= URL_MAX && url_parse(url, &u) && u.host.n > 0
           && (str_eq_nocase(u.scheme, S("http")) || str_eq_nocase(u.scheme, S("https")));
}

static bool call_set_up(struct call *c, const struct client_request *r, struct err *e)
{
    CURL *h = c->transfer.easy;
    if (!url_usable(r->url) || r->headers.n > HEADERS_MAX || !add_headers(c, r->headers)) {
        err_set(e, 502, "upstream_unreachable", AWAY);
        return err_detail(e, "the URL or a header of the call is malformed");
    }
    CLEANUP(secret_wipe) struct secret url = secret_copy(r->url);
    curl_easy_setopt(h, CURLOPT_URL, url.p);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(h, CURLOPT_USERAGENT, "basalt");
    if (strcmp(r->method, "HEAD") == 0)
        curl_easy_setopt(h, CURLOPT_NOBODY, 1L);
    else if (r->body.p) {
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.n);
        curl_easy_setopt(h, CURLOPT_COPYPOSTFIELDS, r->body.p);
        add_line(c, "Expect:"); /* no round trip to be allowed to send it */
    }
    curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, r->method);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, c->lines);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, c);
    return true;
}

static bool call_open(struct call **out, const struct client_request *r, struct err *e)
{
    struct call *c = calloc(1, sizeof(*c));
    BUG(!c); /* out of memory */
    *out = c;
    buf_init(&c->headers, HEADERS_MAX);
    buf_init(&c->answer, r->response_max);
    return transfer_open(&c->transfer, e) && call_set_up(c, r, e);
}

/* ---- the answer ------------------------------------------------------------------------------ */

static bool failed(const struct call *c, enum transfer_end end, struct err *e)
{
    switch (end) {
    case TRANSFER_GONE:
        return fiber_fail(FIBER_GONE, e);
    case TRANSFER_BUSY:
        err_set(e, 503, "upstream_busy", "Too many outgoing calls, try again later");
        e->retry_after_s = 1;
        return false;
    case TRANSFER_LATE:
        return err_set(e, 504, "upstream_timeout",
                       "A service that is needed for this did not answer in time");
    case TRANSFER_ENDED:
        break;
    }
    if (c->too_large)
        return err_set(e, 502, "upstream_too_large",
                       "The answer of a service that is needed for this is too large");
    err_set(e, 502, "upstream_unreachable", AWAY);
    return err_detail(
        e, "%s", c->transfer.why[0] ? c->transfer.why : curl_easy_strerror(c->transfer.result));
}

static bool call_answer(struct call *c, struct arena *a, struct client_response *out, struct err *e)
{
    long status = 0;
    curl_easy_getinfo(c->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
    struct str headers = arena_str(a, buf_view(&c->headers));
    struct str body = arena_str(a, buf_view(&c->answer));
    if (!headers.p || !body.p)
        return err_set(e, 502, "upstream_too_large",
                       "The answer of a service that is needed for this is too large");
    *out = (struct client_response){.status = (int)status,
                                    .headers = headers,
                                    .body = body,
                                    .content_type = field_get(headers, "content-type")};
    return true;
}

/* A client that left says nothing about the service, and neither does our own limit. */
static void report(struct breaker *b, const struct call *c, enum transfer_end end)
{
    long status = 0;
    curl_easy_getinfo(c->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
    bool ok = end == TRANSFER_ENDED && c->transfer.result == CURLE_OK;
    if (b && end != TRANSFER_GONE && end != TRANSFER_BUSY)
        breaker_report(b, (ok || c->too_large) && status < STATUS_SERVER_ERROR);
}

bool client_fetch(const struct client_request *r, struct arena *a, struct client_response *out,
                  struct err *e)
{
    CLEANUP(call_free) struct call *c = NULL;
    if (!call_open(&c, r, e))
        return false;
    if (!breaker_check(r->breaker, e))
        return false;
    enum transfer_end end = transfer_run(&c->transfer, r->timeout_us);
    report(r->breaker, c, end);
    if (end != TRANSFER_ENDED || c->transfer.result != CURLE_OK)
        return failed(c, end, e);
    return call_answer(c, a, out, e);
}

void client_trust(const char *ca_file)
{
    transfer_trust(ca_file);
}

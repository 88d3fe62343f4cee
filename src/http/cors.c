/* SPDX-License-Identifier: Apache-2.0 */
#include "http/cors.h"

#include <stdlib.h>

/* Supabase Auth's list (spec auth §0), and what a gateway for all surfaces has to add. */
#define ALLOWED_HEADERS                                                                          \
    "Accept, Authorization, Content-Type, X-Client-IP, X-Client-Info, X-JWT-AUD, x-use-cookie, " \
    "X-Supabase-Api-Version, apikey, Prefer, Range, x-upsert, Content-Profile, Accept-Profile, " \
    "X-Request-ID, traceparent"
#define EXPOSED_HEADERS                                                                    \
    "X-Total-Count, Link, X-Supabase-Api-Version, Content-Range, Location, X-Request-ID, " \
    "Retry-After, Server-Timing, x-sb-error-code"

/* More requested header names than this are no browser's doing. */
enum { REQUESTED_MAX = 1024, ORIGINS_MAX = 64 };

struct origin {
    struct str prefix, suffix; /* suffix absent: prefix is all of it */
};

struct cors {
    char *text; /* owns what the strs below point into */
    bool any;
    struct origin origins[ORIGINS_MAX];
    size_t count;
    struct buf allowed; /* default list and the setting's extra headers */
};

/* ---- the setting ---- */

static bool bad_origin(struct str s, struct err *e)
{
    return err_set(e, 500, "cors_invalid", "\"%.*s\" is no origin (like https://app.example.com)",
                   (int)(s.n < 80 ? s.n : 80), s.p);
}

static bool add_origin(struct cors *c, struct str s, struct err *e)
{
    struct origin *o = &c->origins[c->count];
    size_t scheme, star;
    if (str_eq(s, S("*"))) {
        c->any = true;
        return true;
    }
    if (!str_find(s, S("://"), &scheme) || str_ends(s, S("/")) || c->count == ORIGINS_MAX)
        return bad_origin(s, e);
    o->prefix = s;
    if (str_find_char(s, '*', &star)) { /* one label or more, first in the host */
        o->prefix = str_of(s.p, star);
        o->suffix = str_from_at(s, star + 1);
        if (star != scheme + 3 || !str_starts(o->suffix, S("."))
            || memchr(o->suffix.p, '*', o->suffix.n))
            return bad_origin(s, e);
    }
    c->count++;
    return true;
}

static bool add_origins(struct cors *c, struct str origins, struct err *e)
{
    struct str item, rest = origins;
    for (bool more = origins.p != NULL; more;) {
        more = str_cut(rest, ',', &item, &rest);
        item = str_trim(item);
        if (item.n > 0 && !add_origin(c, item, e))
            return false;
    }
    return true;
}

bool cors_open(struct str origins, struct str extra_headers, struct cors **out, struct err *e)
{
    struct cors *c = calloc(1, sizeof(*c));
    BUG(!c);
    buf_init(&c->allowed, 8192);
    BUF_LIT(&c->allowed, ALLOWED_HEADERS);
    if (str_trim(extra_headers).n > 0) {
        BUF_LIT(&c->allowed, ", ");
        buf_str(&c->allowed, str_trim(extra_headers));
    }
    c->text = malloc(origins.n + 1);
    BUG(!c->text);
    memcpy(c->text, origins.n ? origins.p : "", origins.n);
    if (!add_origins(c, str_of(c->text, origins.n), e)) {
        cors_close(c);
        return false;
    }
    *out = c;
    return true;
}

void cors_close(struct cors *c)
{
    if (!c)
        return;
    buf_free(&c->allowed);
    free(c->text);
    free(c);
}

/* ---- answers ---- */

/* What a '*' may stand for: labels of a host name. */
static bool labels_valid(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i], lower = (char)(c | 0x20);
        if (!((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'))
            return false;
    }
    return s.n > 0;
}

static bool origin_matches(const struct origin *o, struct str origin)
{
    if (!o->suffix.p)
        return str_eq_nocase(o->prefix, origin);
    if (origin.n <= o->prefix.n + o->suffix.n || !str_starts_nocase(origin, o->prefix))
        return false;
    size_t tail = origin.n - o->suffix.n;
    return str_eq_nocase(str_from_at(origin, tail), o->suffix)
           && labels_valid(str_of(origin.p + o->prefix.n, tail - o->prefix.n));
}

static bool origin_allowed(const struct cors *c, struct str origin)
{
    for (size_t i = 0; i < c->count; i++)
        if (origin_matches(&c->origins[i], origin))
            return true;
    return false;
}

/*
 * "*" is answered as "*" without credentials, as Supabase's gateway does: reflecting any origin
 * together with credentials would let every site act with a visitor's cookies, and supabase-js
 * sends its tokens in headers, which need no credentials mode.
 */
void cors_headers(const struct cors *c, const struct req *req, struct resp *resp)
{
    struct str origin = req_header(req, S("origin"));
    if (c->any) {
        BUF_LIT(&resp->headers, "Access-Control-Allow-Origin: *\r\n"
                                "Access-Control-Expose-Headers: " EXPOSED_HEADERS "\r\n");
        return;
    }
    BUF_LIT(&resp->headers,
            "Vary: Origin\r\n"); /* also without one: a cache must not mix them up */
    if (!origin.p || !origin_allowed(c, origin))
        return;
    resp_header(resp, "Access-Control-Allow-Origin", origin);
    BUF_LIT(&resp->headers, "Access-Control-Allow-Credentials: true\r\n"
                            "Access-Control-Expose-Headers: " EXPOSED_HEADERS "\r\n");
}

/* A comma separated list of field names. */
static bool names_valid(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i], lower = (char)(c | 0x20);
        if (!((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'
              || c == ',' || c == ' '))
            return false;
    }
    return s.n > 0 && s.n <= REQUESTED_MAX;
}

static void put_methods(struct resp *resp, unsigned methods)
{
    BUF_LIT(&resp->headers, "Access-Control-Allow-Methods: ");
    const char *between = "";
    for (int m = METHOD_NONE + 1; m < METHOD_COUNT; m++) {
        if (!(methods >> m & 1U))
            continue;
        buf_str(&resp->headers, str_from(between));
        buf_str(&resp->headers, str_from(method_name((enum method)m)));
        between = ", ";
    }
    BUF_LIT(&resp->headers, "\r\n");
}

bool cors_preflight(const struct cors *c, const struct req *req, unsigned methods,
                    struct resp *resp)
{
    struct str origin = req_header(req, S("origin"));
    struct str requested = req_header(req, S("access-control-request-headers"));
    if (req->method != METHOD_OPTIONS || !origin.p
        || !req_header(req, S("access-control-request-method")).p)
        return false;
    resp_empty(resp, 204);
    if (!c->any && !origin_allowed(c, origin))
        return true; /* answered, but allowing nothing */
    if (methods
        == 0) /* a path that does not exist: the client shall see the 404, not a CORS error */
        methods = ~0U;
    put_methods(resp, methods);
    BUF_LIT(&resp->headers, "Access-Control-Allow-Headers: ");
    buf_str(&resp->headers, buf_view(&c->allowed));
    if (names_valid(requested)) {
        BUF_LIT(&resp->headers, ", ");
        buf_str(&resp->headers, requested);
    }
    BUF_LIT(&resp->headers,
            "\r\nAccess-Control-Max-Age: 86400\r\n"
            "Vary: Access-Control-Request-Method, Access-Control-Request-Headers\r\n");
    return true;
}

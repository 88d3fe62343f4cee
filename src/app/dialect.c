/* SPDX-License-Identifier: Apache-2.0 */
#include "app/dialect.h"

#include "base/json.h"

/* The first version whose errors are {"code":"…","message":"…"} (auth.md §3.1). */
static const struct str auth_version = S_INIT("2024-01-01");

static const struct str generic =
    S_INIT("Unexpected failure, please check server logs for more information");

/* A 5xx of ours is not explained to strangers; the words that a feature chose are. */
static struct str message_of(const struct err *e)
{
    bool ours = e->status == 500 && (!e->code || strcmp(e->code, "unexpected_failure") != 0);
    return ours || !e->message[0] ? generic : str_from(e->message);
}

static struct str code_of(const struct err *e)
{
    bool ours = e->status == 500 || !e->code;
    return ours ? S("unexpected_failure") : str_from(e->code);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* YYYY-MM-DD, so that dates compare as text. */
static bool new_auth_version(const struct req *req)
{
    struct str v = req_header(req, S("x-supabase-api-version"));
    if (v.n != auth_version.n || v.p[4] != '-' || v.p[7] != '-')
        return false;
    for (size_t i = 0; i < v.n; i++)
        if (i != 4 && i != 7 && !is_digit(v.p[i]))
            return false;
    return memcmp(v.p, auth_version.p, v.n) >= 0;
}

static void put_weak(struct buf *b, const struct err *e)
{
    if (!e->reasons)
        return;
    json_put_key(b, "weak_password");
    json_put_open(b, '{');
    json_put_kraw(b, "reasons", str_from(e->reasons));
    json_put_close(b, '}');
}

/* The gateway in front of GoTrue answers for itself when the API key is missing or wrong. */
static bool put_gateway(struct buf *b, const struct err *e)
{
    bool missing = e->code && strcmp(e->code, "no_api_key") == 0;
    bool wrong = e->code && strcmp(e->code, "invalid_api_key") == 0;
    if (!missing && !wrong)
        return false;
    json_put_kstr(b, "message", str_from(e->message));
    json_put_kstr(b, "hint",
                  missing ? S("No `apikey` request header or url param was found.")
                          : S("Double check your Supabase `anon` or `service_role` API key."));
    return true;
}

/* What RFC 6749 §5.2 words, whatever version was asked for (auth.md §3.1 "OAuth-style errors"). */
static bool put_oauth(struct buf *b, const struct err *e)
{
    static const struct str prefix = S_INIT("oauth:");
    if (!e->code || !str_starts(str_from(e->code), prefix))
        return false;
    json_put_kstr(b, "error", str_from_at(str_from(e->code), prefix.n));
    json_put_kstr(b, "error_description", str_from(e->message));
    return true;
}

static void put_auth(const struct req *req, const struct err *e, struct resp *resp, struct buf *b)
{
    if (put_oauth(b, e))
        return;
    resp_header(resp, "x-sb-error-code", code_of(e));
    if (new_auth_version(req)) {
        resp_header(resp, "X-Supabase-Api-Version", auth_version);
        json_put_kstr(b, "code", code_of(e));
        json_put_kstr(b, "message", message_of(e));
    } else {
        json_put_ki64(b, "code", e->status);
        json_put_kstr(b, "error_code", code_of(e));
        json_put_kstr(b, "msg", message_of(e));
        if (e->status >= 500)
            json_put_kstr(b, "error_id", str_from(req->id));
    }
    put_weak(b, e);
}

static void put_rest(const struct req *req, const struct err *e, struct resp *resp, struct buf *b)
{
    (void)req;
    (void)resp;
    json_put_kstr(b, "code", code_of(e));
    json_put_kstr(b, "details", (struct str){0});
    json_put_kstr(b, "hint", (struct str){0});
    json_put_kstr(b, "message", message_of(e));
}

static void put_storage(const struct req *req, const struct err *e, struct resp *resp,
                        struct buf *b)
{
    (void)resp;
    json_put_kstr(b, "statusCode", arena_printf(req->arena, "%d", e->status));
    json_put_kstr(b, "error", code_of(e));
    json_put_kstr(b, "message", message_of(e));
}

static void put_functions(const struct req *req, const struct err *e, struct resp *resp,
                          struct buf *b)
{
    (void)req;
    (void)resp;
    json_put_kstr(b, "error", message_of(e));
}

/* seed-systems.md §1.1: detail, request_id, status_code; error is the stable code. */
static void put_app(const struct req *req, const struct err *e, struct resp *resp, struct buf *b)
{
    json_put_kstr(b, "detail", message_of(e));
    json_put_kstr(b, "message", message_of(e));
    json_put_kstr(b, "error", code_of(e));
    json_put_ki64(b, "status_code", e->status);
    json_put_kstr(b, "request_id", str_from(req->id));
    if (e->status == 401)
        resp_header(resp, "WWW-Authenticate", S("Bearer realm=\"api\""));
}

typedef void dialect(const struct req *, const struct err *, struct resp *, struct buf *);

static dialect *const dialects[SURFACE_COUNT] = {
    [SURFACE_NONE] = put_app,        [SURFACE_AUTH] = put_auth,           [SURFACE_REST] = put_rest,
    [SURFACE_STORAGE] = put_storage, [SURFACE_FUNCTIONS] = put_functions, [SURFACE_APP] = put_app,
    [SURFACE_ADMIN] = put_app,
};

void dialect_write(const struct req *req, const struct err *e, struct resp *resp)
{
    resp_clear(resp);
    struct buf *b = resp_json(resp, e->status);
    json_put_open(b, '{');
    if (!put_gateway(b, e))
        dialects[req->surface](req, e, resp, b);
    json_put_close(b, '}');
    if (e->retry_after_s > 0)
        resp_header_i64(resp, "Retry-After", e->retry_after_s);
    else if (e->status == 503 || e->status == 504) /* architecture, invariant 4 */
        resp_header_i64(resp, "Retry-After", 1);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hCaptcha and Turnstile: one form to one address, and an answer of one shape
 * (docs.hcaptcha.com "Verify the User Response Server Side"; developers.cloudflare.com/turnstile
 * "Server-side validation").
 */
#include "auth/auth_private.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/url.h"
#include "http/client.h"
#include "runtime/fiber.h"

enum {
    TOKEN_MAX = 8192, /* theirs are at most some 2,500 bytes (Turnstile: 2,048) */
    ANSWER_MAX = 16 * 1024,
    CODES_MAX = 96,
    LEFT_FOR_ANSWER_US =
        500 * 1000, /* of the request's time, so that it hears of a late provider */
};

struct security_in {
    struct str gotrue_meta_security, captcha_token; /* the latter: as the app routes take it */
};

static const struct json_field security_fields[] = {
    JSON_FIELD(struct security_in, gotrue_meta_security, JSON_OBJECT, 0, 0),
    JSON_FIELD(struct security_in, captcha_token, JSON_STR, 0, 0),
};

static const struct json_shape security_shape = {security_fields, 2, false};

/* Grants that a captcha was asked for before, or whose proof is somebody else's. */
static bool grant_exempt(const struct req *req)
{
    static const char *const grants[] = {"pkce", "refresh_token", "id_token"};
    struct str grant = req_query(req, "grant_type");
    if (!str_is(req->path, "/auth/v1/token"))
        return false;
    for (size_t i = 0; i < sizeof(grants) / sizeof(grants[0]); i++)
        if (str_is(grant, grants[i]))
            return true;
    return false;
}

static bool disallowed(struct err *e, struct str why)
{
    return err_set(e, 400, "captcha_failed", "captcha protection: request disallowed (%.*s)",
                   STR_ARG(why));
}

/* What e held becomes the detail. */
static bool broken(struct err *e)
{
    struct err why = *e;
    err_set(e, 500, "unexpected_failure", "captcha verification process failed");
    return err_detail(e, "%s: %s", why.code, why.detail[0] ? why.detail : why.message);
}

static bool token_read(const struct req *req, struct str *token, struct err *e)
{
    struct security_in in = {0};
    *token = (struct str){0};
    if (!json_read(req->body, &security_shape, &in, req->arena, e))
        return false;
    if (req->surface == SURFACE_APP)
        *token = in.captcha_token;
    if (in.gotrue_meta_security.p)
        json_get(in.gotrue_meta_security, "captcha_token", JSON_STR, token, req->arena);
    *token = str_trim(*token);
    if (token->n == 0)
        return disallowed(e, S("no captcha_token found in request"));
    return token->n <= TOKEN_MAX || disallowed(e, S("captcha_token is too long"));
}

static void put_pair(struct buf *b, const char *name, struct str value)
{
    buf_printf(b, "%s%s=", b->n > 0 ? "&" : "", name);
    url_encode(b, value);
}

/* The provider's error-codes, joined by comma and space as GoTrue does; words of its own only. */
static struct str codes_of(struct str body, struct arena *a)
{
    struct str codes = {0};
    struct buf b;
    buf_init_arena(&b, a, CODES_MAX);
    if (!json_get(body, "error-codes", JSON_ARRAY, &codes, a))
        return S("");
    for (size_t i = 0; i < codes.n; i++) {
        char c = codes.p[i];
        if (c == ',')
            buf_str(&b, S(", "));
        else if (c == '-' || c == '_' || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
            buf_char(&b, c);
    }
    return b.failed ? S("") : buf_view(&b);
}

static bool ask(struct req *req, const struct captcha_config *c, struct str token, struct str *body,
                struct err *e)
{
    struct buf form;
    buf_init_arena(&form, req->arena, 4 * TOKEN_MAX);
    put_pair(&form, "secret", c->secret);
    put_pair(&form, "response", token);
    put_pair(&form, "remoteip", req->client_ip);
    int64_t left = fiber_time_left_us() - LEFT_FOR_ANSWER_US;
    struct client_request r = {
        .method = "POST",
        .url = c->url,
        .headers = S("Content-Type: application/x-www-form-urlencoded\r\n"),
        .body = buf_view(&form),
        .timeout_us = c->timeout_us < left ? c->timeout_us : left,
        .response_max = ANSWER_MAX,
        .breaker = breaker_named(BREAKER_captcha),
    };
    struct client_response answer;
    if (form.failed)
        return err_set(e, 500, "unexpected_failure", "no memory");
    if (!client_fetch(&r, req->arena, &answer, e))
        return false;
    *body = answer.body;
    return true;
}

bool captcha_check(struct req *req, struct err *e)
{
    const struct captcha_config *c = &auth_config_of(req)->captcha;
    struct str token, body;
    enum json_bool success = JSON_ABSENT;
    if (!(req->route->flags & ROUTE_CAPTCHA) || !c->secret.p || req->principal->admin
        || grant_exempt(req))
        return true;
    if (!token_read(req, &token, e))
        return false;
    if (!ask(req, c, token, &body, e))
        return e->status == 499 ? false : broken(e);
    if (!json_get(body, "success", JSON_BOOL, &success, req->arena)) {
        err_set(e, 502, "upstream_unreachable", "the provider's answer is not what was asked for");
        return broken(e);
    }
    return success == JSON_TRUE || disallowed(e, codes_of(body, req->arena));
}

/* SPDX-License-Identifier: Apache-2.0 */
/* GET and POST /auth/v1/verify. Source: GoTrue verify.go; auth.md §1.4. */
#include "auth/auth_api.h"

#include "auth/redirect.h"
#include "auth/verify.h"
#include "auth/verify_page.h"
#include "base/json.h"
#include "base/url.h"
#include "guard/quota.h"

enum { LOCATION_MAX = 64 * 1024 };

static const struct str half_done =
    S_INIT("Confirmation link accepted. Please proceed to confirm link sent to the other email");

/* ---- links: the answer is a redirect, and errors are too ------------------------------------- */

/* As Go's url.Values encodes them. */
static void put_pair(struct buf *b, const char *name, struct str value)
{
    if (b->n > 0 && b->p[b->n - 1] != '?' && b->p[b->n - 1] != '#' && b->p[b->n - 1] != '&')
        buf_char(b, '&');
    buf_printf(b, "%s=", name);
    struct str word, rest = value;
    for (bool more = true, first = true; more; first = false) {
        more = str_cut(rest, ' ', &word, &rest);
        if (!first)
            buf_char(b, '+');
        url_encode(b, word);
    }
}

struct parameter {
    const char *name;
    struct str value; /* absent: left out */
};

/* target, which may have a query of its own, with parameters in query, fragment or both. */
static bool redirect(struct req *req, struct resp *resp, struct str target, bool in_query,
                     bool in_fragment, const struct parameter *list, size_t n, struct err *e)
{
    struct buf b;
    struct str base, old_fragment;
    size_t at;
    buf_init_arena(&b, req->arena, LOCATION_MAX);
    str_cut(target, '#', &base, &old_fragment);
    buf_str(&b, base);
    if (in_query)
        buf_char(&b, str_find_char(base, '?', &at) ? '&' : '?');
    for (size_t i = 0; in_query && i < n; i++)
        if (list[i].value.p)
            put_pair(&b, list[i].name, list[i].value);
    if (in_fragment)
        buf_char(&b, '#');
    for (size_t i = 0; in_fragment && i < n; i++)
        if (list[i].value.p)
            put_pair(&b, list[i].name, list[i].value);
    if (b.failed)
        return err_set(e, 500, "unexpected_failure", "The redirect is too long");
    resp_empty(resp, 303);
    resp_header(resp, "Location", buf_view(&b));
    resp_header(resp, "Cache-Control", S("no-store"));
    return true;
}

static struct str oauth_error(int status)
{
    switch (status) {
    case 400:
        return S("invalid_request");
    case 401:
        return S("unauthorized_client");
    case 403:
        return S("access_denied");
    case 500:
        return S("server_error");
    case 503:
        return S("temporarily_unavailable");
    default:
        return (struct str){0};
    }
}

/* What broke is for the log: the app behind the link is told what a body would say (GoTrue, errors.go). */
static struct err shown_of(const struct err *why)
{
    struct err shown = *why;
    if (why->status == 500)
        err_set(&shown, 500, "unexpected_failure",
                "Unexpected failure, please check server logs for more information");
    return shown;
}

static bool redirect_error(struct req *req, struct resp *resp, struct str target, bool pkce,
                           struct err *why, struct err *e)
{
    struct err shown = shown_of(why);
    if (why->status >= 500)
        req->failure = why;
    struct parameter list[] = {
        {"error", oauth_error(shown.status)},
        {"error_code", str_from(shown.code)},
        {"error_description", str_from(shown.message)},
        {"sb", S("")},
    };
    return redirect(req, resp, target, pkce, true, list, sizeof(list) / sizeof(list[0]), e);
}

static bool redirect_session(struct req *req, struct resp *resp, struct str target, struct str type,
                             const struct token_pair *pair, struct err *e)
{
    struct parameter list[] = {
        {"access_token", pair->access_token},
        {"expires_at", arena_printf(req->arena, "%lld", (long long)pair->expires_at_s)},
        {"expires_in", arena_printf(req->arena, "%lld", (long long)pair->expires_in_s)},
        {"refresh_token", pair->refresh_token},
        {"sb", S("")},
        {"token_type", S("bearer")},
        {"type", type},
    };
    return redirect(req, resp, target, false, true, list, sizeof(list) / sizeof(list[0]), e);
}

/* What a link does, however it was opened. */
static bool link_opened(struct req *req, struct resp *resp, struct str type, struct str token,
                        struct str target, struct err *e)
{
    struct verify_in in = {.type = type, .token_hash = token};
    struct verify_out out;
    bool pkce = str_starts(token, S("pkce_"));
    struct err *why = arena_new(req->arena, struct err, 1);
    if (!verify_type_known(type, why) || !verify_run(req, &in, true, &out, why))
        return redirect_error(req, resp, target, pkce, why, e);
    if (out.half)
        return redirect(req, resp, target, pkce, true,
                        (struct parameter[]){{"message", half_done}, {"sb", S("")}}, 2, e);
    if (out.code.p)
        return redirect(req, resp, target, true, false, &(struct parameter){"code", out.code}, 1,
                        e);
    return redirect_session(req, resp, target, type, &out.pair, e);
}

static bool link_checked(struct str type, struct str token, struct err *e)
{
    if (!type.n)
        return err_set(e, 400, "validation_failed", "Verify requires a verification type");
    return token.n
           || err_set(e, 400, "validation_failed", "Verify requires a token or a token hash");
}

/*
 * GET /auth/v1/verify?token=&type=&redirect_to=
 * In page mode nothing is spent here: what opens links for safety's sake before a reader does would
 * spend them.
 */
bool verify_api_get(struct req *req, struct resp *resp, struct err *e)
{
    struct str type = req_query(req, "type"), token = req_query(req, "token");
    if (!token.n)
        token = req_query(req, "token_hash");
    struct str target = redirect_target(req, (struct str){0});
    if (req->method == METHOD_HEAD) { /* GoTrue routes none: what only looks must not spend */
        resp_empty(resp, 405);
        return true;
    }
    if (!link_checked(type, token, e))
        return false;
    if (auth_config_of(req)->link_page)
        return verify_page_show(req, resp, type, token, target, e);
    return link_opened(req, resp, type, token, target, e);
}

/* ---- codes: JSON in, a session out ------------------------------------------------------------ */

struct verify_body {
    struct str type, token, token_hash, email, phone, redirect_to;
};

static const struct json_field verify_fields[] = {
    JSON_FIELD(struct verify_body, type, JSON_STR, 64, 0),
    JSON_FIELD(struct verify_body, token, JSON_SECRET, 256, 0),
    JSON_FIELD(struct verify_body, token_hash, JSON_SECRET, 256, 0),
    JSON_FIELD(struct verify_body, email, JSON_STR, 1024, 0),
    JSON_FIELD(struct verify_body, phone, JSON_STR, 64, 0),
    JSON_FIELD(struct verify_body, redirect_to, JSON_STR, 4096, 0),
};

static const struct json_shape verify_shape = {
    verify_fields, sizeof(verify_fields) / sizeof(verify_fields[0]), false};

static bool body_checked(const struct verify_body *in, struct err *e)
{
    if (!in->type.n)
        return err_set(e, 400, "validation_failed", "Verify requires a verification type");
    if (!in->token.n == !in->token_hash.n)
        return err_set(e, 400, "validation_failed",
                       "Verify requires either a token or a token hash");
    if (in->token_hash.n && (in->email.n || in->phone.n || in->redirect_to.n))
        return err_set(e, 400, "validation_failed",
                       "Only the token_hash and type should be provided");
    if (in->token.n && !in->email.n == !in->phone.n)
        return err_set(e, 400, "validation_failed",
                       "Only an email address or phone number should be provided on verify");
    return verify_type_known(in->type, e);
}

static bool code_address(struct req *req, const struct verify_body *in, struct verify_in *out,
                         struct err *e)
{
    if (in->phone.n)
        return err_set(e, 403, "otp_expired",
                       "Token has expired or is invalid"); /* no phone ever gets one */
    if (!user_email_normal(req->arena, in->email, &out->address, e))
        return err_set(e, 422, "validation_failed", "Invalid email format");
    return quota_take(req, QUOTA_CODES, out->address, e);
}

static bool put_half(struct resp *resp, struct err *e)
{
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_kstr(b, "code", S("200"));
    json_put_kstr(b, "msg", half_done);
    json_put_close(b, '}');
    return resp_done(resp, e);
}

/* The page's own form: as a link that was opened. No client of the API sends one. */
static bool is_form(const struct req *req)
{
    return auth_config_of(req)->link_page
           && str_starts_nocase(req_header(req, S("content-type")),
                                S("application/x-www-form-urlencoded"));
}

static bool form_posted(struct req *req, struct resp *resp, struct err *e)
{
    struct str type = url_query_get(req->arena, req->body, "type");
    struct str token = url_query_get(req->arena, req->body, "token");
    struct str target = redirect_target(req, url_query_get(req->arena, req->body, "redirect_to"));
    return link_checked(type, token, e) && link_opened(req, resp, type, token, target, e);
}

/* POST /auth/v1/verify */
bool verify_api_post(struct req *req, struct resp *resp, struct err *e)
{
    struct verify_body in = {0};
    struct verify_out out;
    if (is_form(req))
        return form_posted(req, resp, e);
    if (!json_read(req->body, &verify_shape, &in, req->arena, e) || !body_checked(&in, e))
        return false;
    struct verify_in v = {.type = in.type,
                          .token_hash = in.token_hash.n ? in.token_hash : (struct str){0},
                          .otp = in.token};
    if ((!in.token_hash.n && !code_address(req, &in, &v, e))
        || !verify_run(req, &v, false, &out, e))
        return false;
    if (out.half)
        return put_half(resp, e);
    auth_api_put_session(resp, resp_json(resp, 200), &out.pair, &out.user);
    return resp_done(resp, e);
}

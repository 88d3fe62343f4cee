/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_api.h"

#include "auth/exchange.h"
#include "auth/password_rules.h"
#include "base/json.h"

struct token_in {
    struct str email, phone, password, refresh_token, auth_code, code_verifier;
};

static const struct json_field token_fields[] = {
    JSON_FIELD(struct token_in, email, JSON_STR, 1024, 0),
    JSON_FIELD(struct token_in, phone, JSON_STR, 64, 0),
    JSON_FIELD(struct token_in, password, JSON_SECRET, 4096, 0),
    JSON_FIELD(struct token_in, refresh_token, JSON_SECRET, 4096, 0),
    JSON_FIELD(struct token_in, auth_code, JSON_SECRET, 256, 0),
    JSON_FIELD(struct token_in, code_verifier, JSON_SECRET, 256, 0),
};

static const struct json_shape token_shape = {token_fields, sizeof(token_fields) / sizeof(token_fields[0]), false};

static bool grant_password(struct req *req, const struct token_in *in, struct resp *resp, struct err *e)
{
    const struct auth_config *c = auth_config_of(req);
    if (in->email.n && in->phone.n)
        return err_set(e, 400, "validation_failed",
                       "Only an email address or phone number should be provided on login.");
    if (in->phone.n)
        return err_set(e, 422, "phone_provider_disabled", "Phone logins are disabled");
    if (!in->email.n)
        return err_set(e, 400, "validation_failed", "missing email or phone");
    if (!c->email_enabled)
        return err_set(e, 422, "email_provider_disabled", "Email logins are disabled");
    struct login l;
    if (!login_password(req, in->email, in->password.p ? in->password : S(""), false, &l, e))
        return false;
    struct buf *b = resp_json(resp, 200);
    auth_api_put_session(resp, b, &l.pair, &l.user);
    password_rules_put_weak(b, req, in->password);
    return resp_done(resp, e);
}

static bool grant_refresh(struct req *req, const struct token_in *in, struct resp *resp, struct err *e)
{
    struct user user;
    struct token_pair pair;
    struct refresh_outcome outcome;
    if (!refresh_run(req, in->refresh_token, &user, &pair, &outcome, e))
        return false;
    auth_api_put_session(resp, resp_json(resp, 200), &pair, &user);
    resp_header(resp, "sb-auth-refresh-token-rotated", outcome.rotated ? S("true") : S("false"));
    resp_header(resp, "sb-auth-refresh-token-reuse", outcome.reused ? S("true") : S("false"));
    if (outcome.reused)
        resp_header(resp, "sb-auth-refresh-token-reuse-cause", str_from(outcome.reuse_cause));
    return resp_done(resp, e);
}

static bool grant_pkce(struct req *req, const struct token_in *in, struct resp *resp, struct err *e)
{
    struct login l;
    if (!in->auth_code.n || !in->code_verifier.n)
        return err_set(e, 400, "validation_failed",
                       "invalid request: both auth code and code verifier should be non-empty");
    if (!exchange_run(req, in->auth_code, in->code_verifier, &l, e))
        return false;
    auth_api_put_session(resp, resp_json(resp, 200), &l.pair, &l.user);
    return resp_done(resp, e);
}

struct grant {
    const char *name;
    bool (*run)(struct req *, const struct token_in *, struct resp *, struct err *);
};

static const struct grant grants[] = {
    {"password", grant_password},
    {"refresh_token", grant_refresh},
    {"pkce", grant_pkce},
};

/* POST /auth/v1/token?grant_type=… Source: GoTrue token.go; auth.md §1.3, §2.3. */
bool token_api_post(struct req *req, struct resp *resp, struct err *e)
{
    struct str type = req_query(req, "grant_type");
    struct token_in in = {0};
    if (str_is(type, "id_token"))
        return id_token_api_grant(req, resp, e);
    for (size_t i = 0; i < sizeof(grants) / sizeof(grants[0]); i++)
        if (str_is(type, grants[i].name))
            return json_read(req->body, &token_shape, &in, req->arena, e) && grants[i].run(req, &in, resp, e);
    return err_set(e, 400, "invalid_credentials", "unsupported_grant_type");
}

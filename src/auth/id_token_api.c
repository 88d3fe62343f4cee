/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_api.h"

#include "base/json.h"

struct grant_in {
    struct id_token_in token;
    enum json_bool link_identity;
};

enum { TOKEN_MAX = 16 * 1024 };

static const struct json_field grant_fields[] = {
    JSON_FIELD_AS(struct grant_in, token.token, "id_token", JSON_SECRET, TOKEN_MAX, 0),
    JSON_FIELD_AS(struct grant_in, token.access_token, "access_token", JSON_SECRET, TOKEN_MAX, 0),
    JSON_FIELD_AS(struct grant_in, token.nonce, "nonce", JSON_STR, 1024, 0),
    JSON_FIELD_AS(struct grant_in, token.provider, "provider", JSON_STR, 255, 0),
    JSON_FIELD_AS(struct grant_in, token.client_id, "client_id", JSON_STR, 1024, 0),
    JSON_FIELD_AS(struct grant_in, token.issuer, "issuer", JSON_STR, 1024, 0),
    JSON_FIELD(struct grant_in, link_identity, JSON_BOOL, 0, 0),
};

static const struct json_shape grant_shape = {grant_fields, sizeof(grant_fields) / sizeof(grant_fields[0]), false};

/* Linking on demand needs to know to whom, although the route is for anybody with a key. */
static bool link_allowed(struct req *req, struct err *e)
{
    if (!auth_config_of(req)->manual_linking)
        return err_set(e, 404, "manual_linking_disabled", "Manual linking is disabled");
    return guard_allow_user(req->services->guard, req, e) && caller_check(req, e);
}

/* POST /auth/v1/token?grant_type=id_token. Source: GoTrue token_oidc.go; auth.md §1.3, §1.8. */
bool id_token_api_grant(struct req *req, struct resp *resp, struct err *e)
{
    struct grant_in in = {0};
    struct external x;
    struct login l;
    bool is_new;
    if (!json_read(req->body, &grant_shape, &in, req->arena, e))
        return false;
    bool link = in.link_identity == JSON_TRUE;
    if ((link && !link_allowed(req, e)) || !id_token_check(req, &in.token, &x, e))
        return false;
    if (!(link ? external_link(req, &x, &l, e) : external_login(req, &x, false, &l, &is_new, e)))
        return false;
    auth_api_put_session(resp, resp_json(resp, 200), &l.pair, &l.user);
    return resp_done(resp, e);
}

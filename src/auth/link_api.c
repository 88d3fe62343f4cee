/* SPDX-License-Identifier: Apache-2.0 */
/* POST /auth/v1/admin/generate_link and /auth/v1/invite, by a service key. auth.md §1.9. */
#include "auth/auth_api.h"

#include "auth/link.h"
#include "base/json.h"

static const struct json_field link_fields[] = {
    JSON_FIELD(struct link_ask, type, JSON_STR, 64, 0),
    JSON_FIELD(struct link_ask, email, JSON_STR, 1024, 0),
    JSON_FIELD(struct link_ask, new_email, JSON_STR, 1024, 0),
    JSON_FIELD(struct link_ask, password, JSON_SECRET, 4096, 0),
    JSON_FIELD(struct link_ask, data, JSON_OBJECT, AUTH_BODY_MAX, 0),
    JSON_FIELD(struct link_ask, redirect_to, JSON_STR, 4096, 0),
};

static const struct json_shape link_shape = {
    link_fields, sizeof(link_fields) / sizeof(link_fields[0]), false};

static const struct json_field invite_fields[] = {
    JSON_FIELD(struct link_ask, email, JSON_STR, 1024, 0),
    JSON_FIELD(struct link_ask, data, JSON_OBJECT, AUTH_BODY_MAX, 0),
};

static const struct json_shape invite_shape = {
    invite_fields, sizeof(invite_fields) / sizeof(invite_fields[0]), false};

static bool make(struct req *req, struct link_ask *ask, struct link_made *out, struct err *e)
{
    return user_email_normal(req->arena, ask->email, &ask->email, e) && link_make(req, ask, out, e);
}

/* The user's own members, and what the link is made of. */
bool link_api_generate(struct req *req, struct resp *resp, struct err *e)
{
    struct link_ask ask = {0};
    struct link_made made = {0};
    if (!json_read(req->body, &link_shape, &ask, req->arena, e) || !make(req, &ask, &made, e))
        return false;
    struct buf *b = resp_json(resp, 200);
    user_put_json(b, &made.user);
    if (!b->failed)
        b->n--; /* the closing brace */
    json_put_kstr(b, "action_link", made.url);
    json_put_kstr(b, "email_otp", made.token.otp);
    json_put_kstr(b, "hashed_token", made.token.hash);
    json_put_kstr(b, "verification_type", str_from(made.type));
    json_put_kstr(b, "redirect_to", made.redirect_to);
    json_put_close(b, '}');
    resp_header(resp, "Cache-Control", S("no-store"));
    return resp_done(resp, e);
}

bool link_api_invite(struct req *req, struct resp *resp, struct err *e)
{
    struct link_ask ask = {.type = S("invite"), .send = true};
    struct link_made made = {0};
    if (!json_read(req->body, &invite_shape, &ask, req->arena, e) || !make(req, &ask, &made, e))
        return false;
    user_put_json(resp_json(resp, 200), &made.user);
    return resp_done(resp, e);
}

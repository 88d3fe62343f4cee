/* SPDX-License-Identifier: Apache-2.0 */
/* /auth/v1/user and /auth/v1/reauthenticate: the user by their own token. auth.md §1.5. */
#include "auth/auth_api.h"

#include "base/json.h"

/* GET /auth/v1/user: the caller's User object, from memory while nothing about them changed. */
bool user_api_get(struct req *req, struct resp *resp, struct err *e)
{
    if (!str_eq(req->principal->aud, auth_audience(req)))
        return err_set(e, 400, "validation_failed", "Token audience doesn't match request audience");
    caller_send(req, resp);
    return true;
}

static const struct json_field edit_fields[] = {
    JSON_FIELD(struct user_edit, email, JSON_STR, 1024, 0),
    JSON_FIELD(struct user_edit, phone, JSON_STR, 64, 0),
    JSON_FIELD(struct user_edit, channel, JSON_STR, 32, 0),
    JSON_FIELD(struct user_edit, password, JSON_SECRET, 4096, 0),
    JSON_FIELD(struct user_edit, current_password, JSON_SECRET, 4096, 0),
    JSON_FIELD(struct user_edit, nonce, JSON_SECRET, 64, 0),
    JSON_FIELD(struct user_edit, data, JSON_OBJECT, AUTH_BODY_MAX, 0),
    JSON_FIELD(struct user_edit, app_metadata, JSON_OBJECT, AUTH_BODY_MAX, 0),
    JSON_FIELD(struct user_edit, code_challenge, JSON_STR, 256, 0),
    JSON_FIELD(struct user_edit, code_challenge_method, JSON_STR, 32, 0),
};

static const struct json_shape edit_shape = {
    edit_fields, sizeof(edit_fields) / sizeof(edit_fields[0]), false};

/* PUT /auth/v1/user */
bool user_api_put(struct req *req, struct resp *resp, struct err *e)
{
    struct user_edit in = {0};
    struct user u;
    if (!json_read(req->body, &edit_shape, &in, req->arena, e) || !user_update_run(req, &in, &u, e))
        return false;
    user_put_json(resp_json(resp, 200), &u);
    return resp_done(resp, e);
}

/* GET /auth/v1/reauthenticate: a code to the user's own address, the nonce of a new password. */
bool user_api_reauthenticate(struct req *req, struct resp *resp, struct err *e)
{
    if (!user_update_reauthenticate(req, e))
        return false;
    BUF_LIT(resp_json(resp, 200), "{}");
    return resp_done(resp, e);
}

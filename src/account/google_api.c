/* SPDX-License-Identifier: Apache-2.0 */
#include "account/account_private.h"

struct google_in {
    struct str id_token, nonce, access_token;
};

static const struct json_field google_fields[] = {
    JSON_FIELD(struct google_in, id_token, JSON_SECRET, 16 * 1024, JSON_REQUIRED),
    JSON_FIELD(struct google_in, nonce, JSON_STR, 1024, 0),
    JSON_FIELD(struct google_in, access_token, JSON_SECRET, 16 * 1024, 0),
};

static const struct json_shape google_shape = {google_fields, 3, false};

static const struct rewording google_words[] = {
    {"oauth:invalid request", 401, "Invalid Google token"},
    {"oauth:invalid nonce", 401, "Invalid Google token"},
    {"provider_disabled", 403, "Google sign-in is disabled"},
    {"validation_failed", 403, "Google sign-in is disabled"},
    {"user_banned", 403, "This account is blocked"},
    {"email_not_confirmed", 403, "Please verify your email before logging in"},
    {"provider_email_needs_verification", 403, "Please verify your email with Google first"},
    {"signup_disabled", 403, "Signups not allowed for this instance"},
};

static bool refused(struct err *e)
{
    account_json_reword(google_words, sizeof(google_words) / sizeof(google_words[0]), e);
    if (e->status == 401)
        e->code = "invalid_credentials";
    if (e->code && strcmp(e->code, "validation_failed") == 0 && e->status == 403)
        e->code = "provider_disabled";
    return false;
}

/* POST …/google {id_token, nonce?, access_token?}: answers as login does, is_new_user beside. */
bool google_api_post(struct req *req, struct resp *resp, struct err *e)
{
    struct google_in in = {0};
    struct external x;
    struct login l;
    bool is_new;
    if (!account_json_read(req, &google_shape, &in, e))
        return false;
    struct id_token_in token = {
        .token = in.id_token, .nonce = in.nonce, .access_token = in.access_token, .provider = S("google")};
    if (!id_token_check(req, &token, &x, e) || !external_login(req, &x, true, &l, &is_new, e))
        return refused(e);
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_kstr(b, "message", S("Login successful"));
    json_put_kbool(b, "is_new_user", is_new);
    account_json_put_tokens(b, &l.pair);
    account_json_put_account(req, b, &l.user, l.profile);
    json_put_close(b, '}');
    account_json_no_store(resp);
    return resp_done(resp, e);
}

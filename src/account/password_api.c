/* SPDX-License-Identifier: Apache-2.0 */
/* Changing a password, and setting one anew by mail, in the seeds' words (seed-systems.md §1.2, §3.3). */
#include "account/account_private.h"

static const char asked_words[] = "If an account with that email exists, a password reset link has been sent.";

/* ---- new passwords ---------------------------------------------------------------------------- */

static bool has_letter_and_digit(struct str s)
{
    bool letter = false, digit = false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        digit = digit || (c >= '0' && c <= '9');
        letter = letter || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80); /* of any script */
    }
    return letter && digit;
}

static bool new_password_check(struct req *req, struct str password, struct str confirm, struct err *e)
{
    if (confirm.p && !str_eq(confirm, password))
        return err_set(e, 422, "validation_failed", "confirm_password does not match new_password");
    if (!account_json_password("new_password", req, password, e))
        return false;
    return has_letter_and_digit(password)
           || err_set(e, 422, "validation_failed", "new_password must contain at least one letter and one digit");
}

/* ---- by the current one ------------------------------------------------------------------------ */

struct change_in {
    struct str current_password, new_password, confirm_password;
};

static const struct json_field change_fields[] = {
    JSON_FIELD(struct change_in, current_password, JSON_SECRET, ACCOUNT_PASSWORD_ENTERED_MAX, JSON_REQUIRED),
    JSON_FIELD(struct change_in, new_password, JSON_SECRET, ACCOUNT_PASSWORD_ENTERED_MAX, JSON_REQUIRED),
    JSON_FIELD(struct change_in, confirm_password, JSON_SECRET, ACCOUNT_PASSWORD_ENTERED_MAX, 0),
};

static const struct json_shape change_shape = {change_fields, 3, true};

static const struct rewording change_words[] = {
    {"invalid_credentials", 401, "Current password is incorrect"},
    {"same_password", 400, "New password must be different from the current password"},
};

/* POST …/change-password: every other session ends, this one stays. */
bool password_api_change(struct req *req, struct resp *resp, struct err *e)
{
    struct change_in in = {0};
    if (!account_json_read(req, &change_shape, &in, e)
        || !new_password_check(req, in.new_password, in.confirm_password, e))
        return false;
    if (!recovery_change(req, in.current_password, in.new_password, e))
        return account_json_reword(change_words, sizeof(change_words) / sizeof(change_words[0]), e);
    return account_json_message(resp, "Password changed successfully", e);
}

/* ---- by mail ----------------------------------------------------------------------------------- */

struct forgot_in {
    struct str email, redirect_to;
};

static const struct json_field forgot_fields[] = {
    JSON_FIELD(struct forgot_in, email, JSON_STR, 255, JSON_REQUIRED),
    JSON_FIELD(struct forgot_in, redirect_to, JSON_STR, 2048, 0),
};

static const struct json_shape forgot_shape = {forgot_fields, 2, false};

/* POST …/forgot-password, …/password-reset: 200 in the same words and time, whoever is meant. */
bool password_api_forgot(struct req *req, struct resp *resp, struct err *e)
{
    struct forgot_in in = {0};
    return account_json_read(req, &forgot_shape, &in, e) && account_json_email(req, &in.email, e)
           && recovery_request(req, in.email, in.redirect_to, e) && account_json_message(resp, asked_words, e);
}

static const struct rewording token_words[] = {
    {"otp_expired", 400, "Invalid or expired reset token"},
    {"validation_failed", 422, "email is required with a code"},
};

static bool token_refused(struct err *e)
{
    return account_json_reword(token_words, sizeof(token_words) / sizeof(token_words[0]), e);
}

struct reset_in {
    struct str token, email, new_password, confirm_password;
};

static const struct json_field verify_fields[] = {
    JSON_FIELD(struct reset_in, token, JSON_SECRET, 128, JSON_REQUIRED),
    JSON_FIELD(struct reset_in, email, JSON_STR, 255, 0),
};

static const struct json_shape verify_shape = {verify_fields, 2, false};

/* POST …/verify-reset-token: whether the token would do; it stays. */
bool password_api_verify(struct req *req, struct resp *resp, struct err *e)
{
    struct reset_in in = {0};
    struct recovery r;
    if (!account_json_read(req, &verify_shape, &in, e) || (in.email.n && !account_json_email(req, &in.email, e)))
        return false;
    if (!recovery_check(req, in.token, in.email, &r, e))
        return token_refused(e);
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_kbool(b, "valid", true);
    json_put_kstr(b, "message", S("Token is valid"));
    json_put_close(b, '}');
    account_json_no_store(resp);
    return resp_done(resp, e);
}

static const struct json_field reset_fields[] = {
    JSON_FIELD(struct reset_in, token, JSON_SECRET, 128, JSON_REQUIRED),
    JSON_FIELD(struct reset_in, email, JSON_STR, 255, 0),
    JSON_FIELD(struct reset_in, new_password, JSON_SECRET, ACCOUNT_PASSWORD_ENTERED_MAX, JSON_REQUIRED),
    JSON_FIELD(struct reset_in, confirm_password, JSON_SECRET, ACCOUNT_PASSWORD_ENTERED_MAX, 0),
};

static const struct json_shape reset_shape = {reset_fields, 4, false};

static bool reset(struct req *req, struct resp *resp, bool confirm_needed, struct err *e)
{
    struct reset_in in = {0};
    struct recovery r;
    if (!account_json_read(req, &reset_shape, &in, e) || (in.email.n && !account_json_email(req, &in.email, e)))
        return false;
    if (confirm_needed && !in.confirm_password.p)
        return err_set(e, 422, "validation_failed", "confirm_password is required");
    if (!new_password_check(req, in.new_password, in.confirm_password, e))
        return false;
    if (!recovery_check(req, in.token, in.email, &r, e) || !recovery_spend(req, &r, in.new_password, e))
        return token_refused(e);
    return account_json_message(resp, "Password reset successfully", e);
}

/* POST …/reset-password (seed 003); confirm_password is compared when it is sent. */
bool password_api_reset(struct req *req, struct resp *resp, struct err *e)
{
    return reset(req, resp, false, e);
}

/* POST …/password-reset-confirm (seeds 000, 001): the same with confirm_password required. */
bool password_api_confirm(struct req *req, struct resp *resp, struct err *e)
{
    return reset(req, resp, true, e);
}

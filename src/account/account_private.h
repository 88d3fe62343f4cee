/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of account/ share: bodies as these clients send them, and the pieces of answers. */
#ifndef ACCOUNT_ACCOUNT_PRIVATE_H
#define ACCOUNT_ACCOUNT_PRIVATE_H

#include "auth/auth.h"
#include "base/json.h"
#include "guard/services.h"

enum {
    ACCOUNT_PASSWORD_MIN = 8,
    ACCOUNT_PASSWORD_MAX = 128,          /* of new ones (seed-systems.md §1.13) */
    ACCOUNT_PASSWORD_ENTERED_MAX = 4096, /* one made elsewhere may be longer */
};

/* account_json.c: what a field does not fit is 422 to these clients; 400 is what is not JSON. */
MUST_CHECK bool account_json_read(struct req *req, const struct json_shape *shape, void *out, struct err *e);
/* Checked and in lower case; 422. */
MUST_CHECK bool account_json_email(struct req *req, struct str *email, struct err *e);
void account_json_put_tokens(struct buf *b, const struct token_pair *pair);
/* The app's view of a user: its role is the profile's, which is data, not a database role. */
void account_json_put_user(struct req *req, struct buf *b, const struct user *u, struct str profile);
/* user_id, email, user, profile, and every column of the profile at the top level. */
void account_json_put_account(struct req *req, struct buf *b, const struct user *u, struct str profile);
/* The profile's role, else the user's. */
struct str account_json_role(struct req *req, const struct user *u, struct str profile);
/* 200 {"message":…} */
MUST_CHECK bool account_json_message(struct resp *resp, const char *message, struct err *e);
void account_json_no_store(struct resp *resp);

/*
 * Whether a new password, the field of that name, is within the bounds of these routes (422
 * "validation_failed") and the rules of the settings (422 "weak_password").
 */
MUST_CHECK bool account_json_password(const char *field, struct req *req, struct str password, struct err *e);

/* Auth's errors in the words of these clients. Returns false. */
struct rewording {
    const char *code;
    int status;
    const char *message;
};
bool account_json_reword(const struct rewording *words, size_t n, struct err *e);

route_handler profile_api_whoami, profile_api_get, profile_api_put;
route_handler security_api_validate, security_api_check_email, security_api_status, security_api_ping,
    security_api_revoke, security_api_delete;
route_handler google_api_post;
route_handler e2e_api_health, e2e_api_start, e2e_api_get, e2e_api_token, e2e_api_end, e2e_api_cleanup, e2e_api_status;
route_handler password_api_change, password_api_forgot, password_api_verify, password_api_reset, password_api_confirm;

#endif

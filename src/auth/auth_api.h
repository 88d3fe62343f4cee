/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP handlers of auth/ and what they share. */
#ifndef AUTH_AUTH_API_H
#define AUTH_AUTH_API_H

#include "auth/auth_private.h"

enum { AUTH_BODY_MAX = 1024 * 1024 }; /* auth.md §0 */

/* The Session object and its response headers (auth.md §0 "Response headers"). */
void auth_api_put_session(struct resp *resp, struct buf *b, const struct token_pair *pair,
                          const struct user *user);

/* What ?page=…&per_page=… ask for; both from 1. */
struct admin_page {
    int64_t number, size;
};
MUST_CHECK bool admin_api_page(struct req *req, struct admin_page *out, struct err *e);
/*
 * X-Total-Count, and Link to the next and the last page of the same query. "page" comes first: the
 * JavaScript client takes what follows the first "=" (auth.md §1.9).
 */
void admin_api_page_headers(const struct req *req, struct resp *resp, const char *path,
                            const struct admin_page *page, int64_t total);

route_handler mail_api_otp, mail_api_magiclink, mail_api_recover, mail_api_resend, verify_api_get, verify_api_post;
route_handler signup_api_post, token_api_post, user_api_get, logout_api_post, meta_api_health, meta_api_settings,
    meta_api_jwks, admin_api_create, admin_api_list, admin_api_get, admin_api_update, admin_api_delete;
route_handler id_token_api_grant;
route_handler audit_api_list, identity_api_authorize, identity_api_delete;
route_handler user_api_put, user_api_reauthenticate, link_api_generate, link_api_invite;

route_handler session_api_list, session_api_delete, session_api_admin_list, session_api_admin_delete;
route_handler meta_api_openid;

#endif

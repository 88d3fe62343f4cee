/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_api.h"

enum { SMALL_BODY = 16 * 1024 };

/* clang-format off */
const struct route auth_routes[] = {
    /* method        path                               handler            who may call    rate          body bytes */
    {METHOD_GET,    "/auth/v1/health",                 meta_api_health,   ACCESS_OPEN,    LIMIT_NONE,   0,             ROUTE_IN_EMERGENCY, 0},
    {METHOD_GET,    "/auth/v1/settings",               meta_api_settings, ACCESS_KEY,     LIMIT_NONE,   0,             0, 0},
    {METHOD_GET,    "/auth/v1/.well-known/jwks.json",  meta_api_jwks,     ACCESS_OPEN,    LIMIT_NONE,   0,             ROUTE_IN_EMERGENCY, 0},
    {METHOD_POST,   "/auth/v1/signup",                 signup_api_post,   ACCESS_KEY,     LIMIT_SIGNUP, AUTH_BODY_MAX, ROUTE_CAPTCHA, 0},
    {METHOD_POST,   "/auth/v1/token",                  token_api_post,    ACCESS_KEY,     LIMIT_TOKEN,  SMALL_BODY,    ROUTE_CAPTCHA, 0},
    {METHOD_POST,   "/auth/v1/otp",                    mail_api_otp,      ACCESS_KEY,     LIMIT_MAIL,   AUTH_BODY_MAX, ROUTE_CAPTCHA, 0},
    {METHOD_POST,   "/auth/v1/magiclink",              mail_api_magiclink, ACCESS_KEY,    LIMIT_MAIL,   AUTH_BODY_MAX, ROUTE_CAPTCHA, 0},
    {METHOD_POST,   "/auth/v1/recover",                mail_api_recover,  ACCESS_KEY,     LIMIT_MAIL,   SMALL_BODY,    ROUTE_CAPTCHA, 0},
    {METHOD_POST,   "/auth/v1/resend",                 mail_api_resend,   ACCESS_KEY,     LIMIT_MAIL,   SMALL_BODY,    ROUTE_CAPTCHA, 0},
    {METHOD_GET,    "/auth/v1/verify",                 verify_api_get,    ACCESS_OPEN,    LIMIT_VERIFY, 0,             0, 0},
    {METHOD_POST,   "/auth/v1/verify",                 verify_api_post,   ACCESS_OPEN,    LIMIT_VERIFY, SMALL_BODY,    0, 0},
    {METHOD_GET,    "/auth/v1/user",                   user_api_get,      ACCESS_USER,    LIMIT_READ,   0,             0, 0},
    {METHOD_POST,   "/auth/v1/logout",                 logout_api_post,   ACCESS_USER,    LIMIT_NONE,   SMALL_BODY,    ROUTE_IN_EMERGENCY, 0},
    {METHOD_GET,    "/auth/v1/user/sessions",          session_api_list,  ACCESS_USER,    LIMIT_READ,   0,             0, 0},
    {METHOD_DELETE, "/auth/v1/user/sessions/{session_id}", session_api_delete, ACCESS_USER, LIMIT_NONE, SMALL_BODY,     ROUTE_IN_EMERGENCY, 0},
    {METHOD_GET,    "/auth/v1/admin/users/{user_id}/sessions", session_api_admin_list, ACCESS_SERVICE, LIMIT_ADMIN, 0,  0, 0},
    {METHOD_DELETE, "/auth/v1/admin/users/{user_id}/sessions/{session_id}", session_api_admin_delete, ACCESS_SERVICE, LIMIT_ADMIN, SMALL_BODY, ROUTE_IN_EMERGENCY, 0},
    {METHOD_GET,    "/auth/v1/.well-known/openid-configuration", meta_api_openid, ACCESS_OPEN, LIMIT_NONE, 0,            ROUTE_IN_EMERGENCY, 0},
    {METHOD_PUT,    "/auth/v1/user",                   user_api_put,      ACCESS_USER,    LIMIT_MAIL,   AUTH_BODY_MAX, 0, 0},
    {METHOD_GET,    "/auth/v1/reauthenticate",         user_api_reauthenticate, ACCESS_USER, LIMIT_MAIL, 0,           0, 0},
    {METHOD_GET,    "/auth/v1/user/identities/authorize", identity_api_authorize, ACCESS_USER, LIMIT_NONE, 0,          0, 0},
    {METHOD_DELETE, "/auth/v1/user/identities/{identity_id}", identity_api_delete, ACCESS_USER,  LIMIT_NONE,   SMALL_BODY,    0, 0},
    {METHOD_POST,   "/auth/v1/invite",                 link_api_invite,   ACCESS_SERVICE, LIMIT_ADMIN,  AUTH_BODY_MAX, 0, 0},
    {METHOD_POST,   "/auth/v1/admin/generate_link",    link_api_generate, ACCESS_SERVICE, LIMIT_ADMIN,  AUTH_BODY_MAX, 0, 0},
    {METHOD_GET,    "/auth/v1/admin/audit",            audit_api_list,    ACCESS_SERVICE, LIMIT_ADMIN,  0,             0, 0},
    {METHOD_POST,   "/auth/v1/admin/users",            admin_api_create,  ACCESS_SERVICE, LIMIT_ADMIN,  AUTH_BODY_MAX, 0, 0},
    {METHOD_GET,    "/auth/v1/admin/users",            admin_api_list,    ACCESS_SERVICE, LIMIT_ADMIN,  0,             0, 0},
    {METHOD_GET,    "/auth/v1/admin/users/{user_id}",  admin_api_get,     ACCESS_SERVICE, LIMIT_ADMIN,  0,             0, 0},
    {METHOD_PUT,    "/auth/v1/admin/users/{user_id}",  admin_api_update,  ACCESS_SERVICE, LIMIT_ADMIN,  AUTH_BODY_MAX, 0, 0},
    {METHOD_DELETE, "/auth/v1/admin/users/{user_id}",  admin_api_delete,  ACCESS_SERVICE, LIMIT_ADMIN,  SMALL_BODY,    0, 0},
};
/* clang-format on */
const size_t auth_routes_count = sizeof(auth_routes) / sizeof(auth_routes[0]);

enum { REFRESH_PREFIX = 5 };

void auth_api_put_session(struct resp *resp, struct buf *b, const struct token_pair *pair,
                          const struct user *user)
{
    session_put_json(b, pair, user);
    resp_header(resp, "Cache-Control", S("no-store"));
    resp_header(resp, "sb-auth-user-id", uuid_str(&user->id));
    resp_header(resp, "sb-auth-session-id", uuid_str(&pair->session_id));
    if (pair->counted)
        resp_header_i64(resp, "sb-auth-refresh-token-counter", pair->counter);
    else
        resp_header(resp, "sb-auth-refresh-token-prefix", str_of(pair->refresh_token.p, REFRESH_PREFIX));
}

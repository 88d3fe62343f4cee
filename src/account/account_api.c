/* SPDX-License-Identifier: Apache-2.0 */
/* Source of the shapes: the seed documents (seed-systems.md §1.2, §3). */
#include "account/account.h"

#include "account/account_private.h"

enum { BODY_MAX = 64 * 1024 };

static route_handler register_post, signup_post, login_post, refresh_post, logout_post, me_get, health_get;

/* clang-format off */
/* Every route under both prefixes: seeds 002 and 003 use the first, seeds 000 and 001 the second. */
#define BOTH_WITH(method, tail, handler, access, limit, body, flags) \
    {method, "/api/auth" tail,    handler, access, limit, body, flags, 0}, \
    {method, "/api/v1/auth" tail, handler, access, limit, body, flags, 0}
#define BOTH(method, tail, handler, access, limit, body) BOTH_WITH(method, tail, handler, access, limit, body, 0)

const struct route account_routes[] = {
    BOTH_WITH(METHOD_POST, "/register",      register_post, ACCESS_OPEN, LIMIT_SIGNUP, BODY_MAX, ROUTE_CAPTCHA),
    BOTH_WITH(METHOD_POST, "/signup",        signup_post,   ACCESS_OPEN, LIMIT_SIGNUP, BODY_MAX, ROUTE_CAPTCHA),
    BOTH_WITH(METHOD_POST, "/login",         login_post,    ACCESS_OPEN, LIMIT_LOGIN, BODY_MAX, ROUTE_CAPTCHA),
    BOTH(METHOD_POST, "/refresh",       refresh_post,  ACCESS_OPEN, LIMIT_TOKEN,  BODY_MAX),
    BOTH(METHOD_POST, "/refresh-token", refresh_post,  ACCESS_OPEN, LIMIT_TOKEN,  BODY_MAX),
    BOTH_WITH(METHOD_POST, "/logout",   logout_post,   ACCESS_USER, LIMIT_NONE,   BODY_MAX, ROUTE_IN_EMERGENCY),
    BOTH(METHOD_GET,  "/me",            me_get,        ACCESS_USER, LIMIT_READ,   0),
    BOTH_WITH(METHOD_GET, "/health",    health_get,    ACCESS_OPEN, LIMIT_NONE,   0, ROUTE_IN_EMERGENCY),
    BOTH(METHOD_GET,  "/ping",            security_api_ping,        ACCESS_OPEN, LIMIT_NONE,  0),
    BOTH(METHOD_GET,  "/whoami",          profile_api_whoami,       ACCESS_USER, LIMIT_READ,  0),
    BOTH(METHOD_GET,  "/profile",         profile_api_get,          ACCESS_USER, LIMIT_READ,  0),
    BOTH(METHOD_PUT,  "/profile",         profile_api_put,          ACCESS_USER, LIMIT_READ,  BODY_MAX),
    BOTH(METHOD_GET,  "/token/validate",  security_api_validate,    ACCESS_USER, LIMIT_READ,  0),
    BOTH(METHOD_POST, "/validate",        security_api_validate,    ACCESS_USER, LIMIT_READ,  BODY_MAX),
    BOTH(METHOD_POST, "/check-email",     security_api_check_email, ACCESS_OPEN, LIMIT_LOGIN, BODY_MAX),
    BOTH(METHOD_GET,  "/security/status", security_api_status,      ACCESS_USER, LIMIT_READ,  0),
    BOTH(METHOD_GET,  "/security-info",   security_api_status,      ACCESS_USER, LIMIT_READ,  0),
    BOTH(METHOD_POST, "/revoke",          security_api_revoke,      ACCESS_OPEN, LIMIT_TOKEN, BODY_MAX),
    BOTH(METHOD_POST, "/google",          google_api_post,          ACCESS_OPEN, LIMIT_TOKEN, BODY_MAX),
    BOTH(METHOD_POST, "/change-password",        password_api_change,  ACCESS_USER, LIMIT_LOGIN,  BODY_MAX),
    BOTH_WITH(METHOD_POST, "/forgot-password",        password_api_forgot,  ACCESS_OPEN, LIMIT_MAIL, BODY_MAX, ROUTE_CAPTCHA),
    BOTH_WITH(METHOD_POST, "/password-reset",         password_api_forgot,  ACCESS_OPEN, LIMIT_MAIL, BODY_MAX, ROUTE_CAPTCHA),
    BOTH(METHOD_POST, "/verify-reset-token",     password_api_verify,  ACCESS_OPEN, LIMIT_VERIFY, BODY_MAX),
    BOTH(METHOD_POST, "/reset-password",         password_api_reset,   ACCESS_OPEN, LIMIT_VERIFY, BODY_MAX),
    BOTH(METHOD_POST, "/password-reset-confirm", password_api_confirm, ACCESS_OPEN, LIMIT_VERIFY, BODY_MAX),
    BOTH(METHOD_DELETE, "/delete-account", security_api_delete,     ACCESS_USER, LIMIT_LOGIN, BODY_MAX),
    /* Names that seed 003's clients have kept from its emergency: the same handlers, the same rules. */
    BOTH_WITH(METHOD_POST, "/emergency-register",        register_post, ACCESS_OPEN, LIMIT_SIGNUP, BODY_MAX, ROUTE_CAPTCHA),
    BOTH_WITH(METHOD_POST, "/emergency-register-legacy", register_post, ACCESS_OPEN, LIMIT_SIGNUP, BODY_MAX, ROUTE_CAPTCHA),
    BOTH_WITH(METHOD_POST, "/flutter-register",          register_post, ACCESS_OPEN, LIMIT_SIGNUP, BODY_MAX, ROUTE_CAPTCHA),
    BOTH_WITH(METHOD_POST, "/flutter-login",             login_post,    ACCESS_OPEN, LIMIT_LOGIN, BODY_MAX, ROUTE_CAPTCHA),
    {METHOD_POST, "/flutter-register", register_post, ACCESS_OPEN, LIMIT_SIGNUP, BODY_MAX, ROUTE_CAPTCHA, 0},
    {METHOD_POST, "/flutter-login",    login_post,    ACCESS_OPEN, LIMIT_LOGIN,  BODY_MAX, ROUTE_CAPTCHA, 0},
    /* Open in the row; e2e_api.c refuses unless it is switched on, and then without key or secret. */
    {METHOD_GET,    "/api/v1/e2e",                         e2e_api_health,  ACCESS_OPEN, LIMIT_NONE,  0, 0, 0},
    {METHOD_GET,    "/api/v1/e2e/health",                  e2e_api_health,  ACCESS_OPEN, LIMIT_NONE,  0, 0, 0},
    {METHOD_GET,    "/api/v1/e2e/status",                  e2e_api_status,  ACCESS_OPEN, LIMIT_ADMIN, 0, 0, 0},
    {METHOD_POST,   "/api/v1/e2e/test-session",            e2e_api_start,   ACCESS_OPEN, LIMIT_ADMIN, BODY_MAX, 0, 0},
    {METHOD_GET,    "/api/v1/e2e/test-session/{id}",       e2e_api_get,     ACCESS_OPEN, LIMIT_ADMIN, 0, 0, 0},
    {METHOD_GET,    "/api/v1/e2e/test-session/{id}/token", e2e_api_token,   ACCESS_OPEN, LIMIT_ADMIN, 0, 0, 0},
    {METHOD_DELETE, "/api/v1/e2e/test-session/{id}",       e2e_api_end,     ACCESS_OPEN, LIMIT_ADMIN, BODY_MAX, 0, 0},
    {METHOD_POST,   "/api/v1/e2e/cleanup-expired",         e2e_api_cleanup, ACCESS_OPEN, LIMIT_ADMIN, BODY_MAX, 0, 0},
};
/* clang-format on */
const size_t account_routes_count = sizeof(account_routes) / sizeof(account_routes[0]);

/* ---- bodies ------------------------------------------------------------------------------- */

struct credentials {
    struct str email, password;
    struct str captcha_token, gotrue_meta_security; /* auth/captcha.c has read them */
};

static const struct json_field credentials_fields[] = {
    JSON_FIELD(struct credentials, email, JSON_STR, 255, JSON_REQUIRED),
    JSON_FIELD(struct credentials, password, JSON_SECRET, ACCOUNT_PASSWORD_ENTERED_MAX, JSON_REQUIRED),
    JSON_FIELD(struct credentials, captcha_token, JSON_STR, 0, 0),
    JSON_FIELD(struct credentials, gotrue_meta_security, JSON_OBJECT, 0, 0),
};

static const struct json_shape login_shape = {credentials_fields, 4, true};
static const struct json_shape register_shape = {credentials_fields, 4, false}; /* the profile's fields follow */

/* Checked profile fields of the body as one object; anything else is refused by name. */
static bool profile_read(struct req *req, struct str *out, struct err *e)
{
    const struct auth *auth = req->services->auth;
    struct buf b;
    buf_init_arena(&b, req->arena, BODY_MAX);
    json_put_open(&b, '{');
    struct str rest = req->body, name, value;
    while (json_next(&rest, req->arena, &name, &value)) {
        if (str_is(name, "email") || str_is(name, "password") || str_is(name, "captcha_token")
            || str_is(name, "gotrue_meta_security"))
            continue;
        if (!signup_profile_writable(auth, name))
            return err_set(e, 422, "validation_failed", "%.*s is not a field that can be set here",
                           (int)(name.n < 40 ? name.n : 40), name.p);
        if (str_is(value, "null"))
            continue;
        if (!signup_profile_check(auth, name, value, req->arena, e))
            return false;
        json_put_kraw(&b, arena_cstr(req->arena, name), value);
    }
    json_put_close(&b, '}');
    *out = buf_view(&b);
    return !b.failed || err_set(e, 413, "request_entity_too_large", "the profile is too large");
}

static bool registration_read(struct req *req, struct signup *s, struct err *e)
{
    struct credentials in = {0};
    struct str given;
    if (!account_json_read(req, &register_shape, &in, e) || !account_json_email(req, &in.email, e))
        return false;
    const struct auth_config *c = auth_settings(req->services->auth);
    if (!account_json_password("password", req, in.password, e) || !profile_read(req, &given, e))
        return false;
    if (!c->signup_enabled || !c->email_enabled)
        return err_set(e, 403, "signup_disabled", "Signups not allowed for this instance");
    s->email = in.email;
    s->password = in.password;
    s->user_metadata = given;
    s->profile = signup_profile_from_metadata(req, given); /* adds the default role */
    s->metadata_is_identity = true;
    s->email_confirmed = c->autoconfirm;
    s->mail = c->autoconfirm ? NULL : signup_confirmation(req);
    s->want_profile = true;
    s->actor_kind = "user";
    return true;
}

/* ---- answers ------------------------------------------------------------------------------ */

static bool taken_worded(struct err *e)
{
    if (e->code && strcmp(e->code, "email_exists") == 0)
        e->status = 409;
    return false;
}

/* ---- handlers ----------------------------------------------------------------------------- */

/* POST …/register: 201 with user, profile and, where addresses are confirmed at once, a token pair. */
static bool register_post(struct req *req, struct resp *resp, struct err *e)
{
    struct signup s = {0};
    struct login l;
    if (!registration_read(req, &s, e))
        return false;
    s.open_session = s.email_confirmed || auth_settings(req->services->auth)->unverified_may_login;
    if (!signup_run(req, &s, &l, e))
        return taken_worded(e);
    struct buf *b = resp_json(resp, 201);
    json_put_open(b, '{');
    bool logged_in = l.pair.access_token.p;
    json_put_kstr(b, "message", logged_in ? S("Account created") : S("Account created. Please verify your email."));
    if (logged_in)
        account_json_put_tokens(b, &l.pair);
    account_json_put_account(req, b, &l.user, l.profile);
    json_put_close(b, '}');
    account_json_no_store(resp);
    return resp_done(resp, e);
}

/* POST …/signup: 200 with the new user's id (seed 002). */
static bool signup_post(struct req *req, struct resp *resp, struct err *e)
{
    struct signup s = {0};
    struct login l;
    if (!registration_read(req, &s, e))
        return false;
    if (!signup_run(req, &s, &l, e))
        return taken_worded(e);
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_kstr(b, "message", S("User created successfully"));
    json_put_kstr(b, "user_id", uuid_str(&l.user.id));
    json_put_close(b, '}');
    return resp_done(resp, e);
}

static const struct rewording login_words[] = {
    {"invalid_credentials", 401, "Invalid email or password"},
    {"email_not_confirmed", 403, "Please verify your email before logging in"},
    {"user_banned", 403, "This account is blocked"},
};

static const struct rewording refresh_words[] = {
    {"validation_failed", 401, "Invalid refresh token"},
    {"refresh_token_not_found", 401, "Invalid refresh token"},
    {"refresh_token_already_used", 401, "Invalid refresh token"},
    {"session_not_found", 401, "Invalid refresh token"},
    {"session_expired", 401, "Session expired: please log in again"},
    {"user_banned", 403, "This account is blocked"},
};

/*
 * POST …/login: tokens, user and every column of the profile. A user without a profile is told so
 * (404) before there is a session; 401, 403 as the seeds' clients expect.
 */
static bool login_post(struct req *req, struct resp *resp, struct err *e)
{
    struct credentials in = {0};
    struct login l;
    if (!auth_settings(req->services->auth)->email_enabled)
        return err_set(e, 403, "email_provider_disabled", "Email logins are disabled");
    if (!account_json_read(req, &login_shape, &in, e) || !account_json_email(req, &in.email, e))
        return false;
    if (!login_password(req, in.email, in.password, true, &l, e))
        return account_json_reword(login_words, sizeof(login_words) / sizeof(login_words[0]), e);
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_kstr(b, "message", S("Login successful"));
    account_json_put_tokens(b, &l.pair);
    account_json_put_account(req, b, &l.user, l.profile);
    json_put_close(b, '}');
    account_json_no_store(resp);
    return resp_done(resp, e);
}

struct refresh_in {
    struct str refresh_token;
};

static const struct json_field refresh_fields[] = {
    JSON_FIELD(struct refresh_in, refresh_token, JSON_SECRET, 4096, JSON_REQUIRED),
};

static const struct json_shape refresh_shape = {refresh_fields, 1, false};

static bool refresh_post(struct req *req, struct resp *resp, struct err *e)
{
    struct refresh_in in = {0};
    struct user user;
    struct token_pair pair;
    struct refresh_outcome outcome;
    struct str profile;
    if (!account_json_read(req, &refresh_shape, &in, e))
        return false;
    if (!refresh_run(req, in.refresh_token, &user, &pair, &outcome, e))
        return account_json_reword(refresh_words, sizeof(refresh_words) / sizeof(refresh_words[0]), e);
    if (!profile_load(req, uuid_str(&user.id), &profile, e)) /* the client may repeat (auth.md §2.3 v1 a) */
        return false;
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    account_json_put_tokens(b, &pair);
    json_put_key(b, "user");
    account_json_put_user(req, b, &user, profile);
    json_put_close(b, '}');
    account_json_no_store(resp);
    return resp_done(resp, e);
}

/* POST …/logout ends this session (the seeds' clients hold one). */
static bool logout_post(struct req *req, struct resp *resp, struct err *e)
{
    if (!session_logout(req, SESSION_LOCAL, e))
        return false;
    return account_json_message(resp, "Logged out", e);
}

static bool me_get(struct req *req, struct resp *resp, struct err *e)
{
    const struct user *u = &caller_of(req)->user;
    struct str profile;
    if (!profile_load(req, uuid_str(&u->id), &profile, e))
        return false;
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_kstr(b, "id", uuid_str(&u->id));
    account_json_put_account(req, b, u, profile);
    json_put_close(b, '}');
    account_json_no_store(resp);
    return resp_done(resp, e);
}

static bool health_get(struct req *req, struct resp *resp, struct err *e)
{
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_kstr(b, "status", S("healthy"));
    json_put_kstr(b, "service", S("auth"));
    json_put_ktime(b, "timestamp", req->now_us);
    json_put_close(b, '}');
    return resp_done(resp, e);
}

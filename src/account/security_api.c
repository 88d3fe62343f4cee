/* SPDX-License-Identifier: Apache-2.0 */
#include "account/account_private.h"

#include "base/clock.h"
#include "guard/guard.h"

/* GET …/ping: no database, no token; the process answers. */
bool security_api_ping(struct req *req, struct resp *resp, struct err *e)
{
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_kstr(b, "status", S("ok"));
    json_put_ktime(b, "timestamp", req->now_us);
    json_put_close(b, '}');
    return resp_done(resp, e);
}

/* GET …/token/validate, POST …/validate: that the bearer token is good was checked on the way here. */
bool security_api_validate(struct req *req, struct resp *resp, struct err *e)
{
    const struct principal *p = req->principal;
    const struct user *u = &caller_of(req)->user;
    bool ends = p->expires_us != INT64_MAX;
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_kbool(b, "valid", true);
    json_put_kstr(b, "user_id", uuid_str(&u->id));
    json_put_kstr(b, "email", u->email);
    json_put_kstr(b, "role", p->role);
    json_put_kstr(b, "session_id", uuid_str(&p->session_id));
    if (ends) {
        json_put_ki64(b, "expires_at", p->expires_us / CLOCK_S);
        json_put_ki64(b, "expires_in", (p->expires_us - req->now_us) / CLOCK_S);
    }
    json_put_close(b, '}');
    account_json_no_store(resp);
    return resp_done(resp, e);
}

struct email_in {
    struct str email;
};

static const struct json_field email_fields[] = {
    JSON_FIELD(struct email_in, email, JSON_STR, 1024, JSON_REQUIRED),
};

static const struct json_shape email_shape = {email_fields, 1, false};

/* POST …/check-email, address in the query or the body: always available, so that nobody can be found. */
bool security_api_check_email(struct req *req, struct resp *resp, struct err *e)
{
    struct email_in in = {.email = req_query(req, "email")};
    if ((!in.email.p && !account_json_read(req, &email_shape, &in, e)) || !account_json_email(req, &in.email, e))
        return false;
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_kbool(b, "available", true);
    json_put_close(b, '}');
    return resp_done(resp, e);
}

static void put_time_or_null(struct buf *b, const char *name, int64_t us)
{
    if (us)
        json_put_ktime(b, name, us);
    else
        json_put_kstr(b, name, (struct str){0});
}

/* GET …/security/status, …/security-info: what the caller should know of their own account's safety. */
bool security_api_status(struct req *req, struct resp *resp, struct err *e)
{
    const struct user *u = &caller_of(req)->user;
    struct user_security s;
    if (!security_read(req, &s, e))
        return false;
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_kstr(b, "user_id", uuid_str(&u->id));
    json_put_kstr(b, "email", u->email);
    json_put_kbool(b, "email_confirmed", s.email_confirmed_us != 0);
    json_put_kbool(b, "mfa_enabled", s.has_factor);
    json_put_ki64(b, "active_sessions", s.sessions);
    put_time_or_null(b, "last_sign_in_at", s.last_sign_in_us);
    json_put_kbool(b, "has_password", s.has_password);
    put_time_or_null(b, "password_changed_at", s.password_set_us);
    json_put_key(b, "password_age_days");
    if (s.password_set_us)
        json_put_i64(b, (req->now_us - s.password_set_us) / (86400 * CLOCK_S));
    else
        json_put_null(b);
    json_put_kbool(b, "account_locked", false); /* guard/lockout.h slows guessers down instead */
    json_put_close(b, '}');
    account_json_no_store(resp);
    return resp_done(resp, e);
}

struct revoke_in {
    struct str refresh_token, token;
    enum json_bool all;
};

static const struct json_field revoke_fields[] = {
    JSON_FIELD(struct revoke_in, refresh_token, JSON_SECRET, 4096, 0),
    JSON_FIELD(struct revoke_in, token, JSON_SECRET, 4096, 0), /* RFC 7009's name */
    JSON_FIELD(struct revoke_in, all, JSON_BOOL, 0, 0),
};

static const struct json_shape revoke_shape = {revoke_fields, 3, false};

static bool bearer_check(struct req *req, struct err *e)
{
    if (guard_allow_user(req->services->guard, req, e) && caller_check(req, e))
        return true;
    if (e->status == 400 || e->status == 403)
        e->status = 401;
    return false;
}

/*
 * POST …/revoke: ends a session, with all:true every session of its user. Whose is said by a refresh
 * token in the body, else by the bearer token. An unknown refresh token is no error (RFC 7009 §2.2).
 */
bool security_api_revoke(struct req *req, struct resp *resp, struct err *e)
{
    struct revoke_in in = {0};
    if (req->body.n && !account_json_read(req, &revoke_shape, &in, e))
        return false;
    struct str token = in.refresh_token.n ? in.refresh_token : in.token;
    bool all = in.all == JSON_TRUE;
    bool ok = token.n ? revocation_by_token(req, token, all, e)
                      : bearer_check(req, e) && session_logout(req, all ? SESSION_GLOBAL : SESSION_LOCAL, e);
    return ok && account_json_message(resp, all ? "All sessions revoked" : "Session revoked", e);
}

struct delete_in {
    struct str password;
};

static const struct json_field delete_fields[] = {
    JSON_FIELD(struct delete_in, password, JSON_SECRET, ACCOUNT_PASSWORD_ENTERED_MAX, 0),
};

static const struct json_shape delete_shape = {delete_fields, 1, false};

static const struct rewording delete_words[] = {
    {"invalid_credentials", 401, "Password is incorrect"},
};

/* DELETE …/delete-account {password}: the caller's account, when the password is theirs or they have none. */
bool security_api_delete(struct req *req, struct resp *resp, struct err *e)
{
    struct delete_in in = {0};
    if (req->body.n && !account_json_read(req, &delete_shape, &in, e))
        return false;
    if (!removal_run(req, in.password, e))
        return account_json_reword(delete_words, 1, e);
    return account_json_message(resp, "Account deleted", e);
}

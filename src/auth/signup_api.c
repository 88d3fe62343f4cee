/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_api.h"

#include "auth/password_rules.h"
#include "auth/redirect.h"
#include "auth/token_mail.h"
#include "base/clock.h"
#include "base/json.h"
#include "guard/quota.h"

struct signup_in {
    struct str email, phone, password, data, channel, code_challenge, code_challenge_method;
};

static const struct json_field signup_fields[] = {
    JSON_FIELD(struct signup_in, email, JSON_STR, 1024, 0),
    JSON_FIELD(struct signup_in, phone, JSON_STR, 64, 0),
    JSON_FIELD(struct signup_in, password, JSON_SECRET, 4096, 0),
    JSON_FIELD(struct signup_in, data, JSON_OBJECT, AUTH_BODY_MAX, 0),
    JSON_FIELD(struct signup_in, channel, JSON_STR, 32, 0),
    JSON_FIELD(struct signup_in, code_challenge, JSON_STR, 256, 0),
    JSON_FIELD(struct signup_in, code_challenge_method, JSON_STR, 32, 0),
};

static const struct json_shape signup_shape = {signup_fields, sizeof(signup_fields) / sizeof(signup_fields[0]), false};

static bool signup_open(const struct auth_config *c, struct err *e)
{
    return c->signup_enabled
           || err_set(e, 422, "signup_disabled", "Signups not allowed for this instance");
}

static bool signup_checked(struct req *req, const struct signup_in *in, struct str *email, struct err *e)
{
    const struct auth_config *c = auth_config_of(req);
    if (!signup_open(c, e))
        return false;
    if (!in->password.n)
        return err_set(e, 400, "validation_failed", "Signup requires a valid password");
    if (in->email.n && in->phone.n)
        return err_set(e, 400, "validation_failed",
                       "Only an email address or phone number should be provided on signup.");
    if (in->phone.n)
        return err_set(e, 400, "phone_provider_disabled", "Phone signups are disabled");
    if (!c->email_enabled)
        return err_set(e, 400, "email_provider_disabled", "Email signups are disabled");
    return password_rules_ask(req, in->password, e) && user_email_normal(req->arena, in->email, email, e);
}

/* What a stranger sees of an address that is taken: a user like a new one (auth.md §6.2). */
static void put_lookalike(struct buf *b, const struct req *req, struct str email, struct str data)
{
    struct uuid id = uuid_v4();
    json_put_open(b, '{');
    json_put_kstr(b, "id", uuid_str(&id));
    json_put_kstr(b, "aud", auth_audience(req));
    json_put_kstr(b, "role", S(""));
    json_put_kstr(b, "email", email);
    json_put_kstr(b, "phone", S(""));
    json_put_ktime(b, "confirmation_sent_at", req->now_us);
    json_put_kraw(b, "app_metadata", S("{\"provider\":\"email\",\"providers\":[\"email\"]}"));
    json_put_kraw(b, "user_metadata", data.p ? data : S("{}"));
    json_put_kraw(b, "identities", S("[]"));
    json_put_ktime(b, "created_at", req->now_us);
    json_put_ktime(b, "updated_at", req->now_us);
    json_put_kbool(b, "is_anonymous", false);
    json_put_close(b, '}');
}

/* The row of an unconfirmed user is shown again, but not what an administrator wrote into an invitation. */
static void put_unconfirmed(struct buf *b, struct user *known)
{
    if (known->invited_us) {
        known->user_metadata = S("{}");
        known->identities = S("[]");
    }
    user_put_json(b, known);
}

static bool repeated(struct req *req, struct resp *resp, const struct signup *s, struct err *e)
{
    if (auth_config_of(req)->autoconfirm)
        return err_set(e, 422, "user_already_exists", "User already registered");
    err_clear(e);
    struct user known;
    bool found;
    if (!signup_repeat(req, s->email, s->mail, &known, &found, e)) {
        if (!auth_config_of(req)->enumeration_strict || e->status != 429)
            return false;
        err_clear(e); /* too soon for another mail: nobody is told whose address has had one */
        known.confirmation_sent_us = req->now_us;
    }
    struct buf *b = resp_json(resp, 200);
    if (found && !user_confirmed(&known))
        put_unconfirmed(b, &known);
    else
        put_lookalike(b, req, s->email, s->user_metadata);
    return resp_done(resp, e);
}

/* Neither address nor number: a user of this device alone, for as long as they keep the session. */
static bool signup_anonymously(struct req *req, const struct signup_in *in, struct resp *resp,
                               struct err *e)
{
    const struct auth_config *c = auth_config_of(req);
    if (!signup_open(c, e))
        return false;
    if (!c->anonymous_enabled)
        return err_set(e, 422, "anonymous_provider_disabled", "Anonymous sign-ins are disabled");
    struct signup s = {
        .anonymous = true,
        .user_metadata = in->data,
        .open_session = true,
        .actor_kind = "user",
    };
    struct login l;
    if (!quota_take(req, QUOTA_ANONYMOUS, (struct str){0}, e) || !signup_run(req, &s, &l, e))
        return false;
    if (!l.pair.access_token.p) /* an app's trigger has banned the newcomer */
        return err_set(e, 403, "user_banned", "User is banned");
    auth_api_put_session(resp, resp_json(resp, 200), &l.pair, &l.user);
    return resp_done(resp, e);
}

/*
 * POST /auth/v1/signup
 * User, identity, profile and, where addresses are confirmed at once, session: one transaction.
 * Source: GoTrue signup.go; auth.md §1.3, §6.1-6.3, §6.9.
 */
bool signup_api_post(struct req *req, struct resp *resp, struct err *e)
{
    struct signup_in in = {0};
    struct str email = {0};
    if (!json_read(req->body, &signup_shape, &in, req->arena, e))
        return false;
    if (!in.email.n && !in.phone.n)
        return signup_anonymously(req, &in, resp, e);
    if (!signup_checked(req, &in, &email, e))
        return false;

    bool confirmed = auth_config_of(req)->autoconfirm;
    struct token_mail mail = {
        .token = ONE_TIME_CONFIRMATION,
        .kind = MAIL_CONFIRMATION,
        .verify_type = "signup",
        .authentication = "email/signup",
        .redirect_to = redirect_target(req, (struct str){0}),
    };
    if (!flow_pkce_read(in.code_challenge, in.code_challenge_method, &mail.pkce, e))
        return false;
    struct signup s = {
        .email = email,
        .password = in.password,
        .mail = confirmed ? NULL : &mail,
        .user_metadata = in.data,
        .email_confirmed = confirmed,
        .metadata_is_identity = true,
        .open_session = confirmed || auth_config_of(req)->unverified_may_login,
        .actor_kind = "user",
    };
    struct login l;
    if (!signup_run(req, &s, &l, e))
        return e->code && strcmp(e->code, "email_exists") == 0 ? repeated(req, resp, &s, e) : false;

    struct buf *b = resp_json(resp, 200);
    if (l.pair.access_token.p) {
        auth_api_put_session(resp, b, &l.pair, &l.user);
        password_rules_put_weak(b, req, in.password);
    } else {
        user_put_json(b, &l.user);
    }
    return resp_done(resp, e);
}

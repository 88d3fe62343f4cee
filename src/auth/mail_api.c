/* SPDX-License-Identifier: Apache-2.0 */
/* Routes that send a mail. Source: GoTrue otp.go, magic_link.go, recover.go, resend.go; auth.md §1.3. */
#include "auth/auth_api.h"

#include "auth/mail_flow.h"
#include "auth/redirect.h"
#include "base/clock.h"
#include "base/json.h"
#include "runtime/fiber.h"

struct mail_in {
    struct str type, email, phone, data, channel, code_challenge, code_challenge_method;
    enum json_bool create_user;
};

static const struct json_field mail_fields[] = {
    JSON_FIELD(struct mail_in, type, JSON_STR, 64, 0),
    JSON_FIELD(struct mail_in, email, JSON_STR, 1024, 0),
    JSON_FIELD(struct mail_in, phone, JSON_STR, 64, 0),
    JSON_FIELD(struct mail_in, data, JSON_OBJECT, AUTH_BODY_MAX, 0),
    JSON_FIELD(struct mail_in, channel, JSON_STR, 32, 0),
    JSON_FIELD(struct mail_in, code_challenge, JSON_STR, 256, 0),
    JSON_FIELD(struct mail_in, code_challenge_method, JSON_STR, 32, 0),
    JSON_FIELD(struct mail_in, create_user, JSON_BOOL, 0, 0),
};

static const struct json_shape mail_shape = {mail_fields,
                                             sizeof(mail_fields) / sizeof(mail_fields[0]), false};

static bool ask_read(struct req *req, const struct mail_in *in, struct mail_ask *out, struct err *e)
{
    *out = (struct mail_ask){
        .redirect_to = redirect_target(req, (struct str){0}),
        .data = in->data,
        .create = in->create_user != JSON_FALSE,
    };
    return user_email_normal(req->arena, in->email, &out->email, e)
           && flow_pkce_read(in->code_challenge, in->code_challenge_method, &out->pkce, e);
}

/* Longer than the work for a user that exists takes, so that how long it took says nothing. */
enum { ANSWER_AFTER_US = 200 * CLOCK_MS };

static bool waited(const struct req *req, struct err *e)
{
    int64_t left = req->head_us + ANSWER_AFTER_US - clock_mono_us();
    return !auth_config_of(req)->enumeration_strict || left <= 0 || fiber_sleep(left) != FIBER_GONE
           || fiber_fail(FIBER_GONE, e);
}

/* The same for every address. */
static bool sent(struct req *req, struct resp *resp, struct err *e)
{
    if (!waited(req, e))
        return false;
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_close(b, '}');
    return resp_done(resp, e);
}

static bool links_enabled(const struct auth_config *c, struct err *e)
{
    if (!c->email_enabled)
        return err_set(e, 422, "email_provider_disabled", "Email logins are disabled");
    return c->magic_link_enabled
           || err_set(e, 422, "email_provider_disabled", "Login with magic link is disabled");
}

/* POST /auth/v1/otp */
bool mail_api_otp(struct req *req, struct resp *resp, struct err *e)
{
    struct mail_in in = {0};
    struct mail_ask ask;
    if (!json_read(req->body, &mail_shape, &in, req->arena, e))
        return false;
    if (in.email.n && in.phone.n)
        return err_set(e, 400, "validation_failed",
                       "Only an email address or phone number should be provided");
    if (in.email.n && in.channel.n)
        return err_set(e, 400, "validation_failed",
                       "Channel should only be specified with Phone OTP");
    if (in.phone.n)
        return err_set(e, 400, "phone_provider_disabled", "Unsupported phone provider");
    if (!in.email.n)
        return err_set(e, 400, "validation_failed", "One of email or phone must be set");
    return links_enabled(auth_config_of(req), e) && ask_read(req, &in, &ask, e)
           && mail_flow_sign_in(req, &ask, e) && sent(req, resp, e);
}

/* POST /auth/v1/magiclink: the older name of /otp, for addresses alone. */
bool mail_api_magiclink(struct req *req, struct resp *resp, struct err *e)
{
    struct mail_in in = {0};
    struct mail_ask ask;
    if (!json_read(req->body, &mail_shape, &in, req->arena, e))
        return false;
    if (!in.email.n)
        return err_set(e, 422, "validation_failed", "Password recovery requires an email");
    return links_enabled(auth_config_of(req), e) && ask_read(req, &in, &ask, e)
           && mail_flow_sign_in(req, &ask, e) && sent(req, resp, e);
}

/* POST /auth/v1/recover */
bool mail_api_recover(struct req *req, struct resp *resp, struct err *e)
{
    struct mail_in in = {0};
    struct mail_ask ask;
    if (!json_read(req->body, &mail_shape, &in, req->arena, e))
        return false;
    if (!in.email.n)
        return err_set(e, 400, "validation_failed", "Password recovery requires an email");
    if (!auth_config_of(req)->email_enabled)
        return err_set(e, 400, "email_provider_disabled", "Email logins are disabled");
    return ask_read(req, &in, &ask, e) && mail_flow_recover(req, &ask, e) && sent(req, resp, e);
}

struct resend_row {
    const char *type;
    bool by_phone;
    bool (*run)(struct req *, const struct mail_ask *, struct err *);
};

static const struct resend_row resends[] = {
    {"signup", false, mail_flow_resend_signup},
    {"email_change", false, mail_flow_resend_change},
    {"sms", true, NULL},
    {"phone_change", true, NULL},
};

static bool resend_checked(const struct auth_config *c, const struct mail_in *in,
                           const struct resend_row **out, struct err *e)
{
    *out = NULL;
    for (size_t i = 0; i < sizeof(resends) / sizeof(resends[0]); i++)
        if (str_is(in->type, resends[i].type))
            *out = &resends[i];
    if (!*out)
        return err_set(e, 400, "validation_failed",
                       "Missing one of these types: signup, email_change, sms, phone_change");
    if (in->email.n && in->phone.n)
        return err_set(e, 400, "validation_failed",
                       "Only an email address or phone number should be provided.");
    if (!(*out)->by_phone && !in->email.n)
        return err_set(e, 400, "validation_failed", "Type provided requires an email address");
    if ((*out)->by_phone && !in->phone.n)
        return err_set(e, 400, "validation_failed", "Type provided requires a phone number");
    if ((*out)->by_phone)
        return err_set(e, 400, "phone_provider_disabled", "Phone logins are disabled");
    return c->email_enabled
           || err_set(e, 400, "email_provider_disabled", "Email logins are disabled");
}

/* POST /auth/v1/resend */
bool mail_api_resend(struct req *req, struct resp *resp, struct err *e)
{
    struct mail_in in = {0};
    struct mail_ask ask;
    const struct resend_row *row;
    return json_read(req->body, &mail_shape, &in, req->arena, e)
           && resend_checked(auth_config_of(req), &in, &row, e) && ask_read(req, &in, &ask, e)
           && row->run(req, &ask, e) && sent(req, resp, e);
}

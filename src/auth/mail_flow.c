/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/mail_flow.h"

#include "auth/email_change.h"

enum asked { ASKED_NOBODY, ASKED_UNCONFIRMED, ASKED_SENT };

/* In strict mode nobody learns from a refusal that there is an account. */
static bool refused(const struct req *req, struct err *e)
{
    bool tells = e->status == 429 && strcmp(e->code, "over_email_send_rate_limit") == 0;
    if (!auth_config_of(req)->enumeration_strict || !tells)
        return false;
    err_clear(e);
    return true;
}

static void note(struct pg_tx *tx, struct req *req, const struct user *u, enum audit_event event)
{
    audit_add(tx, req,
              &(struct audit_note){.event = event,
                                   .actor_id = uuid_str(&u->id),
                                   .actor_kind = S("user"),
                                   .actor_email = u->email,
                                   .detail = S("{\"provider\":\"email\"}")});
}

static bool send(struct pg_tx *tx, struct req *req, const struct token_mail *m,
                 const struct user *u, struct err *e)
{
    bool confirmation = m->token == ONE_TIME_CONFIRMATION;
    if (!one_time_frequency(req, confirmation ? u->confirmation_sent_us : u->recovery_sent_us, e)
        || !token_mail_queue(tx, req, m, u, e))
        return false;
    note(tx, req, u,
         confirmation ? AUDIT_USER_CONFIRMATION_REQUESTED : AUDIT_USER_RECOVERY_REQUESTED);
    if (!audit_commit(tx, req, e))
        return false;
    caller_forget(uuid_str(&u->id));
    return true;
}

/* unconfirmed_too: an address that was never confirmed gets the mail as well. */
static bool send_to(struct req *req, struct str email, const struct token_mail *m,
                    bool unconfirmed_too, enum asked *out, struct err *e)
{
    struct user u;
    bool found;
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    *out = ASKED_NOBODY;
    if (!pg_tx_begin(&tx, req->pg, PG_LOGIN_AUTH, e)
        || !user_find_locked(&tx, req, email, &u, &found, e))
        return false;
    if (!found)
        return true;
    *out = ASKED_UNCONFIRMED;
    if (!user_confirmed(&u) && !unconfirmed_too)
        return true;
    *out = ASKED_SENT;
    return send(&tx, req, m, &u, e);
}

static struct token_mail confirmation(const struct mail_ask *ask)
{
    return (struct token_mail){ONE_TIME_CONFIRMATION, MAIL_CONFIRMATION, "signup",
                               "email/signup",        ask->pkce,         ask->redirect_to};
}

static bool sign_up(struct req *req, const struct mail_ask *ask, const struct token_mail *link,
                    struct err *e)
{
    const struct auth_config *c = auth_config_of(req);
    struct token_mail confirm = confirmation(ask);
    struct signup s = {
        .email = ask->email,
        .password_hash = S(""), /* they never had a password */
        .user_metadata = ask->data,
        .metadata_is_identity = true,
        .email_confirmed = c->autoconfirm,
        .mail = c->autoconfirm ? link : &confirm,
        .actor_kind = "user",
    };
    struct login l;
    if (!c->signup_enabled)
        return err_set(e, 422, "signup_disabled", "Signups not allowed for this instance");
    return signup_run(req, &s, &l, e);
}

static bool nobody(struct req *req, const struct mail_ask *ask, const struct token_mail *link,
                   struct err *e)
{
    if (ask->create)
        return sign_up(req, ask, link, e);
    return auth_config_of(req)->enumeration_strict
           || err_set(e, 422, "otp_disabled", "Signups not allowed for otp");
}

bool mail_flow_sign_in(struct req *req, const struct mail_ask *ask, struct err *e)
{
    struct token_mail link = {ONE_TIME_RECOVERY, MAIL_MAGIC_LINK, "magiclink",
                              "magiclink",       ask->pkce,       ask->redirect_to};
    bool autoconfirm = auth_config_of(req)->autoconfirm;
    enum asked asked;
    for (int tries = 0; tries < 2; tries++) {
        if (!send_to(req, ask->email, &link, autoconfirm, &asked, e))
            return refused(req, e);
        if (asked == ASKED_UNCONFIRMED)
            return mail_flow_resend_signup(req, ask, e);
        if (asked == ASKED_SENT || nobody(req, ask, &link, e))
            return true;
        if (strcmp(e->code, "email_exists") != 0) /* else: signed up in this very moment */
            return false;
        err_clear(e);
        audit_forget(req);
    }
    return err_set(e, 409, "conflict", "Too many requests for this address at once");
}

bool mail_flow_recover(struct req *req, const struct mail_ask *ask, struct err *e)
{
    struct token_mail m = {ONE_TIME_RECOVERY, MAIL_RECOVERY, "recovery",
                           "recovery",        ask->pkce,     ask->redirect_to};
    enum asked asked;
    return send_to(req, ask->email, &m, true, &asked, e) || refused(req, e);
}

bool mail_flow_resend_signup(struct req *req, const struct mail_ask *ask, struct err *e)
{
    struct token_mail m = confirmation(ask);
    struct user u;
    bool found;
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_begin(&tx, req->pg, PG_LOGIN_AUTH, e)
        || !user_find_locked(&tx, req, ask->email, &u, &found, e))
        return false;
    return !found || user_confirmed(&u) || send(&tx, req, &m, &u, e) || refused(req, e);
}

bool mail_flow_resend_change(struct req *req, const struct mail_ask *ask, struct err *e)
{
    struct user u;
    bool found;
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_begin(&tx, req->pg, PG_LOGIN_AUTH, e)
        || !user_find_locked(&tx, req, ask->email, &u, &found, e))
        return false;
    if (!found || !u.email_change.n)
        return true;
    struct email_change c = {u.email_change, ask->pkce, ask->redirect_to};
    if (!one_time_frequency(req, u.email_change_sent_us, e))
        return refused(req, e);
    if (!email_change_ask(&tx, req, &u, &c, e) || !audit_commit(&tx, req, e))
        return false;
    caller_forget(uuid_str(&u.id));
    return true;
}

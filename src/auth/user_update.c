/* SPDX-License-Identifier: Apache-2.0 */
/* A user changes themselves. Source: GoTrue user.go, reauthenticate.go; auth.md §1.5, §6.9, §6.13. */
#include "auth/auth_private.h"

#include "auth/email_change.h"
#include "auth/mailer.h"
#include "auth/one_time.h"
#include "auth/password_rules.h"
#include "auth/redirect.h"
#include "base/clock.h"
#include "base/secret.h"
#include "guard/quota.h"

static const int64_t fresh_us = 24LL * 3600 * CLOCK_S; /* a younger session needs no nonce */

/* What is there before the change; the write asks for it again. */
struct look {
    struct user user;
    int64_t session_created_us; /* 0: the token has no session */
    struct str aal, nonce_hash;
    bool recovered, mfa, email_taken, phone_taken;
};

struct plan {
    const struct user_edit *edit;
    struct look look;
    struct flow_pkce pkce;
    bool new_email, new_phone; /* asked for, and others than there are */
    struct str new_hash;       /* absent: the password stays */
};

/* The caller's own, absent of a token without one. */
static struct str session_of(const struct req *req)
{
    struct str id = uuid_str(&req->principal->session_id);
    return id.n ? id : (struct str){0};
}

static bool look_read(struct req *req, struct plan *p, struct err *e)
{
    const struct user_edit *in = p->edit;
    struct str id = uuid_str(&req->principal->user_id);
    struct str session = session_of(req);
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &user_by_id_sql, PG_ARGS(id));
    pg_tx_add(&tx, &user_update_look_sql,
              PG_ARGS(id, session, in->email, in->phone));
    if (!pg_tx_commit(&tx, e))
        return false;
    const struct pg_result *r = pg_tx_result(&tx, 1);
    if (pg_row_count(pg_tx_result(&tx, 0)) == 0 || pg_row_count(r) == 0)
        return err_set(e, 403, "user_not_found", "User from sub claim in JWT does not exist");
    if (!pg_row_bool(r, 0, USER_UPDATE_LOOK_SESSION_LIVES))
        return err_set(e, 403, "session_not_found",
                       "Session from session_id claim in JWT does not exist");
    struct look l = {
        .session_created_us = pg_row_time(r, 0, USER_UPDATE_LOOK_SESSION_CREATED_AT),
        .aal = arena_str(req->arena, pg_row_str(r, 0, USER_UPDATE_LOOK_AAL)),
        .nonce_hash = arena_str(req->arena, pg_row_str(r, 0, USER_UPDATE_LOOK_REAUTHENTICATION_TOKEN)),
        .recovered = pg_row_bool(r, 0, USER_UPDATE_LOOK_RECOVERED),
        .mfa = pg_row_bool(r, 0, USER_UPDATE_LOOK_MFA),
        .email_taken = pg_row_bool(r, 0, USER_UPDATE_LOOK_EMAIL_TAKEN),
        .phone_taken = pg_row_bool(r, 0, USER_UPDATE_LOOK_PHONE_TAKEN),
    };
    if (!user_from_row(pg_tx_result(&tx, 0), 0, req->arena, &l.user, e))
        return false;
    p->look = l;
    p->new_email = in->email.n && !str_eq(in->email, l.user.email);
    p->new_phone = in->phone.n && !str_eq(in->phone, l.user.phone);
    return true;
}

/* ---- may they -------------------------------------------------------------------------------- */

static bool form_ok(struct req *req, struct user_edit *in, struct err *e)
{
    if (in->email.n && !user_email_normal(req->arena, in->email, &in->email, e))
        return false;
    if (in->phone.n && !user_phone_normal(req->arena, in->phone, &in->phone, e))
        return false;
    if (in->channel.n && !str_is(in->channel, "sms") && !str_is(in->channel, "whatsapp"))
        return err_set(e, 400, "validation_failed",
                       "Invalid channel, supported values are 'sms' or 'whatsapp'");
    return !in->password.p || password_rules_ask(req, in->password, e);
}

static bool rights_ok(const struct req *req, const struct plan *p, struct err *e)
{
    const struct user_edit *in = p->edit;
    const struct user *u = &p->look.user;
    bool access = in->password.n || p->new_email || p->new_phone;
    if (in->app_metadata.p && !req->principal->admin)
        return err_set(e, 403, "not_admin", "Updating app_metadata requires admin privileges");
    if (p->look.mfa && !str_is(p->look.aal, "aal2") && access)
        return err_set(
            e, 401, "insufficient_aal",
            "AAL2 session is required to update email or password when MFA is enabled.");
    if (u->is_anonymous && in->password.n && !in->email.n && !in->phone.n)
        return err_set(
            e, 422, "validation_failed",
            "Updating password of an anonymous user without an email or phone is not allowed");
    if (u->is_sso && (access || in->nonce.n))
        return err_set(e, 422, "user_sso_managed",
                       "Updating email, phone, password of a SSO account only possible via SSO");
    if (p->new_email && p->look.email_taken)
        return err_set(e, 422, "email_exists",
                       "A user with this email address has already been registered");
    if (p->new_phone && p->look.phone_taken)
        return err_set(e, 422, "phone_exists", "A user with this phone number has already been registered");
    return true;
}

static bool nonce_wrong(struct err *e)
{
    return err_set(e, 422, "reauthentication_not_valid", "Nonce has expired or is invalid");
}

static bool nonce_ok(struct req *req, const struct plan *p, struct err *e)
{
    const struct user *u = &p->look.user;
    struct str address = u->email.n ? u->email : u->phone;
    if (!p->edit->nonce.n)
        return err_set(e, 400, "reauthentication_needed",
                       "Password update requires reauthentication");
    if (!address.n) /* nobody could have sent them one, and there is no key to count by */
        return nonce_wrong(e);
    if (!quota_take(req, QUOTA_CODES, address, e))
        return false;
    bool living = p->look.nonce_hash.n && one_time_lives(req, u->reauthentication_sent_us);
    return (living && secret_eq(one_time_hash(req, address, p->edit->nonce), p->look.nonce_hash))
           || nonce_wrong(e);
}

static bool reauthenticated(struct req *req, const struct plan *p, struct err *e)
{
    int64_t since = p->look.session_created_us;
    return !auth_config_of(req)->password_needs_nonce || (since && since + fresh_us > req->now_us)
           || nonce_ok(req, p, e);
}

/* The hash of that password, looked at on the pool. */
static bool is_password(struct req *req, const struct plan *p, struct str word, bool *same,
                        struct err *e)
{
    bool stale;
    return hasher_check(req, &(struct offload_place){0}, word, p->look.user.password, same, &stale,
                        e);
}

/* Given although nobody asks for it, it has to be right as well. */
static bool current_password_ok(struct req *req, const struct plan *p, struct err *e)
{
    struct str given = p->edit->current_password;
    const struct user *u = &p->look.user;
    struct user proved; /* where it is not the one that was read, the write finds no row */
    if (!u->password.n || p->look.recovered)
        return true;
    if (!given.n)
        return !auth_config_of(req)->password_needs_current
               || err_set(e, 400, "current_password_required",
                          "Current password required when setting new password.");
    if (proof_password(req, given, &proved, e))
        return true;
    return strcmp(e->code, "invalid_credentials") != 0
               ? false
               : err_set(e, 400, "current_password_invalid",
                         "The current password is not the one given.");
}

static bool password_prepare(struct req *req, struct plan *p, struct err *e)
{
    const struct user_edit *in = p->edit;
    bool same = false;
    if (!in->password.p)
        return true;
    if (!reauthenticated(req, p, e) || !current_password_ok(req, p, e)
        || (p->look.user.password.n && !is_password(req, p, in->password, &same, e)))
        return false;
    if (same)
        return err_set(e, 422, "same_password",
                       "New password should be different from the old password.");
    return hasher_make(req, in->password, &p->new_hash, e);
}

static bool contact_ok(const struct req *req, const struct plan *p, struct err *e)
{
    const struct user *u = &p->look.user;
    if (p->new_phone)
        return err_set(e, 400, "phone_provider_disabled", "Phone numbers cannot be confirmed here");
    bool at_once = u->is_anonymous && auth_config_of(req)->autoconfirm;
    return !p->new_email || at_once || one_time_frequency(req, u->email_change_sent_us, e);
}

/* ---- the change ------------------------------------------------------------------------------ */

static void note(struct pg_tx *tx, struct req *req, const struct user *u, enum audit_event event)
{
    audit_add(tx, req,
              &(struct audit_note){.event = event,
                                   .actor_id = uuid_str(&u->id),
                                   .actor_kind = S("user"),
                                   .actor_email = u->email});
}

static bool queue_password(struct pg_tx *tx, struct req *req, const struct plan *p, struct err *e)
{
    const struct user *u = &p->look.user;
    struct str id = uuid_str(&u->id), session = session_of(req);
    if (session.p)
        pg_tx_add(tx, &session_delete_others_sql, PG_ARGS(id, session));
    else
        pg_tx_add(tx, &session_delete_all_sql, PG_ARGS(id));
    one_time_clear(tx, id);
    note(tx, req, u, AUDIT_USER_PASSWORD_CHANGED);
    struct mail told = {
        .kind = MAIL_PASSWORD_CHANGED_NOTIFICATION, .to = u->email, .user = u};
    return !u->email_confirmed_us || mailer_queue(tx, req, &told, e);
}

static bool queue_email(struct pg_tx *tx, struct req *req, const struct plan *p, struct err *e)
{
    const struct user *u = &p->look.user;
    struct str id = uuid_str(&u->id), email = p->edit->email;
    if (u->is_anonymous && auth_config_of(req)->autoconfirm) { /* like a signup; everybody else verifies */
        pg_tx_add(tx, &identity_set_email_sql, PG_ARGS(id, email, pg_tx_bool(false))); /* nobody has proven it */
        pg_tx_add(tx, &user_email_set_sql, PG_ARGS(id, email));
        pg_tx_add(tx, &verify_providers_sql, PG_ARGS(id));
        one_time_clear(tx, id);
        return true;
    }
    struct email_change wish = {email, p->pkce, redirect_target(req, (struct str){0})};
    return email_change_ask(tx, req, u, &wish, e);
}

static bool queue_all(struct pg_tx *tx, struct req *req, const struct plan *p, struct err *e)
{
    const struct user_edit *in = p->edit;
    const struct user *u = &p->look.user;
    pg_tx_add(tx, &user_update_write_sql,
              PG_ARGS(uuid_str(&u->id), u->email.p ? u->email : S(""), u->password, p->new_hash,
                      in->data, in->app_metadata, session_of(req)));
    if (p->new_hash.p && !queue_password(tx, req, p, e))
        return false;
    if (p->new_email && !queue_email(tx, req, p, e))
        return false;
    note(tx, req, u, AUDIT_USER_MODIFIED);
    return true;
}

static bool failed(const struct pg_tx *tx, struct err *e)
{
    char detail[sizeof(e->detail)];
    if (e->status != 500)
        return false;
    memcpy(detail, e->detail, sizeof(detail));
    if (str_is(tx->error.sqlstate, "23505"))
        err_set(e, 422, "email_exists",
                "A user with this email address has already been registered");
    else if (str_starts(tx->error.sqlstate, S("22")))
        err_set(e, 400, "validation_failed", "The metadata holds a value that cannot be stored");
    else
        err_set(e, 500, "unexpected_failure", "Error updating user");
    return err_detail(e, "%s", detail);
}

/* False with e clear: the user has changed since they were read. */
static bool write(struct req *req, const struct plan *p, struct user *out, struct err *e)
{
    struct str id = uuid_str(&p->look.user.id);
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_begin(&tx, req->pg, PG_LOGIN_AUTH, e) || !queue_all(&tx, req, p, e))
        return false;
    unsigned last = tx.count;
    pg_tx_add(&tx, &user_by_id_sql, PG_ARGS(id));
    if (!pg_tx_flush(&tx, e))
        return failed(&tx, e);
    if (pg_row_count(pg_tx_result(&tx, 0)) == 0 || pg_row_count(pg_tx_result(&tx, last)) == 0)
        return false;
    struct token_pair unused = {.session_id = uuid_v4()};
    if (!user_from_row(pg_tx_result(&tx, last), 0, req->arena, out, e)
        || !session_sign(req, out, S("aal1"), session_amr(req, "password"), &unused, e))
        return false; /* nobody could carry such a token: refused before it is written */
    bool ok = audit_commit(&tx, req, e);
    caller_forget(id); /* also when the outcome is not known */
    return ok || failed(&tx, e);
}

bool user_update_run(struct req *req, const struct user_edit *edit, struct user *out,
                     struct err *e)
{
    struct user_edit in = *edit;
    if (!form_ok(req, &in, e))
        return false;
    struct flow_pkce pkce = {0};
    if (in.email.n && !flow_pkce_read(in.code_challenge, in.code_challenge_method, &pkce, e))
        return false;
    for (int tries = 0; tries < 2; tries++) {
        struct plan p = {.edit = &in, .pkce = pkce};
        if (!look_read(req, &p, e) || !rights_ok(req, &p, e) || !password_prepare(req, &p, e)
            || !contact_ok(req, &p, e))
            return false;
        if (write(req, &p, out, e))
            return true;
        audit_forget(req);
        if (e->status)
            return false;
    }
    return err_set(e, 409, "conflict", "The user was changed by another request, try again");
}

/* ---- reauthentication ------------------------------------------------------------------------ */

static bool may_reauthenticate(const struct user *u, struct err *e)
{
    if (!u->email.n && !u->phone.n)
        return err_set(e, 400, "validation_failed",
                       "Reauthentication requires the user to have an email or a phone number");
    if (u->email.n)
        return u->email_confirmed_us
               || err_set(e, 422, "email_not_confirmed", "Please verify your email first.");
    if (!u->phone_confirmed_us)
        return err_set(e, 422, "phone_not_confirmed", "Please verify your phone first.");
    return err_set(e, 400, "phone_provider_disabled", "Phone numbers cannot be confirmed here");
}

bool user_update_reauthenticate(struct req *req, struct err *e)
{
    struct user u;
    struct str id = uuid_str(&req->principal->user_id);
    if (!user_load(req, id, &u, e) || !may_reauthenticate(&u, e)
        || !one_time_frequency(req, u.reauthentication_sent_us, e))
        return false;
    struct one_time t;
    one_time_make(req, u.email, false, &t);
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_begin(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    one_time_store(&tx, ONE_TIME_REAUTHENTICATION, id, u.email, &t);
    note(&tx, req, &u, AUDIT_USER_REAUTHENTICATE_REQUESTED);
    struct mail m = {.kind = MAIL_REAUTHENTICATION, .to = u.email, .user = &u, .otp = t.otp};
    bool ok = mailer_queue(&tx, req, &m, e) && audit_commit(&tx, req, e);
    caller_forget(id); /* reauthentication_sent_at is shown */
    return ok;
}

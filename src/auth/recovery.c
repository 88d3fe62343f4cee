/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords that are forgotten: asked for by address, set anew by what the mail brings. */
#include "auth/auth_private.h"

#include "auth/mail_flow.h"
#include "auth/password_rules.h"
#include "auth/redirect.h"
#include "base/clock.h"
#include "guard/quota.h"
#include "runtime/fiber.h"

/* Longer than the work for a user that exists takes, so that how long it took says nothing. */
enum { ANSWER_AFTER_US = 200 * CLOCK_MS };

/* ---- asking for a mail ----------------------------------------------------------------------- */

static bool request(struct req *req, struct str email, struct str redirect_to, struct err *e)
{
    struct mail_ask ask = {.email = email, .redirect_to = redirect_target(req, redirect_to)};
    return !auth_config_of(req)->email_enabled || mail_flow_recover(req, &ask, e);
}

bool recovery_request(struct req *req, struct str email, struct str redirect_to, struct err *e)
{
    int64_t until = req->head_us + ANSWER_AFTER_US;
    bool ok = request(req, email, redirect_to, e);
    audit_forget(req);
    if (!ok && e->status >= 500)
        return false;
    err_clear(e); /* limits by user or address, too, would tell that there is one */
    int64_t left = until - clock_mono_us();
    if (left > 0 && fiber_sleep(left) == FIBER_GONE)
        return fiber_fail(FIBER_GONE, e);
    return true;
}

/* ---- what the mail brings --------------------------------------------------------------------- */

static bool is_code(struct str token)
{
    for (size_t i = 0; i < token.n; i++)
        if (token.p[i] < '0' || token.p[i] > '9')
            return false;
    return token.n >= 6 && token.n <= 10;
}

static bool expired(struct err *e)
{
    return err_set(e, 403, "otp_expired", "Token has expired or is invalid");
}

/* The hash of a link, or of the code in the mail together with its address. */
static bool hash_of(struct req *req, struct str token, struct str email, struct str *out, struct err *e)
{
    static const struct str prefix = S_INIT("pkce_");
    if (is_code(token)) {
        if (!email.n)
            return err_set(e, 400, "validation_failed", "A code needs the email address that it was sent to");
        if (!quota_take(req, QUOTA_CODES, email, e))
            return false;
        *out = one_time_hash(req, email, token);
        return true;
    }
    if (str_starts(token, prefix))
        token = str_from_at(token, prefix.n);
    *out = token;
    return token.n == ONE_TIME_HASH_LENGTH || expired(e);
}

bool recovery_check(struct req *req, struct str token, struct str email, struct recovery *out, struct err *e)
{
    struct recovery r = {0};
    if (!hash_of(req, token, email, &r.hash, e))
        return false;
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &recovery_find_sql, PG_ARGS(r.hash));
    if (!pg_tx_commit(&tx, e))
        return false;
    const struct pg_result *found = pg_tx_result(&tx, 0);
    if (pg_row_count(found) == 0 || !one_time_lives(req, pg_row_time(found, 0, RECOVERY_FIND_SENT_AT)))
        return expired(e);
    r.user_id = arena_str(req->arena, pg_row_str(found, 0, RECOVERY_FIND_USER_ID));
    *out = r;
    return true;
}

/* ---- the new password -------------------------------------------------------------------------- */

struct change {
    struct user user;
    struct str new_hash, token; /* token: absent when the user has shown the former password */
    enum audit_event event;
};

static bool change_write(struct req *req, const struct change *c, struct err *e)
{
    struct str id = uuid_str(&c->user.id), session = uuid_str(&req->principal->session_id);
    struct mail notice = {.kind = MAIL_PASSWORD_CHANGED_NOTIFICATION, .to = c->user.email, .user = &c->user};
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_begin(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &password_set_sql, PG_ARGS(id, c->user.password, c->new_hash, pg_tx_bool(c->token.p)));
    if (c->token.p)
        pg_tx_add(&tx, &recovery_take_sql, PG_ARGS(id, c->token));
    else
        pg_tx_add(&tx, &session_find_sql, PG_ARGS(session, id));
    if (!pg_tx_flush(&tx, e))
        return false;
    if (pg_row_count(pg_tx_result(&tx, 0)) == 0 || pg_row_count(pg_tx_result(&tx, 1)) == 0)
        return c->token.p ? expired(e)
                          : err_set(e, 409, "conflict", "The account has just been changed: please try again");
    one_time_clear(&tx, id);
    if (c->token.p)
        pg_tx_add(&tx, &session_delete_all_sql, PG_ARGS(id));
    else
        pg_tx_add(&tx, &session_delete_others_sql, PG_ARGS(id, session));
    audit_add(&tx, req,
              &(struct audit_note){
                  .event = c->event, .actor_id = id, .actor_kind = S("user"), .actor_email = c->user.email});
    if (c->user.email.n && !mailer_queue(&tx, req, &notice, e) && e->status >= 500)
        return false;
    err_clear(e);
    bool ok = audit_commit(&tx, req, e);
    caller_forget(id); /* also when the outcome is not known */
    if (ok)
        auth_count("password_changed");
    return ok;
}

bool recovery_password_fits(struct req *req, struct str password, struct err *e)
{
    return password_rules_ask(req, password, e);
}

bool recovery_spend(struct req *req, const struct recovery *r, struct str password, struct err *e)
{
    struct change c = {.token = r->hash, .event = AUDIT_PASSWORD_RESET};
    return user_load(req, r->user_id, &c.user, e) && hasher_make(req, password, &c.new_hash, e)
           && change_write(req, &c, e);
}

bool recovery_change(struct req *req, struct str current, struct str password, struct err *e)
{
    struct change c = {.event = AUDIT_USER_PASSWORD_CHANGED};
    if (!proof_password(req, current, &c.user, e))
        return false;
    if (!c.user.password.n)
        return err_set(e, 400, "validation_failed", "This account has no password yet: reset it by mail");
    if (str_eq(current, password))
        return err_set(e, 422, "same_password", "New password should be different from the old password.");
    return hasher_make(req, password, &c.new_hash, e) && change_write(req, &c, e);
}

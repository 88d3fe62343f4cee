/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_private.h"

/*
 * Whose account an identity of a provider opens (auth.md §1.8 "Account linking"): the one it belongs
 * to; else that of its address, which the provider has verified; else a new one.
 */
enum outcome {
    OUTCOME_FAILED,
    OUTCOME_DONE,
    OUTCOME_NOBODY,
    OUTCOME_AGAIN, /* somebody was faster */
};

enum { TRIES = 3 };

struct found {
    struct str id;
    bool linked;    /* the identity is already theirs */
    bool confirmed; /* their address is */
    bool proven;    /* by its owner: without mails it is confirmed whoever registers it */
};

static bool find(struct pg_tx *tx, struct req *req, const struct external *x, struct found *out, struct err *e)
{
    *out = (struct found){0};
    pg_tx_add(tx, &external_lock_identity_sql, PG_ARGS(str_from(x->provider), x->subject));
    if (!pg_tx_flush(tx, e))
        return false;
    if (pg_row_count(pg_tx_result(tx, 0)) > 0) {
        out->id = arena_str(req->arena, pg_row_str(pg_tx_result(tx, 0), 0, EXTERNAL_LOCK_IDENTITY_ID));
        out->linked = true;
        return true;
    }
    if (!x->email.n)
        return true;
    pg_tx_add(tx, &external_lock_email_sql, PG_ARGS(x->email, auth_audience(req)));
    if (!pg_tx_flush(tx, e))
        return false;
    if (pg_row_count(pg_tx_result(tx, 0)) > 0) {
        out->id = arena_str(req->arena, pg_row_str(pg_tx_result(tx, 0), 0, EXTERNAL_LOCK_EMAIL_ID));
        out->confirmed = pg_row_bool(pg_tx_result(tx, 0), 0, EXTERNAL_LOCK_EMAIL_CONFIRMED);
        out->proven = out->confirmed
                      && (!auth_config_of(req)->autoconfirm
                          || pg_row_bool(pg_tx_result(tx, 0), 0, EXTERNAL_LOCK_EMAIL_PROVEN));
    }
    return true;
}

static void note(struct pg_tx *tx, struct req *req, enum audit_event event, const struct external *x, struct str id)
{
    audit_add(tx, req,
              &(struct audit_note){
                  .event = event,
                  .actor_id = id,
                  .actor_kind = S("user"),
                  .actor_email = x->email,
                  .detail = arena_printf(req->arena, "{\"provider\":\"%s\"}", x->provider),
              });
}

static void join_queue(struct pg_tx *tx, struct req *req, const struct external *x, const struct found *f)
{
    struct str provider = str_from(x->provider);
    const char *table = auth_config_of(req)->profile_table;
    if (f->linked) {
        pg_tx_add(tx, &external_touch_sql, PG_ARGS(f->id, provider, x->subject, x->identity));
    } else {
        pg_tx_add(tx, &identity_insert_sql, PG_ARGS(f->id, x->subject, provider, x->identity));
        note(tx, req, AUDIT_IDENTITY_LINKED, x, f->id);
    }
    if (!f->linked && !f->proven) {
        pg_tx_add(tx, &external_reset_sql, PG_ARGS(f->id, provider, x->subject, pg_tx_bool(f->confirmed)));
        if (table && !f->confirmed)
            pg_tx_add(tx, &profile_write_sql,
                      PG_ARGS(str_from(table), f->id, signup_profile_from_metadata(req, x->identity)));
    }
    pg_tx_add(tx, &external_update_sql, PG_ARGS(f->id, x->identity));
}

static bool may_log_in(const struct req *req, const struct user *u, struct err *e)
{
    if (u->banned_until_us > req->now_us)
        return err_set(e, 400, "user_banned", "User is banned");
    if (!u->email_confirmed_us && !auth_config_of(req)->unverified_may_login)
        return err_set(e, 400, "email_not_confirmed", "Email not confirmed");
    return true;
}

/* The session, in the words that the token shall have; the last of the transaction. */
static bool log_in(struct pg_tx *tx, struct req *req, const struct external *x, bool want_profile, struct login *out,
                   struct err *e)
{
    const char *table = want_profile ? auth_config_of(req)->profile_table : NULL;
    struct str id = uuid_str(&out->user.id);
    session_prepare(req, &out->pair);
    session_queue_open(tx, req, &out->user, &out->pair, "oauth", (struct str){0});
    note(tx, req, AUDIT_LOGIN, x, id);
    pg_tx_add(tx, &user_by_id_sql, PG_ARGS(id));
    if (table)
        pg_tx_add(tx, &profile_read_sql, PG_ARGS(str_from(table), id));
    if (!pg_tx_flush(tx, e))
        return false;
    if (pg_row_count(pg_tx_result(tx, 0)) == 0 || pg_row_count(pg_tx_result(tx, 2)) == 0)
        return err_set(e, 409, "conflict", "The account has just been changed: please try again");
    if (table) {
        out->profile = arena_str(req->arena, pg_row_str(pg_tx_result(tx, 3), 0, PROFILE_READ_PROFILE));
        if (!out->profile.p)
            return err_set(e, 404, "profile_not_found", "User profile not found");
    }
    return user_from_row(pg_tx_result(tx, 2), 0, req->arena, &out->user, e)
           && session_sign(req, &out->user, S("aal1"), session_amr(req, "oauth"), &out->pair, e)
           && audit_commit(tx, req, e) && session_issue(req, &out->user, "oauth", &out->pair, e);
}

/* As the user that was found and is locked. */
static enum outcome enter(struct pg_tx *tx, struct req *req, const struct external *x, const struct found *f,
                          bool want_profile, struct login *out, struct err *e)
{
    join_queue(tx, req, x, f);
    unsigned last = tx->count;
    pg_tx_add(tx, &user_by_id_sql, PG_ARGS(f->id));
    if (!pg_tx_flush(tx, e))
        return str_is(tx->error.sqlstate, "23505") ? OUTCOME_AGAIN : OUTCOME_FAILED;
    if (!user_from_row(pg_tx_result(tx, last), 0, req->arena, &out->user, e) || !may_log_in(req, &out->user, e))
        return OUTCOME_FAILED;
    bool ok = log_in(tx, req, x, want_profile, out, e);
    caller_forget(f->id); /* also when the outcome is not known */
    return ok ? OUTCOME_DONE : OUTCOME_FAILED;
}

static enum outcome join(struct req *req, const struct external *x, bool want_profile, struct login *out,
                         struct err *e)
{
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    struct found f;
    if (!pg_tx_begin(&tx, req->pg, PG_LOGIN_AUTH, e) || !find(&tx, req, x, &f, e))
        return OUTCOME_FAILED;
    return f.id.p ? enter(&tx, req, x, &f, want_profile, out, e) : OUTCOME_NOBODY;
}

static bool taken(struct err *e, bool by_caller)
{
    return err_set(e, 422, "identity_already_exists", "Identity is already linked%s",
                   by_caller ? "" : " to another user");
}

bool external_link(struct req *req, const struct external *x, struct login *out, struct err *e)
{
    struct external by_subject = *x;
    struct found f, me = {.id = uuid_str(&req->principal->user_id), .confirmed = true, .proven = true};
    struct login l = {0};
    by_subject.email = (struct str){0}; /* whose address it is does not matter: they are here */
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_begin(&tx, req->pg, PG_LOGIN_AUTH, e) || !find(&tx, req, &by_subject, &f, e))
        return false;
    if (f.id.p)
        return taken(e, str_eq(f.id, me.id));
    pg_tx_add(&tx, &user_lock_sql, PG_ARGS(me.id));
    enum outcome o = enter(&tx, req, x, &me, false, &l, e);
    if (o == OUTCOME_AGAIN)
        return taken(e, false);
    if (o == OUTCOME_DONE)
        *out = l;
    return o == OUTCOME_DONE;
}

static bool create(struct req *req, const struct external *x, bool want_profile, struct login *out, struct err *e)
{
    if (!x->email.n)
        return err_set(e, 422, "provider_email_needs_verification",
                       "Unverified email with %s. Verify the email with %s in order to sign in", x->provider,
                       x->provider);
    if (!auth_config_of(req)->signup_enabled)
        return err_set(e, 422, "signup_disabled", "Signups not allowed for this instance");
    struct signup s = {
        .email = x->email,
        .user_metadata = x->identity,
        .external = x,
        .email_confirmed = true,
        .open_session = true,
        .want_profile = want_profile,
        .actor_kind = "user",
    };
    if (!signup_run(req, &s, out, e))
        return false;
    if (out->pair.access_token.p)
        return true;
    /* a trigger of the app's has banned or unconfirmed the newcomer */
    return may_log_in(req, &out->user, e)
           && err_set(e, 409, "conflict", "The account has just been changed: please try again");
}

/* Somebody was faster: the same person twice, or a registration by password. */
static bool lost_race(const struct err *e)
{
    return e->code
           && (strcmp(e->code, "email_exists") == 0 || strcmp(e->code, "identity_already_exists") == 0);
}

bool external_login(struct req *req, const struct external *x, bool want_profile, struct login *out, bool *is_new,
                    struct err *e)
{
    struct login l;
    for (int tries = 0; tries < TRIES; tries++) {
        l = (struct login){0};
        enum outcome o = join(req, x, want_profile, &l, e);
        if (o == OUTCOME_FAILED)
            return false;
        *is_new = o == OUTCOME_NOBODY;
        if (o == OUTCOME_DONE || (o == OUTCOME_NOBODY && create(req, x, want_profile, &l, e))) {
            auth_count("login_ok");
            *out = l;
            return true;
        }
        if (o == OUTCOME_NOBODY && !lost_race(e))
            return false;
        audit_forget(req);
        err_clear(e);
    }
    return err_set(e, 409, "conflict", "The account has just been changed: please try again");
}

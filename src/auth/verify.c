/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/verify.h"

#include "auth/flow.h"
#include "auth/mailer.h"
#include "auth/one_time.h"

/* Which kinds of token a type may spend, and what a PKCE flow of it is called. */
struct type_row {
    const char *name, *kinds, *authentication;
};

static const struct type_row types[] = {
    {"signup", "confirmation_token", "email/signup"},
    {"invite", "confirmation_token", "invite"},
    {"recovery", "recovery_token", "recovery"},
    {"magiclink", "recovery_token", "magiclink"},
    {"email_change", "email_change_token_new,email_change_token_current", "email_change"},
    {"email", "confirmation_token,recovery_token", "magiclink"},
};

static const struct type_row *type_of(struct str name)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (str_is(name, types[i].name))
            return &types[i];
    return NULL;
}

bool verify_type_known(struct str type, struct err *e)
{
    if (str_is(type, "sms") || str_is(type, "phone_change"))
        return err_set(e, 400, "validation_failed",
                       "Phone numbers cannot be verified here: no provider");
    return type_of(type) || err_set(e, 400, "validation_failed", "Unsupported verification type");
}

_Static_assert((int)VERIFY_BY_HASH_TOKEN_HASH == (int)VERIFY_BY_CODE_TOKEN_HASH,
               "one order of columns");

/* ---- the token ------------------------------------------------------------------------------ */

struct found {
    struct str kind, hash, email, new_email;
    int64_t sent_us, banned_until_us;
    bool half_done, invited, confirmed;
    struct user user; /* id and password: what the session's write asks for again */
};

static bool expired(const struct verify_in *in, struct err *e)
{
    return err_set(e, 403, "otp_expired",
                   in->token_hash.p ? "Email link is invalid or has expired"
                                    : "Token has expired or is invalid");
}

static void queue_find(struct pg_tx *tx, struct req *req, const struct verify_in *in,
                       const struct type_row *type)
{
    if (in->token_hash.p)
        pg_tx_add(tx, &verify_by_hash_sql, PG_ARGS(in->token_hash, str_from(type->kinds)));
    else
        pg_tx_add(tx, &verify_by_code_sql,
                  PG_ARGS(in->address, auth_audience(req), one_time_hash(req, in->address, in->otp),
                          str_from(type->kinds)));
}

/* Locks the user. Whether the token still is there once the lock was had, spent() says. */
static bool find(struct pg_tx *tx, struct req *req, const struct verify_in *in,
                 const struct type_row *type, struct found *out, struct err *e)
{
    queue_find(tx, req, in, type);
    if (!pg_tx_flush(tx, e))
        return false;
    const struct pg_result *r = pg_tx_result(tx, 0);
    if (pg_row_count(r) == 0)
        return expired(in, e);
    uuid_parse(pg_row_str(r, 0, VERIFY_BY_HASH_ID), &out->user.id);
    out->user.password = arena_str(req->arena, pg_row_str(r, 0, VERIFY_BY_HASH_ENCRYPTED_PASSWORD));
    out->kind = arena_str(req->arena, pg_row_str(r, 0, VERIFY_BY_HASH_KIND));
    out->hash = arena_str(req->arena, pg_row_str(r, 0, VERIFY_BY_HASH_TOKEN_HASH));
    out->email = arena_str(req->arena, pg_row_str(r, 0, VERIFY_BY_HASH_EMAIL));
    out->new_email = arena_str(req->arena, pg_row_str(r, 0, VERIFY_BY_HASH_EMAIL_CHANGE));
    out->half_done = pg_row_bool(r, 0, VERIFY_BY_HASH_HALF_DONE);
    out->invited = pg_row_bool(r, 0, VERIFY_BY_HASH_INVITED);
    out->confirmed = pg_row_bool(r, 0, VERIFY_BY_HASH_CONFIRMED);
    out->sent_us = pg_row_time(r, 0, VERIFY_BY_HASH_SENT_AT);
    out->banned_until_us = user_time(r, 0, VERIFY_BY_HASH_BANNED_UNTIL);
    if (out->banned_until_us > req->now_us)
        return err_set(e, 403, "user_banned", "User is banned");
    return one_time_lives(req, out->sent_us) || expired(in, e);
}

/* ---- what it does ---------------------------------------------------------------------------- */

static bool is_half(const struct auth_config *c, const struct found *f)
{
    return str_starts(f->kind, S("email_change")) && c->secure_email_change && !c->autoconfirm
           && f->email.n && !f->half_done;
}

static void note(struct pg_tx *tx, struct req *req, const struct found *f, enum audit_event event)
{
    audit_add(tx, req,
              &(struct audit_note){.event = event,
                                   .actor_id = uuid_str(&f->user.id),
                                   .actor_kind = S("user"),
                                   .actor_email = f->email,
                                   .detail = S("{\"provider\":\"email\"}")});
}

static bool queue_change(struct pg_tx *tx, struct req *req, const struct found *f, struct err *e)
{
    struct str id = uuid_str(&f->user.id);
    pg_tx_add(tx, &verify_change_sql, PG_ARGS(id));
    bool proven = f->half_done || str_is(f->kind, "email_change_token_new");
    pg_tx_add(tx, &identity_set_email_sql, PG_ARGS(id, f->new_email, pg_tx_bool(proven)));
    note(tx, req, f, AUDIT_USER_MODIFIED);
    struct user u = f->user;
    u.email = f->new_email;
    return !f->email.n
           || mailer_queue(tx, req,
                           &(struct mail){.kind = MAIL_EMAIL_CHANGED_NOTIFICATION,
                                          .to = f->email,
                                          .user = &u,
                                          .old_email = f->email},
                           e);
}

static bool queue_effect(struct pg_tx *tx, struct req *req, const struct found *f, struct err *e)
{
    struct str id = uuid_str(&f->user.id);
    if (str_starts(f->kind, S("email_change"))) {
        if (!queue_change(tx, req, f, e))
            return false;
    } else if (str_is(f->kind, "confirmation_token")) {
        pg_tx_add(tx, &verify_confirm_sql, PG_ARGS(id));
        note(tx, req, f, f->invited ? AUDIT_INVITE_ACCEPTED : AUDIT_USER_SIGNED_UP);
    } else {
        pg_tx_add(tx, &verify_confirm_sql, PG_ARGS(id)); /* who reads the mail has the address */
    }
    one_time_clear(tx, id);
    pg_tx_add(tx, &verify_providers_sql, PG_ARGS(id));
    return true;
}

static bool failure_worded(const struct pg_tx *tx, struct err *e)
{
    if (str_is(tx->error.sqlstate, "23505") && str_starts(tx->error.constraint, S("users_email")))
        return err_set(e, 422, "email_exists",
                       "A user with this email address has already been registered");
    return false;
}

static void queue_spend(struct pg_tx *tx, const struct found *f)
{
    pg_tx_add(tx, &verify_spend_sql, PG_ARGS(uuid_str(&f->user.id), f->kind, f->hash));
}

static bool spent(const struct pg_tx *tx)
{
    return pg_row_count(pg_tx_result(tx, 0)) > 0;
}

static bool half(struct pg_tx *tx, const struct verify_in *in, const struct found *f,
                 struct verify_out *out, struct err *e)
{
    struct str id = uuid_str(&f->user.id);
    queue_spend(tx, f);
    pg_tx_add(tx, &verify_half_sql, PG_ARGS(id, f->kind));
    if (!pg_tx_flush(tx, e))
        return false;
    if (!spent(tx))
        return expired(in, e);
    if (!pg_tx_commit(tx, e))
        return false;
    caller_forget(id);
    out->half = true;
    return true;
}

/* Type "email" is whatever the mail was. */
static const char *authentication_of(const struct verify_in *in, const struct found *f)
{
    bool signup = str_is(in->type, "email") && str_is(f->kind, "confirmation_token");
    return type_of(signup ? S("signup") : in->type)->authentication;
}

/*
 * Somebody registered the address, it was never proven, and now its owner comes by a mail that they did
 * not need that registration for: its password may be a stranger's.
 */
static void queue_disown(struct pg_tx *tx, struct found *f)
{
    bool asked_for_entry = str_is(f->kind, "recovery_token") || f->invited;
    if (f->confirmed || !asked_for_entry)
        return;
    pg_tx_add(tx, &verify_disown_sql, PG_ARGS(uuid_str(&f->user.id)));
    f->user.password = S("");
}

/* The user as they have become, and a session or a code for them. */
static bool whole(struct pg_tx *tx, struct req *req, const struct verify_in *in, struct found *f,
                  bool code, struct verify_out *out, struct err *e)
{
    struct str id = uuid_str(&f->user.id);
    queue_spend(tx, f);
    queue_disown(tx, f);
    if (!queue_effect(tx, req, f, e))
        return false;
    unsigned given = tx->count;
    if (code) {
        flow_issue(tx, id, authentication_of(in, f));
    } else {
        session_prepare(req, &out->pair);
        session_queue_open(tx, req, &f->user, &out->pair, "otp", (struct str){0});
    }
    unsigned user = tx->count;
    pg_tx_add(tx, &user_by_id_sql, PG_ARGS(id));
    if (!code)
        note(tx, req, f, AUDIT_LOGIN);
    if (!pg_tx_flush(tx, e))
        return failure_worded(tx, e);
    if (!spent(tx))
        return expired(in, e);
    const struct pg_result *r = pg_tx_result(tx, given);
    if (pg_row_count(r) == 0 && code)
        return err_set(e, 400, "flow_state_not_found", "No valid flow state found for user.");
    if (pg_row_count(r) == 0 || pg_row_count(pg_tx_result(tx, user)) == 0)
        return err_set(e, 403, "user_banned", "User is banned"); /* by an app's trigger, just now */
    if (code)
        out->code = arena_str(req->arena, pg_row_str(r, 0, FLOW_ISSUE_AUTH_CODE));
    bool ok =
        user_from_row(pg_tx_result(tx, user), 0, req->arena, &out->user, e)
        && (code
            || session_sign(req, &out->user, S("aal1"), session_amr(req, "otp"), &out->pair, e))
        && audit_commit(tx, req, e);
    caller_forget(id);
    return ok && (code || session_issue(req, &out->user, "otp", &out->pair, e));
}

bool verify_run(struct req *req, const struct verify_in *in, bool want_code, struct verify_out *out,
                struct err *e)
{
    const struct type_row *type = type_of(in->type);
    struct found f = {0};
    struct verify_out v = {.pkce = str_starts(in->token_hash, S("pkce_"))};
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_begin(&tx, req->pg, PG_LOGIN_AUTH, e) || !find(&tx, req, in, type, &f, e))
        return false;
    bool ok = is_half(auth_config_of(req), &f)
                  ? half(&tx, in, &f, &v, e)
                  : whole(&tx, req, in, &f, want_code && v.pkce, &v, e);
    if (!ok)
        return false;
    auth_count("verified");
    *out = v;
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/hook.h"

#include "crypto/hash.h"
#include "guard/lockout.h"

/* One look at the user, the hash, and what it says about them. */
struct attempt {
    struct user user;
    struct str new_hash; /* the right password was stored in an older form */
};

static bool refused(struct err *e)
{
    auth_count("login_failed");
    return err_set(e, 400, "invalid_credentials", "Invalid login credentials");
}

/*
 * Of the address only a hash's begin: attempts on one account can be counted, and who reads the audit
 * learns no address of somebody who has none here. The same work whether the user is known.
 */
static void report_failed(struct req *req, const struct user *u, struct str email, const char *reason)
{
    char hex[65];
    hash_sha256_hex(email, hex);
    audit_report(req, &(struct audit_note){
                          .event = AUDIT_LOGIN_FAILED,
                          .subject_id = uuid_str(&u->id),
                          .detail = arena_printf(req->arena,
                                                 "{\"reason\":\"%s\",\"email_hash\":\"%.16s\"}",
                                                 reason, hex),
                      });
}

static bool may_log_in(const struct req *req, const struct user *u, struct err *e)
{
    if (u->banned_until_us > req->now_us)
        return err_set(e, 400, "user_banned", "User is banned");
    if (!u->email_confirmed_us && !auth_config_of(req)->unverified_may_login)
        return err_set(e, 400, "email_not_confirmed", "Email not confirmed");
    return true;
}

/* ---- how often -------------------------------------------------------------------------------- */

/* Whether somebody has logged in to the account from this network; unknown accounts cost the same. */
static bool network_known(struct req *req, struct str email, bool *out, struct err *e)
{
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &network_known_sql, PG_ARGS(email, auth_audience(req), req->client_ip));
    if (!pg_tx_commit(&tx, e))
        return false;
    *out = pg_row_bool(pg_tx_result(&tx, 0), 0, NETWORK_KNOWN_KNOWN);
    return true;
}

/* Nothing is hashed of what waits; who only waits because of strangers' guesses does not wait. */
static bool admit(struct req *req, struct str email, struct lockout *l, struct err *e)
{
    bool known = false;
    if (lockout_begin(req, email, l, e))
        return true;
    struct err unanswered = {0};
    if (!l->strangers_only || !network_known(req, email, &known, &unanswered) || !known)
        return false;
    return lockout_begin_known(req, l, e);
}

static enum lockout_outcome outcome_of(const struct err *e)
{
    if (e->status == 429 || e->status >= 499)
        return LOCKOUT_UNDECIDED;
    return e->code && strcmp(e->code, "invalid_credentials") == 0 ? LOCKOUT_WRONG : LOCKOUT_RIGHT;
}

/* ---- logging in -------------------------------------------------------------------------------- */

/* The app's hook is told how it went and may refuse, also what is right (auth.md §5.5). */
static bool hook_agrees(struct req *req, const struct user *u, bool right, struct err *e)
{
    struct hook_decision d;
    if (!hook_password(req, u, right, &d, e))
        return false;
    if (!d.reject)
        return true;
    report_failed(req, u, u->email, "hook_rejected");
    return (!d.logout || session_end_all(req, u, e))
           && err_set(e, 400, "invalid_credentials", "%.*s", STR_ARG(d.message));
}

/* As much of the user as the checks need; nothing else may tell known addresses from others by time. */
static bool find(struct req *req, struct str email, struct user *out, bool *known, struct err *e)
{
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &login_find_sql, PG_ARGS(email, auth_audience(req)));
    if (!pg_tx_commit(&tx, e))
        return false;
    const struct pg_result *r = pg_tx_result(&tx, 0);
    *known = uuid_parse(pg_row_str(r, 0, LOGIN_FIND_ID), &out->id);
    out->email = arena_str(req->arena, pg_row_str(r, 0, LOGIN_FIND_EMAIL));
    out->password = arena_str(req->arena, pg_row_str(r, 0, LOGIN_FIND_ENCRYPTED_PASSWORD));
    out->email_confirmed_us = user_time(r, 0, LOGIN_FIND_EMAIL_CONFIRMED_AT);
    out->banned_until_us = user_time(r, 0, LOGIN_FIND_BANNED_UNTIL);
    out->deleted_us = user_time(r, 0, LOGIN_FIND_DELETED_AT);
    return true;
}

/* Unknown users, users without a password and deleted ones cost the same hash as a wrong password. */
static bool attempt_check(struct req *req, struct offload_place *place, struct str email,
                          struct str password, struct attempt *out, struct err *e)
{
    struct user u = {0};
    bool known = false, right = false, stale = false;
    if (!find(req, email, &u, &known, e)
        || !hasher_check(req, place, password, u.deleted_us ? S("") : u.password, &right, &stale, e))
        return false;
    if (known && !u.deleted_us && !hook_agrees(req, &u, right, e))
        return false;
    if (!known || !right) {
        report_failed(req, &u, email, !known ? "unknown_user" : "wrong_password");
        return refused(e);
    }
    if (!may_log_in(req, &u, e)) {
        report_failed(req, &u, email, e->code);
        return false;
    }
    out->user = u;
    out->new_hash = (struct str){0};
    if (!stale || hasher_make(req, password, &out->new_hash, e))
        return true;
    if (e->status != 429)
        return false;
    err_clear(e); /* no room now: the right password is enough, it is hashed anew another time */
    return true;
}

static bool profile_in_place(struct req *req, const struct pg_result *r, struct str *out,
                             struct err *e)
{
    *out = arena_str(req->arena, pg_row_str(r, 0, PROFILE_READ_PROFILE));
    return out->p || err_set(e, 404, "profile_not_found", "User profile not found");
}

/* False with e clear: the user has changed since they were read. */
static bool attempt_write(struct req *req, struct attempt *at, bool want_profile, struct login *out,
                          struct err *e)
{
    const char *table = want_profile ? auth_config_of(req)->profile_table : NULL;
    struct token_pair *pair = &out->pair;
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    struct str id = uuid_str(&at->user.id);
    session_prepare(req, pair);
    if (!pg_tx_begin(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    session_queue_open(&tx, req, &at->user, pair, "password", at->new_hash);
    audit_add(&tx, req,
              &(struct audit_note){.event = AUDIT_LOGIN,
                                   .actor_id = id,
                                   .actor_kind = S("user"),
                                   .actor_email = at->user.email,
                                   .detail = S("{\"provider\":\"email\"}")});
    pg_tx_add(&tx, &user_by_id_sql, PG_ARGS(id));
    if (table)
        pg_tx_add(&tx, &profile_read_sql, PG_ARGS(str_from(table), id));
    if (!pg_tx_flush(&tx, e))
        return false;
    if (pg_row_count(pg_tx_result(&tx, 0)) == 0 || pg_row_count(pg_tx_result(&tx, 2)) == 0)
        return false;
    if (table && !profile_in_place(req, pg_tx_result(&tx, 3), &out->profile, e))
        return false;
    return user_from_row(pg_tx_result(&tx, 2), 0, req->arena, &out->user, e)
           && session_sign(req, &out->user, S("aal1"), session_amr(req, "password"), pair, e)
           && audit_commit(&tx, req, e) && session_issue(req, &out->user, "password", pair, e);
}

static bool log_in(struct req *req, struct str email, struct str password, bool want_profile,
                   struct login *out, struct err *e)
{
    struct attempt at = {0};
    struct login l = {0};
    CLEANUP(offload_place_drop) struct offload_place place = {0};
    if (!hasher_place(req, &place, e))
        return false;
    for (int tries = 0; tries < 2; tries++) {
        if (!attempt_check(req, &place, email, password, &at, e))
            return false;
        if (attempt_write(req, &at, want_profile, &l, e)) {
            auth_count("login_ok");
            *out = l;
            return true;
        }
        if (e->status)
            return false;
        audit_forget(req);
    }
    report_failed(req, &at.user, email, "changed_meanwhile");
    return refused(e);
}

bool login_password(struct req *req, struct str email, struct str password, bool want_profile,
                    struct login *out, struct err *e)
{
    struct lockout l;
    if (!admit(req, email, &l, e))
        return false;
    bool ok = log_in(req, email, password, want_profile, out, e);
    lockout_end(req, &l, ok ? LOCKOUT_RIGHT : outcome_of(e));
    return ok;
}

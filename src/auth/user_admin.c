/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_private.h"
#include "auth/one_time.h"
#include "auth/password_rules.h"

#include <stdio.h>

#include "base/base64.h"
#include "base/json.h"
#include "crypto/hash.h"

enum { PHONE_DIGITS_MAX = 15 };

static struct str absent_if_empty(struct str s)
{
    return s.n ? s : (struct str){0};
}

static void note(struct pg_tx *tx, struct req *req, enum audit_event event, struct str subject,
                 const char *actor_kind)
{
    audit_add(tx, req,
              &(struct audit_note){
                  .event = event, .actor_kind = str_from(actor_kind), .subject_id = subject});
}

/* Confirming marks the metadata too, as at signup (GoTrue, user.go). */
static bool metadata_of(struct req *req, const struct user_change *c, struct str *out,
                        struct err *e)
{
    *out = c->user_metadata;
    return !c->confirm_email
           || json_merge(S("{\"email_verified\":true}"),
                         c->user_metadata.p ? c->user_metadata : S("{}"), req->arena, out, e);
}

static void change_queue(struct pg_tx *tx, struct req *req, struct str id,
                         const struct user_change *c, struct str metadata, struct str hash)
{
    pg_tx_add(tx, &user_update_sql,
              PG_ARGS(id, absent_if_empty(c->role), (struct str){0}, absent_if_empty(c->email),
                      pg_tx_bool(c->confirm_email), absent_if_empty(c->phone),
                      pg_tx_bool(c->confirm_phone), hash, c->app_metadata, metadata,
                      pg_tx_bool(c->set_ban), pg_tx_time(tx, c->banned_until_us)));
    if (c->email.n)
        pg_tx_add(tx, &identity_set_email_sql, PG_ARGS(id, c->email, pg_tx_bool(c->confirm_email)));
    if (c->phone.n)
        pg_tx_add(tx, &identity_set_phone_sql, PG_ARGS(id, c->phone, pg_tx_bool(c->confirm_phone)));
    if (c->email.n || c->phone.n) {
        pg_tx_add(tx, &verify_providers_sql, PG_ARGS(id));
        pg_tx_add(tx, &user_lasting_sql, PG_ARGS(id));
    }
    if (hash.p) /* no session survives a password change */
        pg_tx_add(tx, &session_delete_all_sql, PG_ARGS(id));
    if (hash.p || c->email.n || c->phone.n || c->confirm_email || c->confirm_phone)
        one_time_clear(tx, id); /* nor what a mail to the former address holds */
    note(tx, req, hash.p ? AUDIT_USER_PASSWORD_CHANGED : AUDIT_USER_MODIFIED, id, c->actor_kind);
}

static bool not_found(struct err *e)
{
    return err_set(e, 404, "user_not_found", "User not found");
}

/* e as it was logged, in other words. */
static bool reword(struct err *e, int status, const char *code, const char *message)
{
    e->status = status;
    e->code = code;
    snprintf(e->message, sizeof(e->message), "%s", message);
    return false;
}

/* GoTrue words every failure inside the transaction this way (auth.md §1.9), duplicates included. */
static bool update_failed(const struct pg_tx *tx, struct err *e)
{
    if (e->status != 500)
        return false;
    if (str_is(tx->error.constraint, "identities_user_id_fkey")) /* an identity for nobody */
        return not_found(e);
    if (str_starts(tx->error.sqlstate, S("22")))
        return reword(e, 400, "validation_failed",
                      "The metadata holds a value that cannot be stored");
    return reword(e, 500, "unexpected_failure", "Error updating user");
}

/* Most often an app's row that refers to the user and does not go with them: the log names it. */
static bool delete_failed(struct err *e)
{
    return e->status == 500 ? reword(e, 500, "unexpected_failure", "Database error deleting user")
                            : false;
}

bool user_admin_update(struct req *req, struct str id, const struct user_change *c,
                       struct user *out, struct err *e)
{
    struct str hash = absent_if_empty(c->password_hash);
    if (c->password.n
        && (!password_rules_ask(req, c->password, e)
            || !hasher_make(req, c->password, &hash, e)))
        return false;

    struct str metadata;
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!metadata_of(req, c, &metadata, e) || !pg_tx_begin(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    change_queue(&tx, req, id, c, metadata, hash);
    unsigned last = tx.count;
    pg_tx_add(&tx, &user_by_id_sql, PG_ARGS(id));
    if (!pg_tx_flush(&tx, e))
        return update_failed(&tx, e);
    if (pg_row_count(pg_tx_result(&tx, last)) == 0)
        return not_found(e);
    struct token_pair unused = {.session_id = uuid_v4()};
    if (!user_from_row(pg_tx_result(&tx, last), 0, req->arena, out, e)
        || !session_sign(req, out, S("aal1"), session_amr(req, "password"), &unused, e))
        return false; /* nobody could carry such a token: refused before it is written */
    bool ok = audit_commit(&tx, req, e);
    caller_forget(id); /* also when the outcome is not known */
    return ok || update_failed(&tx, e);
}

/* base64url(SHA-256(id + value)), as GoTrue obfuscates what a soft-deleted user leaves behind. */
static struct str obfuscated(struct req *req, struct str id, struct str value, size_t max)
{
    unsigned char digest[32];
    hash_sha256_2(id, value, digest);
    struct buf b;
    buf_init_arena(&b, req->arena, 64);
    base64_put_url(&b, str_of((const char *)digest, sizeof(digest)));
    struct str s = buf_view(&b);
    return str_of(s.p, s.n < max ? s.n : max);
}

bool user_admin_delete(struct req *req, struct str id, bool soft, const char *actor_kind,
                       struct err *e)
{
    struct user u;
    if (!user_load(req, id, &u, e))
        return false;
    if (soft && u.deleted_us)
        return true;
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_begin(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    if (soft) {
        pg_tx_add(&tx, &user_soft_delete_sql,
                  PG_ARGS(id, obfuscated(req, id, u.email, SIZE_MAX),
                          obfuscated(req, id, u.phone, PHONE_DIGITS_MAX)));
        pg_tx_add(&tx, &session_delete_all_sql, PG_ARGS(id));
    } else {
        pg_tx_add(&tx, &user_delete_sql, PG_ARGS(id));
    }
    note(&tx, req, AUDIT_USER_DELETED, id, actor_kind);
    if (!pg_tx_flush(&tx, e))
        return delete_failed(e);
    if (pg_row_count(pg_tx_result(&tx, 0)) == 0)
        return not_found(e);
    bool ok = audit_commit(&tx, req, e);
    caller_forget(id); /* also when the outcome is not known */
    if (!ok)
        return delete_failed(e);
    auth_count("user_deleted");
    return true;
}

bool user_admin_list(struct req *req, struct str filter, bool ascending, int64_t page,
                     int64_t per_page, struct user_page *out, struct err *e)
{
    struct str aud = auth_audience(req);
    struct str wanted = absent_if_empty(filter);
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &user_count_sql, PG_ARGS(aud, wanted));
    pg_tx_add(&tx, &user_list_sql,
              PG_ARGS(aud, wanted, pg_tx_bool(ascending), pg_tx_i64(&tx, per_page),
                      pg_tx_i64(&tx, (page - 1) * per_page)));
    if (!pg_tx_commit(&tx, e))
        return false;
    const struct pg_result *rows = pg_tx_result(&tx, 1);
    struct user_page p = {.count = pg_row_count(rows),
                          .total = pg_row_i64(pg_tx_result(&tx, 0), 0, USER_COUNT_TOTAL)};
    p.users = arena_try_array(req->arena, p.count ? p.count : 1, sizeof(*p.users));
    if (!p.users)
        return err_set(e, 413, "request_entity_too_large",
                       "page is too large: ask for fewer users per page");
    for (size_t i = 0; i < p.count; i++)
        if (!user_from_row(rows, i, req->arena, &p.users[i], e))
            return false;
    *out = p;
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/identity.h"

#include "auth/auth_private.h"
#include "auth/mailer.h"

/* Statements of the first flush. */
enum { LOCKED, COUNTED, DELETED };

static bool refused(const struct pg_tx *tx, struct err *e)
{
    if (pg_row_i64(pg_tx_result(tx, COUNTED), 0, IDENTITY_COUNT_TOTAL) <= 1)
        return err_set(e, 422, "single_identity_not_deletable",
                       "User must have at least 1 identity after unlinking");
    return err_set(e, 422, "identity_not_found", "Identity doesn't exist");
}

static bool failed(const struct pg_tx *tx, struct err *e)
{
    if (!str_is(tx->error.sqlstate, "23505"))
        return false;
    return err_set(e, 422, "email_conflict_identity_not_deletable",
                   "Unable to unlink identity due to email conflict");
}

static bool tell(struct pg_tx *tx, struct req *req, struct str provider, struct err *e)
{
    const struct user *u = &caller_of(req)->user;
    struct str detail = arena_printf(req->arena, "{\"provider\":\"%.*s\"}", STR_ARG(provider));
    audit_add(tx, req,
              &(struct audit_note){.event = AUDIT_IDENTITY_UNLINKED,
                                   .actor_id = uuid_str(&u->id),
                                   .actor_kind = S("user"),
                                   .actor_email = u->email,
                                   .detail = detail});
    return !u->email.n || !u->email_confirmed_us
           || mailer_queue(tx, req,
                           &(struct mail){.kind = MAIL_IDENTITY_UNLINKED_NOTIFICATION,
                                          .to = u->email,
                                          .user = u,
                                          .provider = provider},
                           e);
}

bool identity_unlink(struct req *req, struct str id, struct err *e)
{
    struct str user = uuid_str(&req->principal->user_id);
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_begin(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &user_lock_sql, PG_ARGS(user));
    pg_tx_add(&tx, &identity_count_sql, PG_ARGS(user));
    pg_tx_add(&tx, &identity_delete_sql, PG_ARGS(id, user));
    if (!pg_tx_flush(&tx, e))
        return false;
    if (pg_row_count(pg_tx_result(&tx, DELETED)) == 0)
        return refused(&tx, e);
    struct str provider =
        arena_str(req->arena, pg_row_str(pg_tx_result(&tx, DELETED), 0, IDENTITY_DELETE_PROVIDER));
    pg_tx_add(&tx, &user_from_identities_sql, PG_ARGS(user, provider));
    if (!tell(&tx, req, provider, e))
        return false;
    bool ok = audit_commit(&tx, req, e);
    caller_forget(user); /* also when the outcome is not known */
    return ok || failed(&tx, e);
}

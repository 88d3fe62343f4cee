/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_private.h"

#include <stdio.h>

/* Most often an app's row that refers to the user and does not go with them: the log names it. */
static bool failed(const struct pg_tx *tx, struct err *e)
{
    if (e->status != 500 || !str_is(tx->error.sqlstate, "23503"))
        return false;
    e->status = 409;
    e->code = "conflict";
    snprintf(e->message, sizeof(e->message), "The account still has data that has to go first");
    return false;
}

static void queue(struct pg_tx *tx, struct req *req, const struct user *u, struct str id)
{
    const char *table = auth_config_of(req)->profile_table;
    if (table)
        pg_tx_add(tx, &profile_delete_sql, PG_ARGS(str_from(table), id));
    pg_tx_add(tx, &user_delete_sql, PG_ARGS(id)); /* identities, sessions and tokens go with it */
    audit_add(tx, req,
              &(struct audit_note){.event = AUDIT_USER_DELETED,
                                   .actor_id = id,
                                   .actor_kind = S("user"),
                                   .actor_email = u->email});
}

bool removal_run(struct req *req, struct str password, struct err *e)
{
    struct user u = {0};
    if (!proof_password(req, password, &u, e))
        return false;
    struct str id = uuid_str(&u.id);
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_begin(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &removal_lock_sql, PG_ARGS(id, u.password));
    if (!pg_tx_flush(&tx, e))
        return false;
    if (pg_row_count(pg_tx_result(&tx, 0)) == 0)
        return err_set(e, 409, "conflict", "The account has just been changed: please try again");
    queue(&tx, req, &u, id);
    bool ok = audit_commit(&tx, req, e);
    caller_forget(id); /* also when the outcome is not known */
    if (!ok)
        return failed(&tx, e);
    auth_count("user_deleted");
    return true;
}

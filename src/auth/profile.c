/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_private.h"

#include <stdio.h>

bool profile_load(struct req *req, struct str user_id, struct str *out, struct err *e)
{
    const char *table = auth_config_of(req)->profile_table;
    *out = (struct str){0};
    if (!table)
        return true;
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &profile_read_sql, PG_ARGS(str_from(table), user_id));
    if (!pg_tx_commit(&tx, e))
        return false;
    *out = arena_str(req->arena, pg_row_str(pg_tx_result(&tx, 0), 0, PROFILE_READ_PROFILE));
    return true;
}

/* What the row's own checks, types and triggers say of a value is about the client's field. */
static bool change_failed(const struct pg_tx *tx, struct err *e)
{
    struct str state = tx->error.sqlstate;
    if (e->status != 500
        || !(str_starts(state, S("22")) || str_starts(state, S("23")) || str_is(state, "42703")))
        return false;
    struct str column = tx->error.column;
    e->status = 422;
    e->code = "validation_failed";
    if (column.n)
        snprintf(e->message, sizeof(e->message), "%.*s has a value that cannot be stored",
                 (int)(column.n < 63 ? column.n : 63), column.p);
    else
        snprintf(e->message, sizeof(e->message), "The profile has a value that cannot be stored");
    return false;
}

bool profile_change(struct req *req, struct str fields, struct str *out, struct err *e)
{
    const char *table = auth_config_of(req)->profile_table;
    struct str id = uuid_str(&req->principal->user_id);
    if (!table)
        return err_set(e, 404, "profile_not_found", "User profile not found");
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_begin(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &profile_change_sql, PG_ARGS(str_from(table), id, fields));
    audit_add(&tx, req,
              &(struct audit_note){.event = AUDIT_PROFILE_UPDATED,
                                   .actor_id = id,
                                   .actor_kind = S("user"),
                                   .actor_email = caller_of(req)->user.email});
    pg_tx_add(&tx, &profile_read_sql, PG_ARGS(str_from(table), id));
    if (!pg_tx_flush(&tx, e))
        return change_failed(&tx, e);
    if (pg_row_count(pg_tx_result(&tx, 0)) == 0)
        return err_set(e, 404, "profile_not_found", "User profile not found");
    *out = arena_str(req->arena, pg_row_str(pg_tx_result(&tx, 2), 0, PROFILE_READ_PROFILE));
    return audit_commit(&tx, req, e) || change_failed(&tx, e);
}

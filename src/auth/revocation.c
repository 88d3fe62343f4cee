/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_private.h"

bool revocation_by_token(struct req *req, struct str token, bool every, struct err *e)
{
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_begin(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &session_delete_by_token_sql, PG_ARGS(token, pg_tx_bool(every)));
    if (!pg_tx_flush(&tx, e))
        return false;
    const struct pg_result *r = pg_tx_result(&tx, 0);
    if (pg_row_count(r) == 0)
        return true;
    struct str user = arena_str(req->arena, pg_row_str(r, 0, SESSION_DELETE_BY_TOKEN_USER_ID));
    audit_add(&tx, req,
              &(struct audit_note){
                  .event = AUDIT_LOGOUT, .actor_id = user, .actor_kind = S("user")});
    bool ok = audit_commit(&tx, req, e);
    caller_forget(user); /* also when the outcome is not known */
    if (ok)
        auth_count("logout");
    return ok;
}

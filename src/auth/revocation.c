/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_private.h"
#include "auth/refresh_token.h"

/* One of version 2 that the session's key has not signed names no session; a former one ends its own alone. */
static bool genuine(struct pg_tx *tx, struct req *req, struct refresh_token *t, bool *every, struct err *e)
{
    if (!t->counted)
        return true;
    pg_tx_add(tx, &refresh_read_sql, PG_ARGS((struct str){0}, uuid_str(&t->session_id)));
    if (!pg_tx_flush(tx, e))
        return false;
    const struct pg_result *r = pg_tx_result(tx, 0);
    if (pg_row_count(r) == 0 || !refresh_token_genuine(req->arena, t, pg_row_str(r, 0, REFRESH_READ_HMAC_KEY)))
        t->session_id = (struct uuid){0};
    else
        *every = *every && t->counter == pg_row_i64(r, 0, REFRESH_READ_COUNTER);
    return true;
}

bool revocation_by_token(struct req *req, struct str token, bool every, struct err *e)
{
    struct refresh_token t;
    if (!refresh_token_parse(req->arena, token, &t))
        return true;
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_begin(&tx, req->pg, PG_LOGIN_AUTH, e) || !genuine(&tx, req, &t, &every, e))
        return false;
    if (!t.session_id.text[0] && t.counted)
        return true;
    pg_tx_add(&tx, &session_delete_by_token_sql,
              PG_ARGS(t.counted ? (struct str){0} : token, uuid_str(&t.session_id), pg_tx_bool(every)));
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

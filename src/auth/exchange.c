/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/exchange.h"

#include "auth/flow.h"

bool exchange_run(struct req *req, struct str code, struct str verifier, struct login *out,
                  struct err *e)
{
    struct flow_taken f;
    struct login l = {0};
    const char *method;
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_begin(&tx, req->pg, PG_LOGIN_AUTH, e) || !flow_take(&tx, req, code, verifier, &f, e))
        return false;
    unsigned at = tx.count;
    pg_tx_add(&tx, &user_by_id_sql, PG_ARGS(f.user_id));
    if (!pg_tx_flush(&tx, e))
        return false;
    const struct pg_result *r = pg_tx_result(&tx, at);
    if (pg_row_count(r) == 0 || !user_from_row(r, 0, req->arena, &l.user, e))
        return e->status ? false
                         : err_set(e, 404, "flow_state_not_found",
                                   "invalid flow state, no valid flow state found");
    method = arena_cstr(req->arena, f.authentication);
    session_prepare(req, &l.pair);
    session_queue_open(&tx, req, &l.user, &l.pair, method, (struct str){0});
    audit_add(&tx, req,
              &(struct audit_note){.event = AUDIT_LOGIN,
                                   .actor_id = f.user_id,
                                   .actor_kind = S("user"),
                                   .actor_email = l.user.email,
                                   .detail = S("{\"provider\":\"email\"}")});
    unsigned user = tx.count;
    pg_tx_add(&tx, &user_by_id_sql, PG_ARGS(f.user_id));
    if (!pg_tx_flush(&tx, e))
        return false;
    if (pg_row_count(pg_tx_result(&tx, 0)) == 0)
        return err_set(e, 400, "user_banned", "User is banned"); /* or no longer confirmed */
    if (!user_from_row(pg_tx_result(&tx, user), 0, req->arena, &l.user, e)
        || !session_sign(req, &l.user, S("aal1"), session_amr(req, method), &l.pair, e)
        || !audit_commit(&tx, req, e) || !session_issue(req, &l.user, method, &l.pair, e))
        return false;
    auth_count("login_ok");
    *out = l;
    return true;
}

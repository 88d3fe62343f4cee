/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_private.h"

bool security_read(struct req *req, struct user_security *out, struct err *e)
{
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &security_read_sql, PG_ARGS(uuid_str(&req->principal->user_id)));
    if (!pg_tx_commit(&tx, e))
        return false;
    const struct pg_result *r = pg_tx_result(&tx, 0);
    if (pg_row_count(r) == 0)
        return err_set(e, 404, "user_not_found", "User not found");
    *out = (struct user_security){
        .sessions = pg_row_i64(r, 0, SECURITY_READ_SESSIONS),
        .last_sign_in_us = pg_row_time(r, 0, SECURITY_READ_LAST_SIGN_IN_AT),
        .email_confirmed_us = pg_row_time(r, 0, SECURITY_READ_EMAIL_CONFIRMED_AT),
        .has_password = pg_row_bool(r, 0, SECURITY_READ_HAS_PASSWORD),
        .password_set_us = pg_row_time(r, 0, SECURITY_READ_PASSWORD_SET_AT),
        .has_factor = pg_row_bool(r, 0, SECURITY_READ_HAS_FACTOR),
    };
    return true;
}

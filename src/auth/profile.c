/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_private.h"

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

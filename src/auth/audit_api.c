/* SPDX-License-Identifier: Apache-2.0 */
/* GET /auth/v1/admin/audit: the log as GoTrue keeps it. Source: GoTrue audit.go; auth.md §1.9, §5.6. */
#include "auth/auth_api.h"

#include "base/json.h"

/* "author:ada", "action:login", "type:token"; no query is all. */
static bool query_of(struct req *req, struct str *field, struct str *word, struct err *e)
{
    struct str query = req_query(req, "query");
    *field = (struct str){0};
    *word = S("");
    if (!query.n)
        return true;
    bool ok = str_cut(query, ':', field, word)
              && (str_is(*field, "author") || str_is(*field, "action") || str_is(*field, "type"));
    return ok
           || err_set(e, 400, "validation_failed", "Invalid query scope: %.*s", STR_ARG(query));
}

static void put_entries(struct buf *b, const struct pg_result *rows)
{
    json_put_open(b, '[');
    for (size_t i = 0; i < pg_row_count(rows); i++) {
        json_put_open(b, '{');
        json_put_kstr(b, "id", pg_row_str(rows, i, AUDIT_LIST_ID));
        json_put_kraw(b, "payload", pg_row_str(rows, i, AUDIT_LIST_PAYLOAD));
        json_put_ktime(b, "created_at", pg_row_time(rows, i, AUDIT_LIST_CREATED_AT));
        json_put_kstr(b, "ip_address", pg_row_str(rows, i, AUDIT_LIST_IP_ADDRESS));
        json_put_close(b, '}');
    }
    json_put_close(b, ']');
}

bool audit_api_list(struct req *req, struct resp *resp, struct err *e)
{
    struct admin_page page;
    struct str field, word;
    if (!admin_api_page(req, &page, e) || !query_of(req, &field, &word, e))
        return false;
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &audit_count_sql, PG_ARGS(field, word));
    pg_tx_add(&tx, &audit_list_sql,
              PG_ARGS(field, word, pg_tx_i64(&tx, page.size),
                      pg_tx_i64(&tx, (page.number - 1) * page.size)));
    if (!pg_tx_commit(&tx, e))
        return false;
    put_entries(resp_json(resp, 200), pg_tx_result(&tx, 1));
    admin_api_page_headers(req, resp, "/admin/audit", &page,
                           pg_row_i64(pg_tx_result(&tx, 0), 0, AUDIT_COUNT_TOTAL));
    return resp_done(resp, e);
}

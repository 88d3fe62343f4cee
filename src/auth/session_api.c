/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user's sessions, listed and ended one by one: Basalt's own routes, which GoTrue has not. For the
 * user, and for administrators.
 */
#include "auth/auth_api.h"

#include "base/json.h"

static void put_session(struct buf *b, const struct pg_result *r, size_t row, struct str current)
{
    struct str id = pg_row_str(r, row, SESSION_LIST_ID), tag = pg_row_str(r, row, SESSION_LIST_TAG);
    int64_t refreshed_us = pg_row_time(r, row, SESSION_LIST_REFRESHED_AT);
    int64_t not_after_us = pg_row_time(r, row, SESSION_LIST_NOT_AFTER);
    json_put_open(b, '{');
    json_put_kstr(b, "id", id);
    json_put_ktime(b, "created_at", pg_row_time(r, row, SESSION_LIST_CREATED_AT));
    if (refreshed_us)
        json_put_ktime(b, "refreshed_at", refreshed_us);
    if (not_after_us)
        json_put_ktime(b, "not_after", not_after_us);
    json_put_kstr(b, "user_agent", pg_row_str(r, row, SESSION_LIST_USER_AGENT));
    json_put_kstr(b, "ip", pg_row_str(r, row, SESSION_LIST_IP));
    json_put_kstr(b, "aal", pg_row_str(r, row, SESSION_LIST_AAL));
    if (tag.n)
        json_put_kstr(b, "tag", tag);
    json_put_kbool(b, "current", current.n && str_eq(id, current));
    json_put_close(b, '}');
}

static bool list(struct req *req, struct str user_id, struct resp *resp, struct err *e)
{
    const struct auth_config *c = auth_config_of(req);
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &session_list_sql,
              PG_ARGS(user_id, pg_tx_i64(&tx, c->session_timebox_us),
                      pg_tx_i64(&tx, c->session_inactivity_us)));
    if (!pg_tx_commit(&tx, e))
        return false;
    const struct pg_result *r = pg_tx_result(&tx, 0);
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_key(b, "sessions");
    json_put_open(b, '[');
    for (size_t i = 0; i < pg_row_count(r); i++)
        put_session(b, r, i, uuid_str(&req->principal->session_id));
    json_put_close(b, ']');
    json_put_close(b, '}');
    resp_header(resp, "Cache-Control", S("no-store"));
    return resp_done(resp, e);
}

static bool end_one(struct req *req, struct str user_id, struct str id, const struct audit_note *note,
                    struct resp *resp, struct err *e)
{
    if (!session_end_one(req, user_id, id, note, e))
        return false;
    resp_empty(resp, 204);
    return true;
}

/* GET /auth/v1/user/sessions */
bool session_api_list(struct req *req, struct resp *resp, struct err *e)
{
    return list(req, uuid_str(&req->principal->user_id), resp, e);
}

/* DELETE /auth/v1/user/sessions/{session_id}: 204; also the caller's own. 404 "session_not_found". */
bool session_api_delete(struct req *req, struct resp *resp, struct err *e)
{
    struct str user = uuid_str(&req->principal->user_id);
    struct audit_note note = {.event = AUDIT_LOGOUT,
                              .actor_id = user,
                              .actor_kind = S("user"),
                              .actor_email = caller_of(req)->user.email};
    return end_one(req, user, req->params[0], &note, resp, e);
}

/* GET /auth/v1/admin/users/{user_id}/sessions */
bool session_api_admin_list(struct req *req, struct resp *resp, struct err *e)
{
    return list(req, req->params[0], resp, e);
}

/* DELETE /auth/v1/admin/users/{user_id}/sessions/{session_id} */
bool session_api_admin_delete(struct req *req, struct resp *resp, struct err *e)
{
    struct audit_note note = {
        .event = AUDIT_LOGOUT, .actor_kind = S("service"), .subject_id = req->params[0]};
    return end_one(req, req->params[0], req->params[1], &note, resp, e);
}

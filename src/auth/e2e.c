/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_private.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "jobs/jobs.h"

enum { LIFE_S = 3600, METADATA_MAX = 1024 };

static bool not_found(struct err *e)
{
    return err_set(e, 404, "e2e_session_not_found", "Test session not found");
}

/* ---- making one ------------------------------------------------------------------------------- */

/* Marked where no user can write, so that nobody takes them for people. */
static struct str mark(struct req *req, const struct e2e_session *s)
{
    struct buf b;
    buf_init_arena(&b, req->arena, METADATA_MAX);
    json_put_open(&b, '{');
    json_put_kbool(&b, "e2e_test", true);
    json_put_kstr(&b, "test_name", s->test_name);
    json_put_close(&b, '}');
    return buf_view(&b);
}

/* What the apps of the seeds keep there (seed-systems.md §1.2). */
static struct str metadata(struct req *req, const struct e2e_session *s)
{
    struct buf b;
    buf_init_arena(&b, req->arena, METADATA_MAX);
    json_put_open(&b, '{');
    json_put_kstr(&b, "full_name", arena_printf(req->arena, "E2E Test %.*s", STR_ARG(s->test_name)));
    json_put_ki64(&b, "credits_balance", s->credits);
    json_put_close(&b, '}');
    return buf_view(&b);
}

static bool remember(struct req *req, const struct e2e_session *s, struct err *e)
{
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &e2e_insert_sql,
              PG_ARGS(uuid_str(&s->id), uuid_str(&s->user_id), s->test_name, pg_tx_i64(&tx, s->credits),
                      pg_tx_time(&tx, s->expires_us)));
    return pg_tx_commit(&tx, e);
}

bool e2e_start(struct req *req, struct str test_name, int64_t credits, struct e2e_session *out, struct token_pair *pair,
               struct err *e)
{
    struct e2e_session s = {
        .id = uuid_v4(),
        .user_id = uuid_v4(),
        .test_name = test_name,
        .credits = credits,
        .created_us = req->now_us,
        .expires_us = req->now_us + LIFE_S * CLOCK_S,
    };
    struct login l;
    /* Microseconds: two tests of one name begin in the same second. */
    s.email = arena_printf(req->arena, "e2e_test_%.*s_%lld@e2e.velro.test", STR_ARG(test_name),
                           (long long)req->now_us);
    struct signup in = {
        .id = s.user_id,
        .email = s.email,
        .user_metadata = metadata(req, &s),
        .app_metadata = mark(req, &s),
        .email_confirmed = true,
        .metadata_is_identity = true,
        .open_session = true,
        .actor_kind = "service",
    };
    /* The entry first: whatever happens to us then, the sweep knows whom to remove. */
    if (!remember(req, &s, e) || !signup_run(req, &in, &l, e))
        return false;
    s.session_id = l.pair.session_id;
    *out = s;
    *pair = l.pair;
    return true;
}

/* ---- looking ------------------------------------------------------------------------------------ */

bool e2e_find(struct req *req, struct str id, struct e2e_session *out, struct err *e)
{
    struct e2e_session s = {0};
    if (!uuid_parse(id, &s.id))
        return not_found(e);
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &e2e_find_sql, PG_ARGS(uuid_str(&s.id)));
    if (!pg_tx_commit(&tx, e))
        return false;
    const struct pg_result *r = pg_tx_result(&tx, 0);
    if (pg_row_count(r) == 0)
        return not_found(e);
    uuid_parse(pg_row_str(r, 0, E2E_FIND_USER_ID), &s.user_id);
    uuid_parse(pg_row_str(r, 0, E2E_FIND_SESSION_ID), &s.session_id);
    s.email = arena_str(req->arena, pg_row_str(r, 0, E2E_FIND_EMAIL));
    s.test_name = arena_str(req->arena, pg_row_str(r, 0, E2E_FIND_TEST_NAME));
    s.credits = pg_row_i64(r, 0, E2E_FIND_CREDITS);
    s.created_us = pg_row_time(r, 0, E2E_FIND_CREATED_AT);
    s.expires_us = pg_row_time(r, 0, E2E_FIND_EXPIRES_AT);
    *out = s;
    return true;
}

/* Nothing of it is kept, so it is signed anew for the session that there is. */
bool e2e_token(struct req *req, const struct e2e_session *s, struct token_pair *out, struct err *e)
{
    struct user u;
    struct token_pair pair = {.session_id = s->session_id};
    if (!s->session_id.text[0] || s->expires_us <= req->now_us)
        return not_found(e);
    if (!user_load(req, uuid_str(&s->user_id), &u, e)
        || !session_sign(req, &u, S("aal1"), session_amr(req, "password"), &pair, e)
        || !session_issue(req, &u, SESSION_REFRESHED, &pair, e))
        return false;
    *out = pair;
    return true;
}

bool e2e_count(struct req *req, int64_t *active, int64_t *expired, struct err *e)
{
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &e2e_count_sql, PG_NO_ARGS);
    if (!pg_tx_commit(&tx, e))
        return false;
    *active = pg_row_i64(pg_tx_result(&tx, 0), 0, E2E_COUNT_ACTIVE);
    *expired = pg_row_i64(pg_tx_result(&tx, 0), 0, E2E_COUNT_EXPIRED);
    return true;
}

/* ---- removing ------------------------------------------------------------------------------------ */

/* Entry, user and all that is theirs, in one transaction; *found false when there was no such entry. */
static bool take(const struct auth *a, struct req *req, struct pg_client *pg, struct str id, bool *found,
                 struct err *e)
{
    const char *table = a->config.profile_table;
    struct audit_note note = {
        .event = AUDIT_USER_DELETED, .actor_kind = S("service"), .detail = S("{\"e2e_test\":true}")};
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    *found = false;
    if (!pg_tx_begin(&tx, pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &e2e_take_sql, PG_ARGS(id));
    if (!pg_tx_flush(&tx, e))
        return false;
    if (pg_row_count(pg_tx_result(&tx, 0)) == 0)
        return true;
    note.subject_id = arena_str(pg->arena, pg_row_str(pg_tx_result(&tx, 0), 0, E2E_TAKE_USER_ID));
    if (table)
        pg_tx_add(&tx, &profile_delete_sql, PG_ARGS(str_from(table), note.subject_id));
    pg_tx_add(&tx, &user_delete_sql, PG_ARGS(note.subject_id));
    if (req)
        audit_add(&tx, req, &note);
    *found = req ? audit_commit(&tx, req, e) : pg_tx_commit(&tx, e);
    caller_forget(note.subject_id); /* also when the outcome is not known */
    if (*found && !req)
        audit_report(NULL, &note);
    if (!*found && str_is(tx.error.sqlstate, "23503"))
        err_set(e, 409, "conflict", "The test user still has data that has to go first");
    return *found;
}

bool e2e_end(struct req *req, struct str id, struct err *e)
{
    struct uuid uuid;
    bool found;
    if (!uuid_parse(id, &uuid))
        return not_found(e);
    return take(auth_of(req), req, req->pg, uuid_str(&uuid), &found, e) && (found || not_found(e));
}

static bool expired(struct pg_client *pg, struct str ids[E2E_SWEEP_MAX], size_t *n, struct err *e)
{
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &e2e_expired_sql, PG_NO_ARGS);
    if (!pg_tx_commit(&tx, e))
        return false;
    *n = pg_row_count(pg_tx_result(&tx, 0));
    for (size_t i = 0; i < *n; i++)
        ids[i] = arena_str(pg->arena, pg_row_str(pg_tx_result(&tx, 0), i, E2E_EXPIRED_ID));
    return true;
}

/* One that will not go does not keep the others. */
static bool sweep(const struct auth *a, struct req *req, struct pg_client *pg, struct e2e_swept *out, struct err *e)
{
    struct str ids[E2E_SWEEP_MAX];
    size_t n;
    bool found;
    *out = (struct e2e_swept){0};
    if (!expired(pg, ids, &n, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        struct err one = {0};
        if (!take(a, req, pg, ids[i], &found, &one)) {
            out->left++;
            log_say(LOG_WARN, "e2e.left", "a test user could not be removed: %s", one.message);
        }
        out->removed += found;
    }
    return true;
}

bool e2e_sweep(struct req *req, struct e2e_swept *out, struct err *e)
{
    return sweep(auth_of(req), req, req->pg, out, e);
}

bool e2e_sweep_job(struct job *job, struct err *e)
{
    struct e2e_swept ignored;
    return sweep(((struct services *)job->ctx)->auth, NULL, job->pg, &ignored, e);
}

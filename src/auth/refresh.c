/* SPDX-License-Identifier: Apache-2.0 */
/* The refresh grant: GoTrue's rules and words (auth.md §2.3, §2.4), for both versions of tokens. */
#include "auth/auth_private.h"

#include "auth/refresh_token.h"
#include "base/clock.h"
#include "guard/context.h"

struct refresh {
    struct refresh_token token;
    struct str text; /* of version 1; absent in version 2 */
    struct str id, session_id, user_id;
    bool revoked;
    int64_t revoked_us, not_after_us, session_created_us, used_us;
    struct str aal, amr;
    struct str active_token,
        active_parent; /* the session's living token; absent when all are spent */
    struct str ip, agent; /* of the session */
    struct str hmac_key;  /* of a session that counts */
    int64_t counter;
    bool superseded;      /* of version 1, and older than the one with which its session began to count */
    bool newer;           /* another session of the user was used after this one */
};

/* What to do with a token that was found and whose session is in order. */
enum verdict {
    VERDICT_ROTATE,      /* spend it, make a child */
    VERDICT_UPGRADE,     /* likewise, and the session counts from now on */
    VERDICT_GIVE_ACTIVE, /* its child again: the client did not get our answer, or asks twice at once */
    VERDICT_REUSED,      /* it has leaked */
    VERDICT_FOREIGN,     /* it counts further than we did */
};

/* ---- finding it --------------------------------------------------------------------------- */

static void take_row(const struct pg_result *r, struct arena *a, struct refresh *out)
{
    out->id = arena_str(a, pg_row_str(r, 0, REFRESH_READ_ID));
    out->session_id = arena_str(a, pg_row_str(r, 0, REFRESH_READ_SESSION_ID));
    out->user_id = arena_str(a, pg_row_str(r, 0, REFRESH_READ_USER_ID));
    out->revoked = pg_row_bool(r, 0, REFRESH_READ_REVOKED);
    out->revoked_us = pg_row_time(r, 0, REFRESH_READ_REVOKED_AT);
    out->not_after_us = pg_row_time(r, 0, REFRESH_READ_NOT_AFTER);
    out->session_created_us = pg_row_time(r, 0, REFRESH_READ_SESSION_CREATED_AT);
    out->used_us = pg_row_time(r, 0, REFRESH_READ_SESSION_USED_AT);
    out->aal = arena_str(a, pg_row_str(r, 0, REFRESH_READ_AAL));
    out->amr = arena_str(a, pg_row_str(r, 0, REFRESH_READ_AMR));
    out->ip = arena_str(a, pg_row_str(r, 0, REFRESH_READ_SESSION_IP));
    out->agent = arena_str(a, pg_row_str(r, 0, REFRESH_READ_SESSION_AGENT));
    out->active_token = arena_str(a, pg_row_str(r, 0, REFRESH_READ_ACTIVE_TOKEN));
    out->active_parent = arena_str(a, pg_row_str(r, 0, REFRESH_READ_ACTIVE_PARENT));
    out->hmac_key = arena_str(a, pg_row_str(r, 0, REFRESH_READ_HMAC_KEY));
    out->counter = pg_row_i64(r, 0, REFRESH_READ_COUNTER);
    out->superseded = pg_row_bool(r, 0, REFRESH_READ_SUPERSEDED);
}

static bool not_found(struct err *e)
{
    return err_set(e, 400, "refresh_token_not_found",
                   "Invalid Refresh Token: Refresh Token Not Found");
}

/* Locks the session of the token, then reads token, session and user as they are after the lock. */
static bool lock(struct pg_tx *tx, struct req *req, struct refresh *t, struct user *u,
                 struct err *e)
{
    struct str session = uuid_str(&t->token.session_id);
    pg_tx_add(tx, &refresh_lock_sql, PG_ARGS(t->text, session));
    pg_tx_add(tx, &refresh_read_sql, PG_ARGS(t->text, session));
    pg_tx_add(tx, &user_by_refresh_token_sql, PG_ARGS(t->text, session));
    if (!pg_tx_flush(tx, e)) {
        if (strcmp(e->sqlstate, "55P03") == 0) /* the lock's own limit, in refresh_lock.sql */
            err_set(e, 409, "conflict",
                    "Too many concurrent token refresh requests on the same session or refresh token");
        return false;
    }
    const struct pg_result *read = pg_tx_result(tx, 1), *owner = pg_tx_result(tx, 2);
    if (pg_row_count(read) == 0)
        return not_found(e);
    if (t->token.counted
        && !refresh_token_genuine(req->arena, &t->token, pg_row_str(read, 0, REFRESH_READ_HMAC_KEY)))
        return not_found(e);
    if (pg_row_count(owner) == 0) /* older than sessions are (auth.md §2.3 "no session") */
        return err_set(e, 400, "session_not_found",
                       "Invalid Refresh Token: No Valid Session Found");
    take_row(read, req->arena, t);
    return user_from_row(owner, 0, req->arena, u, e);
}

/* Where one session a user is allowed: whether this one is it. */
static bool look_for_newer(struct pg_tx *tx, const struct req *req, struct refresh *t,
                           const struct user *u, struct err *e)
{
    const struct auth_config *c = auth_config_of(req);
    if (!c->session_single)
        return true;
    pg_tx_add(tx, &refresh_newer_sql,
              PG_ARGS(t->text, uuid_str(&t->token.session_id), c->session_tags.n ? c->session_tags : S(""),
                      pg_tx_i64(tx, c->session_timebox_us), pg_tx_i64(tx, c->session_inactivity_us),
                      pg_tx_i64(tx, c->session_low_aal_us), pg_tx_bool(user_has_factor(u))));
    if (!pg_tx_flush(tx, e))
        return false;
    t->newer = pg_row_count(pg_tx_result(tx, 0)) > 0;
    return true;
}

/* ---- judging it ---------------------------------------------------------------------------- */

static bool over(int64_t from_us, int64_t life_us, int64_t now_us)
{
    int64_t end_us;
    return life_us > 0 && !__builtin_add_overflow(from_us, life_us, &end_us) && end_us <= now_us;
}

static bool expired(struct err *e, const char *how)
{
    return err_set(e, 400, "session_expired", "Invalid Refresh Token: Session Expired%s", how);
}

static bool session_in_order(const struct req *req, const struct refresh *t, const struct user *u,
                             struct err *e)
{
    const struct auth_config *c = auth_config_of(req);
    int64_t now = req->now_us;
    if (u->banned_until_us > now || u->deleted_us)
        return err_set(e, 400, "user_banned", "Invalid Refresh Token: User Banned");
    if ((t->not_after_us && t->not_after_us <= now)
        || over(t->session_created_us, c->session_timebox_us, now))
        return expired(e, "");
    if (over(t->used_us, c->session_inactivity_us, now))
        return expired(e, " (Inactivity)");
    if (str_is(t->aal, "aal1") && user_has_factor(u)
        && over(t->session_created_us, c->session_low_aal_us, now))
        return expired(e, " (Low AAL: User Needs MFA Verification)");
    if (t->newer)
        return expired(e, " (Revoked by Newer Login)");
    return context_check_session(req, t->ip, t->agent, e);
}

/* Which of a user's sessions are the first to count; a random id's first digits serve as the hash. */
static bool upgraded(const struct req *req, const struct refresh *t)
{
    int64_t hash = 0;
    for (size_t i = 0; i < 4; i++)
        hash = hash * 16 + (t->session_id.p[i] <= '9' ? t->session_id.p[i] - '0' : t->session_id.p[i] - 'a' + 10);
    return hash % 100 < auth_config_of(req)->refresh_upgrade;
}

static enum verdict given_again(struct req *req, struct refresh_outcome *out, bool saved, bool soon,
                                bool always)
{
    out->reused = true;
    struct buf causes;
    buf_init_arena(&causes, req->arena, 128);
    const struct {
        bool holds;
        const char *cause;
    } all[] = {{soon, "concurrent-refresh"}, {!saved, "fail-to-save"}, {always, "always-allow"}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i].holds)
            buf_printf(&causes, "%s%s", causes.n ? "," : "", all[i].cause);
    out->reuse_cause = arena_cstr(req->arena, buf_view(&causes));
    return causes.n ? VERDICT_GIVE_ACTIVE : VERDICT_REUSED;
}

/* Of a session that counts; a token of version 1 is from before it did. */
static enum verdict judge_counted(struct req *req, const struct refresh *t,
                                  struct refresh_outcome *out)
{
    const struct auth_config *c = auth_config_of(req);
    int64_t behind = t->token.counted ? t->counter - t->token.counter
                                       : t->counter + 1 + t->superseded;
    if (behind < 0)
        return VERDICT_FOREIGN;
    if (behind == 0) {
        out->rotated = true;
        return VERDICT_ROTATE;
    }
    int64_t spent_us = t->token.counted ? t->used_us : t->revoked_us;
    return given_again(req, out, behind != 1, !over(spent_us, c->refresh_reuse_us, req->now_us) && c->refresh_reuse_us > 0,
                       c->refresh_reuse_allowed);
}

static enum verdict judge_random(struct req *req, const struct refresh *t,
                                 struct refresh_outcome *out)
{
    if (!t->revoked) {
        out->rotated = true;
        return upgraded(req, t) ? VERDICT_UPGRADE : VERDICT_ROTATE;
    }
    if (t->active_token.p && str_eq(t->active_parent, t->text))
        return given_again(req, out, false, false, false);
    out->reused = true;
    /* Without a living token the session's tokens were revoked because one had leaked: that holds. */
    if (t->active_token.p && t->revoked_us + auth_config_of(req)->refresh_reuse_us > req->now_us) {
        out->rotated = true;
        out->reuse_cause = "concurrent-refresh";
        return VERDICT_ROTATE;
    }
    return VERDICT_REUSED;
}

static enum verdict judge(struct req *req, const struct refresh *t, struct refresh_outcome *out)
{
    *out = (struct refresh_outcome){.reuse_cause = ""};
    return t->hmac_key.n ? judge_counted(req, t, out) : judge_random(req, t, out);
}

/* ---- writing it ---------------------------------------------------------------------------- */

/* Ends what the token belongs to, and keeps that although the caller gets an error. */
static bool refuse_reuse(struct pg_tx *tx, struct req *req, const struct refresh *t,
                         const struct user *u, struct err *e)
{
    bool ends = auth_config_of(req)->refresh_rotation, counts = t->hmac_key.n > 0;
    if (ends && counts)
        pg_tx_add(tx, &session_delete_one_sql, PG_ARGS(t->user_id, t->session_id));
    else if (ends)
        pg_tx_add(tx, &refresh_revoke_family_sql, PG_ARGS(t->session_id));
    audit_add(tx, req,
              &(struct audit_note){.event = AUDIT_TOKEN_REUSED,
                                   .actor_id = t->user_id,
                                   .actor_kind = S("user"),
                                   .actor_email = u->email});
    bool ok = audit_commit(tx, req, e);
    if (ends && counts)
        caller_forget(t->session_id); /* also when the outcome is not known */
    if (!ok)
        return false;
    auth_count("reuse");
    return err_set(e, 400, "refresh_token_already_used", "Invalid Refresh Token: Already Used");
}

static void make_pair(struct req *req, const struct refresh *t, enum verdict v,
                      struct token_pair *out)
{
    struct token_pair p = {.session_created_us = t->session_created_us};
    uuid_parse(t->session_id, &p.session_id);
    if (v == VERDICT_UPGRADE)
        session_count(req, &p, refresh_token_key(req->arena), 0);
    else if (t->hmac_key.n)
        session_count(req, &p, t->hmac_key, t->counter + (v == VERDICT_ROTATE));
    else
        p.refresh_token = v == VERDICT_ROTATE ? refresh_token_random(req->arena) : t->active_token;
    *out = p;
}

static void queue_writes(struct pg_tx *tx, struct req *req, const struct refresh *t,
                         const struct user *u, enum verdict v, const struct token_pair *pair)
{
    struct audit_note note = {
        .actor_id = t->user_id, .actor_kind = S("user"), .actor_email = u->email};
    if (v == VERDICT_UPGRADE)
        pg_tx_add(tx, &refresh_upgrade_sql,
                  PG_ARGS(t->id, t->session_id, pair->hmac_key, req->user_agent, req->client_ip));
    else if (v == VERDICT_ROTATE && pair->counted)
        pg_tx_add(tx, &refresh_count_sql,
                  PG_ARGS(t->session_id, pg_tx_i64(tx, pair->counter), req->user_agent, req->client_ip));
    else if (v == VERDICT_ROTATE)
        pg_tx_add(tx, &refresh_rotate_sql,
                  PG_ARGS(t->id, pair->refresh_token, t->session_id, req->user_agent, req->client_ip));
    else
        pg_tx_add(tx, &refresh_touch_sql, PG_ARGS(t->session_id, req->user_agent, req->client_ip));
    if (v != VERDICT_GIVE_ACTIVE) {
        note.event = AUDIT_TOKEN_REVOKED;
        audit_add(tx, req, &note);
    }
    note.event = AUDIT_TOKEN_REFRESHED;
    audit_add(tx, req, &note);
}

bool refresh_run(struct req *req, struct str token, struct user *user, struct token_pair *pair,
                 struct refresh_outcome *outcome, struct err *e)
{
    struct refresh t = {0};
    struct user u = {0};
    struct token_pair p;
    if (!refresh_token_parse(req->arena, token, &t.token))
        return err_set(e, 400, "validation_failed", "Refresh token is not valid");
    t.text = t.token.counted ? (struct str){0} : token;

    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_begin(&tx, req->pg, PG_LOGIN_AUTH, e) || !lock(&tx, req, &t, &u, e)
        || !look_for_newer(&tx, req, &t, &u, e) || !session_in_order(req, &t, &u, e))
        return false;

    enum verdict v = judge(req, &t, outcome);
    if (v == VERDICT_FOREIGN)
        return err_set(e, 400, "validation_failed", "Invalid Refresh Token: Not Issued By This Server");
    if (v == VERDICT_REUSED)
        return refuse_reuse(&tx, req, &t, &u, e);

    make_pair(req, &t, v, &p);
    if (!session_sign(req, &u, t.aal, t.amr, &p, e))
        return false;
    queue_writes(&tx, req, &t, &u, v, &p);
    if (!audit_commit(&tx, req, e))
        return false;
    if (pg_row_count(pg_tx_result(&tx, 0)) == 0)
        return err_set(e, 400, "user_banned", "Invalid Refresh Token: User Banned");
    auth_count("refresh");
    if (!session_issue(req, &u, SESSION_REFRESHED, &p, e))
        return false;
    *pair = p;
    *user = u;
    return true;
}

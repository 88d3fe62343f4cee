/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_private.h"

#include "auth/hook.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/rand.h"
#include "guard/context.h"
#include "http/head.h"

/* GoTrue's alphabet of v1 refresh tokens: lower-case base32, 60 bits of entropy in 12 characters. */
static const struct str refresh_alphabet = S_INIT("abcdefghijklmnopqrstuvwxyz234567");

/* Nobody could send a token that does not fit into a header line, with its name and scheme. */
enum { CLAIMS_MAX = 64 * 1024, TOKEN_MAX = HEAD_LINE_MAX - (int)sizeof("Authorization: Bearer ") };

static struct str refresh_token_new(struct arena *a)
{
    char *p = arena_alloc(a, SESSION_REFRESH_TOKEN_LENGTH + 1);
    rand_text(p, SESSION_REFRESH_TOKEN_LENGTH, refresh_alphabet);
    return str_of(p, SESSION_REFRESH_TOKEN_LENGTH);
}

void session_prepare(struct req *req, struct token_pair *pair)
{
    pair->session_id = uuid_v4();
    pair->refresh_token = refresh_token_new(req->arena);
}

struct str session_amr(struct req *req, const char *method)
{
    return arena_printf(req->arena, "[{\"method\":\"%s\",\"timestamp\":%lld}]", method,
                        (long long)(req->now_us / CLOCK_S));
}

/* Claims in GoTrue's order (auth.md §2.1). */
static void put_claims(struct buf *b, const struct req *req, const struct user *u, struct str aal,
                       struct str amr, const struct token_pair *pair)
{
    const struct auth_config *c = auth_config_of(req);
    json_put_open(b, '{');
    if (c->issuer.n)
        json_put_kstr(b, "iss", c->issuer);
    json_put_kstr(b, "sub", uuid_str(&u->id));
    json_put_kstr(b, "aud", u->aud);
    json_put_ki64(b, "exp", pair->expires_at_s);
    json_put_ki64(b, "iat", req->now_us / CLOCK_S);
    json_put_kstr(b, "email", u->email.p ? u->email : S(""));
    json_put_kstr(b, "phone", u->phone.p ? u->phone : S(""));
    json_put_kraw(b, "app_metadata", u->app_metadata);
    json_put_kraw(b, "user_metadata", u->user_metadata);
    json_put_kstr(b, "role", u->role);
    json_put_kstr(b, "aal", aal);
    json_put_kraw(b, "amr", amr);
    json_put_kstr(b, "session_id", uuid_str(&pair->session_id));
    json_put_kbool(b, "is_anonymous", u->is_anonymous);
    json_put_close(b, '}');
}

static bool token_too_large(struct err *e)
{
    return err_set(e, 422, "validation_failed",
                   "User metadata is too large: an access token has to fit into a request header");
}

bool session_sign(struct req *req, const struct user *u, struct str aal, struct str amr,
                  struct token_pair *pair, struct err *e)
{
    const struct auth_config *c = auth_config_of(req);
    pair->expires_in_s = c->token_life_us / CLOCK_S;
    pair->expires_at_s = req->now_us / CLOCK_S + pair->expires_in_s;
    struct buf claims, token;
    buf_init_arena(&claims, req->arena, CLAIMS_MAX);
    buf_init_arena(&token, req->arena, 2 * CLAIMS_MAX);
    put_claims(&claims, req, u, aal, amr, pair);
    if (claims.failed)
        return token_too_large(e);
    if (!jwt_sign(guard_keys(c->guard), buf_view(&claims), &token, e))
        return strcmp(e->code, "jwt_too_large") == 0 ? token_too_large(e) : false;
    if (token.n > TOKEN_MAX)
        return token_too_large(e);
    if (hook_enabled(auth_of(req), HOOK_CUSTOM_ACCESS_TOKEN))
        pair->claims = buf_view(&claims); /* no token leaves before the hook has seen them */
    else
        pair->access_token = buf_view(&token);
    return true;
}

static bool claims_sign(struct req *req, struct token_pair *pair, struct str claims, struct err *e)
{
    struct buf token;
    buf_init_arena(&token, req->arena, 2 * CLAIMS_MAX);
    bool ok = jwt_sign(guard_keys(auth_config_of(req)->guard), claims, &token, e);
    if (ok ? token.n > TOKEN_MAX : strcmp(e->code, "jwt_too_large") == 0)
        return err_set(e, 500, "unexpected_failure", "output claims do not fit into a token");
    pair->access_token = ok ? buf_view(&token) : pair->access_token;
    return ok;
}

/* What the client hears is why; that the row goes is worth an attempt, and it would end by itself. */
static void session_take_back(struct req *req, const struct user *u, const struct token_pair *pair)
{
    struct err unheard = {0};
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, req->pg, PG_LOGIN_AUTH, &unheard))
        return;
    pg_tx_add(&tx, &session_delete_one_sql, PG_ARGS(uuid_str(&u->id), uuid_str(&pair->session_id)));
    if (!pg_tx_commit(&tx, &unheard))
        log_say(LOG_WARN, "session.left", "a session without tokens was left: %s", unheard.message);
}

bool session_issue(struct req *req, const struct user *u, const char *method,
                   struct token_pair *pair, struct err *e)
{
    struct str claims;
    if (!pair->claims.p)
        return true;
    if (hook_claims(req, u, pair->claims, method, &claims, e) && claims_sign(req, pair, claims, e)) {
        pair->claims = (struct str){0};
        return true;
    }
    if (strcmp(method, SESSION_REFRESHED) != 0)
        session_take_back(req, u, pair);
    return false;
}

void session_queue_open(struct pg_tx *tx, struct req *req, const struct user *u,
                        const struct token_pair *pair, const char *method, struct str new_hash)
{
    bool unconfirmed_may = auth_config_of(req)->unverified_may_login;
    pg_tx_add(tx, &session_open_sql,
              PG_ARGS(uuid_str(&u->id), u->password, uuid_str(&pair->session_id),
                      pair->refresh_token, req->user_agent, req->client_ip, str_from(method),
                      new_hash, pg_tx_bool(unconfirmed_may)));
}

void session_put_json(struct buf *b, const struct token_pair *pair, const struct user *user)
{
    json_put_open(b, '{');
    json_put_kstr(b, "access_token", pair->access_token);
    json_put_kstr(b, "token_type", S("bearer"));
    json_put_ki64(b, "expires_in", pair->expires_in_s);
    json_put_ki64(b, "expires_at", pair->expires_at_s);
    json_put_kstr(b, "refresh_token", pair->refresh_token);
    json_put_key(b, "user");
    user_put_json(b, user);
    json_put_close(b, '}');
}

/* ---- refresh ---------------------------------------------------------------------------- */

struct refresh {
    struct str id, session_id, user_id;
    bool revoked;
    int64_t revoked_us, not_after_us, session_created_us, used_us;
    struct str aal, amr;
    struct str active_token,
        active_parent; /* the session's living token; absent when all are spent */
    struct str ip, agent; /* of the session */
};

/* What to do with a token that was found and whose session is in order (auth.md §2.3, v1). */
enum refresh_verdict {
    REFRESH_ROTATE,      /* spend it, make a child */
    REFRESH_GIVE_ACTIVE, /* its child was never used: the client did not get our answer */
    REFRESH_REUSED,      /* it has leaked */
};

static bool token_form_ok(struct str t)
{
    for (size_t i = 0; i < t.n; i++)
        if (!((t.p[i] >= 'a' && t.p[i] <= 'z') || (t.p[i] >= '0' && t.p[i] <= '9')))
            return false;
    return t.n == SESSION_REFRESH_TOKEN_LENGTH;
}

static void refresh_from_row(const struct pg_result *r, struct arena *a, struct refresh *out)
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
}

static bool session_in_order(const struct req *req, const struct refresh *t, const struct user *u,
                             struct err *e)
{
    const struct auth_config *c = auth_config_of(req);
    int64_t now = req->now_us;
    if (u->banned_until_us > now || u->deleted_us)
        return err_set(e, 400, "user_banned", "Invalid Refresh Token: User Banned");
    bool over = (t->not_after_us && t->not_after_us <= now)
                || (c->session_timebox_us && t->session_created_us + c->session_timebox_us <= now);
    if (over)
        return err_set(e, 400, "session_expired", "Invalid Refresh Token: Session Expired");
    if (c->session_inactivity_us && t->used_us + c->session_inactivity_us <= now)
        return err_set(e, 400, "session_expired",
                       "Invalid Refresh Token: Session Expired (Inactivity)");
    return context_check_session(req, t->ip, t->agent, e);
}

static enum refresh_verdict verdict_of(const struct req *req, const struct refresh *t,
                                       struct str token, struct refresh_outcome *out)
{
    *out = (struct refresh_outcome){.reuse_cause = ""};
    if (!t->revoked) {
        out->rotated = true;
        return REFRESH_ROTATE;
    }
    out->reused = true;
    if (t->active_token.p && str_eq(t->active_parent, token)) {
        out->reuse_cause = "fail-to-save";
        return REFRESH_GIVE_ACTIVE;
    }
    /* Without a living token the session's tokens were revoked because one had leaked: that holds. */
    if (t->active_token.p && t->revoked_us + auth_config_of(req)->refresh_reuse_us > req->now_us) {
        out->rotated = true;
        out->reuse_cause = "concurrent-refresh";
        return REFRESH_ROTATE;
    }
    return REFRESH_REUSED;
}

/* Revokes the session's tokens and keeps that revocation although the caller gets an error. */
static bool refresh_refuse_reuse(struct pg_tx *tx, struct req *req, const struct refresh *t,
                                 const struct user *u, struct err *e)
{
    if (auth_config_of(req)->refresh_rotation)
        pg_tx_add(tx, &refresh_revoke_family_sql, PG_ARGS(t->session_id));
    audit_add(tx, req,
              &(struct audit_note){.event = AUDIT_TOKEN_REUSED,
                                   .actor_id = t->user_id,
                                   .actor_kind = S("user"),
                                   .actor_email = u->email});
    if (!audit_commit(tx, req, e))
        return false;
    auth_count("reuse");
    return err_set(e, 400, "refresh_token_already_used", "Invalid Refresh Token: Already Used");
}

static void refresh_write(struct pg_tx *tx, struct req *req, const struct refresh *t,
                          const struct user *u, enum refresh_verdict verdict,
                          const struct token_pair *pair)
{
    struct audit_note note = {
        .actor_id = t->user_id, .actor_kind = S("user"), .actor_email = u->email};
    if (verdict == REFRESH_ROTATE) {
        pg_tx_add(
            tx, &refresh_rotate_sql,
            PG_ARGS(t->id, pair->refresh_token, t->session_id, req->user_agent, req->client_ip));
        note.event = AUDIT_TOKEN_REVOKED;
        audit_add(tx, req, &note);
    } else {
        pg_tx_add(tx, &refresh_touch_sql, PG_ARGS(t->session_id, req->user_agent, req->client_ip));
    }
    note.event = AUDIT_TOKEN_REFRESHED;
    audit_add(tx, req, &note);
}

/* Locks the session of the token, then reads token, session and user as they are after the lock. */
static bool refresh_lock(struct pg_tx *tx, struct req *req, struct str token, struct refresh *t,
                         struct user *u, struct err *e)
{
    pg_tx_add(tx, &refresh_lock_sql, PG_ARGS(token));
    pg_tx_add(tx, &refresh_read_sql, PG_ARGS(token));
    pg_tx_add(tx, &user_by_refresh_token_sql, PG_ARGS(token));
    if (!pg_tx_flush(tx, e))
        return false;
    const struct pg_result *read = pg_tx_result(tx, 1), *owner = pg_tx_result(tx, 2);
    if (pg_row_count(read) == 0)
        return err_set(e, 400, "refresh_token_not_found",
                       "Invalid Refresh Token: Refresh Token Not Found");
    if (pg_row_count(owner) == 0) /* older than sessions are (auth.md §2.3 "no session") */
        return err_set(e, 400, "session_not_found",
                       "Invalid Refresh Token: No Valid Session Found");
    refresh_from_row(read, req->arena, t);
    return user_from_row(owner, 0, req->arena, u, e);
}

bool session_refresh(struct req *req, struct str token, struct user *user, struct token_pair *pair,
                     struct refresh_outcome *outcome, struct err *e)
{
    if (!token_form_ok(token))
        return err_set(e, 400, "validation_failed", "Refresh token is not valid");

    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    struct refresh t = {0};
    struct user u = {0};
    if (!pg_tx_begin(&tx, req->pg, PG_LOGIN_AUTH, e) || !refresh_lock(&tx, req, token, &t, &u, e)
        || !session_in_order(req, &t, &u, e))
        return false;

    enum refresh_verdict verdict = verdict_of(req, &t, token, outcome);
    if (verdict == REFRESH_REUSED)
        return refresh_refuse_reuse(&tx, req, &t, &u, e);

    struct token_pair p = {0};
    uuid_parse(t.session_id, &p.session_id);
    p.refresh_token = verdict == REFRESH_ROTATE ? refresh_token_new(req->arena) : t.active_token;
    if (!session_sign(req, &u, t.aal, t.amr, &p, e))
        return false;
    refresh_write(&tx, req, &t, &u, verdict, &p);
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

/* ---- logout ----------------------------------------------------------------------------- */

bool session_logout(struct req *req, enum session_scope scope, struct err *e)
{
    const struct principal *p = req->principal;
    struct str user = uuid_str(&p->user_id), session = uuid_str(&p->session_id);
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    if (scope == SESSION_GLOBAL || !session.p)
        pg_tx_add(&tx, &session_delete_all_sql, PG_ARGS(user));
    else if (scope == SESSION_LOCAL)
        pg_tx_add(&tx, &session_delete_one_sql, PG_ARGS(user, session));
    else
        pg_tx_add(&tx, &session_delete_others_sql, PG_ARGS(user, session));
    audit_add(&tx, req,
              &(struct audit_note){.event = AUDIT_LOGOUT,
                                   .actor_id = user,
                                   .actor_kind = S("user"),
                                   .actor_email = caller_of(req)->user.email});
    bool ok = audit_commit(&tx, req, e);
    caller_forget(user); /* also when the outcome is not known */
    if (ok)
        auth_count("logout");
    return ok;
}

bool session_end_all(struct req *req, const struct user *u, struct err *e)
{
    struct str id = uuid_str(&u->id);
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &session_delete_all_sql, PG_ARGS(id));
    audit_add(&tx, req,
              &(struct audit_note){.event = AUDIT_LOGOUT,
                                   .actor_id = id,
                                   .actor_kind = S("user"),
                                   .actor_email = u->email});
    bool ok = audit_commit(&tx, req, e);
    caller_forget(id); /* also when the outcome is not known */
    return ok;
}

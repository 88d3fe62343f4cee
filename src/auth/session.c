/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_private.h"

#include "auth/hook.h"
#include "auth/refresh_token.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "http/head.h"
#include "runtime/fiber.h"

/* Nobody could send a token that does not fit into a header line, with its name and scheme. */
enum { TAKE_BACK_US = 2 * 1000 * 1000 };
enum { CLAIMS_MAX = 64 * 1024, TOKEN_MAX = HEAD_LINE_MAX - (int)sizeof("Authorization: Bearer ") };

void session_prepare(struct req *req, struct token_pair *pair)
{
    pair->session_id = uuid_v4();
    if (auth_config_of(req)->refresh_counted)
        session_count(req, pair, refresh_token_key(req->arena), 0);
    else
        pair->refresh_token = refresh_token_random(req->arena);
}

void session_count(struct req *req, struct token_pair *pair, struct str key, int64_t counter)
{
    pair->counted = true;
    pair->counter = counter;
    pair->hmac_key = key;
    pair->refresh_token = refresh_token_counted(req->arena, &pair->session_id, counter, key);
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
    int64_t now_s = req->now_us / CLOCK_S;
    pair->expires_at_s = now_s + c->token_life_us / CLOCK_S;
    if (c->session_low_aal_us && str_is(aal, "aal1") && user_has_factor(u)) {
        int64_t from = pair->session_created_us ? pair->session_created_us : req->now_us;
        int64_t end_s = (from + c->session_low_aal_us) / CLOCK_S;
        pair->expires_at_s = end_s < pair->expires_at_s ? end_s : pair->expires_at_s;
    }
    pair->expires_in_s = pair->expires_at_s - now_s;
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

/* Also when the client has left meanwhile, or the request's time is over: the row would stay. */
static void session_take_back(struct req *req, const struct user *u, const struct token_pair *pair)
{
    struct err unheard = {0}; /* the client hears of the hook */
    int64_t deadline = fiber_deadline();
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    fiber_uncancel();
    fiber_set_deadline(clock_mono_us() + TAKE_BACK_US);
    bool ok = pg_tx_single(&tx, req->pg, PG_LOGIN_AUTH, &unheard);
    if (ok) {
        pg_tx_add(&tx, &session_delete_one_sql,
                  PG_ARGS(uuid_str(&u->id), uuid_str(&pair->session_id)));
        ok = pg_tx_commit(&tx, &unheard);
    }
    fiber_set_deadline(deadline);
    if (!ok)
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
                      pair->counted ? (struct str){0} : pair->refresh_token, req->user_agent,
                      req->client_ip, str_from(method), new_hash, pg_tx_bool(unconfirmed_may),
                      pair->hmac_key));
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

bool session_end_one(struct req *req, struct str user_id, struct str id, const struct audit_note *note,
                     struct err *e)
{
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_begin(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &session_delete_one_sql, PG_ARGS(user_id, id));
    if (!pg_tx_flush(&tx, e))
        return false;
    if (pg_row_count(pg_tx_result(&tx, 0)) == 0)
        return err_set(e, 404, "session_not_found", "Session not found");
    audit_add(&tx, req, note);
    bool ok = audit_commit(&tx, req, e);
    caller_forget(id); /* also when the outcome is not known */
    if (ok)
        auth_count("logout");
    return ok;
}

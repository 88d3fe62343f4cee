/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/flow.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/secret.h"
#include "crypto/hash.h"

enum { CHALLENGE_MIN = 43, CHALLENGE_MAX = 128 }; /* RFC 7636 §4.2 */

static bool challenge_ok(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && c != '.' && c != '_' && c != '~' && c != '-')
            return false;
    }
    return s.n >= CHALLENGE_MIN && s.n <= CHALLENGE_MAX;
}

bool flow_pkce_read(struct str challenge, struct str method, struct flow_pkce *out, struct err *e)
{
    *out = (struct flow_pkce){0};
    if (!challenge.n && !method.n)
        return true;
    if (!challenge.n || !method.n)
        return err_set(e, 400, "validation_failed",
                       "PKCE flow requires code_challenge_method and code_challenge");
    const char *known = str_eq_nocase(method, S("s256"))    ? "s256"
                        : str_eq_nocase(method, S("plain")) ? "plain"
                                                            : NULL;
    if (!known)
        return err_set(e, 400, "validation_failed", "invalid code_challenge_method: s256 or plain");
    if (!challenge_ok(challenge))
        return err_set(
            e, 400, "validation_failed",
            "code challenge has to be between %d and %d characters of A-Z, a-z, 0-9 and ._~-",
            CHALLENGE_MIN, CHALLENGE_MAX);
    *out = (struct flow_pkce){challenge, known};
    return true;
}

void flow_begin(struct pg_tx *tx, const struct flow_pkce *p, struct str user_id,
                const char *authentication)
{
    if (p->method)
        pg_tx_add(tx, &flow_begin_sql,
                  PG_ARGS(user_id, str_from(p->method), p->challenge, str_from(authentication)));
}

void flow_issue(struct pg_tx *tx, struct str user_id, const char *authentication)
{
    pg_tx_add(tx, &flow_issue_sql, PG_ARGS(user_id, str_from(authentication)));
}

static bool verified(struct arena *a, struct str challenge, struct str method, struct str verifier)
{
    unsigned char digest[32];
    struct buf b;
    buf_init_arena(&b, a, CHALLENGE_MAX);
    if (str_is(method, "plain"))
        return secret_eq(challenge, verifier);
    hash_sha256(verifier, digest);
    base64_put_url(&b, str_of((const char *)digest, sizeof(digest)));
    return secret_eq(challenge, buf_view(&b));
}

/* Of a magic link the time counts from its opening: mails are read when they are read. */
static bool expired(const struct req *req, const struct pg_result *r)
{
    bool magic = str_is(pg_row_str(r, 0, FLOW_LOCK_AUTHENTICATION_METHOD), "magiclink");
    int64_t from = pg_row_time(r, 0, magic ? FLOW_LOCK_AUTH_CODE_ISSUED_AT : FLOW_LOCK_CREATED_AT);
    return req->now_us > from + auth_config_of(req)->flow_life_us;
}

bool flow_take(struct pg_tx *tx, struct req *req, struct str code, struct str verifier,
               struct flow_taken *out, struct err *e)
{
    pg_tx_add(tx, &flow_lock_sql, PG_ARGS(code));
    if (!pg_tx_flush(tx, e))
        return false;
    const struct pg_result *r = pg_tx_result(tx, 0);
    if (pg_row_count(r) == 0)
        return err_set(e, 404, "flow_state_not_found",
                       "invalid flow state, no valid flow state found");
    struct str challenge = pg_row_str(r, 0, FLOW_LOCK_CODE_CHALLENGE);
    if (!challenge.n)
        return err_set(e, 400, "flow_state_already_used",
                       "invalid flow state, flow state has already been used");
    if (expired(req, r))
        return err_set(e, 422, "flow_state_expired", "invalid flow state, flow state has expired");
    if (!verified(req->arena, challenge, pg_row_str(r, 0, FLOW_LOCK_CODE_CHALLENGE_METHOD),
                  verifier))
        return err_set(e, 400, "bad_code_verifier",
                       "code challenge does not match previously saved code verifier");
    *out = (struct flow_taken){
        .id = arena_str(req->arena, pg_row_str(r, 0, FLOW_LOCK_ID)),
        .user_id = arena_str(req->arena, pg_row_str(r, 0, FLOW_LOCK_USER_ID)),
        .authentication = arena_str(req->arena, pg_row_str(r, 0, FLOW_LOCK_AUTHENTICATION_METHOD)),
        .provider_access_token =
            arena_str(req->arena, pg_row_str(r, 0, FLOW_LOCK_PROVIDER_ACCESS_TOKEN)),
        .provider_refresh_token =
            arena_str(req->arena, pg_row_str(r, 0, FLOW_LOCK_PROVIDER_REFRESH_TOKEN)),
    };
    pg_tx_add(tx, &flow_spend_sql, PG_ARGS(out->id));
    return true;
}

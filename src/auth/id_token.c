/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/id_token.h"

#include "auth/keyset.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/json.h"
#include "crypto/hash.h"

/* Google writes either (OpenID Connect of Google, "Validating an ID token"). */
static const char google_issuer[] = "https://accounts.google.com";
static const char google_issuer_bare[] = "accounts.google.com";

enum { IDENTITY_MAX = 32 * 1024, CLOCK_SKEW_S = 300 /* of a provider's clock before ours */ };

struct claims {
    struct str iss, sub, aud, azp, email, nonce, at_hash, name, picture, hd, exp, iat;
    struct str email_verified; /* a boolean, or its text */
};

static const struct json_field claims_fields[] = {
    JSON_FIELD(struct claims, iss, JSON_STR, 255, 0),
    JSON_FIELD(struct claims, sub, JSON_STR, 255, 0),
    JSON_FIELD(struct claims, aud, JSON_ANY, 4096, 0),
    JSON_FIELD(struct claims, azp, JSON_STR, 255, 0),
    JSON_FIELD(struct claims, email, JSON_STR, 255, 0),
    JSON_FIELD(struct claims, nonce, JSON_STR, 255, 0),
    JSON_FIELD(struct claims, at_hash, JSON_STR, 128, 0),
    JSON_FIELD(struct claims, name, JSON_STR, 1024, 0),
    JSON_FIELD(struct claims, picture, JSON_STR, 2048, 0),
    JSON_FIELD(struct claims, hd, JSON_STR, 255, 0),
    JSON_FIELD(struct claims, exp, JSON_NUMBER, 32, JSON_REQUIRED),
    JSON_FIELD(struct claims, iat, JSON_NUMBER, 32, JSON_REQUIRED),
    JSON_FIELD(struct claims, email_verified, JSON_ANY, 16, 0),
};

static const struct json_shape claims_shape = {claims_fields, sizeof(claims_fields) / sizeof(claims_fields[0]), false};

bool id_token_open(struct auth *a, struct err *e)
{
    const struct auth_config *c = &a->config;
    if (!c->google_enabled)
        return true;
    if (!c->google_client_ids.n)
        return err_set(e, 2, "config", "google_enabled needs google_client_id: the app's OAuth client at Google");
    return keyset_open(c->google_keys_url, BREAKER_google, &a->google_keys, e);
}

void id_token_close(struct auth *a)
{
    keyset_close(a->google_keys);
}

static bool refused(struct err *e, const char *why)
{
    return err_set(e, 400, "oauth:invalid request", "%s", why);
}

/* By name or by issuer (GoTrue, IdTokenGrantParams.getProvider). */
static bool is_google(const struct id_token_in *in)
{
    return str_is(in->provider, "google") || (!in->provider.n && str_is(in->issuer, google_issuer));
}

static bool provider_check(const struct auth_config *c, const struct id_token_in *in, struct err *e)
{
    if (!in->token.n)
        return refused(e, "id_token required");
    if (!in->provider.n && (!in->client_id.n || !in->issuer.n))
        return refused(e, "provider or client_id and issuer required");
    struct str named = in->provider.n ? in->provider : in->issuer;
    bool listed = is_google(in) ? str_list_has(c->id_token_issuers, S("https://accounts.google.com"))
                                : str_list_has(c->id_token_issuers, in->issuer);
    bool apple = str_is(in->provider, "apple");
    if (!listed && !apple)
        return err_set(e, 400, "validation_failed", "Custom OIDC provider \"%.*s\" not allowed",
                       (int)(named.n < 200 ? named.n : 200), named.p);
    if (!is_google(in) || !c->google_enabled) {
        struct str issuer = is_google(in) ? str_from(google_issuer)
                            : apple       ? S("https://appleid.apple.com")
                                          : in->issuer;
        return err_set(e, 400, "provider_disabled", "Provider (issuer \"%.*s\") is not enabled",
                       (int)(issuer.n < 200 ? issuer.n : 200), issuer.p);
    }
    return true;
}

/* ---- the audience: one text or a list of them ------------------------------------------------ */

/* Elements of a JSON array of strings, or of the one string, in turn. */
static bool audience_next(struct str *rest, struct arena *a, struct str *out)
{
    size_t from, to;
    if (!str_find_char(*rest, '"', &from) || !str_find_char(str_from_at(*rest, from + 1), '"', &to))
        return false;
    struct str quoted = str_of(rest->p + from, to + 2);
    struct str member = arena_printf(a, "{\"v\":%.*s}", STR_ARG(quoted));
    *rest = str_from_at(*rest, from + to + 2);
    return json_get(member, "v", JSON_STR, out, a);
}

/*
 * One audience is ours. Of several, the party that asked for the token has to be ours as well (OIDC
 * Core §3.1.3.7, 4 and 5); of one alone, azp names another client of the same project, as Android does.
 */
static bool audience_ok(const struct auth_config *c, const struct claims *t, struct arena *a)
{
    struct str rest = t->aud, one;
    size_t count = 0, ours = 0, at;
    if (!rest.n || (rest.p[0] != '"' && rest.p[0] != '[') || str_find_char(rest, '\\', &at))
        return false;
    for (; audience_next(&rest, a, &one); count++)
        ours += one.n && str_list_has(c->google_client_ids, one);
    return ours > 0 && (count == 1 || (t->azp.n && str_list_has(c->google_client_ids, t->azp)));
}

/* ---- nonce and access token ------------------------------------------------------------------- */

/* The app sends the nonce, the token holds its SHA-256: who only saw the token cannot use it. */
static bool nonce_ok(const struct id_token_in *in, const struct claims *t, struct err *e)
{
    char hex[65];
    if (!in->nonce.n != !t->nonce.n)
        return refused(e, "Passed nonce and nonce in id_token should either both exist or not.");
    if (!in->nonce.n)
        return true;
    hash_sha256_hex(in->nonce, hex);
    return str_is(t->nonce, hex) || err_set(e, 400, "oauth:invalid nonce", "Nonces mismatch");
}

/* at_hash: the left half of the access token's SHA-256 (OIDC Core §3.1.3.6). */
static bool access_token_ok(const struct id_token_in *in, const struct claims *t)
{
    unsigned char digest[32];
    char text[32];
    struct buf b = {.p = text, .cap = sizeof(text), .max_bytes = sizeof(text)};
    if (!in->access_token.n || !t->at_hash.n)
        return true;
    hash_sha256(in->access_token, digest);
    base64_put_url(&b, str_of((const char *)digest, sizeof(digest) / 2));
    return str_eq(buf_view(&b), t->at_hash);
}

static bool issued_by_now(const struct req *req, const struct claims *t)
{
    int64_t iat;
    return str_to_i64(t->iat, &iat) && iat <= req->now_us / CLOCK_S + CLOCK_SKEW_S;
}

/* ---- what is known of the person --------------------------------------------------------------- */

/* GoTrue's claims record (auth.md §1.1 Identity). */
static struct str identity_of(struct req *req, const struct claims *t, bool verified)
{
    struct buf b;
    buf_init_arena(&b, req->arena, IDENTITY_MAX);
    json_put_open(&b, '{');
    json_put_kstr(&b, "iss", str_from(google_issuer));
    json_put_kstr(&b, "sub", t->sub);
    if (t->name.n) {
        json_put_kstr(&b, "name", t->name);
        json_put_kstr(&b, "full_name", t->name);
    }
    if (t->picture.n) {
        json_put_kstr(&b, "picture", t->picture);
        json_put_kstr(&b, "avatar_url", t->picture);
    }
    if (t->email.n)
        json_put_kstr(&b, "email", t->email);
    json_put_kbool(&b, "email_verified", verified);
    json_put_kbool(&b, "phone_verified", false);
    json_put_kstr(&b, "provider_id", t->sub);
    if (t->hd.n) {
        json_put_key(&b, "custom_claims");
        json_put_open(&b, '{');
        json_put_kstr(&b, "hd", t->hd);
        json_put_close(&b, '}');
    }
    json_put_close(&b, '}');
    return b.failed ? S("{}") : buf_view(&b);
}

static bool claims_check(struct req *req, const struct id_token_in *in, struct claims *t, struct err *e)
{
    const struct auth_config *c = auth_config_of(req);
    if (!str_is(t->iss, google_issuer) && !str_is(t->iss, google_issuer_bare))
        return refused(e, "Bad ID token");
    if (!issued_by_now(req, t) || !access_token_ok(in, t))
        return refused(e, "Bad ID token");
    if (!t->sub.n)
        return refused(e, "Missing sub claim in id_token");
    if (!audience_ok(c, t, req->arena))
        return refused(e, "Unacceptable audience in id_token");
    return c->google_skip_nonce || nonce_ok(in, t, e);
}

static bool check(struct req *req, const struct id_token_in *in, struct external *out, struct err *e)
{
    struct claims t = {0};
    struct str claims, email = {0};
    struct err ignored = {0};
    if (!provider_check(auth_config_of(req), in, e))
        return false;
    if (!keyset_verify(auth_of(req)->google_keys, req, in->token, &claims, e))
        return e->status == 401 ? refused(e, "Bad ID token") : false;
    if (!json_read(claims, &claims_shape, &t, req->arena, e))
        return refused(e, "Bad ID token");
    if (!claims_check(req, in, &t, e))
        return false;
    bool verified = (str_is(t.email_verified, "true") || str_is(t.email_verified, "\"true\""))
                    && user_email_normal(req->arena, t.email, &email, &ignored);
    *out = (struct external){
        .provider = "google",
        .subject = t.sub,
        .email = verified ? email : (struct str){0},
        .identity = identity_of(req, &t, verified),
    };
    return true;
}

bool id_token_check(struct req *req, const struct id_token_in *in, struct external *out, struct err *e)
{
    if (check(req, in, out, e))
        return true;
    if (str_starts(str_from(e->code), S("oauth:"))) {
        auth_count("login_failed");
        audit_report(req, &(struct audit_note){.event = AUDIT_LOGIN_FAILED,
                                               .detail = S("{\"reason\":\"id_token\",\"provider\":\"google\"}")});
    }
    return false;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/guard.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/secret.h"
#include "crypto/hash.h"
#include "guard/access.h"
#include "guard/epoch.h"
#include "guard/token_cache.h"
#include "runtime/loop.h"

struct api_key {
    enum principal_key kind;
    struct secret text;
};

enum { API_KEYS = 4 };

/* Never changed once it is in force. */
struct snapshot {
    struct jwt_keys *jwt;
    struct api_key api_keys[API_KEYS];
    unsigned char digest[32]; /* of what it was made from */
    struct snapshot *former;  /* somebody may still be looking at it; there are few */
};

struct guard {
    _Atomic(struct snapshot *) now;
    struct arena memory;
    struct str admin_roles, issuer;
    bool key_required;
    size_t cache_entries;
    struct token_cache *caches[LOOP_MAX];
};

static struct api_key api_key(enum principal_key kind, struct str text)
{
    return (struct api_key){.kind = kind, .text = text.n ? secret_copy(text) : (struct secret){0}};
}

static void snapshot_free(struct snapshot *s)
{
    for (size_t i = 0; i < API_KEYS; i++)
        secret_wipe(&s->api_keys[i].text);
    jwt_keys_free(s->jwt);
    free(s);
}

/* Of the members' digests, so that no text can move from one to its neighbour. */
static void keyset_digest(const struct guard_keyset *k, unsigned char out[32])
{
    const struct str members[] = {k->jwt_secret, k->jwt_keys,    k->key_id,          k->algorithms,
                                  k->anon_key,   k->service_key, k->publishable_key, k->secret_key};
    struct buf b;
    buf_init(&b, SIZE_MAX);
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        unsigned char one[32];
        hash_sha256(members[i], one);
        buf_add(&b, one, sizeof(one));
    }
    hash_sha256(buf_view(&b), out);
    buf_free(&b);
}

static bool keys_of(const struct guard_keyset *k, struct jwt_keys **out, struct err *e)
{
    if (!k->jwt_keys.n)
        return jwt_keys_from_secret(k->jwt_secret, k->key_id, out, e);
    return k->secret_may_sign
               ? jwt_keys_from_ring(k->jwt_keys, k->jwt_secret, k->key_id, out, e)
               : jwt_keys_from_jwks(k->jwt_keys, k->jwt_secret, out, e);
}

static bool snapshot_make(const struct guard_keyset *k, struct snapshot **out, struct err *e)
{
    struct jwt_keys *keys = NULL;
    if (!keys_of(k, &keys, e) || !jwt_keys_allow(keys, k->algorithms, e)) {
        jwt_keys_free(keys);
        return false;
    }
    struct snapshot *s = calloc(1, sizeof(*s));
    BUG(!s);
    s->jwt = keys;
    s->api_keys[0] = api_key(PRINCIPAL_KEY_ANON, k->anon_key);
    s->api_keys[1] = api_key(PRINCIPAL_KEY_SERVICE, k->service_key);
    s->api_keys[2] = api_key(PRINCIPAL_KEY_ANON, k->publishable_key);
    s->api_keys[3] = api_key(PRINCIPAL_KEY_SERVICE, k->secret_key);
    keyset_digest(k, s->digest);
    *out = s;
    return true;
}

static const struct snapshot *snapshot_now(const struct guard *g)
{
    return atomic_load_explicit(&g->now, memory_order_acquire);
}

bool guard_open(const struct guard_config *c, struct guard **out, struct err *e)
{
    struct snapshot *first = NULL;
    if (!snapshot_make(&c->keys, &first, e))
        return false;
    struct guard *g = calloc(1, sizeof(*g));
    BUG(!g);
    arena_init(&g->memory, SIZE_MAX);
    atomic_init(&g->now, first);
    g->admin_roles = arena_str(&g->memory, c->admin_roles);
    g->issuer = arena_str(&g->memory, c->issuer);
    g->key_required = c->key_required;
    g->cache_entries = c->cache_entries;
    *out = g;
    return true;
}

/* The keys first, then the epoch: who reads the new epoch sees the new keys. */
bool guard_rekey(struct guard *g, const struct guard_keyset *keys, struct err *e)
{
    struct snapshot *next = NULL, *now = atomic_load(&g->now);
    unsigned char digest[32];
    keyset_digest(keys, digest);
    if (memcmp(digest, now->digest, sizeof(digest)) == 0)
        return true;
    if (!snapshot_make(keys, &next, e))
        return false;
    next->former = now;
    atomic_store_explicit(&g->now, next, memory_order_release);
    epoch_bump_all();
    return true;
}

void guard_close(struct guard *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < LOOP_MAX; i++)
        token_cache_free(g->caches[i]);
    for (struct snapshot *s = atomic_load(&g->now), *former; s; s = former) {
        former = s->former;
        snapshot_free(s);
    }
    arena_close(&g->memory);
    free(g);
}

const struct jwt_keys *guard_keys(const struct guard *g)
{
    return snapshot_now(g)->jwt;
}

static struct token_cache *cache_here(struct guard *g)
{
    unsigned i = loop_index();
    BUG(i >= LOOP_MAX);
    if (!g->caches[i])
        g->caches[i] = token_cache_new(g->cache_entries);
    return g->caches[i];
}

/* Bearer token of the Authorization field; absent when it is not of that form. */
static struct str bearer_of(const struct req *req)
{
    struct str field = req_header(req, S("authorization"));
    if (!str_starts_nocase(field, S("bearer ")))
        return (struct str){0};
    struct str token = str_trim(str_from_at(field, 7));
    size_t space;
    if (token.n == 0 || str_find_char(token, ' ', &space))
        return (struct str){0};
    return token;
}

struct claims_in {
    struct str role, sub, aal, session_id, iss, aud, exp;
};

static const struct json_field claims_fields[] = {
    JSON_FIELD(struct claims_in, role, JSON_STR, 64, 0),
    JSON_FIELD(struct claims_in, sub, JSON_STR, 255, 0),
    JSON_FIELD(struct claims_in, aal, JSON_STR, 16, 0),
    JSON_FIELD(struct claims_in, session_id, JSON_STR, 64, 0),
    JSON_FIELD(struct claims_in, iss, JSON_STR, 2048, 0),
    JSON_FIELD(struct claims_in, aud, JSON_ANY, 2048, 0), /* text, or an array of texts (RFC 7519 §4.1.3) */
    JSON_FIELD(struct claims_in, exp, JSON_NUMBER, 32, 0),
};

static const struct json_shape claims_shape = {claims_fields, sizeof(claims_fields) / sizeof(claims_fields[0]), false};

/* Whole seconds of a NumericDate, far in the future when absent; 0, which nobody remembers, when
 * it is not a plain integer: exactly when such a token ends is the verifier's to say. */
static int64_t expiry_us(struct str exp)
{
    int64_t seconds;
    if (!exp.n)
        return INT64_MAX;
    if (!str_to_i64(exp, &seconds) || seconds > INT64_MAX / CLOCK_S)
        return 0;
    return seconds * CLOCK_S;
}

/* The text, or the first of the texts; absent for anything else. */
static struct str audience_of(struct str aud)
{
    size_t end;
    if (aud.n > 0 && aud.p[0] == '[')
        aud = str_from_at(aud, 1);
    if (aud.n < 2 || aud.p[0] != '"')
        return (struct str){0};
    aud = str_from_at(aud, 1);
    return str_find_char(aud, '"', &end) ? str_of(aud.p, end) : (struct str){0};
}

/* A session that cannot be looked up must not pass for a token without one. */
static bool session_read(struct str text, struct uuid *out, struct err *e)
{
    if (!text.n || str_is(text, UUID_NIL) || uuid_parse(text, out))
        return true;
    return err_set(e, 401, "jwt_malformed", "session_id claim must be a UUID");
}

static bool claims_read(const struct guard *g, struct str claims, struct arena *a, struct principal *p, struct err *e)
{
    struct claims_in in = {0};
    if (!json_read(claims, &claims_shape, &in, a, e))
        return false;
    if (g->issuer.n && in.session_id.n && !str_eq(in.iss, g->issuer))
        return err_set(e, 401, "jwt_issuer", "issuer is not accepted");
    p->claims = claims;
    p->role = in.role;
    if (!session_read(in.session_id, &p->session_id, e))
        return false;
    p->aud = audience_of(in.aud);
    p->aal = in.aal;
    p->subject = in.sub;
    uuid_parse(in.sub, &p->user_id);
    p->expires_us = expiry_us(in.exp);
    p->admin = str_list_has(g->admin_roles, p->role);
    return true;
}

/* A token's principal, from the cache or verified now; key and has_token of *p are left alone. */
static bool token_verify(struct guard *g, struct str token, const struct req *req, bool allow_no_exp,
                         struct principal *p, struct err *e)
{
    struct token_digest digest;
    hash_sha256(token, digest.bytes);
    enum principal_key key = p->key;
    const struct principal *known = token_cache_get(cache_here(g), &digest, req->now_us);
    if (known) {
        *p = *known;
        /* A handler may park, and another request may then push the entry out. */
        p->claims = arena_str(req->arena, known->claims);
        p->role = arena_str(req->arena, known->role);
        p->aud = arena_str(req->arena, known->aud);
        p->subject = arena_str(req->arena, known->subject);
        p->aal = arena_str(req->arena, known->aal);
    } else {
        struct jwt_check check = {.now_us = req->now_us, .allow_no_exp = allow_no_exp};
        struct str claims;
        uint32_t generation = epoch_generation(); /* before the keys are looked at */
        if (!jwt_verify(guard_keys(g), token, &check, req->arena, &claims, e) || !claims_read(g, claims, req->arena, p, e))
            return false;
        token_cache_put(cache_here(g), &digest, p, req->now_us, generation);
    }
    p->key = key;
    return true;
}

/* Every key is compared, so that time says nothing about which one was nearly right. */
static enum principal_key key_known(const struct guard *g, struct str text)
{
    const struct api_key *keys = snapshot_now(g)->api_keys;
    enum principal_key kind = PRINCIPAL_KEY_NONE;
    for (size_t i = 0; i < API_KEYS; i++)
        if (keys[i].text.n && secret_eq(text, secret_reveal(&keys[i].text)))
            kind = keys[i].kind;
    return kind;
}

/* A key of ours, or any token signed by our keys whose role is anon or an admin role and that names no user. */
static enum principal_key key_kind(struct guard *g, const struct req *req, struct str text)
{
    enum principal_key kind = text.n ? key_known(g, text) : PRINCIPAL_KEY_NONE;
    if (kind != PRINCIPAL_KEY_NONE || !str_starts(text, S("eyJ")))
        return kind;
    struct principal p = {0};
    struct err ignored = {0};
    if (!token_verify(g, text, req, true, &p, &ignored) || p.session_id.text[0])
        return PRINCIPAL_KEY_NONE;
    if (p.admin)
        return PRINCIPAL_KEY_SERVICE;
    return str_is(p.role, "anon") ? PRINCIPAL_KEY_ANON : PRINCIPAL_KEY_NONE;
}

static const struct str key_roles[] = {
    [PRINCIPAL_KEY_NONE] = {0},
    [PRINCIPAL_KEY_ANON] = S_INIT("anon"),
    [PRINCIPAL_KEY_SERVICE] = S_INIT("service_role"),
};

void guard_identify(struct guard *g, struct req *req)
{
    struct principal *p = arena_new(req->arena, struct principal, 1);
    req->principal = p;
    struct str sent = req_header(req, S("apikey"));
    if (!sent.n)
        sent = req_query(req, "apikey");
    if (!sent.n)
        sent = bearer_of(req);
    p->key = key_kind(g, req, sent);
    p->role = key_roles[p->key];
    p->admin = p->key == PRINCIPAL_KEY_SERVICE;
}

static bool key_asked_for(const struct guard *g, const struct req *req)
{
    static const bool by_surface[SURFACE_COUNT] = {
        [SURFACE_AUTH] = true,
        [SURFACE_REST] = true,
        [SURFACE_STORAGE] = true,
        [SURFACE_FUNCTIONS] = true,
    };
    return g->key_required && by_surface[req->surface];
}

static bool key_check(const struct guard *g, const struct req *req, struct err *e)
{
    if (req->principal->key != PRINCIPAL_KEY_NONE || !key_asked_for(g, req))
        return true;
    if (req_header(req, S("apikey")).n || req_query(req, "apikey").n)
        return err_set(e, 401, "invalid_api_key", "Invalid API key");
    return err_set(e, 401, "no_api_key", "No API key found in request");
}

static bool token_check(struct guard *g, struct req *req, struct err *e)
{
    struct str token = bearer_of(req);
    if (!token.n)
        return err_set(e, 401, "no_authorization", "This endpoint requires a valid Bearer token");
    struct principal p = {.key = req->principal->key};
    if (!token_verify(g, token, req, true, &p, e)) {
        char why[sizeof(e->message)];
        memcpy(why, e->message, sizeof(why));
        return err_set(e, 403, "bad_jwt", "invalid JWT: unable to parse or verify signature, %.80s", why);
    }
    p.has_token = true;
    *req->principal = p;
    return true;
}

bool guard_allow_user(struct guard *g, struct req *req, struct err *e)
{
    if (!key_check(g, req, e) || !token_check(g, req, e))
        return false;
    if (!req->principal->subject.n)
        return err_set(e, 403, "bad_jwt", "invalid claim: missing sub claim");
    if (!req->principal->user_id.text[0])
        return err_set(e, 400, "bad_jwt", "invalid claim: sub claim must be a UUID");
    return true;
}

/* The bearer token decides; a secret key alone is as good, since new-style keys are no tokens. */
bool guard_allow_service(struct guard *g, struct req *req, struct err *e)
{
    if (!key_check(g, req, e))
        return false;
    struct str token = bearer_of(req);
    bool key_is_all = !token.n || key_known(g, token) != PRINCIPAL_KEY_NONE;
    if (key_is_all && token.n)
        req->principal->admin = key_known(g, token) == PRINCIPAL_KEY_SERVICE;
    if (!token.n && !req->principal->admin)
        return err_set(e, 401, "no_authorization", "This endpoint requires a valid Bearer token");
    if (!key_is_all && !token_check(g, req, e))
        return false;
    return req->principal->admin || err_set(e, 403, "not_admin", "User not allowed");
}

bool guard_allow(struct guard *g, struct req *req, struct err *e)
{
    switch (req->route->access) {
    case ACCESS_OPEN:
        return true;
    case ACCESS_KEY:
        return key_check(g, req, e);
    case ACCESS_USER:
        return guard_allow_user(g, req, e);
    case ACCESS_SERVICE:
        return guard_allow_service(g, req, e);
    case ACCESS_ADMIN_PORT:
        return req->admin_listener || err_set(e, 404, "not_found", "404 page not found");
    case ACCESS_UNSET:
        break;
    }
    BUG(true); /* a route without access does not get past start-up */
    return false;
}

bool guard_role(const struct req *req, struct str *out, struct err *e)
{
    const struct principal *p = req->principal;
    struct str role = p->role.n ? p->role : S("anon");
    if (!access_check(role, e))
        return false;
    *out = role;
    return true;
}

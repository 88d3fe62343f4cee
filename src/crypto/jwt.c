/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/jwt.h"

#include <stdlib.h>

#include "base/base64.h"
#include "base/json.h"
#include "crypto/jwk.h"
#include "crypto/jws.h"

enum {
    TOKEN_MAX = 16 * 1024, /* what a request's head can carry is less; bounds work per attempt */
    KEYS_MAX = 32,         /* a rotation needs two or three */
    HEADER_MAX = 4096,     /* base64url of alg, typ and an escaped kid */
    FOREIGN_MEMORY = 4 * 1024 * 1024 /* to read another issuer's keys in */
};

struct jwt_keys {
    struct jwk *keys;
    size_t count;
    const struct jwk *signer;
    const struct jwk *fallback; /* HS256, for tokens without a known kid; may be NULL */
    struct buf header;          /* the signer's, base64url */
};

/* ---- key sets -------------------------------------------------------------------------------- */

static struct jwt_keys *keys_new(void)
{
    struct jwt_keys *k = calloc(1, sizeof(*k));
    BUG(!k);
    k->keys = calloc(KEYS_MAX + 1, sizeof(*k->keys)); /* one for the fallback */
    BUG(!k->keys);
    buf_init(&k->header, HEADER_MAX);
    return k;
}

/* GoTrue's order: alg, kid?, typ. */
static void keys_finish(struct jwt_keys *k)
{
    struct buf b;
    buf_init(&b, HEADER_MAX);
    json_put_open(&b, '{');
    json_put_kstr(&b, "alg", str_from(k->signer->alg->name));
    if (k->signer->kid.p)
        json_put_kstr(&b, "kid", k->signer->kid);
    json_put_kstr(&b, "typ", S("JWT"));
    json_put_close(&b, '}');
    base64_put_url(&k->header, buf_view(&b));
    BUG(b.failed || k->header.failed); /* JWK_KID_MAX bytes, each escaped to six, fit */
    buf_free(&b);
}

bool jwt_keys_from_secret(struct str secret, struct str kid, struct jwt_keys **out, struct err *e)
{
    struct jwk key;
    if (!jwk_from_secret(secret, kid, &key, e))
        return false;
    struct jwt_keys *k = keys_new();
    k->keys[k->count++] = key;
    k->signer = k->fallback = &k->keys[0];
    keys_finish(k);
    *out = k;
    return true;
}

static const struct jwk *find_kid(const struct jwt_keys *k, struct str kid)
{
    for (size_t i = 0; kid.p && i < k->count; i++) {
        if (k->keys[i].kid.p && str_eq(k->keys[i].kid, kid))
            return &k->keys[i];
    }
    return NULL;
}

static bool json_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/*
 * Walks the elements of an array's text that is known to be valid JSON, so that only strings and
 * brackets matter. *at starts behind the '[' and is array.n at the end.
 */
static bool next_element(struct str array, size_t *at, struct str *out)
{
    int depth = 0;
    while (*at < array.n && json_space(array.p[*at]))
        (*at)++;
    size_t start = *at, i = start;
    for (bool quoted = false; i < array.n; i++) {
        char c = array.p[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            depth++;
        else if (!quoted && (c == '}' || c == ']') && depth-- == 0)
            break;
        else if (!quoted && c == ',' && depth == 0)
            break;
    }
    *at = i < array.n && array.p[i] == ',' ? i + 1 : array.n;
    *out = str_of(array.p + start, i - start);
    return i > start;
}

static bool keys_add(struct jwt_keys *k, struct str json, struct err *e)
{
    if (k->count == KEYS_MAX)
        return err_set(e, 500, "jwt_key_invalid", "a key set may have %d keys at most", KEYS_MAX);
    struct jwk *key = &k->keys[k->count];
    if (!jwk_read(json, key, e))
        return false;
    bool known = find_kid(k, key->kid) != NULL;
    k->count++;
    if (known)
        return err_set(e, 500, "jwt_key_invalid", "two keys have the same kid");
    if (key->signs && k->signer)
        return err_set(e, 500, "jwt_key_invalid", "only one key may have key_ops with sign");
    if (key->signs)
        k->signer = key;
    return true;
}

static bool keys_add_all(struct jwt_keys *k, struct str json, struct err *e)
{
    if (!json_valid(json, e)) {
        e->status = 500, e->code = "jwt_key_invalid";
        return false;
    }
    size_t at = 0;
    struct str element;
    while (at < json.n && json_space(json.p[at]))
        at++;
    if (at == json.n || json.p[at] != '[')
        return err_set(e, 500, "jwt_key_invalid", "the keys must be a JSON array");
    for (at++; next_element(json, &at, &element);) {
        if (!keys_add(k, element, e))
            return false;
    }
    return true;
}

/* Signs too where nothing else does. */
static bool keys_add_secret(struct jwt_keys *k, struct str secret, struct str kid, struct err *e)
{
    struct jwk *key = &k->keys[k->count];
    if (!jwk_from_secret(secret, kid, key, e))
        return false;
    k->count++;
    k->fallback = key;
    key->signs = !k->signer;
    if (!k->signer)
        k->signer = key;
    return true;
}

static bool keys_settle(struct jwt_keys *k, bool ok, struct jwt_keys **out)
{
    if (!ok) {
        jwt_keys_free(k);
        return false;
    }
    keys_finish(k);
    *out = k;
    return true;
}

bool jwt_keys_from_jwks(struct str json, struct str fallback_secret, struct jwt_keys **out,
                        struct err *e)
{
    struct jwt_keys *k = keys_new();
    bool ok = keys_add_all(k, json, e)
              && (k->signer
                  || err_set(e, 500, "jwt_key_invalid", "one key must have key_ops with sign"))
              && (!fallback_secret.n || keys_add_secret(k, fallback_secret, (struct str){0}, e));
    return keys_settle(k, ok, out);
}

bool jwt_keys_from_ring(struct str json, struct str secret, struct str kid, struct jwt_keys **out,
                        struct err *e)
{
    struct jwt_keys *k = keys_new();
    return keys_settle(k, keys_add_all(k, json, e) && keys_add_secret(k, secret, kid, e), out);
}

bool jwt_keys_allow(struct jwt_keys *k, struct str algorithms, struct err *e)
{
    if (!algorithms.n)
        return true;
    for (size_t i = 0; i < k->count; i++)
        k->keys[i].refused = !str_list_has(algorithms, str_from(k->keys[i].alg->name));
    return !k->signer->refused
           || err_set(e, 500, "jwt_key_invalid", "the signing key's algorithm %s is not accepted",
                      k->signer->alg->name);
}

struct foreign_key {
    struct str use, kid;
};

static const struct json_field foreign_fields[] = {
    JSON_FIELD(struct foreign_key, use, JSON_STR, 64, 0),
    JSON_FIELD(struct foreign_key, kid, JSON_STR, JWK_KID_MAX, JSON_REQUIRED),
};

static const struct json_shape foreign_shape = {foreign_fields, 2, false};

/* Passed over: a key for encryption, without a name, of an unknown kind, a twin, a secret. */
static void foreign_add(struct jwt_keys *k, struct str json, struct arena *a)
{
    struct foreign_key f = {0};
    struct err ignored = {0};
    struct jwk *key = &k->keys[k->count];
    if (k->count == KEYS_MAX || !json_read(json, &foreign_shape, &f, a, &ignored)
        || (f.use.p && !str_is(f.use, "sig")) || find_kid(k, f.kid)
        || !jwk_read(json, key, &ignored))
        return;
    if (key->alg->kind == JWK_OCT || key->signs)
        jwk_close(key);
    else
        k->count++;
}

bool jwt_keys_from_foreign(struct str json, struct jwt_keys **out, struct err *e)
{
    struct arena a;
    struct str list = {0}, element;
    struct jwt_keys *k = keys_new();
    arena_init(&a, FOREIGN_MEMORY);
    if (json_valid(json, e) && json_get(json, "keys", JSON_ARRAY, &list, &a))
        for (size_t at = 1; next_element(list, &at, &element);)
            foreign_add(k, element, &a);
    arena_close(&a);
    err_clear(e);
    if (k->count == 0) {
        jwt_keys_free(k);
        return err_set(e, 502, "jwt_keys_foreign", "there is no key to verify with");
    }
    *out = k;
    return true;
}

void jwt_keys_free(struct jwt_keys *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < k->count; i++)
        jwk_close(&k->keys[i]);
    free(k->keys);
    buf_free(&k->header);
    free(k);
}

void jwt_keys_publish(const struct jwt_keys *k, struct buf *b)
{
    json_put_open(b, '{');
    json_put_key(b, "keys");
    json_put_open(b, '[');
    bool first = true;
    for (size_t i = 0; i < k->count; i++) {
        if (!k->keys[i].published.n)
            continue;
        if (!first)
            buf_char(b, ',');
        first = false;
        buf_str(b, buf_view(&k->keys[i].published));
    }
    json_put_close(b, ']');
    json_put_close(b, '}');
}

/* ---- signing --------------------------------------------------------------------------------- */

static bool too_large(struct buf *b, size_t start, struct err *e)
{
    b->n = start;
    return err_set(e, 500, "jwt_too_large", "the token would be too large");
}

bool jwt_sign(const struct jwt_keys *k, struct str claims, struct buf *b, struct err *e)
{
    size_t start = b->n;
    unsigned char sig[JWS_SIGNATURE_MAX];
    size_t sig_n;
    BUG(!k->signer);
    buf_str(b, buf_view(&k->header));
    buf_char(b, '.');
    base64_put_url(b, claims);
    if (b->failed)
        return too_large(b, start, e);
    if (!jws_sign(k->signer, str_of(b->p + start, b->n - start), sig, &sig_n, e)) {
        b->n = start;
        return false;
    }
    buf_char(b, '.');
    base64_put_url(b, str_of((const char *)sig, sig_n));
    if (b->failed || b->n - start > TOKEN_MAX) /* nobody could verify it */
        return too_large(b, start, e);
    return true;
}

/* ---- verifying ------------------------------------------------------------------------------- */

struct parts {
    struct str header, payload, signature; /* base64url */
    struct str signed_text;                /* header, dot, payload */
};

/* The members that matter. jwk, jku, x5u, x5c name keys of the sender's choosing: never read. */
struct header {
    struct str alg, kid, crit, b64;
};

static const struct json_field header_fields[] = {
    JSON_FIELD(struct header, alg, JSON_STR, 16, JSON_REQUIRED),
    JSON_FIELD(struct header, kid, JSON_STR, JWK_KID_MAX, 0),
    JSON_FIELD(struct header, crit, JSON_ANY, TOKEN_MAX, 0),
    JSON_FIELD(struct header, b64, JSON_ANY, TOKEN_MAX, 0),
};

static const struct json_shape header_shape = {
    header_fields, sizeof(header_fields) / sizeof(*header_fields), false};

struct dates {
    struct str exp, nbf, iat;
};

static const struct json_field date_fields[] = {
    JSON_FIELD(struct dates, exp, JSON_NUMBER, 64, 0),
    JSON_FIELD(struct dates, nbf, JSON_NUMBER, 64, 0),
    JSON_FIELD(struct dates, iat, JSON_NUMBER, 64, 0),
};

static const struct json_shape dates_shape = {date_fields,
                                              sizeof(date_fields) / sizeof(*date_fields), false};

static bool malformed(struct err *e, const char *why)
{
    return err_set(e, 401, "jwt_malformed", "token is malformed: %s", why);
}

static bool split(struct str token, struct parts *out, struct err *e)
{
    struct str rest;
    if (token.n > TOKEN_MAX)
        return malformed(e, "too long");
    if (!str_cut(token, '.', &out->header, &rest) || !str_cut(rest, '.', &out->payload, &rest)
        || str_find_char(rest, '.', &(size_t){0}))
        return malformed(e, "token contains an invalid number of segments");
    out->signature = rest;
    out->signed_text = str_of(token.p, out->header.n + 1 + out->payload.n);
    if (!out->header.n || !out->payload.n || !out->signature.n)
        return malformed(e, "a segment is empty");
    return true;
}

static bool read_header(struct str text, struct header *out, struct arena *a, struct err *e)
{
    struct str json = base64_decode_url(a, text);
    if (!json.p)
        return malformed(e, "could not base64 decode header");
    if (!json_read(json, &header_shape, out, a, e))
        return malformed(e, "could not read header");
    if (out->crit.p || (out->b64.p && !str_is(out->b64, "true")))
        return malformed(e, "critical extensions are not supported"); /* RFC 7515 §4.1.11 */
    return true;
}

/*
 * The key comes first and brings its algorithm; what the header calls itself only has to agree.
 * A token of our signer has the very header we write, which needs no reading.
 */
static bool choose_key(const struct jwt_keys *k, struct str header_text, struct arena *a,
                       const struct jwk **out, struct err *e)
{
    struct header h = {0};
    if (str_eq(header_text, buf_view(&k->header))) {
        *out = k->signer;
        return true;
    }
    if (!read_header(header_text, &h, a, e))
        return false;
    const struct jwk *key = find_kid(k, h.kid);
    if (!key)
        key = k->fallback;
    if (!key)
        return err_set(e, 401, "jwt_signature", "token is unverifiable: unknown key");
    if (key->refused || !str_is(h.alg, key->alg->name))
        return err_set(e, 401, "jwt_alg", "signing method is invalid");
    *out = key;
    return true;
}

bool jwt_keys_know(const struct jwt_keys *k, struct str token, struct arena *a)
{
    struct parts p;
    struct header h = {0};
    struct err ignored = {0};
    return split(token, &p, &ignored) && read_header(p.header, &h, a, &ignored)
           && find_kid(k, h.kid);
}

/* NumericDate (RFC 7519 §2): any JSON number of seconds; what is out of range saturates. */
static bool numeric_date(struct str text, int64_t *out_us)
{
    int64_t s;
    if (str_to_i64(text, &s)) {
        if (__builtin_mul_overflow(s, (int64_t)1000000, out_us))
            *out_us = s < 0 ? INT64_MIN : INT64_MAX;
        return true;
    }
    char copy[65], *end;
    if (text.n == 0 || text.n >= sizeof(copy))
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    double us = strtod(copy, &end) * 1e6;
    if (*end || us != us)
        return false;
    if (us >= 9.2e18 || us <= -9.2e18)
        *out_us = us < 0 ? INT64_MIN : INT64_MAX;
    else
        *out_us = (int64_t)us;
    return true;
}

static bool check_dates(const struct dates *d, const struct jwt_check *check, struct err *e)
{
    int64_t exp_us = INT64_MAX, nbf_us = INT64_MIN;
    if ((d->exp.p && !numeric_date(d->exp, &exp_us))
        || (d->nbf.p && !numeric_date(d->nbf, &nbf_us)))
        return malformed(e, "a date is not a number");
    if (!d->exp.p && !check->allow_no_exp)
        return malformed(e, "exp claim is required");
    if (check->now_us >= exp_us) /* RFC 7519 §4.1.4: on or after */
        return err_set(e, 401, "jwt_expired", "token is expired");
    if (check->now_us < nbf_us)
        return err_set(e, 401, "jwt_not_yet", "token is not valid yet");
    return true;
}

static bool read_claims(struct str text, const struct jwt_check *check, struct arena *a,
                        struct str *claims, struct err *e)
{
    struct dates d = {0};
    struct str json = base64_decode_url(a, text);
    if (!json.p)
        return malformed(e, "could not base64 decode claims");
    if (!json_read(json, &dates_shape, &d, a, e))
        return malformed(e, "could not read claims");
    if (!check_dates(&d, check, e))
        return false;
    *claims = json;
    return true;
}

bool jwt_verify(const struct jwt_keys *k, struct str token, const struct jwt_check *check,
                struct arena *a, struct str *claims, struct err *e)
{
    struct parts p;
    const struct jwk *key = NULL;
    if (!split(token, &p, e) || !choose_key(k, p.header, a, &key, e))
        return false;
    struct str signature = base64_decode_url(a, p.signature);
    if (!signature.p)
        return malformed(e, "could not base64 decode signature");
    if (!jws_verify(key, p.signed_text, signature))
        return err_set(e, 401, "jwt_signature", "signature is invalid");
    return read_claims(p.payload, check, a, claims, e);
}

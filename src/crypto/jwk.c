/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/jwk.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/secret.h"
#include "crypto/evp.h"
#include "crypto/jws.h"

enum {
    RSA_BITS_MIN = 2048,    /* RFC 7518 §3.3 */
    RSA_BITS_MAX = 8192,    /* verification time grows with the square */
    NUMBER_TEXT_MAX = 1400, /* base64url of 8192 bits */
    PUBLISHED_MAX = 4096
};

/* clang-format off */
static const struct jwk_alg algs[] = {
    {"HS256", JWK_OCT, "oct", NULL,      evp_sha256, 0},
    {"RS256", JWK_RSA, "RSA", NULL,      evp_sha256, 0},
    {"RS512", JWK_RSA, "RSA", NULL,      evp_sha512, 0},
    {"ES256", JWK_EC,  "EC",  "P-256",   evp_sha256, 32},
    {"ES512", JWK_EC,  "EC",  "P-521",   evp_sha512, 66},
    {"EdDSA", JWK_OKP, "OKP", "Ed25519", NULL,       32},
};
/* clang-format on */

/* The members that are read, first as text, then the numbers decoded in place. */
struct members {
    struct str kty, crv, alg, kid, use, key_ops;
    struct str k, n, e, d, p, q, dp, dq, qi, x, y;
};

static const struct json_field member_fields[] = {
    JSON_FIELD(struct members, kty, JSON_STR, 16, JSON_REQUIRED),
    JSON_FIELD(struct members, crv, JSON_STR, 16, 0),
    JSON_FIELD(struct members, alg, JSON_STR, 16, 0),
    JSON_FIELD(struct members, kid, JSON_STR, JWK_KID_MAX, 0),
    JSON_FIELD(struct members, use, JSON_STR, 16, 0),
    JSON_FIELD(struct members, key_ops, JSON_ARRAY, 256, 0),
    JSON_FIELD(struct members, k, JSON_SECRET, NUMBER_TEXT_MAX, 0),
    JSON_FIELD(struct members, n, JSON_SECRET, NUMBER_TEXT_MAX, 0),
    JSON_FIELD(struct members, e, JSON_SECRET, NUMBER_TEXT_MAX, 0),
    JSON_FIELD(struct members, d, JSON_SECRET, NUMBER_TEXT_MAX, 0),
    JSON_FIELD(struct members, p, JSON_SECRET, NUMBER_TEXT_MAX, 0),
    JSON_FIELD(struct members, q, JSON_SECRET, NUMBER_TEXT_MAX, 0),
    JSON_FIELD(struct members, dp, JSON_SECRET, NUMBER_TEXT_MAX, 0),
    JSON_FIELD(struct members, dq, JSON_SECRET, NUMBER_TEXT_MAX, 0),
    JSON_FIELD(struct members, qi, JSON_SECRET, NUMBER_TEXT_MAX, 0),
    JSON_FIELD(struct members, x, JSON_SECRET, NUMBER_TEXT_MAX, 0),
    JSON_FIELD(struct members, y, JSON_SECRET, NUMBER_TEXT_MAX, 0),
};

static const struct json_shape members_shape = {
    member_fields, sizeof(member_fields) / sizeof(*member_fields), false};

static bool invalid(struct err *e, const char *why)
{
    return evp_fail(e, 500, "jwt_key_invalid", why);
}

/* ---- members to bytes ------------------------------------------------------------------------ */

static bool decode(struct str *s, struct arena *a)
{
    if (!s->p)
        return true;
    struct str bytes = base64_decode_url(a, *s);
    secret_wipe_bytes((char *)(uintptr_t)s->p, s->n); /* json_read's copy, ours alone */
    *s = bytes;
    return bytes.p && bytes.n > 0;
}

static bool decode_all(struct members *m, struct arena *a)
{
    struct str *numbers[] = {&m->k,  &m->n,  &m->e,  &m->d, &m->p, &m->q,
                             &m->dp, &m->dq, &m->qi, &m->x, &m->y};
    bool ok = true;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        ok = decode(numbers[i], a) && ok;
    return ok;
}

static void wipe_all(const struct members *m)
{
    const struct str *secrets[] = {&m->k, &m->d, &m->p, &m->q, &m->dp, &m->dq, &m->qi};
    for (size_t i = 0; i < sizeof(secrets) / sizeof(*secrets); i++)
        secret_wipe_bytes((char *)(uintptr_t)secrets[i]->p, secrets[i]->n); /* decode's copy */
}

/* The row of the key's type; a JWK may leave alg out where only one fits (first row wins). */
static const struct jwk_alg *find_alg(const struct members *m)
{
    for (size_t i = 0; i < sizeof(algs) / sizeof(*algs); i++) {
        const struct jwk_alg *alg = &algs[i];
        if (str_is(m->kty, alg->kty) && (!alg->crv || str_is(m->crv, alg->crv))
            && (!m->alg.p || str_is(m->alg, alg->name)))
            return alg;
    }
    return NULL;
}

/* key_ops is compact JSON, so a quoted word is one of its elements. */
static bool wants_signing(const struct members *m)
{
    size_t at;
    return m->key_ops.p && str_find(m->key_ops, S("\"sign\""), &at);
}

/* ---- bytes to OpenSSL ------------------------------------------------------------------------ */

/* OSSL_PARAM_free wipes only what came from the secure heap. */
static void wipe_params(OSSL_PARAM *params)
{
    for (OSSL_PARAM *p = params; p && p->key; p++)
        secret_wipe_bytes(p->data, p->data_size);
}

/* What EVP_PKEY_fromdata is given; it borrows the numbers until the key is made. */
struct build {
    OSSL_PARAM_BLD *bld;
    BIGNUM *numbers[8];
    size_t count;
    bool failed;
};

static void build_number(struct build *b, const char *name, struct str bytes)
{
    if (!bytes.p || b->failed)
        return;
    BIGNUM *bn = BN_bin2bn((const unsigned char *)bytes.p, (int)bytes.n, NULL);
    b->numbers[b->count++] = bn;
    b->failed = !bn || OSSL_PARAM_BLD_push_BN(b->bld, name, bn) != 1;
}

static void build_point(struct build *b, const char *group, struct str point)
{
    b->failed =
        b->failed
        || OSSL_PARAM_BLD_push_utf8_string(b->bld, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) != 1
        || OSSL_PARAM_BLD_push_octet_string(b->bld, OSSL_PKEY_PARAM_PUB_KEY, point.p, point.n) != 1;
}

static struct build build_start(void)
{
    struct build b = {.bld = OSSL_PARAM_BLD_new()};
    b.failed = !b.bld;
    return b;
}

/* NULL when OpenSSL refuses the numbers. */
static EVP_PKEY *build_finish(struct build *b, const char *type, bool private)
{
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *params = b->failed ? NULL : OSSL_PARAM_BLD_to_param(b->bld);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (params && ctx && EVP_PKEY_fromdata_init(ctx) == 1)
        EVP_PKEY_fromdata(ctx, &pkey, private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params);
    EVP_PKEY_CTX_free(ctx);
    wipe_params(params);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(b->bld);
    for (size_t i = 0; i < b->count; i++)
        BN_clear_free(b->numbers[i]);
    return pkey;
}

static bool pkey_sound(EVP_PKEY *pkey)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    bool ok = ctx && EVP_PKEY_public_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

static bool read_rsa(const struct members *m, struct jwk *k, struct err *e)
{
    if (!m->n.p || !m->e.p)
        return invalid(e, "an RSA key needs n and e");
    int primes = !!m->p.p + !!m->q.p + !!m->dp.p + !!m->dq.p + !!m->qi.p;
    if (k->signs && (!m->d.p || (primes != 0 && primes != 5)))
        return invalid(
            e, "an RSA key that signs needs d, and p, q, dp, dq, qi together or not at all");
    struct build b = build_start();
    build_number(&b, OSSL_PKEY_PARAM_RSA_N, m->n);
    build_number(&b, OSSL_PKEY_PARAM_RSA_E, m->e);
    if (k->signs) {
        build_number(&b, OSSL_PKEY_PARAM_RSA_D, m->d);
        build_number(&b, OSSL_PKEY_PARAM_RSA_FACTOR1, m->p);
        build_number(&b, OSSL_PKEY_PARAM_RSA_FACTOR2, m->q);
        build_number(&b, OSSL_PKEY_PARAM_RSA_EXPONENT1, m->dp);
        build_number(&b, OSSL_PKEY_PARAM_RSA_EXPONENT2, m->dq);
        build_number(&b, OSSL_PKEY_PARAM_RSA_COEFFICIENT1, m->qi);
    }
    k->pkey = build_finish(&b, "RSA", k->signs);
    int bits = k->pkey ? EVP_PKEY_get_bits(k->pkey) : 0;
    if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
        return invalid(e, "an RSA key must have 2048 to 8192 bits");
    return pkey_sound(k->pkey) || invalid(e, "the RSA key is not sound");
}

static bool read_ec(const struct members *m, struct jwk *k, struct err *e)
{
    size_t n = k->alg->field_bytes;
    unsigned char point[1 + 2 * 66] = {0x04}; /* uncompressed, SEC 1 §2.3.3 */
    if (m->x.n != n || m->y.n != n || (k->signs && m->d.n != n))
        return invalid(e,
                       "an EC key needs x and y, to sign also d, each of the curve's full length");
    memcpy(point + 1, m->x.p, n);
    memcpy(point + 1 + n, m->y.p, n);
    struct build b = build_start();
    build_point(&b, k->alg->crv, str_of((const char *)point, 1 + 2 * n));
    if (k->signs)
        build_number(&b, OSSL_PKEY_PARAM_PRIV_KEY, m->d);
    k->pkey = build_finish(&b, "EC", k->signs);
    return (k->pkey && pkey_sound(k->pkey)) || invalid(e, "the EC key is not a point of its curve");
}

static bool read_okp(const struct members *m, struct jwk *k, struct err *e)
{
    size_t n = k->alg->field_bytes;
    if (m->x.n != n || (k->signs && m->d.n != n))
        return invalid(e, "an Ed25519 key needs x, to sign also d, of 32 bytes each");
    const unsigned char *x = (const unsigned char *)m->x.p, *d = (const unsigned char *)m->d.p;
    k->pkey = k->signs ? EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, d, n)
                       : EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, x, n);
    unsigned char derived[32]; /* OpenSSL computes it from d */
    size_t derived_n = sizeof(derived);
    if (!k->pkey || EVP_PKEY_get_raw_public_key(k->pkey, derived, &derived_n) != 1
        || memcmp(derived, x, n) != 0)
        return invalid(e, "the Ed25519 key's x does not belong to its d");
    return true;
}

static bool read_oct(const struct members *m, struct jwk *k, struct err *e)
{
    if (m->k.n < JWK_SECRET_MIN)
        return invalid(e, "a symmetric key needs k of at least 32 bytes");
    k->mac = hmac_key_new(m->k);
    return true;
}

static bool read_numbers(const struct members *m, struct jwk *k, struct err *e)
{
    switch (k->alg->kind) {
    case JWK_RSA:
        return read_rsa(m, k, e);
    case JWK_EC:
        return read_ec(m, k, e);
    case JWK_OKP:
        return read_okp(m, k, e);
    case JWK_OCT:
        return read_oct(m, k, e);
    }
    return false;
}

/* ---- the public form ------------------------------------------------------------------------- */

static void put_number(struct buf *b, const char *name, struct str bytes)
{
    json_put_key(b, name);
    buf_char(b, '"');
    base64_put_url(b, bytes);
    buf_char(b, '"');
}

/* Base64urlUInt has no leading zero bytes (RFC 7518 §2). */
static struct str without_zeros(struct str bytes)
{
    while (bytes.n > 1 && bytes.p[0] == 0)
        bytes = str_from_at(bytes, 1);
    return bytes;
}

static void publish(const struct members *m, const struct jwk *k, struct buf *b)
{
    json_put_open(b, '{');
    json_put_kstr(b, "kty", str_from(k->alg->kty));
    json_put_kstr(b, "kid", k->kid);
    json_put_kstr(b, "alg", str_from(k->alg->name));
    json_put_kstr(b, "use", S("sig"));
    json_put_kraw(b, "key_ops", S("[\"verify\"]"));
    if (k->alg->kind == JWK_RSA) {
        put_number(b, "n", without_zeros(m->n));
        put_number(b, "e", without_zeros(m->e));
    } else {
        json_put_kstr(b, "crv", str_from(k->alg->crv));
        put_number(b, "x", m->x);
        if (k->alg->kind == JWK_EC)
            put_number(b, "y", m->y);
    }
    json_put_close(b, '}');
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool set_kid(struct jwk *k, struct str kid, struct err *e)
{
    if (kid.n == 0)
        return true;
    if (kid.n > JWK_KID_MAX)
        return invalid(e, "a key's kid may have 256 bytes at most");
    char *copy = malloc(kid.n);
    BUG(!copy);
    memcpy(copy, kid.p, kid.n);
    k->kid = str_of(copy, kid.n);
    return true;
}

/* A private part that does not belong to the public one would make tokens that nobody accepts. */
static bool pair_matches(const struct jwk *k, struct err *e)
{
    unsigned char sig[JWS_SIGNATURE_MAX];
    size_t n;
    if (!k->signs)
        return true;
    if (!jws_sign(k, S("probe"), sig, &n, e))
        return invalid(e, "the key cannot sign");
    return jws_verify(k, S("probe"), str_of((const char *)sig, n))
           || invalid(e, "the key's private part does not belong to its public part");
}

static bool read_members(struct members *m, struct arena *a, struct jwk *k, struct err *e)
{
    k->alg = find_alg(m);
    if (!k->alg)
        return invalid(
            e, "kty, crv and alg must name one of HS256, RS256, RS512, ES256, ES512, EdDSA");
    if (m->use.p && !str_is(m->use, "sig"))
        return invalid(e, "use must be sig");
    if (m->kid.n == 0)
        return invalid(e, "every key of a set needs a kid");
    k->signs = wants_signing(m);
    if (!decode_all(m, a))
        return invalid(e, "a number of the key is not base64url");
    if (!set_kid(k, m->kid, e) || !read_numbers(m, k, e) || !pair_matches(k, e))
        return false;
    if (k->alg->kind != JWK_OCT)
        publish(m, k, &k->published);
    return !k->published.failed || invalid(e, "the key is too large");
}

bool jwk_read(struct str json, struct jwk *out, struct err *e)
{
    struct arena a;
    struct members m = {0};
    struct jwk k = {0};
    arena_init(&a, 64 * 1024); /* twice the largest key's members */
    buf_init(&k.published, PUBLISHED_MAX);
    bool ok = json_read(json, &members_shape, &m, &a, e);
    if (!ok)
        e->status = 500, e->code = "jwt_key_invalid";
    else
        ok = read_members(&m, &a, &k, e);
    wipe_all(&m);
    arena_close(&a);
    if (!ok) {
        jwk_close(&k);
        return false;
    }
    *out = k;
    return true;
}

bool jwk_from_secret(struct str secret, struct str kid, struct jwk *out, struct err *e)
{
    struct jwk k = {.alg = &algs[0], .signs = true};
    if (secret.n < JWK_SECRET_MIN)
        return invalid(e, "the JWT secret must have at least 32 bytes");
    buf_init(&k.published, PUBLISHED_MAX);
    if (!set_kid(&k, kid, e))
        return false;
    k.mac = hmac_key_new(secret);
    *out = k;
    return true;
}

void jwk_close(struct jwk *k)
{
    free((char *)(uintptr_t)k->kid.p);
    hmac_key_free(k->mac);
    EVP_PKEY_free(k->pkey);
    buf_free(&k->published);
    *k = (struct jwk){0};
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of jwt.c share: key sets, tokens with any header and payload that are rightly
 * signed, and what a set says to them. Included after jwt.c, whose statics it uses.
 */
#ifndef CRYPTO_JWT_FORGE_H
#define CRYPTO_JWT_FORGE_H

#include <openssl/err.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "crypto/jwk_vectors.h"

#define SECRET "a secret of tests, 32 bytes long"
#define NOW_S  1700000000LL
#define EXP    "\"exp\":1700003600"
#define HS256  "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

static const struct jwt_check now = {.now_us = NOW_S * 1000000, .allow_no_exp = false};
static const struct jwt_check lenient = {.now_us = NOW_S * 1000000, .allow_no_exp = true};

static struct jwt_keys *secret_keys(void)
{
    struct jwt_keys *k = NULL;
    struct err e = {0};
    assert_true(jwt_keys_from_secret(S(SECRET), (struct str){0}, &k, &e));
    return k;
}

#define SET                                                      \
    "[{" P256_PARTS ",\"kid\":\"ec\",\"key_ops\":[\"sign\"]},"   \
    "{" RSA_PUBLIC ",\"kid\":\"rsa\",\"key_ops\":[\"verify\"]}," \
    "{" OKP_PUBLIC ",\"kid\":\"ed\",\"key_ops\":[\"verify\"]},"  \
    "{" OCT_PARTS ",\"kid\":\"oct\",\"key_ops\":[\"verify\"]}]"

static struct jwt_keys *set_keys(struct str fallback)
{
    struct jwt_keys *k = NULL;
    struct err e = {0};
    if (!jwt_keys_from_jwks(S(SET), fallback, &k, &e))
        fail_msg("%s", e.message);
    return k;
}

static struct jwk key_of(const char *json)
{
    struct jwk k;
    struct err e = {0};
    assert_true(jwk_read(str_from(json), &k, &e));
    return k;
}

static struct jwk secret_key(struct str secret)
{
    struct jwk k;
    struct err e = {0};
    assert_true(jwk_from_secret(secret, (struct str){0}, &k, &e));
    return k;
}

/* A token with any header and payload, rightly signed by key. */
static struct buf forge(const struct jwk *key, struct str header, struct str payload)
{
    struct buf b;
    unsigned char sig[JWS_SIGNATURE_MAX];
    size_t n;
    struct err e = {0};
    buf_init(&b, 1 << 20);
    base64_put_url(&b, header);
    buf_char(&b, '.');
    base64_put_url(&b, payload);
    assert_true(jws_sign(key, buf_view(&b), sig, &n, &e));
    buf_char(&b, '.');
    base64_put_url(&b, str_of((char *)sig, n));
    assert_false(b.failed);
    return b;
}

/* "" when the token is good, else the error's code. */
static const char *outcome_at(const struct jwt_keys *k, struct str token,
                              const struct jwt_check *check)
{
    static char claims_untouched[1];
    struct err e = {0};
    struct arena a;
    arena_init(&a, 256 * 1024);
    struct str claims = {claims_untouched, 0};
    /* In a block of its own, so that a sanitizer sees one byte too many. */
    char *copy = malloc(token.n ? token.n : 1);
    assert_non_null(copy);
    if (token.n)
        memcpy(copy, token.p, token.n);
    bool ok = jwt_verify(k, str_of(copy, token.n), check, &a, &claims, &e);
    free(copy);
    assert_int_equal(ok, e.status == 0);
    assert_true(ok || (e.status == 401 && e.message[0] && claims.p == claims_untouched));
    if (ok)
        assert_true(claims.n > 0 && claims.p[0] != '\0' && json_valid(claims, &e));
    assert_int_equal(ERR_peek_error(), 0);
    arena_close(&a);
    return ok ? "" : e.code;
}

static const char *outcome(const struct jwt_keys *k, struct str token)
{
    return outcome_at(k, token, &now);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "jwk.c"

#include <openssl/err.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "crypto/jwk_vectors.h"

static const struct {
    const char *json, *alg;
    bool signs;
} known[] = {
    {SIGNING(OCT_PARTS), "HS256", true},
    {CHECKING(OCT_PARTS ",\"alg\":\"HS256\""), "HS256", false},
    {SIGNING(RSA_PARTS), "RS256", true},
    {SIGNING(RSA_PARTS ",\"alg\":\"RS512\""), "RS512", true},
    {SIGNING(RSA_PUBLIC "," RSA_D), "RS256", true},
    {CHECKING(RSA_PUBLIC), "RS256", false},
    {SIGNING(P256_PARTS ",\"alg\":\"ES256\""), "ES256", true},
    {CHECKING(P521_PUBLIC), "ES512", false},
    {SIGNING(OKP_PARTS ",\"use\":\"sig\""), "EdDSA", true},
    {CHECKING(OKP_PUBLIC), "EdDSA", false},
    {"{" OKP_PUBLIC ",\"kid\":\"no key_ops\"}", "EdDSA", false},
    {"{" OKP_PARTS ",\"kid\":\"both\",\"key_ops\":[\"sign\",\"verify\"]}", "EdDSA", true},
};

static void test_known_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        struct jwk k;
        struct err e = {0};
        if (!jwk_read(str_from(known[i].json), &k, &e))
            fail_msg("%s: %s", known[i].json, e.message);
        assert_string_equal(k.alg->name, known[i].alg);
        assert_int_equal(k.signs, known[i].signs);
        assert_int_equal(k.published.n == 0, k.alg->kind == JWK_OCT);
        jwk_close(&k);
        jwk_close(&k); /* a closed key may be closed again */
    }
}

/* clang-format off */
static const char *const refused[] = {
    "", "null", "[]", "\"x\"", "{", "{}",
    "{\"kty\":\"oct\"}",
    "{\"kty\":\"oct\",\"k\":7,\"kid\":\"x\"}",
    CHECKING("\"kty\":\"oct\",\"k\":\"c2hvcnQ\""),                                     /* under 32 bytes */
    CHECKING("\"kty\":\"oct\",\"k\":\"not base64url!\""),
    CHECKING("\"kty\":\"oct\",\"k\":\"\""),
    "{" OCT_PARTS "}",                                                                /* no kid */
    "{" OCT_PARTS ",\"kid\":\"\"}",
    "{" OCT_PARTS ",\"kid\":5}",
    CHECKING(OCT_PARTS ",\"alg\":\"none\""),
    CHECKING(OCT_PARTS ",\"alg\":\"HS512\""),
    CHECKING(OCT_PARTS ",\"alg\":\"RS256\""),
    CHECKING(OCT_PARTS ",\"use\":\"enc\""),
    CHECKING(OCT_PARTS ",\"kty\":\"oct\""),                                            /* member twice */
    CHECKING(RSA_PUBLIC ",\"alg\":\"HS256\""),
    CHECKING(RSA_PUBLIC ",\"alg\":\"PS256\""),
    CHECKING("\"kty\":\"RSA\",\"n\":\"" RSA_N "\""),
    CHECKING("\"kty\":\"RSA\",\"e\":\"AQAB\""),
    CHECKING("\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\""),                         /* 17 bits */
    CHECKING("\"kty\":\"RSA\",\"n\":\"zSq-xOurOlx7c_TJg_D-YtUX-G4iLa7Ktt4ud5aULAvTQrootPRoelKlECEeOJCEfaA92P1soLw8Mbp56-f98Yb7o_zR-jnFimQjrnq22H2NFeeC2V-dGA0x-z4CnUA30gZDmAAORFDnRXEH_GdmjuAWQlehD1m1lYEYbbvz-JU\",\"e\":\"AQAB\""), /* 1024 bits */
    CHECKING("\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQ\""),                      /* exponent 1: anything verifies */
    CHECKING("\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"Ag\""),                      /* exponent 2 */
    SIGNING(RSA_PUBLIC),
    SIGNING(RSA_PUBLIC "," RSA_D ",\"p\":\"AQAB\""),                                   /* one prime alone */
    SIGNING(RSA_PUBLIC ",\"d\":\"AQAB\""),                                             /* foreign d */
    CHECKING("\"kty\":\"EC\",\"crv\":\"P-384\"," P256_XY),
    CHECKING("\"kty\":\"EC\",\"crv\":\"secp256k1\"," P256_XY),
    CHECKING("\"kty\":\"EC\"," P256_XY),
    CHECKING("\"kty\":\"EC\",\"crv\":\"P-521\"," P256_XY),                             /* short coordinates */
    CHECKING(P256_PUBLIC ",\"alg\":\"ES512\""),
    CHECKING("\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\""),
    CHECKING("\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\""), /* off the curve */
    CHECKING("\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""),
    SIGNING(P256_PUBLIC),
    SIGNING(P256_PUBLIC ",\"d\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\""),      /* foreign d */
    SIGNING(P256_PUBLIC ",\"d\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""),
    SIGNING(OKP_PUBLIC),
    SIGNING(OKP_PUBLIC ",\"d\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""),       /* foreign d */
    CHECKING("\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\""),
    CHECKING("\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" OKP_X "\""),
    CHECKING("\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"" OKP_X "\""),
};
/* clang-format on */

static void test_refused_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        struct jwk k;
        struct err e = {0};
        memset(&k, 0x5a, sizeof(k));
        if (jwk_read(str_from(refused[i]), &k, &e))
            fail_msg("accepted: %s", refused[i]);
        assert_int_equal(e.status, 500);
        assert_string_equal(e.code, "jwt_key_invalid");
        assert_true(e.message[0]);
        assert_int_equal(((unsigned char *)&k)[0], 0x5a); /* untouched */
        assert_int_equal(ERR_peek_error(), 0);
    }
}

static void test_long_kid(void **state)
{
    (void)state;
    char json[1024], kid[JWK_KID_MAX + 2];
    struct jwk k;
    struct err e = {0};
    memset(kid, 'k', sizeof(kid));
    kid[JWK_KID_MAX] = '\0';
    snprintf(json, sizeof(json), "{" OKP_PUBLIC ",\"kid\":\"%s\"}", kid);
    assert_true(jwk_read(str_from(json), &k, &e));
    jwk_close(&k);
    kid[JWK_KID_MAX] = 'k';
    kid[JWK_KID_MAX + 1] = '\0';
    snprintf(json, sizeof(json), "{" OKP_PUBLIC ",\"kid\":\"%s\"}", kid);
    assert_false(jwk_read(str_from(json), &k, &e));
    assert_false(jwk_from_secret(S("0123456789abcdef0123456789abcdef"), str_from(kid), &k, &e));
}

/* RFC 7518 §2 wants minimal integers; some writers put a sign byte in front. */
static void test_published_form(void **state)
{
    (void)state;
    static const struct {
        const char *json, *published;
    } cases[] = {
        {CHECKING("\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AAEAAQ\""),
         "{\"kty\":\"RSA\",\"kid\":\"v1\",\"alg\":\"RS256\",\"use\":\"sig\",\"key_ops\":[\"verify\"],"
         "\"n\":\"" RSA_N "\",\"e\":\"AQAB\"}"},
        {SIGNING(P256_PARTS),
         "{\"kty\":\"EC\",\"kid\":\"s1\",\"alg\":\"ES256\",\"use\":\"sig\",\"key_ops\":[\"verify\"],"
         "\"crv\":\"P-256\"," P256_XY "}"},
        {SIGNING(OKP_PARTS),
         "{\"kty\":\"OKP\",\"kid\":\"s1\",\"alg\":\"EdDSA\",\"use\":\"sig\",\"key_ops\":[\"verify\"],"
         "\"crv\":\"Ed25519\",\"x\":\"" OKP_X "\"}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct jwk k;
        struct err e = {0};
        assert_true(jwk_read(str_from(cases[i].json), &k, &e));
        assert_true(str_is(buf_view(&k.published), cases[i].published));
        jwk_close(&k);
    }
}

static void test_secret_length(void **state)
{
    (void)state;
    struct jwk k;
    struct err e = {0};
    struct str none = {0};
    assert_false(jwk_from_secret(S("0123456789abcdef0123456789abcde"), none, &k, &e));
    assert_string_equal(e.code, "jwt_key_invalid");
    assert_true(jwk_from_secret(S("0123456789abcdef0123456789abcdef"), none, &k, &e));
    assert_null(k.kid.p);
    jwk_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_forms),   cmocka_unit_test(test_refused_forms),
        cmocka_unit_test(test_long_kid),      cmocka_unit_test(test_published_form),
        cmocka_unit_test(test_secret_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

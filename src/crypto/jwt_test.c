/* SPDX-License-Identifier: Apache-2.0 */
#include "jwt.c"

#include <openssl/ec.h>
#include <pthread.h>
#include <stdio.h>

#include "crypto/jwt_forge.h"

/* ---- good tokens ----------------------------------------------------------------------------- */

static void test_sign_and_verify(void **state)
{
    (void)state;
    const struct str text = S("{\"sub\":\"1\"," EXP ",\"role\":\"authenticated\"}");
    struct jwt_keys *sets[] = {secret_keys(), set_keys((struct str){0}), set_keys(S(SECRET))};
    for (size_t i = 0; i < 3; i++) {
        struct buf b;
        struct err e = {0};
        struct arena a;
        struct str claims;
        arena_init(&a, 65536);
        buf_init(&b, 65536);
        buf_str(&b, S("before:"));
        assert_true(jwt_sign(sets[i], text, &b, &e));
        assert_true(str_starts(buf_view(&b), S("before:")));
        assert_true(jwt_verify(sets[i], str_from_at(buf_view(&b), 7), &now, &a, &claims, &e));
        assert_true(str_eq(claims, text));
        buf_free(&b);
        arena_close(&a);
        jwt_keys_free(sets[i]);
    }
}

/* RFC 7519 §3.1 (the same token as RFC 7515 A.1): white space in header and claims. */
static void test_rfc7519_example(void **state)
{
    (void)state;
    const struct jwt_check then = {.now_us = 1300819379LL * 1000000};
    const struct jwt_check late = {.now_us = 1300819380LL * 1000000};
    struct arena a;
    struct err e = {0};
    struct jwt_keys *k = NULL;
    arena_init(&a, 4096);
    struct str secret = base64_decode_url(
        &a,
        S("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"));
    assert_true(jwt_keys_from_secret(secret, (struct str){0}, &k, &e));
    assert_string_equal(outcome_at(k, S(A1_INPUT "." A1_SIGNATURE), &then), "");
    assert_string_equal(outcome_at(k, S(A1_INPUT "." A1_SIGNATURE), &late), "jwt_expired");
    jwt_keys_free(k);
    arena_close(&a);
}

static void test_header_is_gotrues(void **state)
{
    (void)state;
    struct jwt_keys *k = secret_keys(), *named = NULL;
    struct err e = {0};
    struct buf b;
    buf_init(&b, 4096);
    assert_true(jwt_sign(k, S("{}"), &b, &e));
    assert_true(str_starts(buf_view(&b), S("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.")));
    assert_true(jwt_keys_from_secret(S(SECRET), S("a\"<kid>"), &named, &e));
    buf_reset(&b);
    assert_true(jwt_sign(named, S("{" EXP "}"), &b, &e));
    struct arena a;
    struct str head, rest;
    arena_init(&a, 4096);
    str_cut(buf_view(&b), '.', &head, &rest);
    assert_true(str_is(base64_decode_url(&a, head),
                       "{\"alg\":\"HS256\",\"kid\":\"a\\\"\\u003ckid\\u003e\",\"typ\":\"JWT\"}"));
    assert_string_equal(outcome(named, buf_view(&b)), "");
    buf_free(&b);
    arena_close(&a);
    jwt_keys_free(k);
    jwt_keys_free(named);
}

/* Another writer's order of header members must do as well as ours. */
static void test_each_key_by_its_kid(void **state)
{
    (void)state;
    struct jwt_keys *k = set_keys(S(SECRET));
    static const struct {
        const char *key, *header;
    } cases[] = {
        {SIGNING(P256_PARTS), "{\"typ\":\"JWT\",\"kid\":\"ec\",\"alg\":\"ES256\"}"},
        {SIGNING(RSA_PARTS), "{\"alg\":\"RS256\",\"kid\":\"rsa\"}"},
        {SIGNING(OKP_PARTS), "{ \"alg\" : \"EdDSA\" ,\n\"kid\":\"\\u0065d\" }"},
        {SIGNING(OCT_PARTS), "{\"alg\":\"HS256\",\"kid\":\"oct\"}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct jwk key = key_of(cases[i].key);
        struct buf token = forge(&key, str_from(cases[i].header), S("{" EXP "}"));
        assert_string_equal(outcome(k, buf_view(&token)), "");
        buf_free(&token);
        jwk_close(&key);
    }
    jwt_keys_free(k);
}

static void test_fallback_secret(void **state)
{
    (void)state;
    struct jwt_keys *with = set_keys(S(SECRET)), *without = set_keys((struct str){0});
    static const char *const headers[] = {HS256, "{\"alg\":\"HS256\",\"kid\":\"unknown\"}",
                                          "{\"alg\":\"HS256\",\"kid\":null}",
                                          "{\"alg\":\"HS256\",\"kid\":\"\"}"};
    struct jwk key = secret_key(S(SECRET));
    for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
        struct buf token = forge(&key, str_from(headers[i]), S("{" EXP "}"));
        assert_string_equal(outcome(with, buf_view(&token)), "");
        assert_string_equal(outcome(without, buf_view(&token)), "jwt_signature");
        buf_free(&token);
    }
    /* the fallback is for tokens without a known kid only */
    struct buf token = forge(&key, S("{\"alg\":\"HS256\",\"kid\":\"oct\"}"), S("{" EXP "}"));
    assert_string_equal(outcome(with, buf_view(&token)), "jwt_signature");
    buf_free(&token);
    jwk_close(&key);
    jwt_keys_free(with);
    jwt_keys_free(without);
}

/* ---- the form ------------------------------------------------------------------------------ */

static void test_segments(void **state)
{
    (void)state;
    static const char *const tokens[] = {
        "",       ".",      "..",    "...",          "a",
        "a.b",    "a.b.",   ".b.c",  "a..c",         "a.b.c.d",
        "a.b.c.", ".a.b.c", "a.b.c", "Bearer a.b.c", "{\"payload\":\"\",\"signatures\":[]}"};
    struct jwt_keys *k = secret_keys();
    for (size_t i = 0; i < sizeof(tokens) / sizeof(*tokens); i++)
        assert_string_equal(outcome(k, str_from(tokens[i])), "jwt_malformed");
    assert_string_equal(outcome(k, (struct str){NULL, 0}), "jwt_malformed");
    jwt_keys_free(k);
}

/* One foreign byte put in, or put in the place of another, anywhere: never accepted. */
static void test_foreign_bytes(void **state)
{
    (void)state;
    static const char foreign[] = " \t\r\n=+/%.\0\x80\xff";
    struct jwt_keys *k = secret_keys();
    struct err e = {0};
    struct buf b, bad;
    buf_init(&b, 4096);
    buf_init(&bad, 4096);
    assert_true(jwt_sign(k, S("{" EXP "}"), &b, &e));
    for (size_t at = 0; at <= b.n; at++) {
        for (size_t i = 0; i < sizeof(foreign) - 1; i++) {
            for (size_t over = 0; over < 2 && at + over <= b.n; over++) {
                if (over && b.p[at] == foreign[i])
                    continue;
                buf_reset(&bad);
                buf_add(&bad, b.p, at);
                buf_char(&bad, foreign[i]);
                buf_add(&bad, b.p + at + over, b.n - at - over);
                assert_string_not_equal(outcome(k, buf_view(&bad)), "");
            }
        }
    }
    buf_free(&b);
    buf_free(&bad);
    jwt_keys_free(k);
}

/* Every other last character of the signature, those that carry the same bits included. */
static void test_not_malleable(void **state)
{
    (void)state;
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    struct jwt_keys *sets[] = {secret_keys(), set_keys((struct str){0})};
    for (size_t s = 0; s < 2; s++) {
        struct err e = {0};
        struct buf b;
        buf_init(&b, 4096);
        assert_true(jwt_sign(sets[s], S("{" EXP "}"), &b, &e));
        char last = b.p[b.n - 1];
        for (size_t i = 0; i < 64; i++) {
            b.p[b.n - 1] = alphabet[i];
            assert_int_equal(outcome(sets[s], buf_view(&b))[0] == '\0', alphabet[i] == last);
        }
        buf_free(&b);
        jwt_keys_free(sets[s]);
    }
}

static void test_each_prefix(void **state)
{
    (void)state;
    struct jwt_keys *k = set_keys(S(SECRET));
    struct err e = {0};
    struct buf b;
    buf_init(&b, 4096);
    assert_true(jwt_sign(k, S("{" EXP "}"), &b, &e));
    for (size_t n = 0; n < b.n; n++)
        assert_string_not_equal(outcome(k, str_of(b.p, n)), "");
    assert_string_equal(outcome(k, buf_view(&b)), "");
    buf_free(&b);
    jwt_keys_free(k);
}

static void test_size(void **state)
{
    (void)state;
    static char text[65536];
    struct jwt_keys *k = secret_keys();
    memset(text, 'A', sizeof(text));
    assert_string_equal(outcome(k, str_of(text, sizeof(text))), "jwt_malformed");
    text[30000] = text[60000] = '.';
    assert_string_equal(outcome(k, str_of(text, sizeof(text))), "jwt_malformed");
    memset(text, '.', sizeof(text));
    assert_string_equal(outcome(k, str_of(text, sizeof(text))), "jwt_malformed");

    /* what is signed is never too large to be verified */
    struct err e = {0};
    struct buf b;
    buf_init(&b, 1 << 20);
    size_t fits = 0;
    for (size_t n = 12100; n < 12300; n++) {
        memset(text, 'x', n);
        int head = snprintf(text, 64, "{" EXP ",\"x\":\"");
        text[head] = 'x';
        memcpy(text + n - 2, "\"}", 2);
        buf_reset(&b);
        buf_str(&b, S("kept"));
        e = (struct err){0};
        bool made = jwt_sign(k, str_of(text, n), &b, &e);
        if (made)
            assert_string_equal(outcome(k, str_from_at(buf_view(&b), 4)), "");
        else
            assert_string_equal(e.code, "jwt_too_large");
        assert_true(made || (str_is(buf_view(&b), "kept") && !b.failed));
        fits = made ? n : fits;
    }
    assert_true(fits > 12100 && fits < 12299);
    buf_free(&b);

    buf_init(&b, 40); /* the caller's bound */
    assert_false(jwt_sign(k, S("{" EXP "}"), &b, &e));
    assert_string_equal(e.code, "jwt_too_large");
    buf_free(&b);
    jwt_keys_free(k);
}

static void test_small_arena_is_an_error(void **state)
{
    (void)state;
    struct jwt_keys *k = secret_keys();
    struct err e = {0};
    struct buf b;
    buf_init(&b, 4096);
    assert_true(jwt_sign(k, S("{" EXP "}"), &b, &e));
    for (size_t budget = 0; budget < 200; budget++) {
        struct arena a;
        struct str claims = {0};
        e = (struct err){0};
        arena_init(&a, budget);
        bool ok = jwt_verify(k, buf_view(&b), &now, &a, &claims, &e);
        assert_int_equal(ok, claims.p != NULL);
        assert_int_equal(ok, e.status == 0);
        arena_close(&a);
    }
    buf_free(&b);
    jwt_keys_free(k);
}

/* Signatures of other forms and lengths. */
static void test_ecdsa_forms(void **state)
{
    (void)state;
    struct jwt_keys *k = set_keys(S(SECRET));
    struct arena a;
    struct err e = {0};
    struct buf b;
    arena_init(&a, 65536);
    buf_init(&b, 4096);
    assert_true(jwt_sign(k, S("{" EXP "}"), &b, &e));
    struct parts p = {0};
    assert_true(split(buf_view(&b), &p, &e));
    struct str raw = base64_decode_url(&a, p.signature);
    assert_int_equal(raw.n, 64);

    unsigned char der[80], longer[68] = {0};
    ECDSA_SIG *sig = ECDSA_SIG_new();
    unsigned char *end = der;
    ECDSA_SIG_set0(sig, BN_bin2bn((const unsigned char *)raw.p, 32, NULL),
                   BN_bin2bn((const unsigned char *)raw.p + 32, 32, NULL));
    size_t der_n = (size_t)i2d_ECDSA_SIG(sig, &end);
    ECDSA_SIG_free(sig);
    memcpy(longer + 1, raw.p, 32); /* 33-byte integers with a zero in front */
    memcpy(longer + 34, raw.p + 32, 32);
    const struct str forms[] = {
        str_of((char *)der, der_n), str_of(raw.p, 63),          str_of(raw.p, 32),
        str_of((char *)longer, 66), str_of((char *)longer, 65),
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        struct buf bad;
        buf_init(&bad, 4096);
        buf_str(&bad, p.signed_text);
        buf_char(&bad, '.');
        base64_put_url(&bad, forms[i]);
        assert_string_equal(outcome(k, buf_view(&bad)), "jwt_signature");
        buf_free(&bad);
    }
    buf_free(&b);
    arena_close(&a);
    jwt_keys_free(k);
}

/* ---- key sets -------------------------------------------------------------------------------- */

#define A_SIGNER "{" OKP_PARTS ",\"kid\":\"a\",\"key_ops\":[\"sign\"]}"

static void test_sets_refused(void **state)
{
    (void)state;
    static const char *const sets[] = {
        "",
        "[",
        "[]",
        " [ ] ",
        "{}",
        "null",
        "\"[]\"",
        "[null]",
        "[[]]",
        "[" A_SIGNER "] x",
        "[" A_SIGNER ",]",
        "{\"keys\":[" A_SIGNER "]}",
        "[{" OKP_PARTS ",\"kid\":\"a\",\"key_ops\":[\"verify\"]}]",             /* nobody signs */
        "[" A_SIGNER ",{" P256_PARTS ",\"kid\":\"b\",\"key_ops\":[\"sign\"]}]", /* two sign */
        "[" A_SIGNER ",{" P256_PUBLIC ",\"kid\":\"a\"}]", /* one name, two keys */
        "[" A_SIGNER ",{" P256_PUBLIC "}]",               /* a nameless one */
    };
    for (size_t i = 0; i < sizeof(sets) / sizeof(*sets); i++) {
        struct jwt_keys *k = NULL;
        struct err e = {0};
        if (jwt_keys_from_jwks(str_from(sets[i]), S(SECRET), &k, &e))
            fail_msg("accepted: %s", sets[i]);
        assert_null(k);
        assert_int_equal(e.status, 500);
        assert_string_equal(e.code, "jwt_key_invalid");
    }
    struct jwt_keys *k = NULL;
    struct err e = {0};
    assert_false(jwt_keys_from_jwks(S("[" A_SIGNER "]"), S("short"), &k, &e));
    assert_false(jwt_keys_from_secret(S("short"), (struct str){0}, &k, &e));
    assert_null(k);
    jwt_keys_free(NULL);
}

static void test_set_with_white_space(void **state)
{
    (void)state;
    struct jwt_keys *k = NULL;
    struct err e = {0};
    const struct str text =
        S("\r\n [\n\t" A_SIGNER " ,\n{" P256_PUBLIC ",\"kid\":\"]}\\\"[{,\"}\n ]\n");
    assert_true(jwt_keys_from_jwks(text, (struct str){0}, &k, &e));
    assert_int_equal(k->count, 2);
    assert_true(str_is(k->keys[1].kid, "]}\"[{,"));
    jwt_keys_free(k);
}

static void test_too_many_keys(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_str(&b, S("[" A_SIGNER));
    for (int i = 0; i < KEYS_MAX; i++)
        buf_printf(&b, ",{" OCT_PARTS ",\"kid\":\"k%d\"}", i);
    buf_char(&b, ']');
    struct jwt_keys *k = NULL;
    struct err e = {0};
    assert_false(jwt_keys_from_jwks(buf_view(&b), (struct str){0}, &k, &e));
    assert_string_equal(e.code, "jwt_key_invalid");
    buf_free(&b);
}

/* Another issuer's: what signs, what is secret and what is not for signatures does not count. */
static void test_foreign_sets(void **state)
{
    (void)state;
    struct jwt_keys *k;
    struct err e = {0};
    struct arena a;
    arena_init(&a, SIZE_MAX);
    static const char *const none[] = {
        "", "[]", "{}", "{\"keys\":[]}", "{\"keys\":{}}", "{\"keys\":[1,null]}",
        "{\"keys\":[{" RSA_PUBLIC "}]}", /* without a name */
        "{\"keys\":[{" RSA_PUBLIC ",\"kid\":\"a\",\"use\":\"enc\"}]}",
        "{\"keys\":[{" RSA_PARTS ",\"kid\":\"a\",\"key_ops\":[\"sign\"]}]}",
        "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}",
        "{\"keys\":[{" RSA_PUBLIC ",\"kid\":\"a\",\"alg\":\"PS256\"}]}",
    };
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
        assert_false(jwt_keys_from_foreign(str_from(none[i]), &k, &e));
        assert_string_equal(e.code, "jwt_keys_foreign");
        err_clear(&e);
    }
    assert_true(jwt_keys_from_foreign(S("{\"keys\":[{\"kty\":\"XYZ\",\"kid\":\"x\"}, {" RSA_PUBLIC
                                        ",\"kid\":\"a\",\"use\":\"sig\"}, {" RSA_PUBLIC ",\"kid\":\"a\"}]}"),
                                      &k, &e));
    assert_int_equal(k->count, 1);
    assert_null(k->signer);
    assert_true(jwt_keys_know(k, S("eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.e30.AA"), &a));
    assert_false(jwt_keys_know(k, S("eyJhbGciOiJSUzI1NiIsImtpZCI6ImIifQ.e30.AA"), &a));
    assert_false(jwt_keys_know(k, S("eyJhbGciOiJSUzI1NiJ9.e30.AA"), &a));
    assert_false(jwt_keys_know(k, S("nonsense"), &a));
    jwt_keys_free(k);
    arena_close(&a);
}

static void test_publish(void **state)
{
    (void)state;
    struct buf b;
    struct jwt_keys *k = secret_keys();
    buf_init(&b, 65536);
    jwt_keys_publish(k, &b);
    assert_true(str_is(buf_view(&b), "{\"keys\":[]}"));
    jwt_keys_free(k);

    k = set_keys(S(SECRET));
    buf_reset(&b);
    jwt_keys_publish(k, &b);
    jwt_keys_free(k);
#define TAIL "\"use\":\"sig\",\"key_ops\":[\"verify\"],"
    assert_true(str_is(buf_view(&b),
                       "{\"keys\":[{\"kty\":\"EC\",\"kid\":\"ec\",\"alg\":\"ES256\"," TAIL
                       "\"crv\":\"P-256\"," P256_XY "},"
                       "{\"kty\":\"RSA\",\"kid\":\"rsa\",\"alg\":\"RS256\"," TAIL "\"n\":\"" RSA_N
                       "\",\"e\":\"AQAB\"},"
                       "{\"kty\":\"OKP\",\"kid\":\"ed\",\"alg\":\"EdDSA\"," TAIL
                       "\"crv\":\"Ed25519\",\"x\":\"" OKP_X "\"}]}"));
    buf_free(&b);
}

/* ---- threads --------------------------------------------------------------------------------- */

static void *sign_and_verify_often(void *arg)
{
    const struct jwt_keys *k = arg;
    struct arena a;
    struct buf b;
    bool ok = true;
    arena_init(&a, 65536);
    buf_init(&b, 65536);
    for (int i = 0; i < 200 && ok; i++) {
        struct err e = {0};
        struct str claims;
        buf_reset(&b);
        arena_reset(&a);
        ok = jwt_sign(k, S("{" EXP "}"), &b, &e)
             && jwt_verify(k, buf_view(&b), &now, &a, &claims, &e);
    }
    buf_free(&b);
    arena_close(&a);
    return ok ? arg : NULL;
}

static void test_sets_serve_threads(void **state)
{
    (void)state;
    struct jwt_keys *sets[] = {secret_keys(), set_keys(S(SECRET))};
    pthread_t threads[8];
    void *result;
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sign_and_verify_often, sets[i % 2]), 0);
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], &result);
        assert_ptr_equal(result, sets[i % 2]);
    }
    jwt_keys_free(sets[0]);
    jwt_keys_free(sets[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sign_and_verify),
        cmocka_unit_test(test_rfc7519_example),
        cmocka_unit_test(test_header_is_gotrues),
        cmocka_unit_test(test_each_key_by_its_kid),
        cmocka_unit_test(test_fallback_secret),
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_foreign_bytes),
        cmocka_unit_test(test_not_malleable),
        cmocka_unit_test(test_each_prefix),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_small_arena_is_an_error),
        cmocka_unit_test(test_ecdsa_forms),
        cmocka_unit_test(test_sets_refused),
        cmocka_unit_test(test_set_with_white_space),
        cmocka_unit_test(test_too_many_keys),
        cmocka_unit_test(test_foreign_sets),
        cmocka_unit_test(test_publish),
        cmocka_unit_test(test_sets_serve_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

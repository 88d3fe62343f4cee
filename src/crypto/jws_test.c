/* SPDX-License-Identifier: Apache-2.0 */
#include "jws.c"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/base64.h"
#include "crypto/jwk_vectors.h"

static const struct vector {
    const char *private, *public, *input, *signature;
    bool repeatable; /* the scheme has one signature per message */
} vectors[] = {
    {SIGNING(OCT_PARTS), CHECKING(OCT_PARTS), A1_INPUT, A1_SIGNATURE, true},
    {SIGNING(RSA_PARTS), CHECKING(RSA_PUBLIC), A2_INPUT, A2_SIGNATURE, true},
    {SIGNING(P256_PARTS), CHECKING(P256_PUBLIC), A3_INPUT, A3_SIGNATURE, false},
    {SIGNING(P521_PARTS), CHECKING(P521_PUBLIC), A4_INPUT, A4_SIGNATURE, false},
    {SIGNING(OKP_PARTS), CHECKING(OKP_PUBLIC), ED_INPUT, ED_SIGNATURE, true},
};

enum { VECTORS = sizeof(vectors) / sizeof(*vectors) };

static struct jwk key_of(const char *json)
{
    struct jwk k;
    struct err e = {0};
    if (!jwk_read(str_from(json), &k, &e))
        fail_msg("%s", e.message);
    return k;
}

static struct str unbase64(struct arena *a, const char *text)
{
    struct str s = base64_decode_url(a, str_from(text));
    assert_non_null(s.p);
    return s;
}

static void test_published_signatures_verify(void **state)
{
    (void)state;
    for (int i = 0; i < VECTORS; i++) {
        const struct vector *v = &vectors[i];
        struct jwk public = key_of(v->public), private = key_of(v->private);
        struct arena a;
        arena_init(&a, 4096);
        struct str sig = unbase64(&a, v->signature);
        assert_true(jws_verify(&public, str_from(v->input), sig));
        assert_true(jws_verify(&private, str_from(v->input), sig));
        assert_false(jws_verify(&public, str_from_at(str_from(v->input), 1), sig));
        jwk_close(&public);
        jwk_close(&private);
        arena_close(&a);
    }
}

static void test_own_signatures(void **state)
{
    (void)state;
    for (int i = 0; i < VECTORS; i++) {
        const struct vector *v = &vectors[i];
        struct jwk public = key_of(v->public), private = key_of(v->private);
        unsigned char sig[JWS_SIGNATURE_MAX];
        size_t n = 0;
        struct err e = {0};
        struct arena a;
        arena_init(&a, 4096);
        struct str want = unbase64(&a, v->signature);
        assert_true(jws_sign(&private, str_from(v->input), sig, &n, &e));
        assert_int_equal(n, want.n);
        if (v->repeatable)
            assert_memory_equal(sig, want.p, n);
        assert_true(jws_verify(&public, str_from(v->input), str_of((char *)sig, n)));
        jwk_close(&public);
        jwk_close(&private);
        arena_close(&a);
    }
}

/* One bit anywhere, and every other length. */
static void test_damaged_signatures(void **state)
{
    (void)state;
    for (int i = 0; i < VECTORS; i++) {
        const struct vector *v = &vectors[i];
        struct jwk public = key_of(v->public);
        struct arena a;
        arena_init(&a, 4096);
        struct str sig = unbase64(&a, v->signature);
        char copy[JWS_SIGNATURE_MAX + 1] = {0};
        memcpy(copy, sig.p, sig.n);
        for (size_t at = 0; at < sig.n; at += 7) {
            copy[at] ^= (char)(1 << at % 8);
            assert_false(jws_verify(&public, str_from(v->input), str_of(copy, sig.n)));
            copy[at] ^= (char)(1 << at % 8);
        }
        for (size_t n = 0; n <= sig.n + 1; n++)
            assert_int_equal(jws_verify(&public, str_from(v->input), str_of(copy, n)), n == sig.n);
        assert_false(jws_verify(&public, str_from(v->input), (struct str){NULL, 0}));
        jwk_close(&public);
        arena_close(&a);
    }
}

static void test_ecdsa_der_is_refused(void **state)
{
    (void)state;
    struct jwk private = key_of(SIGNING(P256_PARTS));
    /* DER can be 64 bytes long only by chance: what counts is that the form is refused. */
    unsigned char der[ECDSA_DER_MAX];
    size_t n = sizeof(der);
    assert_true(pkey_sign(&private, S(A3_INPUT), der, &n));
    assert_true(pkey_verify(&private, S(A3_INPUT), der, n));
    assert_false(jws_verify(&private, S(A3_INPUT), str_of((char *)der, n)));
    jwk_close(&private);
}

/* CVE-2022-21449: r = s = 0 verified anything in one well-known library. */
static void test_ecdsa_degenerate_values(void **state)
{
    (void)state;
    struct jwk public = key_of(CHECKING(P256_PUBLIC));
    /* The order of P-256, FIPS 186-4 D.1.2.3: 0 after reduction. */
    static const unsigned char order[32] = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00,
                                            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                            0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
                                            0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
    char raw[64] = {0};
    assert_false(jws_verify(&public, S(A3_INPUT), str_of(raw, 64)));
    memcpy(raw, order, 32);
    memcpy(raw + 32, order, 32);
    assert_false(jws_verify(&public, S(A3_INPUT), str_of(raw, 64)));
    memset(raw, 0xff, 64);
    assert_false(jws_verify(&public, S(A3_INPUT), str_of(raw, 64)));
    memset(raw, 0, 64);
    raw[31] = raw[63] = 1;
    assert_false(jws_verify(&public, S(A3_INPUT), str_of(raw, 64)));
    jwk_close(&public);
}

static void test_error_queue_is_left_empty(void **state)
{
    (void)state;
    struct jwk rsa = key_of(CHECKING(RSA_PUBLIC)), ec = key_of(CHECKING(P256_PUBLIC));
    char junk[256];
    memset(junk, 0x5a, sizeof(junk));
    assert_false(jws_verify(&rsa, S("x"), str_of(junk, 256)));
    assert_false(jws_verify(&ec, S("x"), str_of(junk, 64)));
    assert_int_equal(ERR_peek_error(), 0);
    jwk_close(&rsa);
    jwk_close(&ec);
}

static void test_public_key_cannot_sign(void **state)
{
    (void)state;
    struct jwk public = key_of(CHECKING(P256_PARTS)); /* its d was not taken */
    unsigned char sig[JWS_SIGNATURE_MAX];
    size_t n = 7;
    struct err e = {0};
    assert_false(jws_sign(&public, S("x"), sig, &n, &e));
    assert_int_equal(e.status, 500);
    assert_string_equal(e.code, "jwt_sign");
    assert_int_equal(n, 7);
    assert_int_equal(ERR_peek_error(), 0);
    jwk_close(&public);
}

static void *verify_often(void *arg)
{
    struct jwk *k = arg;
    struct arena a;
    arena_init(&a, 4096);
    struct str sig = base64_decode_url(&a, S(A2_SIGNATURE));
    bool ok = sig.p != NULL;
    for (int i = 0; i < 300; i++)
        ok = ok && jws_verify(k, S(A2_INPUT), sig);
    arena_close(&a);
    return ok ? arg : NULL;
}

static void test_a_key_serves_threads(void **state)
{
    (void)state;
    struct jwk k = key_of(CHECKING(RSA_PUBLIC));
    pthread_t threads[4];
    void *result;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, verify_often, &k), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &result);
        assert_ptr_equal(result, &k);
    }
    jwk_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_signatures_verify),
        cmocka_unit_test(test_own_signatures),
        cmocka_unit_test(test_damaged_signatures),
        cmocka_unit_test(test_ecdsa_der_is_refused),
        cmocka_unit_test(test_ecdsa_degenerate_values),
        cmocka_unit_test(test_error_queue_is_left_empty),
        cmocka_unit_test(test_public_key_cannot_sign),
        cmocka_unit_test(test_a_key_serves_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

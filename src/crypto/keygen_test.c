/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/keygen.c"

#include "crypto/jwt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* What was made signs, says its kid, and is published without its private part. */
static void signs_with(const char *alg)
{
    struct arena a;
    struct err e = {0};
    struct buf jwk, set, token, shown;
    struct jwt_keys *keys = NULL;
    struct str claims;
    size_t at;
    arena_init(&a, SIZE_MAX);
    buf_init_arena(&jwk, &a, SIZE_MAX);
    buf_init_arena(&set, &a, SIZE_MAX);
    buf_init_arena(&token, &a, SIZE_MAX);
    buf_init_arena(&shown, &a, SIZE_MAX);
    assert_true(keygen_jwk(str_from(alg), S("the-kid"), &jwk, &e));
    buf_printf(&set, "[{\"key_ops\":[\"sign\"],%.*s]", (int)jwk.n - 1, jwk.p + 1);
    assert_true(jwt_keys_from_jwks(buf_view(&set), S(""), &keys, &e));
    assert_true(jwt_sign(keys, S("{\"exp\":2}"), &token, &e));
    struct jwt_check check = {.now_us = 1};
    assert_true(jwt_verify(keys, buf_view(&token), &check, &a, &claims, &e));
    assert_true(jwt_keys_know(keys, buf_view(&token), &a));
    jwt_keys_publish(keys, &shown);
    assert_false(str_find(buf_view(&shown), S("\"d\""), &at));
    assert_false(str_find(buf_view(&shown), S("\"k\""), &at));
    assert_int_equal(str_find(buf_view(&shown), S("the-kid"), &at), strcmp(alg, "HS256") != 0);
    jwt_keys_free(keys);
    arena_close(&a);
}

static void every_algorithm(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        signs_with(kinds[i].alg);
}

static void no_other(void **state)
{
    (void)state;
    static const char *const algs[] = {"none", "", "HS512", "es256", "PS256"};
    for (size_t i = 0; i < sizeof(algs) / sizeof(algs[0]); i++) {
        struct err e = {0};
        struct buf b;
        buf_init(&b, SIZE_MAX);
        assert_false(keygen_jwk(str_from(algs[i]), S("k"), &b, &e));
        assert_string_equal(e.code, "key_algorithm");
        assert_int_equal(b.n, 0);
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_algorithm),
        cmocka_unit_test(no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

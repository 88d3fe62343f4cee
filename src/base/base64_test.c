/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rand.h"

static struct arena a;

static void published_vectors(void **state)
{
    static const char *const pairs[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"}, /* RFC 4648 §10 */
    };
    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct buf b;
        buf_init(&b, 100);
        base64_put(&b, str_from(pairs[i][0]));
        assert_true(str_is(buf_view(&b), pairs[i][1]));
        struct str back = base64_decode(&a, str_from(pairs[i][1]));
        assert_non_null(back.p);
        assert_true(str_is(back, pairs[i][0]));
        buf_free(&b);
    }
}

static void every_length_returns(void **state)
{
    (void)state;
    for (size_t n = 0; n < 200; n++) {
        char bytes[200];
        struct buf b;
        rand_bytes(bytes, n);
        buf_init(&b, 1000);
        base64_put_url(&b, str_of(bytes, n));
        struct str back = base64_decode_url(&a, buf_view(&b));
        assert_true(str_eq(back, str_of(bytes, n)));
        assert_true(n % 3 == 0 || !base64_decode(&a, buf_view(&b)).p);
        buf_reset(&b);
        base64_put(&b, str_of(bytes, n));
        assert_true(str_eq(base64_decode(&a, buf_view(&b)), str_of(bytes, n)));
        buf_free(&b);
        arena_reset(&a);
    }
}

static void refuses(void **state)
{
    const char *bad[] = {"Z",    "Zg",   "Zg=",    "Zg===", "Z===", "====",     "Zh==",
                         "Zm9=", "Zm 9", "Zm9v\n", "Zm-_",  "=Zm9", "Zg==Zg==", "Zm9v="};
    const char *bad_url[] = {"Z", "Zg==", "Zh", "Zm9v=", "Zm+/", "Zm9", "Zm9v Zg"};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (base64_decode(&a, str_from(bad[i])).p)
            fail_msg("taken: %s", bad[i]);
    for (size_t i = 0; i < sizeof(bad_url) / sizeof(bad_url[0]); i++)
        if (base64_decode_url(&a, str_from(bad_url[i])).p)
            fail_msg("taken: %s", bad_url[i]);
    assert_null(base64_decode(&a, str_of(NULL, 0)).p);
    assert_null(base64_decode_url(&a, str_of(NULL, 0)).p);
    assert_non_null(base64_decode_url(&a, S("-_-_")).p);
    assert_non_null(base64_decode(&a, S("+/+/")).p);
}

static void obeys_bounds(void **state)
{
    struct buf b;
    struct arena tiny;
    (void)state;
    buf_init(&b, 7);
    base64_put(&b, S("fooba"));
    assert_true(b.failed);
    buf_reset(&b);
    base64_put_url(&b, S("fooba"));
    assert_false(b.failed);
    buf_free(&b);
    arena_init(&tiny, 3);
    assert_null(base64_decode(&tiny, S("Zm9v")).p);
    arena_close(&tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors),
        cmocka_unit_test(every_length_returns),
        cmocka_unit_test(refuses),
        cmocka_unit_test(obeys_bounds),
    };
    arena_init(&a, 1 << 20);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    arena_close(&a);
    return failures;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void grows_and_fails_for_good(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 1000);
    assert_null(b.p);
    assert_int_equal(buf_view(&b).n, 0);
    assert_non_null(buf_view(&b).p);
    for (int i = 0; i < 1000; i++)
        buf_char(&b, 'x');
    assert_false(b.failed);
    assert_int_equal(b.n, 1000);
    assert_int_equal(b.cap, 1000);
    buf_char(&b, 'x');
    assert_true(b.failed);
    assert_int_equal(b.n, 1000);
    buf_add(&b, "", 0);
    assert_false(buf_reserve(&b, 0));
    buf_reset(&b);
    assert_false(b.failed);
    assert_true(buf_reserve(&b, 1000));
    assert_false(buf_reserve(&b, SIZE_MAX));
    buf_free(&b);
    assert_null(b.p);
    BUF_LIT(&b, "again");
    assert_true(str_eq(buf_view(&b), S("again")));
    buf_free(&b);
}

static void lives_in_an_arena(void **state)
{
    struct arena a;
    struct buf b;
    (void)state;
    arena_init(&a, 3000);
    buf_init_arena(&b, &a, 1 << 20);
    for (int i = 0; i < 2500; i++)
        buf_char(&b, (char)('a' + i % 26));
    assert_false(b.failed); /* doubling goes over the budget, yet what is needed fits */
    for (int i = 0; i < 2500; i++)
        assert_int_equal(b.p[i], 'a' + i % 26);
    for (int i = 0; i < 1000; i++)
        buf_char(&b, 'x');
    assert_true(b.failed);
    buf_free(&b);
    arena_close(&a);
}

static void two_in_one_arena(void **state)
{
    struct arena a;
    struct buf b, c;
    (void)state;
    arena_init(&a, 1 << 20);
    buf_init_arena(&b, &a, 100000);
    buf_init_arena(&c, &a, 100000);
    for (int i = 0; i < 20000; i++) {
        buf_char(&b, 'b');
        buf_char(&c, 'c');
    }
    assert_false(b.failed || c.failed);
    for (int i = 0; i < 20000; i++)
        assert_true(b.p[i] == 'b' && c.p[i] == 'c');
    arena_close(&a);
}

static void prints(void **state)
{
    struct buf b;
    char big[600];
    (void)state;
    buf_init(&b, 1000);
    buf_i64(&b, INT64_MIN);
    buf_char(&b, ' ');
    buf_i64(&b, 0);
    buf_char(&b, ' ');
    buf_i64(&b, INT64_MAX);
    assert_true(str_eq(buf_view(&b), S("-9223372036854775808 0 9223372036854775807")));
    buf_reset(&b);
    memset(big, 'y', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    buf_printf(&b, "<%s>", big);
    assert_int_equal(b.n, 601);
    assert_int_equal(b.p[600], '>');
    buf_printf(&b, "%s", big);
    assert_true(b.failed);
    buf_free(&b);
}

static void consumes(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 100);
    buf_consume(&b, 0);
    buf_str(&b, S("abcdef"));
    buf_consume(&b, 2);
    assert_true(str_eq(buf_view(&b), S("cdef")));
    buf_consume(&b, 4);
    assert_int_equal(b.n, 0);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_fails_for_good),
        cmocka_unit_test(lives_in_an_arena),
        cmocka_unit_test(two_in_one_arena),
        cmocka_unit_test(prints),
        cmocka_unit_test(consumes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

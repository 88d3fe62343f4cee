/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void zeroes_and_aligns(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 0);
    for (size_t round = 0; round < 3; round++) {
        for (size_t n = 0; n < 9000; n = n * 2 + 1) {
            unsigned char *p = arena_alloc(&a, n);
            assert_int_equal((uintptr_t)p % 16, 0);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(p[i], 0);
            memset(p, 0xAA, n); /* the next round gets it back zeroed */
        }
        arena_reset(&a);
    }
    arena_close(&a);
    assert_non_null(arena_alloc(&a, 1)); /* closed is as good as new */
    arena_close(&a);
}

static void bounds_what_clients_ask_for(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 1000);
    assert_non_null(arena_alloc(&a, 5000)); /* not counted */
    assert_non_null(arena_try(&a, 600));
    assert_null(arena_try(&a, 401));
    assert_non_null(arena_try(&a, 400));
    assert_null(arena_try(&a, 1));
    assert_null(arena_try(&a, SIZE_MAX));
    assert_null(arena_try_array(&a, SIZE_MAX / 2, 3));
    assert_null(arena_str(&a, S("x")).p);
    assert_null(arena_cstr(&a, S("x")));
    arena_reset(&a);
    assert_non_null(arena_try_array(&a, 10, 100));
    arena_close(&a);

    arena_init(&a, SIZE_MAX);
    assert_null(arena_try(&a, SIZE_MAX));
    assert_null(arena_try(&a, SIZE_MAX - 15));
    assert_null(arena_try(&a, PTRDIFF_MAX));
    arena_close(&a);
}

static void keeps_at_most_one_small_block(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 20);
    for (int i = 0; i < 100; i++)
        assert_non_null(arena_try(&a, 1000));
    assert_non_null(arena_try(&a, 300000));
    arena_reset(&a);
    assert_non_null(a.blocks);
    assert_null(a.blocks->next);
    assert_true(a.blocks->cap <= KEPT_BLOCK);
    const struct arena_block *kept = a.blocks;
    assert_non_null(arena_try(&a, 1000));
    assert_ptr_equal(a.blocks, kept);
    arena_close(&a);
}

static void large_pieces_leave_the_block_in_use(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 20);
    arena_alloc(&a, 16);
    const struct arena_block *first = a.blocks;
    char *big = arena_alloc(&a, 100000);
    big[99999] = 1;
    assert_ptr_equal(a.blocks, first);
    arena_reset(&a);
    arena_alloc(&a, 200000); /* also when it comes first */
    arena_alloc(&a, 16);
    arena_close(&a);
}

static void extends_only_the_last(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 2000);
    char *p = arena_try(&a, 100);
    assert_true(arena_extend(&a, p, 100, 500));
    memset(p, 1, 500);
    assert_int_equal(a.used_bytes, 500);
    assert_false(arena_extend(&a, p, 500, 2001)); /* budget */
    assert_false(arena_extend(&a, p, 500, 400));  /* no shrinking */
    assert_false(arena_extend(&a, p, 500, SIZE_MAX));
    char *q = arena_try(&a, 10);
    assert_false(arena_extend(&a, p, 500, 600)); /* no longer the last */
    assert_true(arena_extend(&a, q, 10, 20));
    arena_close(&a);

    arena_init(&a, 1 << 20);
    p = arena_try(&a, 100);
    assert_false(arena_extend(&a, p, 100, 5000)); /* block */
    arena_close(&a);
}

static void wipes_what_it_handed_out(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    enum { PIECES = 5 };
    static const size_t sizes[PIECES] = {100, 100000, 3000, 7000, 50};
    unsigned char *p[PIECES];
    for (size_t i = 0; i < PIECES; i++) {
        p[i] = arena_try(&a, sizes[i]);
        memset(p[i], 'x', sizes[i]);
    }
    arena_wipe(&a);
    for (size_t i = 0; i < PIECES; i++)
        for (size_t j = 0; j < sizes[i]; j++)
            assert_int_equal(p[i][j], 0);
    arena_close(&a);
    arena_wipe(&a); /* nothing there */
}

static void copies_text(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 4096);
    struct str s = arena_str(&a, S("abc"));
    assert_int_equal(s.n, 3);
    assert_string_equal(s.p, "abc");
    assert_null(arena_str(&a, str_of(NULL, 0)).p);
    assert_non_null(arena_str(&a, S("")).p);
    assert_string_equal(arena_cstr(&a, S("x")), "x");
    assert_null(arena_cstr(&a, S("a\0b")));
    assert_null(arena_cstr(&a, str_of(NULL, 0)));
    s = arena_printf(&a, "%s-%d", "n", 42);
    assert_true(str_eq(s, S("n-42")));
    assert_string_equal(arena_printf(&a, "%s", "").p, "");
    arena_close(&a);
}

#ifdef ARENA_ASAN
static void poisons(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 4096);
    char *p = arena_alloc(&a, 20);
    assert_false(__asan_address_is_poisoned(p + 19));
    assert_true(__asan_address_is_poisoned(p + 20));
    arena_reset(&a);
    assert_true(__asan_address_is_poisoned(p));
    arena_close(&a);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroes_and_aligns),
        cmocka_unit_test(bounds_what_clients_ask_for),
        cmocka_unit_test(keeps_at_most_one_small_block),
        cmocka_unit_test(large_pieces_leave_the_block_in_use),
        cmocka_unit_test(extends_only_the_last),
        cmocka_unit_test(wipes_what_it_handed_out),
        cmocka_unit_test(copies_text),
#ifdef ARENA_ASAN
        cmocka_unit_test(poisons),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_tree.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void gives_back_its_budget(void **state)
{
    struct err e = {0};
    (void)state;
    assert_true(json_tree_check(S("{\"a\":[1,2,{\"b\":\"c\"}]}"), true, &e));
    assert_int_equal(parse_left, PARSE_BUDGET);
    assert_false(json_tree_check(S("{\"a\":[1,2,{\"b\":\"c\"}"), true, &e));
    assert_int_equal(parse_left, PARSE_BUDGET);
    assert_null(chunk_alloc(SIZE_MAX));
    assert_null(chunk_alloc(PARSE_BUDGET));
    void *p = chunk_alloc(100);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 16, 0);
    chunk_free(p);
    chunk_free(NULL);
    assert_int_equal(parse_left, PARSE_BUDGET);
}

static void decodes_one_string(void **state)
{
    struct arena a;
    struct str out = S("before");
    (void)state;
    arena_init(&a, 100);
    assert_true(json_tree_string(S("\"a\\u00e9\\/\\\\\""), &a, &out));
    assert_true(str_eq(out, S("a\xC3\xA9/\\")));
    out = S("before");
    assert_false(json_tree_string(S("1"), &a, &out));
    assert_false(json_tree_string(S("\"\\u0000\""), &a, &out));
    assert_true(str_eq(out, S("before")));
    arena_close(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_its_budget),
        cmocka_unit_test(decodes_one_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "method.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_methods(void **state)
{
    (void)state;
    for (int m = METHOD_NONE + 1; m < METHOD_COUNT; m++)
        assert_int_equal(method_parse(str_from(method_name((enum method)m))), m);
    assert_int_equal(method_parse(S("get")), METHOD_NONE);
    assert_int_equal(method_parse(S("GETS")), METHOD_NONE);
    assert_int_equal(method_parse(S("")), METHOD_NONE);
    assert_string_equal(method_name(METHOD_NONE), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_methods)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

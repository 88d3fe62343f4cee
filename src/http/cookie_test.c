/* SPDX-License-Identifier: Apache-2.0 */
#include "cookie.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void expect(const char *field, const char *name, const char *want)
{
    struct str v = cookie_get(str_from(field), str_from(name));
    if (!want) {
        assert_null(v.p);
        return;
    }
    assert_non_null(v.p);
    assert_int_equal(v.n, strlen(want));
    assert_memory_equal(v.p, want, v.n);
}

static void test_cookies(void **state)
{
    (void)state;
    expect("a=1; b=2; a=3", "a", "1");
    expect("a=1; b=2", "b", "2");
    expect("a=1;b=x=y ;c", "b", "x=y");
    expect("a=", "a", "");
    expect("a=\"q\"", "a", "\"q\"");
    expect("aa=1", "a", NULL);
    expect("A=1", "a", NULL);
    expect("a", "a", NULL);
    expect("", "a", NULL);
    expect(NULL, "a", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cookies)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

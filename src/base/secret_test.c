/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void copies_compares_wipes(void **state)
{
    char mine[] = "hunter2";
    (void)state;
    struct secret s = secret_copy(str_from(mine));
    secret_wipe_bytes(mine, sizeof(mine));
    assert_int_equal(mine[0], 0);
    assert_true(str_eq(secret_reveal(&s), S("hunter2")));
    assert_int_equal(s.p[s.n], 0);
    assert_true(secret_eq(secret_reveal(&s), S("hunter2")));
    assert_false(secret_eq(secret_reveal(&s), S("hunter3")));
    assert_false(secret_eq(secret_reveal(&s), S("hunter")));
    assert_true(secret_eq(S(""), str_of(NULL, 0)));
    secret_wipe(&s);
    assert_null(s.p);
    secret_wipe(&s);
    s = secret_copy(str_of(NULL, 0));
    assert_null(s.p);
    CLEANUP(secret_wipe) struct secret dropped = secret_copy(S(""));
    assert_non_null(dropped.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(copies_compares_wipes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "access.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static bool may(struct str role)
{
    struct err e = {0};
    bool ok = access_check(role, &e);
    assert_true(ok || e.status == 403);
    return ok;
}

static void only_what_was_granted(void **state)
{
    (void)state;
    assert_false(may(S("anon"))); /* nothing is known yet */
    assert_true(access_missed());
    assert_false(access_missed());
    access_set(S("anon\0authenticated\0service_role\0"));
    assert_true(may(S("anon")) && may(S("service_role")));
    assert_false(access_missed());
    const struct str others[] = {S_INIT(""), S_INIT("ano"), S_INIT("anon\0"), S_INIT("authenticator"),
                                 S_INIT("anon\0authenticated"), S_INIT("ANON"), {0}};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(may(others[i]));
    assert_true(access_missed());
    access_set(S("authenticated\0"));
    assert_false(may(S("anon")));
    assert_true(may(S("authenticated")));
    access_close();
    assert_false(access_known());
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(only_what_was_granted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

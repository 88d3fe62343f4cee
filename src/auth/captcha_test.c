/* SPDX-License-Identifier: Apache-2.0 */
#include "captcha.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Whoever adds one of these routes says in its row that a human has to be there (auth.md §1.3). */
static void routes_ask(void **state)
{
    static const char *const paths[] = {"/auth/v1/signup",    "/auth/v1/recover", "/auth/v1/resend",
                                        "/auth/v1/magiclink", "/auth/v1/otp",     "/auth/v1/token",
                                        "/auth/v1/sso"};
    (void)state;
    for (size_t i = 0; i < auth_routes_count; i++)
        for (size_t j = 0; j < sizeof(paths) / sizeof(paths[0]); j++)
            if (strcmp(auth_routes[i].path, paths[j]) == 0
                && !(auth_routes[i].flags & ROUTE_CAPTCHA))
                fail_msg("the row of %s needs ROUTE_CAPTCHA", paths[j]);
}

static void codes(void **state)
{
    static const struct {
        const char *body, *codes;
    } rows[] = {
        {"{}", ""},
        {"{\"error-codes\":[]}", ""},
        {"{\"error-codes\":\"x\"}", ""},
        {"{\"error-codes\":[\"invalid-input-response\"]}", "invalid-input-response"},
        {"{\"error-codes\":[\"a-b\",\"c_d\"]}", "a-b, c_d"},
        {"{\"error-codes\":[\"<b>\\r\\nX\"]}", "brn"},
    };
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 16);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_true(str_is(codes_of(str_from(rows[i].body), &a), rows[i].codes));
    arena_close(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_ask),
        cmocka_unit_test(codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void fills_and_clears(void **state)
{
    struct err e = {.detail = "old", .sqlstate = "23505", .retry_after_s = 3};
    (void)state;
    assert_false(err_set(&e, 400, "invalid_grant", "bad %s", "token"));
    assert_int_equal(e.status, 400);
    assert_string_equal(e.code, "invalid_grant");
    assert_string_equal(e.message, "bad token");
    assert_string_equal(e.detail, "");
    assert_string_equal(e.sqlstate, "");
    assert_int_equal(e.retry_after_s, 0);
    assert_string_equal(e.func, "fills_and_clears");
    assert_true(e.line > 0);
    assert_false(err_detail(&e, "row %d of %s", 4, e.code));
    assert_string_equal(e.detail, "row 4 of invalid_grant");
    assert_false(err_set(&e, 500, "x", "again: %s", e.message)); /* an argument from the record */
    assert_string_equal(e.message, "again: bad token");
    err_clear(&e);
    assert_int_equal(e.status, 0);
    assert_null(e.code);
}

static void cuts_between_characters(void **state)
{
    struct err e = {0};
    char text[800];
    (void)state;
    for (size_t pad = 0; pad < 4; pad++) {
        size_t n = pad;
        memset(text, 'a', pad);
        for (; n + 4 < sizeof(text); n += 4)
            memcpy(text + n, "\xF0\x9F\x98\x80", 4);
        text[n] = '\0';
        err_set(&e, 400, "x", "%s", text);
        size_t got = strlen(e.message);
        assert_true(got >= sizeof(e.message) - 4 && (got - pad) % 4 == 0);
        err_detail(&e, "%s", text);
        assert_true((strlen(e.detail) - pad) % 4 == 0);
    }
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    err_set(&e, 400, "x", "%s", text);
    assert_int_equal(strlen(e.message), sizeof(e.message) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_and_clears),
        cmocka_unit_test(cuts_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

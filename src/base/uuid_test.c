/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uuid.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void makes_version_4(void **state)
{
    (void)state;
    struct uuid u = uuid_v4(), v = uuid_v4();
    assert_true(uuid_valid(uuid_str(&u)));
    assert_int_equal(u.text[14], '4');
    assert_non_null(strchr("89ab", u.text[19]));
    assert_string_not_equal(u.text, v.text);
}

static void version_7_sorts(void **state)
{
    struct uuid last = uuid_v7();
    (void)state;
    assert_true(uuid_valid(uuid_str(&last)));
    assert_int_equal(last.text[14], '7');
    for (int i = 0; i < 100000; i++) { /* faster than the counter of a millisecond lasts */
        struct uuid u = uuid_v7();
        assert_true(strcmp(u.text, last.text) > 0);
        last = u;
    }
    uint64_t ms = 0;
    for (int i = 0; i < 13; i++) {
        char c = last.text[i];
        if (c != '-')
            ms = ms << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    int64_t ahead_ms = (int64_t)ms - clock_wall_us() / CLOCK_MS;
    assert_true(ahead_ms > -1000 && ahead_ms < 1000);
}

static void parses(void **state)
{
    struct uuid u = {"unchanged"};
    (void)state;
    const char *bad[] = {"",
                         "123",
                         "f81d4fae7dec11d0a76500a0c91e6bf6",
                         "{f81d4fae-7dec-11d0-a765-00a0c91e6bf6}",
                         "f81d4fae-7dec-11d0-a765-00a0c91e6bfg",
                         "f81d4fae-7dec-11d0-a765-00a0c91e6bf66",
                         "f81d4fae-7dec-11d0-a76500-a0c91e6bf6",
                         "f81d4fae 7dec-11d0-a765-00a0c91e6bf6"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(uuid_parse(str_from(bad[i]), &u));
    assert_string_equal(u.text, "unchanged");
    assert_true(uuid_parse(S("F81D4FAE-7dec-11d0-A765-00a0c91e6bf6"), &u));
    assert_string_equal(u.text, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6");
    assert_true(uuid_valid(S(UUID_NIL)));
    u.text[0] = '\0';
    assert_null(uuid_str(&u).p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_version_4),
        cmocka_unit_test(version_7_sorts),
        cmocka_unit_test(parses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

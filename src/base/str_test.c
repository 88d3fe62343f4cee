/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_str(struct str got, const char *want)
{
    if (!str_is(got, want))
        fail_msg("got '%.*s', want '%s'", STR_ARG(got), want);
}

static void compares(void **state)
{
    (void)state;
    assert_true(str_eq_nocase(S("Content-LENGTH"), S("content-length")));
    assert_false(str_eq_nocase(S("a"), S("ab")));
    assert_false(str_eq_nocase(S("["), S("{"))); /* differ by 0x20 and are no letters */
    assert_true(str_starts(S("abc"), S("ab")));
    assert_true(str_starts(S("abc"), S("")));
    assert_false(str_starts(S("a"), S("ab")));
    assert_true(str_starts_nocase(S("Bearer x"), S("bearer ")));
    assert_true(str_ends(S("x.sql"), S(".sql")));
    assert_false(str_ends(S("sql"), S(".sql")));
    assert_true(str_ends(S("x"), S("")));
    assert_true(str_starts(str_of(NULL, 0), S("")));
    assert_true(str_ends(str_of(NULL, 0), S("")));
}

static void finds(void **state)
{
    size_t at = 99;
    (void)state;
    assert_false(str_find(S("abc"), S("x"), &at));
    assert_int_equal(at, 99);
    assert_true(str_find(S("abcbc"), S("bc"), &at));
    assert_int_equal(at, 1);
    assert_true(str_find(S("abc"), S(""), &at));
    assert_int_equal(at, 0);
    assert_false(str_find(str_of(NULL, 0), S("a"), &at));
    assert_true(str_find_char(S("a:b"), ':', &at));
    assert_int_equal(at, 1);
    assert_false(str_find_char(str_of(NULL, 0), ':', &at));
}

static void cuts_and_trims(void **state)
{
    struct str rest = S("a,,b"), item;
    const char *want[] = {"a", "", "b"};
    int n = 0;
    (void)state;
    for (bool more = true; more;) {
        more = str_cut(rest, ',', &item, &rest);
        assert_str(item, want[n++]);
    }
    assert_int_equal(n, 3);
    assert_null(rest.p);
    assert_true(str_cut(S("a="), '=', &item, &rest));
    assert_non_null(rest.p);
    assert_int_equal(rest.n, 0);
    assert_str(str_trim(S(" \ta b\t ")), "a b");
    assert_str(str_trim(S(" \t ")), "");
    assert_str(str_from_at(S("abc"), 1), "bc");
    assert_str(str_from_at(S("abc"), 4), "");
    assert_null(str_from_at(str_of(NULL, 0), 1).p);
}

static void reads_numbers(void **state)
{
    int64_t i = 7;
    uint64_t u = 7;
    (void)state;
    assert_true(str_to_i64(S("-9223372036854775808"), &i));
    assert_true(i == INT64_MIN);
    assert_true(str_to_i64(S("9223372036854775807"), &i));
    assert_true(i == INT64_MAX);
    assert_true(str_to_u64(S("18446744073709551615"), &u));
    assert_true(u == UINT64_MAX);
    assert_true(str_to_i64(S("-0"), &i));
    assert_int_equal(i, 0);
    i = 7;
    const char *bad[] = {"",
                         "-",
                         "+1",
                         " 1",
                         "1 ",
                         "1.0",
                         "0x1",
                         "--1",
                         "9223372036854775808",
                         "-9223372036854775809",
                         "99999999999999999999"};
    for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++)
        assert_false(str_to_i64(str_from(bad[k]), &i));
    assert_int_equal(i, 7);
    assert_false(str_to_u64(S("18446744073709551616"), &u));
    assert_false(str_to_u64(S("-1"), &u));
}

static void reads_durations(void **state)
{
    static const struct {
        const char *text;
        int64_t us;
    } good[] = {
        {"0", 0},
        {"0s", 0},
        {"250ms", 250000},
        {"10s", 10000000},
        {"5m", 300000000},
        {"1h30m", 5400000000},
        {"24h", 86400000000},
        {"7d", 604800000000},
        {"1.5h", 5400000000},
        {"300ms", 300000},
        {".5s", 500000},
        {"1.s", 1000000},
        {"1us", 1},
        {"1500ns", 1},
        {"2\xC2\xB5s", 2},
        {"3\xCE\xBCs", 3},
        {"1d12h", 129600000000},
        {"0.1s", 100000},
        {"0.333333333333333333333s", 333333},
        {"0.1h", 360000000},
        {"1.000001s", 1000001},
        {"106751d", 106751LL * 86400000000},
    };
    const char *bad[] = {"",    "1",  "s",  ".",   ".s", "-1s",     "+1s",
                         "1 s", "1S", "1x", "1s ", "00", "213504d", "99999999999999999999s",
                         "1h1", "ms"};
    int64_t us = 7;
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(str_to_duration_us(str_from(good[i].text), &us));
        if (us != good[i].us)
            fail_msg("%s: %lld", good[i].text, (long long)us);
    }
    us = 7;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (str_to_duration_us(str_from(bad[i]), &us))
            fail_msg("taken: %s", bad[i]);
    assert_int_equal(us, 7);
}

static void reads_booleans_and_sizes(void **state)
{
    bool b = false;
    size_t n = 7;
    (void)state;
    assert_true(str_to_bool(S("On"), &b) && b);
    assert_true(str_to_bool(S("FALSE"), &b) && !b);
    assert_true(str_to_bool(S("1"), &b) && b);
    assert_false(str_to_bool(S(""), &b));
    assert_false(str_to_bool(S("maybe"), &b));
    assert_true(str_to_size(S("4096"), &n) && n == 4096);
    assert_true(str_to_size(S("64KiB"), &n) && n == 65536);
    assert_true(str_to_size(S("10MiB"), &n) && n == 10485760);
    assert_true(str_to_size(S("1GiB"), &n) && n == 1073741824);
    assert_false(str_to_size(S("1KB"), &n));
    assert_false(str_to_size(S("KiB"), &n));
    assert_false(str_to_size(S("-1"), &n));
    assert_false(str_to_size(S("17179869184GiB"), &n));
    assert_int_equal(n, 1073741824);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares),        cmocka_unit_test(finds),
        cmocka_unit_test(cuts_and_trims),  cmocka_unit_test(reads_numbers),
        cmocka_unit_test(reads_durations), cmocka_unit_test(reads_booleans_and_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void formats_like_the_library(void **state)
{
    char got[30], want[64];
    (void)state;
    /* Every 37 hours and some from year 1 to 9999 against libc's own arithmetic. */
    for (int64_t us = OLDEST_US; us <= NEWEST_US; us += 37 * 3600 * CLOCK_S * 50 + 12345677) {
        int64_t s = us / CLOCK_S - (us % CLOCK_S < 0);
        time_t t = (time_t)s;
        struct tm tm;
        assert_non_null(gmtime_r(&t, &tm));
        snprintf(want, sizeof(want), "%04d-%02d-%02dT%02d:%02d:%02d.%06lldZ", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                 (long long)(us - s * CLOCK_S));
        clock_rfc3339(us, got);
        assert_string_equal(got, want);
        int64_t back = 0;
        assert_true(clock_parse(str_from(got), &back));
        assert_true(back == us);
        size_t n = strftime(want, sizeof(want), "%a, %d %b ", &tm);
        snprintf(want + n, sizeof(want) - n, "%04d %02d:%02d:%02d GMT", tm.tm_year + 1900,
                 tm.tm_hour, tm.tm_min, tm.tm_sec);
        clock_http_date(us, got);
        assert_string_equal(got, want);
    }
}

static void clamps_what_has_no_four_digit_year(void **state)
{
    char got[30];
    (void)state;
    clock_rfc3339(INT64_MAX, got);
    assert_string_equal(got, "9999-12-31T23:59:59.999999Z");
    clock_rfc3339(INT64_MIN, got);
    assert_string_equal(got, "0001-01-01T00:00:00.000000Z");
    clock_http_date(784111777LL * CLOCK_S, got); /* RFC 9110 §5.6.7 */
    assert_string_equal(got, "Sun, 06 Nov 1994 08:49:37 GMT");
}

static void parses(void **state)
{
    static const struct {
        const char *text;
        int64_t us;
    } good[] = {
        {"1970-01-01 00:00:00+00", 0},
        {"1970-01-01 00:00:00.000001+00", 1},
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01t00:00:00z", 0},
        {"1970-01-01 02:00:00+02", 0},
        {"1970-01-01 02:30:00+02:30", 0},
        {"1969-12-31 19:00:00-05", 0},
        {"1970-01-01 00:53:28.5+00:53:28", 500000},
        {"1970-01-01 00:00:00.1234567Z", 123456},
        {"2026-01-02 03:04:05.123+02", 1767315845123000},
        {"2000-02-29 00:00:00+00", 951782400000000},
        {"1969-12-31 23:59:59.999999+00", -1},
    };
    const char *bad[] = {
        "",
        "infinity",
        "-infinity",
        "2026-01-02",
        "2026-01-02 03:04:05",
        "2026-01-02 03:04+00",
        "10000-01-01 00:00:00+00",
        "0044-03-15 00:00:00+00 BC",
        "0000-01-01 00:00:00+00",
        "2026-13-01 00:00:00+00",
        "2026-00-01 00:00:00+00",
        "2026-02-29 00:00:00+00",
        "1900-02-29 00:00:00+00",
        "2026-01-32 00:00:00+00",
        "2026-01-01 24:00:00+00",
        "2026-01-01 00:60:00+00",
        "2026-01-01 00:00:60+00",
        "2026-01-01 00:00:00.+00",
        "2026-01-01 00:00:00+24",
        "2026-01-01 00:00:00+0",
        "2026-01-01 00:00:00+00:6",
        "2026-01-01 00:00:00+00 ",
        " 2026-01-01 00:00:00+00",
        "2026-1-1 00:00:00+00",
        "2026-01-01_00:00:00+00",
        "2026-01-01 00:00:00Zx",
    };
    int64_t us = 7;
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(clock_parse(str_from(good[i].text), &us));
        if (us != good[i].us)
            fail_msg("%s: %lld", good[i].text, (long long)us);
    }
    us = 7;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (clock_parse(str_from(bad[i]), &us))
            fail_msg("taken: %s", bad[i]);
    assert_false(clock_parse(str_of(NULL, 0), &us));
    assert_int_equal(us, 7);
}

static void goes_forward(void **state)
{
    (void)state;
    int64_t before = clock_mono_us();
    assert_true(clock_mono_us() >= before);
    assert_true(clock_wall_us() > 1700000000LL * CLOCK_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_like_the_library),
        cmocka_unit_test(clamps_what_has_no_four_digit_year),
        cmocka_unit_test(parses),
        cmocka_unit_test(goes_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

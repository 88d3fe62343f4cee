/* SPDX-License-Identifier: Apache-2.0 */
#include "trace.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define TRACE  "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

static bool taken(const char *header)
{
    struct trace t;
    trace_begin(&t, str_from(header));
    assert_int_equal(strlen(t.trace_id), 32);
    assert_int_equal(strlen(t.span_id), 16);
    assert_true(id_valid(t.trace_id, 32));
    assert_true(id_valid(t.span_id, 16));
    assert_string_not_equal(t.span_id, PARENT);
    bool ours = t.parent_id[0] == '\0';
    if (!ours) {
        assert_string_equal(t.trace_id, TRACE);
        assert_string_equal(t.parent_id, PARENT);
    }
    return !ours;
}

/* The examples of W3C Trace Context §3.2 and the cases of its test suite. */
static void well_formed(void **state)
{
    (void)state;
    assert_true(taken("00-" TRACE "-" PARENT "-01"));
    assert_true(taken("00-" TRACE "-" PARENT "-00"));
    assert_true(taken("00-" TRACE "-" PARENT "-ff"));
    assert_true(taken("cc-" TRACE "-" PARENT "-01"));
    assert_true(taken("cc-" TRACE "-" PARENT "-01-what-comes-later"));
}

static void malformed(void **state)
{
    static const char *const headers[] = {
        "",
        "00",
        "ff-" TRACE "-" PARENT "-01",
        "0g-" TRACE "-" PARENT "-01",
        "00-" TRACE "-" PARENT "-01-later",
        "00-" TRACE "-" PARENT "-01.",
        "cc-" TRACE "-" PARENT "-01.later",
        "00-" TRACE "-" PARENT "-0",
        "00-" TRACE "-" PARENT "-0G",
        "00-" TRACE "-" PARENT,
        "00-00000000000000000000000000000000-" PARENT "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01",
        "00-" TRACE "-00F067AA0BA902B7-01",
        "CC-" TRACE "-" PARENT "-01",
        "00_" TRACE "-" PARENT "-01",
        "00-" TRACE "_" PARENT "-01",
        "00-" TRACE "-" PARENT "_01",
        " 00-" TRACE "-" PARENT "-01",
    };
    struct trace t;
    (void)state;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        if (taken(headers[i]))
            fail_msg("taken: %s", headers[i]);
    }
    trace_begin(&t, (struct str){0});
    assert_string_equal(t.parent_id, "");
}

static void handed_on(void **state)
{
    struct trace t, next;
    char header[56];
    (void)state;
    trace_begin(&t, S("00-" TRACE "-" PARENT "-02"));
    assert_false(t.sampled);
    trace_header(&t, header);
    assert_int_equal(strlen(header), 55);
    assert_string_equal(header + 53, "00");
    trace_begin(&t, (struct str){0});
    assert_true(t.sampled);
    trace_header(&t, header);
    assert_string_equal(header + 53, "01");
    trace_begin(&next, str_from(header));
    assert_string_equal(next.trace_id, t.trace_id);
    assert_string_equal(next.parent_id, t.span_id);
    assert_string_not_equal(next.span_id, t.span_id);
}

static void request_ids(void **state)
{
    char id[129], long_id[130];
    (void)state;
    trace_request_id(S("az.AZ-09_:/+="), id);
    assert_string_equal(id, "az.AZ-09_:/+=");
    memset(long_id, 'a', sizeof(long_id));
    trace_request_id(str_of(long_id, 128), id);
    assert_int_equal(strlen(id), 128);
    const struct str bad[] = {
        {0},
        S_INIT(""),
        S_INIT("a b"),
        S_INIT("a\0b"),
        S_INIT("a\"b"),
        S_INIT("a\r\nb: c"),
        S_INIT("\xc3\xa9"),
        {long_id, 129},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        trace_request_id(bad[i], id);
        assert_true(uuid_valid(str_from(id)));
        assert_int_equal(id[14], '7');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed),
        cmocka_unit_test(malformed),
        cmocka_unit_test(handed_on),
        cmocka_unit_test(request_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

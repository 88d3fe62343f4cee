/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_put.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

static struct buf b;

static int setup(void **state)
{
    (void)state;
    buf_init(&b, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_free(&b);
    return 0;
}

static void assert_written(const char *want)
{
    assert_false(b.failed);
    if (!str_is(buf_view(&b), want))
        fail_msg("got '%.*s', want '%s'", STR_ARG(buf_view(&b)), want);
    buf_reset(&b);
}

static void places_commas(void **state)
{
    (void)state;
    json_put_open(&b, '{');
    json_put_close(&b, '}');
    assert_written("{}");

    json_put_open(&b, '{');
    json_put_kstr(&b, "s", S("ends in a comma,"));
    json_put_kstr(&b, "t", S("{"));
    json_put_kstr(&b, "none", str_of(NULL, 0));
    json_put_ki64(&b, "i", -5);
    json_put_kbool(&b, "b", true);
    json_put_kraw(&b, "r", S("[1, 2]"));
    json_put_kraw(&b, "absent", str_of(NULL, 0));
    json_put_ktime(&b, "at", 1);
    json_put_key(&b, "list");
    json_put_open(&b, '[');
    json_put_i64(&b, 1);
    json_put_null(&b);
    json_put_bool(&b, false);
    json_put_str(&b, S(""));
    json_put_open(&b, '[');
    json_put_close(&b, ']');
    json_put_open(&b, '{');
    json_put_close(&b, '}');
    json_put_raw(&b, S("1.0E+2"));
    json_put_raw(&b, S("0"));
    json_put_close(&b, ']');
    json_put_close(&b, '}');
    assert_written("{\"s\":\"ends in a comma,\",\"t\":\"{\",\"none\":null,\"i\":-5,\"b\":true,"
                   "\"r\":[1,2],\"absent\":null,\"at\":\"1970-01-01T00:00:00.000001Z\","
                   "\"list\":[1,null,false,\"\",[],{},1.0E+2,0]}");

    buf_str(&b, S("a line\n"));
    json_put_open(&b, '{');
    json_put_close(&b, '}');
    assert_written("a line\n{}");
}

static void escapes_as_go_does(void **state)
{
    (void)state;
    json_put_str(&b, S("plain"));
    assert_written("\"plain\"");
    json_put_str(&b, S("\"\\/\b\f\n\r\t\x01\x1f\x7f"));
    assert_written("\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"");
    json_put_str(&b, S("a\0b"));
    assert_written("\"a\\u0000b\"");
    json_put_str(&b, S("<b>&'"));
    assert_written("\"\\u003cb\\u003e\\u0026'\"");
    json_put_str(
        &b, S("\xE2\x80\xA7 \xE2\x80\xA8 \xE2\x80\xA9 \xE2\x80\xAA \xC3\xA9 \xF0\x9F\x98\x80"));
    assert_written("\"\xE2\x80\xA7 \\u2028 \\u2029 \xE2\x80\xAA \xC3\xA9 \xF0\x9F\x98\x80\"");
    json_put_str(&b, S("a\xFFz\xC3"));
    assert_written("\"a\\ufffdz\\ufffd\"");
    json_put_str(&b, S("\xED\xA0\x80\xC0\xAF\xE2\x80"));
    assert_written("\"\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\"");
    json_put_key(&b, "k\"<");
    assert_written("\"k\\\"\\u003c\":");
}

static void escapes_at_every_offset(void **state)
{
    (void)state;
    for (size_t n = 1; n < 40; n++) {
        for (size_t at = 0; at < n; at++) {
            char text[40], want[60];
            memset(text, 'x', n);
            text[at] = '\n';
            json_put_str(&b, str_of(text, n));
            snprintf(want, sizeof(want), "\"%.*s\\n%.*s\"", (int)at, text, (int)(n - at - 1),
                     text + at + 1);
            assert_written(want);
        }
    }
}

static void copies_raw_text(void **state)
{
    static const char *const pairs[][2] = {
        {"{\"a\": 1.50, \"b\": [1, 2]}", "{\"a\":1.50,\"b\":[1,2]}"},
        {" [ ] ", "[]"},
        {"\"a b\\\" c\"", "\"a b\\\" c\""},
        {"\"a\\\\\" ", "\"a\\\\\""},
        {"[\"<a>\", \"&\"]", "[\"\\u003ca\\u003e\",\"\\u0026\"]"},
        {"\"\xE2\x80\xA8\xE2\x80\xA9\xE2\x82\xAC\"", "\"\\u2028\\u2029\xE2\x82\xAC\""},
        {"123456789012345678901234567890.000", "123456789012345678901234567890.000"},
        {"{\"k \" :\t\"v \"\r\n}", "{\"k \":\"v \"}"},
        {"null", "null"},
        {"\"", "\""}, /* not JSON: still within bounds */
        {"\"\\", "\"\\"},
        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        size_t n = strlen(pairs[i][0]);
        char *exact = malloc(n ? n : 1); /* not a byte more, so that a sanitizer sees an overrun */
        assert_non_null(exact);
        memcpy(exact, pairs[i][0], n);
        json_put_raw(&b, str_of(exact, n));
        assert_written(pairs[i][1]);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_commas),
        cmocka_unit_test(escapes_as_go_does),
        cmocka_unit_test(escapes_at_every_offset),
        cmocka_unit_test(copies_raw_text),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "config_file.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct arena arena;
static struct err err;

static int open_arena(void **state)
{
    (void)state;
    arena_init(&arena, 65536);
    return 0;
}

static int close_arena(void **state)
{
    (void)state;
    arena_close(&arena);
    return 0;
}

/* The only entry of a file of one line. */
static struct config_file_entry one(const char *text)
{
    struct config_file f;
    struct config_file_entry entry = {0}, end = {0};
    config_file_begin(&f, "t.conf", str_from(text));
    assert_true(config_file_next(&f, &arena, &entry, &err));
    assert_true(config_file_next(&f, &arena, &end, &err));
    assert_null(end.name.p);
    return entry;
}

static void assert_value(const char *text, const char *value)
{
    struct config_file_entry entry = one(text);
    assert_true(str_is(entry.name, "a"));
    assert_non_null(entry.value.p);
    if (!str_is(entry.value, value))
        fail_msg("%s: got <%.*s>", text, STR_ARG(entry.value));
}

static void values(void **state)
{
    (void)state;
    assert_value("a = b", "b");
    assert_value("a=b", "b");
    assert_value("  a\t=\tb c \t", "b c");
    assert_value("a = b\r\n", "b");
    assert_value("\xef\xbb\xbf"
                 "a = b",
                 "b");
    assert_value("a =", "");
    assert_value("a = # nothing", "");
    assert_value("a = b # comment", "b");
    assert_value("a = b#c", "b#c");
    assert_value("a = x=y", "x=y");
    assert_value("a = postgres://u:p@h/d?x=1#f", "postgres://u:p@h/d?x=1#f");
    assert_value("a = \" b # c \" # d", " b # c ");
    assert_value("a = \"q\\\"s\\\\t\\n\\t\"", "q\"s\\t\n\t");
    assert_value("a = 'it \\n \"is\"'", "it \\n \"is\"");
    assert_value("a = \"\"", "");
    assert_value("a = it's", "it's");
}

static void lines_are_counted(void **state)
{
    struct config_file f;
    struct config_file_entry entry = {0};
    (void)state;
    config_file_begin(&f, "t.conf", S("# head\n\n  # more\na = 1\r\n\nb_2 = 2"));
    assert_true(config_file_next(&f, &arena, &entry, &err));
    assert_int_equal(entry.line, 4);
    assert_true(config_file_next(&f, &arena, &entry, &err));
    assert_int_equal(entry.line, 6);
    assert_true(str_is(entry.name, "b_2"));
    assert_true(config_file_next(&f, &arena, &entry, &err));
    assert_null(entry.name.p);
    assert_true(config_file_next(&f, &arena, &entry, &err)); /* and stays at the end */
    assert_null(entry.name.p);
}

static void refuses(const char *text, size_t n, const char *message)
{
    struct config_file f;
    struct config_file_entry entry = {0};
    config_file_begin(&f, "t.conf", str_of(text, n));
    assert_false(config_file_next(&f, &arena, &entry, &err));
    assert_int_equal(err.status, 2);
    assert_string_equal(err.code, "config");
    assert_string_equal(err.message, message);
}

static void mistakes(void **state)
{
    (void)state;
#define REFUSES(text, message) refuses(text, sizeof(text) - 1, message)
    REFUSES("\nlisten", "t.conf line 2: \"name = value\" is expected");
    REFUSES("[server]", "t.conf line 1: \"name = value\" is expected");
    REFUSES("= 1", "t.conf line 1: the name before \"=\" is missing");
    REFUSES("Listen = 1", "t.conf line 1: names are lower case; did you mean \"listen\"?");
    REFUSES("db-url = 1", "t.conf line 1: names are lower case; did you mean \"db_url\"?");
    REFUSES("a b = 1", "t.conf line 1: a name has lower-case letters, digits and \"_\" only");
    REFUSES("a = \"b", "t.conf line 1: the closing quote is missing");
    REFUSES("a = \"b\\\"", "t.conf line 1: the closing quote is missing");
    REFUSES("a = \"b\\", "t.conf line 1: after a backslash, one of \" \\ n t is expected");
    REFUSES("a = \"b\\x\"", "t.conf line 1: after a backslash, one of \" \\ n t is expected");
    REFUSES("a = 'b' c", "t.conf line 1: nothing but a comment may follow the closing quote");
    REFUSES("a = b\0c", "t.conf line 1: there is a control character");
    REFUSES("a = b\rc", "t.conf line 1: there is a control character");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(lines_are_counted),
        cmocka_unit_test(mistakes),
    };
    return cmocka_run_group_tests(tests, open_arena, close_arena);
}

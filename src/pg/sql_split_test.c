/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "pg/sql_split.c"

/* The statements of a script, joined by '|'. */
static void assert_split(const char *script, const char *expected)
{
    struct sql_split s = {.script = str_from(script)};
    struct str statement;
    CLEANUP(buf_free) struct buf got;
    buf_init(&got, 4096);
    while (sql_split_next(&s, &statement)) {
        if (got.n)
            buf_char(&got, '|');
        buf_str(&got, statement);
    }
    buf_char(&got, 0);
    assert_string_equal(got.p, expected);
}

static void test_plain(void **state)
{
    (void)state;
    assert_split("", "");
    assert_split(" ;; \n ; ", "");
    assert_split("select 1", "select 1");
    assert_split("select 1; select 2;", "select 1|select 2");
    assert_split("  select\n1 ;\n\n;select 2 -- done\n", "select\n1|select 2");
    assert_split("select a[1], b::text, 1e5, $1; x", "select a[1], b::text, 1e5, $1|x");
}

static void test_comments(void **state)
{
    (void)state;
    assert_split("-- a; b\nselect 1; -- c; d", "select 1");
    assert_split("/* a; /* b; */ c; */ select 1; /* open; ", "select 1");
    assert_split("select 1 -- x;\n + 2; y", "select 1 -- x;\n + 2|y");
    assert_split("select 1--;\n;y", "select 1|y");
    assert_split("select 4 / 2 - 1; y", "select 4 / 2 - 1|y");
}

static void test_quotes(void **state)
{
    (void)state;
    assert_split("select ';', 'it''s;'; y", "select ';', 'it''s;'|y");
    assert_split("select E'it\\';', e'\\\\'; y", "select E'it\\';', e'\\\\'|y");
    assert_split("select E'a''\\';b'; y", "select E'a''\\';b'|y");
    /* no escape string: the backslash is a character, the quote ends it */
    assert_split("select 'a\\'; y", "select 'a\\'|y");
    assert_split("select name'\\'; y", "select name'\\'|y");
    assert_split("select U&'\\0041;', B'1', \"a;\"\"b;\"; y",
                 "select U&'\\0041;', B'1', \"a;\"\"b;\"|y");
    assert_split("select 'open; y", "select 'open; y");
    assert_split("select E'open\\", "select E'open\\");
    assert_split("select \"open; y", "select \"open; y");
}

static void test_dollars(void **state)
{
    (void)state;
    assert_split("do $$ begin; end; $$; y", "do $$ begin; end; $$|y");
    assert_split("do $a$ $$;$b$;$$ $a$; y", "do $a$ $$;$b$;$$ $a$|y");
    assert_split("select $1; select a$b$; y", "select $1|select a$b$|y");
    assert_split("select $\xc3\xa4$ ; $\xc3\xa4$; y", "select $\xc3\xa4$ ; $\xc3\xa4$|y");
    assert_split("do $$ open; y", "do $$ open; y");
    assert_split("select $", "select $");
}

static void test_depth(void **state)
{
    (void)state;
    assert_split("create rule r as on insert to t do (select 1; select 2); y",
                 "create rule r as on insert to t do (select 1; select 2)|y");
    assert_split("select ')'; select (1)); y", "select ')'|select (1))|y");
    assert_split("create function f() returns int language sql begin atomic select 1; "
                 "select case when true then 1 end; end; y",
                 "create function f() returns int language sql begin atomic select 1; "
                 "select case when true then 1 end; end|y");
    assert_split("CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC select 1; END; y",
                 "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC select 1; END|y");
    assert_split("begin; create table t (); end; y", "begin|create table t ()|end|y");
    assert_split("create table function (begin int); begin; y",
                 "create table function (begin int)|begin|y");
}

static void test_word(void **state)
{
    (void)state;
    struct str s = S("rollback /* x */ to a");
    assert_true(str_is(sql_split_word(s, 0), "rollback"));
    assert_true(str_is(sql_split_word(s, 1), "to"));
    assert_true(str_is(sql_split_word(s, 3), ""));
    assert_true(str_is(sql_split_word(S("(select 1)"), 0), ""));
    assert_true(str_is(sql_split_word(S("\"begin\""), 0), ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),  cmocka_unit_test(test_comments),
        cmocka_unit_test(test_quotes), cmocka_unit_test(test_dollars),
        cmocka_unit_test(test_depth),  cmocka_unit_test(test_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

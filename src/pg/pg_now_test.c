/* SPDX-License-Identifier: Apache-2.0 */
#include "pg_now.c"

#include "pg/pg_test.h"

static struct pg_now *open_now(void)
{
    struct pg_now *c = NULL;
    struct err e;
    assert_true(pg_now_open(test_pg.conninfo, 5000, &c, &e));
    return c;
}

static void test_query(void **state)
{
    (void)state;
    CLEANUP(pg_now_close) struct pg_now *c = open_now();
    CLEANUP(pg_now_free) struct pg_result *r = NULL;
    struct err e;
    const struct str args[] = {S("it's"), {0}, S("")};
    assert_true(pg_now_query(c,
                             "select $1::text, $2::text, $3::text, 7, true,"
                             " timestamptz '2026-01-02 03:04:05.5+02', -9 union all"
                             " select null, '', null, 8, false, null, 1",
                             args, 3, &r, &e));
    assert_int_equal(pg_row_count(r), 2);
    assert_true(str_is(pg_row_str(r, 0, 0), "it's"));
    assert_true(pg_row_null(r, 0, 1));
    assert_null(pg_row_str(r, 0, 1).p);
    assert_non_null(pg_row_str(r, 0, 2).p);
    assert_int_equal(pg_row_str(r, 0, 2).n, 0);
    assert_int_equal(pg_row_i64(r, 0, 3), 7);
    assert_true(pg_row_bool(r, 0, 4));
    assert_false(pg_row_bool(r, 1, 4));
    assert_int_equal(pg_row_time(r, 0, 5), 1767315845500000);
    assert_int_equal(pg_row_time(r, 1, 5), 0);
    assert_int_equal(pg_row_i64(r, 0, 6), -9);
    assert_true(pg_now_server_version(c) >= 140000);
}

static void test_environment(void **state)
{
    (void)state;
    setenv("PGSERVICE", "nosuch", 1);
    setenv("PGOPTIONS", "-c statement_timeout=1", 1);
    setenv("PGCHANNELBINDING", "require", 1);
    setenv("PGTZ", "Asia/Tokyo", 1);
    pg_now_forget_environment();
    assert_null(getenv("PGSERVICE"));
    assert_null(getenv("PGTZ"));
    CLEANUP(pg_now_close) struct pg_now *c = open_now();
    assert_true(pg_now_script(c, "select pg_sleep(0.1)", NULL, &(struct err){0}));
}

static void test_errors(void **state)
{
    (void)state;
    CLEANUP(pg_now_close) struct pg_now *c = open_now();
    struct err e;
    int position = -1;
    const struct str nul = {"a\0b", 3};
    assert_false(pg_now_query(c, "select 1/0", NULL, 0, NULL, &e));
    assert_string_equal(e.message, "division by zero");
    assert_string_equal(e.sqlstate, "22012");
    assert_false(pg_now_query(c, "select $1::text", &nul, 1, NULL, &e));
    assert_int_equal(e.status, 400);
    assert_false(pg_now_script(c, "select 1; selct 2; select 3", &position, &e));
    assert_int_equal(position, 11);
    assert_string_equal(e.sqlstate, "42601");
    assert_false(
        pg_now_script(c, "create table gone(id int); copy gone from stdin; select 1", NULL, &e));
    assert_true(
        pg_now_script(c, "create table here(id int); insert into here values (1), (2)", NULL, &e));
    CLEANUP(pg_now_free) struct pg_result *r = NULL;
    assert_true(pg_now_query(c, "update here set id = id + 1", NULL, 0, &r, &e));
    assert_int_equal(pg_row_affected(r), 2);
}

static void test_open_fails(void **state)
{
    (void)state;
    struct pg_now *c = NULL;
    struct err e;
    assert_false(pg_now_open("host=/nowhere user=x password=hush", 2000, &c, &e));
    assert_int_equal(e.status, 503);
    assert_non_null(strstr(e.message, "/nowhere"));
    assert_null(strstr(e.message, "hush"));
    assert_false(pg_now_open("postgres://u:hush@h:1/db?bad=1", 2000, &c, &e));
    assert_null(strstr(e.message, "hush"));
    assert_null(strstr(e.detail, "hush"));
}

static void test_conninfo(void **state)
{
    (void)state;
    struct arena a;
    struct err e;
    const char *out;
    arena_init(&a, 1 << 20);
    assert_true(pg_now_conninfo("postgres://u:p@h1:1,h2:2/db?sslmode=require", S("o'b\\r"),
                                S("x y"), (struct str){0}, &a, &out, &e));
    PQconninfoOption *o = PQconninfoParse(out, NULL);
    assert_non_null(o);
    for (int i = 0; o[i].keyword; i++) {
        if (!strcmp(o[i].keyword, "user"))
            assert_string_equal(o[i].val, "o'b\\r");
        if (!strcmp(o[i].keyword, "password"))
            assert_string_equal(o[i].val, "x y");
        if (!strcmp(o[i].keyword, "host"))
            assert_string_equal(o[i].val, "h1,h2");
        if (!strcmp(o[i].keyword, "port"))
            assert_string_equal(o[i].val, "1,2");
        if (!strcmp(o[i].keyword, "dbname"))
            assert_string_equal(o[i].val, "db");
        if (!strcmp(o[i].keyword, "sslmode"))
            assert_string_equal(o[i].val, "require");
    }
    PQconninfoFree(o);
    arena_close(&a);
}

static void test_password_apart(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "postgres://u:p%40'x@h/db",
        "postgres://u@h/db?password=p%40'x",
        "host=h user=u dbname=db password='p@\\'x'",
    };
    struct arena a;
    struct err e = {0};
    struct str password;
    const char *out;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        assert_true(pg_now_without_password(forms[i], &a, &out, &password, &e));
        assert_true(str_is(password, "p@'x"));
        assert_null(strstr(out, "p@"));
        assert_non_null(strstr(out, "user='u'"));
    }
    assert_true(pg_now_without_password("host=h", &a, &out, &password, &e));
    assert_null(password.p);
    assert_false(pg_now_without_password("nonsense x", &a, &out, &password, &e));
    arena_close(&a);
}

static void test_quoting(void **state)
{
    (void)state;
    CLEANUP(pg_now_close) struct pg_now *c = open_now();
    struct arena a;
    arena_init(&a, 1 << 20);
    assert_true(str_is(pg_now_literal(c, S("o'b"), &a), "'o''b'"));
    assert_true(str_is(pg_now_identifier(c, S("a\"b"), &a), "\"a\"\"b\""));
    arena_close(&a);
}

int main(void)
{
    test_pg_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query),          cmocka_unit_test(test_environment),
        cmocka_unit_test(test_errors),         cmocka_unit_test(test_open_fails),
        cmocka_unit_test(test_conninfo),       cmocka_unit_test(test_quoting),
        cmocka_unit_test(test_password_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "route.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static bool handler(struct req *req, struct resp *resp, struct err *e)
{
    (void)req;
    (void)resp;
    (void)e;
    return true;
}

#define ROW(m, p)                                                \
    {                                                            \
        METHOD_##m, p, handler, ACCESS_OPEN, LIMIT_NONE, 0, 0, 0 \
    }

static const struct route rows[] = {
    ROW(GET, "/"),
    ROW(GET, "/users"),
    ROW(POST, "/users"),
    ROW(GET, "/users/{id}"),
    ROW(PUT, "/users/{id}"),
    ROW(GET, "/users/me"),
    ROW(DELETE, "/users/{id}/factors/{factor}"),
    ROW(GET, "/users/me/list"),
    ROW(GET, "/object/{bucket}/{rest...}"),
    ROW(GET, "/object/info/{bucket}/{rest...}"),
    ROW(HEAD, "/object/info/{bucket}/{rest...}"),
};

static struct route_table *table;

static int make(void **state)
{
    (void)state;
    struct route_list lists[] = {{rows, 3}, {rows + 3, sizeof(rows) / sizeof(rows[0]) - 3}};
    table = route_table_build(lists, 2);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    route_table_free(table);
    return 0;
}

static struct route_match m;

static const char *find(enum method method, const char *path)
{
    route_find(table, method, str_from(path), &m);
    return m.route ? m.route->path : NULL;
}

static void expect_param(int i, const char *want)
{
    assert_int_equal(m.params[i].n, strlen(want));
    assert_memory_equal(m.params[i].p, want, m.params[i].n);
}

static void test_find(void **state)
{
    (void)state;
    assert_string_equal(find(METHOD_GET, "/"), "/");
    assert_string_equal(find(METHOD_GET, "/users"), "/users");
    assert_ptr_equal((find(METHOD_POST, "/users"), m.route), &rows[2]);
    assert_string_equal(find(METHOD_GET, "/users/42"), "/users/{id}");
    expect_param(0, "42");
    assert_string_equal(find(METHOD_GET, "/users/me"), "/users/me");
    assert_string_equal(find(METHOD_PUT, "/users/me"), "/users/{id}");
    assert_string_equal(find(METHOD_DELETE, "/users/me/factors/f%2F1"),
                        "/users/{id}/factors/{factor}");
    expect_param(0, "me");
    expect_param(1, "f%2F1");
    assert_null(find(METHOD_GET, "/users/"));
    assert_false(m.path_known);
    assert_null(find(METHOD_GET, "/users/me/"));
    assert_null(find(METHOD_GET, "/nothing"));
    assert_null(find(METHOD_GET, "*"));
    assert_null(find(METHOD_GET, ""));
}

static void test_rest(void **state)
{
    (void)state;
    assert_string_equal(find(METHOD_GET, "/object/b/a/deep/name"), "/object/{bucket}/{rest...}");
    expect_param(0, "b");
    expect_param(1, "a/deep/name");
    assert_string_equal(find(METHOD_GET, "/object/info/b/x"), "/object/info/{bucket}/{rest...}");
    expect_param(0, "b");
    expect_param(1, "x");
    assert_string_equal(find(METHOD_GET, "/object/b/"), "/object/{bucket}/{rest...}");
    expect_param(1, "");
    assert_null(find(METHOD_GET, "/object/b"));
}

static void test_methods(void **state)
{
    (void)state;
    assert_string_equal(find(METHOD_HEAD, "/users"), "/users");
    assert_int_equal(m.route->method, METHOD_GET);
    find(METHOD_HEAD, "/object/info/b/x");
    assert_int_equal(m.route->method, METHOD_HEAD);
    assert_null(find(METHOD_DELETE, "/users"));
    assert_true(m.path_known);
    assert_int_equal(m.methods, 1U << METHOD_GET | 1U << METHOD_HEAD | 1U << METHOD_POST);
    assert_null(find(METHOD_NONE, "/users"));
    assert_true(m.path_known);
    find(METHOD_OPTIONS, "/users/me");
    assert_int_equal(m.methods, 1U << METHOD_GET | 1U << METHOD_HEAD | 1U << METHOD_PUT);
}

static void test_surface(void **state)
{
    (void)state;
    assert_int_equal(route_surface_of(S("/auth/v1/token")), SURFACE_AUTH);
    assert_int_equal(route_surface_of(S("/auth/v1")), SURFACE_AUTH);
    assert_int_equal(route_surface_of(S("/auth/v10")), SURFACE_NONE);
    assert_int_equal(route_surface_of(S("/api/auth/login")), SURFACE_APP);
    assert_int_equal(route_surface_of(S("/apis")), SURFACE_NONE);
    assert_int_equal(route_surface_of(S("/metrics")), SURFACE_ADMIN);
    assert_int_equal(route_surface_of(S("")), SURFACE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_find), cmocka_unit_test(test_rest),
                                       cmocka_unit_test(test_methods),
                                       cmocka_unit_test(test_surface)};
    return cmocka_run_group_tests(tests, make, drop);
}

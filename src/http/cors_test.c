/* SPDX-License-Identifier: Apache-2.0 */
#include "cors.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct arena a;
static struct head h;
static struct req req;
static struct resp resp;
static struct cors *c;

static int end(void **state)
{
    (void)state;
    cors_close(c);
    c = NULL;
    arena_close(&a);
    return 0;
}

static void open_with(const char *origins)
{
    struct err e;
    arena_init(&a, 65536);
    assert_true(cors_open(str_from(origins), S("x-mine"), &c, &e));
}

static void ask(const char *method, const char *fields)
{
    char text[2048];
    size_t scanned = 0, used;
    struct err e;
    int n = snprintf(text, sizeof(text), "%s /x HTTP/1.1\r\nHost: a\r\n%s\r\n", method, fields);
    char *kept = arena_alloc(&a, (size_t)n);
    memcpy(kept, text, (size_t)n);
    assert_int_equal(head_parse(str_of(kept, (size_t)n), &scanned, &h, &used, &e), HEAD_DONE);
    req = (struct req){.head = &h, .method = h.method};
    resp_init(&resp, &a);
}

static bool has(const char *line)
{
    size_t at;
    return str_find(buf_view(&resp.headers), str_from(line), &at);
}

static void test_any(void **state)
{
    (void)state;
    open_with("*");
    ask("GET", "Origin: https://x.example\r\n");
    cors_headers(c, &req, &resp);
    assert_true(has("Access-Control-Allow-Origin: *\r\n"));
    assert_true(has("Access-Control-Expose-Headers: X-Total-Count"));
    assert_false(has("Credentials"));
}

static bool allowed(const char *origin)
{
    char field[256];
    snprintf(field, sizeof(field), "Origin: %s\r\n", origin);
    ask("GET", field);
    cors_headers(c, &req, &resp);
    assert_true(has("Vary: Origin\r\n"));
    return has("Access-Control-Allow-Origin: ")
           && has("Access-Control-Allow-Credentials: true\r\n");
}

static void test_list(void **state)
{
    (void)state;
    open_with("https://app.example, http://localhost:3000,https://*.wild.example");
    assert_true(allowed("https://app.example"));
    assert_true(has("Access-Control-Allow-Origin: https://app.example\r\n"));
    assert_true(allowed("http://localhost:3000"));
    assert_true(allowed("https://a.wild.example"));
    assert_true(allowed("https://a.b.wild.example"));
    assert_false(allowed("https://wild.example"));
    assert_false(allowed("https://.wild.example"));
    assert_false(allowed("http://a.wild.example"));
    assert_false(allowed("https://evil.example/.wild.example"));
    assert_false(allowed("https://evil.example:1#.wild.example"));
    assert_false(allowed("https://app.example.evil"));
    assert_false(allowed("http://localhost:30000"));
    assert_false(allowed("null"));
}

static void test_setting(void **state)
{
    (void)state;
    static const char *const bad[] = {"app.example", "https://app.example/", "https://a.*.example",
                                      "https://*", "https://*.*.example"};
    struct err e;
    struct cors *none = NULL;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(cors_open(str_from(bad[i]), S(""), &none, &e));
        assert_string_equal(e.code, "cors_invalid");
    }
    open_with("");
    assert_false(allowed("https://app.example"));
}

#define PREFLIGHT "Origin: https://x.example\r\nAccess-Control-Request-Method: PUT\r\n"

static void test_preflight(void **state)
{
    (void)state;
    unsigned methods = 1U << METHOD_GET | 1U << METHOD_PUT;
    open_with("*");
    ask("OPTIONS", PREFLIGHT "Access-Control-Request-Headers: x-custom,apikey\r\n");
    assert_true(cors_preflight(c, &req, methods, &resp));
    assert_int_equal(resp.status, 204);
    assert_true(has("Access-Control-Allow-Methods: GET, PUT\r\n"));
    assert_true(has("x-mine, x-custom,apikey\r\n"));
    assert_true(has("Access-Control-Max-Age: 86400\r\n"));
    assert_false(has("Access-Control-Allow-Origin"));

    ask("OPTIONS", PREFLIGHT "Access-Control-Request-Headers: a: b\r\n");
    assert_true(cors_preflight(c, &req, 0, &resp));
    assert_false(has("a: b"));
    assert_true(has("GET, HEAD, POST, PUT, PATCH, DELETE"));

    ask("OPTIONS", "Origin: https://x.example\r\n");
    assert_false(cors_preflight(c, &req, methods, &resp));
    ask("GET", PREFLIGHT);
    assert_false(cors_preflight(c, &req, methods, &resp));
}

static void test_preflight_refused(void **state)
{
    (void)state;
    open_with("https://app.example");
    ask("OPTIONS", PREFLIGHT);
    assert_true(cors_preflight(c, &req, 0, &resp));
    assert_false(has("Access-Control-Allow-Methods"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_any, end),
        cmocka_unit_test_teardown(test_list, end),
        cmocka_unit_test_teardown(test_setting, end),
        cmocka_unit_test_teardown(test_preflight, end),
        cmocka_unit_test_teardown(test_preflight_refused, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

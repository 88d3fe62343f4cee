/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

static struct arena a;

struct body {
    struct str name, password, id, data, list, any, number;
    struct json_i64 age;
    enum json_bool ok;
};

static const struct json_field fields[] = {
    JSON_FIELD(struct body, name, JSON_STR, 10, JSON_REQUIRED),
    JSON_FIELD(struct body, password, JSON_SECRET, 10, 0),
    JSON_FIELD(struct body, id, JSON_UUID, 0, 0),
    JSON_FIELD(struct body, data, JSON_OBJECT, 40, 0),
    JSON_FIELD(struct body, list, JSON_ARRAY, 0, 0),
    JSON_FIELD(struct body, any, JSON_ANY, 0, 0),
    JSON_FIELD(struct body, number, JSON_NUMBER, 0, 0),
    JSON_FIELD(struct body, age, JSON_I64, 150, 0),
    JSON_FIELD_AS(struct body, ok, "is-ok", JSON_BOOL, 0, 0),
};
static const struct json_shape open_shape = {fields, sizeof(fields) / sizeof(fields[0]), false};
static const struct json_shape closed_shape = {fields, sizeof(fields) / sizeof(fields[0]), true};

static void assert_str(struct str got, const char *want)
{
    if (!got.p || !str_is(got, want))
        fail_msg("got '%.*s', want '%s'", STR_ARG(got), want);
}

static int setup(void **state)
{
    (void)state;
    arena_init(&a, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_close(&a);
    return 0;
}

static void reads_every_type(void **state)
{
    struct body in = {.any = S("before")};
    struct err e = {0};
    (void)state;
    assert_true(json_read(S(" {\"name\" : \"gr\\u00fc\\n\\ud83d\\ude00\", \"password\":\"\", "
                            "\"id\":\"F81D4FAE-7dec-11d0-A765-00a0c91e6bf6\",\n"
                            "\"data\": { \"p\" : 0.10, \"q\": [ 1 , \" a\\\"b \" ] }, "
                            "\"list\":[ ], \"any\":null, \"number\":-1.50e+3, \"age\":150, "
                            "\"is-ok\":false, \"more\":{\"x\":[null]}} "),
                          &open_shape, &in, &a, &e));
    assert_str(in.name, "gr\xC3\xBC\n\xF0\x9F\x98\x80");
    assert_str(in.password, "");
    assert_str(in.id, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6");
    assert_str(in.data, "{\"p\":0.10,\"q\":[1,\" a\\\"b \"]}");
    assert_str(in.list, "[]");
    assert_str(in.any, "before"); /* null leaves it */
    assert_str(in.number, "-1.50e+3");
    assert_true(in.age.present && in.age.value == 150);
    assert_int_equal(in.ok, JSON_FALSE);
    assert_int_equal(e.status, 0);
}

static void reads_escaped_names_and_big_numbers(void **state)
{
    struct body in = {0};
    struct err e = {0};
    (void)state;
    assert_true(json_read(S("{\"n\\u0061me\":\"x\",\"number\":123456789012345678901234567890,"
                            "\"any\":\"\\u0041\"}"),
                          &closed_shape, &in, &a, &e));
    assert_str(in.name, "x");
    assert_str(in.number, "123456789012345678901234567890");
    assert_str(in.any, "\"\\u0041\"");
}

static void refuse(const char *body, const struct json_shape *shape, const char *code,
                   const char *mention)
{
    struct body in = {0};
    struct err e = {0};
    if (json_read(str_from(body), shape, &in, &a, &e))
        fail_msg("taken: %s", body);
    assert_int_equal(e.status, 400);
    if (strcmp(e.code, code) != 0 || !strstr(e.message, mention))
        fail_msg("%s: %s: %s", body, e.code, e.message);
}

static void refuses_bad_json(void **state)
{
    static const char *const bad[][2] = {
        {"", "end"},
        {"  ", "end"},
        {"[]", "object"},
        {"\"a\"", "object"},
        {"null", "object"},
        {"{", "end"},
        {"{\"a\":1}x", "after"},
        {"{\"a\":1,\"a\":2}", "duplicate"},
        {"{\"x\":{\"a\":1,\"\\u0061\":2}}", "duplicate"},
        {"{\"a\":\"\\u0000\"}", "NUL"},
        {"{\"\\u0000\":1}", "NUL"},
        {"{\"a\":\"\xff\"}", "UTF-8"},
        {"{\"a\":\"\xed\xa0\x80\"}", "UTF-8"},
        {"{\"a\":\"\\ud800\"}", "syntax"},
        {"{\"a\":\"\t\"}", "syntax"},
        {"{\"a\":01}", "syntax"},
        {"{\"a\":+1}", "syntax"},
        {"{\"a\":1.}", "syntax"},
        {"{\"a\":NaN}", "syntax"},
        {"{\"a\":1e999}", "range"},
        {"{\"a\":1,}", "syntax"},
        {"{a:1}", "syntax"},
        {"{'a':1}", "syntax"},
        {"{\"a\":1}{}", "after"},
        {"/**/{}", "syntax"},
        {"\xEF\xBB\xBF{}", "syntax"},
    };
    struct body in = {0};
    struct err e = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refuse(bad[i][0], &open_shape, "bad_json", bad[i][1]);
    assert_false(json_read(S("{\"a\":1}\0"), &open_shape, &in, &a, &e));
    assert_string_equal(e.code, "bad_json");
    assert_false(json_read(S("{\"a\":1\0}"), &open_shape, &in, &a, &e)); /* jansson takes it */
    assert_string_equal(e.message, "Invalid JSON: NUL character");
    assert_false(json_read(str_of(NULL, 0), &open_shape, &in, &a, &e));
    assert_string_equal(e.code, "bad_json");
}

static void never_repeats_the_body(void **state)
{
    struct body in = {0};
    struct err e = {0};
    (void)state;
    assert_false(json_read(S("{\"password\": hunter2}"), &open_shape, &in, &a, &e));
    assert_null(strstr(e.message, "hunter"));
    assert_false(json_read(S("{\"name\":\"x\",\"password\":\"correct horse battery\"}"),
                           &open_shape, &in, &a, &e));
    assert_string_equal(e.message, "password must be at most 10 bytes long");
    assert_string_equal(e.detail, "");
}

static void names_the_wrong_field(void **state)
{
    (void)state;
    refuse("{}", &open_shape, "validation_failed", "name is required");
    refuse("{\"name\":null}", &open_shape, "validation_failed", "name is required");
    refuse("{\"name\":1}", &open_shape, "validation_failed", "name must be a string");
    refuse("{\"name\":\"elevenbytes\"}", &open_shape, "validation_failed",
           "name must be at most 10");
    refuse("{\"id\":\"x\"}", &open_shape, "validation_failed", "id must be a UUID");
    refuse("{\"data\":[]}", &open_shape, "validation_failed", "data must be an object");
    refuse("{\"data\":{\"a\":\"0123456789012345678901234567890123456789\"}}", &open_shape,
           "validation_failed", "data must be at most 40 bytes");
    refuse("{\"list\":{}}", &open_shape, "validation_failed", "list must be an array");
    refuse("{\"number\":\"1\"}", &open_shape, "validation_failed", "number must be a number");
    refuse("{\"age\":151}", &open_shape, "validation_failed", "age must be at most 150");
    refuse("{\"age\":1.0}", &open_shape, "validation_failed", "age must be an integer");
    refuse("{\"age\":9223372036854775808}", &open_shape, "validation_failed", "age");
    refuse("{\"is-ok\":\"true\"}", &open_shape, "validation_failed", "is-ok must be a boolean");
    refuse("{\"is_admin\":true,\"name\":\"x\"}", &closed_shape, "validation_failed", "is_admin");
    refuse("{\"012345678901234567890123456789012345678\xC3\xBCxyz\":1}", &closed_shape,
           "validation_failed", "unknown field 012345678901234567890123456789012345678…");
}

static void counts_depth_outside_strings(void **state)
{
    char text[400];
    struct err e = {0};
    (void)state;
    for (int depth = 64; depth <= 65; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        assert_int_equal(json_valid(str_of(text, 2 * (size_t)depth), &e), depth == 64);
    }
    assert_string_equal(e.code, "bad_json");
    memset(text, '[', sizeof(text));
    memcpy(text, "\"\\\"", 3);
    text[sizeof(text) - 1] = '"';
    assert_true(json_valid(str_of(text, sizeof(text)), &e));
    assert_true(json_valid(S("\"\\\\\""), &e));
    assert_true(json_valid(S(" 1 "), &e));
    assert_false(json_valid(S("\""), &e));
    assert_false(json_valid(S("\"\\"), &e));
}

static void fits_its_memory_or_says_413(void **state)
{
    struct arena tiny;
    struct body in = {0};
    struct err e = {0};
    (void)state;
    arena_init(&tiny, 4);
    assert_false(json_read(S("{\"name\":\"hello\"}"), &open_shape, &in, &tiny, &e));
    assert_int_equal(e.status, 413);
    assert_string_equal(e.code, "request_entity_too_large");
    arena_close(&tiny);

    size_t n = 2 << 20; /* each "[]," becomes two hundred bytes of tree */
    char *text = malloc(n + 1);
    assert_non_null(text);
    for (size_t i = 0; i < n; i++)
        text[i] = "[],"[i % 3];
    text[0] = '[';
    text[1] = '1';
    text[n] = ']';
    err_clear(&e);
    assert_false(json_valid(str_of(text, n + 1), &e));
    assert_int_equal(e.status, 413);
    free(text);
    err_clear(&e);
    assert_true(json_valid(S("[]"), &e)); /* and the budget came back */
}

static void gets_one_member(void **state)
{
    struct str o = S(" {\"a\": \"x\\ty\", \"n\": null, \"i\": 42, \"b\": true, \"o\": { \"a\": 1 },"
                     "\"tw\\u0069ce\": 1, \"twice\": 2}");
    struct str s = S("before");
    struct json_i64 i = {0};
    enum json_bool b = JSON_ABSENT;
    (void)state;
    assert_true(json_get(o, "a", JSON_STR, &s, &a));
    assert_str(s, "x\ty");
    assert_true(json_get(o, "a", JSON_ANY, &s, &a));
    assert_str(s, "\"x\\ty\"");
    assert_true(json_get(o, "o", JSON_OBJECT, &s, &a));
    assert_str(s, "{\"a\":1}");
    assert_true(json_get(o, "i", JSON_I64, &i, &a));
    assert_true(i.present && i.value == 42);
    assert_true(json_get(o, "b", JSON_BOOL, &b, &a));
    assert_int_equal(b, JSON_TRUE);
    s = S("before");
    assert_false(json_get(o, "n", JSON_ANY, &s, &a));
    assert_false(json_get(o, "x", JSON_ANY, &s, &a));
    assert_false(json_get(o, "i", JSON_STR, &s, &a));
    assert_false(json_get(o, "twice", JSON_ANY, &s, &a)); /* two spellings of one name */
    assert_str(s, "before");
    const char *bad[] = {"",
                         "[]",
                         "null",
                         "1",
                         "{",
                         "{\"a\"",
                         "{\"a\":",
                         "{\"a\":1",
                         "{\"a\":1,}",
                         "{\"a\":1}x",
                         "{\"a\":tru}",
                         "{\"a\":1 2}",
                         "{\"a\":[1,]}",
                         "{,\"a\":1}",
                         "{\"a\":01}",
                         "{\"a\":1.}",
                         "{\"a\":1e}",
                         "{\"a\":-}",
                         "{\"a\":\"\xff\"}",
                         "{\"a\":\"\n\"}",
                         "{\"a\":[}]}",
                         "{\"a\":1,\"b\":\"\\"};
    for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++)
        if (json_get(str_from(bad[k]), "a", JSON_ANY, &s, &a))
            fail_msg("taken: %s", bad[k]);
    assert_false(json_get(str_of(NULL, 0), "a", JSON_ANY, &s, &a));
}

static void merge(const char *x, const char *y, const char *want)
{
    struct str out = {0};
    struct err e = {0};
    if (!json_merge(str_from(x), str_from(y), &a, &out, &e))
        fail_msg("%s + %s: %s", x, y, e.message);
    assert_str(out, want);
}

static void merges_the_top_level(void **state)
{
    struct str out = S("before");
    struct err e = {0};
    (void)state;
    merge("{}", "{}", "{}");
    merge("{\"a\":1}", "{}", "{\"a\":1}");
    merge("{}", "{\"a\": 1.50 }", "{\"a\":1.50}");
    merge("{\"a\":{\"x\":1},\"b\":2}", "{\"c\":3,\"a\":{\"y\":2}}",
          "{\"a\":{\"y\":2},\"b\":2,\"c\":3}");
    merge("{\"a\":1,\"b\":null}", "{\"a\":null,\"z\":null}", "{\"b\":null}");
    merge("{\"a\":1,\"b\":2}", "{\"\\u0061\":\"<\"}", "{\"a\":\"<\",\"b\":2}");
    merge("{\"\\u0061\":1}", "{\"a\":2,\"b\":3}", "{\"\\u0061\":2,\"b\":3}");
    assert_true(json_merge(str_of(NULL, 0), S("{\"a\":1}"), &a, &out, &e));
    assert_str(out, "{\"a\":1}");
    out = S("before");
    assert_false(json_merge(S("[]"), S("{}"), &a, &out, &e));
    assert_string_equal(e.code, "bad_json");
    assert_false(json_merge(S("{}"), S("{\"a\":1,\"a\":2}"), &a, &out, &e));
    assert_str(out, "before");
    struct arena tiny;
    arena_init(&tiny, 8);
    assert_false(json_merge(S("{}"), S("{\"a\":1}"), &tiny, &out, &e));
    assert_int_equal(e.status, 413);
    arena_close(&tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_type),
        cmocka_unit_test(reads_escaped_names_and_big_numbers),
        cmocka_unit_test(refuses_bad_json),
        cmocka_unit_test(never_repeats_the_body),
        cmocka_unit_test(names_the_wrong_field),
        cmocka_unit_test(counts_depth_outside_strings),
        cmocka_unit_test(fits_its_memory_or_says_413),
        cmocka_unit_test(gets_one_member),
        cmocka_unit_test(merges_the_top_level),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/url.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct arena a;

static void assert_decodes(const char *text, bool plus, const char *want)
{
    struct str got = url_decode(&a, str_from(text), plus);
    if (want ? !got.p || !str_is(got, want) : got.p != NULL)
        fail_msg("%s: got '%.*s'", text, STR_ARG(got));
}

static void decodes(void **state)
{
    (void)state;
    assert_decodes("", false, "");
    assert_decodes("a%20b+c", false, "a b+c");
    assert_decodes("a%20b+c", true, "a b c");
    assert_decodes("%c3%BC", false, "\xC3\xBC");
    const char *bad[] = {"%", "%2", "a%", "%zz", "%2g", "%00", "%ff", "%c3", "%ed%a0%80", "%%20"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_decodes(bad[i], true, NULL);
    assert_null(url_decode(&a, S("a\0b"), false).p);
    assert_null(url_decode(&a, str_of(NULL, 0), false).p);
}

static void encodes(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 100);
    url_encode(&b, S("a-z_A.Z~0 /?&=+%\xC3\xBC"));
    assert_true(str_eq(buf_view(&b), S("a-z_A.Z~0%20%2F%3F%26%3D%2B%25%C3%BC")));
    buf_free(&b);
}

static void walks_queries(void **state)
{
    struct str rest = S("a=1&&b&=x&c=%zz&%zz=1&d=e=f&a=2&"), name, value;
    const char *names[] = {"a", "b", "", "c", NULL, "d", "a"};
    const char *values[] = {"1", "", "x", NULL, "1", "e=f", "2"};
    size_t n = 0;
    (void)state;
    for (; url_query_next(&a, &rest, &name, &value); n++) {
        assert_true(n < 7);
        assert_true(names[n] ? str_is(name, names[n]) : !name.p);
        assert_true(values[n] ? value.p && str_is(value, values[n]) : !value.p);
    }
    assert_int_equal(n, 7);
    rest = str_of(NULL, 0);
    assert_false(url_query_next(&a, &rest, &name, &value));

    struct str q = S("apikey=k%2b1&x%5By%5D=2&apikey=other&bad=%zz&flag");
    assert_true(str_eq(url_query_get(&a, q, "apikey"), S("k+1")));
    assert_true(str_eq(url_query_get(&a, q, "x[y]"), S("2")));
    assert_non_null(url_query_get(&a, q, "flag").p);
    assert_null(url_query_get(&a, q, "bad").p);
    assert_null(url_query_get(&a, q, "apike").p);
    assert_null(url_query_get(&a, q, "apikeys").p);
    assert_null(url_query_get(&a, str_of(NULL, 0), "a").p);
}

static void parses_urls(void **state)
{
    struct url_parts u;
    (void)state;
    assert_true(url_parse(S("https://us:er@Example.com:8443/p/a?q=1?2#f#g"), &u));
    assert_true(str_eq(u.scheme, S("https")) && str_eq(u.userinfo, S("us:er")));
    assert_true(str_eq(u.host, S("Example.com")) && u.port == 8443);
    assert_true(str_eq(u.path, S("/p/a")) && str_eq(u.query, S("q=1?2")));
    assert_true(str_eq(u.fragment, S("f#g")));

    assert_true(url_parse(S("http://a"), &u));
    assert_int_equal(u.port, -1);
    assert_int_equal(u.path.n, 0);
    assert_null(u.userinfo.p);
    assert_null(u.query.p);
    assert_null(u.fragment.p);
    assert_true(url_parse(S("http://a:/?#"), &u));
    assert_int_equal(u.port, -1);
    assert_non_null(u.query.p);
    assert_true(url_parse(S("http://[::1]:80"), &u));
    assert_true(str_eq(u.host, S("::1")) && u.port == 80);
    assert_true(url_parse(S("http://a@b@evil"), &u)); /* the last @ counts */
    assert_true(str_eq(u.host, S("evil")));
    assert_true(url_parse(S("postgresql:///db"), &u));
    assert_true(u.host.p && u.host.n == 0);
    assert_true(url_parse(S("com.app+x://callback"), &u));

    const char *bad[] = {"",
                         "http",
                         "http:",
                         "http:/a",
                         "//a/b",
                         "1http://a",
                         "ht tp://a",
                         "http://a b",
                         "http://a\\b",
                         "http://a:b",
                         "http://a:65536",
                         "http://a:-1",
                         "http://a:080000",
                         "http://[::1",
                         "http://[::1]x",
                         "http://[]",
                         "http://a]",
                         "http://[[::1]]",
                         "http://a\nb",
                         "://a",
                         "http://a/<script>",
                         "http://a:1:2",
                         "http://::1/"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (url_parse(str_from(bad[i]), &u))
            fail_msg("taken: %s", bad[i]);
    assert_false(url_parse(S("http://a\0b"), &u));
    assert_false(url_parse(str_of(NULL, 0), &u));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes),
        cmocka_unit_test(encodes),
        cmocka_unit_test(walks_queries),
        cmocka_unit_test(parses_urls),
    };
    arena_init(&a, 1 << 20);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    arena_close(&a);
    return failures;
}

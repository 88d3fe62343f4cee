/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/redirect.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct str site = S_INIT("https://app.example.com");
static const struct str list = S_INIT(
    "https://*.preview.example.net/**, myapp://callback, exp://**,http://localhost:3000/{a,b}");

static const struct {
    const char *url;
    bool allowed;
} cases[] = {
    {"https://app.example.com", true},
    {"https://app.example.com/deep/path?x=1#frag", true},
    {"https://APP.example.com:443/", true},
    {"http://app.example.com/", false},
    {"https://app.example.com:8443/", false},
    {"https://app.example.com.evil.test/", false},
    {"https://app.example.com@evil.test/", false},
    {"https://user@app.example.com/", false},
    {"https://evil.test\\@app.example.com/", false},
    {"https://evil.test\\.preview.example.net/", false},
    {"https://one.preview.example.net/cb?next=/x#y", true},
    {"https://one.two.preview.example.net/", false},
    {"https://preview.example.net/", false},
    {"https://evil.test/.preview.example.net/", false},
    {"https://evil.test#.preview.example.net/", false},
    {"https://evil.test?.preview.example.net/", false},
    {"https://evil?e.preview.example.net/", false},
    {"https://evil?.preview.example.net/", false},
    {"https://app.example.com?x=1", true},
    {"https://evil%2etest.preview.example.net/", false},
    {"https://a\tb.preview.example.net/", false},
    {"https://a\nb.preview.example.net/", false},
    {" https://app.example.com", false},
    {"https://app.example.com\r\nSet-Cookie: a=b", false},
    {"myapp://callback", true},
    {"myapp://callback#x", true},
    {"myapp://other", false},
    {"exp://192.168.0.1:19000", false},
    {"exp://127.0.0.1:19000", true},
    {"exp://u.exp.direct/--/cb", true},
    {"javascript:alert(1)", false},
    {"javascript://app.example.com/%0aalert(1)", false},
    {"javascript://127.0.0.1/%0aalert(1)", false},
    {"data:text/html,x", false},
    {"//app.example.com/", false},
    {"/relative", false},
    {"https://app.example.com/\xf4\x01", false},
    {"https://", false},
    {"https:///app.example.com", false},
    {"http://2130706433/", false},
    {"http://0x7f000001/", false},
    {"http://127.1/", false},
    {"http://127.0.0.1:5555/cb", true},
    {"http://[::1]:5555/cb", true},
    {"http://[127.::1]/", false},
    {"http://10.0.0.1/", false},
    {"http://[::ffff:10.0.0.1]/", false},
    {"http://localhost:3000/a", true},
    {"http://localhost:3000/c", false},
    {"", false},
};

static void targets(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (redirect_allowed(site, list, str_from(cases[i].url)) != cases[i].allowed)
            fail_msg("%s", cases[i].url);
}

static void loopback_sites(void **state)
{
    (void)state;
    assert_true(redirect_allowed(S("http://localhost:3000"), S(""), S("http://localhost:5173/x")));
    assert_true(redirect_allowed(S("http://127.0.0.1:3000"), S(""), S("http://127.0.0.1:9/")));
    assert_false(
        redirect_allowed(S("http://localhost:3000"), S(""), S("https://localhost:3000/x")));
    assert_false(
        redirect_allowed(S("http://localhost:3000"), S(""), S("http://localhost.evil.test/")));
    assert_false(redirect_allowed(S("not a url"), S(""), S("http://localhost:3000")));
}

static void two_stars_in_a_name(void **state)
{
    static const struct str names = S_INIT("https://**.example.net/**,https://**-team.example.org");
    (void)state;
    assert_true(redirect_allowed(site, names, S("https://a.b.example.net/cb")));
    assert_true(redirect_allowed(site, names, S("https://a-team.example.org")));
    assert_false(redirect_allowed(site, names, S("https://evil.test/.example.net/cb")));
    assert_false(redirect_allowed(site, names, S("https://evil.test/?.example.net/cb")));
    assert_false(redirect_allowed(site, names, S("https://evil.test?.example.net/cb")));
    assert_false(redirect_allowed(site, names, S("https://evil.test/-team.example.org")));
    assert_true(redirect_allowed(site, S("https://**"), S("https://any.test/where")));
    assert_true(redirect_allowed(site, S("myapp://**"), S("myapp://any/where")));
}

static void bounds(void **state)
{
    static char url[GLOB_TEXT_MAX + 1];
    (void)state;
    memset(url, 'a', sizeof(url));
    memcpy(url, "exp://u.exp.direct/", 19);
    assert_true(redirect_allowed(site, list, str_of(url, GLOB_TEXT_MAX)));
    assert_false(redirect_allowed(site, list, str_of(url, sizeof(url))));
    assert_false(redirect_allowed(site, S("{a"), S("https://a.test/")));
    assert_false(redirect_allowed(site, S("\\"), S("https://a.test/")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets),
        cmocka_unit_test(loopback_sites),
        cmocka_unit_test(two_stars_in_a_name),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

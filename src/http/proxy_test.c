/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static struct proxy_list *list;

static int make(void **state)
{
    (void)state;
    struct err e;
    return proxy_open("10.0.0.0/8, 192.168.1.7,fd00::/9 ,::1", &list, &e) ? 0 : -1;
}

static int drop(void **state)
{
    (void)state;
    proxy_close(list);
    return 0;
}

static void test_trust(void **state)
{
    (void)state;
    assert_true(proxy_trusts(list, S("10.255.0.1")));
    assert_false(proxy_trusts(list, S("11.0.0.1")));
    assert_true(proxy_trusts(list, S("192.168.1.7")));
    assert_false(proxy_trusts(list, S("192.168.1.6")));
    assert_true(proxy_trusts(list, S("::ffff:10.1.2.3")));
    assert_true(proxy_trusts(list, S("fd7f::1")));
    assert_false(proxy_trusts(list, S("fd80::1")));
    assert_true(proxy_trusts(list, S("::1")));
    assert_false(proxy_trusts(list, S("")));
    assert_false(proxy_trusts(list, S("unix")));
}

static void test_setting(void **state)
{
    (void)state;
    static const char *const bad[] = {"10.0.0.0/33", "10.0.0",    "x",
                                      "::1/129",     "10.0.0.0/", "10.0.0.0/8/8"};
    struct proxy_list *p = NULL;
    struct err e;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(proxy_open(bad[i], &p, &e));
        assert_string_equal(e.code, "proxy_invalid");
    }
    assert_true(proxy_open(NULL, &p, &e));
    assert_false(proxy_trusts(p, S("127.0.0.1")));
    proxy_close(p);
}

static void expect(const char *fields, const char *want, bool https)
{
    static struct head h;
    char text[512];
    size_t scanned = 0, used;
    struct err e;
    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
    assert_int_equal(head_parse(str_from(text), &scanned, &h, &used, &e), HEAD_DONE);
    struct str ip = proxy_client(list, &h, S("10.0.0.1"));
    assert_int_equal(ip.n, strlen(want));
    assert_memory_equal(ip.p, want, ip.n);
    assert_int_equal(proxy_https(&h), https);
}

static void test_client(void **state)
{
    (void)state;
    expect("", "10.0.0.1", false);
    expect("X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n", "1.2.3.4", true);
    expect("X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.0.0.2\r\n", "1.2.3.4", false);
    expect("X-Forwarded-For: 6.6.6.6, 1.2.3.4\r\nX-Forwarded-For: 10.0.0.2\r\n", "1.2.3.4", false);
    expect("X-Forwarded-For: 10.9.9.9\r\n", "10.9.9.9", false);
    expect("X-Forwarded-For: 1.2.3.4, junk\r\n", "10.0.0.1", false);
    expect("X-Forwarded-For: junk, 1.2.3.4:5555\r\n", "1.2.3.4", false);
    expect("X-Forwarded-For: \"[2001:db8::1]:9\"\r\n", "2001:db8::1", false);
    expect("X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1", false);
    expect("X-Forwarded-For:\r\n", "10.0.0.1", false);
    expect("X-Forwarded-For: [\r\n", "10.0.0.1", false);
    expect("X-Forwarded-For: []\r\n", "10.0.0.1", false);
    expect("X-Forwarded-Proto: https, http\r\n", "10.0.0.1", false);
    expect("Forwarded: for=6.6.6.6, for=\"[2001:db8::2]:1\";proto=https, by=x;for=10.0.0.3\r\n",
           "2001:db8::2", false);
    expect("Forwarded: for=_hidden\r\n", "10.0.0.1", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_trust), cmocka_unit_test(test_setting),
                                       cmocka_unit_test(test_client)};
    return cmocka_run_group_tests(tests, make, drop);
}

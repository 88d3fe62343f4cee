/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/network.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static bool same(const char *a, const char *b)
{
    return network_same(network_of(str_from(a)), network_of(str_from(b)));
}

static void a_subscriber_is_one_network(void **state)
{
    (void)state;
    assert_true(same("203.0.113.7", "203.0.113.7"));
    assert_false(same("203.0.113.7", "203.0.113.8"));
    assert_true(same("203.0.113.7", "::ffff:203.0.113.7"));
    assert_true(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
    assert_false(same("2001:db8:1:2::1", "2001:db8:1:3::1"));
    assert_int_equal(network_of(S("no address")).n, 0);
    assert_int_equal(network_of(S("")).n, 0);
    assert_int_equal(network_of(S("1111:1111:1111:1111:1111:1111:1111:1111:1111:1111")).n, 0);
}

static void private_ones_are_known(void **state)
{
    static const char *const private[] = {"127.0.0.1",  "::1",        "10.1.2.3",
                                          "172.16.0.1", "172.31.9.9", "192.168.0.1",
                                          "100.64.0.1", "fd00::1",    "fe80::1"};
    static const char *const public[] = {"8.8.8.8",     "172.32.0.1",  "192.169.0.1",
                                         "100.128.0.1", "2001:db8::1", "not an address"};
    (void)state;
    for (size_t i = 0; i < sizeof(private) / sizeof(private[0]); i++)
        assert_true(network_private(network_of(str_from(private[i]))));
    for (size_t i = 0; i < sizeof(public) / sizeof(public[0]); i++)
        assert_false(network_private(network_of(str_from(public[i]))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_subscriber_is_one_network),
        cmocka_unit_test(private_ones_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

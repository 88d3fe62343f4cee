/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses to listen on; accepting is tested in sock_test.c, with connections. */
#include "sock_listener.c"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void refused(struct str host_port, const char *code)
{
    struct err e = {0};
    struct sock_listener *l;
    assert_false(sock_listener_open(host_port, 16, &l, &e));
    assert_string_equal(e.code, code);
    assert_int_equal(e.status, 500);
}

static void addresses(void **state)
{
    (void)state;
    struct err e = {0};
    struct sock_listener *a, *b;
    char text[64];
    assert_true(loop_create_all(1, &e));
    assert_true(sock_listener_open(S("localhost:0"), 16, &a, &e));
    struct sock_addr where = sock_listener_addr(a);
    assert_string_equal(where.ip, "127.0.0.1");
    snprintf(text, sizeof(text), "127.0.0.1:%d", where.port);
    refused(str_from(text), "address_in_use");
    sock_listener_close(a);
    assert_true(sock_listener_open(str_from(text), 16, &a, &e));
    sock_listener_close(a);
    if (sock_listener_open(S("[::1]:0"), 16, &b, &e)) { /* unless the machine has no IPv6 */
        assert_string_equal(sock_listener_addr(b).ip, "::1");
        sock_listener_close(b);
    }
    refused(S("8000"), "address_invalid");
    refused(S(":8000"), "address_invalid");
    refused(S("::1:8000"), "address_invalid");
    refused(S("127.0.0.1:65536"), "address_invalid");
    refused(S("127.0.0.1:"), "address_invalid");
    refused(S("127.0.0.1:80x"), "address_invalid");
    refused(S("192.0.2.1:8000"), "address_invalid"); /* TEST-NET: not ours */
    loop_stop_all();
    loop_run_all();
}

static void mapped_name(void **state)
{
    (void)state;
    union sock_name n = {.v6 = {.sin6_family = AF_INET6, .sin6_port = htons(7)}};
    inet_pton(AF_INET6, "::ffff:192.0.2.7", &n.v6.sin6_addr);
    assert_string_equal(sock_name_text(&n).ip, "192.0.2.7");
    assert_int_equal(sock_name_text(&n).port, 7);
    inet_pton(AF_INET6, "2001:db8::1", &n.v6.sin6_addr);
    assert_string_equal(sock_name_text(&n).ip, "2001:db8::1");
    n.family = AF_UNIX;
    assert_string_equal(sock_name_text(&n).ip, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(mapped_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The definition (RFC 3629 §3), against which the fast one is held. */
static size_t slow(const unsigned char *p, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t want = p[0] < 0x80       ? 1
                  : p[0] >> 5 == 6  ? 2
                  : p[0] >> 4 == 14 ? 3
                  : p[0] >> 3 == 30 ? 4
                                    : 0;
    if (want == 0 || n < want)
        return 0;
    uint32_t v = want == 1 ? p[0] : p[0] & (0x7FU >> want);
    for (size_t i = 1; i < want; i++) {
        if (p[i] >> 6 != 2)
            return 0;
        v = v << 6 | (p[i] & 0x3F);
    }
    return v < least[want] || v > 0x10FFFF || (v >= 0xD800 && v <= 0xDFFF) ? 0 : want;
}

static void agrees_with_the_definition(void **state)
{
    (void)state;
    for (unsigned v = 0; v < 1U << 24; v += v < 0x10000 ? 1 : 7) {
        unsigned char p[4] = {(unsigned char)(v >> 16), (unsigned char)(v >> 8), (unsigned char)v,
                              0x80};
        for (size_t n = 1; n <= 4; n++)
            if (utf8_next(str_of((char *)p, n), 0) != slow(p, n))
                fail_msg("%02x %02x %02x, %zu bytes", p[0], p[1], p[2], n);
    }
}

static void whole_texts(void **state)
{
    (void)state;
    assert_true(utf8_valid(S("")));
    assert_true(utf8_valid(str_of(NULL, 0)));
    assert_true(utf8_valid(S("plain ASCII of more than eight bytes")));
    assert_true(utf8_valid(S("gr\xC3\xBC\xC3\x9F dich \xF0\x9F\x98\x80 12345678 \xE2\x82\xAC")));
    assert_false(utf8_valid(S("12345678\xC3")));
    assert_false(utf8_valid(S("1234567\xC0\x80 12345678")));
    assert_false(utf8_valid(S("\xED\xA0\x80")));     /* surrogate */
    assert_false(utf8_valid(S("\xF4\x90\x80\x80"))); /* over U+10FFFF */
    assert_false(utf8_valid(S("\xE0\x80\xAF")));     /* overlong */
    assert_int_equal(utf8_length(S("gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80")), 6);
    assert_int_equal(utf8_next(S("a"), 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_definition),
        cmocka_unit_test(whole_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

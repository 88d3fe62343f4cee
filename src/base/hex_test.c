/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hex.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void goes_both_ways(void **state)
{
    const unsigned char bytes[] = {0x00, 0x1f, 0xAB, 0xff};
    unsigned char back[4] = {0};
    char text[9];
    (void)state;
    hex_encode(bytes, 4, text);
    assert_string_equal(text, "001fabff");
    assert_true(hex_decode(S("001FaBfF"), back, 4));
    assert_memory_equal(back, bytes, 4);
    memset(back, 7, 4);
    assert_false(hex_decode(S("001fabf"), back, 4));
    assert_false(hex_decode(S("001fabffff"), back, 4));
    assert_false(hex_decode(S("001fabfg"), back, 4));
    assert_false(hex_decode(S("001fab f"), back, 4));
    assert_int_equal(back[0], 7); /* untouched on failure */
    assert_true(hex_decode(S(""), back, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(goes_both_ways)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

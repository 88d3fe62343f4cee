/* SPDX-License-Identifier: Apache-2.0 */
#include "suggest.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const char *of(const char *typed)
{
    static const char *const words[] = {"listen",    "admin_listen", "data",
                                        "pool_size", "user",         "tls"};
    static char out[64];
    struct suggest s = suggest_begin(str_from(typed));
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        suggest_offer(&s, str_from(words[i]));
    if (!s.best.p)
        return "";
    memcpy(out, s.best.p, s.best.n);
    out[s.best.n] = '\0';
    return out;
}

static void distances(void **state)
{
    (void)state;
    assert_int_equal(distance(S(""), S("")), 0);
    assert_int_equal(distance(S("abc"), S("")), 3);
    assert_int_equal(distance(S("kitten"), S("sitting")), 3);
    assert_int_equal(distance(S("listen"), S("lsiten")), 1);
    assert_int_equal(distance(S("ab"), S("ba")), 1);
    assert_int_equal(distance(S("data"), S("dada")), 1);
}

static void near_words(void **state)
{
    (void)state;
    assert_string_equal(of("lsten"), "listen");
    assert_string_equal(of("lisetn"), "listen");
    assert_string_equal(of("poolsize"), "pool_size");
    assert_string_equal(of("usr"), "user");
    assert_string_equal(of("tsl"), "tls");
    assert_string_equal(of("data_dir"), "data");
    assert_string_equal(of("admin"), "admin_listen");
}

static void far_words(void **state)
{
    char typed[200];
    (void)state;
    assert_string_equal(of("zzz"), "");
    assert_string_equal(of(""), "");
    assert_string_equal(of("ab"), "");
    memset(typed, 'x', sizeof(typed) - 1);
    typed[sizeof(typed) - 1] = '\0';
    assert_string_equal(of(typed), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances),
        cmocka_unit_test(near_words),
        cmocka_unit_test(far_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

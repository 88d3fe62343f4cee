/* SPDX-License-Identifier: Apache-2.0 */
#include "refresh_token.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct str key = S_INIT("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"); /* 0, 1, … 31 */

static struct uuid id_of(const char *text)
{
    struct uuid id;
    assert_true(uuid_parse(str_from(text), &id));
    return id;
}

static void there_and_back(void **state)
{
    (void)state;
    static const int64_t counters[] = {0, 1, 127, 128, 300, 1 << 20, INT64_MAX};
    struct uuid id = id_of("01234567-89ab-4def-8123-456789abcdef");
    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        struct arena a;
        struct refresh_token t;
        arena_init(&a, SIZE_MAX);
        struct str text = refresh_token_counted(&a, &id, counters[i], key);
        assert_true(refresh_token_parse(&a, text, &t));
        assert_true(t.counted && t.counter == counters[i]);
        assert_string_equal(t.session_id.text, id.text);
        assert_true(refresh_token_genuine(&a, &t, key));
        assert_false(refresh_token_genuine(&a, &t, refresh_token_key(&a)));
        assert_false(refresh_token_genuine(&a, &t, S("")));
        assert_false(refresh_token_genuine(&a, &t, S("not base64url!")));
        arena_close(&a);
    }
}

/* Every change of one character is noticed before a database is asked. */
static void changed(void **state)
{
    (void)state;
    struct arena a;
    struct refresh_token t;
    struct uuid id = id_of("01234567-89ab-4def-8123-456789abcdef");
    arena_init(&a, SIZE_MAX);
    struct str text = refresh_token_counted(&a, &id, 7, key);
    for (size_t i = 0; i < text.n; i++) {
        char copy[TEXT_MAX];
        memcpy(copy, text.p, text.n);
        copy[i] = copy[i] == 'A' ? 'B' : 'A';
        assert_false(refresh_token_parse(&a, str_of(copy, text.n), &t));
        assert_false(i > REFRESH_TOKEN_LENGTH && refresh_token_parse(&a, str_of(text.p, i), &t));
    }
    arena_close(&a);
}

static void other_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool fine;
    } forms[] = {{"abcdefghij27", true},  {"abcdefghij01", true}, {"ABCDEFGHIJ27", false},
                 {"abcdefghij2", false},  {"", false},            {"abcdefghij-7", false},
                 {"abcdefghij277", false}};
    struct arena a;
    arena_init(&a, SIZE_MAX);
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct refresh_token t;
        assert_int_equal(refresh_token_parse(&a, str_from(forms[i].text), &t), forms[i].fine);
    }
    assert_int_equal(refresh_token_random(&a).n, REFRESH_TOKEN_LENGTH);
    arena_close(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(changed),
        cmocka_unit_test(other_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

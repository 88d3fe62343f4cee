/* SPDX-License-Identifier: Apache-2.0 */
#include "base/glob.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
    const char *pattern, *text;
    bool matches;
} cases[] = {
    {"", "", true},
    {"abc", "abc", true},
    {"abc", "abcd", false},
    {"http://localhost:3000/*", "http://localhost:3000/a", true},
    {"http://localhost:3000/*", "http://localhost:3000/a/b", false},
    {"http://localhost:3000/*", "http://localhost:3000/a.b", false},
    {"http://localhost:3000/**", "http://localhost:3000/a/b.c?d=e", true},
    {"https://*.example.com/", "https://a.example.com/", true},
    {"https://*.example.com/", "https://a.b.example.com/", false},
    {"https://*.example.com/", "https://evil.com/a.example.com/", false},
    {"https://**.example.com/", "https://a.b.example.com/", true},
    {"*", "", true},
    {"**", "any/thing.at all", true},
    {"a?c", "abc", true},
    {"a?c", "a/c", false},
    {"a?c", "a.c", false},
    {"a?c", "ac", false},
    {"[abc]x", "bx", true},
    {"[abc]x", "dx", false},
    {"[a-c]x", "bx", true},
    {"[!abc]x", "dx", true},
    {"[!abc]x", "ax", false},
    {"[a-c", "a", false},
    {"[]", "]", false},
    {"[\\]]", "]", true},
    {"{a,b}c", "bc", true},
    {"{a,b}c", "cc", false},
    {"{a,{b,c}d}e", "cde", true},
    {"{a,b", "a", false},
    {"x{,y}z", "xz", true},
    {"https://{www.,}example.com/**", "https://example.com/in", true},
    {"\\*", "*", true},
    {"\\*", "a", false},
    {"\\", "\\", false},
    {"a**b", "aXXb", true},
    {"a*b*c", "aXbYbZc", true},
    {"{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}", "aaaaaaaaa", true},
    {"{a}{a}{a}{a}{a}{a}{a}{a}{a}{a}{a}{a}{a}{a}{a}{a}{a}{a}{a}{a}", "aaaaaaaaaaaaaaaaaaaa", false},
};

static void patterns(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (glob_match(str_from(cases[i].pattern), str_from(cases[i].text)) != cases[i].matches)
            fail_msg("%s against %s", cases[i].pattern, cases[i].text);
}

/* What makes backtracking matchers count to the end of the world. */
static void takes_no_time(void **state)
{
    char pattern[GLOB_PATTERN_MAX], text[GLOB_TEXT_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = i % 2 ? '*' : 'a';
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = 'b';
    assert_false(glob_match(str_of(pattern, sizeof(pattern) - 1), str_of(text, sizeof(text))));
    assert_true(glob_match(str_of(pattern, sizeof(pattern)), str_of(text, sizeof(text))));
}

static void bounds(void **state)
{
    static char long_text[GLOB_TEXT_MAX + 1];
    (void)state;
    memset(long_text, 'a', sizeof(long_text));
    assert_true(glob_match(S("**"), str_of(long_text, GLOB_TEXT_MAX)));
    assert_false(glob_match(S("**"), str_of(long_text, GLOB_TEXT_MAX + 1)));
    assert_false(glob_match(str_of(long_text, sizeof(long_text)), S("a")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns),
        cmocka_unit_test(takes_no_time),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

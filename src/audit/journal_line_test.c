/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/journal_line.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static char mem[8192];
static struct buf text;
static struct journal_hash start;

static int three_lines(void **state)
{
    struct journal_hash hash;
    (void)state;
    text = (struct buf){.p = mem, .cap = sizeof(mem), .max_bytes = sizeof(mem)};
    memset(start.hex, '0', 64);
    hash = start;
    journal_line_put(&text, 1, S("{\"a\":1}"), &hash);
    journal_line_put(&text, 2, S("{\"b\":\"two\"}"), &hash);
    journal_line_put(&text, 0xfffffffffffffffeULL, S("{}"), &hash);
    return text.failed;
}

/* Lines that follow each other; *rest what is behind them. */
static unsigned good_lines(struct str s, struct str *rest)
{
    struct journal_hash hash = start;
    struct journal_line line;
    unsigned n = 0;
    while (journal_line_read(s, &line) == JOURNAL_SHAPE_LINE
           && journal_line_follows(&line, &hash)) {
        hash = line.hash;
        s = str_from_at(s, line.size);
        n++;
    }
    *rest = s;
    return n;
}

static void reads_what_it_wrote(void **state)
{
    struct journal_line line;
    struct str rest = buf_view(&text);
    (void)state;
    assert_int_equal(good_lines(buf_view(&text), &rest), 3);
    assert_int_equal(rest.n, 0);
    assert_int_equal(journal_line_read(buf_view(&text), &line), JOURNAL_SHAPE_LINE);
    assert_int_equal(line.sequence, 1);
    assert_true(str_is(line.record, "{\"a\":1}"));
}

static void any_other_byte_breaks_the_chain(void **state)
{
    struct str rest;
    (void)state;
    for (size_t i = 0; i < text.n; i++)
        for (int bit = 0; bit < 8; bit++) {
            text.p[i] = (char)(text.p[i] ^ 1 << bit);
            assert_true(good_lines(buf_view(&text), &rest) < 3);
            text.p[i] = (char)(text.p[i] ^ 1 << bit);
        }
}

static void a_begun_line_is_cut_not_bad(void **state)
{
    struct journal_line line;
    struct str rest;
    (void)state;
    for (size_t n = 0; n < text.n; n++) {
        assert_true(good_lines(str_of(text.p, n), &rest) < 3);
        assert_int_equal(journal_line_read(rest, &line), JOURNAL_SHAPE_CUT);
    }
}

static void refuses_what_is_no_line(void **state)
{
    static const char *const bad[] = {
        "\n",
        "x",
        "0000000G",
        "00000001  ",
        "0000000A 0000000000000001",
        "00000000 0000000000000001 "
        "0000000000000000000000000000000000000000000000000000000000000000 \n",
        "ffffffff 0000000000000001 "
        "0000000000000000000000000000000000000000000000000000000000000000 ",
        "00000004 0000000000000001 "
        "0000000000000000000000000000000000000000000000000000000000000000 a\n",
        "00000001 0000000000000001 "
        "0000000000000000000000000000000000000000000000000000000000000000 ab",
    };
    struct journal_line line;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(journal_line_read(str_from(bad[i]), &line), JOURNAL_SHAPE_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_it_wrote),
        cmocka_unit_test(any_other_byte_breaks_the_chain),
        cmocka_unit_test(a_begun_line_is_cut_not_bad),
        cmocka_unit_test(refuses_what_is_no_line),
    };
    return cmocka_run_group_tests(tests, three_lines, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "body.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct run {
    char out[65536];
    size_t n, left;
    bool ok, done;
    struct err e;
};
static struct run r;

/* Decodes text in pieces of step bytes, each in memory of exactly its size. */
static void decode(bool chunked, int64_t length, struct str text, size_t step)
{
    struct body_decoder d;
    body_decoder_init(&d, chunked, length);
    r = (struct run){.ok = true};
    while (r.ok && !d.done && text.n > 0) {
        size_t n = text.n < step ? text.n : step;
        char *exact = malloc(n);
        memcpy(exact, text.p, n);
        struct str in = {exact, n}, piece = {0};
        while ((r.ok = body_decode(&d, &in, &piece, &r.e)) && piece.n > 0) {
            memcpy(r.out + r.n, piece.p, piece.n);
            r.n += piece.n;
        }
        text = str_from_at(text, n - (r.ok ? in.n : 0));
        free(exact);
    }
    r.done = d.done;
    r.left = text.n;
}

static void expect(const char *want, size_t left)
{
    assert_true(r.ok);
    assert_true(r.done);
    assert_int_equal(r.n, strlen(want));
    assert_memory_equal(r.out, want, r.n);
    assert_int_equal(r.left, left);
}

static void test_length(void **state)
{
    (void)state;
    for (size_t step = 1; step < 12; step++) {
        decode(false, 5, S("helloGET /"), step);
        expect("hello", 5);
    }
    decode(false, 0, S("x"), 1);
    assert_true(r.done);
    decode(false, 6, S("hello"), 2);
    assert_false(r.done);
}

static void test_chunked(void **state)
{
    (void)state;
    static const char text[] = "5\r\nhello\r\n00B;ext=\"v\"\r\n, world or \r\n1\r\n!\r\n0;last\r\n"
                               "X-Sum: 1\r\nY:\r\n\r\nGET /";
    for (size_t step = 1; step < sizeof(text); step++) {
        decode(true, -1, S(text), step);
        expect("hello, world or !", 5);
    }
    decode(true, -1, S("0\r\n\r\n"), 1);
    expect("", 0);
}

static void refuse_text(struct str text)
{
    for (size_t step = 1; step <= text.n; step += text.n) {
        decode(true, -1, text, step);
        if (r.ok)
            fail_msg("accepted: %.*s", STR_ARG(text));
        assert_int_equal(r.e.status, 400);
        assert_string_equal(r.e.code, "bad_request");
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n",
        "-5\r\nhello\r\n",
        "1_0\r\n",
        " 5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "5 ;a\r\nhello\r\n",
        "\r\n",
        ";a\r\n",
        "g\r\n",
        "5\nhello\r\n",
        "5\r\nhello0\r\n",
        "5\r\nhello\n0\r\n",
        "5\rhello",
        "5;a\nhello",
        "8000000000000000\r\n",
        "10000000000000000\r\n",
        "fffffffffffffffff\r\n",
        "00000000000000005\r\nhello",
        "0\r\nA\r\n\r\n",
        "0\r\n A: b\r\n\r\n",
        "0\r\nA : b\r\n\r\n",
        "0\r\nA: b\n\r\n",
        "0\r\n\n",
        "0\r\n\rx",
        "0\r\n: b\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        refuse_text(str_from(rows[i]));
    refuse_text(S("5;\0\r\n"));
}

static void test_bounds(void **state)
{
    (void)state;
    static char text[16384];
    memset(text, 'a', sizeof(text));
    memcpy(text, "5;", 2);
    refuse_text(str_of(text, CHUNK_LINE_MAX + 4));
    memcpy(text, "0\r\nA:", 5);
    refuse_text(str_of(text, TRAILERS_MAX + 8));
    decode(true, -1, S("7fffffffffffffff\r\nabc"), 100);
    assert_true(r.ok);
    assert_int_equal(r.n, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_length), cmocka_unit_test(test_chunked),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_bounds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

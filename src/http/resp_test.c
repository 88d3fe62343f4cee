/* SPDX-License-Identifier: Apache-2.0 */
#include "resp.c"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct arena a;
static struct resp r;
static int released;

static void release(void *owner)
{
    assert_ptr_equal(owner, &released);
    released++;
}

static int begin(void **state)
{
    (void)state;
    arena_init(&a, 4096);
    resp_init(&r, &a);
    return 0;
}

static int end(void **state)
{
    (void)state;
    arena_close(&a);
    return 0;
}

static void expect(const struct buf *b, const char *want)
{
    assert_int_equal(b->n, strlen(want));
    assert_memory_equal(buf_view(b).p, want, b->n);
}

static void test_headers(void **state)
{
    (void)state;
    struct err e;
    resp_header(&r, "Location", S("/x"));
    resp_header_i64(&r, "Retry-After", 3);
    expect(&r.headers, "Location: /x\r\nRetry-After: 3\r\n");
    assert_true(resp_done(&r, &e));
    resp_header(&r, "Location", S("/x\r\nSet-Cookie: evil"));
    assert_false(resp_done(&r, &e));
    assert_int_equal(e.status, 500);
}

static void test_clear(void **state)
{
    (void)state;
    struct err e;
    BUF_LIT(resp_json(&r, 201), "{}");
    r.body_shared = S("shared");
    r.body_release = release;
    r.body_owner = &released;
    r.file_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int fd = r.file_fd;
    r.close = true;
    resp_clear(&r);
    assert_int_equal(released, 1);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    expect(&r.headers, "");
    expect(&r.body, "");
    assert_false(r.close);
    assert_null(r.body_shared.p);
    resp_clear(&r);
    assert_int_equal(released, 1);
    resp_text(&r, 404, S("text/plain"), S("no"));
    expect(&r.body, "no");
    assert_true(resp_done(&r, &e));
}

static void test_budget(void **state)
{
    (void)state;
    struct err e;
    for (int i = 0; i < 1000; i++)
        BUF_LIT(&r.body, "more than the arena gives");
    assert_false(resp_done(&r, &e));
    assert_string_equal(e.code, "response_too_large");
    resp_clear(&r);
    resp_text(&r, 500, S("text/plain"), S("small"));
    assert_true(resp_done(&r, &e));
}

static void test_reasons(void **state)
{
    (void)state;
    assert_string_equal(resp_reason(200), "OK");
    assert_string_equal(resp_reason(429), "Too Many Requests");
    assert_string_equal(resp_reason(299), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_headers, begin, end),
        cmocka_unit_test_setup_teardown(test_clear, begin, end),
        cmocka_unit_test_setup_teardown(test_budget, begin, end),
        cmocka_unit_test(test_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

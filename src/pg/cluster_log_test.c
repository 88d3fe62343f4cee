/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "pg/cluster_log.c"

static char path[100];

static int64_t size_of(const char *suffix)
{
    char name[110];
    struct stat st;
    snprintf(name, sizeof name, "%s%s", path, suffix);
    return stat(name, &st) == 0 ? st.st_size : -1;
}

static void test_trim(void **state)
{
    (void)state;
    static char block[1 << 20];
    struct err e;
    int fd;
    int64_t size;
    CLEANUP(buf_free) struct buf tail;
    memset(block, 'x', sizeof block);
    buf_init(&tail, 10000);
    assert_true(cluster_log_open(path, &fd, &size, &e));
    assert_int_equal(size, 0);
    for (int i = 0; i < 8; i++)
        assert_int_equal(write(fd, block, sizeof block), sizeof block);
    cluster_log_trim(path); /* not over it yet */
    assert_int_equal(write(fd, "one more\n", 9), 9);
    cluster_log_tail(path, 8 << 20, &tail);
    assert_true(str_is(buf_view(&tail), "one more\n"));
    cluster_log_trim(path);
    for (int i = 0; i < 10000 && size_of("") != 0; i++)
        usleep(1000);
    assert_int_equal(size_of(""), 0);
    assert_int_equal(size_of(".1"), (8 << 20) + 9);
    /* who has it open goes on at its new beginning */
    assert_int_equal(write(fd, "next\n", 5), 5);
    assert_int_equal(size_of(""), 5);
    buf_reset(&tail);
    cluster_log_tail(path, 8 << 20, &tail);
    assert_true(str_is(buf_view(&tail), "next\n"));
    close(fd);
    assert_true(cluster_log_open(path, &fd, &size, &e));
    assert_int_equal(size, 5);
    close(fd);
}

static void test_reason(void **state)
{
    (void)state;
    assert_true(str_is(cluster_log_reason(S("x\n2026 UTC [1] FATAL:  a reason\nPANIC:  other\n")),
                       "a reason"));
    assert_true(str_is(cluster_log_reason(S("initdb: error: no")), "no"));
    assert_true(str_is(cluster_log_reason(S("FATAL: ")), ""));
    assert_true(str_is(cluster_log_reason(S("nothing")), "see its log"));
    assert_true(cluster_log_is_full_disk(S("x: No space left on device\n")));
    assert_false(cluster_log_is_full_disk(S("")));
}

static void test_missing(void **state)
{
    (void)state;
    struct err e;
    int fd;
    int64_t size;
    CLEANUP(buf_free) struct buf tail;
    buf_init(&tail, 100);
    assert_false(cluster_log_open("/nonexistent/log", &fd, &size, &e));
    assert_string_equal(e.code, "file_io");
    cluster_log_tail("/nonexistent/log", 0, &tail);
    assert_int_equal(tail.n, 0);
    cluster_log_trim("/nonexistent/log");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_reason),
        cmocka_unit_test(test_missing),
    };
    char folder[] = "/tmp/basalt-log-test.XXXXXX", older[110];
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/log", folder);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    snprintf(older, sizeof older, "%s.1", path);
    unlink(path);
    unlink(older);
    rmdir(folder);
    return failed;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "vitals.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void registered(void **state)
{
    (void)state;
    vitals_register();
    assert_true(metrics_value(METRIC_process_memory, 0) > 1024 * 1024);
    assert_true(metrics_value(METRIC_process_cpu, 0) > 0);
    assert_int_equal(metrics_value(METRIC_build_info, 0), 1);
}

static void descriptors(void **state)
{
    (void)state;
    int64_t before = open_fds(NULL);
    int fd = dup(STDERR_FILENO);
    assert_int_equal(open_fds(NULL), before + 1);
    close(fd);
    assert_int_equal(open_fds(NULL), before);
}

/* Within what a tick (10 ms), the start of a sanitizer and a busy machine take. */
static void start_time(void **state)
{
    (void)state;
    int64_t age_us = clock_wall_us() - started_us();
    assert_true(age_us >= -20 * CLOCK_MS && age_us < 60 * CLOCK_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registered),
        cmocka_unit_test(descriptors),
        cmocka_unit_test(start_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

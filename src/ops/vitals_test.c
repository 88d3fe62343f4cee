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

static uint64_t longest_us, slow;
static int64_t give_up_us;

/* Until a later turn than the slow one reads. */
static void read_turns(void *arg)
{
    longest_us = metrics_value(METRIC_loop_turn_max, 0);
    slow = metrics_value(METRIC_loop_slow_turns, 0);
    if (slow > 0 || clock_mono_us() > give_up_us)
        loop_stop_all();
    else
        loop_post(loop_at(0), read_turns, arg);
}

static void slow_turn(void *arg)
{
    (void)arg;
    int64_t end = clock_mono_us() + 30 * CLOCK_MS;
    while (clock_mono_us() < end)
        ;
    give_up_us = clock_mono_us() + 10 * CLOCK_S;
    loop_post(loop_at(0), read_turns, NULL);
}

static void turns(void **state)
{
    struct err e;
    (void)state;
    assert_true(loop_create_all(1, &e));
    loop_post(loop_at(0), slow_turn, NULL);
    loop_run_all();
    assert_true(longest_us >= 30 * CLOCK_MS);
    assert_true(slow >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registered),
        cmocka_unit_test(descriptors),
        cmocka_unit_test(start_time),
        cmocka_unit_test(turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/jobs.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void back_off_doubles_within_a_quarter(void **state)
{
    const struct jobs_policy p = {.backoff_min_us = 1000, .backoff_max_us = 60000};
    (void)state;
    for (int i = 0; i < 1000; i++) {
        int64_t first = backoff(&p, 1), third = backoff(&p, 3), late = backoff(&p, 1000);
        assert_in_range(first, 750, 1250);
        assert_in_range(third, 3000, 5000);
        assert_in_range(late, 45000, 75000);
    }
}

static bool nothing(struct job *j, struct err *e)
{
    (void)j, (void)e;
    return true;
}

static void lists_are_arrays_of_postgresql(void **state)
{
    const struct jobs_policy p = {.attempts = 1, .timeout_us = CLOCK_S};
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 20);
    struct lists none = lists_make(&a);
    assert_true(str_is(none.kinds, "{}") && str_is(none.periods, "{}"));
    jobs_register("mail", nothing, &p);
    jobs_every("clean", 5 * CLOCK_S, nothing);
    struct lists l = lists_make(&a);
    assert_true(str_is(l.kinds, "{mail,clean}"));
    assert_true(str_is(l.leases, "{31000000,90000000}"));
    assert_true(str_is(l.ticks, "{clean}"));
    assert_true(str_is(l.periods, "{5000000}"));
    assert_string_equal(kind_of(S("clean"))->name, "clean");
    assert_null(kind_of(S("clea")));
    arena_close(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(back_off_doubles_within_a_quarter),
        cmocka_unit_test(lists_are_arrays_of_postgresql),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

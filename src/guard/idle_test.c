/* SPDX-License-Identifier: Apache-2.0 */
#include "idle.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { ENTRIES = 3, LOOKS = 4 };

static struct idle cache;
static struct timer again;
static unsigned left, looks;
static int64_t last_look_us, first_shed_us;

static bool shed(struct idle *i)
{
    assert_ptr_equal(i, &cache);
    if (left == ENTRIES)
        first_shed_us = loop_now_us();
    if (--left > 0)
        return true;
    loop_stop_all();
    return false;
}

static void look(struct timer *t)
{
    idle_look(&cache);
    last_look_us = loop_now_us();
    if (++looks < LOOKS)
        timer_arm(t, last_look_us + 400 * CLOCK_MS, look);
}

static void begin(void *arg)
{
    (void)arg;
    look(&again);
}

/* Looks 400 ms apart keep it for longer than a second; then it is emptied, step by step. */
static void test_given_back_when_idle(void **state)
{
    (void)state;
    struct err e;
    left = ENTRIES;
    cache.shed = shed;
    assert_true(loop_create_all(1, &e));
    loop_post(loop_at(0), begin, NULL);
    loop_run_all();
    assert_int_equal(looks, LOOKS);
    assert_int_equal(left, 0);
    assert_true(first_shed_us - last_look_us >= IDLE_US);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_given_back_when_idle)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

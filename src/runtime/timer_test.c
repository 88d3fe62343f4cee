/* SPDX-License-Identifier: Apache-2.0 */
#include "timer.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/rand.h"

enum { MANY = 2000 };

static struct timer timers[MANY];
static unsigned fired, armed;
static int64_t last_us;
static struct timer guard;

static void on_fire(struct timer *t)
{
    assert_false(timer_armed(t));
    fired++;
    if (fired == armed)
        loop_stop_all();
}

static void on_guard(struct timer *t)
{
    (void)t;
    loop_stop_all();
}

static void heap_check(const struct timer_heap *h)
{
    for (unsigned i = 0; i < h->n; i++) {
        assert_int_equal(h->v[i].timer->heap_index, i);
        assert_int_equal(h->v[i].timer->at_us, h->v[i].at_us);
        if (i > 0)
            assert_true(h->v[(i - 1) / 2].at_us <= h->v[i].at_us);
    }
}

static void run(void (*fn)(void *))
{
    struct err e;
    assert_true(loop_create_all(1, &e));
    loop_post(loop_at(0), fn, NULL);
    loop_run_all();
}

static void arm_many(void *arg)
{
    (void)arg;
    struct loop *l = loop_current();
    int64_t now = clock_mono_us();
    for (int i = 0; i < MANY; i++)
        timer_arm(&timers[i], now + rand_below(50000), on_fire);
    for (int i = 0; i < MANY; i += 3)
        timer_arm(&timers[i], now + rand_below(50000), on_fire);
    heap_check(&l->timers);
    armed = MANY;
    for (int i = 0; i < MANY; i += 2, armed--) {
        timer_disarm(&timers[i]);
        timer_disarm(&timers[i]);
        assert_false(timer_armed(&timers[i]));
    }
    heap_check(&l->timers);
    timer_arm(&guard, now + 20 * CLOCK_S, on_guard);
}

static void test_random(void **state)
{
    (void)state;
    fired = 0;
    run(arm_many);
    assert_int_equal(fired, armed);
}

/* In order, none before its time, and the next within reach of a millisecond clock. */
static int64_t order_begin_us;

static void on_ordered(struct timer *t)
{
    int64_t due = order_begin_us + (t - timers) * 3000, now = clock_mono_us();
    assert_true(now >= due);
    assert_true(due >= last_us);
    last_us = due;
    if (++fired == 10)
        loop_stop_all();
}

static void arm_ordered(void *arg)
{
    (void)arg;
    order_begin_us = clock_mono_us();
    for (int i = 9; i >= 0; i--)
        timer_arm(&timers[i], order_begin_us + i * 3000, on_ordered);
}

static void test_order(void **state)
{
    (void)state;
    fired = 0;
    last_us = 0;
    run(arm_ordered);
    assert_int_equal(fired, 10);
}

/* A timer that arms itself for the past each time leaves the others their turn. */
static bool let_through;

static void on_greedy(struct timer *t)
{
    fired++;
    if (!let_through)
        timer_arm(t, 1, on_greedy);
}

static void on_polite(void *arg)
{
    (void)arg;
    if (fired < 100) {
        loop_post(loop_current(), on_polite, NULL);
        return;
    }
    let_through = true;
    loop_stop_all();
}

static void arm_greedy(void *arg)
{
    (void)arg;
    timer_arm(&timers[0], 0, on_greedy);
    on_polite(NULL);
}

static void test_no_starving(void **state)
{
    (void)state;
    fired = 0;
    let_through = false;
    run(arm_greedy);
    assert_true(fired >= 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_no_starving),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

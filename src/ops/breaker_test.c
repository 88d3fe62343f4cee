/* SPDX-License-Identifier: Apache-2.0 */
#include "breaker.c"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct breaker *fresh(void)
{
    struct breaker *b = breaker_named(BREAKER_captcha);
    breaker_close(b);
    b->open_us = 10 * CLOCK_S;
    return b;
}

static void fail_times(struct breaker *b, int n)
{
    for (int i = 0; i < n; i++) {
        assert_true(breaker_allow(b));
        breaker_report(b, false);
    }
}

/* The row of metrics.def counts the same names in the same order. */
static void names_are_labels(void **state)
{
    (void)state;
    for (unsigned i = 0; i < BREAKER_COUNT; i++) {
        assert_int_equal(metrics_label(METRIC_breaker_state, str_from(breakers[i].name)), i);
        assert_int_equal(metrics_label(METRIC_breaker_opened, str_from(breakers[i].name)), i);
        assert_int_equal(metrics_label(METRIC_breaker_refused, str_from(breakers[i].name)), i);
    }
}

static void opens_after_failures_in_a_row(void **state)
{
    (void)state;
    struct breaker *b = fresh();
    struct err e;
    uint64_t opened = metrics_value(METRIC_breaker_opened, BREAKER_captcha);
    fail_times(b, b->limit - 1);
    breaker_report(b, true);
    fail_times(b, b->limit - 1);
    assert_int_equal(breaker_state(b), BREAKER_CLOSED);
    fail_times(b, 1);
    assert_int_equal(breaker_state(b), BREAKER_OPEN);
    assert_false(breaker_allow(b));
    assert_false(breaker_check(b, &e));
    assert_int_equal(e.status, 503);
    assert_string_equal(e.code, "upstream_breaker_open");
    assert_int_equal(e.retry_after_s, 10);
    assert_int_equal(metrics_value(METRIC_breaker_opened, BREAKER_captcha), opened + 1);
    assert_true(breaker_check(NULL, &e));
}

static void one_probe_at_a_time(void **state)
{
    (void)state;
    struct breaker *b = fresh();
    fail_times(b, b->limit);
    atomic_store(&b->closed_at, clock_mono_us()); /* its time is over */
    assert_int_equal(breaker_state(b), BREAKER_HALF_OPEN);
    assert_true(breaker_allow(b));
    assert_false(breaker_allow(b));
    breaker_report(b, false); /* one failure is enough */
    assert_int_equal(breaker_state(b), BREAKER_OPEN);
    assert_false(breaker_allow(b));

    atomic_store(&b->closed_at, clock_mono_us());
    assert_true(breaker_allow(b));
    breaker_report(b, true);
    assert_int_equal(breaker_state(b), BREAKER_CLOSED);
    fail_times(b, b->limit - 1); /* counts from zero again */
    assert_int_equal(breaker_state(b), BREAKER_CLOSED);
}

/* Whoever probed has left without a word: after the same time the next one may. */
static void a_lost_probe_is_forgotten(void **state)
{
    (void)state;
    struct breaker *b = fresh();
    fail_times(b, b->limit);
    atomic_store(&b->closed_at, clock_mono_us());
    assert_true(breaker_allow(b));
    assert_false(breaker_allow(b));
    atomic_store(&b->closed_at, clock_mono_us());
    assert_true(breaker_allow(b));
}

static atomic_int passed;

static void *probe(void *arg)
{
    if (breaker_allow(arg))
        atomic_fetch_add(&passed, 1);
    return NULL;
}

static void threads_get_one_probe(void **state)
{
    (void)state;
    enum { THREADS = 8 };
    struct breaker *b = fresh();
    pthread_t threads[THREADS];
    fail_times(b, b->limit);
    atomic_store(&b->closed_at, clock_mono_us());
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, probe, b), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(passed, 1);
}

static void shown(void **state)
{
    (void)state;
    struct breaker *b = fresh();
    breaker_register();
    assert_int_equal(metrics_value(METRIC_breaker_state, BREAKER_captcha), 0);
    fail_times(b, b->limit);
    assert_int_equal(metrics_value(METRIC_breaker_state, BREAKER_captcha), 2);
    assert_string_equal(breaker_name(b), "captcha");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_labels),      cmocka_unit_test(opens_after_failures_in_a_row),
        cmocka_unit_test(one_probe_at_a_time),   cmocka_unit_test(a_lost_probe_is_forgotten),
        cmocka_unit_test(threads_get_one_probe), cmocka_unit_test(shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

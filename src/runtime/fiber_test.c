/* SPDX-License-Identifier: Apache-2.0 */
#include "fiber.c"

#include <fenv.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/rand.h"

/* Runs fn as a fiber on a loop of its own until it calls loop_stop_all. */
static void (*main_fn)(void *);

static void begin(void *arg)
{
    fiber_start_named(main_fn, arg, "test");
}

static void run(void (*fn)(void *))
{
    struct err e;
    main_fn = fn;
    assert_true(loop_create_all(1, &e));
    loop_post(loop_at(0), begin, NULL);
    loop_run_all();
}

/* ---- start ----------------------------------------------------------------------------------- */

static int steps[8], steps_n;

static void step(int n)
{
    steps[steps_n++] = n;
}

static void child(void *arg)
{
    (void)arg;
    step(2);
    fiber_yield();
    step(4);
}

/* Clients that need more stacks than there is memory for must not end the process. */
static void without_memory(void *arg)
{
    struct rlimit before, none = {4096, RLIM_INFINITY};
    (void)arg;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    none.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_AS, &none);
    bool ok = fiber_try_start(child, NULL);
    setrlimit(RLIMIT_AS, &before);
    assert_false(ok);
    assert_int_equal(fiber_stats().running, 1);
    steps_n = 0;
    assert_true(fiber_try_start(child, NULL));
    fiber_yield();
    assert_int_equal(steps_n, 1);
    loop_stop_all();
}

static void from_callback(void *arg)
{
    (void)arg;
    assert_null(fiber_current());
    step(1);
    fiber_start(child, NULL); /* at once */
    step(3);
    loop_stop_all();
}

static void starts_or_not(void **state)
{
    (void)state;
#if SANITIZE_ADDRESS || SANITIZE_THREAD
    skip(); /* they need memory of their own */
#endif
    run(without_memory);
}

static void starts_at_once(void **state)
{
    struct err e;
    (void)state;
    steps_n = 0;
    assert_true(loop_create_all(1, &e));
    loop_post(loop_at(0), from_callback, NULL);
    loop_run_all();
    const int want[] = {1, 2, 3, 4};
    assert_int_equal(steps_n, 4);
    assert_memory_equal(steps, want, sizeof(want));
}

static void from_fiber(void *arg)
{
    (void)arg;
    fiber_start(child, NULL); /* queued */
    step(1);
    fiber_yield();
    step(3);
    fiber_yield();
    step(5);
    loop_stop_all();
}

static void starts_queued(void **state)
{
    (void)state;
    steps_n = 0;
    run(from_fiber);
    const int want[] = {1, 2, 3, 4, 5};
    assert_int_equal(steps_n, 5);
    assert_memory_equal(steps, want, sizeof(want));
}

/* ---- parking --------------------------------------------------------------------------------- */

static struct fiber *parked;

static void wake_parked(void *arg)
{
    (void)arg;
    fiber_wake(parked);
}

static void cancel_parked(void *arg)
{
    (void)arg;
    fiber_cancel(parked);
}

static void park_main(void *arg)
{
    (void)arg;
    parked = fiber_current();
    assert_non_null(parked);

    loop_defer(wake_parked, NULL);
    assert_int_equal(fiber_park(FIBER_NEVER), FIBER_WOKEN);

    fiber_wake(parked); /* before the park: not lost, and consumed */
    assert_int_equal(fiber_park(FIBER_NEVER), FIBER_WOKEN);
    int64_t t = clock_mono_us();
    assert_int_equal(fiber_park(t + 5000), FIBER_LATE);
    assert_true(clock_mono_us() >= t + 5000);
    assert_int_equal(fiber_park(1), FIBER_LATE); /* past */

    t = clock_mono_us();
    fiber_set_deadline(t + 10000);
    assert_int_equal(fiber_deadline(), t + 10000);
    assert_true(fiber_time_left_us() > 0 && fiber_time_left_us() < CLOCK_S);
    loop_defer(wake_parked, NULL);
    assert_int_equal(fiber_park(FIBER_NEVER), FIBER_WOKEN);
    assert_int_equal(fiber_park(t + CLOCK_S), FIBER_LATE);
    assert_true(clock_mono_us() >= t + 10000);
    assert_int_equal(fiber_time_left_us(), 0);
    assert_int_equal(fiber_park(FIBER_NEVER), FIBER_LATE); /* from then on at once */
    fiber_set_deadline(FIBER_NEVER);

    loop_defer(cancel_parked, NULL);
    assert_int_equal(fiber_sleep(60 * CLOCK_S), FIBER_GONE);
    assert_true(fiber_cancelled());
    assert_int_equal(fiber_park(FIBER_NEVER), FIBER_GONE);
    fiber_uncancel();
    assert_int_equal(fiber_sleep(1000), FIBER_LATE);

    t = clock_mono_us();
    loop_defer(wake_parked, NULL); /* a sleeper is not woken by it */
    assert_int_equal(fiber_sleep(3000), FIBER_LATE);
    assert_true(clock_mono_us() >= t + 3000);

    struct err e = {0};
    assert_false(fiber_fail(FIBER_LATE, &e));
    assert_int_equal(e.status, 504);
    assert_false(fiber_fail(FIBER_GONE, &e));
    assert_int_equal(e.status, 499);
    loop_stop_all();
}

static void parks(void **state)
{
    (void)state;
    run(park_main);
}

/* A far deadline stays armed; a nearer one must still come in time, and a farther not too early. */
static void lazy_main(void *arg)
{
    (void)arg;
    parked = fiber_current();
    fiber_set_deadline(clock_mono_us() + CLOCK_S);
    loop_defer(wake_parked, NULL);
    assert_int_equal(fiber_park(FIBER_NEVER), FIBER_WOKEN);
    int64_t t = clock_mono_us();
    assert_int_equal(fiber_park(t + 4000), FIBER_LATE);
    assert_true(clock_mono_us() < t + 900 * CLOCK_MS);

    t = clock_mono_us();
    fiber_set_deadline(t + 3000);
    loop_defer(wake_parked, NULL);
    assert_int_equal(fiber_park(FIBER_NEVER), FIBER_WOKEN); /* armed for t + 3 ms, and left so */
    fiber_set_deadline(FIBER_NEVER);
    assert_int_equal(fiber_sleep(20000), FIBER_LATE);
    assert_true(clock_mono_us() >= t + 20000);
    loop_stop_all();
}

static void lazy_timer(void **state)
{
    (void)state;
    run(lazy_main);
}

/* ---- many, with state of their own ----------------------------------------------------------- */

enum { MANY = 1000 };
static unsigned many_left;

static void __attribute__((noinline)) deep(unsigned depth, unsigned seed)
{
    volatile unsigned char frame[512];
    for (unsigned i = 0; i < sizeof(frame); i++)
        frame[i] = (unsigned char)(seed + i);
    if (depth > 0)
        deep(depth - 1, seed + 1);
    else
        fiber_sleep(rand_below(3000));
    for (unsigned i = 0; i < sizeof(frame); i++)
        assert_int_equal(frame[i], (unsigned char)(seed + i));
}

static void many_one(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    double x = me, y = 1;
    for (int i = 0; i < 5; i++) {
        deep(me % 100, me + (unsigned)i); /* up to 50 KiB: beyond what stays in the pool */
        y = y * 0.5 + x;
        fiber_yield();
    }
    assert_true(y > x);
    if (--many_left == 0)
        fiber_wake(parked);
}

static void many_main(void *arg)
{
    (void)arg;
    parked = fiber_current();
    for (int round = 0; round < 3; round++) {
        many_left = MANY;
        for (uintptr_t i = 0; i < MANY; i++)
            fiber_start(many_one, (void *)i);
        assert_int_equal(fiber_stats().running, MANY + 1);
        while (many_left > 0)
            assert_int_equal(fiber_park(FIBER_NEVER), FIBER_WOKEN);
        fiber_yield();
        assert_int_equal(fiber_stats().running, 1);
        assert_int_equal(fiber_stats().pooled_stacks, MANY);
    }
    /* what is not needed any more goes back, within a few sweeps */
    int64_t until = clock_mono_us() + 30 * CLOCK_S;
    while (fiber_stats().pooled_stacks > FIBER_POOL_FLOOR && clock_mono_us() < until)
        fiber_sleep(20 * CLOCK_MS);
    assert_int_equal(fiber_stats().pooled_stacks, FIBER_POOL_FLOOR);
    loop_stop_all();
}

static void many(void **state)
{
    (void)state;
    run(many_main);
}

/* ---- queue: first come, first served; late and cancelled waiters leave it -------------------- */

static struct fiber_queue queue;
static int order[16], order_n;
static struct fiber *waiter[16];

struct wait_case {
    int number;
    int64_t limit_us;
    enum fiber_result want;
};

static void wait_one(void *arg)
{
    const struct wait_case *c = arg;
    waiter[c->number] = fiber_current();
    int64_t until = c->limit_us ? clock_mono_us() + c->limit_us : FIBER_NEVER;
    assert_int_equal(fiber_queue_wait(&queue, until), c->want);
    order[order_n++] = c->number;
}

static void queue_main(void *arg)
{
    (void)arg;
    static struct wait_case cases[] = {
        {0, 0, FIBER_WOKEN}, {1, 2000, FIBER_LATE}, {2, 0, FIBER_GONE},
        {3, 0, FIBER_WOKEN}, {4, 0, FIBER_WOKEN},
    };
    fiber_queue_init(&queue);
    assert_false(fiber_queue_wake_one(&queue));
    for (unsigned i = 0; i < 5; i++)
        fiber_start(wait_one, &cases[i]);
    fiber_yield();
    assert_int_equal(queue.length, 5);
    fiber_cancel(waiter[2]);
    fiber_wake(waiter[3]); /* for no reason: it goes on waiting, in its place */
    fiber_sleep(5000);
    assert_int_equal(queue.length, 3);
    for (int i = 0; i < 2; i++)
        assert_true(fiber_queue_wake_one(&queue));
    fiber_yield();
    /* taken off and cancelled in the same moment: it was given something and must know */
    assert_true(fiber_queue_wake_one(&queue));
    fiber_cancel(waiter[4]);
    assert_false(fiber_queue_wake_one(&queue));
    fiber_yield();
    const int want[] = {2, 1, 0, 3, 4};
    assert_int_equal(order_n, 5);
    assert_memory_equal(order, want, sizeof(want));
    loop_stop_all();
}

static void queues(void **state)
{
    (void)state;
    order_n = 0;
    run(queue_main);
}

/* ---- yielding lets sockets and timers through ------------------------------------------------ */

static struct timer tick;
static bool ticked;

static void on_tick(struct timer *t)
{
    (void)t;
    ticked = true;
}

static void greedy_main(void *arg)
{
    (void)arg;
    ticked = false;
    int64_t t = clock_mono_us();
    timer_arm(&tick, t + 2000, on_tick);
    while (!ticked && clock_mono_us() < t + 10 * CLOCK_S)
        fiber_yield();
    assert_true(ticked);
    loop_stop_all();
}

static void yields(void **state)
{
    (void)state;
    run(greedy_main);
}

/* ---- the floating point state is a fiber's own ----------------------------------------------- */

static void rounding_child(void *arg)
{
    (void)arg;
#ifndef FIBER_SWITCH_UCONTEXT /* there it begins with its starter's */
    assert_int_equal(fegetround(), FE_TONEAREST);
#endif
    fesetround(FE_DOWNWARD);
    fiber_yield();
    assert_int_equal(fegetround(), FE_DOWNWARD);
}

static void rounding_main(void *arg)
{
    (void)arg;
    fesetround(FE_UPWARD);
    fiber_start(rounding_child, NULL);
    for (int i = 0; i < 3; i++) {
        fiber_yield();
        assert_int_equal(fegetround(), FE_UPWARD);
    }
    fesetround(FE_TONEAREST);
    loop_stop_all();
}

static void keeps_rounding(void **state)
{
    (void)state;
    run(rounding_main);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_at_once), cmocka_unit_test(starts_queued),
        cmocka_unit_test(starts_or_not),  cmocka_unit_test(parks),
        cmocka_unit_test(lazy_timer),     cmocka_unit_test(many),
        cmocka_unit_test(queues),         cmocka_unit_test(yields),
        cmocka_unit_test(keeps_rounding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "offload.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/*
 * A job that a test holds on its thread until the gate opens, so that nothing depends on how long
 * anything takes.
 */
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_moved = PTHREAD_COND_INITIALIZER;
static bool gate_open;
static atomic_uint begun, ran, dropped, idled;

struct job {
    struct offload_job base;
    bool gated;
    int in, out;
    int64_t spin_us;
    struct loop *home;
};

static void gate_set(bool open)
{
    pthread_mutex_lock(&gate_lock);
    gate_open = open;
    pthread_cond_broadcast(&gate_moved);
    pthread_mutex_unlock(&gate_lock);
}

static void job_run(struct offload_job *base)
{
    struct job *j = (struct job *)base;
    BUG(loop_current()); /* not an assert: those jump, which a pool's thread must not */
    atomic_fetch_add(&begun, 1);
    pthread_mutex_lock(&gate_lock);
    while (j->gated && !gate_open)
        pthread_cond_wait(&gate_moved, &gate_lock);
    pthread_mutex_unlock(&gate_lock);
    for (int64_t until = clock_mono_us() + j->spin_us; clock_mono_us() < until;)
        ;
    j->out = j->in * 2;
    atomic_fetch_add(&ran, 1);
}

static void job_drop(struct offload_job *base)
{
    struct job *j = (struct job *)base;
    BUG(loop_current() != j->home);
    atomic_fetch_add(&dropped, 1);
    free(j);
}

static struct job *job_new(int in, bool gated)
{
    struct job *j = calloc(1, sizeof(*j));
    j->base.run = job_run;
    j->base.drop = job_drop;
    j->in = in;
    j->gated = gated;
    j->home = loop_current();
    return j;
}

/* ---- the frame ------------------------------------------------------------------------------- */

static struct offload_pool *pool;
static void (*main_fn)(void *);
static unsigned left;
static struct fiber *boss;

static void idle(void)
{
    atomic_fetch_add(&idled, 1);
}

static void begin(void *arg)
{
    fiber_start_named(main_fn, arg, "test");
}

static void run(void (*fn)(void *), struct offload_config c)
{
    struct err e;
    main_fn = fn;
    gate_set(false);
    atomic_store(&begun, 0), atomic_store(&ran, 0), atomic_store(&dropped, 0),
        atomic_store(&idled, 0);
    c.name = "test";
    assert_true(loop_create_all(1, &e));
    assert_true(offload_open(&c, &pool, &e));
    loop_post(loop_at(0), begin, NULL);
    loop_run_all();
    gate_set(true);
    offload_close(pool, 5000);
}

/* Waits for what a thread does; the loop goes on meanwhile. */
static void until(atomic_uint *what, unsigned n)
{
    int64_t limit = clock_mono_us() + 20 * CLOCK_S;
    while (atomic_load(what) < n) {
        assert_true(clock_mono_us() < limit);
        fiber_sleep(CLOCK_MS);
    }
}

static void one_done(void)
{
    if (--left == 0)
        fiber_wake(boss);
}

static void wait_all(void)
{
    while (left > 0)
        fiber_park(FIBER_NEVER);
}

/* ---- results come home ----------------------------------------------------------------------- */

static void use_one(void *arg)
{
    int n = (int)(intptr_t)arg;
    struct err e = {0};
    struct job *j = job_new(n, false);
    assert_true(offload_run(pool, &j->base, &e));
    assert_int_equal(j->out, 2 * n);
    free(j);
    one_done();
}

static void many_main(void *arg)
{
    (void)arg;
    boss = fiber_current();
    left = 1000;
    for (intptr_t i = 0; i < 1000; i++)
        fiber_start(use_one, (void *)i);
    wait_all();
    struct offload_stats s = offload_stats(pool);
    assert_int_equal(s.done, 1000);
    assert_int_equal(s.queued, 0);
    assert_int_equal(s.refused, 0);
    assert_int_equal(s.threads, 3);
    assert_true(s.mean_us > 0);
    assert_int_equal(atomic_load(&dropped), 0);
    loop_stop_all();
}

static void results(void **state)
{
    (void)state;
    run(many_main, (struct offload_config){.threads = 3, .queue_max = 1000, .nice = 1});
}

/* ---- late and cancelled: while queued, while running ----------------------------------------- */

static struct fiber *cancelled_fiber;

/* arg: the limit in ms */
static void be_late(void *arg)
{
    struct err e = {0};
    struct job *j = job_new(1, true);
    fiber_set_deadline(clock_mono_us() + (intptr_t)arg * CLOCK_MS);
    assert_false(offload_run(pool, &j->base, &e));
    assert_int_equal(e.status, 504);
    one_done();
}

static void be_cancelled(void *arg)
{
    (void)arg;
    struct err e = {0};
    struct job *j = job_new(1, true);
    cancelled_fiber = fiber_current();
    assert_false(offload_run(pool, &j->base, &e));
    assert_int_equal(e.status, 499);
    one_done();
}

static void late_main(void *arg)
{
    (void)arg;
    boss = fiber_current();
    left = 3;
    fiber_start(be_late, (void *)(intptr_t)1000); /* runs by then, also on a busy machine */
    fiber_yield();
    until(&begun, 1);
    fiber_start(be_late, (void *)(intptr_t)5); /* is queued */
    fiber_start(be_cancelled, NULL);
    fiber_yield();
    fiber_cancel(cancelled_fiber);
    wait_all();
    assert_int_equal(atomic_load(&dropped), 2);
    assert_int_equal(offload_stats(pool).queued, 0);
    gate_set(true);
    until(&dropped, 3);
    assert_int_equal(atomic_load(&ran), 1);
    loop_stop_all();
}

static void late(void **state)
{
    (void)state;
    run(late_main, (struct offload_config){.threads = 1, .queue_max = 10});
}

/* ---- full ------------------------------------------------------------------------------------ */

static void refused_now(void)
{
    struct err e = {0};
    struct job *j = job_new(1, false);
    int64_t t = clock_mono_us();
    assert_false(offload_run(pool, &j->base, &e));
    assert_true(clock_mono_us() - t
                < 150 * CLOCK_MS); /* thrice what is promised: others run beside */
    assert_int_equal(e.status, 429);
    assert_string_equal(e.code, "over_capacity");
    assert_true(e.retry_after_s > 0);
}

static void use_gated(void *arg)
{
    (void)arg;
    struct err e = {0};
    struct job *j = job_new(4, true);
    assert_true(offload_run(pool, &j->base, &e));
    assert_int_equal(j->out, 8);
    free(j);
    one_done();
}

static void full_main(void *arg)
{
    (void)arg;
    boss = fiber_current();
    left = 4;
    for (int i = 0; i < 4; i++)
        fiber_start(use_gated, NULL);
    fiber_yield();
    until(&begun, 2);
    assert_int_equal(offload_stats(pool).busy, 2);
    assert_int_equal(offload_stats(pool).queued, 2);
    refused_now();
    assert_int_equal(offload_stats(pool).refused, 1);
    gate_set(true);
    wait_all();
    left++;
    use_one((void *)7); /* room again */
    loop_stop_all();
}

static void full(void **state)
{
    (void)state;
    run(full_main, (struct offload_config){.threads = 2, .queue_max = 2});
}

/* ---- places ---------------------------------------------------------------------------------- */

static void place_main(void *arg)
{
    (void)arg;
    struct err e = {0};
    struct offload_place first = {0}, second = {0}, none = {0};
    assert_true(offload_place_take(pool, &first, &e));
    assert_true(offload_place_take(pool, &second, &e));
    assert_false(offload_place_take(pool, &none, &e)); /* a thread and a queue of one */
    assert_int_equal(e.status, 429);
    assert_null(none.pool);
    refused_now();

    struct job *j = job_new(3, false); /* whoever has a place is not refused */
    assert_true(offload_run_at(pool, &first, &j->base, &e));
    assert_int_equal(j->out, 6);
    assert_null(first.pool);
    j->out = 0;
    assert_true(offload_run_at(pool, &first, &j->base, &e)); /* used up: there is room again */
    free(j);
    offload_place_drop(&first); /* holds none */
    offload_place_drop(&second);
    offload_place_drop(&second);
    assert_true(offload_place_take(pool, &first, &e) && offload_place_take(pool, &second, &e));
    assert_false(offload_place_take(pool, &none, &e));
    offload_place_drop(&first);
    offload_place_drop(&second);
    assert_int_equal(offload_stats(pool).refused, 3);
    loop_stop_all();
}

static void places(void **state)
{
    (void)state;
    run(place_main, (struct offload_config){.threads = 1, .queue_max = 1});
}

/* ---- too long a wait, by the mean; never when a thread is free ------------------------------- */

static void use_slow(void *arg)
{
    (void)arg;
    struct err e = {0};
    struct job *j = job_new(1, false);
    j->spin_us = 20 * CLOCK_MS;
    assert_true(offload_run(pool, &j->base, &e));
    free(j);
    one_done();
}

static void wait_main(void *arg)
{
    (void)arg;
    boss = fiber_current();
    left = 2;
    use_slow(NULL); /* mean 20 ms, over max_wait_us */
    assert_true(offload_stats(pool).mean_us >= 20 * CLOCK_MS);
    fiber_start(use_gated, NULL); /* accepted: the thread is free */
    fiber_yield();
    until(&begun, 2);
    refused_now();
    gate_set(true);
    wait_all();
    loop_stop_all();
}

static void long_wait(void **state)
{
    (void)state;
    run(wait_main,
        (struct offload_config){.threads = 1, .queue_max = 100, .max_wait_us = 10 * CLOCK_MS});
}

/* ---- detached, idle, closing ----------------------------------------------------------------- */

static void detach_main(void *arg)
{
    (void)arg;
    struct job *j = job_new(1, false);
    j->home = NULL; /* dropped on the pool's thread */
    assert_true(offload_detach(pool, &j->base));
    until(&dropped, 1);
    assert_int_equal(atomic_load(&ran), 1);
    until(&idled, 1);
    struct job *k = job_new(1, false);
    k->home = NULL;
    assert_true(offload_detach(pool, &k->base));
    until(&idled, 2); /* once after each busy time */
    loop_stop_all();
}

static void detached(void **state)
{
    (void)state;
    run(detach_main,
        (struct offload_config){.threads = 1, .queue_max = 4, .idle = idle, .idle_ms = 5});
}

static struct offload_pool *closing;

static void *close_it(void *arg)
{
    (void)arg;
    offload_close(closing, 10);
    return NULL;
}

static void use_closing(void *arg)
{
    (void)arg;
    struct err e = {0};
    struct job *j = job_new(1, true);
    if (offload_run(closing, &j->base, &e))
        free(j);
    else
        assert_int_equal(e.status, 429);
    one_done();
}

static void close_main(void *arg)
{
    (void)arg;
    struct err e = {0};
    boss = fiber_current();
    left = 3;
    const struct offload_config c = {.name = "closing", .threads = 1, .queue_max = 10};
    assert_true(offload_open(&c, &closing, &e));
    for (int i = 0; i < 3; i++)
        fiber_start(use_closing, NULL);
    fiber_yield();
    until(&begun, 1);
    pthread_t t;
    pthread_create(&t, NULL, close_it, NULL);
    until(&dropped, 2); /* given back after 10 ms, while the first still runs */
    gate_set(true);
    wait_all();
    pthread_join(t, NULL);
    loop_stop_all();
}

static void closes(void **state)
{
    (void)state;
    run(close_main, (struct offload_config){.threads = 1, .queue_max = 4});
}

/* The loop has ended while its late job ran: dropped on the pool's thread. */
static void orphan_drop(struct offload_job *base)
{
    BUG(loop_current());
    atomic_fetch_add(&dropped, 1);
    free(base);
}

static void orphan_one(void *arg)
{
    (void)arg;
    struct err e = {0};
    struct job *j = job_new(1, true);
    j->base.drop = orphan_drop;
    cancelled_fiber = fiber_current();
    assert_false(offload_run(pool, &j->base, &e));
    loop_stop_all();
}

static void orphan_main(void *arg)
{
    (void)arg;
    fiber_start(orphan_one, NULL);
    until(&begun, 1);
    fiber_cancel(cancelled_fiber);
}

static void orphans(void **state)
{
    (void)state;
    run(orphan_main, (struct offload_config){.threads = 1, .queue_max = 4});
    assert_int_equal(atomic_load(&ran), atomic_load(&begun));
    assert_int_equal(atomic_load(&dropped), 1);
}

/* ---- finishing and giving up at the same time, many times (for TSan) ------------------------- */

static unsigned given_up;

static void racer(void *arg)
{
    (void)arg;
    struct err e = {0};
    for (int i = 0; i < 50; i++) {
        struct job *j = job_new(1, false);
        j->spin_us = 50;
        fiber_set_deadline(clock_mono_us() + (i % 7 == 6 ? CLOCK_S : (i % 7) * 40));
        if (offload_run(pool, &j->base, &e)) {
            free(j);
            continue;
        }
        assert_int_equal(e.status, 504);
        given_up++;
    }
    one_done();
}

static void race_main(void *arg)
{
    (void)arg;
    boss = fiber_current();
    left = 20;
    given_up = 0;
    for (int i = 0; i < 20; i++)
        fiber_start(racer, NULL);
    wait_all();
    fiber_set_deadline(FIBER_NEVER);
    until(&dropped, given_up); /* each exactly once, on this loop */
    assert_int_equal(atomic_load(&dropped), given_up);
    assert_true(given_up > 0 && given_up < 1000);
    loop_stop_all();
}

static void races(void **state)
{
    (void)state;
    run(race_main, (struct offload_config){.threads = 2, .queue_max = 100});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results), cmocka_unit_test(late),      cmocka_unit_test(full),
        cmocka_unit_test(places),  cmocka_unit_test(long_wait), cmocka_unit_test(detached),
        cmocka_unit_test(closes),  cmocka_unit_test(orphans),   cmocka_unit_test(races),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

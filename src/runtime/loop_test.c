/* SPDX-License-Identifier: Apache-2.0 */
#include "loop.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { SENDERS = 4, POSTS = 20000 };

static void make(unsigned n)
{
    struct err e;
    assert_true(loop_create_all(n, &e));
    assert_int_equal(loop_count(), n);
}

static void stop(void *arg)
{
    (void)arg;
    loop_stop_all();
}

/* ---- posts arrive, each once, in order per sender -------------------------------------------- */

struct note {
    unsigned sender, number;
    struct loop *to;
};

static unsigned next_number[SENDERS][LOOP_MAX];
static atomic_uint arrived;

static void on_note(void *arg)
{
    struct note *n = arg;
    BUG(loop_current() != n->to); /* asserts jump, which only the main thread may */
    unsigned *next = &next_number[n->sender][loop_index()];
    BUG(n->number < *next);
    *next = n->number + 1;
    free(n);
    if (atomic_fetch_add(&arrived, 1) + 1 == SENDERS * POSTS)
        loop_stop_all();
}

static void *sender(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    BUG(loop_current() || loop_index() != LOOP_MAX);
    for (unsigned i = 0; i < POSTS; i++) {
        struct note *n = malloc(sizeof(*n));
        *n = (struct note){me, i, loop_at(i % loop_count())};
        loop_post(n->to, on_note, n);
    }
    return NULL;
}

static void test_posts(void **state)
{
    (void)state;
    memset(next_number, 0, sizeof(next_number));
    atomic_store(&arrived, 0);
    make(2);
    pthread_t t[SENDERS];
    for (uintptr_t i = 0; i < SENDERS; i++)
        pthread_create(&t[i], NULL, sender, (void *)i);
    loop_run_all();
    for (int i = 0; i < SENDERS; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(atomic_load(&arrived), SENDERS * POSTS);
}

/* ---- a post wakes a sleeping loop, each time ------------------------------------------------- */

static unsigned bounces;

static void bounce(void *arg)
{
    (void)arg;
    if (++bounces == 5000) {
        loop_stop_all();
        return;
    }
    loop_post(loop_at(1 - loop_index()), bounce, NULL);
}

static void test_wakes_sleeper(void **state)
{
    (void)state;
    make(2);
    bounces = 0;
    loop_post(loop_at(0), bounce, NULL);
    int64_t begin = clock_mono_us();
    loop_run_all();
    assert_int_equal(bounces, 5000);
    assert_true(clock_mono_us() - begin < 20 * CLOCK_S);
}

/* ---- deferred work runs in the same turn, also what begets more, and never starves posts ----- */

static unsigned defers;
static int64_t turn_of_defer;

static void defer_again(void *arg)
{
    (void)arg;
    defers++;
    if (defers == 1)
        turn_of_defer = loop_now_us();
    if (defers == 2)
        assert_int_equal(turn_of_defer, loop_now_us());
    loop_defer(defer_again, NULL);
    if (defers == 1000)
        loop_stop_all(); /* by post: must get through although something is always deferred */
    if (defers == 100000)
        fail_msg("posted work starved");
}

static void begin_defer(void *arg)
{
    (void)arg;
    loop_defer(defer_again, NULL);
}

static void test_defer(void **state)
{
    (void)state;
    make(1);
    defers = 0;
    struct loop *l = loop_at(0);
    loop_post(l, begin_defer, NULL);
    here = l;
    uv_run(&l->uv, UV_RUN_NOWAIT);
    assert_true(defers >= 2);
    while (!may_leave(l)) /* what is always deferred would keep loop_close busy for ever */
        uv_run(&l->uv, UV_RUN_NOWAIT);
    l->deferred.n = 0;
    loop_close(l);
    here = NULL;
    loops_n = 0;
}

/* ---- slow turns are counted ------------------------------------------------------------------ */

static void be_slow(void *arg)
{
    (void)arg;
    for (int64_t until = clock_mono_us() + 30 * CLOCK_MS; clock_mono_us() < until;)
        ;
}

static void look_at_stats(void *arg)
{
    (void)arg;
    struct loop_stats s = loop_stats_take(loop_current());
    assert_true(s.longest_turn_us >= 30 * CLOCK_MS);
    assert_int_equal(s.slow_turns, 1);
    s = loop_stats_take(loop_current());
    assert_int_equal(s.slow_turns, 0);
    loop_stop_all();
}

static struct timer later;

static void on_later(struct timer *t)
{
    (void)t;
    look_at_stats(NULL);
}

static void begin_slow(void *arg)
{
    timer_arm(&later, clock_mono_us() + CLOCK_MS, on_later);
    be_slow(arg);
}

static void test_slow_turn(void **state)
{
    (void)state;
    make(1);
    loop_post(loop_at(0), begin_slow, NULL);
    loop_run_all();
}

/* ---- stopping: at once when nothing is held, after a second otherwise ------------------------ */

static void hold(void *arg)
{
    (void)arg;
    loop_current()->handles++;
    loop_stop_all();
}

static void count(void *arg)
{
    ++*(unsigned *)arg;
}

static void test_stop(void **state)
{
    (void)state;
    make(3);
    loop_post(loop_at(0), stop, NULL);
    int64_t begin = clock_mono_us();
    loop_run_all();
    assert_true(clock_mono_us() - begin < LOOP_LEAVE_US);

    make(2);
    loop_post(loop_at(1), hold, NULL);
    begin = clock_mono_us();
    loop_run_all();
    int64_t took = clock_mono_us() - begin;
    assert_true(took >= LOOP_LEAVE_US && took < 5 * CLOCK_S);
}

static void test_post_after_end(void **state)
{
    (void)state;
    unsigned called = 0;
    make(1);
    struct loop *l = loop_at(0);
    loop_post(l, stop, NULL);
    loop_post(l, count, &called);
    loop_run_all();
    assert_int_equal(called, 1);
    assert_false(loop_post_try(l, count, &called));
    assert_int_equal(called, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_posts), cmocka_unit_test(test_wakes_sleeper),
        cmocka_unit_test(test_defer), cmocka_unit_test(test_slow_turn),
        cmocka_unit_test(test_stop),  cmocka_unit_test(test_post_after_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "fdwatch.c"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int pair[2];
static struct fdwatch *watch, *other;
static struct fiber *boss;
static int last, calls;

static void on_ready(void *ctx, int ready)
{
    assert_ptr_equal(ctx, pair);
    assert_null(fiber_current());
    last = ready;
    calls++;
    fdwatch_set(watch, 0); /* level triggered: else again at once */
    fiber_wake(boss);
}

static void begin(void *arg)
{
    fiber_start_named((void (*)(void *))(uintptr_t)arg, NULL, "test");
}

static void run(void (*fn)(void *))
{
    struct err e;
    calls = 0;
    assert_true(loop_create_all(1, &e));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    loop_post(loop_at(0), begin, (void *)(uintptr_t)fn);
    loop_run_all();
    close(pair[0]);
    close(pair[1]);
}

static int next_ready(int64_t within_us)
{
    last = -1;
    enum fiber_result r = fiber_park(clock_mono_us() + within_us);
    return r == FIBER_WOKEN ? last : -1;
}

static void interest_main(void *arg)
{
    (void)arg;
    boss = fiber_current();
    watch = fdwatch_open(pair[0], on_ready, pair);
    assert_int_equal(write(pair[1], "x", 1), 1);
    assert_int_equal(next_ready(5000), -1); /* no interest yet */
    fdwatch_set(watch, FDWATCH_READ);
    assert_int_equal(next_ready(10 * CLOCK_S), FDWATCH_READ);
    fdwatch_set(watch, FDWATCH_READ | FDWATCH_WRITE);
    assert_int_equal(next_ready(10 * CLOCK_S), FDWATCH_READ | FDWATCH_WRITE);
    fdwatch_set(watch, FDWATCH_WRITE);
    assert_int_equal(next_ready(10 * CLOCK_S), FDWATCH_WRITE);
    char c;
    assert_int_equal(read(pair[0], &c, 1), 1);
    fdwatch_set(watch, FDWATCH_READ);
    assert_int_equal(next_ready(5000), -1);
    shutdown(pair[1], SHUT_RDWR);
    assert_int_equal(next_ready(10 * CLOCK_S), FDWATCH_READ | FDWATCH_WRITE); /* both on an error */
    fdwatch_close(watch);
    fdwatch_close(NULL);
    loop_stop_all();
}

static void interest(void **state)
{
    (void)state;
    run(interest_main);
    assert_int_equal(calls, 4);
}

/* Two are ready in one batch and the first to be called closes both. */
static void on_close_both(void *ctx, int ready)
{
    (void)ctx, (void)ready;
    calls++;
    fdwatch_close(watch);
    fdwatch_close(other);
    fiber_wake(boss);
}

static void close_main(void *arg)
{
    (void)arg;
    boss = fiber_current();
    watch = fdwatch_open(pair[0], on_close_both, NULL);
    other = fdwatch_open(pair[1], on_close_both, NULL);
    fdwatch_set(watch, FDWATCH_WRITE);
    fdwatch_set(other, FDWATCH_WRITE);
    assert_int_equal(fiber_park(clock_mono_us() + 10 * CLOCK_S), FIBER_WOKEN);
    fiber_sleep(5000);
    loop_stop_all();
}

static void closes_in_callback(void **state)
{
    (void)state;
    run(close_main);
    assert_int_equal(calls, 1);
}

/* The library closes its descriptor first, while a child that was just forked holds a copy. */
static void abandon_main(void *arg)
{
    (void)arg;
    boss = fiber_current();
    int copy = dup(pair[0]), number = pair[0];
    watch = fdwatch_open(pair[0], on_ready, pair);
    fdwatch_set(watch, FDWATCH_READ);
    close(pair[0]);
    pair[0] = dup(pair[1]);
    assert_int_equal(pair[0], number); /* somebody else's by now */
    other = fdwatch_open(pair[0], on_ready, pair);
    fdwatch_set(other, FDWATCH_READ);
    fdwatch_abandon(watch);
    fdwatch_abandon(NULL);
    watch = other;
    assert_int_equal(write(pair[1], "x", 1), 1); /* the copy can be read: nobody is called */
    assert_int_equal(next_ready(5000), -1);
    assert_int_equal(write(copy, "x", 1), 1);
    assert_int_equal(next_ready(10 * CLOCK_S), FDWATCH_READ);
    close(copy);
    fdwatch_close(watch);
    loop_stop_all();
}

static void abandoned(void **state)
{
    (void)state;
    run(abandon_main);
    assert_int_equal(calls, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(abandoned),
        cmocka_unit_test(interest),
        cmocka_unit_test(closes_in_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

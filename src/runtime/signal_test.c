/* SPDX-License-Identifier: Apache-2.0 */
#include "signal.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

static int got;

static void on_first(void *ctx)
{
    (void)ctx;
    fail_msg("replaced, must not be called");
}

static void on_second(void *ctx)
{
    assert_ptr_equal(ctx, &got);
    assert_int_equal(loop_index(), 0);
    if (++got == 2)
        loop_stop_all();
    else
        kill(getpid(), SIGUSR1);
}

static void *send_one(void *arg)
{
    kill(getpid(), SIGUSR1);
    return arg;
}

static void arrives(void **state)
{
    (void)state;
    struct err e;
    assert_true(loop_create_all(2, &e));
    raise(SIGPIPE); /* ignored */
    signal_handle(SIGUSR1, on_first, NULL);
    signal_handle(SIGUSR1, on_second, &got);
    pthread_t t;
    pthread_create(&t, NULL, send_one, NULL);
    loop_run_all();
    pthread_join(t, NULL);
    assert_int_equal(got, 2);
}

static void arrives_again(void **state)
{
    got = 0;
    arrives(state); /* the handle is made anew on the new loop */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrives),
        cmocka_unit_test(arrives_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/ratelimit.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const struct ratelimit_rule five = {.id = 1, .burst = 5, .every_us = 60 * CLOCK_S};
static const struct ratelimit_rule thirty = {.id = 2, .burst = 30, .every_us = 10 * CLOCK_S};

static bool one(struct ratelimit *r, enum ratelimit_op op, const struct ratelimit_rule *rule,
                const char *key, struct ratelimit_answer *out)
{
    struct ratelimit_ask ask = {rule, str_from(key)};
    return ratelimit_do(r, op, &ask, 1, out);
}

static void a_bucket_empties_and_says_when_it_is_not(void **state)
{
    struct ratelimit *r = ratelimit_new(100);
    struct ratelimit_answer a;
    (void)state;
    for (int i = 4; i >= 0; i--) {
        assert_true(one(r, RATELIMIT_TAKE, &five, "k", &a));
        assert_int_equal(a.remaining, i);
    }
    assert_false(one(r, RATELIMIT_TAKE, &five, "k", &a));
    assert_int_equal(a.remaining, 0);
    assert_true(a.retry_us > 59 * CLOCK_S && a.retry_us <= 60 * CLOCK_S);
    assert_true(a.reset_us > 299 * CLOCK_S && a.reset_us <= 300 * CLOCK_S);
    assert_true(one(r, RATELIMIT_TAKE, &five, "another", &a));
    assert_true(one(r, RATELIMIT_TAKE, &thirty, "k", &a)); /* the same name under another rule */
    one(r, RATELIMIT_GIVE_BACK, &five, "k", &a);
    assert_true(one(r, RATELIMIT_LOOK, &five, "k", &a));
    assert_true(one(r, RATELIMIT_TAKE, &five, "k", &a));
    assert_false(one(r, RATELIMIT_LOOK, &five, "k", &a));
    one(r, RATELIMIT_FORGET, &five, "k", &a);
    assert_int_equal(a.remaining, 5);
    ratelimit_free(r);
}

static void charges_make_no_debts(void **state)
{
    struct ratelimit *r = ratelimit_new(100);
    struct ratelimit_answer a;
    (void)state;
    for (int i = 0; i < 1000; i++)
        one(r, RATELIMIT_CHARGE, &five, "k", &a);
    assert_int_equal(a.remaining, 0);
    assert_true(a.retry_us <= five.every_us); /* a thousand failures lock for no longer than one */
    ratelimit_free(r);
}

static void several_are_taken_together_or_not_at_all(void **state)
{
    struct ratelimit *r = ratelimit_new(100);
    struct ratelimit_ask asks[] = {{&thirty, S("a")}, {&five, S("b")}, {&thirty, S("c")}};
    struct ratelimit_answer a[3];
    (void)state;
    for (int i = 0; i < 5; i++)
        assert_true(ratelimit_do(r, RATELIMIT_TAKE, asks, 3, a));
    assert_false(ratelimit_do(r, RATELIMIT_TAKE, asks, 3, a));
    assert_int_equal(a[0].remaining, 25);
    assert_int_equal(a[1].remaining, 0);
    assert_int_equal(a[2].remaining, 25);
    assert_true(a[0].retry_us == 0 && a[1].retry_us > 0 && a[2].retry_us == 0);
    ratelimit_free(r);
}

static void time_brings_tokens_back(void **state)
{
    struct ratelimit_rule quick = {.id = 3, .burst = 2, .every_us = 20 * CLOCK_MS};
    struct ratelimit *r = ratelimit_new(100);
    struct ratelimit_answer a;
    (void)state;
    one(r, RATELIMIT_CHARGE, &quick, "k", &a);
    one(r, RATELIMIT_CHARGE, &quick, "k", &a);
    for (int64_t from = clock_mono_us(); !one(r, RATELIMIT_LOOK, &quick, "k", &a);)
        assert_true(clock_mono_us() - from < 10 * CLOCK_S);
    while (a.reset_us > 0)
        one(r, RATELIMIT_LOOK, &quick, "k", &a);
    assert_int_equal(ratelimit_count(r), 0);
    ratelimit_free(r);
}

enum { FLOOD = 200000 };

/* Names that come once push out one another, not the counter of who was refused. */
static void a_flood_of_names_does_not_free_a_culprit(void **state)
{
    struct ratelimit *r = ratelimit_new(1000);
    struct ratelimit_answer a;
    char name[24];
    (void)state;
    for (int i = 0; i < 5; i++)
        one(r, RATELIMIT_TAKE, &five, "culprit", &a);
    for (int i = 0; i < FLOOD; i++) {
        snprintf(name, sizeof(name), "flood-%d", i);
        one(r, RATELIMIT_TAKE, i % 2 ? &thirty : &five, name, &a);
    }
    assert_true(ratelimit_count(r) <= r->sets_n * WAYS);
    assert_false(one(r, RATELIMIT_TAKE, &five, "culprit", &a));
    ratelimit_free(r);
}

static void *taker(void *arg)
{
    struct ratelimit *r = arg;
    static const struct ratelimit_rule many = {.id = 4, .burst = 1000, .every_us = 3600 * CLOCK_S};
    intptr_t got = 0;
    for (int i = 0; i < 1000; i++)
        got += one(r, RATELIMIT_TAKE, &many, "shared", NULL);
    return (void *)got;
}

static void threads_share_one_bucket(void **state)
{
    struct ratelimit *r = ratelimit_new(100);
    pthread_t threads[4];
    intptr_t total = 0;
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, taker, r), 0);
    for (int i = 0; i < 4; i++) {
        void *got;
        pthread_join(threads[i], &got);
        total += (intptr_t)got;
    }
    assert_int_equal(total, 1000);
    ratelimit_free(r);
}

/* The promise is 1 µs; tests share the machine and may be instrumented. */
static void a_look_is_cheap(void **state)
{
    struct ratelimit *r = ratelimit_new(60000);
    char name[24];
    (void)state;
    int64_t from = clock_mono_us();
    for (int i = 0; i < FLOOD; i++) {
        snprintf(name, sizeof(name), "user-%d", i % 10000);
        one(r, RATELIMIT_TAKE, &thirty, name, NULL);
    }
    int64_t took = clock_mono_us() - from;
    print_message("# %lld ns a token\n", (long long)(took * 1000 / FLOOD));
    assert_true(took < 20LL * FLOOD);
    ratelimit_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_empties_and_says_when_it_is_not),
        cmocka_unit_test(charges_make_no_debts),
        cmocka_unit_test(several_are_taken_together_or_not_at_all),
        cmocka_unit_test(time_brings_tokens_back),
        cmocka_unit_test(a_flood_of_names_does_not_free_a_culprit),
        cmocka_unit_test(threads_share_one_bucket),
        cmocka_unit_test(a_look_is_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

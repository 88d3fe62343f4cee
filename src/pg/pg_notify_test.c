/* SPDX-License-Identifier: Apache-2.0 */
#include "pg_notify.c"

#include "pg/pg_test.h"

static char said[1024];
static unsigned reconnects;

static void on_message(void *ctx, struct str channel, struct str payload)
{
    (void)ctx;
    size_t n = strlen(said);
    snprintf(said + n, sizeof said - n, "%.*s:%.*s ", STR_ARG(channel), STR_ARG(payload));
}

static void on_reconnect(void *ctx)
{
    (void)ctx;
    reconnects++;
}

static bool fresh(void)
{
    return clock_mono_us() - pg_notify_heard_us() < CLOCK_S;
}

static void test_hears(void **state)
{
    (void)state;
    pg_notify_start();
    assert_true(TEST_UNTIL(fresh()));
    assert_int_equal(reconnects, 1);
    test_pg_script("notify \"odd \"\" name\", 'one'; notify other, 'two'; notify unheard, 'three'");
    assert_true(TEST_UNTIL(strcmp(said, "odd \" name:one other:two ") == 0));
    int64_t heard = pg_notify_heard_us();
    assert_true(TEST_UNTIL(pg_notify_heard_us() > heard + 600 * CLOCK_MS));
}

/* What the heartbeat stands for: when it is younger than a commit, that commit's message has come. */
static void test_heartbeat_proves(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        said[0] = 0;
        test_pg_script("notify other, 'x'");
        int64_t committed = clock_mono_us();
        assert_true(TEST_UNTIL(pg_notify_heard_us() >= committed));
        assert_string_equal(said, "other:x ");
    }
}

static void test_deaf_while_stopped(void **state)
{
    (void)state;
    said[0] = 0;
    test_pg_signal_all(SIGSTOP);
    bool stale = TEST_UNTIL(!fresh());
    test_pg_signal_all(SIGCONT);
    assert_true(stale);
    int64_t resumed = clock_mono_us();
    assert_true(TEST_UNTIL(fresh()));
    assert_true(clock_mono_us() - resumed < 3 * CLOCK_S);
}

static void test_reconnects(void **state)
{
    (void)state;
    unsigned before = reconnects;
    said[0] = 0;
    test_pg_script(
        "select pg_terminate_backend(pid) from pg_stat_activity where query like 'notify%'");
    assert_true(TEST_UNTIL(reconnects == before + 1));
    assert_true(TEST_UNTIL(fresh()));
    test_pg_script("notify other, 'again'");
    assert_true(TEST_UNTIL(strcmp(said, "other:again ") == 0));
    test_pg_stop_server(SIGINT);
    assert_true(TEST_UNTIL(!fresh()));
    test_pg_start_server();
    assert_true(TEST_UNTIL(fresh()));
    assert_int_equal(reconnects, before + 2);
}

static int body(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hears),
        cmocka_unit_test(test_heartbeat_proves),
        cmocka_unit_test(test_deaf_while_stopped),
        cmocka_unit_test(test_reconnects),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    pg_notify_close();
    return failures;
}

static void try_open(const char *conninfo, const char *code)
{
    static const char *const channels[] = {"odd \" name", "other", NULL};
    struct pg_notify_config c = {.conninfo = conninfo,
                                 .channels = channels,
                                 .on_message = on_message,
                                 .on_reconnect = on_reconnect};
    struct err e = {0};
    bool ok = pg_notify_open(&c, &e);
    if (ok != !code || (code && strcmp(e.code, code) != 0)) {
        fprintf(stderr, "pg_notify_open: %s %s\n", e.message, e.detail);
        exit(1);
    }
}

int main(void)
{
    test_pg_start();
    try_open("host=/nowhere user=x", "database_unavailable");
    try_open(test_pg.conninfo, NULL);
    int failures = test_run(1, body);
    pg_notify_close();
    return failures;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "pg_pool.c"

#include "pg/pg_test.h"

static const struct pg_sql who_sql = {.text = "select current_user, session_user"};
static const struct pg_sql sleep_sql = {.text = "select pg_sleep($1::float8)", .params = 1};
static const struct pg_sql settings_sql = {
    .text = "select current_setting('statement_timeout'), current_setting('datestyle')"};

/* What one fiber did; it leaves everything here and asserts nothing. */
struct job {
    enum pg_login login;
    const char *seconds; /* NULL: who_sql */
    int64_t limit_us;
    bool ok, ended;
    struct err e;
    char user[32];
    int64_t began_us, ended_us;
    unsigned place; /* in the order of ending */
    struct fiber *fiber;
};

static unsigned places;

static void work(struct job *j, struct arena *a)
{
    struct pg_client client = {.arena = a};
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, &client, j->login, &j->e))
        return;
    if (j->seconds)
        pg_tx_add(&tx, &sleep_sql, PG_ARGS(str_from(j->seconds)));
    else
        pg_tx_add(&tx, &who_sql, PG_NO_ARGS);
    j->ok = pg_tx_commit(&tx, &j->e);
    if (j->ok && !j->seconds)
        snprintf(j->user, sizeof j->user, "%.*s", STR_ARG(pg_row_str(pg_tx_result(&tx, 0), 0, 0)));
}

static void run_job(void *arg)
{
    struct job *j = arg;
    struct arena a;
    arena_init(&a, 1 << 20);
    j->fiber = fiber_current();
    j->began_us = clock_mono_us();
    fiber_set_deadline(j->began_us + j->limit_us);
    work(j, &a);
    j->ended_us = clock_mono_us();
    j->place = places++;
    j->ended = true;
    arena_close(&a);
}

static void start_job(struct job *j, enum pg_login login, const char *seconds, int64_t limit_us)
{
    *j = (struct job){.login = login, .seconds = seconds, .limit_us = limit_us};
    fiber_start(run_job, j);
}

static bool all_ended(const struct job *j, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (!j[i].ended)
            return false;
    return true;
}

static bool works(enum pg_login login)
{
    struct job j;
    start_job(&j, login, NULL, 5 * CLOCK_S);
    while (!j.ended)
        fiber_sleep(500);
    return j.ok;
}

static int set_up(void **state)
{
    (void)state;
    bool ok = TEST_UNTIL(works(PG_LOGIN_AUTH)) && TEST_UNTIL(pg_pool_stats().in_use == 0);
    places = 0;
    return ok ? 0 : -1;
}

static void test_three_logins_one_slot(void **state)
{
    (void)state;
    static struct job j[30];
    static const char *const users[] = {"", "app", "auth_role", "storage"};
    for (unsigned i = 0; i < 30; i++)
        start_job(&j[i], (enum pg_login)(1 + i % 3), NULL, 5 * CLOCK_S);
    assert_int_equal(pg_pool_stats().size, 1);
    assert_true(TEST_UNTIL(all_ended(j, 30)));
    for (unsigned i = 0; i < 30; i++) {
        assert_true(j[i].ok);
        assert_string_equal(j[i].user, users[j[i].login]);
    }
    assert_int_equal(test_pg_number("select count(*) from pg_stat_activity where application_name ="
                                    " 'basalt' and pid <> pg_backend_pid()"),
                     1);
}

static void test_first_come_first_served(void **state)
{
    (void)state;
    static struct job j[200];
    for (unsigned i = 0; i < 200; i++)
        start_job(&j[i], PG_LOGIN_AUTH, i ? NULL : "0.1", 5 * CLOCK_S);
    assert_true(TEST_UNTIL(pg_pool_stats().waiting == 199));
    assert_true(TEST_UNTIL(all_ended(j, 200)));
    for (unsigned i = 0; i < 200; i++) {
        assert_true(j[i].ok);
        assert_int_equal(j[i].place, i);
    }
    assert_int_equal(pg_pool_stats().waiting, 0);
}

static void test_waiting_is_bounded(void **state)
{
    (void)state;
    static struct job j[1100];
    for (unsigned i = 0; i < 1100; i++)
        start_job(&j[i], PG_LOGIN_AUTH, i ? NULL : "1", 10 * CLOCK_S);
    assert_true(TEST_UNTIL(j[1099].fiber));
    unsigned refused = 0;
    for (unsigned i = 0; i < 1100; i++)
        refused += j[i].ended && j[i].e.status == 503 && j[i].e.retry_after_s > 0
                   && j[i].ended_us - j[i].began_us < 150 * CLOCK_MS;
    assert_int_equal(refused, 1100 - 1 - WAITING_MAX);
    assert_true(TEST_UNTIL(all_ended(j, 1100)));
}

static void test_late_while_waiting(void **state)
{
    (void)state;
    static struct job slow, late, gone, next;
    uint64_t timeouts = pg_pool_stats().timeouts;
    start_job(&slow, PG_LOGIN_AUTH, "0.4", 5 * CLOCK_S);
    start_job(&late, PG_LOGIN_AUTH, NULL, 100 * CLOCK_MS);
    start_job(&gone, PG_LOGIN_AUTHENTICATOR, NULL, 5 * CLOCK_S);
    start_job(&next, PG_LOGIN_AUTH, NULL, 5 * CLOCK_S);
    assert_true(TEST_UNTIL(pg_pool_stats().waiting == 3));
    fiber_cancel(gone.fiber);
    assert_true(TEST_UNTIL(late.ended && gone.ended));
    assert_int_equal(late.e.status, 503);
    assert_string_equal(late.e.code, "database_busy");
    assert_true(late.e.retry_after_s > 0);
    assert_in_range(late.ended_us - late.began_us, 100 * CLOCK_MS, 400 * CLOCK_MS);
    assert_int_equal(gone.e.status, 499);
    assert_true(TEST_UNTIL(next.ended && slow.ended));
    assert_true(next.ok && slow.ok);
    assert_int_equal(pg_pool_stats().timeouts, timeouts + 1);
}

/* Invariant 4: every request answers by its deadline, and service is back within a second. */
static void stopped(int64_t for_us)
{
    static struct job j[20];
    for (unsigned i = 0; i < 20; i++)
        start_job(&j[i], PG_LOGIN_AUTH, i ? NULL : "0.05", 300 * CLOCK_MS + i * 20 * CLOCK_MS);
    assert_true(TEST_UNTIL(j[19].fiber));
    test_pg_signal_all(SIGSTOP);
    int64_t since = clock_mono_us();
    while (clock_mono_us() - since < for_us)
        fiber_sleep(10 * CLOCK_MS);
    bool all = all_ended(j, 20);
    test_pg_signal_all(SIGCONT);
    int64_t resumed = clock_mono_us();
    assert_true(all);
    for (unsigned i = 0; i < 20; i++) {
        assert_false(j[i].ok);
        assert_true(j[i].e.status == 504 || j[i].e.status == 503);
        assert_true(j[i].ended_us - j[i].began_us < j[i].limit_us + 300 * CLOCK_MS);
    }
    assert_true(TEST_UNTIL(works(PG_LOGIN_AUTH)));
    int64_t took = clock_mono_us() - resumed;
    print_message("stopped %lld ms, back after %lld ms\n", (long long)(for_us / CLOCK_MS),
                  (long long)(took / CLOCK_MS));
    assert_true(took < CLOCK_S);
}

static void test_server_stopped(void **state)
{
    (void)state;
    stopped(CLOCK_S);
}

static void test_server_stopped_long(void **state)
{
    (void)state;
    stopped(7 * CLOCK_S); /* beyond the drain's limit, into a connect attempt */
}

static void test_server_down(void **state)
{
    (void)state;
    struct err e = {0};
    assert_true(pg_pool_ready(&e));
    test_pg_stop_server(SIGINT);
    assert_true(TEST_UNTIL(!pg_pool_ready(&e))); /* noticed while idle, without a request */
    assert_int_equal(e.status, 503);
    assert_non_null(strstr(e.message, "PostgreSQL"));
    static struct job j[50];
    for (unsigned i = 0; i < 50; i++)
        start_job(&j[i], PG_LOGIN_AUTH, NULL, 5 * CLOCK_S);
    assert_true(TEST_UNTIL(all_ended(j, 50)));
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(j[i].e.status, 503);
        assert_string_equal(j[i].e.code, "database_unavailable");
        assert_true(j[i].ended_us - j[i].began_us < 150 * CLOCK_MS);
    }
    test_pg_start_server();
    pg_pool_reset();
    int64_t up = clock_mono_us();
    assert_true(TEST_UNTIL(pg_pool_ready(&e))); /* without a request too */
    assert_true(clock_mono_us() - up < 3 * CLOCK_S);
    assert_true(works(PG_LOGIN_AUTH));
}

static void test_comes_back_by_itself(void **state)
{
    (void)state;
    struct err e;
    test_pg_stop_server(SIGINT);
    assert_true(TEST_UNTIL(!pg_pool_ready(&e)));
    test_pg_start_server();
    assert_true(TEST_UNTIL(pg_pool_ready(&e)));
}

static void test_reset_replaces(void **state)
{
    (void)state;
    static struct job j;
    uint64_t connects = pg_pool_stats().connects;
    start_job(&j, PG_LOGIN_AUTH, "0.2", 5 * CLOCK_S);
    assert_true(TEST_UNTIL(pg_pool_stats().in_use == 1));
    pg_pool_reset();
    assert_true(TEST_UNTIL(j.ended));
    assert_true(j.ok); /* what is under way ends in peace */
    assert_true(works(PG_LOGIN_AUTH));
    assert_true(pg_pool_stats().connects > connects);
}

static void test_abandoned_is_clean(void **state)
{
    (void)state;
    static struct job j[40];
    for (unsigned i = 0; i < 40; i++)
        start_job(&j[i], PG_LOGIN_AUTH, i % 2 ? NULL : "5", (20 + i * 20) * CLOCK_MS);
    assert_true(TEST_UNTIL(all_ended(j, 40)));
    for (unsigned i = 0; i < 40; i++)
        assert_true(j[i].ok ? i % 2 : j[i].e.status == 504 || j[i].e.status == 503);
    for (unsigned i = 0; i < 40; i++) /* no cancel meant for another hits these */
        assert_true(works(PG_LOGIN_AUTH));
}

static void test_behind_a_pooler(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    struct pg_client client = {.arena = &a};
    struct err e;
    config.prepare = false;
    pg_pool_reset();
    assert_true(TEST_UNTIL(works(PG_LOGIN_AUTH)));
    for (int i = 0; i < 2; i++) {
        CLEANUP(pg_tx_end) struct pg_tx tx = {0};
        assert_true(i ? pg_tx_begin(&tx, &client, PG_LOGIN_AUTH, &e)
                      : pg_tx_single(&tx, &client, PG_LOGIN_AUTH, &e));
        if (i == 0)
            pg_tx_read_only(&tx); /* without BEGIN: the settings hold until the Sync all the same */
        pg_tx_add(&tx, &settings_sql, PG_NO_ARGS);
        pg_tx_add(&tx, &who_sql, PG_NO_ARGS);
        assert_true(pg_tx_commit(&tx, &e));
        assert_true(str_is(pg_row_str(pg_tx_result(&tx, 0), 0, 0), "3s"));
        assert_true(str_is(pg_row_str(pg_tx_result(&tx, 1), 0, 0), "auth_role"));
    }
    config.prepare = true;
    pg_pool_reset();
    arena_close(&a);
}

static void test_idle_are_closed(void **state)
{
    (void)state;
    struct pool *p = &pools[0];
    assert_true(works(PG_LOGIN_AUTH));
    assert_int_equal(pg_pool_stats().idle, 1);
    LIST_ENTRY(p->logins[PG_LOGIN_AUTH].idle.next, struct pg_slot, link)->since_us -=
        IDLE_MAX_US + 1;
    on_idle_tick(&p->idle_tick);
    assert_int_equal(pg_pool_stats().idle, 1); /* a few are kept */
}

static int body(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_three_logins_one_slot, set_up),
        cmocka_unit_test_setup(test_first_come_first_served, set_up),
        cmocka_unit_test_setup(test_waiting_is_bounded, set_up),
        cmocka_unit_test_setup(test_late_while_waiting, set_up),
        cmocka_unit_test_setup(test_abandoned_is_clean, set_up),
        cmocka_unit_test_setup(test_server_stopped, set_up),
        cmocka_unit_test_setup(test_server_stopped_long, set_up),
        cmocka_unit_test_setup(test_server_down, set_up),
        cmocka_unit_test_setup(test_comes_back_by_itself, set_up),
        cmocka_unit_test_setup(test_reset_replaces, set_up),
        cmocka_unit_test_setup(test_behind_a_pooler, set_up),
        cmocka_unit_test_setup(test_idle_are_closed, set_up),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    pg_pool_close_all(1000);
    return failures;
}

int main(void)
{
    test_pg_start();
    test_pg_script("create role app login; create role storage login; create role auth_role");
    char app[340], storage[340];
    snprintf(app, sizeof app, "host=%s user=app dbname=postgres", test_pg.dir);
    snprintf(storage, sizeof storage, "host=%s user=storage dbname=postgres", test_pg.dir);
    struct pg_pool_config c = {
        .conninfo = {NULL, app, test_pg.conninfo, storage},
        .set_role = {[PG_LOGIN_AUTH] = "auth_role"}, /* the superuser's connection, shared */
        .size = 1,
        .loops = 1,
        .connect_timeout_us = 5 * CLOCK_S,
        .statement_timeout_us = 3 * CLOCK_S,
        .reconnect_min_us = 100 * CLOCK_MS,
        .reconnect_max_us = 5 * CLOCK_S,
        .prepare = true};
    struct err e;
    if (!pg_pool_open_all(&c, &e)) {
        fprintf(stderr, "%s\n", e.message);
        return 1;
    }
    int failures = test_run(1, body);
    pg_pool_close_all(1000);
    return failures;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>

#include "base/arena.h"

static struct arena a;

/* A temporary file for the log; what was written is read back whole. */
static int scratch(void)
{
    char name[] = "/tmp/log_test_XXXXXX";
    int fd = mkostemp(name, O_CLOEXEC);
    assert_true(fd >= 0);
    unlink(name);
    return fd;
}

static struct str contents(int fd)
{
    static char text[8 << 20];
    ssize_t n = pread(fd, text, sizeof(text), 0);
    assert_true(n >= 0);
    return str_of(text, (size_t)n);
}

static bool holds(struct str text, const char *what)
{
    size_t at = 0;
    return str_find(text, str_from(what), &at);
}

static void assert_lines_are_json(struct str text, size_t want)
{
    struct err e = {0};
    struct str line;
    size_t lines = 0;
    for (; text.n > 0; lines++) {
        assert_true(str_cut(text, '\n', &line, &text));
        assert_true(json_valid(line, &e));
    }
    assert_int_equal(lines, want);
}

static void log_one(enum log_level level)
{
    struct log_line l;
    log_begin(&l, level, "pool.failed");
    log_str(&l, "host", S("a \"b\"\n<\x7f\xC2\x9B"));
    log_cstr(&l, "plain", "v/1.2");
    log_cstr(&l, "none", NULL);
    log_i64(&l, "n", -3);
    log_ms(&l, "took_ms", 1234567);
    log_ms(&l, "back_ms", -1005);
    log_bool(&l, "ok", false);
    log_end(&l);
    log_end(&l);
}

static void writes_json(void **state)
{
    int fd = scratch();
    (void)state;
    log_open(fd, LOG_INFO, LOG_JSON);
    log_open(fd, LOG_INFO, LOG_JSON); /* again changes nothing */
    log_one(LOG_WARN);
    log_one(LOG_DEBUG); /* below the least */
    log_say(LOG_ERROR, "said", "%d%%", 5);
    log_close(5000);
    log_close(5000);
    struct str text = contents(fd);
    assert_lines_are_json(text, 2);
    assert_true(str_starts(text, S("{\"time\":\"2")));
    assert_true(holds(text, "\"level\":\"warn\",\"event\":\"pool.failed\",\"host\":\"a \\\"b\\\"\\n"
                            "\\u003c\x7f\xC2\x9B\",\"plain\":\"v/1.2\",\"none\":null,\"n\":-3,"
                            "\"took_ms\":1234.567,\"back_ms\":-1.005,\"ok\":false}\n"));
    assert_true(holds(text, "\"level\":\"error\",\"event\":\"said\",\"message\":\"5%\"}\n"));
    log_one(LOG_INFO); /* closed: directly */
    assert_lines_are_json(contents(fd), 3);
    close(fd);
}

static void writes_text(void **state)
{
    int fd = scratch();
    (void)state;
    log_open(fd, LOG_DEBUG, LOG_TEXT);
    log_one(LOG_INFO);
    log_close(5000);
    struct str text = contents(fd);
    assert_int_equal(text.p[2], ':');
    assert_true(str_eq(str_from_at(text, 8),
                       S(" info  pool.failed  host=\"a \\\"b\\\"\\n\\u003c???\"  plain=v/1.2  "
                         "none=null  n=-3  took_ms=1234.567  back_ms=-1.005  ok=false\n")));
    close(fd);
}

static void writes_errors(void **state)
{
    struct err e;
    struct log_line l;
    int fd = scratch();
    (void)state;
    err_set(&e, 409, "email_exists", "taken");
    err_detail(&e, "constraint %s", "users_email_key");
    memcpy(e.sqlstate, "23505", 6);
    log_open(fd, LOG_INFO, LOG_JSON);
    log_begin(&l, LOG_ERROR, "request.failed");
    log_err(&l, &e);
    log_end(&l);
    log_close(5000);
    struct str text = contents(fd);
    assert_true(holds(text, "\"status\":409,\"code\":\"email_exists\",\"message\":\"taken\","
                            "\"detail\":\"constraint users_email_key\",\"sqlstate\":\"23505\","
                            "\"func\":\"writes_errors\",\"at\":\""));
    assert_true(holds(text, "log_test.c:"));
    assert_false(holds(text, "../"));
    close(fd);
}

static void cuts_long_lines_at_a_field(void **state)
{
    static char big[5000];
    int fd = scratch();
    (void)state;
    memset(big, 'x', sizeof(big) - 1);
    log_open(fd, LOG_INFO, LOG_JSON);
    for (size_t n = 3800; n < sizeof(big); n++) {
        struct log_line l;
        log_begin(&l, LOG_INFO, "big");
        log_str(&l, "kept", S("1"));
        log_str(&l, "big", str_of(big, n));
        log_i64(&l, "after", 2);
        log_end(&l);
        if (n % 100 == 0)
            nap(); /* the ring holds some 250 of these */
    }
    log_close(5000);
    struct str text = contents(fd), line;
    assert_lines_are_json(text, sizeof(big) - 3800 - log_dropped());
    while (str_cut(text, '\n', &line, &text)) {
        assert_true(line.n < 4096);
        assert_true(holds(line, "\"kept\":\"1\""));
        bool whole = holds(line, "\"big\":\"x") && holds(line, "\"after\":2");
        assert_true(whole != holds(line, "\"truncated\":true"));
    }
    close(fd);
}

enum { THREADS = 4, LINES = 5000 };

static void *produce(void *arg)
{
    for (int i = 0; i < LINES; i++) {
        struct log_line l;
        log_begin(&l, LOG_INFO, "t");
        log_i64(&l, "thread", *(int *)arg);
        log_i64(&l, "i", i);
        log_str(&l, "pad", str_of("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", (size_t)i % 40));
        log_end(&l);
    }
    return NULL;
}

static void keeps_each_threads_order(void **state)
{
    pthread_t threads[THREADS];
    int ids[THREADS], next[THREADS] = {0};
    size_t lines = 0;
    unsigned long long before = log_dropped();
    int fd = scratch();
    (void)state;
    log_open(fd, LOG_INFO, LOG_JSON);
    for (int i = 0; i < THREADS; i++) {
        ids[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &ids[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    log_close(10000);
    struct str text = contents(fd), line;
    while (str_cut(text, '\n', &line, &text)) {
        struct json_i64 thread = {0}, i = {0};
        if (holds(line, "log.dropped"))
            continue;
        assert_true(json_get(line, "thread", JSON_I64, &thread, &a));
        assert_true(json_get(line, "i", JSON_I64, &i, &a));
        assert_in_range(thread.value, 0, THREADS - 1);
        assert_true(i.value >= next[thread.value]);
        next[thread.value] = (int)i.value + 1;
        lines++;
    }
    assert_int_equal(lines + (log_dropped() - before), THREADS * LINES);
    close(fd);
}

static atomic_int pushing;

static void *push(void *arg)
{
    for (int i = 0; i < LINES; i++) {
        char line[64];
        int n = snprintf(line, sizeof(line), "%d %d\n", *(int *)arg, i);
        while (!ring_push(&ring, line, (size_t)n))
            sched_yield();
    }
    atomic_fetch_sub(&pushing, 1);
    return NULL;
}

/* The ring's memory is given back whenever it is empty, while others write: no line is lost. */
static void loses_nothing_when_memory_is_given_back(void **state)
{
    pthread_t threads[THREADS];
    int ids[THREADS], next[THREADS] = {0};
    int fd = scratch();
    (void)state;
    atomic_store(&pushing, THREADS);
    for (int i = 0; i < THREADS; i++) {
        ids[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, push, &ids[i]), 0);
    }
    while (atomic_load(&pushing) > 0 || !ring_empty(&ring)) {
        while (write_batch(fd, FILE_CHUNK))
            ;
        ring_release(&ring);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    struct str text = contents(fd), line;
    while (str_cut(text, '\n', &line, &text)) {
        struct str thread, number;
        int64_t t = -1, i = -1;
        assert_true(str_cut(line, ' ', &thread, &number));
        assert_true(str_to_i64(thread, &t) && str_to_i64(number, &i));
        assert_int_equal(i, next[t]++);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(next[i], LINES);
    close(fd);
}

static void a_stalled_pipe_stops_nobody(void **state)
{
    int ends[2];
    unsigned long long before = log_dropped();
    (void)state;
    assert_int_equal(pipe(ends), 0);
    log_open(ends[1], LOG_INFO, LOG_JSON);
    int64_t slowest_us = 0, start = clock_mono_us();
    for (int i = 0; i < 40000; i++) {
        int64_t from = clock_mono_us();
        log_say(LOG_INFO, "flood", "line %d", i);
        int64_t took = clock_mono_us() - from;
        slowest_us = took > slowest_us ? took : slowest_us;
    }
    assert_true(log_dropped() > before);
    assert_true(slowest_us < CLOCK_S);
    assert_true(clock_mono_us() - start < 20 * CLOCK_S);
    int64_t close_from = clock_mono_us();
    log_close(200);
    assert_true(clock_mono_us() - close_from < 2 * CLOCK_S);
    assert_false(lost_writer);
    assert_true(!ring_empty(&ring));
    log_say(LOG_INFO, "late", "does not hang");
    close(
        ends[0]); /* whoever read it is gone: the rest of the ring goes nowhere, without SIGPIPE */
    log_open(ends[1], LOG_INFO, LOG_JSON);
    log_close(5000);
    assert_true(ring_empty(&ring));
    close(ends[1]);
}

static void resumes_when_the_pipe_moves(void **state)
{
    int ends[2];
    char got[65536];
    unsigned long long before = log_dropped();
    bool reported = false;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    log_open(ends[1], LOG_INFO, LOG_JSON);
    for (int i = 0; log_dropped() == before; i++)
        log_say(LOG_INFO, "flood", "line %d", i);
    int64_t deadline = clock_mono_us() + 10 * CLOCK_S;
    while (!reported && clock_mono_us() < deadline) {
        struct pollfd p = {.fd = ends[0], .events = POLLIN};
        if (poll(&p, 1, 100) != 1)
            continue;
        ssize_t n = read(ends[0], got, sizeof(got));
        assert_true(n > 0);
        reported = holds(str_of(got, (size_t)n), "\"event\":\"log.dropped\",\"lines\":");
    }
    assert_true(reported);
    log_close(5000);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_json),
        cmocka_unit_test(writes_text),
        cmocka_unit_test(writes_errors),
        cmocka_unit_test(cuts_long_lines_at_a_field),
        cmocka_unit_test(keeps_each_threads_order),
        cmocka_unit_test(loses_nothing_when_memory_is_given_back),
        cmocka_unit_test(resumes_when_the_pipe_moves),
        cmocka_unit_test(a_stalled_pipe_stops_nobody),
    };
    arena_init(&a, 64 << 20);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    arena_close(&a);
    return failures;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics.c"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/map.h"

/* ---- a reader of the text format, as strict as Prometheus's own (exposition format 0.0.4) ---- */

static bool metric_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!isalpha((unsigned char)s.p[i]) && s.p[i] != '_' && s.p[i] != ':'
            && !(i > 0 && isdigit((unsigned char)s.p[i])))
            return false;
    }
    return s.n > 0;
}

struct family {
    struct str name, type;
    bool histogram;
    struct str series; /* labels of the histogram being read, without le */
    uint64_t last, inf;
};

/* name{a="b",c="d"} value: the labels are given back with le apart. */
static void read_labels(struct str labels, struct str *series, struct str *le)
{
    *series = str_of(labels.p, 0);
    *le = (struct str){0};
    while (labels.n > 0) {
        struct str name, rest;
        assert_true(str_cut(labels, '=', &name, &rest));
        assert_true(metric_name(name) && rest.n >= 2 && rest.p[0] == '"');
        size_t i = 1;
        for (; i < rest.n && rest.p[i] != '"'; i++) {
            assert_true(rest.p[i] != '\n');
            if (rest.p[i] == '\\')
                assert_non_null(strchr("\\\"n", rest.p[++i]));
        }
        assert_true(i < rest.n);
        if (str_is(name, "le"))
            *le = str_of(rest.p + 1, i - 1);
        else
            *series = str_of(series->p, (size_t)(rest.p + i - series->p));
        labels = str_from_at(rest, i + 1);
        if (labels.n > 0) {
            assert_true(labels.p[0] == ',' && labels.n > 1);
            labels = str_from_at(labels, 1);
        }
    }
}

static void read_histogram(struct family *f, struct str suffix, struct str series, struct str le,
                           struct str value)
{
    uint64_t n = 0;
    if (str_is(suffix, "_sum"))
        return;
    assert_true(str_to_u64(value, &n));
    if (str_is(suffix, "_count")) {
        assert_true(str_eq(series, f->series));
        assert_int_equal(n, f->inf);
        return;
    }
    assert_true(str_is(suffix, "_bucket") && le.p);
    if (!str_eq(series, f->series))
        f->last = 0;
    f->series = series;
    assert_true(n >= f->last);
    f->last = n;
    if (str_is(le, "+Inf"))
        f->inf = n;
}

static void read_sample(struct family *f, struct str line, struct map *seen)
{
    struct str head, value, name, labels, le;
    size_t space = line.n;
    while (space > 0 && line.p[space - 1] != ' ')
        space--;
    head = str_of(line.p, space - 1);
    value = str_from_at(line, space);
    char *end = NULL;
    char number[64];
    snprintf(number, sizeof(number), "%.*s", STR_ARG(value));
    strtod(number, &end);
    assert_true(end != number && *end == '\0');
    assert_null(map_put(seen, head, f)); /* every series once */
    bool labelled = str_cut(head, '{', &name, &labels);
    assert_true(metric_name(name) && str_starts(name, f->name));
    if (labelled) {
        assert_true(str_ends(labels, S("}")) && labels.n > 1);
        labels.n--;
    }
    read_labels(labelled ? labels : str_of("", 0), &labels, &le);
    if (f->histogram)
        read_histogram(f, str_from_at(name, f->name.n), labels, le, value);
    else
        assert_true(str_eq(name, f->name) && !le.p);
}

static unsigned read_all(struct str text)
{
    struct family f = {0};
    struct str line, word, rest;
    struct map seen, families;
    unsigned samples = 0;
    map_init(&seen);
    map_init(&families);
    assert_true(str_ends(text, S("\n")));
    while (text.n > 0) {
        str_cut(text, '\n', &line, &text);
        if (str_starts(line, S("# HELP "))) {
            str_cut(str_from_at(line, 7), ' ', &word, &rest);
            assert_null(map_put(&families, word, &families)); /* once a family */
            assert_true(metric_name(word) && rest.n > 0);
            f = (struct family){.name = word};
        } else if (str_starts(line, S("# TYPE "))) {
            str_cut(str_from_at(line, 7), ' ', &word, &f.type);
            assert_true(str_eq(word, f.name)); /* right behind its HELP */
            f.histogram = str_is(f.type, "histogram");
            assert_true(f.histogram || str_is(f.type, "counter") || str_is(f.type, "gauge"));
        } else {
            assert_true(f.type.p != NULL);
            read_sample(&f, line, &seen);
            samples++;
        }
    }
    map_close(&seen);
    map_close(&families);
    return samples;
}

/* ---- tests ---- */

static struct buf text;

static const char *written(void)
{
    buf_reset(&text);
    metrics_write(&text);
    buf_char(&text, '\0');
    assert_false(text.failed);
    return text.p;
}

static int close_text(void **state)
{
    (void)state;
    buf_free(&text);
    return 0;
}

/* House rules for rows: names, labels and words that need no escaping, counters end in _total. */
static void rows_are_sound(void **state)
{
    (void)state;
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        struct str name = str_from(rows[i].name);
        assert_true(metric_name(name));
        assert_true(str_starts(name, S("basalt_")) || str_starts(name, S("process_")));
        assert_int_equal(str_ends(name, S("_total")), rows[i].kind == COUNTER);
        assert_true(rows[i].kind != HISTOGRAM || str_ends(name, S("_seconds")));
        assert_int_equal(rows[i].label[0] == '\0', rows[i].values[0] == '\0');
        assert_false(str_is(str_from(rows[i].label), "le"));
        assert_null(strstr(rows[i].values, "  "));
        assert_true(str_ends(str_from(rows[i].help), S(".")));
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(rows[i].name, rows[j].name);
    }
}

static void the_text_is_prometheus(void **state)
{
    (void)state;
    metrics_add(METRIC_http_requests, metrics_label(METRIC_http_requests, S("404")), 3);
    metrics_observe_us(METRIC_http_stage, 2, 1500);
    metrics_observe_us(METRIC_http_stage, 2, INT64_MAX / 2);
    const char *p = written();
    unsigned series = read_all(str_from(p)), want = 0;
    for (unsigned i = 0; i < METRIC_COUNT; i++)
        want += places[i].values * (rows[i].kind == HISTOGRAM ? BOUNDS + 3 : 1);
    assert_int_equal(series, want);
    assert_non_null(strstr(p, "\nbasalt_http_requests_total{code=\"404\"} 3\n"));
    assert_non_null(
        strstr(p, "\nbasalt_http_stage_seconds_bucket{stage=\"guard\",le=\"0.001\"} 0\n"));
    assert_non_null(
        strstr(p, "\nbasalt_http_stage_seconds_bucket{stage=\"guard\",le=\"0.0025\"} 1\n"));
    assert_non_null(strstr(p, "\nbasalt_http_stage_seconds_bucket{stage=\"guard\",le=\"+Inf\"} 2\n"));
    assert_non_null(strstr(p, "\nbasalt_pg_pool_wait_seconds_bucket{le=\"+Inf\"} 0\n"));
}

static void labels(void **state)
{
    (void)state;
    assert_int_equal(metrics_label(METRIC_http_requests, S("200")), 0);
    assert_int_equal(metrics_label(METRIC_http_requests, S("299")),
                     places[METRIC_http_requests].values - 1);
    assert_int_equal(metrics_label(METRIC_hash_duration, S("bcrypt")), 1);
    assert_int_equal(metrics_label(METRIC_http_connections, S("")), 0);
}

static void buckets(void **state)
{
    (void)state;
    assert_int_equal(bucket_of(0), 0);
    assert_int_equal(bucket_of(50), 0); /* le: the bound belongs to it */
    assert_int_equal(bucket_of(51), 1);
    assert_int_equal(bucket_of(60000000), BOUNDS - 1);
    assert_int_equal(bucket_of(60000001), BOUNDS);
    for (unsigned i = 1; i < BOUNDS; i++) {
        assert_true(bounds[i].us > bounds[i - 1].us);
        assert_true((int64_t)(strtod(bounds[i].le, NULL) * 1e6 + 0.5) == bounds[i].us);
    }
    metrics_observe_us(METRIC_pg_query_duration, 0, -5); /* a clock that went back */
    metrics_observe_us(METRIC_pg_query_duration, 0, 1250000);
    assert_int_equal(metrics_value(METRIC_pg_query_duration, 0), 2);
    assert_non_null(strstr(written(), "\nbasalt_pg_query_duration_seconds_sum 1.25\n"));
}

static void gauges(void **state)
{
    (void)state;
    metrics_add(METRIC_http_in_flight, 0, 2);
    metrics_add(METRIC_http_in_flight, 0, -1ull);
    assert_int_equal(metrics_value(METRIC_http_in_flight, 0), 1);
    metrics_set(METRIC_listener_heartbeat_age, 0, -1500000);
    assert_non_null(strstr(written(), "\nbasalt_listener_heartbeat_age_seconds -1.5\n"));
}

static int64_t seven(void *ctx)
{
    return *(int64_t *)ctx;
}

static void asked_gauges(void **state)
{
    static int64_t value = 7;
    (void)state;
    metrics_gauge_fn(METRIC_hash_queue, 0, seven, &value);
    assert_int_equal(metrics_value(METRIC_hash_queue, 0), 7);
    value = 9;
    assert_non_null(strstr(written(), "\nbasalt_hash_queue 9\n"));
}

static void escaping(void **state)
{
    (void)state;
    buf_reset(&text);
    write_escaped(&text, S("a\\b\"c\nd"), true);
    assert_true(str_is(buf_view(&text), "a\\\\b\\\"c\\nd"));
    buf_reset(&text);
    write_escaped(&text, S("a\\b\"c\nd"), false);
    assert_true(str_is(buf_view(&text), "a\\\\b\"c\\nd"));
}

static void seconds(void **state)
{
    static const struct {
        int64_t us;
        const char *want;
    } cases[] = {{0, "0"},
                 {1, "0.000001"},
                 {1000000, "1"},
                 {1100000, "1.1"},
                 {-50, "-0.00005"},
                 {INT64_MAX, "9223372036854.775807"},
                 {INT64_MIN, "-9223372036854.775808"}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        buf_reset(&text);
        write_seconds(&text, cases[i].us);
        assert_true(str_is(buf_view(&text), cases[i].want));
    }
}

enum { THREADS = 4, ROUNDS = 20000 };

static void *count_from_thread(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        metrics_add(METRIC_token_cache_hits, 0, 1);
        metrics_observe_us(METRIC_pg_pool_wait, 0, i);
    }
    return arg;
}

static atomic_uint loops_done;

static void count_on_loop(void *arg)
{
    count_from_thread(arg);
    metrics_set(METRIC_pg_pool_size, 0, 4);
    if (atomic_fetch_add(&loops_done, 1) == 1)
        loop_stop_all();
}

/* Two loops and four other threads at once lose nothing; a gauge of two loops is their sum. */
static void many_threads(void **state)
{
    pthread_t threads[THREADS];
    struct err e;
    uint64_t before = metrics_value(METRIC_pg_pool_wait, 0);
    (void)state;
    assert_true(loop_create_all(2, &e));
    for (unsigned i = 0; i < 2; i++)
        loop_post(loop_at(i), count_on_loop, NULL);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_from_thread, NULL), 0);
    loop_run_all();
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(metrics_value(METRIC_token_cache_hits, 0), (THREADS + 2) * ROUNDS);
    assert_int_equal(metrics_value(METRIC_pg_pool_wait, 0) - before, (THREADS + 2) * ROUNDS);
    assert_int_equal(metrics_value(METRIC_pg_pool_size, 0), 8);
}

int main(void)
{
    buf_init(&text, 1 << 20);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_sound), cmocka_unit_test(the_text_is_prometheus),
        cmocka_unit_test(labels),         cmocka_unit_test(buckets),
        cmocka_unit_test(gauges),         cmocka_unit_test(asked_gauges),
        cmocka_unit_test(escaping),       cmocka_unit_test(seconds),
        cmocka_unit_test(many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, close_text);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/metrics.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/version.h"
#include "runtime/loop.h"

enum kind { COUNTER, GAUGE, HISTOGRAM };

struct row {
    enum kind kind;
    const char *name, *label, *values, *help;
};

static const struct row rows[METRIC_COUNT] = {
#define X(id, kind, name, label, values, help) {kind, name, label, values, help},
#include "ops/metrics.def"
#undef X
};

/*
 * Upper bounds of the duration buckets, in µs and as the label shows them. Dense from 1 to 100 ms,
 * where the limits that we promise lie (20, 50 and 75 ms).
 */
static const struct {
    int64_t us;
    const char *le;
} bounds[] = {
    {50, "0.00005"},  {100, "0.0001"}, {250, "0.00025"}, {500, "0.0005"},  {1000, "0.001"},
    {2500, "0.0025"}, {5000, "0.005"}, {10000, "0.01"},  {20000, "0.02"},  {50000, "0.05"},
    {75000, "0.075"}, {100000, "0.1"}, {250000, "0.25"}, {500000, "0.5"},  {1000000, "1"},
    {2500000, "2.5"}, {5000000, "5"},  {10000000, "10"}, {30000000, "30"}, {60000000, "60"},
};

enum {
    BOUNDS = sizeof(bounds) / sizeof(bounds[0]),
    HISTOGRAM_CELLS = BOUNDS + 2, /* a bucket per bound, the one above them all, the sum */
    CACHE_LINE = 64,
};

/* Where a row's cells begin in every shard, and how many values its label has. */
struct place {
    unsigned first, values;
};

struct reader {
    int64_t (*fn)(void *);
    void *ctx;
};

/* Written once by layout(), read-only afterwards. */
static struct place places[METRIC_COUNT];
static unsigned cell_count;
static struct reader *readers; /* per cell; for all but histograms; set at start-up */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/*
 * A loop's own cells, made at its first count (about 6 KiB), never freed. Only that loop writes
 * them; the last shard belongs to all threads that are no loop.
 */
static _Atomic(_Atomic uint64_t *) shards[LOOP_MAX + 1];

static unsigned values_count(const struct row *r)
{
    unsigned n = 1;
    for (const char *p = r->values; *p; p++)
        n += *p == ' ';
    return n;
}

static void layout(void)
{
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        places[i] = (struct place){cell_count, values_count(&rows[i])};
        cell_count += places[i].values * (rows[i].kind == HISTOGRAM ? HISTOGRAM_CELLS : 1);
    }
    readers = calloc(cell_count, sizeof(*readers));
    BUG(!readers);
}

static _Atomic uint64_t *shard_make(unsigned index)
{
    pthread_once(&once, layout);
    size_t size = (cell_count * sizeof(uint64_t) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    void *memory = aligned_alloc(CACHE_LINE, size);
    _Atomic uint64_t *made = memory, *there = NULL;
    BUG(!memory);
    for (unsigned i = 0; i < cell_count; i++)
        atomic_init(&made[i], 0);
    if (atomic_compare_exchange_strong(&shards[index], &there, made))
        return made;
    free(memory); /* another thread that is no loop was first */
    return there;
}

static _Atomic uint64_t *shard_own(unsigned index)
{
    _Atomic uint64_t *s = atomic_load_explicit(&shards[index], memory_order_acquire);
    return s ? s : shard_make(index);
}

/* Without a locked instruction where there is only one writer. */
static void cell_add(_Atomic uint64_t *cell, unsigned shard, uint64_t n)
{
    if (shard == LOOP_MAX)
        atomic_fetch_add_explicit(cell, n, memory_order_relaxed);
    else
        atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + n,
                              memory_order_relaxed);
}

static uint64_t cell_sum(unsigned cell)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i <= LOOP_MAX; i++) {
        _Atomic uint64_t *s = atomic_load_explicit(&shards[i], memory_order_acquire);
        if (s)
            sum += atomic_load_explicit(&s[cell], memory_order_relaxed);
    }
    return sum;
}

static unsigned cell_of(enum metric_id id, unsigned label_index)
{
    BUG(id >= METRIC_COUNT || label_index >= places[id].values);
    return places[id].first + label_index * (rows[id].kind == HISTOGRAM ? HISTOGRAM_CELLS : 1);
}

unsigned metrics_label(enum metric_id id, struct str word)
{
    struct str rest = str_from(rows[id].values), item;
    unsigned i = 0;
    for (bool more = true; more; i++) {
        more = str_cut(rest, ' ', &item, &rest);
        if (str_eq(item, word))
            return i;
    }
    BUG(!str_is(item, "other"));
    return i - 1;
}

void metrics_add(enum metric_id id, unsigned label_index, uint64_t n)
{
    unsigned index = loop_index();
    _Atomic uint64_t *s = shard_own(index);
    BUG(rows[id].kind == HISTOGRAM);
    cell_add(&s[cell_of(id, label_index)], index, n);
}

void metrics_set(enum metric_id id, unsigned label_index, int64_t value)
{
    _Atomic uint64_t *s = shard_own(loop_index());
    BUG(rows[id].kind != GAUGE);
    atomic_store_explicit(&s[cell_of(id, label_index)], (uint64_t)value, memory_order_relaxed);
}

/* The first bucket whose bound is not below us. */
static unsigned bucket_of(int64_t us)
{
    unsigned low = 0, high = BOUNDS;
    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (bounds[mid].us < us)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

void metrics_observe_us(enum metric_id id, unsigned label_index, int64_t us)
{
    unsigned index = loop_index();
    _Atomic uint64_t *s = shard_own(index);
    BUG(rows[id].kind != HISTOGRAM);
    _Atomic uint64_t *cells = &s[cell_of(id, label_index)];
    if (us < 0)
        us = 0;
    cell_add(&cells[bucket_of(us)], index, 1);
    cell_add(&cells[BOUNDS + 1], index, (uint64_t)us);
}

void metrics_gauge_fn(enum metric_id id, unsigned label_index, int64_t (*fn)(void *), void *ctx)
{
    pthread_once(&once, layout);
    BUG(rows[id].kind == HISTOGRAM);
    readers[cell_of(id, label_index)] = (struct reader){fn, ctx};
}

uint64_t metrics_value(enum metric_id id, unsigned label_index)
{
    pthread_once(&once, layout);
    unsigned cell = cell_of(id, label_index);
    if (rows[id].kind != HISTOGRAM)
        return readers[cell].fn ? (uint64_t)readers[cell].fn(readers[cell].ctx) : cell_sum(cell);
    uint64_t count = 0;
    for (unsigned i = 0; i <= BOUNDS; i++)
        count += cell_sum(cell + i);
    return count;
}

/* ---- text format 0.0.4 ---- */

/* Backslash and newline, in label values the quote as well. */
static void write_escaped(struct buf *b, struct str s, bool label)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\n')
            BUF_LIT(b, "\\n");
        else if (s.p[i] == '\\' || (label && s.p[i] == '"'))
            buf_add(b, (char[]){'\\', s.p[i]}, 2);
        else
            buf_char(b, s.p[i]);
    }
}

static void write_family(struct buf *b, const struct row *r)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    buf_printf(b, "# HELP %s ", r->name);
    write_escaped(b, str_from(r->help), false);
    buf_printf(b, "\n# TYPE %s %s\n", r->name, types[r->kind]);
}

/* name{label="word",le="bound"} with what of it there is, and a space. */
static void write_series(struct buf *b, const struct row *r, const char *suffix, struct str word,
                         const char *le)
{
    buf_printf(b, "%s%s", r->name, suffix);
    if (r->label[0]) {
        buf_printf(b, "{%s=\"", r->label);
        write_escaped(b, word, true);
        buf_char(b, '"');
    }
    if (le)
        buf_printf(b, "%sle=\"%s\"", r->label[0] ? "," : "{", le);
    if (le || r->label[0])
        buf_char(b, '}');
    buf_char(b, ' ');
}

/* Microseconds as seconds, exactly, without zeros at the end. */
static void write_seconds(struct buf *b, int64_t us)
{
    uint64_t u = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;
    if (us < 0)
        buf_char(b, '-');
    buf_i64(b, (int64_t)(u / 1000000));
    char part[8];
    snprintf(part, sizeof(part), ".%06u", (unsigned)(u % 1000000));
    size_t n = 7;
    while (n > 1 && part[n - 1] == '0')
        n--;
    if (n > 1)
        buf_add(b, part, n);
}

static bool in_seconds(const struct row *r)
{
    struct str name = str_from(r->name);
    return str_ends(name, S("_seconds")) || str_ends(name, S("_seconds_total"));
}

static void write_scalar(struct buf *b, enum metric_id id, unsigned label_index, struct str word)
{
    write_series(b, &rows[id], "", word, NULL);
    int64_t value = (int64_t)metrics_value(id, label_index);
    if (in_seconds(&rows[id]))
        write_seconds(b, value);
    else
        buf_i64(b, value);
    buf_char(b, '\n');
}

/* The count is the sum of the very buckets shown, so that it equals +Inf whoever counts meanwhile. */
static void write_histogram(struct buf *b, enum metric_id id, unsigned label_index, struct str word)
{
    unsigned cell = cell_of(id, label_index);
    uint64_t count = 0;
    for (unsigned i = 0; i <= BOUNDS; i++) {
        count += cell_sum(cell + i);
        write_series(b, &rows[id], "_bucket", word, i < BOUNDS ? bounds[i].le : "+Inf");
        buf_printf(b, "%llu\n", (unsigned long long)count);
    }
    write_series(b, &rows[id], "_sum", word, NULL);
    write_seconds(b, (int64_t)cell_sum(cell + BOUNDS + 1));
    buf_char(b, '\n');
    write_series(b, &rows[id], "_count", word, NULL);
    buf_printf(b, "%llu\n", (unsigned long long)count);
}

void metrics_write(struct buf *b)
{
    pthread_once(&once, layout);
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        enum metric_id id = (enum metric_id)i;
        struct str rest = str_from(rows[i].values), word;
        write_family(b, &rows[i]);
        for (unsigned v = 0; v < places[i].values; v++) {
            str_cut(rest, ' ', &word, &rest);
            if (rows[i].kind == HISTOGRAM)
                write_histogram(b, id, v, word);
            else
                write_scalar(b, id, v, word);
        }
    }
}

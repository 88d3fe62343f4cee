/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters, gauges and histograms from one list (metrics.def), sharded by loop so that counting is
 * an add on a line of one's own; summed when /metrics is read (Prometheus text format 0.0.4).
 */
#ifndef OPS_METRICS_H
#define OPS_METRICS_H

#include "base/buf.h"

/* METRIC_<id> per row of metrics.def: X(id, kind, name, label, values, help). */
enum metric_id {
#define X(id, kind, name, label, values, help) METRIC_##id,
#include "ops/metrics.def"
#undef X
    METRIC_COUNT
};

/*
 * The index of a label's word for the calls below, the one of "other" for a word that the row does
 * not have. A short linear search: cheap beside a request, but remembered where one can.
 */
unsigned metrics_label(enum metric_id id, struct str word);

/*
 * label_index selects the value of the row's one label (0 when it has none). From any thread; a
 * gauge may be moved with n and with 0 - n.
 */
void metrics_add(enum metric_id id, unsigned label_index, uint64_t n);
/* Histograms of durations: buckets from 50 µs to 60 s. */
void metrics_observe_us(enum metric_id id, unsigned label_index, int64_t us);
/* Sets a gauge's part of this loop; the threads that are no loop share one part. */
void metrics_set(enum metric_id id, unsigned label_index, int64_t value);
/*
 * Gauges (and counters that someone else keeps) that are asked for when they are read; fn may be
 * called on the admin loop. What was added or set on that row is then not shown. At start-up.
 */
void metrics_gauge_fn(enum metric_id id, unsigned label_index, int64_t (*fn)(void *), void *ctx);
void metrics_write(struct buf *b);
/* Current sum, a histogram's number of observations; for tests and doctor. */
uint64_t metrics_value(enum metric_id id, unsigned label_index);

#endif

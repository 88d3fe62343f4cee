/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Latencies in microseconds, counted in buckets that grow with the value: every number read back is
 * right to 1.6 percent however long the run, and recording costs a few instructions.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

enum {
    HISTOGRAM_SUB_BITS = 6, /* 64 buckets a power of two */
    HISTOGRAM_BUCKETS = (64 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS
};

struct histogram {
    uint64_t count, sum_us, max_us;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_record(struct histogram *h, int64_t us);
/* The value that `fraction` of the recorded ones do not exceed; 0 when nothing was recorded. */
uint64_t histogram_at(const struct histogram *h, double fraction);
/* {"mean":…,"p50":…,…,"max":…} in milliseconds. */
void histogram_put_json(const struct histogram *h, FILE *out);

#endif

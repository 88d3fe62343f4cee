/* SPDX-License-Identifier: Apache-2.0 */
#include "histogram.h"

enum { SUB = 1 << HISTOGRAM_SUB_BITS };

static unsigned bucket_of(uint64_t v)
{
    if (v < SUB)
        return (unsigned)v;
    unsigned shift = 63U - (unsigned)__builtin_clzll(v) - HISTOGRAM_SUB_BITS;
    return ((shift + 1) << HISTOGRAM_SUB_BITS) + (unsigned)((v >> shift) - SUB);
}

/* The largest value that falls into the bucket. */
static uint64_t bucket_top(unsigned b)
{
    if (b < SUB)
        return b;
    unsigned shift = (b >> HISTOGRAM_SUB_BITS) - 1;
    return ((((uint64_t)(b & (SUB - 1)) + SUB + 1)) << shift) - 1;
}

void histogram_record(struct histogram *h, int64_t us)
{
    uint64_t v = us > 0 ? (uint64_t)us : 0;
    h->buckets[bucket_of(v)]++;
    h->count++;
    h->sum_us += v;
    if (v > h->max_us)
        h->max_us = v;
}

uint64_t histogram_at(const struct histogram *h, double fraction)
{
    uint64_t seen = 0;
    double wanted = fraction * (double)h->count;
    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
        seen += h->buckets[b];
        if (h->buckets[b] && (double)seen >= wanted)
            return bucket_top(b) < h->max_us ? bucket_top(b) : h->max_us;
    }
    return h->max_us;
}

void histogram_put_json(const struct histogram *h, FILE *out)
{
    static const struct {
        const char *name;
        double fraction;
    } shown[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};
    double mean = h->count ? (double)h->sum_us / (double)h->count : 0;
    fprintf(out, "{\"mean\":%.3f", mean / 1000);
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
        fprintf(out, ",\"%s\":%.3f", shown[i].name,
                (double)histogram_at(h, shown[i].fraction) / 1000);
    fprintf(out, ",\"max\":%.3f}", (double)h->max_us / 1000);
}

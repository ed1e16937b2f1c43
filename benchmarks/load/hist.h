/* A latency histogram with logarithmic buckets, after HdrHistogram: every power of
   two is cut into 64 equal parts, so that a value is known to within 1.6 %. */
#ifndef LOAD_HIST_H
#define LOAD_HIST_H

#include <stdint.h>
#include <string.h>

enum { HIST_BITS = 6, HIST_PARTS = 1 << HIST_BITS, HIST_ROWS = 64 - HIST_BITS };

struct hist {
    uint64_t count;
    uint64_t max;
    uint64_t buckets[(HIST_ROWS + 1) * HIST_PARTS];
};

static inline void
hist_clear(struct hist *h)
{
    memset(h, 0, sizeof(*h));
}

static inline void
hist_add(struct hist *h, uint64_t value)
{
    size_t index = (size_t)value;
    if (value >= HIST_PARTS) {
        unsigned row = 64 - HIST_BITS - (unsigned)__builtin_clzll(value);
        index = (size_t)row * HIST_PARTS + ((value >> (row - 1)) & (HIST_PARTS - 1));
    }
    h->buckets[index]++;
    h->count++;
    if (value > h->max) {
        h->max = value;
    }
}

/* The largest value of a bucket: percentiles err on the slow side. */
static inline uint64_t
hist_upper_edge(size_t index)
{
    size_t row = index / HIST_PARTS;
    uint64_t part = index % HIST_PARTS;
    if (row == 0) {
        return part;
    }
    return ((part + HIST_PARTS + 1) << (row - 1)) - 1;
}

static inline uint64_t
hist_percentile(const struct hist *h, double percent)
{
    uint64_t wanted = (uint64_t)((double)h->count * percent / 100.0 + 0.5);
    uint64_t seen = 0;
    if (wanted == 0) {
        wanted = 1;
    }
    for (size_t i = 0; i < sizeof(h->buckets) / sizeof(h->buckets[0]); i++) {
        seen += h->buckets[i];
        if (seen >= wanted) {
            uint64_t edge = hist_upper_edge(i);
            return edge < h->max ? edge : h->max;
        }
    }
    return h->max;
}

#endif

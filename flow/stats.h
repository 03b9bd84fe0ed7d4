/* SPDX-License-Identifier: Apache-2.0 */
/* What was measured of one conversation by one end: the fields of flow/fields.def, all sums. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Histogram buckets, in us: [0] < 8, then 8 12 16 24 32 48 ... (2^k and 1.5 x 2^k), the last from 2^24 on. */
#define FLOW_BUCKETS 44

#define FLOW_MEMBER_U32(name) uint64_t name;
#define FLOW_MEMBER_U64(name) uint64_t name;
#define FLOW_MEMBER_HIST(name) uint32_t name[FLOW_BUCKETS];

struct flow_stats {
#define FIELD(name, width, dir, column, unit, seen, meaning) FLOW_MEMBER_##width(name)
#include "flow/fields.def"
#undef FIELD
};

/* Index of a field: its place in fields.def, its bit in `present`. */
enum flow_field {
#define FIELD(name, width, dir, column, unit, seen, meaning) FLOW_F_##name,
#include "flow/fields.def"
#undef FIELD
	FLOW_FIELDS
};

enum flow_width { FLOW_U32, FLOW_U64, FLOW_HIST };
enum flow_dir { FLOW_CONN, FLOW_TX, FLOW_RX };
enum flow_seen { FLOW_HOST, FLOW_ALL };

struct flow_field_info {
	const char *name;
	const char *column;
	const char *unit;
	const char *meaning;
	uint8_t width;   /* enum flow_width */
	uint8_t dir;     /* enum flow_dir */
	uint8_t seen;    /* enum flow_seen */
	uint16_t offset; /* in struct flow_stats */
};

extern const struct flow_field_info flow_fields[FLOW_FIELDS];

/* The scalar `f` of `s`; f is not a histogram. */
static inline uint64_t *flow_stats_u64(struct flow_stats *s, enum flow_field f)
{
	return (uint64_t *)((char *)s + flow_fields[f].offset);
}

static inline uint64_t flow_stats_get(const struct flow_stats *s, enum flow_field f)
{
	return *(const uint64_t *)((const char *)s + flow_fields[f].offset);
}

/* What two ends counted of the same: whoever counted less did not see all of it. */
static inline uint64_t flow_more(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The FLOW_BUCKETS counters of histogram `f` of `s`. */
static inline uint32_t *flow_stats_hist(struct flow_stats *s, enum flow_field f)
{
	return (uint32_t *)((char *)s + flow_fields[f].offset);
}

static inline const uint32_t *flow_stats_hist_get(const struct flow_stats *s, enum flow_field f)
{
	return (const uint32_t *)((const char *)s + flow_fields[f].offset);
}

/* The causes an attempt can fail of: the fields that together are "failed". */
#define FLOW_FAILURES 7

struct flow_failure {
	uint8_t field; /* enum flow_field */
	const char *cause;
};

extern const struct flow_failure flow_failures[FLOW_FAILURES];

/* Attempts that failed, of whatever cause. */
uint64_t flow_stats_failed(const struct flow_stats *s);

/* a += b, every field. Scalars wrap at 2^64; histogram counters stop at 2^32 - 1. */
void flow_stats_add(struct flow_stats *a, const struct flow_stats *b);

/* Bit i set when field i is not zero: what a packed row carries. */
uint64_t flow_stats_present(const struct flow_stats *s);

/* True when every field of `s` is zero. */
bool flow_stats_empty(const struct flow_stats *s);

/* Bucket of a time in us, 0 .. FLOW_BUCKETS - 1. */
unsigned flow_bucket(uint64_t us);

/* Lower edge of bucket `i` in us (0 for the first). */
uint64_t flow_bucket_floor(unsigned i);

/* Sum of a histogram's counters. */
uint64_t flow_hist_count(const uint32_t hist[FLOW_BUCKETS]);

/* The p-quantile (0 < p < 1) in us, linear inside its bucket; 0 when the histogram is empty. */
double flow_hist_quantile(const uint32_t hist[FLOW_BUCKETS], double p);

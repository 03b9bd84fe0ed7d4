/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the bits of a row's `present` mean for the fold: where in the body each value stands, and where it goes. Rows of a fleet have
 * few different `present`, so it is worked out once and found again by it: reading a row is then a short loop without a
 * question per field.
 *
 * A body is cut by its histograms, whose lengths only it knows, into segments; a value's place is counted from its segment's
 * begin.
 */
#pragma once

#include "flow/stats.h"
#include "wire/body.h"

#define PLAN_HISTS 2 /* histograms among the fields */
#define PLANS 256    /* remembered */

/* The sums that nearly every row has. They lie in the row itself, in this order, the others in cells (collector/cells.h). */
#define PLAN_HOT(X)        \
	X(rows)            \
	X(attempts)        \
	X(opened)          \
	X(closed)          \
	X(open_ms)         \
	X(tx_bytes)        \
	X(rx_bytes)        \
	X(tx_segs)         \
	X(rx_segs)         \
	X(jitter_us)       \
	X(queue_us)        \
	X(cwnd_segs)       \
	X(rtt_samples)     \
	X(busy_us)         \
	X(rwnd_limited_us) \
	X(turn_self)       \
	X(turn_peer)       \
	X(turn_samples)
#define PLAN_HOT_ENUM(name) PLAN_HOT_##name,
enum plan_hot { PLAN_HOT(PLAN_HOT_ENUM) PLAN_HOTS };

extern const uint8_t plan_hot_field[PLAN_HOTS]; /* enum flow_field of each */

struct plan_op {
	uint8_t to;      /* enum plan_hot, else enum flow_field */
	uint8_t at;      /* words from the segment's begin; of the lower one of two */
	uint8_t segment; /* 0: before the first histogram that is there */
	uint8_t wide;    /* 1: two words */
};

struct plan {
	uint64_t present;
	uint16_t bytes; /* of a body whose histograms are empty */
	bool later;     /* fields that we do not know stand at the end */
	uint8_t n_hot, n_ops, n_hists;
	uint8_t first; /* a field of 32 bits at the body's very begin, not among the ops: nearly always rows. FLOW_FIELDS: none */
	uint8_t hist_at[PLAN_HISTS];    /* words from its segment's begin */
	uint8_t hist_nth[PLAN_HISTS];   /* which of the table's histograms */
	struct plan_op op[FLOW_FIELDS]; /* n_hot to hot places, then the others */
};

/* A body that was checked: where its segments begin, in bytes. */
struct plan_body {
	const uint8_t *p;
	uint16_t segment[PLAN_HISTS + 1];
};

void plan_make(struct plan *p, uint64_t present);

/* False: the body is shorter or longer than `present` says, or a histogram is broken. As wire_body_check(). */
static inline bool plan_open(const struct plan *p, struct str body, struct plan_body *ret)
{
	size_t n = p->bytes;
	unsigned at = 0;

	if (n > body.n || body.n > UINT16_MAX || body.n & 3)
		return false;
	ret->p = (const uint8_t *)body.p;
	ret->segment[0] = 0;
	for (unsigned i = 0; i < p->n_hists; i++) {
		uint32_t word, buckets;

		at += 4u * p->hist_at[i];
		word = cursor_load32(ret->p + at);
		buckets = word & 0xffff;
		n += 4 * (size_t)buckets;
		if ((word >> 16) + buckets > FLOW_BUCKETS || n > body.n)
			return false;
		at += 4 + 4 * buckets;
		ret->segment[i + 1] = (uint16_t)at;
	}
	return n == body.n || p->later;
}

/* The word before the value is in the body too: see plan_make(). */
static inline uint64_t plan_load(const struct plan_body *b, struct plan_op op)
{
	uint64_t v;

	memcpy(&v, b->p + b->segment[op.segment] + 4 * (size_t)op.at - 4, 8);
	return be64toh(v) & (-(uint64_t)op.wide | UINT32_MAX);
}

struct plans {
	struct plan plan[PLANS];
};

static inline struct plan *plan_place(struct plans *s, uint64_t present)
{
	return &s->plan[present * 0x9e3779b97f4a7c15 >> 56];
}

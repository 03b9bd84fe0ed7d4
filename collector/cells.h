/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What does not lie in a row by itself: histograms, and what few rows have.
 *
 * A histogram is mostly some neighbouring buckets, and all intervals of a conversation use about the same ones. So each row has
 * a line of cache with a window of either histogram: counters of 16 bits, from a bucket on that its first values chose. All
 * else stands in cells of a tag and 32 bits, in chunks of a line each, chained: a sum that is not hot, the upper half of one that
 * outgrew 32 bits, a bucket outside its window or too large for it, two ports.
 */
#pragma once

#include "collector/plan.h"
#include "flow/msg.h"

#define CELLS_CHUNK 12 /* in a chunk */
#define CELLS_PORTS 8  /* ports listed in the row; the rest in cells, two each */

/* Tags; 0: a free cell. */
enum {
	CELL_SUM = 1,                 /* + field: its value, or the lower half */
	CELL_HIGH = CELL_SUM + 64,    /* + field: times 2^32 */
	CELL_BUCKET = CELL_HIGH + 64, /* + histogram x FLOW_BUCKETS + bucket */
	CELL_PORTS = CELL_BUCKET + PLAN_HISTS * FLOW_BUCKETS,
	CELL_TAGS = CELL_PORTS + (FLOW_PORTS - CELLS_PORTS) / 2
};

/* Chunks that one row on the wire may need at most: every other field with both halves, every bucket, ports. */
#define CELLS_WORST ((2 * FLOW_FIELDS + PLAN_HISTS * FLOW_BUCKETS + FLOW_PORTS) / CELLS_CHUNK + 1)

struct cells_chunk {
	uint32_t next; /* number + 1; 0 none */
	uint8_t tag[CELLS_CHUNK];
	uint32_t value[CELLS_CHUNK];
};

/* Windows of the histograms, in the order of the field table: the first bucket's counter, and behind the last one's. */
#define CELLS_WINDOWS 32
#define CELLS_WINDOW(nth) ((nth) ? 18 : 0)
#define CELLS_WINDOW_END(nth) ((nth) ? CELLS_WINDOWS : 18)

struct cells_windows {
	uint16_t count[CELLS_WINDOWS];
};

/* The part of a row that is not key and hot sums. */
struct cells {
	uint16_t port[CELLS_PORTS];
	uint32_t ports_more;
	uint32_t more; /* first chunk + 1; 0 none */
	uint16_t flags;
	uint8_t n_ports;            /* in all */
	uint8_t window[PLAN_HISTS]; /* 1 + bucket it begins with; 0: there is none yet */
};

struct cells_slab {
	struct cells_chunk *chunk;
	uint32_t n, max;
};

/* Adds to a cell. The slab has room: see CELLS_WORST. */
void cells_add(struct cells_slab *s, struct cells *c, unsigned tag, uint32_t v);

/* Where a window begins that has buckets first .. first + n - 1 in its middle. */
static inline unsigned cells_window_begin(unsigned nth, unsigned first, unsigned n)
{
	unsigned width = CELLS_WINDOW_END(nth) - CELLS_WINDOW(nth), before = n < width ? (width - n) / 2 : 0;
	unsigned begin = first > before ? first - before : 0;

	return begin < FLOW_BUCKETS - width ? begin : FLOW_BUCKETS - width;
}

/* Adds n buckets of the wire, from `first` on. */
static inline void cells_hist(struct cells_slab *s, struct cells *c, struct cells_windows *w, unsigned nth,
			      const uint8_t *p, unsigned first, unsigned n)
{
	const unsigned width = CELLS_WINDOW_END(nth) - CELLS_WINDOW(nth);
	uint16_t *count = w->count + CELLS_WINDOW(nth);

	if (!c->window[nth])
		c->window[nth] = (uint8_t)(1 + cells_window_begin(nth, first, n));
	for (unsigned i = 0, at = first + 1 - c->window[nth]; i < n; i++, at++) {
		uint32_t v = cursor_load32(p + 4 * (size_t)i);

		if (__builtin_expect(at < width && v <= (uint32_t)UINT16_MAX - count[at], 1))
			count[at] = (uint16_t)(count[at] + v);
		else if (v)
			cells_add(s, c, CELL_BUCKET + nth * FLOW_BUCKETS + first + i, v);
	}
}

/* Notes an ephemeral port. */
void cells_port_chunk(struct cells_slab *s, struct cells *c, uint16_t port);

static inline void cells_port(struct cells_slab *s, struct cells *c, uint16_t port)
{
	unsigned n = c->n_ports < CELLS_PORTS ? c->n_ports : CELLS_PORTS;

	for (unsigned i = 0; i < n; i++) {
		if (c->port[i] == port)
			return;
	}
	if (c->n_ports >= CELLS_PORTS) {
		cells_port_chunk(s, c, port);
		return;
	}
	c->port[c->n_ports++] = port;
}

/* Adds what is in cells and windows to the row: statistics, ports, ports_more, flags. */
void cells_get(const struct cells_slab *s, const struct cells *c, const struct cells_windows *w, struct flow_row *to);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What few rows have, in cells of a tag and 32 bits: a sum that is not hot, the upper half of one that outgrew 32 bits, a bucket of
 * a histogram, two ports. The first few are in the row itself, with 16 bits; what does not fit there goes to chunks of a
 * cache line each, chained.
 */
#pragma once

#include "collector/plan.h"
#include "flow/msg.h"

#define CELLS_HERE 8   /* in the row: as many tags as a word of 64 bits has bytes */
#define CELLS_CHUNK 12 /* in a chunk */
#define CELLS_PORTS 8  /* ports listed in the row; the rest in cells, two each */

/* Tags; 0: a free cell. */
enum {
	CELL_SUM = 1,                 /* + field: its value, or the lower half */
	CELL_HIGH = CELL_SUM + 64,    /* + field: times 2^32 */
	CELL_BUCKET = CELL_HIGH + 64, /* + histogram x FLOW_BUCKETS + bucket */
	CELL_PORTS = CELL_BUCKET + PLAN_HISTS * FLOW_BUCKETS,
	CELL_PORTS_MORE = CELL_PORTS + (FLOW_PORTS - CELLS_PORTS) / 2,
	CELL_TAGS
};

/* Chunks that one row on the wire may need at most: every other field with both halves, every bucket, ports. */
#define CELLS_WORST ((2 * FLOW_FIELDS + PLAN_HISTS * FLOW_BUCKETS + FLOW_PORTS) / CELLS_CHUNK + 1)

struct cells_chunk {
	uint32_t next; /* number + 1; 0 none */
	uint8_t tag[CELLS_CHUNK];
	uint32_t value[CELLS_CHUNK];
};

/* The part of a row that is not key and hot sums. */
struct cells {
	uint16_t port[CELLS_PORTS];
	uint16_t value[CELLS_HERE];
	uint64_t tags; /* a byte each, from the lowest on */
	uint32_t more; /* first chunk + 1; 0 none */
	uint16_t flags;
	uint8_t n_ports; /* in all */
};

struct cells_slab {
	struct cells_chunk *chunk;
	uint32_t n, max;
};

/* Adds to a cell. The slab has room: see CELLS_WORST. */
void cells_add_chunk(struct cells_slab *s, struct cells *c, unsigned tag, uint32_t v);

static inline uint64_t cells_zero_bytes(uint64_t v)
{
	/* The lowest bit set is that of the lowest byte that is 0. */
	return (v - 0x0101010101010101ull) & ~v & 0x8080808080808080ull;
}

static inline void cells_add(struct cells_slab *s, struct cells *c, unsigned tag, uint32_t v)
{
	uint64_t found = cells_zero_bytes(c->tags ^ tag * 0x0101010101010101ull), free = cells_zero_bytes(c->tags);
	uint64_t at = found ? found : free;
	unsigned i = at ? (unsigned)__builtin_ctzll(at) / 8 : 0;

	if (!at || v > (uint32_t)UINT16_MAX - c->value[i]) {
		cells_add_chunk(s, c, tag, v);
		return;
	}
	c->tags |= found ? 0 : (uint64_t)tag << 8 * i;
	c->value[i] = (uint16_t)(c->value[i] + v);
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

/* Adds what is in cells to the row: statistics, ports, ports_more, flags. */
void cells_get(const struct cells_slab *s, const struct cells *c, struct flow_row *to);

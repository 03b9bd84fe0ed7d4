/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the map: what it is made in. For map*.c only. */
#pragma once

#include "server/map.h"

struct map_draft_node {
	struct map_node n;
	uint8_t rungs;
	uint32_t place; /* index in the map; UINT32_MAX: not in it */
	unsigned hops;
};

/* A row between two nodes. */
struct map_line {
	const struct store_row *row;
	uint32_t source, target;
	uint64_t bytes;
	double rank;
	uint8_t severity;
	bool kept;
};

struct map_draft {
	struct map *m;
	const struct map_ask *ask;
	struct map_draft_node *nodes;
	size_t n_nodes, cap_nodes;
	uint32_t *table; /* node + 1 by hash of its id */
	size_t cap_table;
	struct map_line *lines;
	size_t n_lines;
};

/* Memory that lives as long as the map, aligned to 16. NULL: none left. */
void *map_alloc(struct map *m, size_t n);

/* For qsort: by nodes, edge, addresses. */
int map_line_order(const void *a, const void *b);

/* map_edges.c: what the lines that are kept make, between the nodes that have a place. */
int map_edges(struct map_draft *d);

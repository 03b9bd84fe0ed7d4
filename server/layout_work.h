/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the layout: the graph in canonical form, and its steps. For layout*.c only. */
#pragma once

#include "server/layout.h"

#define HALF 32   /* half a slot: the grid of places */
#define TITLE 28  /* of a band: room for its name */
#define PAD 16    /* inside a band: left, right, bottom */
#define MARGIN 12 /* around everything */
#define GAP 56    /* between columns: room for edges */
#define ROOM 30   /* more of it where the columns are few: for the words on the edges */
#define ROOM_COLUMNS 5
#define BAND_GAP 24
#define COLUMN_MIN 110

/* Successors (or predecessors) of vertex v: to[start[v]] .. to[start[v + 1]), ascending. */
struct links {
	uint32_t n;
	uint32_t *start, *to;
};

int links_make(struct links *l, uint32_t n, const struct layout_edge *edges, size_t n_edges, bool reverse);
void links_free(struct links *l);

/* Level of each vertex by longest path once back edges are left out; ret_order: its place in a topological order.
 * Vertex numbers are the only tie-breaker. */
int links_levels(const struct links *out, const struct links *in, uint32_t *ret_level, uint32_t *ret_order);

struct work_node {
	const struct layout_node *in;
	uint32_t zone, group;
	uint32_t layer; /* inside its zone */
	uint32_t order; /* topological, then among its group */
	int32_t y;      /* centre */
	int64_t wish;   /* of one step */
	uint32_t column, pos;
};

struct work_zone {
	struct str name;
	bool aside;
	uint32_t level, stack, layers;
	uint32_t first_group;
	int32_t y, h;    /* of its band */
	uint32_t rows;   /* full slots it needs */
	int32_t w_guess; /* inner width */
	uint64_t wish;
};

/* The nodes of one layer of one zone: members[first] .. + n, in their order from the top. */
struct work_group {
	uint32_t zone, layer, ordinal; /* ordinal: layer over the whole picture */
	uint32_t first, n;
	uint32_t subs; /* columns it is wrapped into */
	uint32_t column;
};

struct work {
	struct work_node *nodes; /* by id */
	uint32_t n;
	struct layout_edge *edges; /* between work nodes, sorted, no repeats, no loops, nothing aside */
	size_t n_edges;
	struct work_zone *zones; /* by name, the one aside last */
	uint32_t n_zones;
	struct links out, in;
	struct work_group *groups;
	uint32_t n_groups;
	uint32_t *members;
	uint32_t *stack; /* zones in the order of their stacks */
	uint32_t n_stacks;
	int32_t height;  /* of the picture without margins */
	uint32_t *given; /* work node of nodes[i] as given */
};

/* A layout with room for so much, its texts copied from the work. */
int layout_alloc(struct layout **ret, size_t places, size_t bands, size_t columns, size_t text);

/* layout_fresh.c: zones, layers, how tall, and the order inside; then the picture. */
int layout_fresh(struct work *w, struct layout **ret);
/* layout_order.c: fills the groups' order, their members' columns and heights. */
int layout_order(struct work *w);
/* A layer evenly over the height of its band. */
void layout_spread(struct work *w, const struct work_group *g);
/* layout_sift.c: once through all groups in the order given. */
int layout_sift(struct work *w, const uint32_t *groups);
/* layout_keep.c: 1 when too much changed. */
int layout_keep(struct work *w, const struct layout *prior, struct layout **ret);

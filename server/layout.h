/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places for the boxes of a graph: layers from left to right, zones as bands. Pure and deterministic; see layout.c for
 * the algorithm and its invariants. Pixels, y grows downwards.
 */
#pragma once

#include <stdint.h>

#include "base/str.h"

#define LAYOUT_NODES_MAX 10000
#define LAYOUT_EDGES_MAX 200000
#define LAYOUT_BOX_H 44
#define LAYOUT_BOX_MIN 96
#define LAYOUT_BOX_MAX 220

struct layout_node {
	struct str id;   /* unique */
	struct str zone; /* of the band it stands in; may be empty */
	uint16_t w;      /* width it would like; bounded to the two above */
	bool aside;      /* in a band of its own at the end, and without influence on the others */
};

struct layout_edge {
	uint32_t from, to; /* indexes of nodes; equal ones and repeats are fine */
};

struct layout_place {
	struct str id;
	uint32_t band, column, pos; /* pos: half slots from the top of the column */
	uint32_t layer;             /* from the left, over the whole picture */
	int32_t x, y, w;            /* centre and width; all boxes are LAYOUT_BOX_H high */
	bool gone;                  /* not in this graph; where it was in a former one */
};

struct layout_column {
	uint32_t band, layer;
	int32_t x, w, top; /* left, width, where half slot 0 begins */
	uint32_t slots;    /* half slots */
};

struct layout_band {
	struct str zone;
	int32_t x, y, w, h; /* left top */
	bool aside, empty;  /* empty: no box of this graph is in it; not to be drawn */
};

struct layout {
	struct layout_place *places; /* by id */
	size_t n;
	struct layout_band *bands;
	size_t n_bands;
	struct layout_column *columns;
	size_t n_columns;
	int32_t width, height;
	uint32_t *of_node; /* index into places of nodes[i] as given */
	bool fresh;        /* made anew: nothing was kept of `prior` */
	unsigned refs;     /* for whoever shares it: not touched here, 1 at first */
	char *text;
};

/* The picture of a graph; prior: the one before, or NULL. Nothing given is kept. -E2BIG, -ENOMEM, -EINVAL (an id twice,
 * an edge to nowhere). */
int layout_new(struct layout **ret, const struct layout_node *nodes, size_t n, const struct layout_edge *edges,
	       size_t n_edges, const struct layout *prior);
void layout_free(struct layout *l);

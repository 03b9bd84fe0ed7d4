/* SPDX-License-Identifier: Apache-2.0 */
/* One roll-up: rows of a bucket in the order of their keys, summed; of an edge's pairs the largest stay, the rest is `other`. */
#pragma once

#include "store/columns.h"

struct roll {
	enum columns_kind kind;
	uint32_t bucket;
	uint16_t length;
	/* Takes a row of the tier above; its texts live for the call. 0 or -errno. */
	int (*put)(void *arg, const struct flow_edge *e);
	void *arg;
	/* Inside. */
	char *texts; /* scope and via of rows in hand: ROLL_TEXT bytes each */
	/* Pairs of the edge in hand, at most the cap; [cap] is `other`. Edges: just [0]. */
	struct flow_edge *rows;
	size_t n, cap;
	bool other;
};

/* The members above `Inside` are set. cap: pairs kept of an edge. -ENOMEM; roll_deinit() in any case. */
int roll_init(struct roll *x, size_t cap);
void roll_deinit(struct roll *x);

/* Rows by edge, pairs of it by client, server, scope. What put() returned, or 0. */
int roll_row(struct roll *x, const struct flow_edge *row);
int roll_end(struct roll *x);

/* SPDX-License-Identifier: Apache-2.0 */
/* Edges by their names: which match a filter, and which of them make a group. */
#pragma once

#include "store/ops.h"

struct name {
	uint64_t edge;
	struct flow_edge_name name;
	uint32_t group;
};

struct names {
	struct name *v; /* by edge */
	size_t n, cap;
	uint32_t groups; /* 0: not grouped */
};

/* True when a filter looks at names at all. */
bool names_filtered(const struct store_filter *f);

/* All that match; in groups their names keep only what the group shares. Texts go into *a. -errno. */
int names_load(struct store_query *q, const struct store_filter *f, enum store_group group, struct store_arena **a,
	       struct names *ret);
void names_deinit(struct names *n);

const struct name *names_get(const struct names *n, uint64_t edge);

/* Those of some edges; one that is not known is left out. -errno. */
int names_load_of(struct store_query *q, const uint64_t *edges, size_t n, struct store_arena **a, struct names *ret);

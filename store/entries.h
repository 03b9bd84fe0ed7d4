/* SPDX-License-Identifier: Apache-2.0 */
/* What a question adds up: a hash of entries that keeps the order in which they came. */
#pragma once

#include <stdbool.h>

#include "base/ip.h"
#include "base/str.h"

/* What rows are told apart by. Edges: id alone; groups: index of the group; pairs: everything. */
struct key {
	uint64_t id;
	struct ip client, server;
	struct str scope;
};

struct entry {
	struct key key;
	double rank;
};

/* A hash of entries in the order they came. */
struct entries {
	struct entry *v;
	size_t n, cap;
	uint32_t *slots; /* index + 1; 0 free */
	size_t n_slots;
};

/* NULL: not there (add false), or no memory. Valid until the next one is added. */
struct entry *entries_get(struct entries *e, const struct key *k, bool add);
void entries_deinit(struct entries *e);

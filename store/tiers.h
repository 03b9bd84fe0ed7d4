/* SPDX-License-Identifier: Apache-2.0 */
/* Tiers: what they are called, how long their rows are and are kept, which of their rows are out of date. */
#pragma once

#include "store/columns.h"
#include "store/store.h"

extern const char *const tiers_names[STORE_TIERS]; /* "fine", "1m", "5m", "1h" */

/* Length of a row, s. FINE: the run's interval. */
uint32_t tiers_length(const struct store_opts *o, enum store_tier t);
/* How long rows of a kind are kept; 0: the tier is not made. */
uint32_t tiers_keep(const struct store_opts *o, enum columns_kind kind, enum store_tier t);
/* The next coarser, finer tier made for a kind; STORE_TIERS: none. */
enum store_tier tiers_above(const struct store_opts *o, enum columns_kind kind, enum store_tier t);
enum store_tier tiers_below(const struct store_opts *o, enum columns_kind kind, enum store_tier t);

/* Start times of buckets of the tier above that must be made again. Sorted. */
struct dirty {
	uint32_t *v;
	size_t n, cap;
};

int dirty_add(struct dirty *d, uint32_t bucket); /* -ENOMEM */
void dirty_del(struct dirty *d, uint32_t bucket);
/* Index of the first that is not below `bucket`. */
size_t dirty_at(const struct dirty *d, uint32_t bucket);
/* Any in [from, to)? */
bool dirty_any(const struct dirty *d, uint32_t from, uint32_t to);

/* What a reader must know to choose tiers. */
struct tiers {
	struct dirty dirty[COLUMNS_KINDS][STORE_TIERS]; /* by the tier below */
	uint32_t oldest[COLUMNS_KINDS][STORE_TIERS];    /* s: nothing is left before it; UINT32_MAX: nothing at all */
};

void tiers_init(struct tiers *t);
void tiers_deinit(struct tiers *t);

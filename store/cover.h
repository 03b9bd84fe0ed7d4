/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows of which tiers add up to exactly a range. */
#pragma once

#include "store/tiers.h"

struct segment {
	enum store_tier tier;
	uint32_t from, to; /* multiples of the tier's length, except in the finest */
};

struct cover {
	struct segment *v; /* by time, without gaps or overlaps */
	size_t n, cap;
	uint32_t from, to, step; /* as asked, or widened to what is still there */
	uint8_t tiers;           /* bits 1 << tier */
};

/* step 0: one sum. The caller holds what guards `st`. -ENOMEM. */
int cover_make(const struct tiers *st, const struct store_opts *o, enum columns_kind kind, uint32_t from, uint32_t to,
	       uint32_t step, struct cover *ret);
void cover_deinit(struct cover *c);

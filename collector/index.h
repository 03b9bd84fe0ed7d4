/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash index over things that its owner numbers from 0 and compares: open addressing, linear probing. A slot is the
 * hash's upper half << 32 | number + 1; 0 is free. At most half full, so a probe ends. Only pages that were written are
 * cleared, so an index made for many costs little with few.
 *
 *     for (at = index_start(hash); (n = index_next(&x, hash, &at)); at++)
 *         if (thing n - 1 is it)
 *             return ...
 *     index_put(&x, hash, at, number);
 */
#pragma once

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "collector/pages.h"

#define INDEX_PAGE (PAGES_BYTES / 8) /* slots */

struct index {
	uint64_t *slot;
	uint8_t *written; /* a byte a page */
	uint32_t mask;
};

static inline uint32_t index_slots(uint32_t max)
{
	uint32_t n = INDEX_PAGE;

	while (n < 2 * max)
		n *= 2;
	return n;
}

/* For at most `max` things, below 2^30. -ENOMEM. */
static inline int index_init(struct index *x, uint32_t max)
{
	uint32_t n = index_slots(max);

	*x = (struct index){.mask = n - 1, .slot = pages_map((size_t)n * 8), .written = calloc(n / INDEX_PAGE, 1)};
	return x->slot && x->written ? 0 : -ENOMEM;
}

static inline void index_deinit(struct index *x)
{
	pages_unmap(x->slot, ((size_t)x->mask + 1) * 8);
	free(x->written);
}

static inline uint32_t index_start(uint64_t hash)
{
	return (uint32_t)hash;
}

static inline void index_prefetch(const struct index *x, uint64_t hash)
{
	__builtin_prefetch(&x->slot[index_start(hash) & x->mask]);
}

/* Number + 1 of the next one, from *at on, whose hash may be this; 0: none, and *at is where it belongs. */
static inline uint32_t index_next(const struct index *x, uint64_t hash, uint32_t *at)
{
	uint64_t v;

	for (; (v = x->slot[*at & x->mask]); ++*at) {
		if (v >> 32 == hash >> 32)
			return (uint32_t)v;
	}
	return 0;
}

static inline void index_put(struct index *x, uint64_t hash, uint32_t at, uint32_t number)
{
	at &= x->mask;
	x->slot[at] = hash >> 32 << 32 | (number + 1);
	x->written[at / INDEX_PAGE] = 1;
}

static inline void index_clear(struct index *x)
{
	for (uint32_t i = 0; i <= x->mask / INDEX_PAGE; i++) {
		if (x->written[i])
			memset(x->slot + (size_t)i * INDEX_PAGE, 0, PAGES_BYTES);
		x->written[i] = 0;
	}
}

/* Bytes of the pages that were written. */
static inline size_t index_used(const struct index *x)
{
	size_t n = 0;

	for (uint32_t i = 0; i <= x->mask / INDEX_PAGE; i++)
		n += x->written[i];
	return n * PAGES_BYTES;
}

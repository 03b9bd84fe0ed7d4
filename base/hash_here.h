/* SPDX-License-Identifier: Apache-2.0 */
/* hash64() without a call, for hot paths whose length is known when they are compiled. */
#pragma once

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/hash.h"

static inline uint64_t hash64_here(const void *data, size_t n)
{
	return XXH3_64bits(data, n);
}

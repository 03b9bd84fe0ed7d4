/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t hash64(const void *data, size_t n)
{
	return XXH3_64bits(data, n);
}

uint64_t hash64_seed(const void *data, size_t n, uint64_t seed)
{
	return XXH3_64bits_withSeed(data, n, seed);
}

struct hash128 hash128_seed(const void *data, size_t n, uint64_t seed)
{
	XXH128_hash_t h = XXH3_128bits_withSeed(data, n, seed);

	return (struct hash128){{h.low64, h.high64}};
}

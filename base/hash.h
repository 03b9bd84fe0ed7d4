/* SPDX-License-Identifier: Apache-2.0 */
/* XXH3-64, the one hash of the project (github.com/Cyan4973/xxHash). */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Hash of n bytes. Same on every machine and for ever: edge ids and partitions rest on it. */
uint64_t hash64(const void *data, size_t n);

uint64_t hash64_seed(const void *data, size_t n, uint64_t seed);

/* 128 bits of it, for what is told apart by its hash alone: with a seed nobody else knows nobody can make two alike. */
struct hash128 {
	uint64_t v[2];
};

struct hash128 hash128_seed(const void *data, size_t n, uint64_t seed);

/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers by chance that are the same at every start: a function of a key, never of what was drawn before. */
#pragma once

#include <stdint.h>

/* SplitMix64's finalizer (Steele, Lea, Flood 2014). */
static inline uint64_t dice(uint64_t key, uint64_t i)
{
	uint64_t z = key + (i + 1) * 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* 0 <= x < 1 */
static inline double dice_unit(uint64_t key, uint64_t i)
{
	return (double)(dice(key, i) >> 11) / (double)(1ull << 53);
}

/* 0 .. n - 1, small ones far more often: what makes a few services hubs. */
static inline uint32_t dice_skewed(uint64_t key, uint64_t i, uint32_t n)
{
	double u = dice_unit(key, i);

	return (uint32_t)((double)n * u * u * u);
}

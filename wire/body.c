/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/body.h"

#include "wire/put.h"

_Static_assert(FLOW_FIELDS < 64, "a bit of `present` each");

#define BIT(name) (1ull << FLOW_F_##name)

/* Which bits are of which width. */
#define FIELD(name, width, dir, column, unit, seen, meaning) | (FLOW_##width == FLOW_U32 ? BIT(name) : 0)
static const uint64_t bits_u32 = 0
#include "flow/fields.def"
	;
#undef FIELD
#define FIELD(name, width, dir, column, unit, seen, meaning) | (FLOW_##width == FLOW_U64 ? BIT(name) : 0)
static const uint64_t bits_u64 = 0
#include "flow/fields.def"
	;
#undef FIELD
#define FIELD(name, width, dir, column, unit, seen, meaning) | (FLOW_##width == FLOW_HIST ? BIT(name) : 0)
static const uint64_t bits_hist = 0
#include "flow/fields.def"
	;
#undef FIELD

static inline uint8_t *put_hist(uint8_t *p, uint32_t hist[FLOW_BUCKETS])
{
	unsigned first = 0, end = FLOW_BUCKETS;

	while (!hist[first])
		first++;
	while (!hist[end - 1])
		end--;
	p = put_u32(p, first << 16 | (end - first));
	for (unsigned i = first; i < end; i++) {
		p = put_u32(p, hist[i]);
		hist[i] = 0;
	}
	return p;
}

size_t wire_body_put(struct flow_stats *left, uint8_t *dst, uint64_t *ret_present)
{
	uint64_t present = flow_stats_present(left);
	uint8_t *p = dst;

#define PUT_U32(name)                                                                     \
	if (present & BIT(name)) {                                                        \
		uint32_t v = left->name > UINT32_MAX ? UINT32_MAX : (uint32_t)left->name; \
		p = put_u32(p, v);                                                        \
		left->name -= v;                                                          \
	}
#define PUT_U64(name)                       \
	if (present & BIT(name)) {          \
		p = put_u64(p, left->name); \
		left->name = 0;             \
	}
#define PUT_HIST(name)           \
	if (present & BIT(name)) \
		p = put_hist(p, left->name);
#define FIELD(name, width, dir, column, unit, seen, meaning) PUT_##width(name)
#include "flow/fields.def"
#undef FIELD
	*ret_present = present;
	return p - dst;
}

/* Bits set (Hacker's Delight 5-1). __builtin_popcountll() is a call on the oldest x86-64, and this is the hot path. */
static inline unsigned bits_in(uint64_t x)
{
	x -= x >> 1 & 0x5555555555555555;
	x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
	x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
	return (unsigned)(x * 0x0101010101010101 >> 56);
}

/* Bytes that the present scalars take, histograms not counted. */
static inline size_t scalar_bytes(uint64_t present)
{
	return 4 * bits_in(present & bits_u32) + 8 * bits_in(present & bits_u64);
}

enum wire_error wire_body_check(uint64_t present, struct str body)
{
	uint64_t hists = present & bits_hist, later = present & ~(bits_u32 | bits_u64 | bits_hist);
	size_t in_hists = 0, n;

	if (body.n & 3)
		return WIRE_BODY;
	for (; hists; hists &= hists - 1) {
		uint64_t below = (hists & -hists) - 1;
		size_t at = scalar_bytes(present & below) + in_hists;
		uint32_t word, buckets;

		if (at + 4 > body.n)
			return WIRE_BODY;
		word = cursor_load32((const uint8_t *)body.p + at);
		buckets = word & 0xffff;
		if ((word >> 16) + buckets > FLOW_BUCKETS)
			return WIRE_BODY;
		in_hists += 4 + 4 * (size_t)buckets;
	}
	n = scalar_bytes(present) + in_hists;
	return n == body.n || (n < body.n && later) ? WIRE_OK : WIRE_BODY;
}

static inline const uint8_t *add_hist(const uint8_t *p, uint32_t hist[FLOW_BUCKETS])
{
	uint32_t word = cursor_load32(p);
	uint32_t *to = hist + (word >> 16), *end = to + (word & 0xffff);

	for (p += 4; to < end; to++, p += 4)
		if (__builtin_add_overflow(*to, cursor_load32(p), to))
			*to = UINT32_MAX;
	return p;
}

void wire_body_add(uint64_t present, struct str body, struct flow_stats *to)
{
	const uint8_t *p = (const uint8_t *)body.p;

#define ADD_U32(name)                         \
	if (present & BIT(name)) {            \
		to->name += cursor_load32(p); \
		p += 4;                       \
	}
#define ADD_U64(name)                                                                \
	if (present & BIT(name)) {                                                   \
		to->name += (uint64_t)cursor_load32(p) << 32 | cursor_load32(p + 4); \
		p += 8;                                                              \
	}
#define ADD_HIST(name)           \
	if (present & BIT(name)) \
		p = add_hist(p, to->name);
#define FIELD(name, width, dir, column, unit, seen, meaning) ADD_##width(name)
#include "flow/fields.def"
#undef FIELD
}

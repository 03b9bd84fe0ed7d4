/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads foreign bytes (XDR, RFC 4506: big-endian, all in units of 4). The error is sticky: a read past
 * the end gives 0 or an empty slice, sets `err` and moves nothing, and so does every read after it. Test
 * `err` once per record, and before a count that was read bounds a loop.
 */
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"

struct cursor {
	const uint8_t *p, *end;
	bool err;
};

static inline struct cursor cursor_over(struct str s)
{
	const uint8_t *p = (const uint8_t *)s.p;

	return (struct cursor){p, s.n ? p + s.n : p, false};
}

static inline size_t cursor_left(const struct cursor *c)
{
	return c->err ? 0 : (size_t)(c->end - c->p);
}

static inline uint32_t cursor_load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return be32toh(v);
}

/* n bytes, or NULL. */
static inline const uint8_t *cursor_take(struct cursor *c, size_t n)
{
	const uint8_t *p = c->p;

	if (n > cursor_left(c)) {
		c->err = true;
		return NULL;
	}
	c->p += n;
	return p;
}

static inline uint32_t cursor_u32(struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 4);

	return p ? cursor_load32(p) : 0;
}

static inline uint64_t cursor_u64(struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 8);

	return p ? (uint64_t)cursor_load32(p) << 32 | cursor_load32(p + 4) : 0;
}

/* A variable opaque or string: length, bytes, padding. */
static inline struct str cursor_opaque(struct cursor *c)
{
	uint32_t n = cursor_u32(c);
	const uint8_t *p;

	if (n > cursor_left(c)) {
		c->err = true;
		return (struct str){NULL, 0};
	}
	p = cursor_take(c, ((size_t)n + 3) & ~(size_t)3);
	return p ? (struct str){(const char *)p, n} : (struct str){NULL, 0};
}

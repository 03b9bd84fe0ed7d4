/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/wire.h"

/* Bytes of the character at p, 0 when it is none or a control character (C0, DEL, C1). */
static size_t text_char(const uint8_t *p, size_t n)
{
	uint32_t c = p[0], low;
	size_t len = c < 0x80                ? 1
		     : c >= 0xc2 && c < 0xe0 ? 2
		     : c >= 0xe0 && c < 0xf0 ? 3
		     : c >= 0xf0 && c < 0xf5 ? 4
					     : 0;

	if (len == 1)
		return c >= 0x20 && c != 0x7f;
	if (!len || len > n)
		return 0;
	c &= 0x7fu >> len;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	low = len == 2 ? 0xa0 : len == 3 ? 0x800 : 0x10000; /* 0x80 .. 0x9f are controls, below is overlong */
	if (c < low || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	return len;
}

/* True when all eight bytes are 0x20 .. 0x7e: names mostly are. */
static inline bool plain(uint64_t x)
{
	const uint64_t ones = 0x0101010101010101, tops = ones << 7;
	uint64_t del = x ^ 0x7f * ones;

	return !((x | (x - 0x20 * ones) | (del - ones)) & tops);
}

static inline bool plain8(const uint8_t *p)
{
	uint64_t x;

	memcpy(&x, p, 8);
	return plain(x);
}

/* The same for 4 to 8 of them. */
static inline bool plain_short(const uint8_t *p, size_t n)
{
	uint32_t a, b;

	memcpy(&a, p, 4);
	memcpy(&b, p + n - 4, 4);
	return plain((uint64_t)a << 32 | b);
}

bool wire_text_ok(struct str s)
{
	const uint8_t *p = (const uint8_t *)s.p;
	size_t len;

	for (size_t i = 0; i < s.n; i += len) {
		if (s.n - i >= 8 && plain8(p + i)) {
			len = 8;
			continue;
		}
		if (s.n - i < 8 && (s.n >= 8 ? plain8(p + s.n - 8) : s.n >= 4 && plain_short(p, s.n)))
			return true; /* the rest, and maybe some of what was looked at */
		len = text_char(p + i, s.n - i);
		if (!len)
			return false;
	}
	return true;
}

size_t wire_text_clean(struct str s, char *dst, size_t max)
{
	const uint8_t *p = (const uint8_t *)s.p;
	size_t n = 0;

	for (size_t i = 0; i < s.n;) {
		size_t len = text_char(p + i, s.n - i);
		size_t out = len ? len : 1;

		if (out > max - n)
			break;
		if (len)
			memcpy(dst + n, p + i, len);
		else
			dst[n] = '?';
		n += out;
		i += out;
	}
	return n;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/avrobin.h"

#include <string.h>

void avrobin_put_long(struct buf *b, int64_t v)
{
	uint8_t out[AVROBIN_LONG];

	buf_put(b, out, (size_t)(avrobin_write_long(out, v) - out));
}

void avrobin_put_bytes(struct buf *b, const void *p, size_t n)
{
	avrobin_put_long(b, (int64_t)n);
	buf_put(b, p, n);
}

void avrobin_put_header(struct buf *b, uint64_t fingerprint)
{
	uint8_t h[AVROBIN_HEADER] = {0xc3, 0x01};
	unsigned i;

	for (i = 0; i < 8; i++)
		h[2 + i] = (uint8_t)(fingerprint >> (8 * i));
	buf_put(b, h, sizeof(h));
}

static void avrobin_fail(struct avrobin_cursor *c)
{
	c->err = true;
	c->p = c->end;
}

int64_t avrobin_long(struct avrobin_cursor *c)
{
	uint64_t z = 0;
	unsigned shift;

	for (shift = 0; shift < 64; shift += 7) {
		if (c->p == c->end)
			break;
		z |= (uint64_t)(*c->p & 0x7f) << shift;
		if (!(*c->p++ & 0x80))
			return (int64_t)(z >> 1) ^ -(int64_t)(z & 1);
	}
	avrobin_fail(c);
	return 0;
}

const void *avrobin_fixed(struct avrobin_cursor *c, size_t n)
{
	const uint8_t *p = c->p;

	if (c->err || n > (size_t)(c->end - c->p)) {
		avrobin_fail(c);
		return NULL;
	}
	c->p += n;
	return p;
}

uint64_t avrobin_header(struct avrobin_cursor *c)
{
	const uint8_t *h = avrobin_fixed(c, AVROBIN_HEADER);
	uint64_t fingerprint = 0;

	if (!h || h[0] != 0xc3 || h[1] != 0x01) {
		avrobin_fail(c);
		return 0;
	}
	for (unsigned i = 0; i < 8; i++)
		fingerprint |= (uint64_t)h[2 + i] << (8 * i);
	return fingerprint;
}

struct str avrobin_bytes(struct avrobin_cursor *c)
{
	int64_t n = avrobin_long(c);
	const void *p;

	if (n < 0) {
		avrobin_fail(c);
		return (struct str){NULL, 0};
	}
	p = avrobin_fixed(c, (size_t)n);
	return (struct str){p, p ? (size_t)n : 0};
}

size_t avrobin_block(struct avrobin_cursor *c, size_t max)
{
	int64_t n = avrobin_long(c);

	if (n < 0) { /* a count of items, then the block's size in bytes */
		n = n == INT64_MIN ? INT64_MAX : -n;
		(void)avrobin_long(c);
	}
	if (c->err || (uint64_t)n > max) {
		avrobin_fail(c);
		return 0;
	}
	return (size_t)n;
}

uint64_t avrobin_fingerprint(const char *schema, size_t n)
{
	const uint64_t empty = 0xc15d213aa4d7a795ull;
	uint64_t fp = empty;
	size_t i;
	int bit;

	for (i = 0; i < n; i++) {
		fp ^= (uint8_t)schema[i];
		for (bit = 0; bit < 8; bit++)
			fp = (fp >> 1) ^ (empty & -(fp & 1));
	}
	return fp;
}

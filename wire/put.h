/* SPDX-License-Identifier: Apache-2.0 */
/* Writes XDR words. The caller has made sure of the room; each call returns the place after what it wrote. */
#pragma once

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"

static inline uint8_t *put_u32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, 4);
	return p + 4;
}

static inline uint8_t *put_u64(uint8_t *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, 8);
	return p + 8;
}

static inline uint8_t *put_bytes(uint8_t *p, const void *data, size_t n)
{
	if (n)
		memcpy(p, data, n);
	return p + n;
}

/* Fills up to a multiple of 4 after n bytes. */
static inline uint8_t *put_fill(uint8_t *p, size_t n)
{
	while (n++ & 3)
		*p++ = 0;
	return p;
}

static inline uint8_t *put_opaque(uint8_t *p, const void *data, size_t n)
{
	return put_fill(put_bytes(put_u32(p, (uint32_t)n), data, n), n);
}

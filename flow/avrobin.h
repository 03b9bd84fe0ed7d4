/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of Avro's binary encoding that our messages use (Avro 1.11 specification, "Binary Encoding",
 * "Schema Fingerprints", "Single-object encoding").
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"

#define AVROBIN_HEADER 10 /* C3 01 and the fingerprint */

#define AVROBIN_LONG 10 /* bytes of a long at most */

/* Writes a long at p; returns the place after it. */
static inline uint8_t *avrobin_write_long(uint8_t *p, int64_t v)
{
	uint64_t z = ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);

	while (z >= 0x80) {
		*p++ = (uint8_t)(z | 0x80);
		z >>= 7;
	}
	*p++ = (uint8_t)z;
	return p;
}

void avrobin_put_long(struct buf *b, int64_t v);
void avrobin_put_bytes(struct buf *b, const void *p, size_t n); /* bytes and string */
void avrobin_put_header(struct buf *b, uint64_t fingerprint);

/* Reads foreign bytes: past the end or over a bound every call gives 0 and sets err; nothing moves on then. */
struct avrobin_cursor {
	const uint8_t *p, *end;
	bool err;
};

int64_t avrobin_long(struct avrobin_cursor *c);
struct str avrobin_bytes(struct avrobin_cursor *c);
/* The fingerprint of a single object's header; 0 and err: there is none. */
uint64_t avrobin_header(struct avrobin_cursor *c);
/* n raw bytes (fixed); NULL on error. */
const void *avrobin_fixed(struct avrobin_cursor *c, size_t n);
/* Items in the next block of an array or map, 0 at its end. More than `max` is an error. */
size_t avrobin_block(struct avrobin_cursor *c, size_t max);

/* CRC-64-AVRO of a schema in parsing canonical form. */
uint64_t avrobin_fingerprint(const char *schema, size_t n);

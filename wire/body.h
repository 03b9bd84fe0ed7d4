/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of a row: `present`, a bit per field of flow/fields.def, and `body`, the present fields in
 * that order: U32 one word, U64 two, HIST (first << 16 | n) and n words, the buckets first .. first + n - 1.
 * Bits past the table are of a newer agent: their values stand at the end and the body's length passes them.
 */
#pragma once

#include "flow/stats.h"
#include "wire/wire.h"

/* Bytes of the largest body: every field present, histograms in full. */
#define WIRE_BODY_U32 4
#define WIRE_BODY_U64 8
#define WIRE_BODY_HIST (4 * (1 + FLOW_BUCKETS))
enum {
#define FIELD(name, width, dir, column, unit, seen, meaning) +WIRE_BODY_##width
	WIRE_BODY_MAX = 0
#include "flow/fields.def"
#undef FIELD
};

/*
 * Writes what fits one wire row of *left and takes it out of *left; call again while left is not empty. Returns
 * the bytes written to dst (at least WIRE_BODY_MAX) and `present`.
 */
size_t wire_body_put(struct flow_stats *left, uint8_t *dst, uint64_t *ret_present);

/* WIRE_OK when wire_body_add() may read it, else WIRE_BODY. */
enum wire_error wire_body_check(uint64_t present, struct str body);

/* Adds the values to `to`. The body was checked: wire_flows_next() gives no other. The hot path of a collector. */
void wire_body_add(uint64_t present, struct str body, struct flow_stats *to);

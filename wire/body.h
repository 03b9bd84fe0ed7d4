/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of a row: `present`, a bit per field of flow/fields.def, and `body`, the present fields in
 * that order: U32 one word, U64 two, HIST (first << 16 | n) and n words, the buckets first .. first + n - 1.
 * Bits past the table are of a newer agent: their values stand at the end and the body's length passes them.
 */
#pragma once

#include "flow/stats.h"
#include "wire/wire.h"

#define WIRE_BODY_MAX (8 * FLOW_FIELDS + 8 * (FLOW_BUCKETS + 1) + 64) /* bytes of the largest body we write */

/*
 * Writes what fits one wire row of *left and takes it out of *left; call again while left is not empty. Returns
 * the bytes written to dst (at least WIRE_BODY_MAX) and `present`.
 */
size_t wire_body_put(struct flow_stats *left, uint8_t *dst, uint64_t *ret_present);

/* WIRE_OK when wire_body_add() may read it, else WIRE_BODY. */
enum wire_error wire_body_check(uint64_t present, struct str body);

/* Adds the values to `to`. The body was checked: wire_flows_next() gives no other. The hot path of a collector. */
void wire_body_add(uint64_t present, struct str body, struct flow_stats *to);

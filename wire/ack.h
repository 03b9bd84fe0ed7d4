/* SPDX-License-Identifier: Apache-2.0 */
/* The collector's answer to an agent: a datagram of its own, WIRE_ACK_SIZE bytes, or WIRE_ACK_SIGNED (wire/auth.h): smaller than
 * any that it answers. */
#pragma once

#include "wire/wire.h"

#define WIRE_ACK_MAGIC 0x736b6163u /* "skac" */
#define WIRE_ACK_SIZE 48
#define WIRE_ACK_SIGNED 64
#define WIRE_ACK_STOPPING 1u /* the collector goes away: choose another one now */

struct wire_ack {
	uint64_t boot; /* of the agent, as its datagrams said */
	uint32_t sub_agent;
	uint32_t interval; /* the interval counted: its start, and its length */
	uint32_t interval_s;
	uint32_t datagrams; /* received from this (agent, sub-agent, boot) for it */
	uint64_t rows;      /* sum(rows) in them */
	uint32_t flags;     /* WIRE_ACK_... */
};

/* Writes WIRE_ACK_SIZE bytes: without a signature. */
void wire_ack_put(const struct wire_ack *a, uint8_t dst[WIRE_ACK_SIZE]);

/* WIRE_SHORT, WIRE_VERSION (not an ack of ours, or of a newer kind). Further bytes at the end are passed. */
enum wire_error wire_ack_read(const void *p, size_t n, struct wire_ack *ret);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows as other collectors read them: the profile `interop` (see interop.c).
 *
 *     wire_interop_open(&x, &record, &head, &opts);
 *     for each row:
 *         for (part = 0; part < wire_interop_parts(&stats); part++)
 *             if (wire_interop_add(&x, &row, &stats, part) == -ENOSPC) {
 *                 n = wire_interop_close(&x, &sender, uptime_ms, 0, dst, sizeof(dst)); ... send ...
 *                 wire_interop_open(...); wire_interop_add(&x, &row, &stats, part);
 *             }
 *     close and send the last
 *
 * What it writes is sent and stamped like any other datagram (wire/stamp.h).
 */
#pragma once

#include "wire/flows.h"

#define WIRE_INTEROP_PARTS 4096 /* bound on the parts of a row: 16 TiB in one direction and interval */

struct wire_interop {
	struct wire_build
		*record;       /* where a row's record is built: the caller's, nothing of it is kept between calls */
	struct wire_head head; /* its strings are the caller's */
	struct wire_opts opts;
	uint64_t rows; /* sum(rows) inside */
	uint32_t n_samples;
	uint32_t n, last; /* bytes of samples; where the last of them begins */
	uint8_t samples[WIRE_SIZE_MAX];
};

/* Begins an empty datagram. opts may be NULL. */
void wire_interop_open(struct wire_interop *x, struct wire_build *record, const struct wire_head *head,
		       const struct wire_opts *opts);

/* Parts a row goes in: 1, or more when a direction has more bytes than the 32 bits that others read them in. */
uint32_t wire_interop_parts(const struct flow_stats *stats);

/*
 * Adds one part of a row; all of them are to be added, in whatever datagrams. Nothing is changed on failure:
 * -ENOSPC   this datagram is full: close it, open the next, add again
 * -EMSGSIZE does not fit into an empty datagram either
 * -ERANGE   a counter is larger than what can be said of one row (wire_flows_add(), WIRE_INTEROP_PARTS); the same for each part
 */
int wire_interop_add(struct wire_interop *x, const struct wire_flow *row, const struct flow_stats *stats,
		     uint32_t part);

/* As wire_build_close(). With nothing inside: 0. */
size_t wire_interop_close(struct wire_interop *x, struct wire_sender *s, uint32_t uptime_ms, size_t pad_to, void *dst,
			  size_t cap);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agents of a fleet: what each sends of an interval. One socket speaks for all of them (a collector tells agents apart by
 * the address in the datagram); what collectors answer is not read.
 */
#pragma once

#include "tools/gen/truth.h"
#include "wire/build.h"

struct emit_opts {
	struct ip collector;
	uint16_t port;
	uint32_t interval_s, spread_ms;
	uint32_t late_index; /* of the interval from which on the last edge is there; 0: from the first */
	uint64_t boot;
};

struct emit_counts {
	uint64_t datagrams, rows, bytes, failed; /* failed: datagrams that could not be sent */
	int64_t late_us;                         /* the most that a datagram went after it was due */
};

struct emit;

/* truth may be NULL. -errno with a sentence in `why`. */
int emit_new(struct emit **ret, const struct fleet *f, struct truth *truth, const struct emit_opts *opts, char *why,
	     size_t why_len);
void emit_free(struct emit *e);

/* Sends everything of the interval that begins at `interval`, evenly from from_us (wall clock) on over the spread. Hosts say who
 * they are and who listens when `introduce`. */
void emit_interval(struct emit *e, uint32_t interval, int64_t from_us, bool introduce);

const struct emit_counts *emit_counts(const struct emit *e);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts' clocks that are wrong. An agent names intervals by its own clock; a datagram whose interval is more
 * than 2 intervals away from the collector's clock is moved by a whole number of intervals. See clock.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CLOCK_FAR 2 /* intervals a clock may be off before anything is moved */
#define CLOCK_LATE \
	12 /* intervals a datagram of a right clock may be late before it is moved too: bounds open intervals */
#define CLOCK_KEPT 64 /* intervals whose shift is remembered: more than an agent repeats ledger lines for */

/* What is known of one agent's clock. All zero: nothing. */
struct clock_agent {
	int64_t least_us, former_us; /* smallest lag in this window and in the one before */
	int64_t window;
	int64_t shift;     /* intervals to add, decided for the newest interval */
	int64_t alone;     /* likewise of what was moved on its own last, */
	uint32_t alone_of; /* of this interval of the agent's */
	bool known, former_known;
	/* Intervals whose shift is decided. While none was moved, a bit each: newest - i (of the agent's, by number). */
	uint32_t newest;
	uint64_t plain;
	struct clock_kept
		*kept; /* then CLOCK_KEPT of these, at interval / interval_s; on the heap, clock_clear() frees */
};

/* Forgets all. */
void clock_clear(struct clock_agent *a);

/*
 * How many intervals to add to `interval` (of interval_s seconds) of a datagram of flows. at_us: when this host's kernel
 * had it, wall clock; not when it was read: a reader that stood still says nothing about a sender's clock.
 */
int64_t clock_shift(struct clock_agent *a, uint32_t interval, uint32_t interval_s, int64_t at_us);

/* Likewise for what does not speak of an interval just ended (host, listeners, health): learns nothing from it. */
int64_t clock_shift_known(const struct clock_agent *a, uint32_t interval, uint32_t interval_s, int64_t at_us);

/*
 * For what the agent says of `interval`, maybe again (its ledger lines): the shift under which the rows of that interval were
 * moved first. `otherwise` when none came; it is remembered, so that every saying lands at the same place.
 */
int64_t clock_shift_line(struct clock_agent *a, uint32_t interval, uint32_t interval_s, int64_t otherwise);

/* interval + shift whole intervals; what leaves 32 bits stays at their end. */
uint32_t clock_moved(uint32_t interval, uint32_t interval_s, int64_t shift);

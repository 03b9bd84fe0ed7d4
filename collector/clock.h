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

/* What is known of one agent's clock. All zero: nothing. */
struct clock_agent {
	int64_t least_us, former_us; /* smallest lag in this window and in the one before */
	int64_t window;
	int64_t shift;     /* intervals to add */
	uint32_t interval; /* the agent's interval that `shift` was decided for */
	bool known, former_known;
};

/* How many intervals to add to `interval` (of interval_s seconds) of a datagram of flows that came at now_us, wall clock. */
int64_t clock_shift(struct clock_agent *a, uint32_t interval, uint32_t interval_s, int64_t now_us);

/* Likewise for what does not speak of an interval just ended (host, listeners, health): learns nothing from it. */
int64_t clock_shift_known(const struct clock_agent *a, uint32_t interval, uint32_t interval_s, int64_t now_us);

/* interval + shift whole intervals; what leaves 32 bits stays at their end. */
uint32_t clock_moved(uint32_t interval, uint32_t interval_s, int64_t shift);

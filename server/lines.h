/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger lines of role `store` of the last intervals. */
#pragma once

#include "flow/msg.h"

#define LINES_MAX 512 /* kept: more than 8 minutes of 1 s intervals; older ones count for the oldest kept */

struct lines_line {
	uint32_t interval;
	uint64_t in, too_old;
	bool changed;
};

struct lines {
	struct lines_line v[LINES_MAX]; /* by interval */
	size_t n;
};

/* rows read in edges of that interval, and how many of them (or of others) the store refused. */
void lines_add(struct lines *l, uint32_t interval, uint64_t in, uint64_t too_old);

/* The messages of the lines that changed since, at most max; they are changed no more. They hold `instance`. */
size_t lines_take(struct lines *l, struct flow_ledger *dst, size_t max, struct str instance, uint64_t boot,
		  uint16_t interval_s);

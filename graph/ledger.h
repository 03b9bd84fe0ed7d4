/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger lines of one stage of one instance (law L7): a line an interval, cumulative over partitions and revisions,
 * written again whenever it changes. A line counts what committed transactions of this boot carried and travels in the
 * same transaction, so the lines of all boots add up to every row exactly once.
 */
#pragma once

#include <stdint.h>

#include "flow/msg.h"

#define LEDGER_LINES 1024 /* kept: more than 10 minutes of 1 s intervals */

struct ledger_line {
	uint32_t interval;
	uint16_t interval_s;
	uint64_t rows_in, rows_out;
	uint64_t lost_late, lost_poison;
	uint64_t late_rows, lost_in_bus, unannounced, forced, silent; /* only told */
};

struct ledger {
	struct ledger_line lines[LEDGER_LINES]; /* sorted by interval, the oldest goes */
	size_t n;
};

/* The interval under which `interval` is written down: its own, or the oldest kept (an older line may have been written
 * and forgotten; writing it again would replace it by less). */
uint32_t ledger_interval(const struct ledger *l, uint32_t interval);

/* a += b, but for the interval. */
void ledger_line_add(struct ledger_line *a, const struct ledger_line *b);

/* The line of that interval (empty if there is none) with `add` added; not kept yet. */
struct ledger_line ledger_preview(const struct ledger *l, const struct ledger_line *add);

/* Keeps what ledger_preview() gave, after its commit. */
void ledger_keep(struct ledger *l, const struct ledger_line *line);

/* The message of a line. Strings point to role and instance. */
void ledger_message(const struct ledger_line *line, const char *role, const char *instance, uint64_t boot,
		    struct flow_ledger *ret);

/* SPDX-License-Identifier: Apache-2.0 */
/* The collector's own ledger lines (law L7): sums per interval, written again whenever late rows change them. */
#pragma once

#include "collector/counters.h"
#include "collector/fold.h"
#include "collector/tally.h"

#define LEDGER_INTERVALS 512 /* kept; older ones are final */

/* Losses of rows that were read. */
enum ledger_loss {
	LEDGER_TABLE_FULL, /* the first ones as enum fold_loss */
	LEDGER_NAMES_FULL,
	LEDGER_INTERVALS_FULL,
	LEDGER_LATE_BUS_FULL, /* left behind at the stop: the bus was full */
	LEDGER_BUS_ERROR,
	LEDGER_LOSSES
};

/* What is said beside the rows, of the period that ended with this interval. */
struct ledger_info {
	struct tally_sums tally;
	struct counters_rx rx;           /* grown by */
	struct counters_publish publish; /* grown by */
	uint64_t fold_fill_pm;           /* fullest table, in thousandths */
	uint64_t roleless_merged;
};

struct ledger_line {
	uint32_t interval;
	bool used, changed;
	uint64_t rows_in, rows_out, late_rows, messages;
	uint64_t sampled_rows; /* of rows_in: of standard sFlow, that no agent of ours sent */
	uint64_t lost[LEDGER_LOSSES];
	struct ledger_info info;
};

struct ledger {
	struct ledger_line line[LEDGER_INTERVALS];
	unsigned last;                        /* line asked for last */
	char rejected[COLLECTOR_REJECTS][40]; /* "rejected_short", ... */
};

void ledger_init(struct ledger *l);

/* The line of an interval, made when absent in place of the oldest, and noted as changed. */
struct ledger_line *ledger_of(struct ledger *l, uint32_t interval);

/* The oldest changed line, or NULL. */
struct ledger_line *ledger_changed(struct ledger *l);

/* Adds another period's numbers; of agents and fill the greater one stays. */
void ledger_info_add(struct ledger_info *to, const struct ledger_info *from);

/* The message. Its strings are constants, `instance` and l's. */
void ledger_fill(const struct ledger *l, const struct ledger_line *line, struct str instance, uint64_t boot,
		 uint16_t interval_s, struct flow_ledger *ret);

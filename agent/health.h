/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's ledger line of an interval (law L7): rows in, out, lost by reason, and what it cost. All numbers
 * are of this interval (what is not there is 0), except those called gauges: socks_open, walk_piece_us, adopt_piece_us, rss_bytes,
 * cpu_busy_pm, cpu_steal_pm.
 */
#pragma once

#include "agent/source.h"
#include "flow/msg.h"

/* What the process and the host have used so far; zeroed before the first call. */
struct health_cost {
	uint64_t user_us;
	uint64_t busy, steal, total; /* ticks of all CPUs */
	bool known;
};

/* Adds to a reason or a number, made if it is new. name: a literal. Past the bounds of the record it is left out. */
void health_lost(struct flow_ledger *line, const char *name, uint64_t n);
void health_info(struct flow_ledger *line, const char *name, uint64_t n);

/* health_info(), but 0 is left out: a line must be short, it may travel many times. */
void health_count(struct flow_ledger *line, const char *name, uint64_t n);

/* What the source counted since `former`: losses and numbers. */
void health_counts(struct flow_ledger *line, const struct source_counts *now, const struct source_counts *former);

/* user_us, rss_bytes, cpu_busy_pm (per mille of all CPUs), cpu_steal_pm. */
void health_cost(struct flow_ledger *line, struct health_cost *c);

/* Adds `from` to `to`, a line of the same interval: an interval that was cut twice (the host's clock went back). */
void health_merge(struct flow_ledger *to, const struct flow_ledger *from);

/* Reads the first line of /proc/stat: busy (all but idle and iowait), steal, all, in ticks. -EBADMSG. */
int health_stat(const char *text, uint64_t *ret_busy, uint64_t *ret_steal, uint64_t *ret_total);

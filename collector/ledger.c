/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/ledger.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>

#include "base/table.h"

static const char *const losses[LEDGER_LOSSES] = {
	[LEDGER_TABLE_FULL] = "table_full",         [LEDGER_NAMES_FULL] = "names_full",
	[LEDGER_INTERVALS_FULL] = "intervals_full", [LEDGER_LATE_BUS_FULL] = "late_bus_full",
	[LEDGER_BUS_ERROR] = "bus_error",
};

static_assert((int)LEDGER_TABLE_FULL == FOLD_LOST_TABLE && (int)LEDGER_NAMES_FULL == FOLD_LOST_NAMES &&
		      (int)LEDGER_INTERVALS_FULL == FOLD_LOST_INTERVALS,
	      "the fold's losses come first");

/* Numbers of a line beside its losses. */
static const struct {
	const char *name;
	size_t offset;
} infos[] = {
#define OF(member) offsetof(struct ledger_line, member)
	{"agents", OF(info.tally.agents)},
	{"datagrams", OF(info.rx.datagrams)},
	{"kernel_drops", OF(info.rx.kernel_drops)},
	{"duplicates", OF(info.rx.duplicates)},
	{"late_datagrams", OF(info.rx.late_datagrams)},
	{"old_datagrams", OF(info.rx.old_datagrams)},
	{"clock_moved", OF(info.rx.clock_moved)},
	{"refused_rows", OF(info.rx.refused_rows)},
	{"restarts", OF(info.tally.restarts)},
	{"lost_network_datagrams", OF(info.tally.lost_datagrams)},
	{"found_network_datagrams", OF(info.tally.found_datagrams)},
	{"lost_network_rows", OF(info.tally.lost_rows)},
	{"found_network_rows", OF(info.tally.found_rows)},
	{"doubled_datagrams", OF(info.tally.doubled_datagrams)},
	{"doubled_rows", OF(info.tally.doubled_rows)},
	{"agent_drops", OF(info.tally.agent_drops)},
	{"sampler_drops", OF(info.publish.sampler_drops)},
	{"sampled_rows", OF(sampled_rows)},
	{"agents_full", OF(info.rx.agents_full)},
	{"records_full", OF(info.rx.records_full)},
	{"late_rows", OF(late_rows)},
	{"messages", OF(messages)},
	{"bus_full", OF(info.publish.bus_full)},
	{"swaps_held", OF(info.publish.swaps_held)},
	{"fold_fill_pm", OF(info.fold_fill_pm)},
	{"roleless_merged", OF(info.roleless_merged)},
#undef OF
};

void ledger_init(struct ledger *l)
{
	*l = (struct ledger){0};
	for (unsigned i = 0; i < COLLECTOR_REJECTS; i++)
		snprintf(l->rejected[i], sizeof(l->rejected[i]), "rejected_%s", counters_reject_name(i));
}

struct ledger_line *ledger_of(struct ledger *l, uint32_t interval)
{
	struct ledger_line *oldest = &l->line[0], *last = &l->line[l->last];

	if (last->used && last->interval == interval) {
		last->changed = true;
		return last;
	}
	for (unsigned i = 0; i < LEDGER_INTERVALS; i++) {
		struct ledger_line *at = &l->line[i];

		if (at->used && at->interval == interval) {
			l->last = i;
			at->changed = true;
			return at;
		}
		if (oldest->used && (!at->used || at->interval < oldest->interval))
			oldest = at;
	}
	l->last = (unsigned)(oldest - l->line);
	*oldest = (struct ledger_line){.interval = interval, .used = true, .changed = true};
	return oldest;
}

struct ledger_line *ledger_changed(struct ledger *l)
{
	struct ledger_line *first = NULL;

	for (unsigned i = 0; i < LEDGER_INTERVALS; i++) {
		struct ledger_line *at = &l->line[i];

		if (at->used && at->changed && (!first || at->interval < first->interval))
			first = at;
	}
	return first;
}

void ledger_info_add(struct ledger_info *to, const struct ledger_info *from)
{
	static_assert(sizeof(*to) % 8 == 0, "only u64 inside");
	uint64_t fill = to->fold_fill_pm > from->fold_fill_pm ? to->fold_fill_pm : from->fold_fill_pm;
	uint64_t agents = to->tally.agents > from->tally.agents ? to->tally.agents : from->tally.agents;

	for (size_t i = 0; i < sizeof(*to) / 8; i++)
		((uint64_t *)to)[i] += ((const uint64_t *)from)[i];
	to->fold_fill_pm = fill;
	to->tally.agents = agents;
}

void ledger_fill(const struct ledger *l, const struct ledger_line *line, struct str instance, uint64_t boot,
		 uint16_t interval_s, struct flow_ledger *ret)
{
	*ret = (struct flow_ledger){
		.interval = line->interval,
		.interval_s = interval_s,
		.role = STR("collector"),
		.instance = instance,
		.boot = boot,
		.rows_in = line->rows_in,
		.rows_out = line->rows_out,
	};
	for (unsigned i = 0; i < LEDGER_LOSSES; i++) {
		if (line->lost[i])
			ret->lost[ret->n_lost++] = (struct flow_count){str_from(losses[i]), line->lost[i]};
	}
	for (unsigned i = 0; i < ARRAY_LEN(infos); i++)
		ret->info[ret->n_info++] = (struct flow_count){
			str_from(infos[i].name), *(const uint64_t *)((const char *)line + infos[i].offset)};
	for (unsigned i = WIRE_END + 1; i < COLLECTOR_REJECTS && ret->n_info < FLOW_INFOS; i++) {
		if (line->info.rx.rejected[i])
			ret->info[ret->n_info++] =
				(struct flow_count){str_from(l->rejected[i]), line->info.rx.rejected[i]};
	}
}

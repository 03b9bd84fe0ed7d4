/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/ledger.h"

#include <string.h>

#include "base/table.h"

/* First line with an interval >= `interval`. */
static size_t ledger_search(const struct ledger *l, uint32_t interval)
{
	size_t i = l->n;

	while (i > 0 && l->lines[i - 1].interval >= interval)
		i--;
	return i;
}

uint32_t ledger_interval(const struct ledger *l, uint32_t interval)
{
	return l->n == LEDGER_LINES && interval < l->lines[0].interval ? l->lines[0].interval : interval;
}

void ledger_line_add(struct ledger_line *a, const struct ledger_line *b)
{
	a->rows_in += b->rows_in;
	a->rows_out += b->rows_out;
	a->lost_late += b->lost_late;
	a->lost_poison += b->lost_poison;
	a->late_rows += b->late_rows;
	a->lost_in_bus += b->lost_in_bus;
	a->unannounced += b->unannounced;
	a->forced += b->forced;
	a->silent += b->silent;
}

struct ledger_line ledger_preview(const struct ledger *l, const struct ledger_line *add)
{
	size_t i = ledger_search(l, add->interval);
	struct ledger_line line = *add;

	if (i < l->n && l->lines[i].interval == add->interval)
		ledger_line_add(&line, &l->lines[i]);
	return line;
}

void ledger_keep(struct ledger *l, const struct ledger_line *line)
{
	size_t i = ledger_search(l, line->interval);

	if (i < l->n && l->lines[i].interval == line->interval) {
		l->lines[i] = *line;
		return;
	}
	if (l->n == LEDGER_LINES) {
		if (i == 0)
			return;
		memmove(&l->lines[0], &l->lines[1], (--l->n) * sizeof(l->lines[0]));
		i--;
	}
	memmove(&l->lines[i + 1], &l->lines[i], (l->n - i) * sizeof(l->lines[0]));
	l->lines[i] = *line;
	l->n++;
}

void ledger_message(const struct ledger_line *line, const char *role, const char *instance, uint64_t boot,
		    struct flow_ledger *ret)
{
	const struct flow_count lost[] = {{STR("late_unjoined"), line->lost_late}, {STR("poison"), line->lost_poison}};
	const struct flow_count info[] = {
		{STR("late_rows"), line->late_rows},     {STR("lost_in_bus"), line->lost_in_bus},
		{STR("unannounced"), line->unannounced}, {STR("forced_closes"), line->forced},
		{STR("silent_closes"), line->silent},
	};

	ret->interval = line->interval;
	ret->interval_s = line->interval_s;
	ret->role = str_from(role);
	ret->instance = str_from(instance);
	ret->boot = boot;
	ret->rows_in = line->rows_in;
	ret->rows_out = line->rows_out;
	ret->n_lost = ret->n_info = 0;
	for (size_t i = 0; i < ARRAY_LEN(lost); i++) {
		if (lost[i].n)
			ret->lost[ret->n_lost++] = lost[i];
	}
	for (size_t i = 0; i < ARRAY_LEN(info); i++) {
		if (info[i].n)
			ret->info[ret->n_info++] = info[i];
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "server/lines.h"

void lines_add(struct lines *l, uint32_t interval, uint64_t in, uint64_t too_old)
{
	size_t i = l->n;

	if (!in && !too_old)
		return;
	while (i > 0 && l->v[i - 1].interval > interval)
		i--;
	if (i == 0 || l->v[i - 1].interval != interval) {
		if (l->n == LINES_MAX && i == 0) {
			i = 1; /* older than all: the oldest takes it */
		} else {
			if (l->n == LINES_MAX) {
				memmove(&l->v[0], &l->v[1], (--l->n) * sizeof(l->v[0]));
				i--;
			}
			memmove(&l->v[i + 1], &l->v[i], (l->n - i) * sizeof(l->v[0]));
			l->v[i++] = (struct lines_line){.interval = interval};
			l->n++;
		}
	}
	l->v[i - 1].in += in;
	l->v[i - 1].too_old += too_old;
	l->v[i - 1].changed = true;
}

size_t lines_take(struct lines *l, struct flow_ledger *dst, size_t max, struct str instance, uint64_t boot,
		  uint16_t interval_s)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n && n < max; i++) {
		struct lines_line *line = &l->v[i];

		if (!line->changed)
			continue;
		line->changed = false;
		dst[n].interval = line->interval;
		dst[n].interval_s = interval_s;
		dst[n].role = STR("store");
		dst[n].instance = instance;
		dst[n].boot = boot;
		dst[n].rows_in = line->in;
		dst[n].rows_out = line->in - line->too_old;
		dst[n].n_info = 0;
		dst[n].n_lost = line->too_old != 0;
		dst[n].lost[0] = (struct flow_count){STR("too_old"), line->too_old};
		n++;
	}
	return n;
}

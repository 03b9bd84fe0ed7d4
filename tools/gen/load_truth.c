/* SPDX-License-Identifier: Apache-2.0 */
/* What a load sent, from how often each of its datagrams went in each interval. */
#include "tools/gen/load_work.h"

static int load_truth_host(struct load *l, struct load_thread *t, uint32_t k, uint32_t *at, uint32_t host)
{
	struct traffic_item item;
	const struct load_interval *v = &t->intervals[k];

	for (; *at < t->pack->n_datagrams && t->pack->datagrams[*at].host == host; ++*at) {
		const struct pack_datagram *d = &t->pack->datagrams[*at];
		const struct load_times *times = &v->times[*at];

		if (!times->sent && !times->unsent)
			continue;
		for (uint32_t i = d->first_item; i < d->first_item + d->n_items; i++) {
			pack_item_get(t->pack, &t->pack->items[i], l->base, &item);
			truth_add(l->truth, t->pack->items[i].row, &item, times->sent, times->unsent, times->twice);
		}
	}
	return truth_host(l->truth, host);
}

/* Of one interval, what all threads sent. */
static int load_truth_interval(struct load *l, uint32_t interval)
{
	int r = 0;

	truth_begin(l->truth, interval, l->opts.emit.pack.interval_s);
	for (uint32_t i = 0; i < l->opts.threads; i++) {
		struct load_thread *t = &l->threads[i];
		uint32_t k = 0, at = 0;

		while (k < t->n_intervals && t->intervals[k].interval != interval)
			k++;
		for (uint32_t h = t->nth; k < t->n_intervals && h < l->fleet->conf.hosts && r == 0;
		     h += l->opts.threads)
			r = load_truth_host(l, t, k, &at, h);
	}
	return r < 0 ? r : truth_interval(l->truth);
}

int load_truth(struct load *l)
{
	uint32_t first = UINT32_MAX, last = 0, len = l->opts.emit.pack.interval_s;
	int r = 0;

	if (!l->truth)
		return 0;
	for (uint32_t i = 0; i < l->opts.threads; i++) {
		const struct load_thread *t = &l->threads[i];

		if (!t->n_intervals)
			continue;
		first = t->intervals[0].interval < first ? t->intervals[0].interval : first;
		last = t->intervals[t->n_intervals - 1].interval > last ? t->intervals[t->n_intervals - 1].interval
									: last;
	}
	for (uint32_t at = first; at <= last && r == 0; at += len)
		r = load_truth_interval(l, at);
	return r;
}

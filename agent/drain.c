/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/drain.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "agent/flow.skel.h"
#include "agent/nat.h"
#include "base/clock.h"

#define BATCH 256
#define DIAL_US 200000ULL /* a connect call takes less than this to its SYN (agent/bpf/dial.bpf.h: twice DIAL_OWN_US) */

static void *swap(void *arg)
{
	struct drain *d = arg;
	struct load *l = d->load;
	uint32_t zero = 0;

	if (bpf_map__update_elem(l->skel->maps.rows, &zero, 4, &l->inner[!l->active], 4, BPF_ANY))
		d->r = -errno;
	return NULL;
}

int drain_begin(struct drain *d, struct load *l)
{
	d->load = l;
	d->r = 0;
	l->counters->rows_made = 0;
	d->began_us = clock_mono_us();
	return -pthread_create(&d->thread, NULL, swap, d);
}

static int rows_take(int fd, struct nat *nat, struct agent_rows *rows, struct drain_counts *counts)
{
	struct sky_row_key *keys = malloc(BATCH * sizeof(*keys));
	struct sky_row_value *vals = malloc(BATCH * sizeof(*vals));
	uint32_t at = 0, n;
	bool first = true;
	int err = 0;

	if (!keys || !vals)
		err = ENOMEM;
	counts->used = 0;
	while (!err) {
		n = BATCH;
		err = bpf_map_lookup_and_delete_batch(fd, first ? NULL : &at, &at, keys, vals, &n, NULL) ? errno : 0;
		if (err && err != ENOENT)
			break;
		for (uint32_t i = 0; i < n; i++) {
			agent_row_drained(&vals[i]);
			nat_row(nat, &keys[i], &vals[i]);
			counts->lost_user += agent_rows_add(rows, &keys[i], &vals[i]) != 0;
		}
		counts->used += n;
		first = false;
	}
	free(keys);
	free(vals);
	return err == ENOENT ? 0 : -err;
}

int drain_end(struct drain *d, struct agent_rows *rows, struct drain_counts *counts)
{
	struct load *l = d->load;
	int r = -pthread_join(d->thread, NULL);

	if (!r)
		r = d->r;
	if (r)
		return r;
	l->active = !l->active;
	nat_refresh(l->nat); /* whose end is in the map, of that the beginning was told */
	r = rows_take(l->inner[!l->active], l->nat, rows, counts);
	if (!r)
		nat_drained(l->nat, IPPROTO_TCP, d->began_us);
	return r;
}

bool drain_needed(const struct load *l)
{
	return l->counters->rows_made > l->max_rows / 4 * 3;
}

/* Takes the entry out; true when it is ours and still what `seen` was. One overwritten meanwhile goes back. */
static bool dial_take(struct load *l, uint64_t thread, const struct sky_dial *seen)
{
	struct bpf_map *map = l->skel->maps.dials;
	struct sky_dial d = *seen;

	if (l->pop) {
		if (bpf_map__lookup_and_delete_elem(map, &thread, sizeof(thread), &d, sizeof(d), 0))
			return false;
	} else if (bpf_map__lookup_elem(map, &thread, sizeof(thread), &d, sizeof(d), 0) ||
		   bpf_map__delete_elem(map, &thread, sizeof(thread), 0)) {
		return false;
	}
	if (d.at != seen->at && !bpf_map__update_elem(map, &thread, sizeof(thread), &d, sizeof(d), BPF_NOEXIST))
		return false;
	__atomic_fetch_sub(&l->counters->dials_made, 1, __ATOMIC_SEQ_CST);
	return d.at == seen->at;
}

static void dial_failed(const struct sky_dial *d, struct agent_rows *rows, struct drain_counts *counts)
{
	struct agent_row *row = agent_rows_get(rows, &d->key);

	if (!row) {
		counts->lost_user++;
		return;
	}
	row->val.attempts++;
	row->val.failed_no_route++;
	row->val.tgid = d->tgid;
}

struct dials {
	struct load *load;
	uint64_t now;
	struct agent_rows *rows;
	struct drain_counts *counts;
};

static bool dial_old(const struct dials *s, const struct sky_dial *d)
{
	uint64_t age = s->now > d->at ? s->now - d->at : 0;

	return d->pending && age * 1000000 / s->load->hz > DIAL_US;
}

/* A mark this old is changed by nobody but its own thread's SYN, and a later one is another. */
static void dials_places(const struct dials *s)
{
	struct sky_dial_place *places = s->load->skel->data_dials->dial_places;

	for (unsigned i = 0; i < SKY_DIALS; i++) {
		uint32_t mark = __atomic_load_n(&places[i].dial.pending, __ATOMIC_ACQUIRE);
		struct sky_dial d;

		if (!mark)
			continue;
		d = places[i].dial;
		if (mark == sky_dial_mark(d.at) && dial_old(s, &d) &&
		    __atomic_compare_exchange_n(&places[i].dial.pending, &mark, 0, false, __ATOMIC_SEQ_CST,
						__ATOMIC_RELAXED))
			dial_failed(&d, s->rows, s->counts);
	}
}

static int dials_map(const struct dials *s)
{
	uint64_t keys[BATCH];
	struct sky_dial *dials = malloc(BATCH * sizeof(*dials));
	int fd = bpf_map__fd(s->load->skel->maps.dials), err = dials ? 0 : ENOMEM;
	uint32_t at = 0, n;
	bool first = true;

	while (!err) {
		n = BATCH;
		err = bpf_map_lookup_batch(fd, first ? NULL : &at, &at, keys, dials, &n, NULL) ? errno : 0;
		if (err && err != ENOENT)
			break;
		for (uint32_t i = 0; i < n; i++)
			if (dial_old(s, &dials[i]) && dial_take(s->load, keys[i], &dials[i]))
				dial_failed(&dials[i], s->rows, s->counts);
		first = false;
	}
	free(dials);
	return err == ENOENT ? 0 : -err;
}

int drain_dials(struct load *l, struct agent_rows *rows, struct drain_counts *counts)
{
	struct dials s = {.load = l, .rows = rows, .counts = counts};
	uint64_t ns;
	int r = load_clock(l, &s.now, &ns);

	if (r)
		return r;
	dials_places(&s);
	return l->counters->dials_made > 0 ? dials_map(&s) : 0;
}

int drain_listeners(struct load *l)
{
	struct sky_listener_key keys[64];
	struct sky_listener vals[64];
	int fd = bpf_map__fd(l->skel->maps.listeners), err;
	uint32_t at = 0, n;
	bool first = true;

	do {
		n = 64;
		err = bpf_map_lookup_batch(fd, first ? NULL : &at, &at, keys, vals, &n, NULL) ? errno : 0;
		if (err && err != ENOENT)
			return -err;
		for (uint32_t i = 0; i < n; i++)
			if (vals[i].count <= 0)
				(void)bpf_map_delete_elem(fd, &keys[i]);
		first = false;
	} while (!err);
	return 0;
}

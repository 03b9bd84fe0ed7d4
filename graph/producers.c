/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/producers.h"

#include <errno.h>
#include <stdlib.h>

#include "base/hash.h"

void producers_init(struct producers *ps, int64_t balance, bool forgiving)
{
	*ps = (struct producers){.balance = balance, .low = balance, .forgiving = forgiving};
}

void producers_deinit(struct producers *ps)
{
	free(ps->v);
	*ps = (struct producers){0};
}

static bool producers_live(const struct producers *ps, const struct producer *p)
{
	return ps->newest < p->wrote_at + PRODUCERS_SILENT * (uint32_t)ps->interval_s;
}

static int producers_get(struct producers *ps, struct str name, struct producer **ret)
{
	uint64_t hash = hash64(name.p, name.n);
	struct producer *oldest = NULL;

	for (size_t i = 0; i < ps->n; i++) {
		if (ps->v[i].name == hash) {
			*ret = &ps->v[i];
			return 0;
		}
		if (!oldest || ps->v[i].wrote_at < oldest->wrote_at)
			oldest = &ps->v[i];
	}
	if (ps->n == PRODUCERS_MAX) {
		*oldest = (struct producer){.name = hash};
		*ret = oldest;
		return 0;
	}
	if (ps->n == ps->cap) {
		size_t cap = ps->cap ? ps->cap * 2 : 8;
		struct producer *v = realloc(ps->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		ps->v = v;
		ps->cap = cap;
	}
	ps->v[ps->n] = (struct producer){.name = hash};
	*ret = &ps->v[ps->n++];
	return 0;
}

int producers_expect(struct producers *ps, struct str name)
{
	struct producer *p;
	int r = producers_get(ps, name, &p);

	if (r == 0 && ps->newest && !p->wrote_at)
		p->wrote_at = ps->newest;
	return r;
}

/* Takes what the marker announced out of the balance. */
static void producers_announced(struct producers *ps, uint64_t rows)
{
	ps->balance -= (int64_t)rows;
	if (ps->balance < 0) {
		ps->lost += ps->forgiving ? 0 : (uint64_t)-ps->balance;
		ps->balance = 0;
	}
	if (ps->balance < ps->low)
		ps->low = ps->balance;
}

int producers_marker(struct producers *ps, const struct flow_marker *m, int64_t offset, bool count)
{
	struct producer *p;
	bool first = ps->newest == 0;
	int r = producers_get(ps, m->producer, &p);

	if (r < 0)
		return r;
	if (p->marked && p->boot != m->boot)
		ps->suspect = true;
	if (m->interval >= ps->newest) {
		ps->newest = m->interval;
		ps->interval_s = m->interval_s;
	}
	p->boot = m->boot;
	p->marked = m->interval > p->marked ? m->interval : p->marked;
	p->wrote_at = ps->newest;
	p->offset = offset;
	for (size_t i = 0; first && i < ps->n; i++) /* those expected are awaited from now on */
		ps->v[i].wrote_at = ps->newest;
	if (count)
		producers_announced(ps, m->rows);
	return 0;
}

void producers_rows(struct producers *ps, uint64_t rows)
{
	ps->balance += (int64_t)rows;
}

uint32_t producers_closable(const struct producers *ps)
{
	uint32_t least = UINT32_MAX;

	for (size_t i = 0; i < ps->n; i++) {
		if (producers_live(ps, &ps->v[i]) && ps->v[i].marked < least)
			least = ps->v[i].marked;
	}
	return least == UINT32_MAX ? 0 : least;
}

void producers_closed(struct producers *ps)
{
	int64_t least = INT64_MAX;
	uint32_t live, silent;

	ps->forgiving = false;
	producers_count(ps, &live, &silent);
	ps->suspect |= silent > 0;
	ps->lows[ps->n_lows++] = ps->low;
	ps->low = ps->balance;
	if (ps->n_lows < PRODUCERS_SETTLE)
		return;
	ps->n_lows = 0;
	for (unsigned i = 0; i < PRODUCERS_SETTLE; i++)
		least = ps->lows[i] < least ? ps->lows[i] : least;
	if (ps->suspect && least > 0) {
		ps->unannounced += (uint64_t)least;
		ps->balance -= least;
		ps->low = ps->balance;
	}
	ps->suspect = false;
}

int64_t producers_oldest(const struct producers *ps)
{
	int64_t oldest = INT64_MAX;

	for (size_t i = 0; i < ps->n; i++) {
		if (ps->v[i].marked && producers_live(ps, &ps->v[i]) && ps->v[i].offset < oldest)
			oldest = ps->v[i].offset;
	}
	return oldest;
}

void producers_count(const struct producers *ps, uint32_t *ret_live, uint32_t *ret_silent)
{
	*ret_live = *ret_silent = 0;
	for (size_t i = 0; i < ps->n; i++)
		++*(producers_live(ps, &ps->v[i]) ? ret_live : ret_silent);
}

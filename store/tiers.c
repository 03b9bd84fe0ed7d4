/* SPDX-License-Identifier: Apache-2.0 */
#include "store/tiers.h"

#include <errno.h>
#include <stdlib.h>

const char *const tiers_names[STORE_TIERS] = {"fine", "1m", "5m", "1h"};

uint32_t tiers_length(const struct store_opts *o, enum store_tier t)
{
	static const uint32_t lengths[STORE_TIERS] = {0, 60, 300, 3600};

	return t == STORE_FINE ? o->interval_s : lengths[t];
}

uint32_t tiers_keep(const struct store_opts *o, enum columns_kind kind, enum store_tier t)
{
	switch (kind) {
	case COLUMNS_EDGES:
		return o->keep_s[t];
	case COLUMNS_PAIRS:
		return o->keep_pairs_s[t];
	default: /* the ledger answers for the fine rows and some time after them */
		if (t != STORE_FINE)
			return 0;
		return o->keep_s[STORE_1M] > o->keep_s[STORE_FINE] ? o->keep_s[STORE_1M] : o->keep_s[STORE_FINE];
	}
}

enum store_tier tiers_above(const struct store_opts *o, enum columns_kind kind, enum store_tier t)
{
	do
		t++;
	while (t < STORE_TIERS && !tiers_keep(o, kind, t));
	return t;
}

enum store_tier tiers_below(const struct store_opts *o, enum columns_kind kind, enum store_tier t)
{
	while (t-- > STORE_FINE)
		if (tiers_keep(o, kind, t))
			return t;
	return STORE_TIERS;
}

/* Index of the first that is not below `bucket`. */
size_t dirty_at(const struct dirty *d, uint32_t bucket)
{
	size_t lo = 0, hi = d->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (d->v[mid] < bucket)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int dirty_add(struct dirty *d, uint32_t bucket)
{
	size_t at = dirty_at(d, bucket);

	if (at < d->n && d->v[at] == bucket)
		return 0;
	if (d->n == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 64;
		uint32_t *v = realloc(d->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		d->v = v;
		d->cap = cap;
	}
	memmove(&d->v[at + 1], &d->v[at], (d->n - at) * sizeof(*d->v));
	d->v[at] = bucket;
	d->n++;
	return 0;
}

void dirty_del(struct dirty *d, uint32_t bucket)
{
	size_t at = dirty_at(d, bucket);

	if (at == d->n || d->v[at] != bucket)
		return;
	memmove(&d->v[at], &d->v[at + 1], (d->n - at - 1) * sizeof(*d->v));
	d->n--;
}

bool dirty_any(const struct dirty *d, uint32_t from, uint32_t to)
{
	size_t at = dirty_at(d, from);

	return at < d->n && d->v[at] < to;
}

void tiers_init(struct tiers *t)
{
	memset(t, 0, sizeof(*t));
	memset(t->oldest, 0xff, sizeof(t->oldest));
}

void tiers_deinit(struct tiers *t)
{
	for (unsigned k = 0; k < COLUMNS_KINDS; k++)
		for (unsigned i = 0; i < STORE_TIERS; i++)
			free(t->dirty[k][i].v);
	tiers_init(t);
}

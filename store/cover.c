/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the coarsest tier down: the aligned middle of the range is that tier's, less its buckets that some finer tier has
 * marked dirty; the two ends and the dirty buckets are the next finer tier's, and so on.
 *
 *     10:59:30                                                           13:02:10
 *        |fine|1m....|1h                |1h               |5m..|dirty: fine|fine|
 *
 * Where the finest rows were removed by age, the ends are moved outwards to whole rows of the finest tier that is left.
 */
#include "store/cover.h"

#include <errno.h>
#include <stdlib.h>

struct plan {
	const struct tiers *st;
	const struct store_opts *opts;
	enum columns_kind kind;
	struct cover *c;
};

static int plan_emit(struct plan *p, enum store_tier t, uint32_t from, uint32_t to)
{
	struct cover *c = p->c;

	if (from >= to)
		return 0;
	c->tiers |= (uint8_t)(1 << t);
	if (c->n && c->v[c->n - 1].tier == t && c->v[c->n - 1].to == from) {
		c->v[c->n - 1].to = to;
		return 0;
	}
	if (c->n == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 16;
		struct segment *v = realloc(c->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		c->v = v;
		c->cap = cap;
	}
	c->v[c->n++] = (struct segment){t, from, to};
	return 0;
}

/* Some finer tier marked a part of [from, to). */
static bool plan_stale(const struct plan *p, enum store_tier t, uint32_t from, uint32_t to)
{
	for (unsigned finer = STORE_FINE; finer < t; finer++) {
		const struct dirty *d = &p->st->dirty[p->kind][finer];
		enum store_tier above = tiers_above(p->opts, p->kind, finer);
		uint32_t length = above < STORE_TIERS ? tiers_length(p->opts, above) : 1;

		/* A mark is the start of a bucket of the tier above `finer`. */
		if (dirty_any(d, from - from % length, to))
			return true;
	}
	return false;
}

static int plan_part(struct plan *p, enum store_tier t, uint32_t from, uint32_t to)
{
	uint32_t length = tiers_length(p->opts, t), a, b;
	enum store_tier below;
	int r;

	if (from >= to)
		return 0;
	if (t == STORE_FINE)
		return plan_emit(p, t, from, to);
	below = tiers_below(p->opts, p->kind, t);
	if (p->c->step && p->c->step % length)
		return plan_part(p, below, from, to);
	a = (uint32_t)(((uint64_t)from + length - 1) / length * length);
	b = to - to % length;
	if (a >= b)
		return plan_part(p, below, from, to);
	r = plan_part(p, below, from, a);
	if (!plan_stale(p, t, a, b)) {
		if (!r)
			r = plan_emit(p, t, a, b);
	} else {
		for (; !r && a < b; a += length)
			r = plan_stale(p, t, a, a + length) ? plan_part(p, below, a, a + length)
							    : plan_emit(p, t, a, a + length);
	}
	return r ? r : plan_part(p, below, b, to);
}

/* The finest tier that still has the time `at`. */
static enum store_tier plan_left(const struct plan *p, uint32_t at)
{
	const uint32_t *oldest = p->st->oldest[p->kind];
	enum store_tier t = STORE_FINE, best = STORE_FINE;

	while (oldest[best] == UINT32_MAX || oldest[best] > at) {
		t = tiers_above(p->opts, p->kind, t);
		if (t >= STORE_TIERS)
			break;
		if (oldest[t] < oldest[best])
			best = t;
	}
	return best;
}

/* Before the oldest file there is nothing to plan. */
static uint32_t plan_first(const struct plan *p, uint32_t from)
{
	uint32_t oldest = UINT32_MAX;

	for (unsigned t = 0; t < STORE_TIERS; t++)
		if (p->st->oldest[p->kind][t] < oldest)
			oldest = p->st->oldest[p->kind][t];
	if (oldest == UINT32_MAX)
		return UINT32_MAX;
	return oldest > from ? oldest : from;
}

int cover_make(const struct tiers *st, const struct store_opts *o, enum columns_kind kind, uint32_t from, uint32_t to,
	       uint32_t step, struct cover *ret)
{
	struct plan p = {st, o, kind, ret};
	enum store_tier coarsest = STORE_FINE, t;
	int r;

	*ret = (struct cover){.from = from, .to = to, .step = step};
	if (from >= to)
		return 0;
	for (t = STORE_FINE; t < STORE_TIERS; t = tiers_above(o, kind, t))
		coarsest = t;
	t = plan_left(&p, from);
	if (t != STORE_FINE) {
		ret->from -= from % tiers_length(o, t);
		if (step && step % tiers_length(o, t))
			ret->step = (step / tiers_length(o, t) + 1) * tiers_length(o, t);
	}
	t = plan_left(&p, to - 1);
	if (t != STORE_FINE)
		ret->to = (uint32_t)(((uint64_t)to + tiers_length(o, t) - 1) / tiers_length(o, t) * tiers_length(o, t));
	r = plan_part(&p, coarsest, plan_first(&p, ret->from), ret->to);
	if (r)
		cover_deinit(ret);
	return r;
}

void cover_deinit(struct cover *c)
{
	free(c->v);
	c->v = NULL;
	c->n = c->cap = 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The order of boxes inside their layers: barycentre passes, then sifting (layout_sift.c); then heights near the neighbours'. See layout.c. */
#include <errno.h>
#include <stdlib.h>

#include "server/layout_work.h"

#define PASSES 16
#define SIFTS 8
#define STARTS 12
#define STARTS_EDGES 600
#define SETTLES 6
#define FINE 256 /* of a pixel, in means */

/* --- crossings: a measure to choose the best pass by. Only among edges between the same two layers. */

struct crossing {
	uint32_t a, b; /* layers */
	int32_t from, to;
};

struct crossings {
	struct crossing *v;
	int32_t *ends, *spare;
};

static int crossing_order(const void *a, const void *b)
{
	const struct crossing *x = a, *y = b;

	if (x->a != y->a)
		return x->a < y->a ? -1 : 1;
	if (x->b != y->b)
		return x->b < y->b ? -1 : 1;
	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return (x->to > y->to) - (x->to < y->to);
}

/* Pairs in the wrong order, by merging runs from below. */
static uint64_t inversions(int32_t *v, int32_t *spare, size_t n)
{
	uint64_t count = 0;

	for (size_t width = 1; width < n; width *= 2)
		for (size_t lo = 0; lo + width < n; lo += 2 * width) {
			size_t mid = lo + width, hi = mid + width < n ? mid + width : n, i = lo, j = mid, k = lo;

			while (i < mid && j < hi) {
				if (v[j] < v[i]) {
					count += mid - i;
					spare[k++] = v[j++];
				} else {
					spare[k++] = v[i++];
				}
			}
			while (i < mid)
				spare[k++] = v[i++];
			while (j < hi)
				spare[k++] = v[j++];
			memcpy(v + lo, spare + lo, (hi - lo) * sizeof(*v));
		}
	return count;
}

static uint32_t node_ordinal(const struct work *w, uint32_t node)
{
	return w->groups[w->nodes[node].group].ordinal;
}

static uint64_t crossings_count(const struct work *w, struct crossings *x)
{
	uint64_t count = 0;
	size_t n = 0;

	for (size_t i = 0; i < w->n_edges; i++) {
		uint32_t from = w->edges[i].from, to = w->edges[i].to;
		uint32_t a = node_ordinal(w, from), b = node_ordinal(w, to);

		if (a < b)
			x->v[n++] = (struct crossing){a, b, w->nodes[from].y, w->nodes[to].y};
		else if (b < a)
			x->v[n++] = (struct crossing){b, a, w->nodes[to].y, w->nodes[from].y};
	}
	if (n)
		qsort(x->v, n, sizeof(*x->v), crossing_order);
	for (size_t i = 0, m; i < n; i += m) {
		for (m = 0; i + m < n && x->v[i + m].a == x->v[i].a && x->v[i + m].b == x->v[i].b; m++)
			x->ends[m] = x->v[i + m].to;
		count += inversions(x->ends, x->spare, m);
	}
	return count;
}

/* --- passes */

/* Mean height of the neighbours on one side (or both), in 1/FINE px; own height when there are none. */
static int64_t node_wish(const struct work *w, uint32_t node, bool left, bool right)
{
	const struct links *sides[2] = {&w->in, &w->out};
	uint32_t own = node_ordinal(w, node);
	int64_t sum = 0, n = 0;

	for (unsigned s = 0; s < 2; s++)
		for (uint32_t k = sides[s]->start[node]; k < sides[s]->start[node + 1]; k++) {
			uint32_t other = node_ordinal(w, sides[s]->to[k]);

			if ((other < own && left) || (other > own && right)) {
				sum += w->nodes[sides[s]->to[k]].y;
				n++;
			}
		}
	return n ? sum * FINE / n : (int64_t)w->nodes[node].y * FINE;
}

struct member {
	int64_t wish;
	uint32_t at, node;
};

static int member_order(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	if (x->wish != y->wish)
		return x->wish < y->wish ? -1 : 1;
	return (x->at > y->at) - (x->at < y->at);
}

void layout_spread(struct work *w, const struct work_group *g)
{
	const struct work_zone *z = &w->zones[g->zone];

	for (uint32_t i = 0; i < g->n; i++)
		w->nodes[w->members[g->first + i]].y =
			z->y + TITLE + (int32_t)((2 * (int64_t)i + 1) * (z->h - TITLE - PAD) / (2 * (int64_t)g->n));
}

static void group_sort(struct work *w, const struct work_group *g, struct member *v, bool left)
{
	for (uint32_t i = 0; i < g->n; i++) {
		uint32_t node = w->members[g->first + i];

		v[i] = (struct member){node_wish(w, node, left, !left), i, node};
	}
	qsort(v, g->n, sizeof(*v), member_order);
	for (uint32_t i = 0; i < g->n; i++)
		w->members[g->first + i] = v[i].node;
	layout_spread(w, g);
}

struct turn {
	uint32_t ordinal, group;
};

static int turn_order(const void *a, const void *b)
{
	const struct turn *x = a, *y = b;

	if (x->ordinal != y->ordinal)
		return x->ordinal < y->ordinal ? -1 : 1;
	return (x->group > y->group) - (x->group < y->group);
}

/* Groups from left to right, and from right to left. */
static int order_turns(const struct work *w, uint32_t *ret[2])
{
	struct turn *v = calloc(w->n_groups + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	for (uint32_t g = 0; g < w->n_groups; g++)
		v[g] = (struct turn){w->groups[g].ordinal, g};
	if (w->n_groups)
		qsort(v, w->n_groups, sizeof(*v), turn_order);
	for (uint32_t i = 0; i < w->n_groups; i++)
		ret[0][i] = ret[1][w->n_groups - 1 - i] = v[i].group;
	free(v);
	return 0;
}

/* Runs that would overlap move as one, to their mean (pool adjacent violators). */
struct run {
	int64_t sum;
	uint32_t n;
};

struct order {
	uint32_t *turns[2];
	uint32_t *best; /* members in the best order of this start */
	uint32_t *all;  /* of all starts */
	uint64_t least; /* its crossings */
	struct member *v;
	struct run *runs;
	struct crossings x;
};

/* Is it better than the best? */
static bool order_look(struct work *w, struct order *o)
{
	uint64_t count = crossings_count(w, &o->x);

	if (count >= o->least)
		return false;
	o->least = count;
	memcpy(o->best, w->members, w->n * sizeof(*o->best));
	return true;
}

static void order_restore(struct work *w, const uint32_t *members)
{
	memcpy(w->members, members, w->n * sizeof(*members));
	for (uint32_t g = 0; g < w->n_groups; g++)
		layout_spread(w, &w->groups[g]);
}

/* To and fro; what crossed least stays. */
static int order_passes(struct work *w, struct order *o)
{
	int r = 0;

	o->least = UINT64_MAX;
	order_look(w, o);
	for (unsigned pass = 0; pass < PASSES && o->least; pass++) {
		for (uint32_t i = 0; i < w->n_groups; i++)
			group_sort(w, &w->groups[o->turns[pass % 2][i]], o->v, !(pass % 2));
		order_look(w, o);
	}
	order_restore(w, o->best);
	for (unsigned pass = 0, idle = 0; !r && idle < 2 && pass < SIFTS && o->least; pass++) {
		r = layout_sift(w, o->turns[pass % 2]);
		idle = order_look(w, o) ? 0 : idle + 1;
	}
	return r;
}

/* Another order to begin with. The dice are always the same. */
static void order_shuffle(struct work *w, unsigned start)
{
	uint64_t dice = start;

	for (uint32_t g = 0; g < w->n_groups; g++) {
		uint32_t *v = w->members + w->groups[g].first;

		for (uint32_t i = w->groups[g].n; i > 1; i--) {
			uint32_t k, t = v[i - 1];

			dice = dice * 6364136223846793005u + 1442695040888963407u;
			k = (uint32_t)(dice >> 33) % i;
			v[i - 1] = v[k];
			v[k] = t;
		}
		layout_spread(w, &w->groups[g]);
	}
}

/* The best of several starts; of a large graph just one. */
static int order_starts(struct work *w, struct order *o)
{
	unsigned starts = w->n_edges <= STARTS_EDGES ? STARTS : 1;
	uint64_t least = UINT64_MAX;
	int r = 0;

	for (unsigned s = 0; !r && s < starts && least; s++) {
		if (s)
			order_shuffle(w, s);
		r = order_passes(w, o);
		if (o->least >= least)
			continue;
		least = o->least;
		memcpy(o->all, o->best, w->n * sizeof(*o->all));
	}
	if (!r)
		order_restore(w, o->all);
	return r;
}

/* --- heights: each box as near as can be to where its neighbours want it, in order and without overlap */

static void group_settle(struct work *w, const struct work_group *g, struct run *runs, bool left, bool right)
{
	const struct work_zone *z = &w->zones[g->zone];
	int64_t last = (z->h - TITLE - PAD) / HALF - 2 * (int64_t)g->n;
	uint32_t n = 0, i = 0;

	for (uint32_t m = 0; m < g->n; m++) {
		uint32_t node = w->members[g->first + m];
		int64_t pos = (node_wish(w, node, left, right) - (int64_t)(z->y + TITLE) * FINE) - HALF * FINE;

		/* Without the room of those above it, every place may be the same. */
		runs[n++] = (struct run){pos - 2 * (int64_t)m * HALF * FINE, 1};
		while (n > 1 && runs[n - 2].sum * runs[n - 1].n >= runs[n - 1].sum * runs[n - 2].n) {
			runs[n - 2].sum += runs[n - 1].sum;
			runs[n - 2].n += runs[n - 1].n;
			n--;
		}
	}
	for (uint32_t k = 0; k < n; k++) {
		int64_t pos = runs[k].sum / runs[k].n + HALF * FINE / 2;

		pos = pos < 0 ? 0 : pos / (HALF * FINE);
		pos = pos > last ? last : pos;
		for (uint32_t m = 0; m < runs[k].n; m++, i++)
			w->nodes[w->members[g->first + i]].pos = (uint32_t)(pos + 2 * (int64_t)i);
	}
}

/* A wrapped layer is a regular block in the middle, every second column half a slot lower. */
static void group_block(struct work *w, const struct work_group *g)
{
	const struct work_zone *z = &w->zones[g->zone];
	uint32_t rows = (g->n + g->subs - 1) / g->subs, slots = (uint32_t)(z->h - TITLE - PAD) / HALF;
	uint32_t top = (slots - 2 * rows - (g->subs > 1)) / 2;

	for (uint32_t i = 0; i < g->n; i++) {
		struct work_node *n = &w->nodes[w->members[g->first + i]];

		n->column = i % g->subs;
		n->pos = top + 2 * (i / g->subs) + n->column % 2;
	}
}

static void group_heights(struct work *w, const struct work_group *g)
{
	for (uint32_t i = 0; i < g->n; i++) {
		struct work_node *n = &w->nodes[w->members[g->first + i]];

		n->y = w->zones[g->zone].y + TITLE + ((int32_t)n->pos + 1) * HALF;
	}
}

static void order_settle(struct work *w, const struct order *o)
{
	for (uint32_t i = 0; i < w->n_groups; i++) {
		layout_spread(w, &w->groups[i]);
		group_block(w, &w->groups[i]);
		group_heights(w, &w->groups[i]);
	}
	for (unsigned pass = 0; pass < SETTLES; pass++)
		for (uint32_t i = 0; i < w->n_groups; i++) {
			struct work_group *g = &w->groups[o->turns[pass % 2][i]];

			if (g->subs > 1)
				continue;
			group_settle(w, g, o->runs, !(pass % 2) || pass >= SETTLES - 2,
				     pass % 2 || pass >= SETTLES - 2);
			group_heights(w, g);
		}
}

int layout_order(struct work *w)
{
	struct order o = {.turns = {calloc(w->n_groups + 1, sizeof(uint32_t)),
				    calloc(w->n_groups + 1, sizeof(uint32_t))},
			  .best = calloc(w->n + 1, sizeof(*o.best)),
			  .all = calloc(w->n + 1, sizeof(*o.all)),
			  .v = calloc(w->n + 1, sizeof(*o.v)),
			  .runs = calloc(w->n + 1, sizeof(*o.runs)),
			  .x = {.v = calloc(w->n_edges + 1, sizeof(*o.x.v)),
				.ends = calloc(w->n_edges + 1, sizeof(*o.x.ends)),
				.spare = calloc(w->n_edges + 1, sizeof(*o.x.spare))}};
	int r = o.turns[0] && o.turns[1] && o.best && o.all && o.v && o.runs && o.x.v && o.x.ends && o.x.spare
			? 0
			: -ENOMEM;

	for (uint32_t g = 0; !r && g < w->n_groups; g++)
		layout_spread(w, &w->groups[g]);
	if (!r)
		r = order_turns(w, o.turns);
	if (!r)
		r = order_starts(w, &o);
	if (!r)
		order_settle(w, &o);
	free(o.turns[0]);
	free(o.turns[1]);
	free(o.best);
	free(o.all);
	free(o.v);
	free(o.runs);
	free(o.x.v);
	free(o.x.ends);
	free(o.x.spare);
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The order of boxes inside their layers: barycentre passes; then heights near the neighbours'. See layout.c. */
#include <errno.h>
#include <stdlib.h>

#include "server/layout_work.h"

#define PASSES 16
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

/* Evenly over the height of their band. */
static void group_spread(struct work *w, const struct work_group *g)
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
	group_spread(w, g);
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

/* To and fro; what crossed least stays. */
static void order_passes(struct work *w, const struct turn *turns, struct member *v, struct crossings *x,
			 uint32_t *best)
{
	uint64_t least = crossings_count(w, x);

	memcpy(best, w->members, w->n * sizeof(*best));
	for (unsigned pass = 0; pass < PASSES && least; pass++) {
		uint64_t count;

		for (uint32_t i = 0; i < w->n_groups; i++)
			group_sort(w, &w->groups[turns[pass % 2 ? w->n_groups - 1 - i : i].group], v, !(pass % 2));
		count = crossings_count(w, x);
		if (count < least) {
			least = count;
			memcpy(best, w->members, w->n * sizeof(*best));
		}
	}
	memcpy(w->members, best, w->n * sizeof(*best));
}

/* --- heights: each box as near as can be to where its neighbours want it, in order and without overlap */

/* Runs that would overlap move as one, to their mean (pool adjacent violators). */
struct run {
	int64_t sum;
	uint32_t n;
};

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

static void order_settle(struct work *w, const struct turn *turns, struct run *runs)
{
	for (uint32_t i = 0; i < w->n_groups; i++) {
		group_spread(w, &w->groups[i]);
		group_block(w, &w->groups[i]);
		group_heights(w, &w->groups[i]);
	}
	for (unsigned pass = 0; pass < SETTLES; pass++)
		for (uint32_t i = 0; i < w->n_groups; i++) {
			struct work_group *g = &w->groups[turns[pass % 2 ? w->n_groups - 1 - i : i].group];

			if (g->subs > 1)
				continue;
			group_settle(w, g, runs, !(pass % 2) || pass >= SETTLES - 2, pass % 2 || pass >= SETTLES - 2);
			group_heights(w, g);
		}
}

int layout_order(struct work *w)
{
	struct turn *turns = calloc(w->n_groups + 1, sizeof(*turns));
	struct member *v = calloc(w->n + 1, sizeof(*v));
	struct run *runs = calloc(w->n + 1, sizeof(*runs));
	uint32_t *best = calloc(w->n + 1, sizeof(*best));
	struct crossings x = {.v = calloc(w->n_edges + 1, sizeof(*x.v)),
			      .ends = calloc(w->n_edges + 1, sizeof(*x.ends)),
			      .spare = calloc(w->n_edges + 1, sizeof(*x.spare))};
	int r = turns && v && runs && best && x.v && x.ends && x.spare ? 0 : -ENOMEM;

	for (uint32_t g = 0; !r && g < w->n_groups; g++) {
		turns[g] = (struct turn){w->groups[g].ordinal, g};
		group_spread(w, &w->groups[g]);
	}
	if (!r) {
		if (w->n_groups)
			qsort(turns, w->n_groups, sizeof(*turns), turn_order);
		order_passes(w, turns, v, &x, best);
		order_settle(w, turns, runs);
	}
	free(turns);
	free(v);
	free(runs);
	free(best);
	free(x.v);
	free(x.ends);
	free(x.spare);
	return r;
}

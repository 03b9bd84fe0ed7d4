/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After the barycentre passes: each box of a layer is tried at every place among the others and stays where it crosses
 * least (sifting). Needs how often any two of a layer cross in either order, so it is for layers of at most SIFT_MAX.
 */
#include <errno.h>
#include <stdlib.h>

#include "server/layout_work.h"

#define SIFT_MAX 400

/* A neighbour: lines to different layers never count as crossing. */
struct beside {
	uint32_t ordinal;
	int32_t y;
};

struct sift {
	struct work *w;
	struct beside *beside; /* of all members, each one's sorted */
	uint32_t *start;       /* of each member's; one more than members */
	uint32_t *cross;       /* [i * n + k]: of i above k */
	uint32_t *order;       /* members by number, from the top */
	uint32_t *fresh;       /* members as nodes, in the new order */
};

static int beside_order(const void *a, const void *b)
{
	const struct beside *x = a, *y = b;

	if (x->ordinal != y->ordinal)
		return x->ordinal < y->ordinal ? -1 : 1;
	return (x->y > y->y) - (x->y < y->y);
}

static void sift_beside(struct sift *s, const struct work_group *g)
{
	const struct links *sides[2] = {&s->w->in, &s->w->out};
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->n; i++) {
		uint32_t node = s->w->members[g->first + i];

		s->start[i] = n;
		for (unsigned d = 0; d < 2; d++)
			for (uint32_t k = sides[d]->start[node]; k < sides[d]->start[node + 1]; k++) {
				const struct work_node *other = &s->w->nodes[sides[d]->to[k]];
				uint32_t ordinal = s->w->groups[other->group].ordinal;

				if (ordinal != g->ordinal)
					s->beside[n++] = (struct beside){ordinal, other->y};
			}
		if (n > s->start[i])
			qsort(s->beside + s->start[i], n - s->start[i], sizeof(*s->beside), beside_order);
	}
	s->start[g->n] = n;
}

/* Crossings with a above b: pairs in which a's neighbour is below b's, in the same layer. */
static uint32_t sift_pair(const struct sift *s, uint32_t a, uint32_t b)
{
	const struct beside *x = s->beside + s->start[a], *x_end = s->beside + s->start[a + 1];
	const struct beside *y = s->beside + s->start[b], *y_end = s->beside + s->start[b + 1], *from = y;
	uint32_t count = 0;

	for (; x < x_end; x++) {
		while (from < y_end && from->ordinal < x->ordinal)
			from++;
		if (y < from)
			y = from;
		while (y < y_end && y->ordinal == x->ordinal && y->y < x->y)
			y++;
		count += (uint32_t)(y - from);
	}
	return count;
}

/* The place of one member among the others with the fewest crossings; the uppermost of several as good. */
static void sift_one(struct sift *s, uint32_t n, uint32_t member)
{
	uint32_t at = 0, best = 0;
	int64_t sum = 0, least = 0;

	while (s->order[at] != member)
		at++;
	memmove(s->order + at, s->order + at + 1, (n - 1 - at) * sizeof(*s->order));
	/* Against all the others below it; then one after the other goes above. */
	for (uint32_t i = 0; i + 1 < n; i++) {
		sum += (int64_t)s->cross[s->order[i] * n + member] - (int64_t)s->cross[member * n + s->order[i]];
		if (sum < least) {
			least = sum;
			best = i + 1;
		}
	}
	/* As good where it was: it stays. */
	sum = 0;
	for (uint32_t i = 0; i < at; i++)
		sum += (int64_t)s->cross[s->order[i] * n + member] - (int64_t)s->cross[member * n + s->order[i]];
	if (sum == least)
		best = at;
	memmove(s->order + best + 1, s->order + best, (n - 1 - best) * sizeof(*s->order));
	s->order[best] = member;
}

static void sift_group(struct sift *s, const struct work_group *g)
{
	uint32_t n = g->n;

	sift_beside(s, g);
	for (uint32_t i = 0; i < n; i++) {
		s->order[i] = i;
		for (uint32_t k = 0; k < n; k++)
			s->cross[i * n + k] = i == k ? 0 : sift_pair(s, i, k);
	}
	for (uint32_t i = 0; i < n; i++)
		sift_one(s, n, i);
	for (uint32_t i = 0; i < n; i++)
		s->fresh[i] = s->w->members[g->first + s->order[i]];
	memcpy(s->w->members + g->first, s->fresh, n * sizeof(*s->fresh));
}

int layout_sift(struct work *w, const uint32_t *groups)
{
	struct sift s = {.w = w,
			 .beside = calloc(2 * w->n_edges + 1, sizeof(*s.beside)),
			 .start = calloc(SIFT_MAX + 1, sizeof(*s.start)),
			 .cross = calloc(SIFT_MAX * SIFT_MAX, sizeof(*s.cross)),
			 .order = calloc(SIFT_MAX, sizeof(*s.order)),
			 .fresh = calloc(SIFT_MAX, sizeof(*s.fresh))};
	int r = s.beside && s.start && s.cross && s.order && s.fresh ? 0 : -ENOMEM;

	for (uint32_t i = 0; !r && i < w->n_groups; i++) {
		const struct work_group *g = &w->groups[groups[i]];

		if (g->n < 2 || g->n > SIFT_MAX)
			continue;
		sift_group(&s, g);
		layout_spread(w, g);
	}
	free(s.beside);
	free(s.start);
	free(s.cross);
	free(s.order);
	free(s.fresh);
	return r;
}

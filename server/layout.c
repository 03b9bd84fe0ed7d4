/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the boxes go.
 *
 *     zone a        zone b                    zone c
 *     +---------+   +----------------------+  +---------+     a band per zone; zones ordered by longest path over
 *     | [web]   |   | [shop]  [cart]       |  | [db]    |     the graph of zones, those of one level stacked
 *     +---------+   |         [search]     |  |         |     inside a band a column per layer, by longest path over
 *     | zone d  |   |                      |  | [index] |     the edges inside it; too tall a layer is wrapped into
 *     | [cron]  |   |                      |  |         |     several columns
 *     +---------+   +----------------------+  +---------+     in a column half slots: a box takes two, anywhere
 *
 * A fresh picture (layout_fresh.c, layout_order.c): back edges are left out by a depth-first search from the vertices
 * nobody calls; then levels; then how many boxes one column may hold, so that the whole comes near 16:9; then a fixed
 * number of barycentre passes to and fro and of sifting (layout_sift.c), the best order seen stays; then heights near the
 * neighbours', without overlap.
 *
 * A picture after another (layout_keep.c): what was there stays where it was. A new box takes the free place of its zone
 * that is nearest to where its neighbours would have it. No free place: a new band below everything. What is gone is
 * remembered as `gone` until somebody needs the place: a service that is idle for a minute comes back where it was.
 *
 * Invariants
 * 1. The picture is a function of (set of nodes, set of edges, prior). Not of the order they are given in, of traffic,
 *    of addresses in memory or of time: everything is sorted by id first, and every comparison ends with an id.
 * 2. With a prior, an edge that comes, goes or changes moves no box. A node that comes or goes moves no other box.
 * 3. More than a third of the nodes new or gone: the picture is made afresh. It is another graph.
 * 4. No two boxes overlap, each is inside a band of its zone, no two bands overlap.
 * 5. Time is O((nodes + edges) log) per pass, passes are constants; nothing recurses. Only whole numbers.
 *
 * Why not force-directed: it never settles, depends on its start, and hides who calls whom. Why not Graphviz: it has no
 * memory of the picture before, so one new edge turns the map over; and a layout of 2,000 nodes takes it minutes. Why no
 * dummy nodes for long edges: they cost height on every map to straighten edges on few; a curve passes behind a box.
 * Why the whole graph on the server: one picture for all who look, and exports show the same.
 */
#include "server/layout.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "server/layout_work.h"

/* --- links */

int links_make(struct links *l, uint32_t n, const struct layout_edge *edges, size_t n_edges, bool reverse)
{
	uint32_t *at;

	*l = (struct links){
		.n = n, .start = calloc(n + 2, sizeof(*l->start)), .to = calloc(n_edges + 1, sizeof(*l->to))};
	at = calloc(n + 1, sizeof(*at));
	if (!l->start || !l->to || !at) {
		free(at);
		links_free(l);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n_edges; i++)
		l->start[(reverse ? edges[i].to : edges[i].from) + 1]++;
	for (uint32_t v = 0; v < n; v++) {
		l->start[v + 1] += l->start[v];
		at[v] = l->start[v];
	}
	/* Edges are sorted by (from, to), so each list ascends in both directions. */
	for (size_t i = 0; i < n_edges; i++) {
		if (reverse)
			l->to[at[edges[i].to]++] = edges[i].from;
		else
			l->to[at[edges[i].from]++] = edges[i].to;
	}
	free(at);
	return 0;
}

void links_free(struct links *l)
{
	free(l->start);
	free(l->to);
	*l = (struct links){0};
}

struct search {
	const struct links *out;
	uint32_t *next;  /* successor to look at next; out of range: done */
	uint32_t *stack; /* vertices being visited */
	uint32_t *post;  /* finished, in order */
	uint32_t n_post;
	uint8_t *seen;
};

static void search_from(struct search *s, uint32_t root)
{
	uint32_t depth = 0;

	if (s->seen[root])
		return;
	s->seen[root] = 1;
	s->stack[depth++] = root;
	while (depth) {
		uint32_t v = s->stack[depth - 1];

		if (s->next[v] == s->out->start[v + 1]) {
			s->post[s->n_post++] = v;
			depth--;
			continue;
		}
		v = s->out->to[s->next[v]++];
		if (!s->seen[v]) {
			s->seen[v] = 1;
			s->stack[depth++] = v;
		}
	}
}

int links_levels(const struct links *out, const struct links *in, uint32_t *ret_level, uint32_t *ret_order)
{
	uint32_t n = out->n, *block = calloc((size_t)n * 3 + 1, sizeof(*block));
	struct search s = {.out = out, .next = block, .seen = calloc(n + 1, 1)};

	if (!block || !s.seen) {
		free(block);
		free(s.seen);
		return -ENOMEM;
	}
	s.stack = block + n;
	s.post = block + 2 * (size_t)n;
	memcpy(s.next, out->start, n * sizeof(*s.next));
	for (uint32_t v = 0; v < n; v++)
		if (in->start[v] == in->start[v + 1])
			search_from(&s, v);
	for (uint32_t v = 0; v < n; v++)
		search_from(&s, v);
	assert(s.n_post == n);
	for (uint32_t i = 0; i < n; i++) {
		ret_order[s.post[n - 1 - i]] = i;
		ret_level[i] = 0;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t v = s.post[n - 1 - i];

		/* An edge to an earlier one is a back edge. */
		for (uint32_t k = out->start[v]; k < out->start[v + 1]; k++)
			if (ret_order[out->to[k]] > i && ret_level[out->to[k]] <= ret_level[v])
				ret_level[out->to[k]] = ret_level[v] + 1;
	}
	free(block);
	free(s.seen);
	return 0;
}

/* --- the canonical form */

struct named {
	const struct layout_node *node;
	uint32_t index;
};

static int named_order(const void *a, const void *b)
{
	return str_cmp(((const struct named *)a)->node->id, ((const struct named *)b)->node->id);
}

static int edge_order(const void *a, const void *b)
{
	const struct layout_edge *x = a, *y = b;

	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return (x->to > y->to) - (x->to < y->to);
}

static int zone_order(const void *a, const void *b)
{
	const struct work_zone *x = a, *y = b;

	if (x->aside != y->aside)
		return x->aside ? 1 : -1;
	return str_cmp(x->name, y->name);
}

static int work_nodes(struct work *w, const struct layout_node *nodes, size_t n)
{
	struct named *v = calloc(n + 1, sizeof(*v));
	int r = 0;

	w->n = (uint32_t)n;
	w->nodes = calloc(n + 1, sizeof(*w->nodes));
	w->given = calloc(n + 1, sizeof(*w->given));
	if (!v || !w->nodes || !w->given) {
		free(v);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < n; i++)
		v[i] = (struct named){&nodes[i], i};
	if (n)
		qsort(v, n, sizeof(*v), named_order);
	for (uint32_t i = 0; i < n; i++) {
		if (i && str_eq(v[i].node->id, v[i - 1].node->id))
			r = -EINVAL;
		w->nodes[i].in = v[i].node;
		w->given[v[i].index] = i;
	}
	free(v);
	return r;
}

static int work_zones(struct work *w)
{
	w->zones = calloc(w->n + 1, sizeof(*w->zones));
	if (!w->zones)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->n; i++)
		w->zones[i] = (struct work_zone){.name = w->nodes[i].in->aside ? STR("") : w->nodes[i].in->zone,
						 .aside = w->nodes[i].in->aside};
	if (w->n)
		qsort(w->zones, w->n, sizeof(*w->zones), zone_order);
	for (uint32_t i = 0; i < w->n; i++)
		if (!i || zone_order(&w->zones[w->n_zones - 1], &w->zones[i]))
			w->zones[w->n_zones++] = w->zones[i];
	for (uint32_t i = 0; i < w->n; i++) {
		struct work_zone key = {.name = w->nodes[i].in->aside ? STR("") : w->nodes[i].in->zone,
					.aside = w->nodes[i].in->aside};
		const struct work_zone *z = bsearch(&key, w->zones, w->n_zones, sizeof(key), zone_order);

		assert(z);
		w->nodes[i].zone = (uint32_t)(z - w->zones);
	}
	return 0;
}

static int work_edges(struct work *w, const struct layout_edge *edges, size_t n)
{
	size_t kept = 0;
	int r;

	w->edges = calloc(n + 1, sizeof(*w->edges));
	if (!w->edges)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct layout_edge e;

		if (edges[i].from >= w->n || edges[i].to >= w->n)
			return -EINVAL;
		e = (struct layout_edge){w->given[edges[i].from], w->given[edges[i].to]};
		if (e.from != e.to && !w->nodes[e.from].in->aside && !w->nodes[e.to].in->aside)
			w->edges[kept++] = e;
	}
	if (kept)
		qsort(w->edges, kept, sizeof(*w->edges), edge_order);
	for (size_t i = 0; i < kept; i++)
		if (!i || edge_order(&w->edges[i], &w->edges[w->n_edges - 1]))
			w->edges[w->n_edges++] = w->edges[i];
	r = links_make(&w->out, w->n, w->edges, w->n_edges, false);
	return r ? r : links_make(&w->in, w->n, w->edges, w->n_edges, true);
}

static void work_free(struct work *w)
{
	free(w->nodes);
	free(w->edges);
	free(w->zones);
	links_free(&w->out);
	links_free(&w->in);
	free(w->groups);
	free(w->members);
	free(w->stack);
	free(w->given);
}

/* --- the picture */

int layout_alloc(struct layout **ret, size_t places, size_t bands, size_t columns, size_t text)
{
	struct layout *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->refs = 1;
	l->places = calloc(places + 1, sizeof(*l->places));
	l->bands = calloc(bands + 1, sizeof(*l->bands));
	l->columns = calloc(columns + 1, sizeof(*l->columns));
	l->text = malloc(text + 1);
	if (!l->places || !l->bands || !l->columns || !l->text) {
		layout_free(l);
		return -ENOMEM;
	}
	*ret = l;
	return 0;
}

void layout_free(struct layout *l)
{
	if (!l)
		return;
	free(l->places);
	free(l->bands);
	free(l->columns);
	free(l->of_node);
	free(l->text);
	free(l);
}

static int place_find(const void *key, const void *place)
{
	return str_cmp(*(const struct str *)key, ((const struct layout_place *)place)->id);
}

/* What does not follow from places alone: which bands are in use, how large the whole is. */
static int layout_finish(struct layout *l, const struct layout_node *nodes, size_t n)
{
	l->of_node = calloc(n + 1, sizeof(*l->of_node));
	if (!l->of_node)
		return -ENOMEM;
	for (size_t i = 0; i < l->n_bands; i++)
		l->bands[i].empty = true;
	for (size_t i = 0; i < n; i++) {
		const struct layout_place *p = bsearch(&nodes[i].id, l->places, l->n, sizeof(*l->places), place_find);

		assert(p && !p->gone);
		l->of_node[i] = (uint32_t)(p - l->places);
		l->bands[p->band].empty = false;
	}
	for (size_t i = 0; i < l->n_bands; i++) {
		if (l->bands[i].empty)
			continue;
		if (l->width < l->bands[i].x + l->bands[i].w + MARGIN)
			l->width = l->bands[i].x + l->bands[i].w + MARGIN;
		if (l->height < l->bands[i].y + l->bands[i].h + MARGIN)
			l->height = l->bands[i].y + l->bands[i].h + MARGIN;
	}
	return 0;
}

int layout_new(struct layout **ret, const struct layout_node *nodes, size_t n, const struct layout_edge *edges,
	       size_t n_edges, const struct layout *prior)
{
	struct work w = {0};
	struct layout *l = NULL;
	int r;

	if (n > LAYOUT_NODES_MAX || n_edges > LAYOUT_EDGES_MAX)
		return -E2BIG;
	r = work_nodes(&w, nodes, n);
	if (!r)
		r = work_zones(&w);
	if (!r)
		r = work_edges(&w, edges, n_edges);
	if (!r)
		r = prior ? layout_keep(&w, prior, &l) : 1;
	if (r == 1)
		r = layout_fresh(&w, &l);
	if (!r)
		r = layout_finish(l, nodes, n);
	work_free(&w);
	if (r) {
		layout_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The layout by its invariants (server/layout.c), on graphs of chance and on small ones made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/layout.h"

#define NODES 2100
#define EDGES 10100

struct graph {
	struct layout_node nodes[NODES];
	char ids[NODES][24];
	size_t n;
	struct layout_edge edges[EDGES];
	size_t n_edges;
	uint64_t seed;
};

static uint32_t chance(struct graph *g, uint32_t n)
{
	g->seed = g->seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(g->seed >> 33) % n;
}

static struct graph *graph_new(uint64_t seed)
{
	struct graph *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	g->seed = seed;
	return g;
}

static void graph_node(struct graph *g, const char *id, const char *zone, uint16_t w)
{
	snprintf(g->ids[g->n], sizeof(*g->ids), "%s", id);
	g->nodes[g->n] = (struct layout_node){.id = str_from(g->ids[g->n]), .zone = str_from(zone), .w = w};
	g->n++;
}

static void graph_edge(struct graph *g, uint32_t from, uint32_t to)
{
	g->edges[g->n_edges++] = (struct layout_edge){from, to};
}

/* Any graph: cycles, self loops and repeats included. */
static struct graph *graph_chance(uint64_t seed, size_t n, size_t n_edges, unsigned zones)
{
	static const char *const names[] = {"", "app", "data", "edge", "far", "z5", "z6", "z7"};
	struct graph *g = graph_new(seed);
	char id[24];

	for (size_t i = 0; i < n; i++) {
		sprintf(id, "service:s%u", (unsigned)i);
		graph_node(g, id, names[chance(g, zones)], (uint16_t)(60 + chance(g, 200)));
		if (!chance(g, 50))
			g->nodes[i].aside = true;
	}
	for (size_t i = 0; n && i < n_edges; i++)
		graph_edge(g, chance(g, (uint32_t)n), chance(g, (uint32_t)n));
	return g;
}

static struct layout *make(const struct graph *g, const struct layout *prior)
{
	struct layout *l = NULL;

	assert_int_equal(layout_new(&l, g->nodes, g->n, g->edges, g->n_edges, prior), 0);
	return l;
}

static const struct layout_place *place(const struct layout *l, size_t node)
{
	return &l->places[l->of_node[node]];
}

static bool apart(int32_t a, int32_t a_len, int32_t b, int32_t b_len)
{
	return a + a_len <= b || b + b_len <= a;
}

/* Invariant 4. */
static void check(const struct graph *g, const struct layout *l)
{
	for (size_t i = 0; i < g->n; i++) {
		const struct layout_place *p = place(l, i);
		const struct layout_band *b = &l->bands[p->band];
		int32_t x = p->x - p->w / 2, y = p->y - LAYOUT_BOX_H / 2;

		assert_true(str_eq(p->id, g->nodes[i].id));
		assert_false(p->gone || b->empty);
		assert_int_equal(b->aside, g->nodes[i].aside);
		assert_true(b->aside || str_eq(b->zone, g->nodes[i].zone));
		assert_true(p->w >= LAYOUT_BOX_MIN && p->w <= LAYOUT_BOX_MAX);
		assert_true(x >= b->x && x + p->w <= b->x + b->w && y >= b->y && y + LAYOUT_BOX_H <= b->y + b->h);
		assert_true(b->x >= 0 && b->y >= 0 && b->x + b->w <= l->width && b->y + b->h <= l->height);
		for (size_t k = 0; k < i; k++) {
			const struct layout_place *q = place(l, k);

			assert_true(apart(x, p->w, q->x - q->w / 2, q->w) ||
				    apart(y, LAYOUT_BOX_H, q->y - LAYOUT_BOX_H / 2, LAYOUT_BOX_H));
		}
	}
	for (size_t i = 0; i < l->n_bands; i++)
		for (size_t k = 0; k < i; k++)
			assert_true(apart(l->bands[i].x, l->bands[i].w, l->bands[k].x, l->bands[k].w) ||
				    apart(l->bands[i].y, l->bands[i].h, l->bands[k].y, l->bands[k].h));
}

/* Every node of `a` that is in `b` stands at the same place. */
static void check_same(const struct graph *a, const struct layout *la, const struct graph *b, const struct layout *lb)
{
	for (size_t i = 0; i < a->n; i++)
		for (size_t k = 0; k < b->n; k++) {
			const struct layout_place *p = place(la, i), *q = place(lb, k);

			if (!str_eq(a->nodes[i].id, b->nodes[k].id))
				continue;
			assert_int_equal(p->x, q->x);
			assert_int_equal(p->y, q->y);
			assert_int_equal(p->w, q->w);
		}
}

static void test_nothing_and_one(void **state)
{
	struct graph *g = graph_new(1);
	struct layout *l = make(g, NULL), *m;

	assert_int_equal(l->n, 0);
	assert_int_equal(l->width, 0);
	assert_int_equal(l->height, 0);
	graph_node(g, "a", "", 100);
	graph_edge(g, 0, 0);
	m = make(g, l);
	check(g, m);
	assert_int_equal(m->n, 1);
	layout_free(l);
	/* And away again. */
	g->n = g->n_edges = 0;
	l = make(g, m);
	assert_int_equal(l->width, 0);
	layout_free(l);
	layout_free(m);
	free(g);
}

static void test_chain_goes_to_the_right(void **state)
{
	struct graph *g = graph_new(1);
	struct layout *l;

	graph_node(g, "service:db", "", 96);
	graph_node(g, "service:web", "", 96);
	graph_node(g, "service:api", "", 96);
	graph_node(g, "service:cron", "", 96);
	graph_edge(g, 1, 2);
	graph_edge(g, 2, 0);
	graph_edge(g, 3, 0);
	l = make(g, NULL);
	check(g, l);
	assert_true(place(l, 1)->x < place(l, 2)->x);
	assert_true(place(l, 2)->x < place(l, 0)->x);
	/* Right before what it calls, not at the far left. */
	assert_int_equal(place(l, 3)->x, place(l, 2)->x);
	assert_int_equal(place(l, 1)->y, place(l, 2)->y);
	layout_free(l);
	free(g);
}

static void test_zones_are_bands_in_order(void **state)
{
	struct graph *g = graph_new(1);
	const struct layout_band *b;
	struct layout *l;

	graph_node(g, "a", "zone 3", 96);
	graph_node(g, "b", "zone 1", 96);
	graph_node(g, "c", "zone 2", 96);
	graph_node(g, "d", "zone 4", 96);
	graph_edge(g, 0, 1);
	graph_edge(g, 1, 2);
	graph_edge(g, 0, 3);
	l = make(g, NULL);
	check(g, l);
	b = l->bands;
	assert_int_equal(l->n_bands, 4);
	assert_true(b[place(l, 0)->band].x < b[place(l, 1)->band].x);
	assert_true(b[place(l, 1)->band].x < b[place(l, 2)->band].x);
	/* Of one level: one above the other. */
	assert_int_equal(b[place(l, 1)->band].x, b[place(l, 3)->band].x);
	assert_true(b[place(l, 1)->band].y < b[place(l, 3)->band].y);
	layout_free(l);
	free(g);
}

static const struct {
	size_t n, edges;
	unsigned zones;
} sizes[] = {{1, 3, 1}, {2, 4, 2}, {7, 20, 3}, {40, 0, 4}, {40, 90, 4}, {150, 400, 1}, {150, 400, 8}, {600, 3000, 5}};

#define SIZES (sizeof(sizes) / sizeof(*sizes))

static void test_chance(void **state)
{
	for (size_t s = 0; s < SIZES; s++)
		for (uint64_t seed = 1; seed <= 5; seed++) {
			struct graph *g = graph_chance(seed, sizes[s].n, sizes[s].edges, sizes[s].zones);
			struct layout *l = make(g, NULL), *again = make(g, NULL);

			assert_true(l->fresh);
			check(g, l);
			check_same(g, l, g, again);
			layout_free(l);
			layout_free(again);
			free(g);
		}
}

/* The same graph told in another order. */
static struct graph *shuffled(const struct graph *g, uint64_t seed)
{
	struct graph *s = graph_new(seed);
	uint32_t at[NODES];

	s->n = g->n;
	s->n_edges = g->n_edges;
	for (uint32_t i = 0; i < g->n; i++)
		at[i] = i;
	for (uint32_t i = (uint32_t)g->n; i > 1; i--) {
		uint32_t k = chance(s, i), t = at[i - 1];

		at[i - 1] = at[k];
		at[k] = t;
	}
	for (uint32_t i = 0; i < g->n; i++)
		s->nodes[at[i]] = g->nodes[i];
	for (size_t i = 0; i < g->n_edges; i++)
		s->edges[i] = (struct layout_edge){at[g->edges[i].from], at[g->edges[i].to]};
	for (size_t i = g->n_edges; i > 1; i--) {
		size_t k = chance(s, (uint32_t)i);
		struct layout_edge t = s->edges[i - 1];

		s->edges[i - 1] = s->edges[k];
		s->edges[k] = t;
	}
	return s;
}

static void test_order_of_input_is_no_matter(void **state)
{
	for (size_t s = 0; s < SIZES; s++) {
		struct graph *g = graph_chance(s + 1, sizes[s].n, sizes[s].edges, sizes[s].zones);
		struct graph *h = shuffled(g, 77);
		struct layout *l = make(g, NULL), *m = make(h, NULL);

		check_same(g, l, h, m);
		layout_free(l);
		layout_free(m);
		free(g);
		free(h);
	}
}

static void test_edges_move_nothing(void **state)
{
	for (size_t s = 0; s < SIZES; s++) {
		struct graph *g = graph_chance(s + 9, sizes[s].n, sizes[s].edges, sizes[s].zones);
		struct layout *l = make(g, NULL), *m, *again;

		for (unsigned step = 0; step < 6; step++) {
			struct graph *h = graph_chance(s + 9, sizes[s].n, sizes[s].edges, sizes[s].zones);

			/* A new one, a changed one, one less. */
			if (step < 3)
				graph_edge(h, chance(h, (uint32_t)h->n), chance(h, (uint32_t)h->n));
			else if (h->n_edges > 1 && step < 5)
				h->edges[h->n_edges / 2].to = 0;
			if (h->n_edges && step == 5)
				h->n_edges--;
			m = make(h, l);
			again = make(h, l);
			assert_false(m->fresh);
			check_same(g, l, h, m);
			check_same(h, m, h, again);
			layout_free(again);
			layout_free(l);
			l = m;
			free(h);
		}
		layout_free(l);
		free(g);
	}
}

/* Nodes come and go a few at a time, for long: the others stay, and the invariants hold all the way. */
static void test_nodes_come_and_go(void **state)
{
	for (size_t s = 3; s < SIZES - 1; s++) {
		struct graph *all = graph_chance(s + 3, sizes[s].n, sizes[s].edges, sizes[s].zones);
		struct graph *before = NULL;
		struct layout *l = NULL;
		unsigned kept = 0;

		for (unsigned step = 0; step < 60; step++) {
			struct graph *now = graph_new(step);
			uint32_t at[NODES];
			struct layout *m;

			for (size_t i = 0; i < all->n; i++) {
				at[i] = UINT32_MAX;
				/* A window of absence that wanders. */
				if ((i + step) % 20 < 3)
					continue;
				at[i] = (uint32_t)now->n;
				now->nodes[now->n++] = all->nodes[i];
			}
			for (size_t i = 0; i < all->n_edges; i++)
				if (at[all->edges[i].from] != UINT32_MAX && at[all->edges[i].to] != UINT32_MAX)
					graph_edge(now, at[all->edges[i].from], at[all->edges[i].to]);
			m = make(now, l);
			check(now, m);
			if (before && !m->fresh) {
				check_same(before, l, now, m);
				kept++;
			}
			assert_true(m->n_bands < 64);
			assert_true(m->n <= 2 * now->n);
			layout_free(l);
			free(before);
			l = m;
			before = now;
		}
		assert_true(kept >= 55);
		layout_free(l);
		free(before);
		free(all);
	}
}

static void test_a_service_comes_back_to_its_place(void **state)
{
	struct graph *g = graph_chance(5, 30, 60, 3), *less = graph_chance(5, 30, 60, 3);
	struct layout *first = make(g, NULL), *second, *third;

	less->n--;
	for (size_t i = 0; i < less->n_edges;)
		if (less->edges[i].from == less->n || less->edges[i].to == less->n)
			less->edges[i] = less->edges[--less->n_edges];
		else
			i++;
	second = make(less, first);
	assert_int_equal(second->n, 30);
	third = make(g, second);
	check_same(g, first, g, third);
	layout_free(first);
	layout_free(second);
	layout_free(third);
	free(g);
	free(less);
}

static void test_a_new_box_is_near_its_neighbours(void **state)
{
	struct graph *g = graph_new(1);
	struct layout *l, *m;
	char id[24];

	/* Six callers of one, the middle one to go; the new one calls the same and nothing else. */
	graph_node(g, "hub", "", 96);
	for (uint32_t i = 1; i <= 6; i++) {
		sprintf(id, "caller %u", i);
		graph_node(g, id, "", 96);
		graph_edge(g, i, 0);
	}
	l = make(g, NULL);
	strcpy(g->ids[3], "fresh");
	g->nodes[3].id = str_from(g->ids[3]);
	m = make(g, l);
	check(g, m);
	assert_false(m->fresh);
	assert_true(place(m, 3)->x < place(m, 0)->x);
	layout_free(l);
	layout_free(m);
	free(g);
}

static void test_another_graph_is_made_afresh(void **state)
{
	struct graph *g = graph_chance(1, 40, 90, 3), *h;
	struct layout *l = make(g, NULL), *m, *fresh;

	for (size_t i = 0; i < 13; i++) {
		g->ids[i][0] = 'X';
	}
	h = g;
	m = make(h, l);
	fresh = make(h, NULL);
	/* 13 gone and 13 new of 40. */
	assert_true(m->fresh);
	check_same(h, m, h, fresh);
	layout_free(l);
	layout_free(m);
	layout_free(fresh);
	free(g);
}

/* A box that changes its zone moves, the others do not. */
static void test_another_zone(void **state)
{
	struct graph *g = graph_chance(8, 40, 90, 3), *h = graph_chance(8, 40, 90, 3);
	struct layout *l = make(g, NULL), *m;

	h->nodes[7].zone = STR("nowhere before");
	m = make(h, l);
	assert_false(m->fresh);
	check(h, m);
	for (size_t i = 0; i < g->n; i++)
		if (i != 7)
			assert_true(place(l, i)->x == place(m, i)->x && place(l, i)->y == place(m, i)->y);
	layout_free(l);
	layout_free(m);
	free(g);
	free(h);
}

/* --- readable? */

/* Crossings of straight lines between centres of neighbouring columns. */
static unsigned crossings(const struct graph *g, const int32_t *x, const int32_t *y)
{
	unsigned n = 0;

	for (size_t i = 0; i < g->n_edges; i++)
		for (size_t k = 0; k < i; k++) {
			const struct layout_edge *a = &g->edges[i], *b = &g->edges[k];

			if (x[a->from] != x[b->from] || x[a->to] != x[b->to])
				continue;
			n += (int64_t)(y[a->from] - y[b->from]) * (y[a->to] - y[b->to]) < 0;
		}
	return n;
}

static void test_few_crossings(void **state)
{
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct graph *g = graph_new(seed);
		int32_t x[100], y[100];
		unsigned ours, random = 0;
		struct layout *l;
		char id[24];

		/* Ten layers of ten; each but the last calls one to three of the next. */
		for (uint32_t i = 0; i < 100; i++) {
			sprintf(id, "n%u", chance(g, 1000000));
			graph_node(g, id, "", 120);
		}
		for (uint32_t i = 0; i < 90; i++)
			for (uint32_t k = 0, n = 1 + chance(g, 3); k < n; k++)
				graph_edge(g, i, i / 10 * 10 + 10 + chance(g, 10));
		l = make(g, NULL);
		for (uint32_t i = 0; i < 100; i++) {
			x[i] = (int32_t)place(l, i)->layer;
			y[i] = place(l, i)->y;
		}
		ours = crossings(g, x, y);
		for (unsigned round = 0; round < 20; round++) {
			for (uint32_t i = 0; i < 100; i++) {
				x[i] = (int32_t)i / 10;
				y[i] = (int32_t)chance(g, 1000000);
			}
			random += crossings(g, x, y);
		}
		random /= 20;
		print_message("crossings: %u, in random order %u\n", ours, random);
		assert_true(ours * 3 <= random);
		layout_free(l);
		free(g);
	}
}

/* A usual map: a few entries, services that call each other, data at the end. */
static void test_a_usual_map_fits_a_screen(void **state)
{
	for (uint32_t n = 10; n <= 40; n += 10) {
		struct graph *g = graph_new(n);
		struct layout *l;
		char id[24];

		for (uint32_t i = 0; i < n; i++) {
			sprintf(id, "service:s%u", i);
			graph_node(g, id,
				   i < n / 6       ? "edge"
				   : i < n * 2 / 3 ? "shop"
						   : "data",
				   (uint16_t)(84 + chance(g, 60)));
		}
		for (uint32_t i = 0; i < n * 2 / 3; i++)
			for (uint32_t k = 0; k < 2; k++)
				graph_edge(g, i, i < n / 3 ? n / 3 + chance(g, n / 3) : n * 2 / 3 + chance(g, n / 3));
		l = make(g, NULL);
		check(g, l);
		print_message("%u services: %d x %d\n", n, l->width, l->height);
		assert_true(l->width <= 1300 && l->height <= 700);
		layout_free(l);
		free(g);
	}
}

static void test_many(void **state)
{
	struct graph *g = graph_chance(3, 2000, 10000, 8);
	struct layout *l = make(g, NULL), *m;

	check(g, l);
	print_message("2000 services: %d x %d\n", l->width, l->height);
	g->n_edges -= 100;
	m = make(g, l);
	check_same(g, l, g, m);
	layout_free(l);
	layout_free(m);
	free(g);
}

/* No recursion, nothing quadratic in depth: a chain as long as can be, and a cycle. */
static void test_deep(void **state)
{
	for (unsigned cycle = 0; cycle < 2; cycle++) {
		struct graph *g = graph_chance(3, 2000, 0, 1);
		struct layout *l;

		for (uint32_t i = 0; i + 1 < 2000 + cycle; i++)
			graph_edge(g, i, (i + 1) % 2000);
		l = make(g, NULL);
		check(g, l);
		layout_free(l);
		free(g);
	}
}

static void test_refused(void **state)
{
	struct graph *g = graph_chance(3, 3, 0, 1);
	struct layout *l = NULL;

	graph_edge(g, 0, 3);
	assert_int_equal(layout_new(&l, g->nodes, g->n, g->edges, g->n_edges, NULL), -EINVAL);
	g->n_edges = 0;
	g->nodes[1].id = g->nodes[0].id;
	assert_int_equal(layout_new(&l, g->nodes, g->n, g->edges, g->n_edges, NULL), -EINVAL);
	assert_int_equal(layout_new(&l, g->nodes, LAYOUT_NODES_MAX + 1, g->edges, 0, NULL), -E2BIG);
	assert_int_equal(layout_new(&l, g->nodes, 3, g->edges, LAYOUT_EDGES_MAX + 1, NULL), -E2BIG);
	assert_null(l);
	free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_and_one),
		cmocka_unit_test(test_chain_goes_to_the_right),
		cmocka_unit_test(test_zones_are_bands_in_order),
		cmocka_unit_test(test_chance),
		cmocka_unit_test(test_order_of_input_is_no_matter),
		cmocka_unit_test(test_edges_move_nothing),
		cmocka_unit_test(test_nodes_come_and_go),
		cmocka_unit_test(test_a_service_comes_back_to_its_place),
		cmocka_unit_test(test_a_new_box_is_near_its_neighbours),
		cmocka_unit_test(test_another_graph_is_made_afresh),
		cmocka_unit_test(test_another_zone),
		cmocka_unit_test(test_few_crossings),
		cmocka_unit_test(test_a_usual_map_fits_a_screen),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_deep),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

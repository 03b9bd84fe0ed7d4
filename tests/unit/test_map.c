/* SPDX-License-Identifier: Apache-2.0 */
/* From rows to nodes and edges: nothing lost, nothing twice, order of rows no matter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "server/map.h"
#include "shop_rows.h"

static struct map *make(const struct store_row *rows, size_t n, const struct map_ask *ask)
{
	struct map *m;

	assert_int_equal(map_new(&m, rows, n, ask), 0);
	for (size_t i = 1; i < m->n_nodes; i++)
		assert_true(str_cmp(m->nodes[i - 1].id, m->nodes[i].id) < 0);
	for (size_t i = 0; i < m->n_edges; i++)
		assert_true(m->edges[i].source < m->n_nodes && m->edges[i].target < m->n_nodes);
	return m;
}

static const struct map_node *node(const struct map *m, const char *id)
{
	for (size_t i = 0; i < m->n_nodes; i++)
		if (str_eq(m->nodes[i].id, str_from(id)))
			return &m->nodes[i];
	return NULL;
}

static const struct map_edge *edge(const struct map *m, const char *source, const char *target)
{
	for (size_t i = 0; i < m->n_edges; i++)
		if (&m->nodes[m->edges[i].source] == node(m, source) &&
		    &m->nodes[m->edges[i].target] == node(m, target))
			return &m->edges[i];
	return NULL;
}

static uint64_t total(const struct map *m)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < m->n_edges; i++)
		sum += m->edges[i].bytes;
	return sum;
}

static uint64_t rows_total(const struct store_row *rows, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += store_sum(&rows[i].e, "bytes");
	return sum;
}

static void test_shop(void **state)
{
	struct store_row rows[16];
	size_t n = shop_rows(rows);
	const struct map_ask ask = {0};
	struct map *m = make(rows, n, &ask);
	const struct map_edge *e;

	assert_int_equal(m->n_nodes, 8);
	assert_int_equal(m->n_edges, 8);
	assert_int_equal(m->matched.nodes, 8);
	assert_int_equal(m->matched.signs, 2);
	assert_int_equal(total(m), rows_total(rows, n));
	assert_true(str_eq(node(m, "service:web")->zone, STR("edge")));
	assert_int_equal(node(m, "service:web")->out_bytes, 1200000000);
	assert_int_equal(node(m, "service:web")->in_bytes, 120000000);
	assert_int_equal(node(m, "service:web")->kind, MAP_KIND_SERVICE);
	assert_int_equal(node(m, "service:unknown:10.0.7.0/24")->kind, MAP_KIND_UNKNOWN);
	assert_int_equal(node(m, "service:payments-db")->severity, SIGN_SERIOUS);
	e = edge(m, "service:checkout", "service:payments-db");
	assert_int_equal(e->store_edge, rows[2].e.id);
	assert_ptr_equal(e->row, &rows[2]);
	assert_int_equal(e->ports[0], 5432);
	assert_string_equal(e->signs[0].sign.name, "retransmits");
	map_free(m);
}

static void test_several_rows_are_one_edge(void **state)
{
	struct store_row rows[4] = {shop_row("a", "z2", "b", "", 9000, 1000), shop_row("a", "z1", "b", "", 80, 3000),
				    shop_row("a", "z1", "b", "", 81, 500), shop_row("b", "", "b", "", 80, 70)};
	const struct map_ask ask = {0};
	const struct map_edge *e;
	struct map *m;

	/* One seen by its client alone, one by the server alone: both count. */
	rows[0].e.view[FLOW_VIEW_SERVER] = (struct flow_stats){0};
	rows[0].e.observed = 1;
	rows[1].e.view[FLOW_VIEW_CLIENT] = (struct flow_stats){0};
	rows[1].e.observed = 2;
	rows[2].e.view[FLOW_VIEW_CLIENT].failed_refused = 100;
	rows[2].e.view[FLOW_VIEW_CLIENT].attempts = 200;
	rows[2].e.view[FLOW_VIEW_CLIENT].reset_received = rows[2].e.view[FLOW_VIEW_SERVER].reset_sent = 2;
	m = make(rows, 4, &ask);
	e = edge(m, "service:a", "service:b");
	assert_int_equal(e->rows, 3);
	assert_int_equal(e->store_edge, 0);
	assert_int_equal(e->n_ports, 3);
	assert_int_equal(e->ports[0], 80);
	assert_int_equal(e->ports[2], 9000);
	assert_int_equal(e->observed, 3);
	assert_int_equal(e->bytes, 1100 + 3300 + 550);
	assert_int_equal(store_sum(&e->row->e, "bytes"), e->bytes);
	assert_int_equal(store_sum(&e->row->e, "opened"), 300);
	assert_int_equal(store_sum(&e->row->e, "attempts"), 100 + 0 + 200);
	assert_int_equal(store_sum(&e->row->e, "resets"), 2);
	/* The port that refuses is not drowned by the others, and says so itself. */
	assert_string_equal(e->signs[0].sign.name, "refused");
	assert_ptr_equal(e->signs[0].row, &rows[2]);
	assert_true(str_eq(node(m, "service:a")->zone, STR("z1")));
	/* To itself: once. */
	assert_int_equal(edge(m, "service:b", "service:b")->bytes, 77);
	assert_int_equal(node(m, "service:b")->bytes, 1100 + 3300 + 550 + 77);
	assert_int_equal(node(m, "service:b")->edges, 2);
	map_free(m);
}

static void test_limit_loses_nothing(void **state)
{
	struct store_row rows[16];
	size_t n = shop_rows(rows);

	for (size_t limit = 1; limit <= 8; limit++) {
		const struct map_ask ask = {.limit = limit};
		struct map *m = make(rows, n, &ask);

		assert_int_equal(m->n_nodes, limit == 8 ? 8 : limit + 1);
		assert_int_equal(m->other.nodes, 8 - limit);
		assert_int_equal(total(m), rows_total(rows, n));
		assert_int_equal(m->matched.nodes, 8);
		assert_non_null(node(m, "service:checkout"));
		if (limit < 8) {
			uint64_t bytes = 0;

			assert_int_equal(node(m, "other:")->members, 8 - limit);
			assert_int_equal(node(m, "other:")->kind, MAP_KIND_OTHER);
			for (size_t i = 0; i < m->n_edges; i++)
				if (m->nodes[m->edges[i].source].kind == MAP_KIND_OTHER ||
				    m->nodes[m->edges[i].target].kind == MAP_KIND_OTHER)
					bytes += m->edges[i].bytes;
			assert_int_equal(m->other.bytes, bytes);
		}
		map_free(m);
	}
}

static void test_focus(void **state)
{
	static const size_t nodes[] = {4, 6, 8, 8};
	struct store_row rows[16];
	size_t n = shop_rows(rows);

	for (unsigned depth = 1; depth <= 4; depth++) {
		const struct map_ask ask = {.focus = "service:checkout", .depth = depth};
		struct map *m = make(rows, n, &ask);

		assert_true(m->focus_found);
		assert_int_equal(m->n_nodes, nodes[depth - 1]);
		assert_int_equal(m->matched.nodes, 8);
		map_free(m);
	}
	{
		const struct map_ask ask = {.focus = "service:nobody", .depth = 2};
		struct map *m = make(rows, n, &ask);

		assert_false(m->focus_found);
		assert_int_equal(m->n_nodes, 0);
		map_free(m);
	}
	{
		/* The focus stays, however little it moves. */
		const struct map_ask ask = {.focus = "service:unknown:10.0.7.0/24", .depth = 2, .limit = 1};
		struct map *m = make(rows, n, &ask);

		assert_non_null(node(m, "service:unknown:10.0.7.0/24"));
		assert_int_equal(m->n_nodes, 2);
		map_free(m);
	}
}

static void test_idle_and_signs(void **state)
{
	struct store_row rows[16];
	size_t n = shop_rows(rows);
	struct map_ask ask = {.signs_only = true};
	struct map *m = make(rows, n, &ask);

	assert_int_equal(m->n_edges, 2);
	assert_int_equal(m->n_nodes, 4);
	map_free(m);
	rows[n] = shop_row("sleeper", "", "pillow", "", 1, 0);
	rows[n].e.view[FLOW_VIEW_CLIENT] = rows[n].e.view[FLOW_VIEW_SERVER] = (struct flow_stats){.rows = 1};
	ask = (struct map_ask){0};
	m = make(rows, n + 1, &ask);
	assert_null(node(m, "service:sleeper"));
	map_free(m);
	ask.idle = true;
	m = make(rows, n + 1, &ask);
	assert_non_null(node(m, "service:sleeper"));
	map_free(m);
	/* An open connection is not idle. */
	rows[n].e.view[FLOW_VIEW_CLIENT].open_ms = 1;
	ask.idle = false;
	m = make(rows, n + 1, &ask);
	assert_non_null(node(m, "service:sleeper"));
	map_free(m);
}

static void test_zones_and_nets(void **state)
{
	struct store_row rows[16];
	size_t n = shop_rows(rows);
	struct map_ask ask = {.group = MAP_ZONE};
	struct map *m = make(rows, n, &ask);

	assert_int_equal(m->n_nodes, 4);
	assert_int_equal(node(m, "zone:shop")->kind, MAP_KIND_ZONE);
	assert_int_equal(edge(m, "zone:edge", "zone:shop")->rows, 2);
	assert_true(edge(m, "zone:edge", "zone:shop")->same_client);
	assert_false(edge(m, "zone:edge", "zone:shop")->same_server);
	assert_int_equal(total(m), rows_total(rows, n));
	map_free(m);
	ask.group = MAP_NET;
	m = make(rows, n, &ask);
	assert_int_equal(m->n_nodes, 1);
	assert_int_equal(total(m), rows_total(rows, n));
	map_free(m);
}

/* 10.0.0.x is host h<x>; others nobody knows. */
static const char *who(void *arg, const struct ip *ip, struct str scope, const char **ret_id)
{
	static const char *const ids[] = {"h0", "h1", "h2"}, *const names[] = {"alpha", "beta", "gamma"};

	if (ip->b[14] || ip->b[15] > 2)
		return NULL;
	*ret_id = ids[ip->b[15]];
	return names[ip->b[15]];
}

static void test_hosts(void **state)
{
	struct store_row rows[5];
	const struct map_ask ask = {.group = MAP_HOST, .host = who};
	struct map *m;

	for (unsigned i = 0; i < 5; i++)
		rows[i] = shop_row("a", "za", "b", "zb", 80, 1000);
	rows[0].e.client = ip_from_v4((uint8_t[]){10, 0, 0, 1});
	rows[0].e.server = ip_from_v4((uint8_t[]){10, 0, 0, 2});
	rows[1].e.client = ip_from_v4((uint8_t[]){10, 0, 0, 1});
	rows[1].e.server = ip_from_v4((uint8_t[]){10, 0, 9, 9});
	rows[1].e.server_rungs = 1 << FLOW_RUNG_NONE;
	rows[2].e.client = ip_from_v4((uint8_t[]){10, 0, 0, 1});
	rows[2].e.server = ip_from_v4((uint8_t[]){10, 0, 9, 8});
	rows[2].e.server_rungs = 1 << FLOW_RUNG_INVENTORY;
	rows[2].e.name.server_service = STR("printer");
	rows[3].e.client = ip_from_v4((uint8_t[]){10, 0, 0, 2});
	rows[3].e.server = ip_from_v4((uint8_t[]){10, 0, 0, 2});
	/* rows[4]: both zero, the rest above the cap. */
	m = make(rows, 5, &ask);
	assert_true(str_eq(node(m, "host:h1")->name, STR("beta")));
	assert_int_equal(node(m, "host:h1")->kind, MAP_KIND_HOST);
	assert_int_equal(node(m, "host:10.0.9.9")->kind, MAP_KIND_UNKNOWN);
	assert_int_equal(node(m, "host:printer")->kind, MAP_KIND_UNKNOWN);
	assert_non_null(edge(m, "host:h2", "host:h2"));
	assert_non_null(edge(m, "other:", "other:"));
	assert_int_equal(node(m, "other:")->members, 0);
	assert_int_equal(total(m), rows_total(rows, 5));
	map_free(m);
}

static void test_order_of_rows_is_no_matter(void **state)
{
	struct store_row rows[16], back[16];
	size_t n = shop_rows(rows);
	const struct map_ask ask = {.limit = 5};
	struct map *a, *b;

	for (size_t i = 0; i < n; i++)
		back[i] = rows[n - 1 - i];
	a = make(rows, n, &ask);
	b = make(back, n, &ask);
	assert_int_equal(a->n_nodes, b->n_nodes);
	assert_int_equal(a->n_edges, b->n_edges);
	for (size_t i = 0; i < a->n_edges; i++) {
		assert_int_equal(a->edges[i].id, b->edges[i].id);
		assert_int_equal(a->edges[i].bytes, b->edges[i].bytes);
		assert_memory_equal(a->edges[i].row->e.view, b->edges[i].row->e.view, sizeof(a->edges[i].row->e.view));
		assert_int_equal(a->edges[i].n_signs, b->edges[i].n_signs);
	}
	for (size_t i = 0; i < a->n_nodes; i++)
		assert_true(str_eq(a->nodes[i].id, b->nodes[i].id) && a->nodes[i].bytes == b->nodes[i].bytes);
	map_free(a);
	map_free(b);
}

static void test_many(void **state)
{
	struct store_row *rows = calloc(10000, sizeof(*rows));
	char(*names)[16] = calloc(2000, sizeof(*names));
	const struct map_ask ask = {.limit = 150};
	struct timespec t0, t1;
	struct map *m;
	double ms;

	for (unsigned i = 0; i < 2000; i++)
		sprintf(names[i], "svc-%u", i);
	for (unsigned i = 0; i < 10000; i++)
		rows[i] = shop_row(names[i % 2000], "a", names[i * 7919u % 2000], "b", (uint16_t)i, 1000 + i);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
	m = make(rows, 10000, &ask);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1);
	ms = (double)(t1.tv_sec - t0.tv_sec) * 1e3 + (double)(t1.tv_nsec - t0.tv_nsec) / 1e6;
	print_message("10000 edges: %.1f ms\n", ms);
	assert_int_equal(m->n_nodes, 151);
	assert_int_equal(total(m), rows_total(rows, 10000));
	map_free(m);
	free(rows);
	free(names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shop),
		cmocka_unit_test(test_several_rows_are_one_edge),
		cmocka_unit_test(test_limit_loses_nothing),
		cmocka_unit_test(test_focus),
		cmocka_unit_test(test_idle_and_signs),
		cmocka_unit_test(test_zones_and_nets),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_order_of_rows_is_no_matter),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Made-up losses at each hop: is the right one named, with the right number? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "server/health.h"

#define T0 1763856000u

struct made {
	struct flow_ledger agent[2], collector, pair, edge, store;
};

/* Two agents, 100 rows each an interval, all through. */
static struct made whole(uint32_t interval)
{
	struct flow_ledger line = {.interval = interval, .interval_s = 1, .boot = 1, .rows_in = 200, .rows_out = 200};
	struct made m = {.agent = {line, line}, .collector = line, .pair = line, .edge = line, .store = line};

	for (unsigned i = 0; i < 2; i++) {
		m.agent[i].role = STR("agent");
		m.agent[i].rows_in = m.agent[i].rows_out = 100;
		m.agent[i].n_info = 4;
		m.agent[i].info[0] = (struct flow_count){STR("active_opens"), 50};
		m.agent[i].info[1] = (struct flow_count){STR("passive_opens"), 50};
		m.agent[i].info[2] = (struct flow_count){STR("attempts"), 50};
		m.agent[i].info[3] = (struct flow_count){STR("opened_server"), 50};
	}
	m.agent[0].instance = STR("h0");
	m.agent[1].instance = STR("h1");
	m.collector.role = STR("collector");
	m.pair.role = STR("pair");
	m.edge.role = STR("edge");
	m.store.role = STR("store");
	m.collector.instance = m.pair.instance = m.edge.instance = m.store.instance = STR("a");
	return m;
}

static void feed(struct health *h, const struct made *m)
{
	/* Order must not matter: the last first. */
	assert_int_equal(health_line(h, &m->store, true), 0);
	assert_int_equal(health_line(h, &m->edge, true), 0);
	assert_int_equal(health_line(h, &m->pair, true), 0);
	assert_int_equal(health_line(h, &m->collector, true), 0);
	assert_int_equal(health_line(h, &m->agent[1], true), 0);
	assert_int_equal(health_line(h, &m->agent[0], true), 0);
}

/* Three intervals, the middle one as given. */
static enum health_hop judge(const struct made *middle, uint64_t stored, struct health_report chain[HEALTH_HOPS])
{
	struct made a = whole(T0), b = whole(T0 + 2);
	struct health *h;
	enum health_hop bad;

	assert_int_equal(health_new(&h), 0);
	feed(h, &b);
	feed(h, middle);
	feed(h, &a);
	health_stored(h, stored, 0);
	bad = health_chain(h, chain);
	health_free(h);
	return bad;
}

static void test_everything_adds_up(void **state)
{
	struct made m = whole(T0 + 1);
	struct health_report c[HEALTH_HOPS];

	assert_int_equal(judge(&m, 600, c), HEALTH_HOPS);
	for (unsigned i = 0; i < HEALTH_HOPS; i++) {
		assert_true(c[i].adds_up);
		assert_int_equal(c[i].in, 600);
		assert_int_equal(c[i].out, 600);
		assert_int_equal(c[i].missing, 0);
		assert_int_equal(c[i].instances, i <= HEALTH_NETWORK ? 2 : 1);
		assert_int_equal(c[i].n_intervals, 0);
	}
}

/* A role takes `n` less out than in; those after it see the rest. */
static void shrink(struct made *m, unsigned from, uint64_t n)
{
	struct flow_ledger *chain[] = {&m->collector, &m->pair, &m->edge, &m->store};

	for (unsigned i = from; i < 4; i++) {
		chain[i]->rows_in -= n;
		chain[i]->rows_out -= n;
	}
}

static void expect(const struct made *m, uint64_t stored, enum health_hop hop, int64_t missing)
{
	struct health_report c[HEALTH_HOPS];

	assert_int_equal(judge(m, stored, c), hop);
	assert_int_equal(c[hop].missing, missing);
	for (unsigned i = 0; i < HEALTH_HOPS; i++)
		assert_int_equal(c[i].adds_up, i != hop);
	if (hop == HEALTH_KERNEL || hop == HEALTH_STORED)
		return;
	assert_int_equal(c[hop].n_intervals, 1);
	assert_int_equal(c[hop].intervals[0].interval, T0 + 1);
	assert_int_equal(c[hop].intervals[0].missing, missing);
}

static void test_each_hop_is_named(void **state)
{
	struct made m;

	m = whole(T0 + 1);
	m.agent[1].info[0].n += 40;
	expect(&m, 600, HEALTH_KERNEL, 40);

	m = whole(T0 + 1);
	m.agent[0].rows_out -= 7;
	shrink(&m, 0, 7);
	expect(&m, 593, HEALTH_AGENT, 7);

	m = whole(T0 + 1);
	shrink(&m, 0, 7);
	expect(&m, 593, HEALTH_NETWORK, 7);

	m = whole(T0 + 1);
	m.collector.rows_out -= 7;
	shrink(&m, 1, 7);
	expect(&m, 593, HEALTH_COLLECTOR, 7);

	m = whole(T0 + 1);
	shrink(&m, 1, 7);
	expect(&m, 593, HEALTH_BUS, 7);

	m = whole(T0 + 1);
	m.pair.rows_out -= 7;
	shrink(&m, 2, 7);
	expect(&m, 593, HEALTH_PAIR, 7);

	m = whole(T0 + 1);
	shrink(&m, 2, 7);
	expect(&m, 593, HEALTH_GRAPH_BUS, 7);

	m = whole(T0 + 1);
	m.edge.rows_out -= 7;
	shrink(&m, 3, 7);
	expect(&m, 593, HEALTH_EDGE, 7);

	m = whole(T0 + 1);
	shrink(&m, 3, 7);
	expect(&m, 593, HEALTH_STORE_BUS, 7);

	m = whole(T0 + 1);
	m.store.rows_out -= 7;
	expect(&m, 593, HEALTH_STORE, 7);

	m = whole(T0 + 1);
	expect(&m, 593, HEALTH_STORED, 7);
	expect(&m, 607, HEALTH_STORED, -7);
}

static void test_explained_losses_add_up(void **state)
{
	struct made m = whole(T0 + 1);
	struct health_report c[HEALTH_HOPS];

	m.agent[0].rows_out -= 5;
	m.agent[0].n_lost = 2;
	m.agent[0].lost[0] = (struct flow_count){STR("rows_full"), 3};
	m.agent[0].lost[1] = (struct flow_count){STR("send_error"), 2};
	shrink(&m, 0, 5);
	shrink(&m, 0, 10);
	m.collector.n_info = 2;
	m.collector.info[0] = (struct flow_count){STR("lost_network_rows"), 12};
	m.collector.info[1] = (struct flow_count){STR("found_network_rows"), 2};
	m.pair.rows_out -= 4;
	m.pair.n_lost = 1;
	m.pair.lost[0] = (struct flow_count){STR("late_unjoined"), 4};
	shrink(&m, 2, 4);
	assert_int_equal(judge(&m, 581, c), HEALTH_HOPS);
	assert_int_equal(c[HEALTH_AGENT].lost_total, 5);
	assert_int_equal(c[HEALTH_AGENT].n_lost, 2);
	assert_int_equal(c[HEALTH_NETWORK].lost_total, 10);
	assert_string_equal(c[HEALTH_NETWORK].lost[0].name, "lost_network_rows");
	assert_int_equal(c[HEALTH_PAIR].lost_total, 4);
}

/* A collector away for an interval: nobody saw the gap, the rows are missing on the network, to the row. */
static void test_a_collector_that_was_away(void **state)
{
	struct made m = whole(T0 + 1), away = m;
	struct health_report c[HEALTH_HOPS];
	struct health *h;

	assert_int_equal(health_new(&h), 0);
	m = whole(T0);
	feed(h, &m);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(health_line(h, &away.agent[i], true), 0);
	health_stored(h, 200, 0);
	assert_int_equal(health_chain(h, c), HEALTH_NETWORK);
	assert_int_equal(c[HEALTH_NETWORK].missing, 200);
	assert_int_equal(c[HEALTH_NETWORK].intervals[0].interval, T0 + 1);
	health_free(h);
}

/* A gap noticed in this range that belongs to another one explains nothing here. */
static void test_a_gap_explains_no_more_than_is_missing(void **state)
{
	struct made m = whole(T0 + 1);
	struct health_report c[HEALTH_HOPS];

	m.collector.n_info = 1;
	m.collector.info[0] = (struct flow_count){STR("lost_network_rows"), 12};
	assert_int_equal(judge(&m, 600, c), HEALTH_HOPS);
	assert_int_equal(c[HEALTH_NETWORK].lost_total, 0);
}

/* Standard sFlow comes in at the collector: no agent put it out, nothing is missing; what is besides, is. */
static void test_sampled_rows(void **state)
{
	struct made m = whole(T0 + 1);
	struct health_report c[HEALTH_HOPS];

	shrink(&m, 0, (uint64_t)-30);
	m.collector.info[m.collector.n_info++] = (struct flow_count){STR("sampled_rows"), 30};
	assert_int_equal(judge(&m, 630, c), HEALTH_HOPS);
	assert_int_equal(c[HEALTH_AGENT].out, 600);
	assert_int_equal(c[HEALTH_NETWORK].in, 630);
	assert_int_equal(c[HEALTH_NETWORK].n_intervals, 0);
	shrink(&m, 0, 7);
	expect(&m, 623, HEALTH_NETWORK, 7);
}

static void test_the_kernels_count(void **state)
{
	struct made m = whole(T0 + 1);
	struct health_report c[HEALTH_HOPS];
	struct health *h;

	/* Two clocks: a few are no matter. More attempts than SYNs: the rest failed before one. */
	m.agent[0].info[0].n += 2;
	assert_int_equal(judge(&m, 600, c), HEALTH_HOPS);
	assert_int_equal(c[HEALTH_KERNEL].missing, 2);
	/* Reasons an agent gives. */
	m.agent[0].info[0].n += 28;
	m.agent[0].info[m.agent[0].n_info++] = (struct flow_count){STR("socks_full"), 30};
	assert_int_equal(judge(&m, 600, c), HEALTH_HOPS);
	assert_int_equal(c[HEALTH_KERNEL].lost_total, 30);
	/* An agent without the hook does not count connections: left out. */
	assert_int_equal(health_new(&h), 0);
	m = whole(T0);
	m.agent[0].info[0].n = 100000;
	assert_int_equal(health_line(h, &m.agent[0], false), 0);
	assert_int_equal(health_line(h, &m.agent[1], true), 0);
	health_stored(h, 0, 0);
	health_chain(h, c);
	assert_true(c[HEALTH_KERNEL].adds_up);
	assert_int_equal(c[HEALTH_KERNEL].in, 100);
	/* Attempts that never made a SYN are not missing in the kernel's count. */
	m.agent[1].info[2].n = 70;
	assert_int_equal(health_line(h, &m.agent[1], true), 0);
	health_stored(h, 0, 20);
	health_chain(h, c);
	assert_int_equal(c[HEALTH_KERNEL].in, 200);
	assert_int_equal(c[HEALTH_KERNEL].out, 200);
	health_free(h);
}

static void test_many_reasons_are_bounded(void **state)
{
	struct made m = whole(T0 + 1);
	struct health_report c[HEALTH_HOPS];
	struct health *h;
	uint64_t sum = 0;

	assert_int_equal(health_new(&h), 0);
	for (unsigned i = 0; i < 100; i++) {
		char name[32];

		snprintf(name, sizeof(name), "reason_%u", i);
		m.agent[0].n_lost = 1;
		m.agent[0].lost[0] = (struct flow_count){str_from(name), 1};
		m.agent[0].rows_out = 99;
		assert_int_equal(health_line(h, &m.agent[0], true), 0);
	}
	health_chain(h, c);
	assert_true(c[HEALTH_AGENT].adds_up);
	assert_int_equal(c[HEALTH_AGENT].n_lost, HEALTH_LOSSES);
	for (unsigned i = 0; i < c[HEALTH_AGENT].n_lost; i++)
		sum += c[HEALTH_AGENT].lost[i].n;
	assert_int_equal(sum, 100);
	health_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything_adds_up),
		cmocka_unit_test(test_each_hop_is_named),
		cmocka_unit_test(test_explained_losses_add_up),
		cmocka_unit_test(test_a_collector_that_was_away),
		cmocka_unit_test(test_a_gap_explains_no_more_than_is_missing),
		cmocka_unit_test(test_sampled_rows),
		cmocka_unit_test(test_the_kernels_count),
		cmocka_unit_test(test_many_reasons_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

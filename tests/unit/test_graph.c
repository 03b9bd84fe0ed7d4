/* SPDX-License-Identifier: Apache-2.0 */
/* The role with its threads: rows in, edges, pairs and ledger out, within a deadline. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "bus/bus.h"
#include "flow/msg.h"
#include "graph/graph.h"

#define T0 1700000000u
#define ROUNDS 5u
#define FLOOD_ROWS 20u

struct world {
	struct bus *bus;
	struct bus_producer *p;
	struct bus_reader *edges, *pairs, *ledger;
	struct graph *g;
	struct flow_msg msg;
	struct buf buf;
	uint64_t rows[2], announced; /* of each partition since its last marker */
};

static void put(struct world *w, enum bus_topic t, unsigned partition, enum flow_msg_type type, const void *record)
{
	buf_clear(&w->buf);
	flow_msg_encode(&w->buf, type, record);
	assert_int_equal(w->buf.err, 0);
	assert_int_equal(bus_produce(w->p, t, partition, "k", 1, w->buf.p, w->buf.n), 0);
}

static void put_row(struct world *w, uint32_t interval, uint8_t view, const char *client, const char *server,
		    const char *service, uint64_t bytes)
{
	struct flow_row row = {.interval = interval, .interval_s = 1, .view = view};
	unsigned partition;

	row.conv.protocol = 6;
	row.conv.port = 80;
	assert_int_equal(ip_parse(client, &row.conv.client), 0);
	assert_int_equal(ip_parse(server, &row.conv.server), 0);
	row.names.service = str_from(service);
	row.stats.rows = 1;
	row.stats.tx_bytes = bytes;
	partition = bus_partition(w->bus, BUS_FLOWS, flow_conv_partition(&row.conv));
	put(w, BUS_FLOWS, partition, FLOW_MSG_ROW, &row);
	w->rows[partition]++;
}

static void put_markers(struct world *w, uint32_t interval)
{
	for (unsigned i = 0; i < 2; i++) {
		struct flow_marker m = {.producer = STR("c1"),
					.boot = 1,
					.interval = interval,
					.interval_s = 1,
					.rows = w->rows[i],
					.messages = w->rows[i]};

		put(w, BUS_FLOWS, i, FLOW_MSG_MARKER, &m);
		w->rows[i] = 0;
	}
}

static void world_open(struct world *w, bool flush)
{
	const struct bus_memory_opts opts = {.partitions = 2, .max_bytes = 64 << 20, .start_us = 1000};
	const enum bus_topic edges = BUS_EDGES, pairs = BUS_PAIRS, ledger = BUS_LEDGER;
	struct graph_opts g = {.instance = "test", .boot = 7, .flush_on_stop = flush};

	memset(w, 0, sizeof(*w));
	buf_init(&w->buf, 0);
	assert_int_equal(bus_memory_open(&w->bus, &opts), 0);
	assert_int_equal(bus_producer_open(&w->p, w->bus, NULL), 0);
	assert_int_equal(bus_reader_open(&w->edges, w->bus, NULL, &edges, 1, NULL), 0);
	assert_int_equal(bus_reader_open(&w->pairs, w->bus, NULL, &pairs, 1, NULL), 0);
	assert_int_equal(bus_reader_open(&w->ledger, w->bus, NULL, &ledger, 1, NULL), 0);
	g.bus = w->bus;
	assert_int_equal(graph_new(&w->g, &g), 0);
	assert_int_equal(graph_start(w->g), 0);
}

static void world_close(struct world *w)
{
	graph_free(w->g);
	bus_reader_close(w->edges);
	bus_reader_close(w->pairs);
	bus_reader_close(w->ledger);
	bus_producer_close(w->p);
	bus_close(w->bus);
	buf_deinit(&w->buf);
}

/* One message of the reader, or false at the deadline. */
static bool next(struct world *w, struct bus_reader *r, int64_t until)
{
	struct bus_msg m;
	int n = 0;

	do
		n = bus_read(r, &m, 1, clock_mono_us() < until ? 20 : 0);
	while (n == 0 && clock_mono_us() < until);
	if (n == 1)
		assert_int_equal(flow_msg_decode(m.value, m.value_len, &w->msg), 0);
	return n == 1;
}

static void rows_become_edges(void **state)
{
	static struct world w;
	int64_t until = clock_mono_us() + 20 * 1000000;
	uint64_t c2s = 0, s2c = 0, rows = 0, pair_rows = 0, in = 0, out = 0;
	struct graph_stats s;

	world_open(&w, false);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		for (int k = 1; k <= 50; k++) {
			char client[32];

			snprintf(client, sizeof(client), "10.0.0.%d", k);
			put_row(&w, T0 + i, FLOW_VIEW_CLIENT, client, "10.0.1.1", "web", 100);
			put_row(&w, T0 + i, FLOW_VIEW_SERVER, client, "10.0.1.1", "api", 7);
		}
		put_markers(&w, T0 + i);
		while (rows < 100 * (i + 1) && next(&w, w.edges, until)) {
			const struct flow_edge *e = &w.msg.edge;

			assert_int_equal(w.msg.type, FLOW_MSG_EDGE);
			assert_int_equal(e->interval, T0 + i);
			assert_true(str_eq(e->name.client_service, STR("web")));
			assert_true(str_eq(e->name.server_service, STR("api")));
			assert_int_equal(e->observed, 3);
			c2s += e->view[FLOW_VIEW_CLIENT].tx_bytes;
			s2c += e->view[FLOW_VIEW_SERVER].tx_bytes;
			rows += e->view[FLOW_VIEW_CLIENT].rows + e->view[FLOW_VIEW_SERVER].rows;
		}
		assert_int_equal(rows, 100 * (i + 1));
	}
	assert_int_equal(c2s, 5000 * ROUNDS);
	assert_int_equal(s2c, 350 * ROUNDS);
	while (pair_rows < 50 * ROUNDS && next(&w, w.pairs, until))
		pair_rows += w.msg.type == FLOW_MSG_PAIR;
	assert_int_equal(pair_rows, 50 * ROUNDS);
	graph_stop(w.g);
	graph_stats(w.g, &s);
	assert_int_equal(s.pair.rows_in, 100 * ROUNDS);
	assert_int_equal(s.edge.rows_out, 100 * ROUNDS);
	assert_int_equal(s.pair.lost_in_bus, 0);
	assert_int_equal(s.edge.lost_in_bus, 0);
	assert_int_equal(s.pair.late_rows, 0);
	assert_int_equal(s.edge.late_rows, 0);
	assert_int_equal(s.edge.watermark, T0 + ROUNDS - 1);
	assert_int_equal(s.edge.lag, 0);
	buf_clear(&w.buf);
	graph_metrics(w.g, &w.buf);
	assert_non_null(strstr(buf_text(&w.buf), "skyfall_graph_rows_in_total{stage=\"pair\"} 500\n"));

	/* the last line of each interval and role says all of it */
	uint64_t line_in[2][ROUNDS] = {{0}}, line_out[2][ROUNDS] = {{0}};

	while (next(&w, w.ledger, 0)) {
		const struct flow_ledger *l = &w.msg.ledger;
		int role = str_eq(l->role, STR("edge"));

		assert_in_range(l->interval, T0, T0 + ROUNDS - 1);
		assert_int_equal(l->boot, 7);
		line_in[role][l->interval - T0] = l->rows_in;
		line_out[role][l->interval - T0] = l->rows_out;
	}
	for (unsigned i = 0; i < 2 * ROUNDS; i++) {
		in += line_in[i / ROUNDS][i % ROUNDS];
		out += line_out[i / ROUNDS][i % ROUNDS];
	}
	assert_int_equal(in, 2 * 100 * ROUNDS);
	assert_int_equal(out, in);
	world_close(&w);
}

/* The bus ends with the process: what is open at the stop comes out, without any marker. */
static void stop_flushes(void **state)
{
	static struct world w;
	uint64_t rows = 0;

	world_open(&w, true);
	put_row(&w, T0, FLOW_VIEW_CLIENT, "10.0.0.1", "10.0.1.1", "web", 100);
	put_row(&w, T0 + 1, FLOW_VIEW_CLIENT, "10.0.0.2", "10.0.1.1", "web", 100);
	graph_stop(w.g);
	while (next(&w, w.edges, 0))
		rows += w.msg.edge.view[FLOW_VIEW_CLIENT].rows;
	assert_int_equal(rows, 2);
	world_close(&w);
}

/* What a store took: sum(rows) of edges and of pairs. Commits what it read. */
static void drain(struct world *w, struct bus_reader *store, uint64_t taken[2])
{
	struct bus_msg m;

	while (bus_read(store, &m, 1, 0) == 1) {
		const struct bus_position pos = {.topic = m.topic, .partition = m.partition, .offset = m.offset + 1};

		assert_int_equal(flow_msg_decode(m.value, m.value_len, &w->msg), 0);
		for (unsigned v = 0; w->msg.type != FLOW_MSG_MARKER && m.topic != BUS_LEDGER && v < FLOW_VIEWS; v++)
			taken[m.topic == BUS_PAIRS] += w->msg.edge.view[v].rows;
		assert_int_equal(bus_commit_positions(store, &pos, 1), 0);
	}
}

/* Puts what is in w->buf on the flows. When that is refused for half a second, the store begins to take. */
static void flood(struct world *w, unsigned partition, struct bus_reader *store, uint64_t taken[2], bool *stuck)
{
	int64_t since = clock_mono_us();

	while (bus_produce(w->p, BUS_FLOWS, partition, "k", 1, w->buf.p, w->buf.n) == -EAGAIN) {
		*stuck |= clock_mono_us() - since > 500000;
		if (*stuck)
			drain(w, store, taken);
		assert_true(clock_mono_us() - since < 30 * 1000000);
		usleep(1000);
	}
}

static void flood_interval(struct world *w, uint32_t interval, struct bus_reader *store, uint64_t taken[2], bool *stuck)
{
	struct flow_row row = {.interval = interval, .interval_s = 1, .conv = {.protocol = 6, .port = 80}};
	struct flow_marker m = {.producer = STR("c1"), .boot = 1, .interval = interval, .interval_s = 1};

	row.names.service = STR("web");
	row.stats.rows = 1;
	for (unsigned k = 0; k < FLOOD_ROWS; k++) {
		unsigned partition;

		row.conv.client = (struct ip){{[10] = 0xff, [11] = 0xff, [12] = 10, [15] = (uint8_t)k}};
		row.conv.server = (struct ip){{[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 1}};
		partition = bus_partition(w->bus, BUS_FLOWS, flow_conv_partition(&row.conv));
		w->rows[partition]++;
		buf_clear(&w->buf);
		flow_msg_encode(&w->buf, FLOW_MSG_ROW, &row);
		flood(w, partition, store, taken, stuck);
	}
	for (unsigned i = 0; i < 2; i++) {
		m.rows = m.messages = w->rows[i];
		w->rows[i] = 0;
		buf_clear(&w->buf);
		flow_msg_encode(&w->buf, FLOW_MSG_MARKER, &m);
		flood(w, i, store, taken, stuck);
	}
}

/* The store stands still until the whole bus is full, up to the collector; then it goes on, and nothing is missing. */
static void store_stands_still(void **state)
{
	const struct bus_memory_opts opts = {.partitions = 2, .max_bytes = 600000, .start_us = 1000};
	const enum bus_topic topics[] = {BUS_EDGES, BUS_PAIRS, BUS_LEDGER};
	const uint64_t rows = 200 * FLOOD_ROWS;
	int64_t until;
	static struct world w;
	struct graph_opts g = {.instance = "test", .boot = 7};
	struct bus_reader *store;
	struct graph_stats s;
	uint64_t taken[2] = {0};
	bool stuck = false;

	memset(&w, 0, sizeof(w));
	buf_init(&w.buf, 0);
	assert_int_equal(bus_memory_open(&w.bus, &opts), 0);
	assert_int_equal(bus_producer_open(&w.p, w.bus, NULL), 0);
	assert_int_equal(bus_reader_open(&store, w.bus, "store", topics, 3, NULL), 0);
	g.bus = w.bus;
	assert_int_equal(graph_new(&w.g, &g), 0);
	assert_int_equal(graph_start(w.g), 0);
	for (uint32_t i = 0; i < 200; i++)
		flood_interval(&w, T0 + i, store, taken, &stuck);
	assert_true(stuck);
	until = clock_mono_us() + 30 * 1000000;
	while ((taken[0] < rows || taken[1] < rows) && clock_mono_us() < until) {
		drain(&w, store, taken);
		usleep(1000);
	}
	assert_int_equal(taken[0], rows);
	assert_int_equal(taken[1], rows);
	graph_stop(w.g);
	graph_stats(w.g, &s);
	assert_true(s.pair.busy > 0);
	assert_int_equal(s.pair.aborts + s.edge.aborts, 0);
	assert_int_equal(s.pair.lost_late_unjoined + s.pair.lost_poison + s.pair.lost_in_bus, 0);
	assert_int_equal(s.edge.lost_poison + s.edge.lost_in_bus, 0);
	graph_free(w.g);
	bus_reader_close(store);
	bus_producer_close(w.p);
	bus_close(w.bus);
	buf_deinit(&w.buf);
}

static void bad_options(void **state)
{
	struct graph *g = NULL;

	assert_int_not_equal(graph_new(&g, &(struct graph_opts){.instance = "x"}), 0);
	assert_null(g);
	graph_free(NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_become_edges),
		cmocka_unit_test(stop_flushes),
		cmocka_unit_test(store_stands_still),
		cmocka_unit_test(bad_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

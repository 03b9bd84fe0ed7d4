/* SPDX-License-Identifier: Apache-2.0 */
/* The pair stage: what comes in as rows of two ends comes out as edges and pair rows, named, and not a unit is lost. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/table.h"
#include "flow/msg.h"
#include "graph/stages.h"
#include "graph/window.h"
#include "tests/unit/bus_fault.h"

#define T0 1700000000u
#define LEN 10u

struct world {
	struct bus *bus;
	struct fault fault; /* before the bus, where a test says so */
	struct bus_producer *p;
	struct bus_reader *partials, *pairs, *ledger;
	struct hosts *hosts;
	struct inventory *inv;
	struct pair pair;
	struct window *e;
	struct buf buf, key;
	int64_t now;
	uint32_t interval;
	/* of the last close() */
	struct flow_edge edges[600], rows[600];
	size_t n_edges, n_rows;
	struct flow_msg msg;
	char *keep[20000]; /* messages whose strings are looked at */
	size_t n_keep;
	uint64_t lost_late, line_in, line_out;
};

static struct world w;

static void open_world(void)
{
	static const char inventory[] = "networks:\n"
					"  - {cidr: 10.0.0.0/24, zone: east}\n"
					"  - {cidr: 10.0.9.0/24, owner: partner, zone: dmz}\n";
	const struct bus_memory_opts opts = {.partitions = 1, .max_bytes = 512 << 20, .start_us = 1};
	static const enum bus_topic partials = BUS_PARTIALS, pairs = BUS_PAIRS, ledger = BUS_LEDGER;
	struct window_opts wo = {
		.stage = &pair_stage, .arg = &w.pair, .group = "g", .instance = "t", .max_entries = 100000};
	char why[200];

	memset(&w, 0, sizeof(w));
	buf_init(&w.buf, 0);
	buf_init(&w.key, 0);
	w.interval = T0;
	w.now = (int64_t)T0 * 1000000;
	assert_int_equal(bus_memory_open(&w.bus, &opts), 0);
	assert_int_equal(bus_producer_open(&w.p, w.bus, NULL), 0);
	assert_int_equal(bus_reader_open(&w.partials, w.bus, NULL, &partials, 1, NULL), 0);
	assert_int_equal(bus_reader_open(&w.pairs, w.bus, NULL, &pairs, 1, NULL), 0);
	assert_int_equal(bus_reader_open(&w.ledger, w.bus, NULL, &ledger, 1, NULL), 0);
	assert_int_equal(hosts_new(&w.hosts), 0);
	assert_int_equal(inventory_parse(&w.inv, "t", inventory, sizeof(inventory) - 1, why, sizeof(why)), 0);
	assert_int_equal(pair_init(&w.pair, w.bus, w.hosts, w.inv), 0);
	wo.bus = w.bus;
	assert_int_equal(window_new(&w.e, &wo), 0);
}

static void close_world(void)
{
	window_free(w.e);
	pair_deinit(&w.pair);
	hosts_free(w.hosts);
	inventory_free(w.inv);
	bus_reader_close(w.partials);
	bus_reader_close(w.pairs);
	bus_reader_close(w.ledger);
	bus_producer_close(w.p);
	bus_close(w.bus);
	buf_deinit(&w.buf);
	buf_deinit(&w.key);
	for (size_t i = 0; i < w.n_keep; i++)
		free(w.keep[i]);
}

static struct ip ip(const char *text)
{
	struct ip a;

	assert_int_equal(ip_parse(text, &a), 0);
	return a;
}

static void produce(enum flow_msg_type type, const void *record)
{
	buf_clear(&w.buf);
	flow_msg_encode(&w.buf, type, record);
	assert_int_equal(w.buf.err, 0);
	assert_int_equal(bus_produce(w.p, BUS_FLOWS, 0, "k", 1, w.buf.p, w.buf.n), 0);
}

/* A row with one row, `bytes` sent and half as many received. */
static struct flow_row row_of(uint8_t view, const char *client, const char *server, uint16_t port, const char *service,
			      uint64_t bytes)
{
	struct flow_row row = {.interval = w.interval, .interval_s = LEN, .view = view};

	row.conv.client = ip(client);
	row.conv.server = ip(server);
	row.conv.port = port;
	row.conv.protocol = 6;
	row.names.service = str_from(service);
	row.stats.rows = 1;
	row.stats.tx_bytes = bytes;
	row.stats.rx_bytes = bytes / 2;
	return row;
}

static void put(uint8_t view, const char *client, const char *server, uint16_t port, const char *service,
		uint64_t bytes)
{
	struct flow_row row = row_of(view, client, server, port, service, bytes);

	produce(FLOW_MSG_ROW, &row);
}

/* Reads edges of a topic; strings live until the world closes. */
static size_t take(struct bus_reader *r, struct flow_edge *to, size_t max)
{
	struct bus_msg m;
	size_t n = 0;

	while (bus_read(r, &m, 1, 0) == 1) {
		char *copy = malloc(m.value_len);

		memcpy(copy, m.value, m.value_len);
		assert_true(w.n_keep < ARRAY_LEN(w.keep));
		w.keep[w.n_keep++] = copy;
		assert_int_equal(flow_msg_decode(copy, m.value_len, &w.msg), 0);
		if (w.msg.type == FLOW_MSG_MARKER)
			continue;
		assert_true(n < max);
		to[n++] = w.msg.edge;
	}
	return n;
}

/* Marks the interval and takes what came out; then the next one begins. */
static void finish(void)
{
	struct flow_marker m = {.producer = STR("c"), .boot = 1, .interval = w.interval, .interval_s = LEN};
	struct bus_msg msg;

	produce(FLOW_MSG_MARKER, &m);
	for (int i = 0; i < 3 || window_step(w.e, w.now, 0) > 0; i++)
		(void)window_step(w.e, w.now, 0);
	w.n_edges = take(w.partials, w.edges, ARRAY_LEN(w.edges));
	w.n_rows = take(w.pairs, w.rows, ARRAY_LEN(w.rows));
	while (bus_read(w.ledger, &msg, 1, 0) == 1) {
		assert_int_equal(flow_msg_decode(msg.value, msg.value_len, &w.msg), 0);
		w.line_in = w.msg.ledger.rows_in;
		w.line_out = w.msg.ledger.rows_out;
		w.lost_late += flow_count_get(w.msg.ledger.lost, w.msg.ledger.n_lost, "late_unjoined");
		assert_int_equal(w.line_in,
				 w.line_out + flow_count_get(w.msg.ledger.lost, w.msg.ledger.n_lost, "late_unjoined"));
	}
	w.interval += LEN;
	w.now += LEN * 1000000;
}

static const struct flow_edge *edge(const char *client, const char *server)
{
	const struct flow_edge *found = NULL;

	for (size_t i = 0; i < w.n_edges; i++) {
		if (!str_eq(w.edges[i].name.client_service, str_from(client)) ||
		    !str_eq(w.edges[i].name.server_service, str_from(server)))
			continue;
		assert_null(found);
		found = &w.edges[i];
	}
	if (!found) {
		for (size_t i = 0; i < w.n_edges; i++)
			print_message("there is %.*s -> %.*s\n", STR_FMT(w.edges[i].name.client_service),
				      STR_FMT(w.edges[i].name.server_service));
		fail_msg("no edge %s -> %s", client, server);
	}
	return found;
}

/* --- hosts */

static void host(const char *id, const char *hostname, const char *address, uint32_t netns, bool host_only)
{
	struct flow_host h = {.id = str_from(id),
			      .hostname = str_from(hostname),
			      .interval = T0,
			      .interval_s = LEN,
			      .n_addresses = 1};

	h.addresses[0] = (struct flow_address){.ip = ip(address), .bits = 120, .host_only = host_only, .netns = netns};
	buf_clear(&w.buf);
	buf_clear(&w.key);
	flow_msg_encode(&w.buf, FLOW_MSG_HOST, &h);
	flow_host_key(&w.key, &h);
	assert_int_equal(hosts_put(w.hosts, (struct str){w.key.p, w.key.n}, w.buf.p, w.buf.n), 0);
}

static void listen_at(const char *id, uint32_t netns, const char *address, uint16_t port, const char *service,
		      uint32_t since, uint32_t said, bool alive)
{
	struct flow_listener l = {.host = str_from(id),
				  .netns = netns,
				  .addr = ip(address),
				  .port = port,
				  .protocol = 6,
				  .alive = alive,
				  .interval = said,
				  .since = since};

	l.names.service = str_from(service);
	buf_clear(&w.buf);
	buf_clear(&w.key);
	flow_msg_encode(&w.buf, FLOW_MSG_LISTENER, &l);
	flow_listener_key(&w.key, &l);
	assert_int_equal(hosts_put(w.hosts, (struct str){w.key.p, w.key.n}, w.buf.p, w.buf.n), 0);
}

/* --- tests */

static void both_views_agree(void **state)
{
	const struct flow_edge *e;

	open_world();
	put(FLOW_VIEW_CLIENT, "10.0.0.1", "10.0.1.2", 80, "web", 1000);
	put(FLOW_VIEW_SERVER, "10.0.0.1", "10.0.1.2", 80, "api", 500);
	finish();
	assert_int_equal(w.n_edges, 1);
	assert_int_equal(w.n_rows, 1);
	e = edge("web", "api");
	assert_int_equal(e->observed, 3);
	assert_int_equal(e->flags, 0);
	assert_int_equal(e->client_rungs, 1 << FLOW_RUNG_VIEW);
	assert_int_equal(e->server_rungs, 1 << FLOW_RUNG_VIEW);
	assert_int_equal(e->view[FLOW_VIEW_CLIENT].tx_bytes, 1000); /* c2s */
	assert_int_equal(e->view[FLOW_VIEW_SERVER].tx_bytes, 500);  /* s2c */
	assert_int_equal(e->view[FLOW_VIEW_CLIENT].rx_bytes, e->view[FLOW_VIEW_SERVER].tx_bytes);
	assert_int_equal(e->name.port, 80);
	assert_true(str_eq(e->name.client_zone, STR("east")));
	assert_int_equal(e->name.server_zone.n, 0);
	assert_true(e->id == flow_edge_id(&e->name));
	assert_int_equal(e->revision, 0);
	assert_true(ip_is_zero(&e->client) && ip_is_zero(&e->server));
	assert_true(w.rows[0].id == e->id);
	assert_true(ip_eq(&w.rows[0].client, &(struct ip){.b = {[10] = 255, 255, 10, 0, 0, 1}}));
	assert_int_equal(w.rows[0].revision, (uint64_t)(1 + 3) * 4096);
	assert_int_equal(w.line_out, 2);
	close_world();
}

static void names_ladder(void **state)
{
	const struct flow_edge *e;

	open_world();
	host("h1", "alpha", "10.0.1.1", 5, false);
	host("h2", "", "10.0.1.2", 5, false);
	listen_at("h1", 5, "::", 443, "front", T0, T0, true);
	listen_at("h1", 5, "10.0.1.1", 444, "exact", T0, T0, true);
	listen_at("h1", 5, "::", 444, "any", T0, T0, true);
	listen_at("h1", 6, "::", 445, "elsewhere", T0, T0, true);
	put(FLOW_VIEW_CLIENT, "10.0.0.1", "10.0.1.1", 443, "web", 10);
	put(FLOW_VIEW_CLIENT, "10.0.0.1", "10.0.1.1", 444, "web", 10);
	put(FLOW_VIEW_CLIENT, "10.0.0.1", "10.0.1.1", 445, "web", 10);
	put(FLOW_VIEW_CLIENT, "10.0.0.1", "10.0.9.1", 80, "web", 10);
	put(FLOW_VIEW_CLIENT, "10.0.0.1", "192.0.2.7", 80, "web", 10);
	put(FLOW_VIEW_CLIENT, "10.0.0.1", "2001:db8:1:2::3", 80, "web", 10);
	put(FLOW_VIEW_SERVER, "10.0.1.2", "10.0.0.1", 80, "web", 10);
	put(FLOW_VIEW_SERVER, "10.0.9.9", "10.0.0.1", 81, "web", 10);
	put(FLOW_VIEW_CLIENT, "10.0.1.2", "10.0.0.1", 82, "", 10); /* an agent without a name is no better than none */
	finish();
	assert_int_equal(w.n_edges, 9);
	e = edge("web", "front");
	assert_int_equal(e->server_rungs, 1 << FLOW_RUNG_LISTENER);
	assert_int_equal(e->observed, 1);
	(void)edge("web", "exact");
	assert_int_equal(edge("web", "host:alpha")->server_rungs, 1 << FLOW_RUNG_HOST);
	e = edge("web", "partner");
	assert_int_equal(e->server_rungs, 1 << FLOW_RUNG_INVENTORY);
	assert_true(str_eq(e->name.server_zone, STR("dmz")));
	assert_int_equal(edge("web", "unknown:192.0.2.0/24")->server_rungs, 1 << FLOW_RUNG_NONE);
	(void)edge("web", "unknown:2001:db8:1::/48");
	e = edge("host:h2", "web");
	assert_int_equal(e->observed, 2);
	assert_int_equal(e->client_rungs, 1 << FLOW_RUNG_HOST);
	(void)edge("partner", "web");
	(void)edge("host:h2", "unknown:10.0.0.0/24");
	close_world();
}

static void listeners_as_of_the_time(void **state)
{
	open_world();
	host("h1", "alpha", "10.0.1.1", 5, false);
	listen_at("h1", 5, "0.0.0.0", 80, "later", T0 + 10 * LEN, T0 + 10 * LEN, true);
	listen_at("h1", 5, "0.0.0.0", 81, "gone", T0 - 1000, T0 - LEN, false);
	listen_at("h1", 5, "0.0.0.0", 82, "fresh", T0 + LEN, T0 + LEN, true);
	listen_at("h1", 5, "0.0.0.0", 83, "unsaid", T0 - 1000, T0 - 181, true);
	listen_at("h1", 5, "0.0.0.0", 84, "said", T0 - 1000, T0 - 170, true);
	for (uint16_t port = 80; port <= 84; port++)
		put(FLOW_VIEW_CLIENT, "10.0.0.1", "10.0.1.1", port, "web", 10);
	finish();
	(void)edge("web", "fresh"); /* first seen an interval later */
	(void)edge("web", "said");
	for (size_t i = 0; i < w.n_edges; i++) {
		if (w.edges[i].name.port == 80 || w.edges[i].name.port == 81 || w.edges[i].name.port == 83)
			assert_true(str_eq(w.edges[i].name.server_service, STR("host:alpha")));
	}
	hosts_expire(w.hosts, T0 + 10000);
	uint64_t hosts, listeners;

	hosts_count(w.hosts, &hosts, &listeners);
	assert_int_equal(hosts, 1);
	assert_int_equal(listeners, 0);
	close_world();
}

/* Addresses of one host only: the same 127.0.0.1 twice is two conversations, each with its own listener. */
static void scopes(void **state)
{
	struct flow_row row;

	open_world();
	host("h1", "alpha", "172.17.0.1", 5, true);
	host("h2", "beta", "172.17.0.1", 5, true);
	listen_at("h1", 5, "127.0.0.1", 80, "one", T0, T0, true);
	listen_at("h2", 7, "127.0.0.1", 80, "two", T0, T0, true);
	listen_at("h2", 5, "::", 80, "bridge", T0, T0, true);
	row = row_of(FLOW_VIEW_CLIENT, "127.0.0.1", "127.0.0.1", 80, "c1", 10);
	row.conv.scope = STR("h1/5");
	produce(FLOW_MSG_ROW, &row);
	row.names.service = STR("c2");
	row.conv.scope = STR("h2/7");
	produce(FLOW_MSG_ROW, &row);
	row = row_of(FLOW_VIEW_CLIENT, "172.17.0.9", "172.17.0.1", 80, "c3", 10);
	row.conv.scope = STR("h2");
	produce(FLOW_MSG_ROW, &row);
	row.conv.scope = STR("");
	row.names.service = STR("c4");
	produce(FLOW_MSG_ROW, &row);
	finish();
	(void)edge("c1", "one");
	(void)edge("c2", "two");
	(void)edge("c3", "bridge");
	(void)edge("c4", "unknown:172.17.0.0/24"); /* host-only addresses are nobody's globally */
	for (size_t i = 0; i < w.n_rows; i++) {
		if (str_eq(w.rows[i].name.client_service, STR("c2")))
			assert_true(str_eq(w.rows[i].scope, STR("h2/7")));
	}
	close_world();
}

static void put_unknown(const char *from, uint16_t port, const char *to, uint16_t other, const char *service,
			uint64_t tx)
{
	struct flow_row row = row_of(FLOW_VIEW_UNKNOWN, from, to, port, service, tx);

	row.conv.other_port = other;
	row.flags = FLOW_NO_ROLE;
	produce(FLOW_MSG_ROW, &row);
}

static void unknown_roles(void **state)
{
	const struct flow_edge *e;
	unsigned loose = 0;

	open_world();
	host("h1", "alpha", "10.0.1.1", 5, false);
	host("h2", "beta", "10.0.1.2", 5, false);
	listen_at("h1", 5, "::", 80, "api", T0, T0, true);
	listen_at("h2", 5, "::", 90, "both", T0, T0, true);
	listen_at("h1", 5, "::", 90, "both", T0, T0, true);
	/* two ends of one connection, neither knows its role: the listener settles both, they join */
	put_unknown("10.0.1.1", 80, "10.0.1.2", 50000, "api", 7);
	put_unknown("10.0.1.2", 50000, "10.0.1.1", 80, "cron", 70);
	put(FLOW_VIEW_CLIENT, "10.0.1.2", "10.0.1.1", 80, "cron", 1000); /* and one that knows */
	/* nobody listens; many ports make one pair row */
	put_unknown("10.0.1.2", 50001, "10.0.1.1", 81, "cron", 1);
	put_unknown("10.0.1.2", 50002, "10.0.1.1", 81, "cron", 2);
	/* both do: not settled */
	put_unknown("10.0.1.2", 90, "10.0.1.1", 90, "both", 4);
	finish();
	assert_int_equal(w.line_out, 6);
	e = edge("cron", "api");
	assert_int_equal(e->name.port, 80);
	assert_int_equal(e->flags, 0);
	assert_int_equal(e->observed, 3);
	assert_int_equal(e->view[FLOW_VIEW_CLIENT].tx_bytes, 1070);
	assert_int_equal(e->view[FLOW_VIEW_SERVER].tx_bytes, 7);
	e = edge("cron", "host:alpha");
	assert_int_equal(e->name.port, 0);
	assert_int_equal(e->flags, FLOW_NO_ROLE);
	assert_int_equal(e->view[FLOW_VIEW_CLIENT].tx_bytes, 3);
	assert_int_equal(e->view[FLOW_VIEW_CLIENT].rows, 2);
	(void)edge("both", "host:alpha");
	for (size_t i = 0; i < w.n_rows; i++)
		loose += w.rows[i].id == e->id;
	assert_int_equal(loose, 1);
	close_world();
}

/* Sampled traffic without a role is turned round when the listener is at its first end. */
static void network_rows(void **state)
{
	struct flow_row row;
	const struct flow_edge *e;

	open_world();
	host("h1", "alpha", "10.0.1.1", 5, false);
	listen_at("h1", 5, "::", 80, "api", T0, T0, true);
	row = row_of(FLOW_VIEW_NETWORK, "10.0.1.1", "10.0.1.2", 80, "", 600);
	row.conv.other_port = 5000;
	row.flags = FLOW_NO_ROLE | FLOW_SAMPLED;
	produce(FLOW_MSG_ROW, &row);
	put(FLOW_VIEW_CLIENT, "10.0.1.2", "10.0.1.1", 80, "web", 299);
	finish();
	assert_int_equal(w.n_edges, 1);
	e = edge("web", "api");
	assert_int_equal(e->observed, 1 << FLOW_VIEW_CLIENT | 1 << FLOW_VIEW_NETWORK);
	assert_int_equal(e->view[FLOW_VIEW_NETWORK].tx_bytes, 300);
	assert_int_equal(e->view[FLOW_VIEW_NETWORK].rx_bytes, 600);
	assert_int_equal(e->flags, FLOW_SAMPLED);
	close_world();
}

static void two_clients_behind_one_address(void **state)
{
	const struct flow_edge *a, *b;

	open_world();
	put(FLOW_VIEW_CLIENT, "10.0.0.1", "10.0.1.2", 80, "a", 1000);
	put(FLOW_VIEW_CLIENT, "10.0.0.1", "10.0.1.2", 80, "b", 3000);
	put(FLOW_VIEW_SERVER, "10.0.0.1", "10.0.1.2", 80, "s", 2001);
	finish();
	assert_int_equal(w.n_rows, 2);
	a = edge("a", "s");
	b = edge("b", "s");
	assert_int_equal(a->flags, FLOW_SPLIT);
	assert_int_equal(a->view[FLOW_VIEW_CLIENT].tx_bytes, 1000);
	assert_int_equal(b->view[FLOW_VIEW_CLIENT].tx_bytes, 3000);
	assert_int_equal(a->view[FLOW_VIEW_SERVER].tx_bytes, 500); /* 500.25: by what they received, 500 and 1500 */
	assert_int_equal(b->view[FLOW_VIEW_SERVER].tx_bytes, 1501);
	assert_int_equal(a->view[FLOW_VIEW_SERVER].rx_bytes + b->view[FLOW_VIEW_SERVER].rx_bytes, 1000);
	assert_int_equal(a->view[FLOW_VIEW_SERVER].rows + b->view[FLOW_VIEW_SERVER].rows, 1);
	assert_int_equal(w.line_out, 3);
	close_world();
}

/* Names last 10 minutes: for late rows and for rows that fell into the next interval. Older rows are lost and counted. */
static void names_of_closed_pairs(void **state)
{
	struct flow_row row;

	open_world();
	put(FLOW_VIEW_CLIENT, "10.0.0.1", "10.0.1.2", 80, "a", 1000);
	put(FLOW_VIEW_CLIENT, "10.0.0.1", "10.0.1.2", 80, "b", 3000);
	put(FLOW_VIEW_SERVER, "10.0.0.1", "10.0.1.2", 80, "s", 100);
	finish();
	row = row_of(FLOW_VIEW_SERVER, "10.0.0.1", "10.0.1.2", 80, "s", 4000);
	row.interval = T0; /* late */
	produce(FLOW_MSG_ROW, &row);
	finish();
	assert_int_equal(w.n_edges, 2);
	assert_int_equal(edge("a", "s")->interval, T0);
	assert_int_equal(edge("a", "s")->view[FLOW_VIEW_SERVER].tx_bytes, 1000); /* by their bytes then */
	assert_int_equal(edge("b", "s")->view[FLOW_VIEW_SERVER].tx_bytes, 3000);
	assert_int_equal(edge("a", "s")->observed, 2);
	put(FLOW_VIEW_CLIENT, "10.0.0.1", "10.0.1.2", 80, "a", 5); /* in time, the server's row is not */
	finish();
	(void)edge("a", "s");
	for (int i = 0; i < 65; i++)
		finish();
	put(FLOW_VIEW_SERVER, "10.0.0.1", "10.0.1.2", 80, "s", 1);
	row.interval = T0 + LEN;
	produce(FLOW_MSG_ROW, &row);
	finish();
	assert_int_equal(w.n_edges, 1);
	(void)edge("unknown:10.0.0.0/24", "s"); /* more than 10 minutes later it is just an address */
	assert_int_equal(w.lost_late, 1);
	close_world();
}

/* A commit that fails, as the one in the middle of a rebalance does, costs no names: they are of what was committed. */
static void names_outlive_a_failed_commit(void **state)
{
	const struct window_opts wo = {.bus = &w.fault.base,
				       .stage = &pair_stage,
				       .arg = &w.pair,
				       .group = "g",
				       .instance = "t",
				       .max_entries = 100000};
	struct graph_stage_stats st;

	open_world();
	window_free(w.e);
	fault_init(&w.fault, w.bus, FAULT_NONE, 0);
	assert_int_equal(window_new(&w.e, &wo), 0);
	put(FLOW_VIEW_CLIENT, "10.0.0.1", "10.0.1.2", 80, "a", 1000);
	put(FLOW_VIEW_SERVER, "10.0.0.1", "10.0.1.2", 80, "s", 100);
	finish();
	(void)edge("a", "s");
	put(FLOW_VIEW_SERVER, "10.0.0.1", "10.0.1.2", 80, "s", 5);
	w.fault.kind = FAULT_FAIL;
	w.fault.at = w.fault.calls + 2; /* after the read: what begins the transaction */
	finish();
	window_stats(w.e, &st);
	assert_int_equal(st.aborts, 1);
	assert_int_equal(w.n_edges, 1);
	(void)edge("a", "s");
	close_world();
}

/* --- against a model */

enum { CLIENTS = 3, SERVERS = 2, PORTS = 2, NAMES = 4 };

static uint64_t seed = 1;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void random_stats(struct flow_stats *s)
{
	memset(s, 0, sizeof(*s));
	for (unsigned f = 0; f < FLOW_FIELDS; f++) {
		if (rnd() % 2)
			continue;
		if (flow_fields[f].width != FLOW_HIST)
			*flow_stats_u64(s, f) = rnd() % 100000;
		else
			flow_stats_hist(s, f)[rnd() % FLOW_BUCKETS] = (uint32_t)(rnd() % 1000);
	}
	s->rows = 1 + rnd() % 3;
}

/* Adds up, over pair rows, a view of one service at one end of a conversation. */
static void sum_rows(const struct flow_conv *c, unsigned view, const char *service, struct flow_stats *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < w.n_rows; i++) {
		const struct flow_edge *e = &w.rows[i];
		struct str name = view == FLOW_VIEW_CLIENT ? e->name.client_service : e->name.server_service;

		if (ip_eq(&e->client, &c->client) && ip_eq(&e->server, &c->server) && e->name.port == c->port &&
		    str_eq(name, str_from(service)))
			flow_stats_add(ret, &e->view[view]);
	}
}

/* Pair rows of one edge add up to its partial, and partials are one an edge. */
static void check_partials(void)
{
	for (size_t i = 0; i < w.n_edges; i++) {
		struct flow_stats sum[FLOW_VIEWS] = {{0}};

		for (size_t k = 0; k < i; k++)
			assert_true(w.edges[k].id != w.edges[i].id);
		for (size_t k = 0; k < w.n_rows; k++) {
			for (unsigned v = 0; v < FLOW_VIEWS && w.rows[k].id == w.edges[i].id; v++)
				flow_stats_add(&sum[v], &w.rows[k].view[v]);
		}
		assert_memory_equal(sum, w.edges[i].view, sizeof(sum));
	}
}

static void nothing_is_lost(void **state)
{
	static const char *const client_names[NAMES] = {"a", "b", "c", "d"}, *const server_names[NAMES] = {"w", "x",
													   "y", "z"};
	static struct flow_stats want[CLIENTS][SERVERS][PORTS][2][NAMES];
	static bool there[CLIENTS][SERVERS][PORTS][2][NAMES];

	for (int round = 0; round < 60; round++) {
		uint64_t rows = 0;

		open_world();
		memset(want, 0, sizeof(want));
		memset(there, 0, sizeof(there));
		for (int i = 0; i < 60; i++) {
			unsigned c = rnd() % CLIENTS, s = rnd() % SERVERS, p = rnd() % PORTS, v = rnd() % 2,
				 n = rnd() % NAMES;
			char client[24], server[24];
			struct flow_row row;

			snprintf(client, sizeof(client), "10.0.0.%u", c);
			snprintf(server, sizeof(server), "10.0.1.%u", s);
			row = row_of((uint8_t)v, client, server, (uint16_t)(80 + p),
				     v == FLOW_VIEW_CLIENT ? client_names[n] : server_names[n], 0);
			random_stats(&row.stats);
			rows += row.stats.rows;
			produce(FLOW_MSG_ROW, &row);
			flow_stats_add(&want[c][s][p][v][n], &row.stats);
			there[c][s][p][v][n] = true;
		}
		finish();
		assert_int_equal(w.line_in, rows);
		assert_int_equal(w.line_out, rows);
		check_partials();
		for (unsigned i = 0; i < CLIENTS * SERVERS * PORTS * 2 * NAMES; i++) {
			unsigned n = i % NAMES, v = i / NAMES % 2, p = i / NAMES / 2 % PORTS,
				 s = i / NAMES / 2 / PORTS % SERVERS, c = i / NAMES / 2 / PORTS / SERVERS;
			struct flow_conv conv = {.port = (uint16_t)(80 + p)};
			struct flow_stats got;
			char text[24];

			if (!there[c][s][p][v][n])
				continue;
			snprintf(text, sizeof(text), "10.0.0.%u", c);
			conv.client = ip(text);
			snprintf(text, sizeof(text), "10.0.1.%u", s);
			conv.server = ip(text);
			sum_rows(&conv, v, v == FLOW_VIEW_CLIENT ? client_names[n] : server_names[n], &got);
			assert_memory_equal(&got, &want[c][s][p][v][n], sizeof(got));
		}
		close_world();
	}
}

/* A host full of services behind one address: told apart up to a bound, and still nothing is lost. */
static void very_many_services(void **state)
{
	uint64_t tx = 0, s2c = 0;
	char name[16];

	open_world();
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		put(FLOW_VIEW_CLIENT, "10.0.0.1", "10.0.1.2", 80, name, 100);
	}
	put(FLOW_VIEW_SERVER, "10.0.0.1", "10.0.1.2", 80, "server", 12345);
	finish();
	assert_int_equal(w.n_edges, PAIR_ENDS);
	for (size_t i = 0; i < w.n_edges; i++) {
		tx += w.edges[i].view[FLOW_VIEW_CLIENT].tx_bytes;
		s2c += w.edges[i].view[FLOW_VIEW_SERVER].tx_bytes;
	}
	assert_int_equal(tx, 20000);
	assert_int_equal(s2c, 12345);
	assert_int_equal(edge("other", "server")->view[FLOW_VIEW_CLIENT].rows, 200 - (PAIR_ENDS - 1));
	close_world();
}

static void hosts_replace_and_remove(void **state)
{
	uint64_t hosts, listeners;
	struct hosts_where at = {.interval = T0, .interval_s = LEN};
	struct str name;

	open_world();
	host("h1", "alpha", "10.0.1.1", 5, false);
	host("h1", "alpha", "10.0.1.9", 5, false); /* it moved */
	at.ip = ip("10.0.1.1");
	assert_false(hosts_name(w.hosts, &at, &name));
	at.ip = ip("10.0.1.9");
	assert_true(hosts_name(w.hosts, &at, &name));
	hosts_count(w.hosts, &hosts, &listeners);
	assert_int_equal(hosts, 1);
	assert_int_equal(hosts_put(w.hosts, (struct str){w.key.p, w.key.n}, NULL, 0), 0); /* the key is still h1's */
	assert_false(hosts_name(w.hosts, &at, &name));
	assert_int_equal(hosts_put(w.hosts, STR("k"), "junk", 4), -EBADMSG);
	assert_int_equal(hosts_put(w.hosts, STR(""), NULL, 0), -EBADMSG);
	for (int i = 0; i < 3000; i++) { /* the tables grow and shrink */
		char id[16];

		snprintf(id, sizeof(id), "h%d", i % 1500);
		host(id, id, "10.0.1.1", 5, false);
		if (i % 3 == 0)
			assert_int_equal(hosts_put(w.hosts, (struct str){w.key.p, w.key.n}, NULL, 0), 0);
	}
	at.ip = ip("10.0.1.1");
	assert_true(hosts_name(w.hosts, &at, &name));
	assert_true(str_eq(name, STR("h1"))); /* equally new: the first by id, whatever the order */
	for (int i = 0; i < 100; i++)
		hosts_expire(w.hosts, T0 + HOSTS_HOST_S);
	assert_true(hosts_name(w.hosts, &at, &name));
	for (int i = 0; i < 100; i++)
		hosts_expire(w.hosts, T0 + HOSTS_HOST_S + 1);
	hosts_count(w.hosts, &hosts, &listeners);
	assert_int_equal(hosts, 0);
	close_world();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_views_agree),
		cmocka_unit_test(names_ladder),
		cmocka_unit_test(listeners_as_of_the_time),
		cmocka_unit_test(scopes),
		cmocka_unit_test(unknown_roles),
		cmocka_unit_test(network_rows),
		cmocka_unit_test(two_clients_behind_one_address),
		cmocka_unit_test(names_of_closed_pairs),
		cmocka_unit_test(names_outlive_a_failed_commit),
		cmocka_unit_test(nothing_is_lost),
		cmocka_unit_test(very_many_services),
		cmocka_unit_test(hosts_replace_and_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

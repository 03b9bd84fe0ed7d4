/* SPDX-License-Identifier: Apache-2.0 */
/* The whole collector on the memory bus: what agents delivered, summed by a naive model, must come out of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/collector_rig.h"
#include "wire/health.h"
#include "wire/host.h"
#include "wire/listeners.h"

#define US 1000000ll
#define T0 1700000000u
#define L 10u
#define AGENTS 8
#define GROUPS 16384 /* different rows the model can hold */

static const struct rig_opts two_threads = {
	.interval_s = L,
	.spread_ms = 8000,
	.grace_ms = 1000,
	.start_us = T0 * US,
	.threads = 2,
	.partitions = 4,
	.bus_bytes = 64 << 20,
};

/* --- the model: delivered rows, summed in a list */

struct group {
	uint32_t interval, flags;
	uint8_t view;
	struct ip client, server;
	uint16_t port;
	char service[16];
	struct flow_stats stats;
};

struct model {
	size_t n;
	struct group *group;
};

static struct flow_stats *model_at(struct model *m, const struct group *key)
{
	for (size_t i = 0; i < m->n; i++) {
		struct group *g = &m->group[i];

		if (g->interval == key->interval && g->view == key->view && g->port == key->port &&
		    g->flags == key->flags && ip_eq(&g->client, &key->client) && ip_eq(&g->server, &key->server) &&
		    !strcmp(g->service, key->service))
			return &g->stats;
	}
	assert_true(m->n < GROUPS);
	m->group[m->n] = *key;
	return &m->group[m->n++].stats;
}

static void model_row(struct model *m, uint32_t interval, const struct wire_flow *f, uint32_t flags,
		      const struct flow_stats *s)
{
	bool server = f->view == FLOW_VIEW_SERVER;
	struct group g = {.interval = interval,
			  .flags = flags,
			  .view = f->view,
			  .client = server ? f->remote : f->local,
			  .server = server ? f->local : f->remote,
			  .port = f->port};

	str_copy(g.service, sizeof(g.service), f->names->service);
	flow_stats_add(model_at(m, &g), s);
}

static void model_message(struct model *m, const struct flow_row *r)
{
	struct group g = {.interval = r->interval,
			  .flags = r->flags,
			  .view = r->view,
			  .client = r->conv.client,
			  .server = r->conv.server,
			  .port = r->conv.port};

	str_copy(g.service, sizeof(g.service), r->names.service);
	flow_stats_add(model_at(m, &g), &r->stats);
}

static void model_equal(struct model *want, struct model *got)
{
	assert_int_equal(want->n, got->n);
	for (size_t i = 0; i < want->n; i++) {
		const struct flow_stats *s = model_at(got, &want->group[i]);

		assert_memory_equal(&want->group[i].stats, s, sizeof(*s));
	}
	assert_int_equal(want->n, got->n);
}

static void model_init(struct model *m)
{
	*m = (struct model){.group = calloc(GROUPS, sizeof(*m->group))};
	assert_non_null(m->group);
}

/* --- what came out */

struct output {
	struct model rows;
	uint64_t sum, messages;
	unsigned markers;
	struct {
		uint64_t rows, messages; /* since the former marker */
		uint32_t marked;
	} part[16];
	uint64_t in, out, lost; /* of the last ledger line of each interval */
	uint64_t network_rows, found_rows, late_rows;
	unsigned hosts, listeners, agent_lines;
	struct flow_host host;
	struct flow_ledger agent_line;
};

static void take_marker(struct output *o, const struct rig *r, unsigned partition, const struct flow_marker *m)
{
	assert_true(str_eq(m->producer, STR("c1")));
	assert_int_equal(m->boot, r->opts.start_us);
	assert_int_equal(m->interval_s, r->opts.fold_s);
	assert_int_equal(m->rows, o->part[partition].rows);
	assert_int_equal(m->messages, o->part[partition].messages);
	assert_int_equal(m->interval,
			 o->part[partition].marked ? o->part[partition].marked + r->opts.fold_s : m->interval);
	o->part[partition].rows = o->part[partition].messages = 0;
	o->part[partition].marked = m->interval;
	o->markers++;
}

/* Of several lines of one interval the last one counts, and each of them balances. */
static void take_ledger(struct output *o, const struct rig *r, struct flow_ledger *lines, size_t *n,
			const struct flow_ledger *l)
{
	uint64_t lost = 0;
	size_t i;

	if (!str_eq(l->role, STR("collector"))) {
		o->agent_lines++;
		o->agent_line = *l;
		return;
	}
	for (unsigned k = 0; k < l->n_lost; k++)
		lost += l->lost[k].n;
	assert_int_equal(l->rows_in, l->rows_out + lost);
	assert_int_equal(l->interval_s, r->opts.fold_s);
	for (i = 0; i < *n && lines[i].interval != l->interval; i++)
		;
	*n += i == *n;
	assert_true(*n <= 512);
	lines[i] = *l;
}

static void collect(const struct rig *r, struct output *o)
{
	struct flow_ledger *lines = calloc(512, sizeof(*lines));
	struct flow_msg *m = malloc(sizeof(*m));
	size_t n = 0;

	*o = (struct output){0};
	model_init(&o->rows);
	for (size_t i = 0; i < r->n_messages; i++) {
		unsigned p = r->messages[i].partition;

		rig_decode(r, i, m);
		if (m->type == FLOW_MSG_ROW) {
			assert_int_equal(m->row.interval_s, r->opts.fold_s);
			assert_int_equal(p, flow_conv_partition(&m->row.conv) % r->opts.partitions);
			model_message(&o->rows, &m->row);
			o->part[p].rows += m->row.stats.rows;
			o->part[p].messages++;
			o->sum += m->row.stats.rows;
			o->messages++;
		} else if (m->type == FLOW_MSG_MARKER) {
			take_marker(o, r, p, &m->marker);
		} else if (m->type == FLOW_MSG_LEDGER) {
			take_ledger(o, r, lines, &n, &m->ledger);
		} else {
			o->hosts += m->type == FLOW_MSG_HOST;
			o->listeners += m->type == FLOW_MSG_LISTENER;
			if (m->type == FLOW_MSG_HOST)
				o->host = m->host;
		}
	}
	for (size_t i = 0; i < n; i++) {
		o->in += lines[i].rows_in;
		o->out += lines[i].rows_out;
		for (unsigned k = 0; k < lines[i].n_lost; k++)
			o->lost += lines[i].lost[k].n;
		o->network_rows += flow_count_get(lines[i].info, lines[i].n_info, "lost_network_rows");
		o->found_rows += flow_count_get(lines[i].info, lines[i].n_info, "found_network_rows");
		o->late_rows += flow_count_get(lines[i].info, lines[i].n_info, "late_rows");
	}
	free(lines);
	free(m);
}

/* --- senders */

static const struct flow_names services[] = {{.service = {"web", 3}},
					     {.service = {"api", 3}, .unit = {"api.service", 11}},
					     {.service = {"db", 2}, .quality = 1}};

static struct ip address(unsigned i)
{
	return ip_from_v4((const uint8_t[4]){10, 1, 0, (uint8_t)i});
}

static struct wire_flow random_row(unsigned agent)
{
	return (struct wire_flow){
		.local = address(agent),
		.remote = address(100 + (unsigned)rand() % 2),
		.port = (uint16_t)(80 + rand() % 2),
		.view = (uint8_t)(rand() % 2),
		.protocol = 6,
		.n_ports = 1,
		.ports = {(uint16_t)(40000 + rand() % 50)},
		.names = &services[rand() % 3],
	};
}

static struct flow_stats random_stats(void)
{
	struct flow_stats s = {
		.rows = 1 + (uint64_t)rand() % 3, .opened = (uint64_t)rand() % 5, .tx_bytes = (uint64_t)rand() << 10};

	s.srtt[rand() % FLOW_BUCKETS] = 1 + (uint32_t)rand() % 9;
	return s;
}

static void one_row(struct rig *r, struct rig_agent *a, uint32_t interval, unsigned thread, struct flow_stats s)
{
	struct wire_flow f = {
		.local = address(1), .remote = address(2), .port = 80, .protocol = 6, .names = &services[0]};
	uint8_t p[WIRE_SIZE_MAX];

	rig_datagram(r, thread, &a->peer, p, rig_agent_flows(a, interval, &f, &s, 1, r->now_us, p));
}

/* 40 rows that differ in their port. */
static void forty_rows(struct rig *r, struct rig_agent *a, uint32_t interval, unsigned thread)
{
	struct wire_flow f[40];
	struct flow_stats s[40];
	uint8_t p[WIRE_SIZE_MAX];

	for (unsigned i = 0; i < 40; i++) {
		f[i] = (struct wire_flow){.local = address(1),
					  .remote = address(2),
					  .port = (uint16_t)(80 + i),
					  .protocol = 6,
					  .names = &services[0]};
		s[i] = (struct flow_stats){.rows = 1, .tx_bytes = 7};
	}
	rig_datagram(r, thread, &a->peer, p, rig_agent_flows(a, interval, f, s, 40, r->now_us, p));
}

/* --- tests */

/* Datagrams lost, doubled, overtaken, late, on any thread: the sums are those of the delivered ones. */
static void sums_over(uint32_t fold_s)
{
	struct rig_opts opts = two_threads;
	struct rig_agent agents[AGENTS];
	struct model want;
	struct output got;
	uint64_t delivered = 0, lost = 0;
	struct {
		unsigned agent;
		size_t n;
		uint8_t p[WIRE_SIZE_MAX];
	} *held = calloc(1, sizeof(*held));
	struct rig r;

	srand(3);
	opts.fold_s = fold_s;
	rig_open(&r, &opts);
	model_init(&want);
	for (unsigned i = 0; i < AGENTS; i++) {
		char ip[32];

		snprintf(ip, sizeof(ip), "10.1.0.%u", i);
		rig_agent_open(&agents[i], &r, ip, "host", 100 + i);
	}
	for (unsigned k = 0; k < 20; k++) {
		uint32_t interval = T0 + L * k;

		for (unsigned d = 0; d < 60; d++) {
			unsigned who = (unsigned)rand() % AGENTS, n = 1 + (unsigned)rand() % 20;
			struct wire_flow rows[20];
			struct flow_stats stats[20];
			uint8_t p[WIRE_SIZE_MAX];
			uint64_t sum = 0;
			size_t bytes;

			rig_until(&r, (interval + L) * US + d * 130000); /* over the spread of 8 s */
			for (unsigned i = 0; i < n; i++) {
				rows[i] = random_row(who);
				stats[i] = random_stats();
				sum += stats[i].rows;
			}
			bytes = rig_agent_flows(&agents[who], interval, rows, stats, n, r.now_us, p);
			if (k < 19 && rand() % 10 == 0) {
				lost += sum;
				continue;
			}
			delivered += sum;
			for (unsigned i = 0; i < n; i++)
				model_row(&want, interval - interval % fold_s, &rows[i], 0, &stats[i]);
			if (!held->n && rand() % 20 == 0) { /* comes after the next ones, up to the next interval */
				held->agent = who;
				held->n = bytes;
				memcpy(held->p, p, bytes);
				continue;
			}
			rig_datagram(&r, who % 2, &agents[who].peer, p, bytes);
			if (rand() % 8 == 0)
				rig_datagram(&r, who % 2, &agents[who].peer, p, bytes);
			if (held->n && rand() % 30 == 0) {
				rig_datagram(&r, held->agent % 2, &agents[held->agent].peer, held->p, held->n);
				held->n = 0;
			}
		}
	}
	if (held->n)
		rig_datagram(&r, held->agent % 2, &agents[held->agent].peer, held->p, held->n);
	for (unsigned i = 0; i < AGENTS; i++) /* shows the gap before it */
		one_row(&r, &agents[i], T0 + L * 19, i % 2, (struct flow_stats){0});
	rig_stop(&r, 0);
	collect(&r, &got);
	{
		struct group g = {.interval = T0 + L * 19 - (T0 + L * 19) % fold_s,
				  .client = address(1),
				  .server = address(2),
				  .port = 80,
				  .service = "web"};

		(void)model_at(&want, &g);
	}
	model_equal(&want, &got.rows);
	assert_int_equal(got.in, delivered);
	assert_int_equal(got.out, delivered);
	assert_int_equal(got.network_rows - got.found_rows, lost);
	assert_true(got.late_rows > 0);
	assert_true(rig_counters(&r).duplicates > 0);
	assert_true(rig_counters(&r).late_datagrams > 0);
	for (unsigned p = 0; p < 4; p++) {
		assert_int_equal(got.part[p].rows, 0); /* the last marker came last */
		assert_int_equal(got.part[p].marked, T0 + L * 20 - (T0 + L * 20) % fold_s);
	}
	for (unsigned i = 0; i < AGENTS; i++)
		rig_agent_close(&agents[i]);
	rig_close(&r);
	free(want.group);
	free(got.rows.group);
	free(held);
}

static void sums_are_those_of_a_naive_model(void **state)
{
	sums_over(L);
}

/* The same rows in longer intervals: --fold. */
static void merged_intervals_keep_every_sum(void **state)
{
	sums_over(2 * L);
	sums_over(3 * L);
	sums_over(6 * L);
}

/* Rows, markers and our lines are of a minute; agents are answered, and their lines kept, at each of their intervals. */
static void merging_changes_nothing_for_agents(void **state)
{
	struct rig_opts o = two_threads;
	struct flow_ledger line = {.interval_s = L, .rows_in = 1, .rows_out = 1};
	uint32_t minute = T0 - T0 % 60 + 60;
	struct rig_agent a;
	struct output got;
	uint8_t p[WIRE_SIZE_MAX];
	struct rig r;

	o.fold_s = 60;
	rig_open(&r, &o);
	rig_agent_open(&a, &r, "10.1.0.1", "h", 5);
	for (unsigned k = 0; k < 18; k++) {
		line.interval = minute + L * k;
		rig_until(&r, (line.interval + L) * US + 100000);
		one_row(&r, &a, line.interval, 0, (struct flow_stats){.rows = 1});
		a.head.interval = line.interval;
		wire_build_open(a.build, WIRE_HEALTH, &a.head, NULL);
		assert_int_equal(wire_health_add(a.build, &line), 1);
		rig_datagram(&r, 1, &a.peer, p, rig_agent_finish(&a, r.now_us, p));
		collect(&r, &got);
		/* the minute that holds interval k - 1 is out once that has closed: not at its last one's end */
		assert_int_equal(got.sum, k / 6 * 6);
		assert_int_equal(got.rows.n, k / 6);
		free(got.rows.group);
	}
	assert_int_equal(r.n_acks, 17);
	for (size_t i = 0; i < r.n_acks; i++) {
		assert_int_equal(r.acks[i].ack.interval, minute + L * i);
		assert_int_equal(r.acks[i].ack.interval_s, L);
		assert_int_equal(r.acks[i].ack.rows, 1);
	}
	rig_stop(&r, 0);
	collect(&r, &got);
	assert_int_equal(got.sum, 18);
	assert_int_equal(got.in, 18);
	assert_int_equal(got.rows.n, 3);
	assert_int_equal(got.agent_lines, 18);
	assert_int_equal(got.agent_line.interval_s, L);
	assert_int_equal(got.agent_line.interval, minute + 17 * L);
	assert_int_equal(got.late_rows, 0);
	for (unsigned i = 0; i < o.partitions; i++)
		assert_int_equal(got.part[i].marked, minute + 180);
	free(got.rows.group);
	rig_agent_close(&a);
	rig_close(&r);
}

static void silence_is_marked(void **state)
{
	struct output o;
	struct rig r;

	rig_open(&r, &two_threads);
	rig_until(&r, (T0 + 10 * L) * US);
	collect(&r, &o);
	/* the interval before the start ends with it: it is marked as well */
	assert_int_equal(o.markers, 4 * 10);
	assert_int_equal(o.part[0].marked, T0 + 8 * L);
	assert_int_equal(o.messages, 0);
	rig_stop(&r, 0);
	free(o.rows.group);
	collect(&r, &o);
	assert_int_equal(o.part[3].marked, T0 + 10 * L);
	free(o.rows.group);
	rig_close(&r);
}

/* Nothing is lost while the bus is full; it comes when there is room; agents are answered meanwhile. */
static void a_full_bus_is_folded_over(void **state)
{
	struct rig_opts o = two_threads;
	struct rig_agent a;
	struct output got;
	struct rig r;

	o.bus_bytes = 400000;
	o.partitions = 1;
	o.slow_group = "slow";
	rig_open(&r, &o);
	rig_agent_open(&a, &r, "10.1.0.1", "h", 5);
	for (unsigned k = 0; k < 40; k++) {
		rig_until(&r, (T0 + L * (k + 1)) * US + 100000);
		forty_rows(&r, &a, T0 + L * k, 0);
		if (k == 30) {
			assert_true(publish_counters(r.publish)->bus_full > 0);
			assert_true(publish_counters(r.publish)->swaps_held > 3);
			assert_int_equal(r.n_acks, 30);
		}
		if (k >= 30) /* it takes some rounds: the budget is smaller than what waits */
			rig_drain(&r);
	}
	for (unsigned k = 0; k < 20; k++) {
		rig_drain(&r);
		rig_until(&r, r.now_us + 100000);
	}
	rig_stop(&r, US);
	collect(&r, &got);
	assert_int_equal(got.sum, 1600);
	assert_int_equal(got.in, 1600);
	assert_int_equal(got.out, 1600);
	assert_int_equal(got.lost, 0);
	assert_int_equal(got.rows.n, 1600);
	free(got.rows.group);
	rig_agent_close(&a);
	rig_close(&r);
}

/* A bus that never drains: what stays behind at the stop is counted to the row. */
static void what_is_left_behind_is_counted(void **state)
{
	struct rig_opts o = two_threads;
	struct flow_ledger line = {.interval_s = L};
	const struct counters_publish *c;
	uint8_t p[WIRE_SIZE_MAX];
	struct rig_agent a;
	struct output got;
	struct rig r;

	o.bus_bytes = 3000000;
	o.partitions = 1;
	o.slow_group = "slow";
	rig_open(&r, &o);
	rig_agent_open(&a, &r, "10.1.0.1", "h", 5);
	for (unsigned k = 0; k < 300; k++) {
		rig_until(&r, (T0 + L * (k + 1)) * US + 100000);
		forty_rows(&r, &a, T0 + L * k, k % 2);
	}
	line.interval = T0;
	wire_build_open(a.build, WIRE_HEALTH, &a.head, NULL);
	assert_int_equal(wire_health_add(a.build, &line), 1);
	rig_datagram(&r, 1, &a.peer, p, rig_agent_finish(&a, r.now_us, p));
	rig_stop(&r, 5 * US);
	c = publish_counters(r.publish);
	assert_int_equal(c->records_lost, 1);
	assert_true(c->rows_lost > 0);
	assert_true(c->rows_out > 0);
	assert_int_equal(c->rows_out + c->rows_lost, 12000);
	collect(&r, &got);
	assert_int_equal(got.in, 12000); /* the ledger has room of its own */
	assert_int_equal(got.out, c->rows_out);
	assert_int_equal(got.lost, c->rows_lost);
	free(got.rows.group);
	assert_int_equal(rig_counters(&r).rows, 12000);
	rig_agent_close(&a);
	rig_close(&r);
}

static void a_full_table_is_in_the_ledger(void **state)
{
	struct rig_opts o = two_threads;
	struct rig_agent a;
	struct output got;
	struct rig r;

	o.worker.fold = (struct fold_opts){
		.max_rows = 5, .max_names = 10, .max_strings = 20, .string_bytes = 100, .max_roleless = 5};
	rig_open(&r, &o);
	rig_agent_open(&a, &r, "10.1.0.1", "h", 5);
	rig_until(&r, (T0 + L) * US + 100000);
	for (unsigned i = 0; i < 12; i++) {
		struct wire_flow f = {.local = address(1),
				      .remote = address(2),
				      .port = (uint16_t)i,
				      .protocol = 6,
				      .names = &services[0]};
		struct flow_stats s = {.rows = 2};
		uint8_t p[WIRE_SIZE_MAX];

		rig_datagram(&r, 0, &a.peer, p, rig_agent_flows(&a, T0, &f, &s, 1, r.now_us, p));
	}
	rig_stop(&r, 0);
	collect(&r, &got);
	assert_int_equal(got.in, 24);
	assert_int_equal(got.out, 10);
	assert_int_equal(got.lost, 14);
	free(got.rows.group);
	rig_agent_close(&a);
	rig_close(&r);
}

/* A host whose clock is an hour wrong: rows and its ledger line are moved alike, rows say so. */
static void wrong_clocks_are_moved(void **state)
{
	struct flow_ledger line = {.interval_s = L, .rows_in = 1, .rows_out = 1};
	uint8_t p[WIRE_SIZE_MAX];
	struct rig_agent a;
	struct output got;
	struct rig r;

	rig_open(&r, &two_threads);
	rig_agent_open(&a, &r, "10.1.0.1", "h", 5);
	for (unsigned k = 0; k < 3; k++) {
		rig_until(&r, (T0 + L * (k + 1)) * US + 100000);
		one_row(&r, &a, T0 + L * k - 3600, 0, (struct flow_stats){.rows = 1});
	}
	line.interval = T0 + L * 2 - 3600;
	wire_build_open(a.build, WIRE_HEALTH, &a.head, NULL);
	assert_int_equal(wire_health_add(a.build, &line), 1);
	rig_datagram(&r, 0, &a.peer, p, rig_agent_finish(&a, r.now_us, p));
	rig_stop(&r, 0);
	collect(&r, &got);
	assert_int_equal(got.rows.n, 3);
	for (unsigned k = 0; k < 3; k++) {
		assert_int_equal(got.rows.group[k].interval, T0 + L * k);
		assert_int_equal(got.rows.group[k].flags, FLOW_CLOCK);
	}
	assert_int_equal(got.agent_lines, 1);
	assert_int_equal(got.agent_line.interval, T0 + L * 2);
	assert_int_equal(rig_counters(&r).clock_moved, 4);
	free(got.rows.group);
	rig_agent_close(&a);
	rig_close(&r);
}

static void say_line(struct rig *r, struct rig_agent *a, unsigned thread, uint32_t interval)
{
	struct flow_ledger line = {.interval = interval, .interval_s = L, .rows_in = 1, .rows_out = 1};
	uint8_t p[WIRE_SIZE_MAX];

	wire_build_open(a->build, WIRE_HEALTH, &a->head, NULL);
	assert_int_equal(wire_health_add(a->build, &line), 1);
	rig_datagram(r, thread, &a->peer, p, rig_agent_finish(a, r->now_us, p));
}

/* How often interval i of `n` after T0 has a line of the agent; more than once is fine, elsewhere is not. */
static void agent_lines(const struct rig *r, unsigned n, unsigned *ret)
{
	struct flow_msg *m = malloc(sizeof(*m));

	memset(ret, 0, n * sizeof(*ret));
	for (size_t i = 0; i < r->n_messages; i++) {
		rig_decode(r, i, m);
		if (m->type != FLOW_MSG_LEDGER || !str_eq(m->ledger.role, STR("agent")))
			continue;
		assert_in_range(m->ledger.interval, T0, T0 + L * (n - 1));
		ret[(m->ledger.interval - T0) / L]++;
	}
	free(m);
}

/* The process stood still for 58 intervals, more than any bound on lateness: its socket did not. */
static void a_stalled_collector_moves_nothing(void **state)
{
	enum { STALL = 58, N = 5 + STALL };
	unsigned lines[N];
	struct rig_agent a;
	struct output got;
	struct rig r;

	rig_open(&r, &two_threads);
	rig_agent_open(&a, &r, "10.1.0.1", "h", 5);
	for (unsigned k = 0; k < N; k++) {
		int64_t at = (T0 + L * (k + 1)) * US + 100000;

		if (k < 5)
			rig_until(&r, at);
		else
			r.now_us = (T0 + L * (N + 1)) * US; /* all is read in one go */
		r.at_us = at;
		one_row(&r, &a, T0 + L * k, 0, (struct flow_stats){.rows = 1});
		for (unsigned i = k > 23 ? k - 23 : 0; i <= k; i++) /* no ack comes: all lines again */
			say_line(&r, &a, 0, T0 + L * i);
	}
	rig_stop(&r, 0);
	collect(&r, &got);
	assert_int_equal(got.rows.n, N);
	for (unsigned k = 0; k < N; k++) {
		assert_int_equal(got.rows.group[k].interval, T0 + L * k);
		assert_int_equal(got.rows.group[k].flags, 0);
	}
	assert_int_equal(got.in, N);
	assert_int_equal(got.out, N);
	assert_int_equal(rig_counters(&r).clock_moved, 0);
	agent_lines(&r, N, lines);
	for (unsigned k = 0; k < N; k++)
		assert_in_range(lines[k], 1, 24);
	free(got.rows.group);
	rig_agent_close(&a);
	rig_close(&r);
}

/* A clock 100 s behind is set right between two sayings of a line, and the agent comes back under another sub-agent id: the
 * line stays where its rows went. */
static void a_line_said_again_stays(void **state)
{
	unsigned lines[20];
	struct rig_agent a;
	struct output got;
	struct rig r;

	rig_open(&r, &two_threads);
	rig_agent_open(&a, &r, "10.1.0.1", "h", 5);
	for (unsigned k = 0; k < 6; k++) {
		uint32_t interval = k < 3 ? T0 + L * k - 100 : T0 + L * k;

		rig_until(&r, (T0 + L * (k + 1)) * US + 100000);
		if (k == 4)
			a.sender = (struct wire_sender){.agent = a.sender.agent, .sub_agent = 8};
		one_row(&r, &a, interval, 0, (struct flow_stats){.rows = 1});
		for (unsigned i = 0; i <= k; i++)
			say_line(&r, &a, 0, i < 3 ? T0 + L * i - 100 : T0 + L * i);
	}
	rig_stop(&r, 0);
	collect(&r, &got);
	assert_int_equal(got.rows.n, 6);
	agent_lines(&r, 20, lines);
	for (unsigned k = 0; k < 20; k++)
		assert_int_equal(lines[k], k < 6 ? 6 - k : 0);
	free(got.rows.group);
	rig_agent_close(&a);
	rig_close(&r);
}

/* What is not ours, not whole, or of another fleet is counted by its reason; its neighbours count. */
static void refusals_have_reasons(void **state)
{
	struct rig_opts o = two_threads;
	struct rig_agent a, fast, other;
	struct counters_rx c;
	struct output got;
	struct rig r;
	struct trust_opts to = {.nets = {.v = {"prod"}, .n = 1}};
	char why[200];
	struct buf text;

	assert_int_equal(trust_new(&o.worker.trust, 64, o.threads, L), 0);
	assert_int_equal(trust_load(o.worker.trust, &to, why, sizeof(why)), 0);
	rig_open(&r, &o);
	rig_agent_open(&a, &r, "10.1.0.1", "h", 5);
	a.head.net = STR("prod");
	rig_agent_open(&fast, &r, "10.1.0.2", "h2", 6);
	fast.head.net = STR("prod");
	fast.head.interval_s = 1;
	rig_agent_open(&other, &r, "10.1.0.3", "h3", 7);
	rig_until(&r, (T0 + L) * US + 100000);
	one_row(&r, &a, T0, 0, (struct flow_stats){.rows = 1});
	one_row(&r, &fast, T0, 0, (struct flow_stats){.rows = 2});
	one_row(&r, &other, T0, 0, (struct flow_stats){.rows = 3});
	rig_datagram(&r, 0, &a.peer, "", 0);
	rig_datagram(&r, 0, &a.peer, "\0\0\0\4nonsense", 12);
	one_row(&r, &a, T0, 0, (struct flow_stats){.rows = 1});
	c = rig_counters(&r);
	assert_int_equal(c.rejected[COLLECTOR_REJECT_INTERVAL_LENGTH], 1);
	assert_int_equal(c.rejected[COLLECTOR_REJECT_NET], 1);
	assert_int_equal(c.rejected[WIRE_SHORT], 1);
	assert_int_equal(c.rejected[WIRE_VERSION], 1);
	assert_int_equal(c.refused_rows, 5);
	assert_int_equal(c.rows, 2);
	rig_until(&r, (T0 + 3 * L) * US);
	buf_init(&text, 0);
	publish_samples(r.publish, &text);
	assert_non_null(
		strstr(buf_text(&text), "{reason=\"version\",from=\"10.1.0.1\",bytes=\"000000046e6f6e73656e7365\"} "));
	assert_non_null(strstr(buf_text(&text), "{reason=\"short\",from=\"10.1.0.1\",bytes=\"\"} "));
	assert_null(strstr(buf_text(&text), "truncated"));
	buf_deinit(&text);
	rig_stop(&r, 0);
	collect(&r, &got);
	assert_int_equal(got.sum, 2);
	assert_int_equal(got.network_rows, 0);
	free(got.rows.group);
	rig_agent_close(&a);
	rig_agent_close(&fast);
	rig_agent_close(&other);
	rig_close(&r);
	trust_free(o.worker.trust);
}

static void agents_are_answered(void **state)
{
	struct rig_agent a, b;
	struct rig r;

	rig_open(&r, &two_threads);
	rig_agent_open(&a, &r, "10.1.0.1", "h", 5);
	rig_agent_open(&b, &r, "10.1.0.2", "h", 6);
	b.sender.sub_agent = 8;
	rig_until(&r, (T0 + L) * US + 100000);
	one_row(&r, &a, T0, 0, (struct flow_stats){.rows = 4});
	one_row(&r, &a, T0, 1, (struct flow_stats){.rows = 5}); /* by another thread */
	one_row(&r, &b, T0, 0, (struct flow_stats){.rows = 6});
	rig_until(&r, (T0 + 2 * L) * US + 100000);
	assert_int_equal(r.n_acks, 2);
	assert_int_equal(r.acks[0].ack.boot, 5);
	assert_int_equal(r.acks[0].ack.datagrams, 2);
	assert_int_equal(r.acks[0].ack.rows, 9);
	assert_int_equal(r.acks[0].ack.interval, T0);
	assert_int_equal(r.acks[0].ack.flags, 0);
	assert_true(ip_eq(&r.acks[0].to.ip, &a.peer.ip));
	assert_int_equal(r.acks[1].ack.sub_agent, 8);
	assert_int_equal(r.acks[1].ack.rows, 6);
	one_row(&r, &a, T0 + L, 0, (struct flow_stats){.rows = 1});
	rig_stop(&r, 0); /* b was not heard since: it is told as well */
	assert_int_equal(r.n_acks, 4);
	for (unsigned i = 2; i < 4; i++)
		assert_int_equal(r.acks[i].ack.flags, WIRE_ACK_STOPPING);
	assert_int_equal(r.acks[2].ack.rows + r.acks[3].ack.rows, 1);
	rig_agent_close(&a);
	rig_agent_close(&b);
	rig_close(&r);
}

static void hosts_and_listeners_pass(void **state)
{
	struct flow_host *h = calloc(1, sizeof(*h));
	struct flow_listener l = {.port = 80, .protocol = 6, .alive = 1, .names = services[0]};
	uint8_t p[WIRE_SIZE_MAX];
	struct rig_agent a;
	struct output got;
	unsigned parts;
	struct rig r;

	rig_open(&r, &two_threads);
	rig_agent_open(&a, &r, "10.1.0.1", "0123", 5);
	a.head.interval = T0;
	h->hostname = STR("box");
	h->kernel = STR("6.1");
	h->mode = STR("bpf");
	h->n_addresses = 200;
	for (unsigned i = 0; i < 200; i++)
		h->addresses[i] = (struct flow_address){.ip = address(i), .bits = 120, .netns = i};
	parts = wire_host_parts(a.build, h, &a.head, NULL);
	assert_true(parts > 1);
	for (unsigned i = parts; i-- > 0;) /* in any order */
		rig_datagram(&r, 0, &a.peer, p,
			     wire_host_put(a.build, h, i, &a.head, NULL, &a.sender, 0, p, sizeof(p)));
	rig_datagram(&r, 0, &a.peer, p, wire_host_put(a.build, h, 0, &a.head, NULL, &a.sender, 0, p, sizeof(p)));
	wire_build_open(a.build, WIRE_LISTENERS, &a.head, NULL);
	assert_int_equal(wire_listeners_add(a.build, &l), 1);
	rig_datagram(&r, 0, &a.peer, p, rig_agent_finish(&a, r.now_us, p));
	rig_stop(&r, 0);
	collect(&r, &got);
	assert_int_equal(got.hosts, 1); /* one part alone is no host */
	assert_int_equal(got.listeners, 1);
	assert_int_equal(got.host.n_addresses, 200);
	assert_true(str_eq(got.host.net, STR("")));
	assert_true(ip_eq(&got.host.agent, &a.peer.ip));
	free(got.rows.group);
	rig_agent_close(&a);
	rig_close(&r);
	free(h);
}

/* Rows in scopes of their own, and rows without a role. */
static void scopes_and_roles(void **state)
{
	static const struct {
		uint32_t scope;
		const char *text;
	} scopes[] = {{0, ""}, {1, "h9"}, {4026531840u, "h9/4026531840"}};
	struct flow_msg *m = malloc(sizeof(*m));
	unsigned found = 0;
	struct rig_agent a;
	struct rig r;

	rig_open(&r, &two_threads);
	rig_agent_open(&a, &r, "10.1.0.1", "h9", 5);
	rig_until(&r, (T0 + L) * US + 100000);
	for (unsigned i = 0; i < 3; i++) {
		struct wire_flow f = {.local = address(1),
				      .remote = address(2),
				      .port = 81,
				      .other_port = 5000,
				      .view = FLOW_VIEW_UNKNOWN,
				      .protocol = 6,
				      .scope = scopes[i].scope,
				      .names = &services[0]};
		struct flow_stats s = {.rows = 1 + i};
		uint8_t p[WIRE_SIZE_MAX];

		rig_datagram(&r, 0, &a.peer, p, rig_agent_flows(&a, T0, &f, &s, 1, r.now_us, p));
	}
	rig_stop(&r, 0);
	for (size_t i = 0; i < r.n_messages; i++) {
		rig_decode(&r, i, m);
		if (m->type != FLOW_MSG_ROW)
			continue;
		found++;
		assert_true(str_eq(m->row.conv.scope, str_from(scopes[m->row.stats.rows - 1].text)));
		assert_int_equal(m->row.view, FLOW_VIEW_UNKNOWN);
		assert_int_equal(m->row.flags, FLOW_NO_ROLE);
		assert_int_equal(m->row.conv.port, 81);
		assert_int_equal(m->row.conv.other_port, 5000);
	}
	assert_int_equal(found, 3);
	rig_agent_close(&a);
	rig_close(&r);
	free(m);
}

/* The wall clock is set back by an hour: closing goes on from there. */
static void a_clock_set_back_is_followed(void **state)
{
	struct rig_agent a;
	struct rig r;

	rig_open(&r, &two_threads);
	rig_agent_open(&a, &r, "10.1.0.1", "h", 5);
	rig_until(&r, (T0 + 5 * L) * US);
	r.now_us -= 3600 * US;
	r.step_us = r.now_us;
	rig_until(&r, r.now_us + 3 * (int64_t)L * US);
	one_row(&r, &a, T0 - 3600 + 7 * L, 0, (struct flow_stats){.rows = 1});
	rig_until(&r, r.now_us + 3 * (int64_t)L * US);
	assert_int_equal(publish_counters(r.publish)->rows_out, 1);
	assert_true(publish_closed(r.publish) < T0 - 3600 + 20 * L);
	rig_agent_close(&a);
	rig_close(&r);
}

/* The same while rows wait for a full bus: the intervals that come again have their markers. */
static void a_clock_set_back_is_marked(void **state)
{
	struct flow_msg *m = malloc(sizeof(*m));
	struct rig_opts o = two_threads;
	unsigned k, markers = 0;
	struct rig_agent a;
	uint32_t from;
	struct rig r;

	o.bus_bytes = 400000;
	o.partitions = 1;
	o.slow_group = "slow";
	rig_open(&r, &o);
	rig_agent_open(&a, &r, "10.1.0.1", "h", 5);
	for (k = 0; k < 100 && !publish_counters(r.publish)->bus_full; k++) {
		rig_until(&r, (T0 + L * (k + 1)) * US + 100000);
		forty_rows(&r, &a, T0 + L * k, 0);
	}
	assert_true(k < 100);
	r.now_us -= 3600 * US;
	r.step_us = r.now_us;
	from = (uint32_t)(r.now_us / US);
	for (k = 0; k < 20; k++) {
		rig_drain(&r);
		rig_until(&r, r.now_us + (int64_t)L * US);
	}
	for (size_t i = 0; i < r.n_messages; i++) {
		rig_decode(&r, i, m);
		markers += m->type == FLOW_MSG_MARKER && m->marker.interval >= from && m->marker.interval < T0 - 1800;
	}
	assert_in_range(markers, 10, 20);
	rig_stop(&r, US);
	rig_agent_close(&a);
	rig_close(&r);
	free(m);
}

/* A record whose head is broken: its reason is counted, its rows are lost, its datagram and its agent are not. */
static void an_unreadable_head_is_one_loss_of_rows(void **state)
{
	struct wire_flow f = {
		.local = address(1), .remote = address(2), .port = 80, .protocol = 6, .names = &services[0]};
	struct flow_stats s = {.rows = 3};
	struct rig_agent a;
	struct output got;
	uint8_t p[WIRE_SIZE_MAX];
	struct rig r;
	size_t n;

	rig_open(&r, &two_threads);
	rig_agent_open(&a, &r, "10.1.0.1", "h", 5);
	rig_until(&r, (T0 + L) * US + 100000);
	one_row(&r, &a, T0, 0, s);
	n = rig_agent_flows(&a, T0, &f, &s, 1, r.now_us, p);
	p[28 + 40 + 8 + 3] ^= 0x40; /* the record's version */
	rig_datagram(&r, 0, &a.peer, p, n);
	one_row(&r, &a, T0, 0, s);
	rig_stop(&r, 0);
	collect(&r, &got);
	assert_int_equal(rig_counters(&r).rejected[WIRE_VERSION], 1);
	assert_int_equal(got.in, 6);
	assert_int_equal(got.network_rows - got.found_rows, 3);
	assert_int_equal(publish_counters(r.publish)->lost_network_datagrams, 0);
	assert_int_equal(publish_counters(r.publish)->restarts, 0);
	assert_int_equal(r.n_acks, 1);
	assert_int_equal(r.acks[0].ack.datagrams, 2);
	assert_int_equal(r.acks[0].ack.rows, 6);
	free(got.rows.group);
	rig_agent_close(&a);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_are_those_of_a_naive_model),
		cmocka_unit_test(merged_intervals_keep_every_sum),
		cmocka_unit_test(merging_changes_nothing_for_agents),
		cmocka_unit_test(silence_is_marked),
		cmocka_unit_test(a_full_bus_is_folded_over),
		cmocka_unit_test(what_is_left_behind_is_counted),
		cmocka_unit_test(a_full_table_is_in_the_ledger),
		cmocka_unit_test(wrong_clocks_are_moved),
		cmocka_unit_test(a_stalled_collector_moves_nothing),
		cmocka_unit_test(a_line_said_again_stays),
		cmocka_unit_test(refusals_have_reasons),
		cmocka_unit_test(agents_are_answered),
		cmocka_unit_test(hosts_and_listeners_pass),
		cmocka_unit_test(scopes_and_roles),
		cmocka_unit_test(a_clock_set_back_is_followed),
		cmocka_unit_test(a_clock_set_back_is_marked),
		cmocka_unit_test(an_unreadable_head_is_one_loss_of_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/replay/world.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus.h"
#include "collector/publish.h"
#include "tests/replay/stages.h"
#include "wire/build.h"
#include "wire/host.h"
#include "wire/listeners.h"

#define ROWS_MAX 4096 /* waiting at one agent */
#define STEP_US 5000  /* time passes in steps of this */

struct waiting_row {
	struct wire_flow row;
	struct flow_names names;
	struct flow_stats stats;
	char *service, *via;
};

struct world_agent {
	struct wire_sender sender;
	char *name;
	uint64_t boot;
	char *net;
	struct waiting_row *rows;
	size_t n_rows;
};

struct world {
	struct world_opts opts;
	struct bus *bus;
	struct worker *worker;
	struct publish *publish;
	struct stages *stages;
	struct bus_reader *out;
	struct world_agent agents[WORLD_AGENTS];
	unsigned n_agents;
	int64_t now_us;
	/* what came out: messages as they were on the bus */
	struct buf *edges, *ledgers;
	size_t n_edges, n_ledgers;
	struct wire_build build; /* big */
	struct flow_msg msg;     /* big */
};

static void must(int r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "replay: %s: %s\n", what, strerror(-r));
		exit(2);
	}
}

static void open_collector(struct world *w)
{
	struct worker_opts wo = {
		.fold = {.max_rows = 1 << 14,
			 .max_names = 4096,
			 .max_strings = 16384,
			 .string_bytes = 1 << 18,
			 .max_roleless = 1 << 12},
		.max_agents = 64,
		.interval_s = w->opts.interval_s,
		.record_bytes = 1 << 20,
	};
	struct publish_opts po = {
		.bus = w->bus,
		.interval_s = w->opts.interval_s,
		.spread_ms = w->opts.spread_ms,
		.grace_ms = w->opts.grace_ms,
		.instance = "collector-1",
		.start_us = w->opts.start_us,
		.max_agents = 64,
		.no_ack = true,
		.workers = &w->worker,
		.n_workers = 1,
	};

	must(worker_new(&w->worker, &wo), "worker");
	must(publish_new(&w->publish, &po), "publish");
}

struct world *world_new(const struct world_opts *opts)
{
	static const enum bus_topic topics[] = {BUS_EDGES, BUS_LEDGER};
	struct bus_memory_opts bo = {.partitions = opts->partitions, .max_bytes = 64 << 20, .start_us = opts->start_us};
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		must(-ENOMEM, "world");
	w->opts = *opts;
	w->now_us = opts->start_us;
	must(bus_memory_open(&w->bus, &bo), "bus");
	must(bus_reader_open(&w->out, w->bus, NULL, topics, 2, NULL), "reader");
	w->stages = stages_new(w->bus, (uint64_t)opts->start_us);
	open_collector(w);
	return w;
}

static void free_messages(struct buf *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_deinit(&b[i]);
	free(b);
}

static void row_free(struct waiting_row *k)
{
	free(k->service);
	free(k->via);
}

void world_free(struct world *w)
{
	if (!w)
		return;
	publish_free(w->publish);
	worker_free(w->worker);
	stages_free(w->stages);
	bus_reader_close(w->out);
	bus_close(w->bus);
	for (unsigned i = 0; i < w->n_agents; i++) {
		for (size_t k = 0; k < w->agents[i].n_rows; k++)
			row_free(&w->agents[i].rows[k]);
		free(w->agents[i].rows);
		free(w->agents[i].name);
		free(w->agents[i].net);
	}
	free_messages(w->edges, w->n_edges);
	free_messages(w->ledgers, w->n_ledgers);
	free(w);
}

unsigned world_agent(struct world *w, const char *name, const struct ip *address, uint64_t boot, const char *net)
{
	struct world_agent *a = &w->agents[w->n_agents];

	*a = (struct world_agent){
		.sender = {.agent = *address}, .name = strdup(name), .net = strdup(net), .boot = boot};
	a->rows = calloc(ROWS_MAX, sizeof(*a->rows));
	if (!a->name || !a->rows)
		must(-ENOMEM, "agent");
	return w->n_agents++;
}

void world_restart(struct world *w, unsigned agent, uint64_t boot)
{
	struct world_agent *a = &w->agents[agent];

	a->sender = (struct wire_sender){.agent = a->sender.agent};
	a->boot = boot;
}

void world_row(struct world *w, unsigned agent, const struct wire_flow *row, const struct flow_stats *stats)
{
	struct world_agent *a = &w->agents[agent];
	struct waiting_row *k = &a->rows[a->n_rows];

	if (a->n_rows == ROWS_MAX)
		must(-ENOSPC, "rows");
	k->row = *row;
	k->names = *row->names;
	k->stats = *stats;
	k->service = strndup(row->names->service.p, row->names->service.n);
	k->names.service.p = k->service;
	k->via = strndup(row->names->via.n ? row->names->via.p : "", row->names->via.n);
	k->names.via.p = k->via;
	k->row.names = &k->names;
	a->n_rows++;
}

static struct wire_head head_of(const struct world *w, const struct world_agent *a, uint32_t interval)
{
	return (struct wire_head){.interval = interval - interval % w->opts.interval_s,
				  .interval_s = w->opts.interval_s,
				  .spread_ms = w->opts.spread_ms,
				  .boot = a->boot,
				  .net = str_from(a->net),
				  .host = str_from(a->name)};
}

void world_bytes(struct world *w, const struct ip *from, const void *p, size_t n, int64_t at_us)
{
	struct worker_packet packet = {.bytes = {p, n}, .peer = {.ip = *from, .port = 40000}, .at_us = at_us};

	world_until(w, at_us);
	worker_batch(w->worker, &packet, 1, w->now_us); /* later than at_us after a stall */
}

void world_stall(struct world *w, int64_t from_us, int64_t until_us)
{
	world_until(w, from_us);
	if (w->now_us < until_us)
		w->now_us = until_us;
}

static void deliver(struct world *w, const struct world_agent *a, const void *p, size_t n, int64_t at_us,
		    enum world_fate fate)
{
	must(n ? 0 : -EMSGSIZE, "datagram");
	if (fate != WORLD_LOST)
		world_bytes(w, &a->sender.agent, p, n, at_us);
	if (fate == WORLD_TWICE)
		world_bytes(w, &a->sender.agent, p, n, at_us);
}

void world_send(struct world *w, unsigned agent, uint32_t interval, int64_t at_us, enum world_fate fate)
{
	struct world_agent *a = &w->agents[agent];
	struct wire_head head = head_of(w, a, interval);
	uint8_t bytes[WIRE_SIZE];
	size_t i = 0;

	while (i < a->n_rows) {
		int r = 0;

		wire_build_open(&w->build, WIRE_FLOWS, &head, NULL);
		while (i < a->n_rows && (r = wire_flows_add(&w->build, &a->rows[i].row, &a->rows[i].stats)) > 0)
			row_free(&a->rows[i++]);
		must(r == -ENOSPC ? 0 : r, "row");
		deliver(w, a, bytes, wire_build_close(&w->build, &a->sender, 1000, 0, bytes, sizeof(bytes)), at_us,
			fate);
	}
	a->n_rows = 0;
}

void world_host(struct world *w, unsigned agent, const struct flow_host *h, uint32_t interval, int64_t at_us)
{
	struct world_agent *a = &w->agents[agent];
	struct wire_head head = head_of(w, a, interval);
	uint8_t bytes[WIRE_SIZE];
	size_t n = wire_host_put(&w->build, h, 0, &head, NULL, &a->sender, 1000, bytes, sizeof(bytes));

	deliver(w, a, bytes, n, at_us, WORLD_ARRIVES);
}

void world_listener(struct world *w, unsigned agent, const struct flow_listener *l, uint32_t interval, int64_t at_us)
{
	struct world_agent *a = &w->agents[agent];
	struct wire_head head = head_of(w, a, interval);
	uint8_t bytes[WIRE_SIZE];

	wire_build_open(&w->build, WIRE_LISTENERS, &head, NULL);
	must(wire_listeners_add(&w->build, l), "listener");
	deliver(w, a, bytes, wire_build_close(&w->build, &a->sender, 1000, 0, bytes, sizeof(bytes)), at_us,
		WORLD_ARRIVES);
}

static void keep(struct buf **all, size_t *n, const struct bus_msg *m)
{
	struct buf *grown = realloc(*all, (*n + 1) * sizeof(**all));

	if (!grown)
		must(-ENOMEM, "messages");
	*all = grown;
	buf_init(&grown[*n], 0);
	buf_put(&grown[*n], m->value, m->value_len);
	(*n)++;
}

static void collect(struct world *w)
{
	struct bus_msg msgs[64];
	int n;

	while ((n = bus_read(w->out, msgs, 64, 0)) > 0) {
		for (int i = 0; i < n; i++) {
			must(flow_msg_decode(msgs[i].value, msgs[i].value_len, &w->msg), "message");
			if (w->msg.type == FLOW_MSG_EDGE)
				keep(&w->edges, &w->n_edges, &msgs[i]);
			else if (w->msg.type == FLOW_MSG_LEDGER)
				keep(&w->ledgers, &w->n_ledgers, &msgs[i]);
		}
	}
	must(n, "reading");
}

void world_until(struct world *w, int64_t at_us)
{
	while (w->now_us < at_us) {
		w->now_us += at_us - w->now_us < STEP_US ? at_us - w->now_us : STEP_US;
		/* The publishing thread asks for a swap, the receive thread does it: here one after the other. */
		publish_step(w->publish, w->now_us);
		while (worker_poll(w->worker))
			publish_step(w->publish, w->now_us);
		stages_step(w->stages, w->now_us);
		collect(w);
	}
}

/* Decodes a kept message into w->msg. */
static void decode(struct world *w, const struct buf *b)
{
	must(flow_msg_decode(b->p, b->n, &w->msg), "message");
}

static bool same_edge(const struct flow_edge *e, const struct flow_edge_name *name, uint32_t interval)
{
	return str_eq(e->name.client_service, name->client_service) &&
	       str_eq(e->name.server_service, name->server_service) && e->name.port == name->port &&
	       (interval == 0 || e->interval == interval);
}

bool world_edge(struct world *w, const struct flow_edge_name *name, uint32_t interval, struct flow_edge *ret,
		unsigned *ret_rows)
{
	unsigned rows = 0;

	for (size_t i = 0; i < w->n_edges; i++) {
		decode(w, &w->edges[i]);
		if (!same_edge(&w->msg.edge, name, interval))
			continue;
		if (rows++ == 0) {
			*ret = w->msg.edge;
			continue;
		}
		for (unsigned v = 0; v < FLOW_VIEWS; v++)
			flow_stats_add(&ret->view[v], &w->msg.edge.view[v]);
		ret->observed |= w->msg.edge.observed;
		ret->flags |= w->msg.edge.flags;
	}
	*ret_rows = rows;
	return rows > 0;
}

size_t world_edges(const struct world *w)
{
	return w->n_edges;
}

static bool same_line(const struct flow_ledger *a, const struct flow_ledger *b)
{
	return a->interval == b->interval && str_eq(a->role, b->role) && str_eq(a->instance, b->instance);
}

/* Decodes line i into `line`; false when a later one of the same instance replaces it. */
static bool newest(struct world *w, size_t i, struct flow_ledger *line)
{
	decode(w, &w->ledgers[i]);
	*line = w->msg.ledger;
	for (size_t k = i + 1; k < w->n_ledgers; k++) {
		decode(w, &w->ledgers[k]);
		if (same_line(line, &w->msg.ledger))
			return false;
	}
	return true;
}

static void add_lost(struct flow_ledger *to, const struct flow_ledger *from)
{
	for (unsigned i = 0; i < from->n_lost; i++) {
		unsigned k;

		for (k = 0; k < to->n_lost && !str_eq(to->lost[k].name, from->lost[i].name); k++)
			;
		if (k == FLOW_LOSSES)
			continue;
		if (k == to->n_lost)
			to->lost[to->n_lost++] = (struct flow_count){from->lost[i].name, 0};
		to->lost[k].n += from->lost[i].n;
	}
}

bool world_ledger(struct world *w, struct str role, uint32_t interval, struct flow_ledger *ret)
{
	static struct flow_ledger line; /* big */
	bool found = false;

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < w->n_ledgers; i++) {
		if (!newest(w, i, &line) || !str_eq(line.role, role) || line.interval != interval)
			continue;
		ret->rows_in += line.rows_in;
		ret->rows_out += line.rows_out;
		add_lost(ret, &line);
		found = true;
	}
	return found;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A whole server on a memory bus and a free port, and edges for it. */
#pragma once

#include <stdio.h>

#include <jansson.h>

#include "server/server.h"
#include "tests/unit/http_rig.h"

struct world {
	char path[64];
	struct bus *bus;
	struct bus_producer *producer;
	struct server *server;
	struct server_opts opts;
	uint32_t now; /* an interval's start, some seconds ago */
};

static inline void rig_start(struct world *w)
{
	char why[256] = "";

	if (server_new(&w->server, &w->opts, why, sizeof(why)) || server_start(w->server, why, sizeof(why)))
		print_message("%s\n", why);
	assert_string_equal(why, "");
}

static inline int rig_setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	const struct bus_memory_opts bus = {.partitions = 2, .max_bytes = 16 << 20, .start_us = clock_wall_us()};

	strcpy(w->path, "/tmp/skyfall-rig-XXXXXX");
	assert_non_null(mkdtemp(w->path));
	assert_int_equal(bus_memory_open(&w->bus, &bus), 0);
	assert_int_equal(bus_producer_open(&w->producer, w->bus, NULL), 0);
	w->opts = server_defaults;
	w->opts.bus = w->bus;
	w->opts.data = w->path;
	w->opts.listen = "127.0.0.1:0";
	w->opts.instance = "here";
	w->opts.store = store_defaults;
	w->opts.store.interval_s = 1;
	w->opts.settle_ms = 400;
	rig_start(w);
	w->now = (uint32_t)(clock_wall_us() / 1000000) - 30;
	*state = w;
	return 0;
}

static inline int rig_teardown(void **state)
{
	struct world *w = *state;
	char cmd[128];

	server_free(w->server);
	bus_producer_close(w->producer);
	bus_close(w->bus);
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", w->path);
	assert_int_equal(system(cmd), 0);
	free(w);
	return 0;
}

/* client -> server, port 80. The names must live on. */
static inline struct flow_edge rig_edge(const char *client, const char *server, uint32_t interval, uint64_t revision,
					uint64_t bytes)
{
	struct flow_edge e = {.interval = interval, .interval_s = 1, .revision = revision, .observed = 3};

	e.name.client_service = str_from(client);
	e.name.server_service = str_from(server);
	e.name.port = 80;
	e.name.protocol = 6;
	e.id = flow_edge_id(&e.name);
	e.view[FLOW_VIEW_CLIENT].tx_bytes = bytes;
	e.view[FLOW_VIEW_CLIENT].rows = 1;
	return e;
}

static inline void rig_produce(struct world *w, enum bus_topic t, uint64_t key, enum flow_msg_type type,
			       const void *record)
{
	struct buf b;

	buf_init(&b, 0);
	flow_msg_encode(&b, type, record);
	assert_int_equal(b.err, 0);
	assert_int_equal(bus_produce(w->producer, t, bus_partition(w->bus, t, key), &key, sizeof(key), b.p, b.n), 0);
	buf_deinit(&b);
}

static inline void rig_store(struct world *w, const struct flow_edge *e)
{
	rig_produce(w, BUS_EDGES, e->id, FLOW_MSG_EDGE, e);
}

/* Until so many edge rows were written since the server started. */
static inline void rig_written(struct world *w, uint64_t edges)
{
	int64_t until = clock_mono_us() + RIG_US;
	struct server_stats s;

	do {
		(void)poll(NULL, 0, 1);
		server_stats(w->server, &s);
	} while (s.edges < edges && clock_mono_us() < until);
	assert_int_equal(s.edges, edges);
}

/* The status; the body in `b`. headers: as rig_open() takes them. */
static inline int rig_ask(struct world *w, const char *method, const char *path, const char *headers, struct buf *b)
{
	char *head, all[256];
	struct rig c;
	int status;

	buf_clear(b);
	snprintf(all, sizeof(all), "Connection: close\r\n%s", headers);
	rig_open(&c, server_url(w->server), method, path, all, 0);
	status = rig_head(&c, &head);
	while (rig_more(&c))
		;
	buf_put(b, c.in.p + c.at, c.in.n - c.at);
	(void)buf_text(b);
	rig_close(&c);
	return status;
}

static inline int rig_get(struct world *w, const char *path, struct buf *b)
{
	return rig_ask(w, "GET", path, "", b);
}

/* The answer, which must have this status and be JSON. To be json_decref()ed. */
static inline json_t *rig_json(struct world *w, const char *path, int expected)
{
	struct buf b;
	json_t *root;
	int status;

	buf_init(&b, 0);
	status = rig_get(w, path, &b);
	root = json_loads(buf_text(&b), 0, NULL);
	if (status != expected || !root)
		print_message("%s: %d %.300s\n", path, status, buf_text(&b));
	assert_int_equal(status, expected);
	assert_non_null(root);
	buf_deinit(&b);
	return root;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/roles.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define ROLES_PARTITIONS 4
#define ROLES_BUS_BYTES (256u << 20)
#define ROLES_MARGIN_MS 1000 /* for graph and store, after the collector has published */

static void roles_collector_metrics(void *arg, struct buf *b)
{
	collector_metrics(arg, b);
}

static void roles_graph_metrics(void *arg, struct buf *b)
{
	graph_metrics(arg, b);
}

static int roles_inventory(struct roles *r, const struct roles_opts *opts, char *why, size_t why_len)
{
	if (opts->inventory)
		return inventory_load(&r->inventory, opts->inventory, why, why_len);
	if (opts->inventory_text)
		return inventory_parse(&r->inventory, "built-in", opts->inventory_text, strlen(opts->inventory_text),
				       why, why_len);
	return 0;
}

static int roles_server(struct roles *r, const struct roles_opts *opts, char *why, size_t why_len)
{
	struct server_opts so = server_defaults;
	uint32_t tenth = opts->interval_ms / 10;

	so.bus = r->bus;
	so.data = opts->data;
	so.listen = opts->listen;
	so.web_root = opts->web_root;
	so.instance = r->instance;
	so.store = store_defaults;
	so.store.interval_s = opts->collector.fold_s; /* as rows come */
	so.settle_ms = opts->spread_ms + (tenth > 100 ? tenth : 100) + opts->collector.fold_s * 500u + ROLES_MARGIN_MS;
	return server_new(&r->server, &so, why, why_len);
}

static int roles_graph(struct roles *r, char *why, size_t why_len)
{
	struct graph_opts go = {.bus = r->bus,
				.inv = r->inventory,
				.instance = r->instance,
				.boot = (uint64_t)clock_wall_us(),
				.flush_on_stop = true};
	int e = graph_new(&r->graph, &go);

	if (e < 0)
		snprintf(why, why_len, "cannot start the graph: %s", strerror(-e));
	return e;
}

static int roles_collector(struct roles *r, const struct roles_opts *opts, char *why, size_t why_len)
{
	struct collector_opts co = opts->collector;
	char reason[256], address[IP_TEXT];
	struct ip loopback;
	int e = ip_resolve(opts->sflow, COLLECTOR_PORT, &co.listen, &co.port, reason, sizeof(reason));

	if (e < 0) {
		snprintf(why, why_len, "--sflow: %s", reason);
		return e;
	}
	/* One receives what a rack of hosts sends; each has tables of its own. */
	co.threads = co.threads ? co.threads : 1;
	co.spread_ms = opts->spread_ms;
	co.instance = r->instance;
	co.bus = r->bus;
	e = collector_new(&r->collector, &co, why, why_len);
	if (e < 0) {
		size_t n = strlen(why);

		snprintf(why + n, why_len - n, " (--sflow)");
		return e;
	}
	loopback = co.listen;
	if (ip_is_zero(&loopback))
		(void)ip_parse("127.0.0.1", &loopback);
	ip_format(&loopback, address);
	snprintf(r->sflow_address, sizeof(r->sflow_address), ip_is_v4(&loopback) ? "%s:%u" : "[%s]:%u", address,
		 collector_port(r->collector));
	return 0;
}

/* Readers join the bus before anybody writes to it. */
static int roles_new(struct roles *r, const struct roles_opts *opts, char *why, size_t why_len)
{
	struct bus_memory_opts bo = {
		.partitions = ROLES_PARTITIONS, .max_bytes = ROLES_BUS_BYTES, .start_us = clock_wall_us()};
	int e;

	if (gethostname(r->instance, sizeof(r->instance) - 1) < 0 || !r->instance[0])
		strcpy(r->instance, "localhost");
	e = roles_inventory(r, opts, why, why_len);
	if (e < 0)
		return e;
	e = bus_memory_open(&r->bus, &bo);
	if (e < 0) {
		snprintf(why, why_len, "cannot make the memory bus: %s", strerror(-e));
		return e;
	}
	e = roles_server(r, opts, why, why_len);
	if (e == 0)
		e = roles_graph(r, why, why_len);
	if (e == 0)
		e = roles_collector(r, opts, why, why_len);
	return e;
}

int roles_start(struct roles *r, const struct roles_opts *opts, char *why, size_t why_len)
{
	int e;

	*r = (struct roles){0};
	e = roles_new(r, opts, why, why_len);
	if (e < 0)
		goto out;
	e = server_add_metrics(r->server, roles_collector_metrics, r->collector);
	if (e == 0)
		e = server_add_metrics(r->server, roles_graph_metrics, r->graph);
	if (e == 0)
		e = server_start(r->server, why, why_len);
	if (e < 0)
		goto out;
	e = graph_start(r->graph);
	if (e == 0)
		e = collector_start(r->collector);
	if (e < 0)
		snprintf(why, why_len, "cannot start threads: %s", strerror(-e));
out:
	if (e < 0)
		roles_stop(r);
	return e;
}

int roles_reload(struct roles *r, const struct roles_opts *opts, char *why, size_t why_len)
{
	struct inventory *inv = NULL;
	int e = opts->inventory ? inventory_load(&inv, opts->inventory, why, why_len) : 0;

	if (e == 0)
		e = collector_trust(r->collector, &opts->collector.trust, why, why_len);
	if (e < 0)
		inventory_free(inv);
	else if (inv)
		graph_inventory(r->graph, inv);
	return e;
}

void roles_drain(struct roles *r)
{
	if (r->collector)
		collector_stop(r->collector);
	if (r->graph)
		graph_stop(r->graph);
}

void roles_stop(struct roles *r)
{
	roles_drain(r);
	if (r->server)
		server_stop(r->server);
	collector_free(r->collector);
	graph_free(r->graph);
	server_free(r->server);
	if (r->bus)
		bus_close(r->bus);
	inventory_free(r->inventory);
	*r = (struct roles){0};
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/replay/stages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/stages.h"

struct stages {
	struct hosts *hosts;
	struct bus_reader *hosts_reader;
	struct pair pair;
	struct window *pairs, *edges;
};

static void must(int r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "replay: %s: %s\n", what, strerror(-r));
		exit(2);
	}
}

static struct window *open_window(struct bus *bus, const struct window_stage *stage, void *arg, const char *group,
				  unsigned n_expect, uint64_t boot)
{
	struct window_opts o = {.bus = bus,
				.stage = stage,
				.arg = arg,
				.group = group,
				.instance = "graph-1",
				.boot = boot,
				.max_entries = 100000,
				.expect = n_expect ? "flows" : NULL,
				.n_expect = n_expect};
	struct window *w;

	must(window_new(&w, &o), group);
	return w;
}

struct stages *stages_new(struct bus *bus, uint64_t boot)
{
	static const enum bus_topic topic = BUS_HOSTS;
	struct stages *s = calloc(1, sizeof(*s));

	if (!s)
		must(-1, "stages");
	must(hosts_new(&s->hosts), "hosts");
	must(bus_reader_open(&s->hosts_reader, bus, NULL, &topic, 1, NULL), "hosts reader");
	must(pair_init(&s->pair, bus, s->hosts, NULL), "pair");
	s->pairs = open_window(bus, &pair_stage, &s->pair, "graph-pair", 0, boot);
	s->edges = open_window(bus, &edge_stage, bus, "graph-edge", bus_partitions(bus, BUS_FLOWS), boot);
	return s;
}

void stages_free(struct stages *s)
{
	window_free(s->edges);
	window_free(s->pairs);
	pair_deinit(&s->pair);
	bus_reader_close(s->hosts_reader);
	hosts_free(s->hosts);
	free(s);
}

void stages_step(struct stages *s, int64_t now_us)
{
	struct bus_msg msgs[64];
	int n;

	while ((n = bus_read(s->hosts_reader, msgs, 64, 0)) > 0)
		for (int i = 0; i < n; i++)
			must(hosts_put(s->hosts, (struct str){msgs[i].key, msgs[i].key_len}, msgs[i].value,
				       msgs[i].value_len),
			     "host record");
	while ((n = window_step(s->pairs, now_us, 0)) > 0)
		;
	must(n, "pair stage");
	while ((n = window_step(s->edges, now_us, 0)) > 0)
		;
	must(n, "edge stage");
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/bus.h"
#include "cli/cmd.h"
#include "cli/role.h"
#include "graph/graph.h"

#define METRICS_MS 1000

struct graph_conf {
	const char *bus, *config, *inventory, *name, *metrics;
	uint64_t entries;
	bool json, quiet;
};

#define AT(member) .offset = offsetof(struct graph_conf, member)

static const struct opt graph_options[] = {
	{.name = "bus", .type = OPT_STRING, AT(bus), .arg = "KIND", .help = BUS_OPTION_HELP},
	{.name = "bus-config", .type = OPT_STRING, AT(config), .arg = "FILE", .help = BUS_CONFIG_HELP},
	{.name = "inventory",
	 .type = OPT_STRING,
	 AT(inventory),
	 .arg = "FILE",
	 .help = "whose addresses are whose (YAML)"},
	{.name = "name",
	 .type = OPT_STRING,
	 AT(name),
	 .arg = "NAME",
	 .help = "what it calls itself, no two graphs alike; default the host's name"},
	{.name = "entries",
	 .type = OPT_UINT,
	 AT(entries),
	 .arg = "N",
	 .help = "conversations, ends and edges a stage holds before it stops reading; default 1000000",
	 .min = 1000,
	 .max = 1 << 30},
	{.name = "metrics",
	 .type = OPT_STRING,
	 AT(metrics),
	 .arg = "FILE",
	 .help = "all counters there as Prometheus text, anew each second and at the end"},
	{.name = "json", .letter = 'j', .type = OPT_FLAG, AT(json), .help = "on standard output a line when it reads"},
	{.name = "quiet", .letter = 'q', .type = OPT_FLAG, AT(quiet), .help = "say nothing but errors"},
	{0},
};

const struct opt_command graph_command = {
	.name = "graph",
	.summary = "the graph alone, on a Kafka bus",
	.args = "",
	.about =
		"Joins both ends of each conversation and sums conversations into edges between services. Several share the\n"
		"partitions; what one has not committed when it ends the others do.",
	.opts = graph_options,
	.conf_size = sizeof(struct graph_conf),
};

struct graph_role {
	const struct graph_conf *conf;
	struct inventory *inventory;
	struct role_bus watch;
	struct graph *graph;
};

static void graph_fill(void *arg, struct buf *b)
{
	struct graph_role *r = arg;

	graph_metrics(r->graph, b);
	bus_metrics(r->watch.bus, b);
}

/* Until a signal ends it. */
static void graph_wait(struct graph_role *r, int signals)
{
	struct pollfd p = {.fd = signals, .events = POLLIN};
	struct signalfd_siginfo s;

	for (;;) {
		if (poll(&p, 1, METRICS_MS) > 0 && read(signals, &s, sizeof(s)) == sizeof(s) && s.ssi_signo != SIGHUP)
			return;
		if (r->conf->metrics)
			role_metrics(r->conf->metrics, graph_fill, r);
		role_watch(&r->watch, clock_mono_us());
	}
}

static int graph_open(struct graph_role *r, char *why, size_t why_len)
{
	struct graph_opts opts = {.boot = (uint64_t)clock_wall_us(), .max_entries = r->conf->entries};
	char host[128] = "";
	int e = 0;

	if (gethostname(host, sizeof(host) - 1) < 0 || !host[0])
		strcpy(host, "localhost");
	if (r->conf->inventory)
		e = inventory_load(&r->inventory, r->conf->inventory, why, why_len);
	if (e == 0)
		e = bus_open_kafka(&r->watch.bus, r->conf->bus, r->conf->config, why, why_len);
	if (e < 0)
		return e;
	opts.bus = r->watch.bus;
	opts.inv = r->inventory;
	opts.instance = r->conf->name ? r->conf->name : host;
	e = graph_new(&r->graph, &opts);
	if (e == 0)
		e = graph_start(r->graph);
	if (e < 0)
		snprintf(why, why_len, "cannot start: %s", strerror(-e));
	return e;
}

int cmd_graph(int argc, char **argv)
{
	struct graph_conf conf = {0};
	struct graph_role role = {.conf = &conf};
	char **args, why[1024] = "";
	int n, signals, r = opt_parse(CMD_PROGRAM " graph", &graph_command, argc, argv, &conf, &args, &n);

	if (r)
		return r == OPT_HELP ? CMD_OK : CMD_USAGE;
	if (!bus_brokers(conf.bus)) {
		fprintf(stderr, CMD_PROGRAM
			" graph: --bus kafka:HOST:PORT says where the brokers are; on one machine `" CMD_PROGRAM
			" run` needs none\n");
		return CMD_USAGE;
	}
	log_set(conf.quiet ? LOG_ERROR : LOG_INFO, CMD_PROGRAM);
	signals = role_signals();
	r = graph_open(&role, why, sizeof(why));
	if (r == 0) {
		if (conf.json)
			printf("{\"pid\":%d}\n", (int)getpid());
		fflush(stdout);
		graph_wait(&role, signals);
		graph_stop(role.graph);
		if (conf.metrics)
			role_metrics(conf.metrics, graph_fill, &role);
	} else {
		fprintf(stderr, CMD_PROGRAM " graph: %s\n", why);
	}
	graph_free(role.graph);
	if (role.watch.bus)
		bus_close(role.watch.bus);
	inventory_free(role.inventory);
	close(signals);
	return r < 0 ? CMD_FAILED : CMD_OK;
}

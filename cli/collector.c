/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/bus.h"
#include "cli/cmd.h"
#include "cli/out.h"
#include "cli/receive.h"
#include "cli/role.h"
#include "cli/run.h"
#include "collector/collector.h"

#define BUS_PARTITIONS 4
#define METRICS_MS 1000

struct collector_conf {
	const char *sflow, *bus, *bus_config, *out, *metrics, *name;
	uint32_t interval_ms, spread_ms, for_ms;
	uint64_t rows, agents, rcvbuf, bus_bytes;
	struct receive_conf receive;
	bool no_ack, json, quiet;
};

#define AT(member) .offset = offsetof(struct collector_conf, member)

static const struct opt collector_options[] = {
	{.type = OPT_GROUP, .help = "Where from, where to"},
	{.name = "sflow",
	 .type = OPT_STRING,
	 AT(sflow),
	 .arg = "HOST:PORT",
	 .help = "UDP address for agents, port 0: any; default :6343"},
	{.name = "bus",
	 .type = OPT_STRING,
	 AT(bus),
	 .arg = "KIND",
	 .help = "where rows go: memory (only to --out), or " BUS_OPTION_HELP},
	{.name = "bus-config", .type = OPT_STRING, AT(bus_config), .arg = "FILE", .help = BUS_CONFIG_HELP},
	{.name = "out",
	 .letter = 'o',
	 .type = OPT_STRING,
	 AT(out),
	 .arg = "FILE",
	 .help = "every message as a JSON line there (- standard output), or 'none': counted and let go"},
	{.name = "net",
	 .type = OPT_LIST,
	 AT(receive.trust.nets),
	 .arg = "NAME",
	 .help = "only agents of this address space (again for more)"},
	{.name = "no-ack", .type = OPT_FLAG, AT(no_ack), .help = "never answer agents"},
	{.name = "name",
	 .type = OPT_STRING,
	 AT(name),
	 .arg = "NAME",
	 .help = "what it calls itself in markers and ledger; default HOST:PORT"},
	{.type = OPT_GROUP, .help = "Who is believed, what is taken (SIGHUP reads the files again)"},
	RECEIVE_TRUST(struct collector_conf, receive),
	{.type = OPT_GROUP, .help = "When, how much"},
	OPT_INTERVAL(struct collector_conf, interval_ms, "the fleet's interval; default 10s"),
	{.name = "spread",
	 .type = OPT_TIME,
	 AT(spread_ms),
	 .arg = "TIME",
	 .help = "agents send during so long after an interval, until they say it; default 0.8 of it",
	 .min = 1},
	RECEIVE_FOLD(struct collector_conf, receive),
	RECEIVE_THREADS(struct collector_conf, receive, "one a CPU"),
	{.name = "rows",
	 .type = OPT_UINT,
	 AT(rows),
	 .arg = "N",
	 .help = "bound on the folded rows of a thread; default 65536",
	 .min = 1,
	 .max = 64 << 20},
	{.name = "agents",
	 .type = OPT_UINT,
	 AT(agents),
	 .arg = "N",
	 .help = "bound on the agents a thread follows; default 16384",
	 .min = 1,
	 .max = 16 << 20},
	{.name = "rcvbuf",
	 .type = OPT_SIZE,
	 AT(rcvbuf),
	 .arg = "BYTES",
	 .help = "receive buffer asked for, a socket; default 8M, doubled up to 128M when datagrams are dropped",
	 .min = 4096,
	 .max = 1 << 30},
	{.name = "bus-bytes",
	 .type = OPT_SIZE,
	 AT(bus_bytes),
	 .arg = "BYTES",
	 .help = "kept on the bus inside the process; default 256M",
	 .min = 1 << 20,
	 .max = 1ull << 36},
	{.name = "for", .type = OPT_TIME, AT(for_ms), .arg = "TIME", .help = "stop by itself after so long", .min = 1},
	{.type = OPT_GROUP, .help = "What is said"},
	{.name = "metrics",
	 .type = OPT_STRING,
	 AT(metrics),
	 .arg = "FILE",
	 .help = "all counters there as Prometheus text, anew each second and at the end"},
	{.name = "json",
	 .letter = 'j',
	 .type = OPT_FLAG,
	 AT(json),
	 .help = "on standard output a line when it listens, and one at the end: totals, CPU time"},
	{.name = "quiet", .letter = 'q', .type = OPT_FLAG, AT(quiet), .help = "say nothing but errors"},
	{0},
};

const struct opt_command collector_command = {
	.name = "collector",
	.summary = "the collector alone: its messages to a Kafka bus or a file",
	.args = "",
	.about =
		"Receives what agents send, folds it, and writes the messages to --bus kafka:..., or without a bus to --out.\n"
		"Ctrl-C stops it in order: what was received is written, every interval gets its markers.",
	.opts = collector_options,
	.conf_size = sizeof(struct collector_conf),
};

struct role {
	const struct collector_conf *conf;
	struct role_bus watch;
	struct collector *collector;
	struct out *out;
	int signals;
};

static int collector_say(const char *why)
{
	fprintf(stderr, CMD_PROGRAM " collector: %s\n", why);
	return CMD_FAILED;
}

static int collector_bus(struct role *r, char *why, size_t why_len)
{
	struct bus_memory_opts bo = {
		.partitions = BUS_PARTITIONS, .max_bytes = r->conf->bus_bytes, .start_us = clock_wall_us()};
	int e;

	if (r->conf->bus && strcmp(r->conf->bus, "memory"))
		return bus_open_kafka(&r->watch.bus, r->conf->bus, r->conf->bus_config, why, why_len);
	e = bus_memory_open(&r->watch.bus, &bo);
	if (e < 0)
		snprintf(why, why_len, "cannot make the memory bus: %s", strerror(-e));
	return e;
}

static int collector_open(struct role *r, const struct collector_opts *co, char *why, size_t why_len)
{
	struct collector_opts opts = *co;
	int e = collector_bus(r, why, why_len);

	if (e < 0)
		return e;
	opts.bus = r->watch.bus;
	if (r->conf->out && strcmp(r->conf->out, "none"))
		e = out_new(&r->out, opts.bus, r->conf->out, why, why_len);
	if (e == 0)
		e = collector_new(&r->collector, &opts, why, why_len);
	if (e == 0) {
		e = collector_start(r->collector);
		snprintf(why, why_len, "cannot start threads: %s", strerror(-e));
	}
	return e;
}

static void collector_fill(void *arg, struct buf *b)
{
	struct role *r = arg;

	collector_metrics(r->collector, b);
	bus_metrics(r->watch.bus, b);
}

static void collector_metrics_file(struct role *r)
{
	if (r->conf->metrics)
		role_metrics(r->conf->metrics, collector_fill, r);
	role_watch(&r->watch, clock_mono_us());
}

static void collector_reload(struct role *r)
{
	char why[512];

	if (collector_trust(r->collector, &r->conf->receive.trust, why, sizeof(why)) < 0)
		log_error("not reloaded, everything stays as it was: %s", why);
	else
		log_info("reloaded");
}

/* True when that signal ends it. */
static bool collector_signal(struct role *r)
{
	struct signalfd_siginfo s;

	if (read(r->signals, &s, sizeof(s)) != sizeof(s))
		return false;
	if (s.ssi_signo != SIGHUP)
		return true;
	collector_reload(r);
	return false;
}

static void collector_wait(struct role *r)
{
	int64_t end_us = r->conf->for_ms ? clock_mono_us() + (int64_t)r->conf->for_ms * 1000 : INT64_MAX;
	struct pollfd p = {.fd = r->signals, .events = POLLIN};
	int64_t now_us;

	while ((now_us = clock_mono_us()) < end_us) {
		int64_t left = (end_us - now_us) / 1000 + 1;

		if (poll(&p, 1, left < METRICS_MS ? (int)left : METRICS_MS) > 0 && collector_signal(r))
			return;
		collector_metrics_file(r);
	}
}

static int64_t collector_us(struct timeval t)
{
	return (int64_t)t.tv_sec * 1000000 + t.tv_usec;
}

static void collector_totals(struct role *r)
{
	struct collector_stats s;
	struct rusage u;

	collector_stats(r->collector, &s);
	getrusage(RUSAGE_SELF, &u);
	printf("{\"datagrams\":%llu,\"rows_in\":%llu,\"rows_out\":%llu,\"rows_lost\":%llu,\"messages\":%llu,"
	       "\"rejected\":%llu,\"kernel_drops\":%llu,\"user_us\":%lld,\"system_us\":%lld,\"rss_max_kib\":%ld}\n",
	       (unsigned long long)s.datagrams, (unsigned long long)s.rows_in, (unsigned long long)s.rows_out,
	       (unsigned long long)s.rows_lost, (unsigned long long)s.messages, (unsigned long long)s.rejected,
	       (unsigned long long)s.kernel_drops, (long long)collector_us(u.ru_utime),
	       (long long)collector_us(u.ru_stime), u.ru_maxrss);
}

static int collector_run(struct role *r, const struct collector_opts *co)
{
	char why[512];
	int e = collector_open(r, co, why, sizeof(why));

	if (e < 0) {
		e = collector_say(why);
		goto out;
	}
	if (r->conf->json) {
		printf("{\"sflow_port\":%u,\"pid\":%d}\n", collector_port(r->collector), (int)getpid());
		fflush(stdout);
	}
	collector_wait(r);
	collector_stop(r->collector);
	collector_metrics_file(r);
	if (r->conf->json)
		collector_totals(r);
	e = CMD_OK;
out:
	collector_free(r->collector);
	if (out_free(r->out) < 0)
		e = collector_say("--out: not everything could be written");
	if (r->watch.bus)
		bus_close(r->watch.bus);
	return e;
}

static bool collector_check(struct collector_conf *c, struct collector_opts *co, char *why, size_t why_len)
{
	char reason[256];

	if (!opt_interval_ok(c->interval_ms)) {
		snprintf(why, why_len, OPT_INTERVAL_RULE);
		return false;
	}
	if (!c->spread_ms)
		c->spread_ms = c->interval_ms / 5 * 4;
	if (c->spread_ms > c->interval_ms) {
		snprintf(why, why_len, "--spread must not be longer than the interval");
		return false;
	}
	if (receive_check(&c->receive, c->interval_ms, co, why, why_len) < 0)
		return false;
	if (ip_resolve(c->sflow, COLLECTOR_PORT, &co->listen, &co->port, reason, sizeof(reason)) < 0) {
		snprintf(why, why_len, "--sflow: %s", reason);
		return false;
	}
	co->spread_ms = c->spread_ms;
	co->instance = c->name;
	co->max_rows = (uint32_t)c->rows;
	co->max_agents = (uint32_t)c->agents;
	co->rcvbuf = c->rcvbuf;
	co->no_ack = c->no_ack;
	return true;
}

int cmd_collector(int argc, char **argv)
{
	struct collector_opts co = collector_defaults;
	struct collector_conf conf = {.sflow = ":6343",
				      .interval_ms = 10000,
				      .rows = co.max_rows,
				      .agents = co.max_agents,
				      .bus_bytes = 256 << 20};
	struct role role = {.conf = &conf};
	char **args, why[512];
	int n, r = opt_parse(CMD_PROGRAM " collector", &collector_command, argc, argv, &conf, &args, &n);

	if (r)
		return r == OPT_HELP ? CMD_OK : CMD_USAGE;
	if (!collector_check(&conf, &co, why, sizeof(why))) {
		(void)collector_say(why);
		return CMD_USAGE;
	}
	if (!conf.out && !bus_brokers(conf.bus))
		return collector_say(
			"has nobody to hand rows to: --bus kafka:HOST:PORT, a file with --out, or `" CMD_PROGRAM
			" run --no-agent`");
	log_set(conf.quiet ? LOG_ERROR : LOG_INFO, CMD_PROGRAM);
	role.signals = role_signals();
	run_open_files();
	r = collector_run(&role, &co);
	close(role.signals);
	return r;
}

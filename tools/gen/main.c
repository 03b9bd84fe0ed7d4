/* SPDX-License-Identifier: Apache-2.0 */
/* skyfall-gen: the agents of a fleet that is not there (tools/gen/fleet.h), and the truth of what they sent. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/opt.h"
#include "tools/gen/emit.h"

#define GEN_PAST_AFTER 3 /* intervals */
#define GEN_PAST 8       /* a collector takes what is at most 12 intervals late (collector/clock.h) */
#define GEN_INTRODUCE_S 60

struct gen_conf {
	uint64_t hosts, services, edges, zones, seed, intervals, past, late;
	uint32_t interval_ms, spread_ms;
	const char *collector, *truth, *inventory, *net, *start;
	bool odd_names, man, quiet;
};

#define AT(member) .offset = offsetof(struct gen_conf, member)

static const struct opt gen_opts[] = {
	{.type = OPT_GROUP, .help = "The fleet"},
	{.name = "hosts",
	 .type = OPT_UINT,
	 AT(hosts),
	 .arg = "N",
	 .help = "hosts; default 20",
	 .min = 1,
	 .max = FLEET_HOSTS},
	{.name = "services",
	 .type = OPT_UINT,
	 AT(services),
	 .arg = "N",
	 .help = "services; default 40",
	 .min = 2,
	 .max = 1000000},
	{.name = "edges",
	 .type = OPT_UINT,
	 AT(edges),
	 .arg = "N",
	 .help = "who calls whom: so many pairs of services; default 120",
	 .min = 1,
	 .max = 10000000},
	{.name = "zones",
	 .type = OPT_UINT,
	 AT(zones),
	 .arg = "N",
	 .help = "zones; default 3",
	 .min = 1,
	 .max = FLEET_ZONES},
	{.name = "seed", .type = OPT_UINT, AT(seed), .arg = "N", .help = "another one is another fleet; default 1"},
	{.name = "net",
	 .type = OPT_STRING,
	 AT(net),
	 .arg = "NAME",
	 .help = "its address space; default none",
	 .empty = true},
	{.name = "odd-names",
	 .type = OPT_FLAG,
	 AT(odd_names),
	 .help = "HTML, right-to-left text, 4 KiB and more as names"},
	{.name = "inventory",
	 .type = OPT_STRING,
	 AT(inventory),
	 .arg = "FILE",
	 .help = "write the zones there, for `skyfall run --inventory`; the truth names zones then"},
	{.type = OPT_GROUP, .help = "What is sent, and when"},
	{.name = "collector",
	 .letter = 'c',
	 .type = OPT_STRING,
	 AT(collector),
	 .arg = "HOST:PORT",
	 .help = "where to; default 127.0.0.1:6343"},
	OPT_INTERVAL(struct gen_conf, interval_ms, "length of an interval, divides 60s; default 1s"),
	{.name = "spread",
	 .type = OPT_TIME,
	 AT(spread_ms),
	 .arg = "TIME",
	 .help = "send during so long after an interval; default 0.2 of it",
	 .min = 1},
	{.name = "intervals",
	 .letter = 'n',
	 .type = OPT_UINT,
	 AT(intervals),
	 .arg = "N",
	 .help = "end after so many; default: go on",
	 .max = UINT32_MAX},
	{.name = "start",
	 .type = OPT_STRING,
	 AT(start),
	 .arg = "now|TIME",
	 .help = "begin of the first interval, in seconds since 1970; default now"},
	{.name = "past",
	 .type = OPT_UINT,
	 AT(past),
	 .arg = "N",
	 .help = "after 3 intervals also send so many from before the first (a collector takes no older ones); default 0",
	 .max = GEN_PAST},
	{.name = "late",
	 .type = OPT_UINT,
	 AT(late),
	 .arg = "N",
	 .help = "one of the edges begins only with the N-th interval; default 0",
	 .max = 1000000000},
	{.type = OPT_GROUP, .help = "What is said"},
	{.name = "truth",
	 .letter = 't',
	 .type = OPT_STRING,
	 AT(truth),
	 .arg = "FILE",
	 .help = "JSON lines there: all sums of each edge and interval; - for standard output"},
	{.name = "quiet", .letter = 'q', .type = OPT_FLAG, AT(quiet), .help = "say nothing but errors"},
	{.name = "man", .type = OPT_FLAG, AT(man), .help = "print the manual page (roff)"},
	{0},
};

static const struct opt_command gen_command = {
	.name = "skyfall-gen",
	.summary = "sends what the agents of a whole fleet would, and writes down the truth",
	.args = "",
	.about =
		"Hosts, services in three layers and who calls whom are made up from the seed: the same numbers give the same fleet.\n"
		"Every host sends host, listener, flow and health records as an agent does, paced within the spread. Some edges\n"
		"fail, retransmit or have a slow reader; some have one observer. SIGINT, SIGTERM: ends after the interval at work.\n"
		"`--intervals 0` sends nothing: with --inventory it only writes that file.",
	.opts = gen_opts,
	.conf_size = sizeof(struct gen_conf),
};

static volatile sig_atomic_t gen_stop;

static void gen_on_signal(int number)
{
	(void)number;
	gen_stop = 1;
}

static int gen_fail(const char *what, const char *why)
{
	fprintf(stderr, "skyfall-gen: %s: %s\n", what, why);
	return 1;
}

/* What a file named by an option could not do. */
static int gen_file(const char *option, const char *name, int error)
{
	fprintf(stderr, "skyfall-gen: --%s %s: %s\n", option, name, strerror(error));
	return 1;
}

static int gen_usage(const char *option, const char *why)
{
	fprintf(stderr, "skyfall-gen: --%s: %s\n", option, why);
	return 2;
}

struct gen {
	const struct gen_conf *conf;
	struct fleet *fleet;
	struct truth *truth;
	FILE *truth_out;
	struct emit *emit;
	struct emit_opts opts;
	uint32_t first; /* begin of the first interval in real time */
};

/* One interval, sent and written down. */
static int gen_interval(struct gen *g, uint32_t interval, int64_t from_us, bool introduce)
{
	emit_interval(g->emit, interval, from_us, introduce);
	return truth_write(g->truth, interval, g->opts.interval_s);
}

/*
 * The oldest first, it is the nearest to being too late. Once the first intervals are through: a collector knows by then that these clocks are right, so that what comes is late, not
 * misdated, and the graph knows the names of both ends.
 */
static int gen_past(struct gen *g)
{
	uint32_t len = g->opts.interval_s;
	int r = 0;

	for (uint32_t i = (uint32_t)g->conf->past; i > 0 && r == 0 && !gen_stop; i--)
		r = gen_interval(g, g->first - i * len, clock_wall_us(), false);
	return r;
}

static int gen_live(struct gen *g)
{
	uint32_t len = g->opts.interval_s, every = GEN_INTRODUCE_S / len;
	int r = 0;

	for (uint64_t i = 0; i < g->conf->intervals && r == 0 && !gen_stop; i++) {
		uint32_t interval = g->first + (uint32_t)i * len;
		int64_t end_us = ((int64_t)interval + len) * 1000000;

		while (clock_wall_us() < end_us && !gen_stop)
			clock_sleep_until(end_us);
		if (!gen_stop)
			r = gen_interval(g, interval, end_us, i % every == 0);
		if (r == 0 && i + 1 == GEN_PAST_AFTER)
			r = gen_past(g);
	}
	return r;
}

static int gen_start(struct gen *g)
{
	char why[256];

	if (g->conf->late)
		g->opts.late_index = g->first / g->opts.interval_s + (uint32_t)g->conf->late;
	return emit_new(&g->emit, g->fleet, g->truth, &g->opts, why, sizeof(why)) < 0
		       ? gen_fail(g->conf->collector, why)
		       : 0;
}

static void gen_said(const struct gen *g, int64_t cpu_us)
{
	const struct emit_counts *c = emit_counts(g->emit);

	fprintf(stderr,
		"skyfall-gen: %llu rows in %llu datagrams, %llu bytes; %.2f us CPU a row; at most %.0f ms behind\n",
		(unsigned long long)c->rows, (unsigned long long)c->datagrams, (unsigned long long)c->bytes,
		c->rows ? (double)cpu_us / (double)c->rows : 0, (double)c->late_us / 1000);
}

static int gen_run(struct gen *g)
{
	int64_t cpu;
	int r;

	if (g->conf->truth) {
		g->truth_out = strcmp(g->conf->truth, "-") ? fopen(g->conf->truth, "we") : stdout;
		if (!g->truth_out)
			return gen_file("truth", g->conf->truth, errno);
		if (truth_new(&g->truth, g->fleet, g->truth_out) < 0)
			return gen_fail("--truth", strerror(ENOMEM));
	}
	r = gen_start(g);
	if (r)
		return r;
	cpu = (int64_t)clock();
	if (gen_live(g) < 0)
		return gen_file("truth", g->conf->truth, EIO);
	if (!g->conf->quiet && g->conf->intervals)
		gen_said(g, ((int64_t)clock() - cpu) * 1000000 / CLOCKS_PER_SEC);
	if (emit_counts(g->emit)->failed)
		return gen_fail(g->conf->collector, "datagrams could not be sent: does a collector listen there?");
	return 0;
}

static int gen_inventory(const struct gen *g)
{
	FILE *out = g->conf->inventory ? fopen(g->conf->inventory, "we") : NULL;
	bool ok;

	if (!g->conf->inventory)
		return 0;
	ok = out && fleet_inventory(g->fleet, out);
	if ((out && fclose(out)) || !ok)
		return gen_file("inventory", g->conf->inventory, errno);
	return 0;
}

/* "now" or digits, and no time that the past or the years to come would carry over 32 bits. -EINVAL. */
static int gen_first(const struct gen_conf *c, uint32_t len, uint32_t *ret)
{
	unsigned long long now = (unsigned long long)(clock_wall_us() / 1000000 / len * len), v = now;

	if (c->start && strcmp(c->start, "now")) {
		if (strspn(c->start, "0123456789") != strlen(c->start))
			return -EINVAL;
		v = strtoull(c->start, NULL, 10);
	}
	if (v > now + 86400 || v % len || v < c->past * len)
		return -EINVAL;
	*ret = (uint32_t)v;
	return 0;
}

/* What the table of options cannot know. 0, or the exit code. */
static int gen_check(struct gen *g)
{
	const struct gen_conf *c = g->conf;
	struct str net = str_from(c->net);
	char why[256];
	int r;

	if (!opt_interval_ok(c->interval_ms)) {
		fprintf(stderr, "skyfall-gen: " OPT_INTERVAL_RULE "\n");
		return 2;
	}
	if (c->spread_ms >= c->interval_ms)
		return gen_usage("spread", "must be shorter than the interval");
	if (net.n > FLOW_NAME_MAX || !wire_text_ok(net))
		return gen_usage("net", "is no name: UTF-8 of at most 255 bytes without control characters");
	if (gen_first(c, c->interval_ms / 1000, &g->first) < 0)
		return gen_usage("start",
				 "wants 'now' or seconds since 1970, a multiple of the interval, at most a day ahead");
	r = ip_resolve(c->collector, WIRE_PORT, &g->opts.collector, &g->opts.port, why, sizeof(why));
	if (r == 0 && (ip_is_zero(&g->opts.collector) || !g->opts.port))
		return gen_usage("collector", "needs a host and a port above 0");
	return r == -EINVAL ? gen_usage("collector", why) : r < 0 ? gen_fail("--collector", why) : 0;
}

static int gen_fleet(struct gen *g)
{
	const struct gen_conf *c = g->conf;
	const struct fleet_conf fc = {.hosts = (uint32_t)c->hosts,
				      .services = (uint32_t)c->services,
				      .edges = (uint32_t)c->edges,
				      .zones = (uint32_t)c->zones,
				      .seed = c->seed,
				      .net = c->net,
				      .odd_names = c->odd_names,
				      .inventory = c->inventory != NULL};
	char why[256];

	g->opts.interval_s = c->interval_ms / 1000;
	g->opts.spread_ms = c->spread_ms ? c->spread_ms : c->interval_ms / 5;
	g->opts.boot = (uint64_t)clock_wall_us() << 12;
	return fleet_new(&g->fleet, &fc, why, sizeof(why)) < 0 ? gen_fail("this fleet cannot be", why), 2 : 0;
}

int main(int argc, char **argv)
{
	static const struct opt_command *const commands[] = {&gen_command};
	struct gen_conf conf = {.hosts = 20,
				.services = 40,
				.edges = 120,
				.zones = 3,
				.seed = 1,
				.intervals = UINT32_MAX,
				.interval_ms = 1000,
				.collector = "127.0.0.1:6343",
				.net = ""};
	struct sigaction stop = {.sa_handler = gen_on_signal};
	struct gen g = {.conf = &conf};
	char **args;
	int n, r = opt_parse("skyfall-gen", &gen_command, argc, argv, &conf, &args, &n);

	if (r)
		return r == OPT_HELP ? 0 : 2;
	if (conf.man) {
		opt_man("skyfall-gen", 1, gen_command.summary, commands, 1, stdout);
		return 0;
	}
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	r = gen_check(&g);
	if (r == 0)
		r = gen_fleet(&g);
	if (r == 0)
		r = gen_inventory(&g);
	if (r == 0)
		r = gen_run(&g);
	emit_free(g.emit);
	truth_free(g.truth);
	if (g.truth_out && fclose(g.truth_out))
		r = gen_file("truth", conf.truth, errno);
	fleet_free(g.fleet);
	return r;
}

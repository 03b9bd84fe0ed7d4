/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/gen/conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/table.h"

#define AT(member) .offset = offsetof(struct conf, member)

const struct conf conf_defaults = {.zones = 3,
				   .seed = 1,
				   .interval_ms = 1000,
				   .threads = 1,
				   .sockets = 1,
				   .sampling = 1,
				   .size = WIRE_SIZE,
				   .intervals = UINT32_MAX,
				   .collector = "127.0.0.1:6343",
				   .profile = "packed",
				   .net = ""};

static const struct opt conf_opts[] = {
	{.type = OPT_GROUP, .help = "The fleet"},
	{.name = "hosts",
	 .type = OPT_UINT,
	 AT(hosts),
	 .arg = "N",
	 .help = "hosts; default 20, or what --keys needs",
	 .min = 1,
	 .max = FLEET_HOSTS},
	{.name = "services",
	 .type = OPT_UINT,
	 AT(services),
	 .arg = "N",
	 .help = "services; default 40, or what --keys needs",
	 .min = 2,
	 .max = 1000000},
	{.name = "edges",
	 .type = OPT_UINT,
	 AT(edges),
	 .arg = "N",
	 .help = "who calls whom: so many pairs of services; default 120, or what --keys needs",
	 .min = 1,
	 .max = 10000000},
	{.name = "keys",
	 .type = OPT_UINT,
	 AT(keys),
	 .arg = "N",
	 .help = "exactly so many rows for a collector to fold into, an interval; default: what the edges give",
	 .min = 1,
	 .max = 10000000},
	{.name = "zones",
	 .type = OPT_UINT,
	 AT(zones),
	 .arg = "N",
	 .help = "zones; default 3",
	 .min = 1,
	 .max = FLEET_ZONES},
	{.name = "ipv6",
	 .type = OPT_STRING,
	 AT(ipv6),
	 .arg = "SHARE",
	 .help = "of the edges and agents that use IPv6: 0.5, 50%; default 0"},
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
	{.name = "profile",
	 .type = OPT_STRING,
	 AT(profile),
	 .arg = "NAME",
	 .help = "packed: many rows in one record of ours; interop: a sample a row and direction, for others too; standard: samples of others; default packed",
	 .choices = "packed|interop|standard"},
	{.name = "events",
	 .type = OPT_FLAG,
	 AT(events),
	 .help = "events of single connections, not folded by the agent: on average 8.6 a row, over 3.3 ephemeral ports"},
	{.name = "sampling",
	 .type = OPT_UINT,
	 AT(sampling),
	 .arg = "N",
	 .help = "sampling rate that --profile standard names; default 1",
	 .min = 1,
	 .max = 1 << 20},
	{.name = "size",
	 .type = OPT_UINT,
	 AT(size),
	 .arg = "BYTES",
	 .help = "bound on a datagram; default 1400",
	 .min = WIRE_SIZE_MIN,
	 .max = WIRE_SIZE_MAX},
	OPT_INTERVAL(struct conf, interval_ms, "length of an interval, divides 60s; default 1s"),
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
	 .max = CONF_PAST},
	{.name = "late",
	 .type = OPT_UINT,
	 AT(late),
	 .arg = "N",
	 .help = "one of the edges begins only with the N-th interval; default 0",
	 .max = 1000000000},
	{.type = OPT_GROUP, .help = "Load: datagrams made once and sent round and round"},
	{.name = "flat-out", .type = OPT_FLAG, AT(flat_out), .help = "as fast as can be"},
	{.name = "rate",
	 .type = OPT_UINT,
	 AT(rate),
	 .arg = "ROWS",
	 .help = "so many rows a second, events or samples likewise; what is late by more than 50 ms is not made up for",
	 .min = 1,
	 .max = 1000000000},
	{.name = "for", .type = OPT_TIME, AT(for_ms), .arg = "TIME", .help = "end after so long", .min = 1},
	{.name = "rows",
	 .type = OPT_UINT,
	 AT(rows),
	 .arg = "N",
	 .help = "end when about so many rows are out",
	 .min = 1},
	{.name = "threads",
	 .type = OPT_UINT,
	 AT(threads),
	 .arg = "N",
	 .help = "threads that send; default 1",
	 .min = 1,
	 .max = LOAD_THREADS},
	{.type = OPT_GROUP, .help = "The way"},
	{.name = "sockets",
	 .type = OPT_UINT,
	 AT(sockets),
	 .arg = "N",
	 .help = "sockets that agents send from, each its own of as many as there are; default 1 for all",
	 .min = 1,
	 .max = LINE_SOCKETS},
	{.name = "spray", .type = OPT_FLAG, AT(spray), .help = "each datagram from any of the sockets"},
	{.name = "gso",
	 .type = OPT_FLAG,
	 AT(gso),
	 .help = "runs of equally long datagrams in one call (UDP_SEGMENT); ours are padded for it"},
	{.name = "loss",
	 .type = OPT_STRING,
	 AT(loss),
	 .arg = "SHARE",
	 .help = "of the datagrams with rows that never go: 0.01, 1%; default 0"},
	{.name = "duplicate", .type = OPT_STRING, AT(duplicate), .arg = "SHARE", .help = "that go twice; default 0"},
	{.name = "reorder",
	 .type = OPT_STRING,
	 AT(reorder),
	 .arg = "SHARE",
	 .help = "that go after their agent's next one; default 0"},
	{.type = OPT_GROUP, .help = "Who is believed"},
	{.name = "key-file",
	 .type = OPT_STRING,
	 AT(key_file),
	 .arg = "FILE",
	 .help = "the fleet's keys, as the collector has them: each agent signs by its own, made of the first"},
	{.name = "forged",
	 .type = OPT_STRING,
	 AT(forged),
	 .arg = "SHARE",
	 .help = "so many more beside, signed by another agent's key: 0.01, 1%; default 0"},
	{.name = "replayed",
	 .type = OPT_STRING,
	 AT(replayed),
	 .arg = "SHARE",
	 .help = "so many more that went before, some long ago; default 0"},
	{.name = "altered",
	 .type = OPT_STRING,
	 AT(altered),
	 .arg = "SHARE",
	 .help = "so many more with one bit changed; default 0"},
	{.type = OPT_GROUP, .help = "What is said"},
	{.name = "truth",
	 .letter = 't',
	 .type = OPT_STRING,
	 AT(truth),
	 .arg = "FILE",
	 .help = "JSON lines there: all sums of each edge and interval; - for standard output"},
	{.name = "truth-rows",
	 .type = OPT_STRING,
	 AT(truth_rows),
	 .arg = "FILE",
	 .help = "JSON lines there: all sums of what a collector folds into one row; - for standard output"},
	{.name = "json", .letter = 'j', .type = OPT_FLAG, AT(json), .help = "totals as a JSON line on standard output"},
	{.name = "quiet", .letter = 'q', .type = OPT_FLAG, AT(quiet), .help = "say nothing but errors"},
	{.name = "man", .type = OPT_FLAG, AT(man), .help = "print the manual page (roff)"},
	{0},
};

const struct opt_command conf_command = {
	.name = "skyfall-gen",
	.summary = "sends what the agents of a whole fleet would, and writes down the truth",
	.args = "",
	.about =
		"Hosts, services in three layers and who calls whom are made up from the seed: the same numbers give the same fleet.\n"
		"Every host sends host, listener, flow and health records as an agent does, paced within the spread. Some edges\n"
		"fail, retransmit or have a slow reader; some have one observer. SIGINT, SIGTERM: ends after the interval at work.\n"
		"`--intervals 0` sends nothing: with --inventory it only writes that file.\n"
		"With --flat-out or --rate datagrams are made once and sent again and again, sequence and interval anew each time;\n"
		"rows of an interval go from 0.1 of its length after its end on. What is lost, doubled and overtaken is decided by the\n"
		"seed; it is no part of the sums in the truth, and told beside them.",
	.opts = conf_opts,
	.conf_size = sizeof(struct conf),
};

static int conf_usage(const char *option, const char *why)
{
	fprintf(stderr, "skyfall-gen: --%s: %s\n", option, why);
	return 2;
}

/* "now" or digits, and no time that the past or the years to come would carry over 32 bits. -EINVAL. */
static int conf_first(const struct conf *c, uint32_t len, uint32_t *ret)
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

/* "0.01" or "1%" of 1. -EINVAL. */
static int conf_share(const char *text, double *ret)
{
	char *end;
	double v = text ? strtod(text, &end) : 0;

	if (!text)
		return 0;
	if (end == text || text[strspn(text, "0123456789.%")])
		return -EINVAL;
	if (*end == '%') {
		v /= 100;
		end++;
	}
	if (*end || !(v >= 0 && v <= 1))
		return -EINVAL;
	*ret = v;
	return 0;
}

static int conf_shares(struct conf *c)
{
	struct fate *fate = &c->opts.emit.fate;
	struct foe_opts *foes = &c->opts.emit.foes;
	const struct {
		const char *name, *text;
		double *ret;
	} shares[] = {
		{"forged", c->forged, &foes->share[FOE_FORGED]},
		{"replayed", c->replayed, &foes->share[FOE_REPLAYED]},
		{"altered", c->altered, &foes->share[FOE_ALTERED]},
		{"ipv6", c->ipv6, &c->fleet.ipv6},
		{"loss", c->loss, &fate->lost},
		{"duplicate", c->duplicate, &fate->twice},
		{"reorder", c->reorder, &fate->held},
	};

	for (size_t i = 0; i < ARRAY_LEN(shares); i++)
		if (conf_share(shares[i].text, shares[i].ret) < 0)
			return conf_usage(shares[i].name, "wants a share between 0 and 1: 0.01 or 1%");
	return fate->lost + fate->twice + fate->held > 1
		       ? conf_usage("loss", "with --duplicate and --reorder more than all datagrams")
		       : 0;
}

/* A fleet that has so many rows. */
static void conf_sizes(struct conf *c)
{
	uint64_t edges = c->keys ? c->keys * 10 / 17 + 16 : 120, services = c->keys ? edges / 5 : 40;
	uint64_t hosts;

	services = services < 40 ? 40 : services > 30000 ? 30000 : services;
	hosts = c->keys ? services / 20 + c->keys / 5000 : 20;
	hosts = c->keys && hosts < c->sockets ? c->sockets : hosts;
	c->edges = c->edges ? c->edges : edges;
	c->services = c->services ? c->services : services;
	c->hosts = c->hosts ? c->hosts : hosts < 20 ? 20 : hosts;
	c->fleet = (struct fleet_conf){.hosts = (uint32_t)c->hosts,
				       .services = (uint32_t)c->services,
				       .edges = (uint32_t)c->edges,
				       .zones = (uint32_t)c->zones,
				       .seed = c->seed,
				       .net = c->net,
				       .odd_names = c->odd_names,
				       .inventory = c->inventory != NULL,
				       .ipv6 = c->fleet.ipv6,
				       .keys = (uint32_t)c->keys};
}

/* What belongs to one of the two ways of sending only. */
static int conf_mode(const struct conf *c)
{
	if (c->flat_out && c->rate)
		return conf_usage("rate", "or --flat-out");
	if (c->load && (c->past || c->late || c->start || c->spread_ms))
		return conf_usage(c->flat_out ? "flat-out" : "rate", "is without --past, --late, --start, --spread");
	if (!c->load && (c->for_ms || c->rows || c->threads > 1))
		return conf_usage(c->for_ms ? "for" : c->rows ? "rows" : "threads", "goes with --flat-out or --rate");
	if (!c->key_file && (c->forged || c->replayed || c->altered))
		return conf_usage(
			"forged",
			"such as --replayed and --altered goes with --key-file: else a collector believes them");
	if (c->forged && c->hosts == 1)
		return conf_usage("forged", "is by another host's key: --hosts 2 or more");
	if (c->key_file && !strcmp(c->profile, "standard"))
		return conf_usage("key-file", "signs what is ours, not --profile standard");
	if (c->truth && !strcmp(c->profile, "standard"))
		return conf_usage("truth", "who calls whom is not in standard samples: use --truth-rows");
	if (c->json && ((c->truth && !strcmp(c->truth, "-")) || (c->truth_rows && !strcmp(c->truth_rows, "-"))))
		return conf_usage("json", "standard output has the truth");
	return 0;
}

static void conf_pack(struct conf *c)
{
	static const struct pack_profile *const profiles[] = {&pack_packed, &pack_interop, &pack_standard};
	struct pack_opts *p = &c->opts.emit.pack;

	for (size_t i = 0; i < ARRAY_LEN(profiles); i++)
		if (!strcmp(profiles[i]->name, c->profile))
			p->profile = profiles[i];
	p->events = c->events;
	p->equal = c->gso;
	p->interval_s = c->interval_ms / 1000;
	p->spread_ms = c->load ? c->interval_ms : c->spread_ms ? c->spread_ms : c->interval_ms / 5;
	p->size = (uint32_t)c->size;
	p->rate = (uint32_t)c->sampling;
	p->boot = (uint64_t)clock_wall_us() << 12;
}

static int conf_way(struct conf *c)
{
	struct line_opts *l = &c->opts.emit.line;
	char why[256];
	int r = ip_resolve(c->collector, WIRE_PORT, &l->collector, &l->port, why, sizeof(why));

	if (r == 0 && (ip_is_zero(&l->collector) || !l->port))
		return conf_usage("collector", "needs a host and a port above 0");
	if (r < 0)
		return conf_usage("collector", why) - (r != -EINVAL);
	l->sockets = (uint32_t)c->sockets;
	l->gso = c->gso;
	c->opts.emit.spray = c->spray;
	c->opts.emit.fate.seed = c->opts.emit.foes.seed = c->seed;
	c->opts.threads = (uint32_t)c->threads;
	c->opts.rate = (double)c->rate;
	c->opts.intervals = c->intervals == UINT32_MAX ? 0 : c->intervals;
	c->opts.for_us = (int64_t)c->for_ms * 1000;
	c->opts.rows = c->rows;
	return 0;
}

int conf_check(struct conf *c)
{
	struct str net = str_from(c->net);
	int r;

	c->load = c->flat_out || c->rate;
	if (!opt_interval_ok(c->interval_ms)) {
		fprintf(stderr, "skyfall-gen: " OPT_INTERVAL_RULE "\n");
		return 2;
	}
	if (c->spread_ms >= c->interval_ms)
		return conf_usage("spread", "must be shorter than the interval");
	if (net.n > FLOW_NAME_MAX || !wire_text_ok(net))
		return conf_usage("net", "is no name: UTF-8 of at most 255 bytes without control characters");
	if (conf_first(c, c->interval_ms / 1000, &c->first) < 0)
		return conf_usage("start",
				  "wants 'now' or seconds since 1970, a multiple of the interval, at most a day ahead");
	r = conf_shares(c);
	if (r == 0)
		r = conf_mode(c);
	if (r)
		return r;
	conf_sizes(c);
	conf_pack(c);
	return conf_way(c);
}

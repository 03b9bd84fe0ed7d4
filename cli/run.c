/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/cmd.h"
#include "cli/demo.h"
#include "cli/summary.h"
#include "cli/top.h"
#include "wire/wire.h"

#define RUN_LINE_MS 5000   /* between two lines of a live table without a terminal */
#define RUN_SETTLE_MS 8000 /* the summary waits at most so long for the last interval */

static const struct run_conf run_defaults = {
	.listen = "127.0.0.1:8343",
	.sflow = ":6343",
	.interval_ms = 1000,
	.spread_ms = UINT32_MAX,
};

#define AT(member) .offset = offsetof(struct run_conf, member)

static const struct opt run_opts[] = {
	{.type = OPT_GROUP, .help = "Where"},
	{.name = "data",
	 .letter = 'd',
	 .type = OPT_STRING,
	 AT(data),
	 .arg = "FOLDER",
	 .help = "what is kept; default /var/lib/skyfall as root, else $XDG_STATE_HOME/skyfall"},
	{.name = "listen",
	 .letter = 'l',
	 .type = OPT_STRING,
	 AT(listen),
	 .arg = "HOST:PORT",
	 .help = "address of page and API (no password yet: think before opening it); default 127.0.0.1:8343"},
	{.name = "web-root",
	 .type = OPT_STRING,
	 AT(web_root),
	 .arg = "FOLDER",
	 .help = "the page's files from there, read anew each time: for work on the page (BUILD/web/page)"},
	{.name = "sflow",
	 .type = OPT_STRING,
	 AT(sflow),
	 .arg = "HOST:PORT",
	 .help = "UDP address for agents; port 0: any; default :6343 (all addresses)"},
	{.type = OPT_GROUP, .help = "What"},
	OPT_INTERVAL(struct run_conf, interval_ms,
		     "length of an interval, the same on all hosts, divides 60s; default 1s"),
	{.name = "spread",
	 .type = OPT_TIME,
	 AT(spread_ms),
	 .arg = "TIME",
	 .help = "agents send during so long after an interval; default 0.2 of it",
	 .min = 1},
	{.name = "inventory",
	 .type = OPT_STRING,
	 AT(inventory),
	 .arg = "FILE",
	 .help = "whose addresses are whose (YAML)"},
	{.name = "net",
	 .type = OPT_STRING,
	 AT(net),
	 .arg = "NAME",
	 .help = "name of the address space this host is in",
	 .empty = true},
	RECEIVE_FOLD(struct run_conf, receive),
	RECEIVE_THREADS(struct run_conf, receive, "1"),
	{.type = OPT_GROUP, .help = "Who is believed, what is taken (SIGHUP reads the files again)"},
	RECEIVE_TRUST(struct run_conf, receive),
	{.type = OPT_GROUP, .help = "The agent of this host"},
	{.name = "no-agent", .type = OPT_FLAG, AT(no_agent), .help = "none: only agents of other hosts report"},
	{.name = "netns",
	 .type = OPT_LIST,
	 AT(netns),
	 .arg = "NAME",
	 .help = "only this network namespace (again for more); default all"},
	{.name = "local-net",
	 .type = OPT_LIST,
	 AT(local_nets),
	 .arg = "CIDR",
	 .help = "addresses that exist on this host only (again for more)"},
	{.name = "no-local-net",
	 .type = OPT_LIST,
	 AT(no_local_nets),
	 .arg = "CIDR",
	 .help = "this network is routed, though a bridge such as docker0 has it (again for more)"},
	{.name = "rules", .type = OPT_STRING, AT(rules), .arg = "FILE", .help = "how services are named"},
	{.name = "host-id",
	 .type = OPT_STRING,
	 AT(host_id),
	 .arg = "ID",
	 .help = "who this host is; default its machine id"},
	{.name = "key-file",
	 .type = OPT_STRING,
	 AT(key_file),
	 .arg = "FILE",
	 .help = "it signs by this host's key (`skyfall key ADDRESS`); where all have to sign, it has to as well"},
	{.name = "agent",
	 .type = OPT_STRING,
	 AT(agent),
	 .arg = "FILE",
	 .help = "the agent's program; default beside this one"},
	{.type = OPT_GROUP, .help = "How long, and what to show"},
	{.name = "for",
	 .letter = 'f',
	 .type = OPT_TIME,
	 AT(for_ms),
	 .arg = "TIME",
	 .help = "end by itself after so long, with a summary (exit code 1 when something does not add up)",
	 .min = 1},
	{.name = "live",
	 .letter = 't',
	 .type = OPT_FLAG,
	 AT(live),
	 .help = "keep a live table on the terminal; a line now and then without one"},
	{.name = "demo",
	 .type = OPT_FLAG,
	 AT(demo),
	 .help = "also open a small shop to look at, in network namespaces of its own (root)"},
	{.name = "quiet", .letter = 'q', .type = OPT_FLAG, AT(quiet), .help = "say nothing but errors"},
	{.name = "json", .letter = 'j', .type = OPT_FLAG, AT(json), .help = "what is said is one JSON object a line"},
	{0},
};

const struct opt_command run_command = {
	.name = "run",
	.summary = "everything on this machine: agent, collector, graph, store, API and page",
	.args = "",
	.about =
		"Needs no broker and no database. Ctrl-C stops it in order and loses nothing. Agents of other hosts send to\n"
		"--sflow. Open the page in a browser, or ask with `skyfall top`, `edges`, `hosts`, `doctor`. SIGHUP reads keys, lists and\n"
		"names again, here and in the agent, and loses nothing; that of a terminal which is gone stops it.",
	.opts = run_opts,
	.conf_size = sizeof(struct run_conf),
};

void run_data_folder(const char *given, char *path, size_t size)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (given)
		snprintf(path, size, "%s", given);
	else if (geteuid() == 0)
		snprintf(path, size, "/var/lib/skyfall");
	else if (state && *state == '/')
		snprintf(path, size, "%s/skyfall", state);
	else
		snprintf(path, size, "%s/.local/state/skyfall", home ? home : "/tmp");
}

/* --- what is said */

static void run_block(const struct run *r)
{
	const struct run_conf *conf = r->conf;
	const char *url = server_url(r->roles.server), *mode = conf->no_agent ? "none (--no-agent)" : r->mode;

	if (conf->quiet)
		return;
	if (conf->json) {
		json_t *all =
			json_pack("{s:s,s:s+,s:s,s:s,s:i,s:i,s:i}", "api", url, "page", url, "/", "data", r->data,
				  "agent", mode, "sflow_port", (int)collector_port(r->roles.collector), "interval_s",
				  (int)(conf->interval_ms / 1000), "fold_s", (int)(conf->receive.fold_ms / 1000));

		json_dumpf(all, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(all);
	} else {
		printf("Skyfall " SKYFALL_VERSION
		       " is running.\n  page   %s/\n  API    %s  (skyfall top, edges, hosts, doctor ask it)\n"
		       "  data   %s\n  agent  %s%s\n  sFlow  port %u/udp for agents of other hosts; intervals of %u s\n",
		       url, url, r->data, mode,
		       strcmp(mode, "sock_diag") == 0 ? ": a part only; `skyfall-agent --features` says what is missing"
						      : "",
		       collector_port(r->roles.collector), conf->interval_ms / 1000);
		if (conf->receive.fold_ms > conf->interval_ms)
			printf("  fold   rows of %u s\n", conf->receive.fold_ms / 1000);
		if (conf->demo)
			printf("  demo   a shop of six programs: shop-web, shop-api, shop-db, shop-cache, shop-queue, shop-mail\n");
		printf("  stop   Ctrl-C\n");
	}
	fflush(stdout);
}

static void run_say_end(struct run *r, int64_t to_s)
{
	const char *truth = r->conf->demo ? r->truth : NULL;
	int e;

	if (r->conf->quiet)
		return;
	e = summary_settle(r->client, to_s, RUN_SETTLE_MS);
	if (e == 0)
		e = summary_print(r->client, r->from_s - r->from_s % (r->conf->receive.fold_ms / 1000), to_s, truth,
				  r->conf->json);
	if (e < 0)
		log_error("no summary: %s", client_error(r->client));
	if (e != 0)
		r->exit_code = CMD_FAILED;
}

/* --- while it runs */

bool run_signalled(struct run *r, int wait_ms)
{
	struct pollfd p = {.fd = r->signals, .events = POLLIN};
	struct signalfd_siginfo info;

	(void)poll(&p, 1, wait_ms);
	while (read(r->signals, &info, sizeof(info)) == sizeof(info)) {
		bool gone = info.ssi_signo == SIGHUP && r->terminal && !run_has_terminal();

		r->stop = r->stop || info.ssi_signo == SIGINT || info.ssi_signo == SIGTERM || gone;
		if (info.ssi_signo == SIGHUP && !gone)
			run_reload(r);
	}
	return r->stop;
}

/* True when it is time to stop. */
static bool run_over(struct run *r)
{
	int status;

	if (child_ended(&r->shop, &status))
		log_warn("the demo's shop has closed");
	if (child_ended(&r->agent, &status)) {
		if (WIFSIGNALED(status))
			log_error("the agent died of signal %d; stopping", WTERMSIG(status));
		else
			log_error("the agent ended with exit code %d; stopping", WEXITSTATUS(status));
		r->exit_code = CMD_FAILED;
		return true;
	}
	return r->stop || clock_mono_us() >= r->end_us;
}

static int run_left_ms(const struct run *r, int most)
{
	int64_t left = r->end_us == INT64_MAX ? most : (r->end_us - clock_mono_us()) / 1000 + 1;

	return left < 0 ? 0 : left < most ? (int)left : most;
}

static void run_plain(struct run *r, struct top *lines)
{
	int64_t next = clock_mono_us() + RUN_LINE_MS * 1000;

	do {
		(void)run_signalled(r, run_left_ms(r, 1000));
		if (lines && clock_mono_us() >= next) {
			next += RUN_LINE_MS * 1000;
			if (top_ask(lines) == 0)
				top_print_line(lines);
		}
	} while (!run_over(r));
}

/* The live table. What is logged meanwhile goes to a file, not through the picture. */
static void run_screen(struct run *r, struct top *table)
{
	char path[4200];
	int keep = dup(STDERR_FILENO), file, e;

	snprintf(path, sizeof(path), "%s/skyfall.log", r->data);
	file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (file >= 0)
		dup2(file, STDERR_FILENO);
	do {
		e = top_step(table, r->signals);
		(void)run_signalled(r, 0);
	} while (e == TOP_GO && !run_over(r));
	if (file >= 0) {
		dup2(keep, STDERR_FILENO);
		close(file);
	}
	close(keep);
}

static void run_wait(struct run *r)
{
	struct top_opts to = top_defaults;
	struct top *top = NULL;
	char note[4400];

	if (r->conf->for_ms)
		r->end_us = clock_mono_us() + (int64_t)r->conf->for_ms * 1000;
	if (r->conf->live && !r->conf->json) {
		snprintf(note, sizeof(note), "page %s/   data %s", server_url(r->roles.server), r->data);
		to.api = server_url(r->roles.server);
		to.quit = "stop";
		to.note = note;
		(void)top_new(&top, &to);
	}
	if (top && top_open(top) == 0)
		run_screen(r, top);
	else
		run_plain(r, top);
	top_free(top);
}

/* --- the whole */

int run_address_check(const char *option, const char *text, char *why, size_t why_len)
{
	char reason[200];
	uint16_t port;
	struct ip ip;

	/* A name nobody knows now is the world's business, and said by who needs it. */
	if (ip_resolve(text, 0, &ip, &port, reason, sizeof(reason)) != -EINVAL)
		return 0;
	snprintf(why, why_len, "--%s: %s", option, reason);
	return -EINVAL;
}

/* What the agent would refuse is refused before anything starts. */
static int run_name_check(const char *option, const char *text, char *why, size_t why_len)
{
	struct str s = str_from(text);

	if (s.n <= FLOW_NAME_MAX && wire_text_ok(s))
		return 0;
	snprintf(why, why_len, "--%s must be UTF-8 text of at most %d bytes without control characters", option,
		 FLOW_NAME_MAX);
	return -EINVAL;
}

static int run_nets_check(const char *option, const struct opt_list *nets, char *why, size_t why_len)
{
	struct ip prefix;
	unsigned bits;

	for (size_t i = 0; i < nets->n; i++) {
		if (ip_parse_prefix(nets->v[i], &prefix, &bits) == 0)
			continue;
		snprintf(why, why_len, "--%s: '%s' is not a network such as 172.17.0.0/16", option, nets->v[i]);
		return -EINVAL;
	}
	return 0;
}

static int run_check(struct run_conf *conf, struct collector_opts *co, char *why, size_t why_len)
{
	if (run_address_check("listen", conf->listen, why, why_len) < 0 ||
	    run_address_check("sflow", conf->sflow, why, why_len) < 0 ||
	    run_name_check("net", conf->net, why, why_len) < 0 ||
	    run_name_check("host-id", conf->host_id, why, why_len) < 0 ||
	    run_nets_check("local-net", &conf->local_nets, why, why_len) < 0 ||
	    run_nets_check("no-local-net", &conf->no_local_nets, why, why_len) < 0)
		return -EINVAL;
	if (!opt_interval_ok(conf->interval_ms)) {
		snprintf(why, why_len, OPT_INTERVAL_RULE);
		return -EINVAL;
	}
	if (conf->spread_ms == UINT32_MAX)
		conf->spread_ms = conf->interval_ms / 5;
	if (conf->spread_ms >= conf->interval_ms) {
		snprintf(why, why_len, "--spread must be shorter than the interval");
		return -EINVAL;
	}
	if (receive_check(&conf->receive, conf->interval_ms, co, why, why_len) < 0)
		return -EINVAL;
	if (conf->receive.trust.fleet_key && !conf->receive.trust.mode && !conf->no_agent && !conf->key_file) {
		snprintf(
			why, why_len,
			"with --fleet-key this host's agent has to sign as well: give --key-file FILE, or --auth accept, or "
			"--no-agent");
		return -EINVAL;
	}
	if (conf->demo && conf->no_agent) {
		snprintf(why, why_len, "--demo needs the agent of this host: leave out --no-agent");
		return -EINVAL;
	}
	return 0;
}

/* In every thread to come: signals are read from a descriptor. */
static int run_take_signals(struct run *r)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return r->signals < 0 ? -errno : 0;
}

/* Roles, agent, shop. False: it has been said why. */
static bool run_start(struct run *r)
{
	char why[1024];
	int e;

	r->opts.data = r->data;
	r->opts.listen = r->conf->listen;
	r->opts.web_root = r->conf->web_root;
	r->opts.sflow = r->conf->sflow;
	r->opts.inventory = r->conf->inventory;
	r->opts.interval_ms = r->conf->interval_ms;
	r->opts.spread_ms = r->conf->spread_ms;
	r->opts.inventory_text = r->conf->demo ? demo_inventory : NULL;
	r->from_s = clock_wall_us() / 1000000;
	e = roles_start(&r->roles, &r->opts, why, sizeof(why));
	if (e == 0)
		e = client_new(&r->client, server_url(r->roles.server));
	if (e == 0 && !r->conf->no_agent) {
		e = run_agent_start(r, why, sizeof(why));
		if (e == 0 && !run_agent_heard(r))
			return false;
	}
	if (e == 0 && r->conf->demo)
		e = run_shop_start(r, why, sizeof(why));
	if (e < 0 && why[0])
		fprintf(stderr, CMD_PROGRAM ": %s\n", why);
	return e == 0;
}

static void run_stop(struct run *r, bool summary)
{
	int64_t to_s;

	run_drain(r);
	to_s = clock_wall_us() / 1000000 + r->conf->receive.fold_ms / 1000;
	if (summary)
		run_say_end(r, to_s);
	roles_stop(&r->roles);
	client_free(r->client);
	close(r->signals);
}

int cmd_run(int argc, char **argv)
{
	struct run_conf conf = run_defaults;
	struct run r = {.conf = &conf, .agent = CHILD_NONE, .shop = CHILD_NONE, .end_us = INT64_MAX, .signals = -1};
	char **args, why[256];
	int n, e = opt_parse(CMD_PROGRAM " run", &run_command, argc, argv, &conf, &args, &n);
	bool up;

	if (e)
		return e == OPT_HELP ? CMD_OK : CMD_USAGE;
	r.opts.collector = collector_defaults;
	if (run_check(&conf, &r.opts.collector, why, sizeof(why)) < 0) {
		fprintf(stderr, CMD_PROGRAM " run: %s\n", why);
		return CMD_USAGE;
	}
	r.terminal = run_has_terminal();
	log_set(conf.quiet ? LOG_ERROR : LOG_WARN, CMD_PROGRAM);
	run_data_folder(conf.data, r.data, sizeof(r.data));
	if (run_take_signals(&r) < 0)
		return CMD_FAILED;
	run_open_files();
	up = run_start(&r);
	if (up) {
		run_block(&r);
		run_wait(&r);
	} else if (!r.stop) {
		r.exit_code = CMD_FAILED;
	}
	run_stop(&r, up && conf.for_ms);
	return r.exit_code;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/bus.h"
#include "cli/cmd.h"
#include "cli/role.h"
#include "cli/run.h"

struct server_conf {
	const char *data, *listen, *web_root, *bus, *bus_config, *name, *spool, *cluster;
	uint32_t interval_ms;
};

#define AT(member) .offset = offsetof(struct server_conf, member)

static const struct opt server_options[] = {
	{.name = "data",
	 .letter = 'd',
	 .type = OPT_STRING,
	 AT(data),
	 .arg = "FOLDER|URL",
	 .help = "what `skyfall run` kept; default /var/lib/skyfall as root, else $XDG_STATE_HOME/skyfall; or a ClickHouse: "
		 "http[s]://[USER:PASSWORD@]HOST[:PORT]/DATABASE"},
	{.name = "spool",
	 .type = OPT_STRING,
	 AT(spool),
	 .arg = "FOLDER",
	 .help = "with ClickHouse: where batches wait while it is away, 1 GiB at most; none: they wait on the bus"},
	{.name = "cluster",
	 .type = OPT_STRING,
	 AT(cluster),
	 .arg = "NAME",
	 .help = "with ClickHouse: its tables are those of `skyfall store --print-ddl --replicated --cluster NAME`"},
	{.name = "listen",
	 .letter = 'l',
	 .type = OPT_STRING,
	 AT(listen),
	 .arg = "HOST:PORT",
	 .help = "address of page and API; default 127.0.0.1:8343"},
	{.name = "web-root",
	 .type = OPT_STRING,
	 AT(web_root),
	 .arg = "FOLDER",
	 .help = "the page's files from there, read anew each time: for work on the page (BUILD/web/page)"},
	OPT_INTERVAL(struct server_conf, interval_ms, "of the run that wrote the folder; default 1s"),
	{.name = "bus",
	 .type = OPT_STRING,
	 AT(bus),
	 .arg = "KIND",
	 .help = "none: only what is stored; or " BUS_OPTION_HELP},
	{.name = "bus-config", .type = OPT_STRING, AT(bus_config), .arg = "FILE", .help = BUS_CONFIG_HELP},
	{.name = "name",
	 .type = OPT_STRING,
	 AT(name),
	 .arg = "NAME",
	 .help = "what it calls itself in the ledger; default the host's name"},
	{0},
};

const struct opt_command server_command = {
	.name = "server",
	.summary = "store, API and page alone: of a Kafka bus, or over what is stored",
	.args = "",
	.about =
		"With --bus kafka:... it stores what the graphs say and shows it as it comes; servers that share a store share the\n"
		"partitions. Without a bus it answers from a data folder that no `skyfall run` is using.",
	.opts = server_options,
	.conf_size = sizeof(struct server_conf),
};

/* Until SIGINT or SIGTERM. */
static void server_wait(const sigset_t *set, struct role_bus *watch)
{
	int fd = signalfd(-1, set, SFD_CLOEXEC);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (fd >= 0 && poll(&p, 1, watch ? 1000 : -1) <= 0) {
		if (watch)
			role_watch(watch, clock_mono_us());
	}
	if (fd >= 0)
		close(fd);
}

static void server_bus_metrics(void *arg, struct buf *b)
{
	bus_metrics(arg, b);
}

static int server_bus(const struct server_conf *conf, struct server_opts *so, char *host, size_t host_len, char *why,
		      size_t why_len)
{
	if (gethostname(host, host_len - 1) < 0 || !host[0])
		snprintf(host, host_len, "localhost");
	so->instance = conf->name ? conf->name : host;
	so->settle_ms = 2 * conf->interval_ms + 1000;
	return bus_open_kafka(&so->bus, conf->bus, conf->bus_config, why, why_len);
}

int cmd_server(int argc, char **argv)
{
	struct server_conf conf = {.interval_ms = 1000};
	struct server_opts so = server_defaults;
	struct server *s = NULL;
	struct role_bus watch = {0};
	char **args, why[1024], data[4096], host[128] = "";
	bool live;
	sigset_t set;
	int n, r = opt_parse(CMD_PROGRAM " server", &server_command, argc, argv, &conf, &args, &n);

	if (r)
		return r == OPT_HELP ? CMD_OK : CMD_USAGE;
	live = conf.bus && strcmp(conf.bus, "none");
	if (live && !bus_brokers(conf.bus)) {
		fprintf(stderr, CMD_PROGRAM " server: --bus: '%s' is neither none nor kafka:HOST:PORT\n", conf.bus);
		return CMD_USAGE;
	}
	run_data_folder(conf.data, data, sizeof(data));
	snprintf(why, sizeof(why), OPT_INTERVAL_RULE);
	if (!opt_interval_ok(conf.interval_ms) ||
	    run_address_check("listen", conf.listen ? conf.listen : so.listen, why, sizeof(why)) < 0) {
		fprintf(stderr, CMD_PROGRAM " server: %s\n", why);
		return CMD_USAGE;
	}
	snprintf(why, sizeof(why), "%.900s/skyfall.db", data);
	if (!live && !store_is_url(data) && access(why, F_OK) < 0) {
		fprintf(stderr,
			CMD_PROGRAM
			" server: nothing is stored in %.900s: name the folder of a former `skyfall run` with --data, or a "
			"bus with --bus\n",
			data);
		return CMD_FAILED;
	}
	so.data = data;
	so.listen = conf.listen ? conf.listen : so.listen;
	so.web_root = conf.web_root;
	so.store = store_defaults;
	so.store.interval_s = (uint16_t)(conf.interval_ms / 1000);
	so.store.spool = conf.spool;
	so.store.cluster = conf.cluster;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	run_open_files();
	if (live) {
		r = server_bus(&conf, &so, host, sizeof(host), why, sizeof(why));
		watch.bus = so.bus;
	}
	if (r == 0)
		r = server_new(&s, &so, why, sizeof(why));
	if (r == 0 && live)
		r = server_add_metrics(s, server_bus_metrics, so.bus);
	if (r == 0)
		r = server_start(s, why, sizeof(why));
	if (r == 0) {
		printf("Skyfall " SKYFALL_VERSION " answers from %s; Ctrl-C stops.\n  page   %s/\n  API    %s\n",
		       store_is_url(data) && strrchr(data, '@') ? strrchr(data, '@') + 1 : data, /* no password */
		       server_url(s), server_url(s));
		fflush(stdout);
		server_wait(&set, live ? &watch : NULL);
		server_stop(s);
	} else {
		fprintf(stderr, CMD_PROGRAM " server: %s\n", why);
	}
	server_free(s);
	if (watch.bus)
		bus_close(watch.bus);
	return r < 0 ? CMD_FAILED : CMD_OK;
}

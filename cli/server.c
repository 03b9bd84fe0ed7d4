/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "cli/run.h"

struct server_conf {
	const char *data, *listen, *web_root, *bus;
	uint32_t interval_ms;
};

#define AT(member) .offset = offsetof(struct server_conf, member)

static const struct opt server_options[] = {
	{.name = "data",
	 .letter = 'd',
	 .type = OPT_STRING,
	 AT(data),
	 .arg = "FOLDER",
	 .help = "what `skyfall run` kept; default /var/lib/skyfall as root, else $XDG_STATE_HOME/skyfall"},
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
	 .help = "none: only what is stored; this version has no bus between processes",
	 .choices = "none"},
	{0},
};

const struct opt_command server_command = {
	.name = "server",
	.summary = "API and page alone, over what a former `skyfall run` stored",
	.args = "",
	.about =
		"Answers from a data folder that no `skyfall run` is using. Live data needs `skyfall run`: a bus between\n"
		"processes comes with a later version.",
	.opts = server_options,
	.conf_size = sizeof(struct server_conf),
};

/* Until SIGINT or SIGTERM. */
static void server_wait(const sigset_t *set)
{
	int fd = signalfd(-1, set, SFD_CLOEXEC);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (fd >= 0 && poll(&p, 1, -1) <= 0)
		;
	if (fd >= 0)
		close(fd);
}

int cmd_server(int argc, char **argv)
{
	struct server_conf conf = {.interval_ms = 1000};
	struct server_opts so = server_defaults;
	struct server *s = NULL;
	char **args, why[1024], data[4096];
	sigset_t set;
	int n, r = opt_parse(CMD_PROGRAM " server", &server_command, argc, argv, &conf, &args, &n);

	if (r)
		return r == OPT_HELP ? CMD_OK : CMD_USAGE;
	run_data_folder(conf.data, data, sizeof(data));
	snprintf(why, sizeof(why), OPT_INTERVAL_RULE);
	if (!opt_interval_ok(conf.interval_ms) ||
	    run_address_check("listen", conf.listen ? conf.listen : so.listen, why, sizeof(why)) < 0) {
		fprintf(stderr, CMD_PROGRAM " server: %s\n", why);
		return CMD_USAGE;
	}
	snprintf(why, sizeof(why), "%.900s/skyfall.db", data);
	if (access(why, F_OK) < 0) {
		fprintf(stderr,
			CMD_PROGRAM
			" server: nothing is stored in %.900s: name the folder of a former `skyfall run` with --data\n",
			data);
		return CMD_FAILED;
	}
	so.data = data;
	so.listen = conf.listen ? conf.listen : so.listen;
	so.web_root = conf.web_root;
	so.store = store_defaults;
	so.store.interval_s = (uint16_t)(conf.interval_ms / 1000);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	run_open_files();
	r = server_new(&s, &so, why, sizeof(why));
	if (r == 0)
		r = server_start(s, why, sizeof(why));
	if (r == 0) {
		printf("Skyfall " SKYFALL_VERSION " answers from %s; Ctrl-C stops.\n  page   %s/\n  API    %s\n", data,
		       server_url(s), server_url(s));
		fflush(stdout);
		server_wait(&set);
		server_stop(s);
	} else {
		fprintf(stderr, CMD_PROGRAM " server: %s\n", why);
	}
	server_free(s);
	return r < 0 ? CMD_FAILED : CMD_OK;
}

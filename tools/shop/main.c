/* SPDX-License-Identifier: Apache-2.0 */
/*
 * skyfall-shop: a small shop to look at (tools/shop/node.h), in network namespaces of its own. Prints "ready" when
 * all programs run. SIGTERM or SIGINT: stops them from the front to the back, so that every connection ends in
 * order, merges what they wrote down, removes what it made.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/opt.h"
#include "tools/shop/lab.h"
#include "tools/shop/tally.h"

#define SHOP_NODES 16
#define SHOP_STOP_MS 8000 /* a program that has not ended by then is killed */

struct shop_conf {
	const char *truth, *node;
	uint64_t start_us;
	bool clean;
};

#define AT(member) .offset = offsetof(struct shop_conf, member)

static const struct opt shop_opts[] = {
	{.name = "truth",
	 .letter = 't',
	 .type = OPT_STRING,
	 AT(truth),
	 .arg = "DIR",
	 .help = "folder for what the programs did, one JSON file each; default: not written"},
	{.name = "clean", .type = OPT_FLAG, AT(clean), .help = "only remove what a former run left"},
	{.name = "node",
	 .type = OPT_STRING,
	 AT(node),
	 .arg = "NAME",
	 .help = "be this program (for the shop's own use)"},
	{.name = "start",
	 .type = OPT_UINT,
	 AT(start_us),
	 .arg = "US",
	 .help = "when the shop opened (for its own use)"},
	{0},
};

static const struct opt_command shop_command = {
	.name = "skyfall-shop",
	.summary = "a small shop for the demo: web -> api -> db, cache, queue, mail",
	.args = "",
	.opts = shop_opts,
	.conf_size = sizeof(struct shop_conf),
};

struct shop {
	const struct shop_conf *conf;
	int64_t start_us;
	int signals;            /* signalfd */
	pid_t pids[SHOP_NODES]; /* 0: not running */
};

static int shop_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* One program: what the child of shop_start() becomes. */
static int shop_node(const struct shop_conf *conf)
{
	const struct node *n = node_find(conf->node);
	char path[4096];
	int stop = shop_signals(), r;

	if (!n || stop < 0)
		return 2;
	snprintf(path, sizeof(path), NODE_PREFIX "%s", n->name);
	prctl(PR_SET_NAME, path);
	r = n->run(stop, (int64_t)conf->start_us);
	if (r == 0 && conf->truth) {
		char program[32];

		snprintf(program, sizeof(program), NODE_PREFIX "%s", n->name);
		snprintf(path, sizeof(path), "%s/%s.json", conf->truth, n->name);
		r = tally_write(program, path);
	}
	if (r < 0)
		fprintf(stderr, "skyfall-shop %s: %s\n", n->name, strerror(-r));
	return r < 0;
}

static int shop_start(struct shop *s, size_t i)
{
	char env[64], start[32],
		*args[8] = {(char *)"skyfall-shop", (char *)"--node", (char *)nodes[i].name, (char *)"--start", start};
	pid_t parent = getpid(), pid;

	snprintf(env, sizeof(env), NODE_PREFIX "%s", nodes[i].name);
	snprintf(start, sizeof(start), "%lld", (long long)s->start_us);
	if (s->conf->truth) {
		args[5] = (char *)"--truth";
		args[6] = (char *)s->conf->truth;
	}
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		/* Dies with the shop; not with the terminal's Ctrl-C, which the shop itself hears. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setpgid(0, 0);
		if (getppid() != parent || lab_enter(&nodes[i]) < 0)
			_exit(1);
		setenv("SKYFALL_SERVICE", env, 1);
		execv("/proc/self/exe", args);
		_exit(127);
	}
	s->pids[i] = pid;
	return 0;
}

static void shop_stop(struct shop *s, size_t i)
{
	int64_t until = clock_mono_us() + SHOP_STOP_MS * 1000;
	struct timespec pause = {.tv_nsec = 10000000};
	int status;

	if (s->pids[i] <= 0)
		return;
	kill(s->pids[i], SIGTERM);
	while (waitpid(s->pids[i], &status, WNOHANG) == 0) {
		if (clock_mono_us() > until) {
			fprintf(stderr, "skyfall-shop: %s does not stop; killed\n", nodes[i].name);
			kill(s->pids[i], SIGKILL);
			waitpid(s->pids[i], &status, 0);
			break;
		}
		nanosleep(&pause, NULL);
	}
	s->pids[i] = 0;
}

/* Until a signal comes. The mail server goes in between. */
static void shop_wait(struct shop *s)
{
	struct pollfd p = {.fd = s->signals, .events = POLLIN};
	int64_t gone = s->start_us + NODE_MAIL_GONE_MS * 1000;
	int64_t left = gone - clock_mono_us();

	if (poll(&p, 1, left > 0 ? (int)(left / 1000) + 1 : 0) > 0)
		return;
	lab_vanish(node_find("mail"));
	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
}

static int shop_run(const struct shop_conf *conf)
{
	struct shop s = {.conf = conf, .signals = shop_signals()};
	int r = lab_lock();

	if (r < 0) {
		fprintf(stderr, "skyfall-shop: %s\n",
			r == -EBUSY ? "another shop is open on this host: stop it first" : strerror(-r));
		return 1;
	}
	if (conf->truth && mkdir(conf->truth, 0755) < 0 && errno != EEXIST) {
		fprintf(stderr, "skyfall-shop: cannot make %s: %s\n", conf->truth, strerror(errno));
		return 1;
	}
	r = lab_up() < 0;
	/* An agent tells of new addresses within two intervals; a shop that opens later is named right from its first second. */
	if (r == 0)
		nanosleep(&(struct timespec){2, 500000000}, NULL);
	s.start_us = clock_mono_us();
	for (size_t i = 0; i < nodes_n && r == 0; i++)
		r = shop_start(&s, i) < 0;
	if (r == 0) {
		puts("ready");
		fflush(stdout);
		shop_wait(&s);
	} else {
		fprintf(stderr,
			"skyfall-shop: cannot build the shop; what `ip` said is above (is the kernel without veth or bridge?)\n");
	}
	for (size_t i = nodes_n; i > 0; i--)
		shop_stop(&s, i - 1);
	lab_down();
	return r;
}

int main(int argc, char **argv)
{
	struct shop_conf conf = {0};
	char **args;
	int n, r = opt_parse("skyfall-shop", &shop_command, argc, argv, &conf, &args, &n);

	if (r)
		return r == OPT_HELP ? 0 : 2;
	if (conf.node)
		return shop_node(&conf);
	if (geteuid() != 0) {
		fprintf(stderr, "skyfall-shop: the shop needs root: it makes network namespaces of its own\n");
		return 1;
	}
	if (!conf.clean)
		return shop_run(&conf);
	if (lab_lock() < 0) {
		fprintf(stderr, "skyfall-shop: the shop is open: stop it first\n");
		return 1;
	}
	lab_down();
	return 0;
}

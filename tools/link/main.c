/* SPDX-License-Identifier: Apache-2.0 */
/* skyfall-link: a link between two network namespaces that loses, delays and is as slow as one says; and counts what it did. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/opt.h"
#include "tools/link/end.h"
#include "tools/link/lane.h"

#define LINK_LONGEST 65535
#define LINK_BURST 64 /* packets read of one end before the other has its turn */

struct link_conf {
	uint32_t delay_ms, delay_back_ms;
	const char *loss, *loss_back, *device;
	uint64_t rate, rate_back, queue, mtu, seed;
	bool man;
};

#define AT(member) .offset = offsetof(struct link_conf, member)

static const struct opt link_opts[] = {
	{.type = OPT_GROUP, .help = "From the first end to the second"},
	{.name = "delay",
	 .letter = 'd',
	 .type = OPT_TIME,
	 AT(delay_ms),
	 .arg = "TIME",
	 .help = "of each packet; default 0ms"},
	{.name = "loss",
	 .letter = 'l',
	 .type = OPT_STRING,
	 AT(loss),
	 .arg = "PERCENT",
	 .help = "so many are lost, such as 0.5; default 0"},
	{.name = "rate",
	 .letter = 'r',
	 .type = OPT_UINT,
	 AT(rate),
	 .arg = "KBIT",
	 .help = "1000 bits a second, headers from IP on included; default: no bound",
	 .min = 8,
	 .max = 100000000},
	{.type = OPT_GROUP, .help = "From the second end to the first"},
	{.name = "delay-back",
	 .type = OPT_TIME,
	 AT(delay_back_ms),
	 .arg = "TIME",
	 .help = "of each packet; default 0ms"},
	{.name = "loss-back",
	 .type = OPT_STRING,
	 AT(loss_back),
	 .arg = "PERCENT",
	 .help = "so many are lost; default 0"},
	{.name = "rate-back",
	 .type = OPT_UINT,
	 AT(rate_back),
	 .arg = "KBIT",
	 .help = "1000 bits a second; default: no bound",
	 .min = 8,
	 .max = 100000000},
	{.type = OPT_GROUP, .help = "Both ways"},
	{.name = "queue",
	 .type = OPT_UINT,
	 AT(queue),
	 .arg = "PACKETS",
	 .help = "that wait at most, the delayed ones included; more are dropped; default 10000",
	 .min = 1,
	 .max = 100000},
	{.name = "mtu",
	 .type = OPT_UINT,
	 AT(mtu),
	 .arg = "BYTES",
	 .help = "default 1500",
	 .min = 1280,
	 .max = LINK_LONGEST},
	{.name = "seed", .type = OPT_UINT, AT(seed), .arg = "N", .help = "another one loses other packets; default 1"},
	{.name = "device", .type = OPT_STRING, AT(device), .arg = "NAME", .help = "of both devices; default skylink"},
	{.name = "man", .type = OPT_FLAG, AT(man), .help = "print the manual page (roff)"},
	{0},
};

static const struct opt_command link_command = {
	.name = "skyfall-link",
	.summary = "a link between two network namespaces with loss, delay and rate",
	.args = "END END",
	.about =
		"An END is [NETNS=]ADDRESS/LENGTH[,ADDRESS/LENGTH ...]: a name of `ip netns` or a path, and the addresses of the tun\n"
		"device made there; without a name the namespace it is started in. The link lives as long as the program: SIGINT and\n"
		"SIGTERM end it. When both ends are up it prints one line of JSON, at SIGUSR1 and at its end another: what was done to\n"
		"the packets, `there` from the first end to the second and `back`. Every packet is one segment on the wire (no offloads),\n"
		"so what is counted here is what a TCP there sent. Exit: 0, 1 when a link cannot be made, 2 for a mistake in the options.",
	.opts = link_opts,
	.conf_size = sizeof(struct link_conf),
	.min_args = 0, /* --man has none */
	.max_args = 2,
};

static volatile sig_atomic_t link_stop, link_report;

static void link_on_signal(int number)
{
	if (number == SIGUSR1)
		link_report = 1;
	else
		link_stop = 1;
}

struct link {
	int fd[2];            /* of either end */
	struct lane *lane[2]; /* from that end to the other */
	uint64_t refused;     /* packets that the other end's kernel did not take */
	uint8_t packet[LINK_LONGEST];
};

static int64_t link_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void link_print(const struct link *l, bool up)
{
	static const char *const names[] = {"there", "back"};

	printf("{\"up\":%s,\"refused\":%" PRIu64, up ? "true" : "false", l->refused);
	for (int i = 0; i < 2; i++) {
		const struct lane_counts *c = lane_counts(l->lane[i]);

		printf(",\"%s\":{\"in\":%" PRIu64 ",\"out\":%" PRIu64 ",\"bytes_out\":%" PRIu64 ",\"lost\":%" PRIu64
		       ",\"full\":%" PRIu64 "}",
		       names[i], c->in, c->out, c->bytes_out, c->lost, c->full);
	}
	printf("}\n");
	fflush(stdout);
}

/* What waits at one end goes into its lane; what is due in it leaves at the other. */
static void link_move(struct link *l, int from)
{
	const void *data;
	int64_t now;
	ssize_t n;
	size_t len;

	for (int i = 0; i < LINK_BURST; i++) {
		n = read(l->fd[from], l->packet, sizeof(l->packet));
		if (n <= 0)
			break;
		lane_put(l->lane[from], link_now_ns(), l->packet, (size_t)n);
	}
	now = link_now_ns();
	while ((len = lane_take(l->lane[from], now, &data)) > 0)
		l->refused += write(l->fd[!from], data, len) != (ssize_t)len;
}

static int link_run(struct link *l)
{
	struct pollfd p[2] = {{l->fd[0], POLLIN, 0}, {l->fd[1], POLLIN, 0}};
	sigset_t none;

	sigemptyset(&none);
	while (!link_stop) {
		int64_t due = lane_due_ns(l->lane[0]), other = lane_due_ns(l->lane[1]);
		int64_t wait = (due < other ? due : other) - link_now_ns();
		struct timespec t = {wait / 1000000000, wait % 1000000000};

		if (wait < 0)
			t = (struct timespec){0, 0};
		if (ppoll(p, 2, due < INT64_MAX || other < INT64_MAX ? &t : NULL, &none) < 0 && errno != EINTR)
			return -errno;
		if ((p[0].revents | p[1].revents) & POLLERR)
			return -ENODEV;
		link_move(l, 0);
		link_move(l, 1);
		if (link_report)
			link_print(l, true);
		link_report = 0;
	}
	return 0;
}

static int link_usage(const char *what, const char *why)
{
	fprintf(stderr, "skyfall-link: %s: %s; see 'skyfall-link --help'\n", what, why);
	return 2;
}

/* "5", "0.5", "5%" as a probability; below 0 when it is none. */
static double link_percent(const char *text)
{
	char *end = NULL;
	double v = strtod(text, &end);

	if (end == text || (strcmp(end, "") && strcmp(end, "%")) || !isfinite(v) || v > 100)
		return -1;
	return v / 100;
}

/* "c=10.0.0.1/24": cuts the word in two. */
static int link_end(char *word, struct end_conf *ret)
{
	char *cut = strchr(word, '=');

	ret->netns = cut ? word : NULL;
	ret->addresses = cut ? cut + 1 : word;
	if (cut)
		*cut = '\0';
	if (cut == word || end_check(ret->addresses))
		return link_usage(cut ? cut + 1 : word,
				  "an end is [NETNS=]ADDRESS/LENGTH[,...], such as red=10.9.0.1/24");
	return 0;
}

static int link_lanes(struct link *l, const struct link_conf *c)
{
	const double loss[] = {link_percent(c->loss), link_percent(c->loss_back)};

	if (loss[0] < 0 || loss[1] < 0)
		return link_usage(loss[0] < 0 ? "--loss" : "--loss-back", "wants a percentage from 0 to 100");
	for (int i = 0; i < 2; i++) {
		struct lane_conf conf = {.delay_ns = (i ? c->delay_back_ms : c->delay_ms) * 1000000ll,
					 .loss = loss[i],
					 .rate = (i ? c->rate_back : c->rate) * 1000,
					 .limit = (uint32_t)c->queue,
					 .mtu = (uint32_t)c->mtu,
					 .seed = c->seed * 2 + (uint64_t)i};

		if (lane_new(&l->lane[i], &conf) < 0) {
			fprintf(stderr, "skyfall-link: --queue: %s\n", strerror(ENOMEM));
			return 1;
		}
	}
	return 0;
}

static int link_ends(struct link *l, struct end_conf ends[2])
{
	char why[256];

	for (int i = 0; i < 2; i++) {
		if (end_open(&ends[i], &l->fd[i], why, sizeof(why)) < 0) {
			fprintf(stderr, "skyfall-link: %s\n", why);
			return 1;
		}
	}
	return 0;
}

/* Signals come in only while it waits, so none is missed. */
static void link_signals(void)
{
	struct sigaction on = {.sa_handler = link_on_signal};
	const int numbers[] = {SIGINT, SIGTERM, SIGUSR1};
	sigset_t held;

	sigemptyset(&held);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		sigaction(numbers[i], &on, NULL);
		sigaddset(&held, numbers[i]);
	}
	sigprocmask(SIG_BLOCK, &held, NULL);
}

static int link_go(struct link *l, const struct link_conf *c, char **args, int n)
{
	struct end_conf ends[2] = {0};
	int r;

	if (n != 2)
		return link_usage("END END", "wants two ends");
	if (!*c->device || strlen(c->device) >= IF_NAMESIZE || strpbrk(c->device, "/%: "))
		return link_usage("--device", "is no name of a device");
	for (int i = 0; i < 2; i++) {
		r = link_end(args[i], &ends[i]);
		if (r)
			return r;
		ends[i].device = c->device;
		ends[i].mtu = (uint32_t)c->mtu;
	}
	if (!ends[0].netns && !ends[1].netns)
		return link_usage("END END", "both ends in one namespace are no link: name another one");
	r = link_lanes(l, c);
	if (!r)
		r = link_ends(l, ends);
	if (r)
		return r;
	link_print(l, true);
	r = link_run(l);
	link_print(l, false);
	if (r)
		fprintf(stderr, "skyfall-link: %s\n", strerror(-r));
	return r ? 1 : 0;
}

int main(int argc, char **argv)
{
	static const struct opt_command *const commands[] = {&link_command};
	struct link_conf conf = {
		.loss = "0", .loss_back = "0", .device = "skylink", .queue = 10000, .mtu = 1500, .seed = 1};
	struct link l = {.fd = {-1, -1}};
	char **args;
	int n, r = opt_parse("skyfall-link", &link_command, argc, argv, &conf, &args, &n);

	if (r)
		return r == OPT_HELP ? 0 : 2;
	if (conf.man) {
		opt_man("skyfall-link", 1, link_command.summary, commands, 1, stdout);
		return 0;
	}
	(void)prctl(PR_SET_TIMERSLACK, 1000ul); /* ns; else a packet is 50 us late */
	link_signals();
	r = link_go(&l, &conf, args, n);
	for (int i = 0; i < 2; i++) {
		lane_free(l.lane[i]);
		if (l.fd[i] >= 0)
			close(l.fd[i]);
	}
	return r;
}

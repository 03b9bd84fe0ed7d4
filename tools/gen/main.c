/* SPDX-License-Identifier: Apache-2.0 */
/* skyfall-gen: the agents of a fleet that is not there (tools/gen/fleet.h), and the truth of what they sent. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "tools/gen/conf.h"

#define GEN_INTRODUCE_S 60

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

struct gen {
	const struct conf *conf;
	struct fleet *fleet;
	struct truth *truth;
	FILE *truth_out, *rows_out;
	struct emit *emit;
	struct load *load;
	int64_t begin_us, took_us, cpu_us;
	uint64_t intervals;
	bool shown; /* a progress line stands on the terminal */
};

/* --- what is said */

static int64_t gen_cpu_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000ll + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

static void gen_clock_begin(struct gen *g)
{
	g->begin_us = clock_mono_us();
	g->cpu_us = gen_cpu_us();
}

static void gen_clock_end(struct gen *g)
{
	g->took_us = clock_mono_us() - g->begin_us;
	g->cpu_us = gen_cpu_us() - g->cpu_us;
}

static double gen_rate(uint64_t n, int64_t us)
{
	return us > 0 ? (double)n * 1e6 / (double)us : 0;
}

/* One line that is written over again. */
static void gen_progress(void *arg, const struct counts *c)
{
	struct gen *g = arg;
	int64_t us = clock_mono_us() - g->begin_us;

	if (g->conf->quiet || !isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r%5.0f s  %llu rows, %.3g rows/s, %llu datagrams, %.3g B/s\033[K", (double)us / 1e6,
		(unsigned long long)c->made.rows, gen_rate(c->made.rows, us),
		(unsigned long long)(c->made.datagrams + c->others), gen_rate(c->bytes, us));
	g->shown = true;
}

static void gen_json_of(const char *name, const struct counts_of *c)
{
	printf(",\"%s_datagrams\":%llu,\"%s_rows\":%llu", name, (unsigned long long)c->datagrams, name,
	       (unsigned long long)c->rows);
}

static void gen_json(const struct gen *g, const struct counts *c)
{
	int64_t us = g->took_us;

	printf("{\"profile\":\"%s\",\"rows\":%llu,\"datagrams\":%llu,\"bytes\":%llu", g->conf->profile,
	       (unsigned long long)c->sent.rows, (unsigned long long)c->sent.datagrams, (unsigned long long)c->bytes);
	gen_json_of("made", &c->made);
	gen_json_of("lost", &c->lost);
	gen_json_of("failed", &c->failed);
	gen_json_of("twice", &c->twice);
	gen_json_of("overtaken", &c->late);
	printf(",\"forged_datagrams\":%llu,\"replayed_datagrams\":%llu,\"altered_datagrams\":%llu",
	       (unsigned long long)c->forged, (unsigned long long)c->replayed, (unsigned long long)c->altered);
	printf(",\"other_datagrams\":%llu,\"keys\":%llu,\"tuples\":%llu,\"agents\":%u,\"sockets\":%u,\"calls\":%llu",
	       (unsigned long long)c->others, (unsigned long long)c->keys, (unsigned long long)c->tuples,
	       g->fleet->conf.hosts, g->conf->opts.emit.line.sockets, (unsigned long long)c->calls);
	printf(",\"seconds\":%.3f,\"cpu_us\":%lld,\"rows_per_s\":%.0f,\"rows_per_cpu_s\":%.0f,\"behind_us\":%lld}\n",
	       (double)us / 1e6, (long long)g->cpu_us, gen_rate(c->made.rows, us), gen_rate(c->made.rows, g->cpu_us),
	       (long long)c->behind_us);
}

static void gen_said(struct gen *g, const struct counts *c)
{
	int64_t us = g->took_us;

	if (g->shown)
		fputc('\n', stderr);
	if (!g->conf->quiet)
		fprintf(stderr,
			"skyfall-gen: %llu rows in %llu datagrams, %llu bytes in all; %.3g rows/s, %.3g rows a CPU second; "
			"at most %.0f ms behind\n",
			(unsigned long long)c->sent.rows, (unsigned long long)c->sent.datagrams,
			(unsigned long long)c->bytes, gen_rate(c->made.rows, us), gen_rate(c->made.rows, g->cpu_us),
			(double)c->behind_us / 1000);
	if (!g->conf->quiet && c->lost.datagrams + c->twice.datagrams + c->late.datagrams)
		fprintf(stderr,
			"skyfall-gen: %llu datagrams (%llu rows) never sent, %llu (%llu) twice, %llu overtaken\n",
			(unsigned long long)c->lost.datagrams, (unsigned long long)c->lost.rows,
			(unsigned long long)c->twice.datagrams, (unsigned long long)c->twice.rows,
			(unsigned long long)c->late.datagrams);
	if (g->conf->json)
		gen_json(g, c);
}

/* --- in real time */

/* One interval, sent and written down. */
static int gen_interval(struct gen *g, uint32_t interval, int64_t from_us, bool introduce)
{
	int r = emit_interval(g->emit, interval, from_us, introduce);

	g->intervals++;
	gen_progress(g, emit_counts(g->emit));
	return r;
}

/*
 * The oldest first, it is the nearest to being too late. Once the first intervals are through: a collector knows by then that
 * these clocks are right, so that what comes is late, not misdated, and the graph knows the names of both ends.
 */
static int gen_past(struct gen *g)
{
	uint32_t len = g->conf->interval_ms / 1000;
	int r = 0;

	for (uint32_t i = (uint32_t)g->conf->past; i > 0 && r == 0 && !gen_stop; i--)
		r = gen_interval(g, g->conf->first - i * len, clock_wall_us(), false);
	return r;
}

static int gen_live(struct gen *g)
{
	uint32_t len = g->conf->interval_ms / 1000, every = GEN_INTRODUCE_S / len;
	int r = 0;

	for (uint64_t i = 0; i < g->conf->intervals && r == 0 && !gen_stop; i++) {
		uint32_t interval = g->conf->first + (uint32_t)i * len;
		int64_t end_us = ((int64_t)interval + len) * 1000000;

		while (clock_wall_us() < end_us && !gen_stop)
			clock_sleep_until(end_us);
		if (!gen_stop)
			r = gen_interval(g, interval, end_us, i % every == 0);
		if (r == 0 && i + 1 == CONF_PAST_AFTER)
			r = gen_past(g);
	}
	return r;
}

static int gen_emit(struct gen *g, struct counts *ret)
{
	int r = emit_new(&g->emit, g->fleet, g->truth, &g->conf->opts.emit);

	if (r < 0)
		return gen_fail(g->conf->collector, strerror(-r));
	gen_clock_begin(g);
	r = gen_live(g);
	gen_clock_end(g);
	*ret = *emit_counts(g->emit);
	return r < 0 ? gen_fail(r == -EIO ? "--truth" : "memory", strerror(-r)) : 0;
}

/* --- load */

static int gen_load(struct gen *g, struct counts *ret)
{
	uint64_t datagrams, bytes;
	int64_t us;
	int r = load_new(&g->load, g->fleet, g->truth, &g->conf->opts);

	if (r < 0)
		return gen_fail(g->conf->collector, strerror(-r));
	load_made(g->load, &datagrams, &bytes, &us);
	if (!g->conf->quiet)
		fprintf(stderr, "skyfall-gen: %llu datagrams a round, %.1f MiB, made in %.1f s\n",
			(unsigned long long)datagrams, (double)bytes / 1048576, (double)us / 1e6);
	r = load_begin(g->load, &gen_stop);
	if (r < 0)
		return gen_fail(g->conf->collector, strerror(-r));
	gen_clock_begin(g);
	r = load_run(g->load, &gen_stop, gen_progress, g);
	gen_clock_end(g);
	g->took_us = load_took_us(g->load);
	load_counts(g->load, ret);
	if (r == 0)
		r = load_truth(g->load);
	return r < 0 ? gen_fail(r == -EIO ? "--truth" : "memory", strerror(-r)) : 0;
}

/* --- all of it */

static int gen_open(const char *option, const char *name, FILE **ret)
{
	if (!name)
		return 0;
	*ret = strcmp(name, "-") ? fopen(name, "we") : stdout;
	return *ret ? 0 : gen_file(option, name, errno);
}

static int gen_close(const char *option, const char *name, FILE *file)
{
	return file && fclose(file) ? gen_file(option, name, errno) : 0;
}

static int gen_run(struct gen *g)
{
	struct counts counts = {0};
	int r = gen_open("truth", g->conf->truth, &g->truth_out);

	if (r == 0)
		r = gen_open("truth-rows", g->conf->truth_rows, &g->rows_out);
	if (r == 0 && (g->truth_out || g->rows_out) &&
	    truth_new(&g->truth, g->fleet, g->truth_out, g->rows_out, !g->conf->opts.emit.pack.profile->ours) < 0)
		return gen_fail("--truth", strerror(ENOMEM));
	if (r || !g->conf->intervals)
		return r;
	r = g->conf->load ? gen_load(g, &counts) : gen_emit(g, &counts);
	if (r == 0)
		gen_said(g, &counts);
	if (r == 0 && counts.failed.datagrams)
		return gen_fail(g->conf->collector, "datagrams could not be sent: does a collector listen there?");
	return r;
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

static int gen_fleet(struct gen *g)
{
	struct rlimit files;
	char why[512];

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* a socket each */
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	if (fleet_new(&g->fleet, &g->conf->fleet, why, sizeof(why)) < 0) {
		gen_fail("this fleet cannot be", why);
		return 2;
	}
	return g->conf->key_file && foe_keys(g->fleet, g->conf->key_file, why, sizeof(why)) < 0
		       ? gen_fail("--key-file", why)
		       : 0;
}

int main(int argc, char **argv)
{
	static const struct opt_command *const commands[] = {&conf_command};
	struct conf conf = conf_defaults;
	struct sigaction stop = {.sa_handler = gen_on_signal};
	struct gen g = {.conf = &conf};
	char **args;
	int n, r = opt_parse("skyfall-gen", &conf_command, argc, argv, &conf, &args, &n);

	if (r)
		return r == OPT_HELP ? 0 : 2;
	if (conf.man) {
		opt_man("skyfall-gen", 1, conf_command.summary, commands, 1, stdout);
		return 0;
	}
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	r = conf_check(&conf);
	if (r == 0)
		r = gen_fleet(&g);
	if (r == 0)
		r = gen_inventory(&g);
	if (r == 0)
		r = gen_run(&g);
	emit_free(g.emit);
	load_free(g.load);
	truth_free(g.truth);
	n = gen_close("truth", conf.truth, g.truth_out);
	r = r ? r : n;
	n = gen_close("truth-rows", conf.truth_rows, g.rows_out);
	r = r ? r : n;
	fleet_free(g.fleet);
	return r;
}

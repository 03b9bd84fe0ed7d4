/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/collector.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "collector/publish.h"
#include "collector/receivers.h"
#include "wire/wire.h"

#define SLEEP_MAX_US 200000 /* the publishing thread: the wall clock may be set meanwhile */
#define STOP_US 5000000     /* most that a stop waits for a full bus */
#define QUIET_US 100000     /* agents that were told heard it when nothing came for so long */
#define LEAVE_US 1000000    /* most that a stop waits for that: others go on sending whatever they are told */
#define TELL_US 200000      /* until those that still send are told again */
#define TELL_TIMES 3
#define LOOK_US 5000
#define RCVBUF (8 << 20) /* to begin with */
#define RCVBUF_MAX (128 << 20)

const struct collector_opts collector_defaults = {
	.port = COLLECTOR_PORT,
	.interval_s = 10,
	.spread_ms = 8000,
	.max_rows = 65536,
	.max_agents = 16384,
};

struct collector {
	struct collector_opts opts;
	char instance[128];
	struct receivers rx;
	struct trust *trust;
	struct publish *publish;
	pthread_t publisher;
	bool running;
	int event; /* wakes the publishing thread */
	atomic_bool stop_publish, leave;
};

/* --- making it */

static void name_instance(struct collector *c)
{
	char host[100] = "collector";

	if (c->opts.instance)
		snprintf(c->instance, sizeof(c->instance), "%s", c->opts.instance);
	else if (!gethostname(host, sizeof(host) - 1))
		snprintf(c->instance, sizeof(c->instance), "%s:%u", host, c->opts.port);
	else
		snprintf(c->instance, sizeof(c->instance), "collector:%u", c->opts.port);
	c->opts.instance = c->instance;
}

static int check(const struct collector_opts *o, char *why, size_t why_len)
{
	if (o->interval_s && o->fold_s && (o->fold_s % o->interval_s || 60 % o->fold_s)) {
		snprintf(
			why, why_len,
			"rows can be folded over a multiple of the agents' interval of %u s that divides 60 s, not over %u s",
			o->interval_s, o->fold_s);
		return -EINVAL;
	}
	if (!o->bus || !o->interval_s || 60 % o->interval_s || o->spread_ms > o->interval_s * 1000u ||
	    o->threads > COLLECTOR_THREADS || !o->max_rows || !o->max_agents) {
		snprintf(why, why_len,
			 "the collector's interval must divide 60 s, its spread be no longer than that, and it takes "
			 "1 to %d threads",
			 COLLECTOR_THREADS);
		return -EINVAL;
	}
	return 0;
}

static int open_failed(const struct collector_opts *o, int r, char *why, size_t why_len)
{
	char ip[IP_TEXT];
	const char *text = ip_is_zero(&o->listen) ? "" : ip_format(&o->listen, ip);

	if (r == -EADDRINUSE)
		snprintf(why, why_len,
			 "UDP port %u is in use: stop who has it (ss -ulpn sport = :%u) or choose another port",
			 o->port, o->port);
	else if (r == -EADDRNOTAVAIL)
		snprintf(why, why_len, "cannot listen on %s: this host has no such address", text);
	else
		snprintf(why, why_len, "cannot listen on UDP port %u: %s", o->port, strerror(-r));
	return r;
}

static int open_sockets(struct collector *c, unsigned n, char *why, size_t why_len)
{
	const struct collector_opts *o = &c->opts;
	struct rx_opts ro = {.listen = o->listen, .port = o->port, .rcvbuf = o->rcvbuf ? o->rcvbuf : RCVBUF};
	int r = receivers_open(&c->rx, &rx_mmsg, n, &ro, o->steer, o->rcvbuf ? o->rcvbuf : RCVBUF_MAX);

	if (r < 0)
		return open_failed(o, r, why, why_len);
	c->opts.port = c->rx.port;
	return 0;
}

static struct worker_opts worker_opts(const struct collector_opts *o, struct trust *trust)
{
	uint32_t names = o->max_rows / 4 > 4096 ? o->max_rows / 4 : 4096;

	return (struct worker_opts){
		.fold = {.max_rows = o->max_rows,
			 .max_names = names,
			 .max_strings = 4 * names,
			 .string_bytes = 64 * names,
			 .max_roleless = o->max_rows / 4},
		.max_agents = o->max_agents,
		.interval_s = o->interval_s,
		.fold_s = o->fold_s,
		.enterprise = o->enterprise ? o->enterprise : WIRE_ENTERPRISE,
		.record_bytes = (size_t)(16 << 20) * (o->fold_s / o->interval_s), /* agents say theirs each interval */
		.trust = trust,
	};
}

static int open_publish(struct collector *c)
{
	const struct collector_opts *o = &c->opts;
	uint32_t grace = o->interval_s * 100u > 100 ? o->interval_s * 100u : 100;
	struct publish_opts po = {
		.bus = o->bus,
		.interval_s = o->interval_s,
		.fold_s = o->fold_s,
		.spread_ms = o->spread_ms,
		.grace_ms = o->grace_ms ? o->grace_ms : grace,
		.instance = c->instance,
		.start_us = clock_wall_us(),
		.max_agents = o->max_agents * c->rx.n,
		.no_ack = o->no_ack,
		.trust = c->trust,
		.workers = c->rx.workers,
		.n_workers = c->rx.n,
		.wake = receivers_wake,
		.send = receivers_send,
		.arg = &c->rx,
	};

	return publish_new(&c->publish, &po);
}

/* Its readers: the receive threads, and the one that answers agents. */
static int open_trust(struct collector *c, char *why, size_t why_len)
{
	const struct collector_opts *o = &c->opts;
	int r = trust_new(&c->trust, o->max_agents * c->rx.n, c->rx.n + 1, o->interval_s);

	if (r < 0) {
		snprintf(why, why_len, "the table of agents that sign: %s; --agents bounds it", strerror(-r));
		return r;
	}
	return trust_load(c->trust, &o->trust, why, why_len);
}

static unsigned cpus(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > COLLECTOR_THREADS ? COLLECTOR_THREADS : (unsigned)n;
}

int collector_new(struct collector **ret, const struct collector_opts *o, char *why, size_t why_len)
{
	struct worker_opts wo;
	struct collector *c;
	int r = check(o, why, why_len);

	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c) {
		snprintf(why, why_len, "out of memory");
		return -ENOMEM;
	}
	c->opts = *o;
	c->opts.fold_s = o->fold_s ? o->fold_s : o->interval_s;
	c->event = -1;
	r = open_sockets(c, o->threads ? o->threads : cpus(), why, why_len);
	if (!r)
		r = open_trust(c, why, why_len);
	if (r < 0)
		goto out;
	name_instance(c);
	wo = worker_opts(&c->opts, c->trust);
	r = receivers_workers(&c->rx, &wo);
	if (!r)
		r = open_publish(c);
	c->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!r && c->event < 0)
		r = -errno;
	if (r < 0)
		snprintf(
			why, why_len,
			"the collector's tables (%llu MiB for %u threads of %u rows): %s; fewer rows or threads need less",
			(unsigned long long)(2 * fold_bytes(&wo.fold) * c->rx.n >> 20), c->rx.n, o->max_rows,
			strerror(-r));
out:
	if (r < 0) {
		collector_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void collector_free(struct collector *c)
{
	if (!c)
		return;
	collector_stop(c);
	publish_free(c->publish);
	receivers_close(&c->rx);
	trust_free(c->trust);
	if (c->event >= 0)
		close(c->event);
	free(c);
}

/* --- running */

static void sleep_until(struct collector *c, int64_t wall_us)
{
	int64_t us = wall_us - clock_wall_us();
	struct pollfd fd = {c->event, POLLIN, 0};
	struct timespec t;
	uint64_t n;

	us = us < 0 ? 0 : us > SLEEP_MAX_US ? SLEEP_MAX_US : us;
	t = (struct timespec){us / 1000000, us % 1000000 * 1000};
	if (ppoll(&fd, 1, &t, NULL) > 0)
		(void)!read(c->event, &n, sizeof(n));
}

/* The receive threads are gone: their part of the swap is done here. */
static void publish_rest(struct collector *c)
{
	int64_t until_us = clock_mono_us() + STOP_US;

	publish_stop(c->publish);
	while (!publish_done(c->publish)) {
		int64_t next_us;

		for (unsigned i = 0; i < c->rx.n; i++)
			worker_poll(c->rx.workers[i]);
		next_us = publish_step(c->publish, clock_wall_us());
		if (publish_done(c->publish))
			return;
		if (clock_mono_us() > until_us) {
			publish_give_up(c->publish);
			log_warn("collector: the bus stayed full, rows were left behind at the stop");
			return;
		}
		sleep_until(c, next_us);
	}
}

static void *publishing(void *arg)
{
	struct collector *c = arg;

	(void)pthread_setname_np(pthread_self(), "publish");
	while (!atomic_load(&c->stop_publish)) {
		if (atomic_exchange(&c->leave, false))
			publish_leave(c->publish);
		sleep_until(c, publish_step(c->publish, clock_wall_us()));
	}
	publish_rest(c);
	return NULL;
}

int collector_start(struct collector *c)
{
	int r = pthread_create(&c->publisher, NULL, publishing, c);

	if (r)
		return -r;
	c->running = true;
	r = receivers_start(&c->rx);
	if (r < 0) {
		collector_stop(c);
		return r;
	}
	log_info("collector: %s on UDP port %u, %u threads, interval %u s, rows of %u s", c->instance, c->opts.port,
		 c->rx.n, c->opts.interval_s, c->opts.fold_s);
	return 0;
}

int collector_trust(struct collector *c, const struct trust_opts *opts, char *why, size_t why_len)
{
	return trust_load(c->trust, opts, why, why_len); /* every batch looks for it first */
}

static void wake_publisher(struct collector *c)
{
	uint64_t one = 1;

	(void)!write(c->event, &one, sizeof(one));
}

/* Agents are told while their datagrams are still received: who hears it goes elsewhere, and nothing falls between. */
static void leave(struct collector *c)
{
	int64_t begin_us = clock_mono_us(), now_us = begin_us, asked_us = 0, told_us = begin_us;
	unsigned asked = 0, told = 0;

	if (c->opts.no_ack || !receivers_heard_us(&c->rx))
		return;
	do {
		int64_t heard_us = receivers_heard_us(&c->rx);

		if (asked == told && told && now_us - (heard_us > told_us ? heard_us : told_us) >= QUIET_US)
			return;
		if (asked == told && asked < TELL_TIMES && now_us - asked_us >= TELL_US) {
			atomic_store(&c->leave, true);
			wake_publisher(c);
			asked_us = now_us;
			asked++;
		}
		clock_sleep_until(clock_wall_us() + LOOK_US);
		now_us = clock_mono_us();
		if (told < asked && publish_told(c->publish) > told) {
			told = asked;
			told_us = now_us;
		}
	} while (now_us - begin_us < LEAVE_US);
}

void collector_stop(struct collector *c)
{
	if (!c->running)
		return;
	leave(c);
	receivers_stop(&c->rx);
	atomic_store(&c->stop_publish, true);
	wake_publisher(c);
	pthread_join(c->publisher, NULL);
	c->running = false;
}

/* --- numbers */

uint16_t collector_port(const struct collector *c)
{
	return c->opts.port;
}

static void sums(struct collector *c, struct counters_rx *rx, struct counters_publish *out)
{
	*rx = (struct counters_rx){0};
	*out = (struct counters_publish){0};
	for (unsigned i = 0; i < c->rx.n; i++)
		counters_sum_rx(rx, &c->rx.workers[i]->counters);
	counters_sum_publish(out, publish_counters(c->publish));
}

void collector_stats(struct collector *c, struct collector_stats *ret)
{
	struct counters_rx rx;
	struct counters_publish out;

	sums(c, &rx, &out);
	*ret = (struct collector_stats){
		.datagrams = rx.datagrams,
		.rows_in = rx.rows,
		.rows_out = out.rows_out,
		.rows_lost = out.rows_lost,
		.messages = out.messages,
		.kernel_drops = rx.kernel_drops,
		.agents = publish_agents(c->publish),
		.closed = publish_closed(c->publish),
	};
	for (unsigned i = 0; i < COLLECTOR_REJECTS; i++)
		ret->rejected += rx.rejected[i];
}

static void gauge(struct buf *b, const char *name, const char *help, uint64_t v)
{
	buf_printf(b, "# HELP skyfall_collector_%s %s\n# TYPE skyfall_collector_%s gauge\nskyfall_collector_%s %llu\n",
		   name, help, name, name, (unsigned long long)v);
}

void collector_metrics(struct collector *c, struct buf *b)
{
	struct counters_rx rx;
	struct counters_publish out;

	sums(c, &rx, &out);
	counters_metrics_rx(&rx, b);
	counters_metrics_publish(&out, b);
	publish_samples(c->publish, b);
	gauge(b, "agents", "(agent, sub-agent) pairs heard in the last period", publish_agents(c->publish));
	gauge(b, "fold_fill_ratio_permille", "fullest fold table at the last swap", publish_fill_pm(c->publish));
	gauge(b, "closed_interval", "newest interval whose markers are written", publish_closed(c->publish));
	gauge(b, "threads", "receive threads", c->rx.n);
	receivers_metrics(&c->rx, b);
}

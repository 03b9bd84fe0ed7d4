/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The graph role: two threads, each a window engine and its stage. The pair thread also reads the hosts topic: whole before
 * it closes anything, and again before each closing, so an agent's first host record names its first interval.
 */
#include "graph/graph.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "graph/stages.h"

#define STEP_MS 50
#define BUSY_US 20000    /* full bus: until it is asked again */
#define FAILED_US 200000 /* failing bus likewise */
#define STATS_US 100000
#define STOP_US 5000000 /* graph_stop() works off what is there for so long at most */
#define HOSTS_READ 64

struct stage_thread {
	struct graph *g;
	struct window *window;
	pthread_t thread;
	bool running;
	atomic_bool stop;
	int failed; /* last error said */
	int64_t stats_at;
	struct graph_stage_stats *stats; /* in g->stats */
};

struct graph {
	struct graph_opts opts;
	char *instance;
	struct hosts *hosts;
	struct bus_reader *hosts_reader;
	bool hosts_whole;
	uint64_t hosts_bad;
	int64_t hosts_expired;
	struct pair pair;
	struct inventory *inv;                /* the pair thread's: given while it runs, in place of opts.inv */
	_Atomic(struct inventory *) inv_next; /* to take its place; NULL: none */
	struct stage_thread pair_thread, edge_thread;
	pthread_mutex_t lock; /* stats */
	struct graph_stats stats;
};

/* --- hosts */

static int graph_read_hosts(struct graph *g, int timeout_ms)
{
	struct bus_msg msgs[HOSTS_READ];
	int n;

	while ((n = bus_read(g->hosts_reader, msgs, HOSTS_READ, timeout_ms)) > 0) {
		for (int i = 0; i < n; i++) {
			const struct str key = {msgs[i].key, msgs[i].key_len};

			g->hosts_bad += hosts_put(g->hosts, key, msgs[i].value, msgs[i].value_len) < 0;
		}
		timeout_ms = 0;
	}
	return n;
}

/* Nobody but the pair thread looks into an inventory: here it goes over to the newest, and the former one is nobody's. */
static void graph_refresh(void *arg)
{
	struct graph *g = arg;
	struct inventory *next = atomic_exchange(&g->inv_next, NULL);

	if (next) {
		inventory_free(g->inv);
		g->pair.inv = g->inv = next;
	}
	(void)graph_read_hosts(g, 0);
}

void graph_inventory(struct graph *g, struct inventory *inv)
{
	inventory_free(atomic_exchange(&g->inv_next, inv));
}

/* False: not yet, or the bus fails. */
static bool graph_hosts_ready(struct graph *g)
{
	if (graph_read_hosts(g, g->hosts_whole ? 0 : STEP_MS) < 0)
		return g->hosts_whole;
	g->hosts_whole = g->hosts_whole || bus_caught_up(g->hosts_reader);
	if (clock_mono_us() - g->hosts_expired > 1000000) {
		hosts_expire(g->hosts, (uint32_t)(clock_wall_us() / 1000000));
		g->hosts_expired = clock_mono_us();
	}
	return g->hosts_whole;
}

/* --- threads */

static void thread_stats(struct stage_thread *t)
{
	struct graph_stage_stats s;

	window_stats(t->window, &s);
	pthread_mutex_lock(&t->g->lock);
	*t->stats = s;
	if (t == &t->g->pair_thread) {
		hosts_count(t->g->hosts, &t->g->stats.hosts, &t->g->stats.listeners);
		t->g->stats.hosts_bad = t->g->hosts_bad;
	}
	pthread_mutex_unlock(&t->g->lock);
	t->stats_at = clock_mono_us();
}

static void thread_failed(struct stage_thread *t, int r)
{
	if (r != t->failed && r < 0 && r != -EAGAIN)
		log_error("graph, %s stage: the bus fails: %s; trying again", t == &t->g->pair_thread ? "pair" : "edge",
			  strerror(-r));
	else if (r >= 0 && t->failed < 0 && t->failed != -EAGAIN)
		log_info("graph, %s stage: the bus works again", t == &t->g->pair_thread ? "pair" : "edge");
	t->failed = r < 0 ? r : 0;
}

static int thread_step(struct stage_thread *t)
{
	int r;

	if (t == &t->g->pair_thread && !graph_hosts_ready(t->g))
		return 0;
	r = window_step(t->window, clock_wall_us(), STEP_MS);
	thread_failed(t, r);
	if (r < 0)
		usleep(r == -EAGAIN ? BUSY_US : FAILED_US);
	if (clock_mono_us() - t->stats_at > STATS_US)
		thread_stats(t);
	return r;
}

static void *thread_run(void *arg)
{
	struct stage_thread *t = arg;
	int64_t until;

	while (!atomic_load(&t->stop))
		(void)thread_step(t);
	until = clock_mono_us() + STOP_US;
	do
		(void)thread_step(t);
	while (!window_drained(t->window) && clock_mono_us() < until);
	while (t->g->opts.flush_on_stop && window_flush(t->window, clock_wall_us()) < 0 && clock_mono_us() < until)
		usleep(BUSY_US);
	thread_stats(t);
	return NULL;
}

static int thread_start(struct stage_thread *t)
{
	int r = -pthread_create(&t->thread, NULL, thread_run, t);

	t->running = r == 0;
	return r;
}

static void thread_stop(struct stage_thread *t)
{
	if (!t->running)
		return;
	atomic_store(&t->stop, true);
	pthread_join(t->thread, NULL);
	t->running = false;
}

/* --- the role */

static int graph_windows(struct graph *g)
{
	struct window_opts w = {
		.bus = g->opts.bus, .instance = g->instance, .boot = g->opts.boot, .max_entries = g->opts.max_entries};
	int r;

	w.stage = &pair_stage;
	w.arg = &g->pair;
	w.group = "graph-pair";
	r = window_new(&g->pair_thread.window, &w);
	if (r < 0)
		return r;
	w.stage = &edge_stage;
	w.arg = g->opts.bus;
	w.group = "graph-edge";
	w.expect = "flows";
	w.n_expect = bus_partitions(g->opts.bus, BUS_FLOWS);
	return window_new(&g->edge_thread.window, &w);
}

int graph_new(struct graph **ret, const struct graph_opts *opts)
{
	const enum bus_topic hosts = BUS_HOSTS;
	struct graph *g;
	int r;

	if (!opts->bus || !opts->instance)
		return -EINVAL;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->opts = *opts;
	if (!g->opts.max_entries)
		g->opts.max_entries = 1000000;
	pthread_mutex_init(&g->lock, NULL);
	g->pair_thread.g = g->edge_thread.g = g;
	g->pair_thread.stats = &g->stats.pair;
	g->edge_thread.stats = &g->stats.edge;
	g->instance = strdup(opts->instance);
	r = g->instance ? hosts_new(&g->hosts) : -ENOMEM;
	if (r == 0)
		r = bus_reader_open(&g->hosts_reader, opts->bus, NULL, &hosts, 1, NULL);
	if (r == 0)
		r = pair_init(&g->pair, opts->bus, g->hosts, opts->inv);
	if (r == 0) {
		g->pair.refresh = graph_refresh;
		g->pair.refresh_arg = g;
		r = graph_windows(g);
	}
	if (r < 0) {
		graph_free(g);
		return r;
	}
	*ret = g;
	return 0;
}

int graph_start(struct graph *g)
{
	int r = thread_start(&g->pair_thread);

	if (r == 0)
		r = thread_start(&g->edge_thread);
	if (r < 0)
		graph_stop(g);
	return r;
}

void graph_stop(struct graph *g)
{
	thread_stop(&g->pair_thread); /* first: what it still writes is for the other */
	thread_stop(&g->edge_thread);
}

void graph_free(struct graph *g)
{
	if (!g)
		return;
	graph_stop(g);
	window_free(g->pair_thread.window);
	window_free(g->edge_thread.window);
	pair_deinit(&g->pair);
	bus_reader_close(g->hosts_reader);
	hosts_free(g->hosts);
	inventory_free(g->inv);
	inventory_free(g->inv_next);
	pthread_mutex_destroy(&g->lock);
	free(g->instance);
	free(g);
}

void graph_stats(struct graph *g, struct graph_stats *ret)
{
	pthread_mutex_lock(&g->lock);
	*ret = g->stats;
	pthread_mutex_unlock(&g->lock);
}

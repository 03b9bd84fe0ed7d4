/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer: read a batch, store it, commit its positions, again.
 *
 * 1. A position is committed after the rows before it are in the store. A crash between the two brings the rows again, and
 *    the store keeps a key once. So on the way from bus to store nothing is lost and nothing counted twice.
 * 2. A full disk stops the commits: the writer tries the same batch again, later and later up to 5 s. The bus fills up and
 *    the producers before it fold on. One line is logged at its beginning and one at its end.
 * 3. A message nobody can read is counted and moved to skyfall.dead with its bytes.
 * 4. Its own ledger lines (role `store`: rows read in edges, rows written) go into the store with the next batch, not over
 *    the bus: they would be answered by a line about themselves.
 *
 * A read takes what is there, without waiting for more: alone on a quiet machine a change is stored in a few ms, under
 * load the batches grow by themselves.
 */
#include "server/writer.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/table.h"
#include "server/lines.h"

#define WRITER_MSGS 1024 /* a read takes at most so many */
#define WRITER_HOSTS 32  /* host records are large: more of them in a read make another batch */
#define WRITER_POSITIONS 256
#define WRITER_WAIT_MS 50
#define WRITER_RETRY_MAX_MS 5000
#define WRITER_STOP_US 5000000

struct writer {
	struct writer_opts opts;
	char instance[128];
	struct bus_reader *reader;
	struct bus_producer *dead;
	struct bus_msg msgs[WRITER_MSGS];
	struct flow_msg msg;
	struct flow_edge *edges, *pairs; /* [WRITER_MSGS] each */
	struct flow_ledger *ledgers;     /* [WRITER_MSGS] */
	struct flow_listener *listeners; /* [WRITER_MSGS] */
	struct flow_host *hosts;         /* [WRITER_HOSTS] */
	struct store_batch batch;
	struct lines lines;
	uint32_t maintained;
	bool failing, maintain_failing;

	pthread_t thread;
	bool running;
	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t wake;
	bool stop;
	int64_t stop_by; /* clock that never steps, us */
	struct writer_stats stats;
};

static const enum bus_topic writer_topics[] = {BUS_EDGES, BUS_PAIRS, BUS_HOSTS, BUS_LEDGER};

int writer_new(struct writer **ret, const struct writer_opts *opts)
{
	struct writer *w = calloc(1, sizeof(*w));
	pthread_condattr_t attr;
	int r = -ENOMEM;

	if (!w)
		return r;
	w->opts = *opts;
	snprintf(w->instance, sizeof(w->instance), "%s", opts->instance);
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->wake, &attr);
	pthread_condattr_destroy(&attr);
	w->edges = malloc(WRITER_MSGS * sizeof(*w->edges));
	w->pairs = malloc(WRITER_MSGS * sizeof(*w->pairs));
	w->ledgers = malloc((WRITER_MSGS + LINES_MAX) * sizeof(*w->ledgers));
	w->listeners = malloc(WRITER_MSGS * sizeof(*w->listeners));
	w->hosts = malloc(WRITER_HOSTS * sizeof(*w->hosts));
	if (!w->edges || !w->pairs || !w->ledgers || !w->listeners || !w->hosts)
		goto fail;
	w->batch = (struct store_batch){.edges = w->edges,
					.pairs = w->pairs,
					.ledgers = w->ledgers,
					.hosts = w->hosts,
					.listeners = w->listeners};
	r = bus_reader_open(&w->reader, opts->bus, "store", writer_topics, ARRAY_LEN(writer_topics), NULL);
	if (!r)
		r = bus_producer_open(&w->dead, opts->bus, NULL);
	if (r)
		goto fail;
	*ret = w;
	return 0;
fail:
	writer_free(w);
	return r;
}

void writer_free(struct writer *w)
{
	if (!w)
		return;
	writer_stop(w);
	bus_reader_close(w->reader);
	bus_producer_close(w->dead);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->wake);
	free(w->edges);
	free(w->pairs);
	free(w->ledgers);
	free(w->listeners);
	free(w->hosts);
	free(w);
}

static bool writer_late(struct writer *w)
{
	bool late;

	pthread_mutex_lock(&w->lock);
	late = w->stop && clock_mono_us() > w->stop_by;
	pthread_mutex_unlock(&w->lock);
	return late;
}

/* Waits, or until stop is asked for. */
static void writer_pause(struct writer *w, unsigned ms)
{
	int64_t until = clock_mono_us() + ms * 1000ll;
	struct timespec t = {until / 1000000, until % 1000000 * 1000};

	pthread_mutex_lock(&w->lock);
	while (!w->stop && !pthread_cond_timedwait(&w->wake, &w->lock, &t))
		;
	if (w->stop)
		t = (struct timespec){0, 20000000};
	pthread_mutex_unlock(&w->lock);
	if (t.tv_sec == 0)
		nanosleep(&t, NULL);
}

static void writer_note_error(struct writer *w, const char *error)
{
	pthread_mutex_lock(&w->lock);
	snprintf(w->stats.error, sizeof(w->stats.error), "%s", error);
	w->stats.retries += *error != '\0';
	store_stats(w->opts.store, &w->stats.store);
	pthread_mutex_unlock(&w->lock);
}

/* Again until it is stored; -ECANCELED when the time of a stop is over. */
static int writer_append(struct writer *w)
{
	unsigned pause = 50;
	int r;

	while ((r = store_append(w->opts.store, &w->batch))) {
		if (!w->failing)
			log_error("store: %s; trying again until it works", store_error(w->opts.store));
		w->failing = true;
		writer_note_error(w, store_error(w->opts.store));
		if (writer_late(w))
			return -ECANCELED;
		writer_pause(w, pause);
		pause = pause * 2 < WRITER_RETRY_MAX_MS ? pause * 2 : WRITER_RETRY_MAX_MS;
	}
	if (w->failing) {
		log_info("store: works again");
		w->failing = false;
		writer_note_error(w, "");
	}
	return 0;
}

/* An agent that saw nobody talk has still reported: its line says that the interval is there. */
static void writer_tell(struct writer *w, size_t n_lines)
{
	const struct store_batch *b = &w->batch;
	uint32_t oldest = UINT32_MAX, newest = 0;

	for (size_t i = 0; i < b->n_edges; i++) {
		oldest = b->edges[i].interval < oldest ? b->edges[i].interval : oldest;
		newest = b->edges[i].interval > newest ? b->edges[i].interval : newest;
	}
	for (size_t i = 0; i < n_lines; i++)
		if (b->ledgers[i].interval > newest && str_eq(b->ledgers[i].role, str_from("agent")))
			newest = b->ledgers[i].interval;
	if (newest && w->opts.stored)
		w->opts.stored(w->opts.arg, oldest < newest ? oldest : newest, newest);
}

/* Stores what was gathered, with the lines that changed before. */
static int writer_flush(struct writer *w)
{
	struct store_batch *b = &w->batch;
	size_t n_lines = b->n_ledgers, lines;
	struct store_stats before, after;
	int r;

	lines = lines_take(&w->lines, w->ledgers + n_lines, LINES_MAX, str_from(w->instance), w->opts.boot,
			   w->opts.interval_s);
	b->n_ledgers += lines;
	if (b->n_edges + b->n_pairs + b->n_ledgers + b->n_hosts + b->n_listeners == 0)
		return 0;
	store_stats(w->opts.store, &before);
	r = writer_append(w);
	if (r)
		return r;
	store_stats(w->opts.store, &after);
	/* Which of the rows were too old is not told apart by interval: the batch's oldest has them. */
	for (size_t i = 0; i < b->n_edges; i++) {
		lines_add(&w->lines, b->edges[i].interval, flow_edge_rows(&b->edges[i]), 0);
		totals_add(w->opts.totals, &b->edges[i]);
	}
	if (after.too_old > before.too_old && b->n_edges) {
		uint32_t oldest = b->edges[0].interval;

		for (size_t i = 1; i < b->n_edges; i++)
			if (b->edges[i].interval < oldest)
				oldest = b->edges[i].interval;
		lines_add(&w->lines, oldest, 0, after.too_old - before.too_old);
	}
	pthread_mutex_lock(&w->lock);
	w->stats.edges += b->n_edges;
	w->stats.pairs += b->n_pairs;
	w->stats.hosts += b->n_hosts;
	w->stats.listeners += b->n_listeners;
	w->stats.ledgers += n_lines;
	w->stats.batches++;
	w->stats.store = after;
	pthread_mutex_unlock(&w->lock);
	writer_tell(w, n_lines);
	b->n_edges = b->n_pairs = b->n_ledgers = b->n_hosts = b->n_listeners = 0;
	return 0;
}

static void writer_poison(struct writer *w, const struct bus_msg *m)
{
	int r = bus_produce(w->dead, BUS_DEAD, 0, m->key, m->key_len, m->value, m->value_len);

	pthread_mutex_lock(&w->lock);
	w->stats.poison++;
	w->stats.dead_failed += r != 0;
	pthread_mutex_unlock(&w->lock);
}

/* Adds one message to the batch; a full part of it is stored first. */
static int writer_take(struct writer *w, const struct bus_msg *m)
{
	struct store_batch *b = &w->batch;

	if (!m->value)
		return 0; /* a tombstone: what is stored ages by itself */
	if (flow_msg_decode(m->value, m->value_len, &w->msg)) {
		writer_poison(w, m);
		return 0;
	}
	switch (w->msg.type) {
	case FLOW_MSG_EDGE:
		w->edges[b->n_edges++] = w->msg.edge;
		break;
	case FLOW_MSG_PAIR:
		w->pairs[b->n_pairs++] = w->msg.edge;
		break;
	case FLOW_MSG_LEDGER:
		w->ledgers[b->n_ledgers++] = w->msg.ledger;
		break;
	case FLOW_MSG_LISTENER:
		w->listeners[b->n_listeners++] = w->msg.listener;
		break;
	case FLOW_MSG_HOST:
		w->hosts[b->n_hosts++] = w->msg.host;
		if (b->n_hosts == WRITER_HOSTS)
			return writer_flush(w);
		break;
	case FLOW_MSG_MARKER:
		break; /* intervals of pairs close, nothing to store */
	default:
		writer_poison(w, m);
	}
	return 0;
}

/* The positions after everything read: the last offset of each partition. */
static int writer_commit(struct writer *w, const struct bus_msg *msgs, size_t n)
{
	struct bus_position pos[WRITER_POSITIONS];
	size_t n_pos = 0;
	int r;

	for (size_t i = 0; i < n; i++) {
		size_t k = 0;

		while (k < n_pos && (pos[k].topic != msgs[i].topic || pos[k].partition != msgs[i].partition))
			k++;
		if (k == WRITER_POSITIONS) {
			r = bus_commit_positions(w->reader, pos, n_pos);
			if (r)
				return r;
			n_pos = k = 0;
		}
		if (k == n_pos)
			pos[n_pos++] = (struct bus_position){.topic = msgs[i].topic, .partition = msgs[i].partition};
		pos[k].offset = msgs[i].offset + 1;
	}
	return n_pos ? bus_commit_positions(w->reader, pos, n_pos) : 0;
}

/* How many messages were read; -errno. */
static int writer_step(struct writer *w, int wait_ms)
{
	int n = bus_read(w->reader, w->msgs, WRITER_MSGS, wait_ms), r = 0;

	if (n < 0)
		return n;
	for (int i = 0; !r && i < n; i++)
		r = writer_take(w, &w->msgs[i]);
	if (!r)
		r = writer_flush(w);
	if (!r && n) {
		r = writer_commit(w, w->msgs, (size_t)n);
		/* A partition that went to somebody else meanwhile: its new reader reads it again. */
		if (r == -ESTALE)
			r = 0;
	}
	return r ? r : n;
}

/* Returns true when there was something to do. */
static bool writer_maintain(struct writer *w)
{
	uint32_t now = (uint32_t)(clock_wall_us() / 1000000);
	int r;

	if (w->maintained == now)
		return false;
	r = store_maintain(w->opts.store, now);
	if (r < 0 && !w->maintain_failing)
		log_error("store: %s; rows are stored, roll-ups and clearing wait", store_error(w->opts.store));
	w->maintain_failing = r < 0;
	if (r != 1)
		w->maintained = now;
	return r == 1;
}

/* Everything that was visible at the stop has been read. */
static void writer_drain(struct writer *w)
{
	int n;

	do
		n = writer_step(w, 0);
	while (n > 0 && !writer_late(w));
	/* The lines about the last batch. */
	if (n >= 0)
		(void)writer_flush(w);
}

static void *writer_main(void *arg)
{
	struct writer *w = arg;
	bool stop = false;
	int n = 0;

	while (!stop && n != -ECANCELED) {
		n = writer_step(w, WRITER_WAIT_MS);
		if (n < 0 && n != -ECANCELED) {
			log_error("store: reading the bus: %s", strerror(-n));
			writer_pause(w, 1000);
		}
		/* Roll-ups wait while rows do. */
		if (n < WRITER_MSGS / 2)
			writer_maintain(w);
		pthread_mutex_lock(&w->lock);
		stop = w->stop;
		pthread_mutex_unlock(&w->lock);
	}
	if (n != -ECANCELED)
		writer_drain(w);
	return NULL;
}

int writer_start(struct writer *w)
{
	int r = pthread_create(&w->thread, NULL, writer_main, w);

	w->running = !r;
	return -r;
}

void writer_stop(struct writer *w)
{
	if (!w->running)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	w->stop_by = clock_mono_us() + WRITER_STOP_US;
	pthread_cond_broadcast(&w->wake);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	w->running = false;
}

void writer_stats(struct writer *w, struct writer_stats *ret)
{
	pthread_mutex_lock(&w->lock);
	*ret = w->stats;
	pthread_mutex_unlock(&w->lock);
}

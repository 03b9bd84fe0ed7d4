/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread makes messages, HTTP's threads hand them out.
 *
 * 1. A message is text that never changes and is counted by who holds it: all clients send the same bytes.
 * 2. The ring holds the last LIVE_RING deltas, at most LIVE_BYTES. A delta makes the state before it to the one after it,
 *    and its numbers are absolute: taken twice it changes nothing. So a client that continues after an interval that was
 *    sent more than once gets everything after the first of them.
 * 3. A client holds at most one message, and its place in the ring. One whose place has left the ring is told `reset` and
 *    cut: however slow clients are, memory is that of the ring and of one message each.
 * 4. The thread asks the store outside the lock; only it changes the frame.
 * 5. While nobody listens nothing is asked. The frame is kept: the first delta after a pause leaps over the intervals
 *    between. A new client gets no snapshot that is older than its connection's interval: it waits for the next.
 */
#include "server/live.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/frame.h"

#define LIVE_BYTES (16u << 20)
#define LIVE_BEAT_US 5000000 /* a comment when nothing else was sent for so long */
#define LIVE_AGAIN_US 500000 /* between two looks at the same interval */
#define LIVE_FAILED_US 1000000

#define LIVE_HELLO "retry: 2000\n\n"
#define LIVE_BEAT ": still here\n\n"
#define LIVE_RESET "event: reset\ndata: {\"reason\":\"too far behind\"}\n\n"

struct live_msg {
	unsigned refs; /* by live.lock */
	uint32_t interval;
	struct buf text;
};

struct live {
	struct live_opts opts;
	struct store_query *q; /* the thread's */
	struct frame *frame;   /* the thread's */
	bool failing;          /* the thread's */

	pthread_t thread;
	bool running;
	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t changed;
	bool stop;
	bool fresh;                       /* snapshot is of the newest interval */
	bool late;                        /* rows came for the interval shown */
	uint32_t stored, shown;           /* intervals: newest stored, of the newest delta */
	uint64_t seq;                     /* of the newest delta; the first is 1 */
	uint64_t first;                   /* the oldest in the ring */
	size_t bytes;                     /* in the ring */
	struct live_msg *ring[LIVE_RING]; /* [seq % LIVE_RING] */
	struct live_msg *snapshot;
	uint64_t beats;
	struct live_stats stats;
};

struct live_client {
	struct live *live;
	uint64_t next; /* the delta it needs; 0: a snapshot */
	uint64_t beat;
	bool greeted, over;
	const char *p; /* what is being sent */
	size_t n;
	struct live_msg *msg; /* holds p; NULL: a constant */
};

/* --- messages; with the lock */

static void live_unref(struct live_msg *m)
{
	if (!m || --m->refs)
		return;
	buf_deinit(&m->text);
	free(m);
}

static void live_drop_oldest(struct live *l)
{
	struct live_msg **m = &l->ring[l->first++ % LIVE_RING];

	l->bytes -= (*m)->text.n;
	live_unref(*m);
	*m = NULL;
}

/* Takes both. */
static void live_publish(struct live *l, struct live_msg *delta, struct live_msg *snapshot)
{
	live_unref(l->snapshot);
	l->snapshot = snapshot;
	if (l->seq - l->first + 1 == LIVE_RING)
		live_drop_oldest(l);
	l->ring[++l->seq % LIVE_RING] = delta;
	l->bytes += delta->text.n;
	while (l->bytes > LIVE_BYTES && l->first < l->seq)
		live_drop_oldest(l);
	l->shown = delta->interval;
	l->stats.events++;
	l->stats.event_bytes += delta->text.n;
}

/* --- clients */

static void live_give(struct live_client *c, struct live_msg *m)
{
	m->refs++;
	c->msg = m;
	c->p = m->text.p;
	c->n = m->text.n;
}

static void live_say(struct live_client *c, const char *text)
{
	c->p = text;
	c->n = strlen(text);
}

/* What comes next, if anything. With the lock. */
static void live_next(struct live *l, struct live_client *c)
{
	if (!c->greeted) {
		c->greeted = true;
		live_say(c, LIVE_HELLO);
	} else if (!c->next) {
		if (l->fresh) {
			live_give(c, l->snapshot);
			c->next = l->seq + 1;
		}
	} else if (c->next < l->first) {
		c->over = true;
		l->stats.cut++;
		live_say(c, LIVE_RESET);
	} else if (c->next <= l->seq) {
		live_give(c, l->ring[c->next++ % LIVE_RING]);
	}
	if (!c->n && c->beat != l->beats)
		live_say(c, LIVE_BEAT);
	c->beat = l->beats;
}

static ssize_t live_read(void *arg, char *p, size_t n)
{
	struct live_client *c = arg;
	struct live *l = c->live;

	if (!c->n) {
		pthread_mutex_lock(&l->lock);
		live_unref(c->msg);
		c->msg = NULL;
		if (!c->over)
			live_next(l, c);
		l->stats.sent_bytes += c->n;
		pthread_mutex_unlock(&l->lock);
		if (!c->n)
			return c->over ? HTTP_FEED_END : 0;
	}
	if (n > c->n)
		n = c->n;
	memcpy(p, c->p, n);
	c->p += n;
	c->n -= n;
	return (ssize_t)n;
}

static void live_close(void *arg)
{
	struct live_client *c = arg;
	struct live *l = c->live;

	pthread_mutex_lock(&l->lock);
	live_unref(c->msg);
	l->stats.clients--;
	pthread_mutex_unlock(&l->lock);
	free(c);
}

/* The delta after the first of that interval; 0 when it is not in the ring. */
static uint64_t live_after(const struct live *l, const char *last)
{
	char *end = NULL;
	unsigned long long interval = last && *last >= '0' && *last <= '9' ? strtoull(last, &end, 10) : 0;

	if (!interval || *end)
		return 0;
	for (uint64_t seq = l->first; seq <= l->seq; seq++)
		if (l->ring[seq % LIVE_RING]->interval == interval)
			return seq + 1;
	return 0;
}

int live_open(struct live *l, const char *last, struct http_feed *ret)
{
	struct live_client *c = calloc(1, sizeof(*c));
	bool room;

	if (!c)
		return -ENOMEM;
	c->live = l;
	pthread_mutex_lock(&l->lock);
	room = l->stats.clients < l->opts.clients;
	if (room) {
		c->next = live_after(l, last);
		c->beat = l->beats;
		l->stats.opened++;
		if (!l->stats.clients++)
			pthread_cond_signal(&l->changed);
	} else {
		l->stats.refused++;
	}
	pthread_mutex_unlock(&l->lock);
	if (!room) {
		free(c);
		return -EAGAIN;
	}
	*ret = (struct http_feed){.read = live_read, .close = live_close, .arg = c};
	return 0;
}

/* --- the thread */

static int live_host(void *arg, const struct flow_ledger *line)
{
	char name[FLOW_NAME_MAX + 1];

	/* Unchecked: a name that is no UTF-8 must not end the question, and the stream with it. */
	str_copy(name, sizeof(name), line->instance);
	return json_object_set_new_nocheck(arg, name, json_true()) ? -ENOMEM : 0;
}

/* How many hosts' agents reported in the last three intervals: a line may come an interval later than its rows. */
static int live_hosts(struct live *l, uint32_t interval, uint32_t *ret)
{
	uint32_t from = interval - 2 * (uint32_t)l->opts.interval_s;
	json_t *seen = json_object();
	int r = seen ? store_ledgers(l->q, from, interval + l->opts.interval_s, "agent", live_host, seen) : -ENOMEM;

	*ret = (uint32_t)json_object_size(seen);
	json_decref(seen);
	return r;
}

static struct live_msg *live_message(const char *event, uint32_t interval)
{
	struct live_msg *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->refs = 1;
	m->interval = interval;
	buf_init(&m->text, 64u << 20);
	buf_printf(&m->text, "id: %u\nevent: %s\ndata: ", interval, event);
	return m;
}

static int live_messages(const struct frame *was, const struct frame *f, uint32_t interval, struct live_msg *ret[2])
{
	ret[0] = live_message("delta", interval);
	ret[1] = live_message("snapshot", interval);
	if (ret[0] && ret[1]) {
		frame_delta(was, f, &ret[0]->text);
		frame_snapshot(f, &ret[1]->text);
		buf_printf(&ret[0]->text, "\n\n");
		buf_printf(&ret[1]->text, "\n\n");
		if (!ret[0]->text.err && !ret[1]->text.err)
			return 0;
	}
	live_unref(ret[0]);
	live_unref(ret[1]);
	return -ENOMEM;
}

/* The interval from the store, and what it changes. Without the lock. */
static int live_look(struct live *l, uint32_t interval, struct live_msg *ret[2])
{
	struct store_ask ask = {.from = interval, .to = interval + l->opts.interval_s};
	struct store_rows rows = {0};
	struct frame *f;
	uint32_t hosts;
	int r = store_edges(l->q, &ask, &rows);

	if (!r)
		r = live_hosts(l, interval, &hosts);
	if (!r)
		r = frame_new(&f, &rows, interval, l->opts.interval_s, hosts);
	store_rows_deinit(&rows);
	if (r)
		return r;
	r = live_messages(l->frame, f, interval, ret);
	if (r) {
		frame_free(f);
		return r;
	}
	frame_free(l->frame);
	l->frame = f;
	return 0;
}

/* The newest complete interval; 0: nothing is stored. */
static uint32_t live_complete(const struct live *l, int64_t wall_us)
{
	int64_t settled = (wall_us - l->opts.settle_ms * 1000ll) / 1000000 - l->opts.interval_s;
	uint32_t newest = store_newest(l->opts.store);

	if (newest < l->stored)
		newest = l->stored;
	settled -= settled % l->opts.interval_s;
	return settled < newest ? (uint32_t)settled : newest;
}

/* A clock that was set back must not silence the stream until it has caught up. */
static bool live_due(const struct live *l, uint32_t interval)
{
	return interval && (interval > l->shown || !l->fresh || interval + 3u * l->opts.interval_s < l->shown);
}

/* Called and returns with the lock, which is not held meanwhile. */
static int live_turn(struct live *l, uint32_t interval)
{
	struct live_msg *made[2];
	int r;

	l->late = false;
	pthread_mutex_unlock(&l->lock);
	r = live_look(l, interval, made);
	if (r && !l->failing)
		log_warn("live stream: %s", r == -ENOMEM ? "no memory" : store_query_error(l->q));
	l->failing = r != 0;
	pthread_mutex_lock(&l->lock);
	if (r) {
		l->stats.failed++;
		l->late = true; /* still to be shown */
		return r;
	}
	live_publish(l, made[0], made[1]);
	l->fresh = true;
	return 0;
}

static void live_wait(struct live *l, int64_t until_us)
{
	struct timespec t = {until_us / 1000000, until_us % 1000000 * 1000};

	(void)pthread_cond_timedwait(&l->changed, &l->lock, &t);
}

static void live_wake(struct live *l)
{
	pthread_mutex_unlock(&l->lock);
	l->opts.wake(l->opts.arg);
	pthread_mutex_lock(&l->lock);
}

/* With the lock. One look, or one wait. */
static void live_step(struct live *l, int64_t *last_us, int64_t *beat_us)
{
	int64_t now = clock_mono_us(), wall = clock_wall_us();
	uint32_t interval = live_complete(l, wall);
	bool due = live_due(l, interval);

	if (due || (l->late && now >= *last_us + LIVE_AGAIN_US)) {
		int r = live_turn(l, due ? interval : l->shown);

		*last_us = now;
		if (!r) {
			*beat_us = now;
			live_wake(l);
		} else if (!l->stop) {
			live_wait(l, now + LIVE_FAILED_US);
		}
	} else if (now >= *beat_us + LIVE_BEAT_US) {
		*beat_us = now;
		l->beats++;
		live_wake(l);
	} else {
		/* When the next second of the wall clock is complete. */
		int64_t until = now + 1000000 - (wall - l->opts.settle_ms % 1000 * 1000) % 1000000;

		if (l->late && *last_us + LIVE_AGAIN_US < until)
			until = *last_us + LIVE_AGAIN_US;
		live_wait(l, until < *beat_us + LIVE_BEAT_US ? until : *beat_us + LIVE_BEAT_US);
	}
}

static void *live_main(void *arg)
{
	struct live *l = arg;
	int64_t last_us = 0, beat_us = clock_mono_us();

	pthread_mutex_lock(&l->lock);
	while (!l->stop) {
		if (l->stats.clients) {
			live_step(l, &last_us, &beat_us);
		} else {
			l->fresh = false;
			pthread_cond_wait(&l->changed, &l->lock);
			beat_us = clock_mono_us();
		}
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

void live_stored(struct live *l, uint32_t oldest, uint32_t newest)
{
	pthread_mutex_lock(&l->lock);
	if (newest > l->stored)
		l->stored = newest;
	if (oldest <= l->shown && newest >= l->shown && l->stats.clients) {
		l->late = true;
		pthread_cond_signal(&l->changed);
	}
	pthread_mutex_unlock(&l->lock);
}

int live_new(struct live **ret, const struct live_opts *opts)
{
	struct live *l = calloc(1, sizeof(*l));
	pthread_condattr_t attr;
	int r;

	if (!l)
		return -ENOMEM;
	l->opts = *opts;
	l->first = 1;
	r = store_query_open(&l->q, opts->store);
	if (r) {
		free(l);
		return r;
	}
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->changed, &attr);
	pthread_condattr_destroy(&attr);
	*ret = l;
	return 0;
}

int live_start(struct live *l)
{
	int r = pthread_create(&l->thread, NULL, live_main, l);

	l->running = !r;
	return -r;
}

void live_stop(struct live *l)
{
	if (!l || !l->running)
		return;
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_cond_signal(&l->changed);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL);
	l->running = false;
}

void live_free(struct live *l)
{
	if (!l)
		return;
	live_stop(l);
	while (l->first <= l->seq)
		live_drop_oldest(l);
	live_unref(l->snapshot);
	frame_free(l->frame);
	store_query_close(l->q);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

void live_stats(struct live *l, struct live_stats *ret)
{
	pthread_mutex_lock(&l->lock);
	*ret = l->stats;
	pthread_mutex_unlock(&l->lock);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/outbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/health.h"
#include "agent/link.h"
#include "base/clock.h"
#include "base/hash.h"
#include "wire/health.h"

#define OUTBOX_QUEUE 4      /* batches not begun */
#define OUTBOX_TICK_US 5000 /* what is due within this goes together */

struct outbox_line {
	struct flow_ledger line;
	bool used, acked;
	bool told;                     /* in a health record that went out */
	uint32_t sub_agent, datagrams; /* sent for this interval under the newest sub-agent id */
};

struct outbox {
	const struct conf *conf;
	struct batch_head head;
	struct loop *loop;
	struct link link;
	int wake;
	double phase; /* 0 .. 1: where in its slot this agent sends, so that a fleet does not send in step */
	/* the batch being sent: item n is the health record */
	struct batch *now;
	size_t next;
	int64_t from_us, span_us; /* wall clock */
	struct outbox_line lines[OUTBOX_LINES];
	unsigned newest;
	uint64_t lines_too_big; /* not yet in a line */
	uint64_t acks_told;     /* of link.acks_bad */
	struct wire_build build;
	uint8_t health[WIRE_SIZE_MAX];
	/* handed over by the measuring thread */
	pthread_mutex_t lock;
	struct batch *queue[OUTBOX_QUEUE];
	unsigned queued;
	uint64_t dropped_rows; /* of batches that found no place */
};

static void outbox_on_wake(void *arg, uint32_t events);
static void outbox_acked(void *arg, const struct wire_ack *a);
static void outbox_tick(void *arg);

int outbox_new(struct outbox **ret, const struct conf *conf, const struct batch_head *head, struct loop *loop,
	       char *why, size_t why_len)
{
	struct outbox *o = calloc(1, sizeof(*o));
	int r;

	if (!o) {
		snprintf(why, why_len, "out of memory");
		return -ENOMEM;
	}
	o->conf = conf;
	o->head = *head;
	o->loop = loop;
	o->phase = (double)(hash64(head->wire.host.p, head->wire.host.n) >> 11) / (double)(1ull << 53);
	pthread_mutex_init(&o->lock, NULL);
	link_init(&o->link, conf, head, loop, outbox_acked, o);
	o->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = o->wake < 0 ? -errno : loop_fd(loop, o->wake, EPOLLIN, outbox_on_wake, o);
	if (r < 0) {
		snprintf(why, why_len, "%s", strerror(-r));
		outbox_free(o);
		return r;
	}
	*ret = o;
	return 0;
}

void outbox_free(struct outbox *o)
{
	if (!o)
		return;
	link_deinit(&o->link);
	if (o->wake >= 0) {
		loop_fd_del(o->loop, o->wake);
		close(o->wake);
	}
	while (o->queued)
		batch_free(o->queue[--o->queued]);
	batch_free(o->now);
	pthread_mutex_destroy(&o->lock);
	free(o);
}

void outbox_reload(struct outbox *o, const struct conf *conf)
{
	o->conf = conf;
	o->head.wire.spread_ms = conf->spread_ms;
	link_reload(&o->link, conf);
}

void outbox_push(struct outbox *o, struct batch *b)
{
	uint64_t one = 1;

	pthread_mutex_lock(&o->lock);
	if (o->queued == OUTBOX_QUEUE) { /* the sending thread stands still: should not happen */
		o->dropped_rows += b->line.rows_out;
		batch_free(b);
	} else {
		o->queue[o->queued++] = b;
	}
	pthread_mutex_unlock(&o->lock);
	(void)!write(o->wake, &one, sizeof(one));
}

static struct batch *outbox_take(struct outbox *o)
{
	struct batch *b = NULL;

	pthread_mutex_lock(&o->lock);
	if (o->queued) {
		b = o->queue[0];
		memmove(o->queue, o->queue + 1, --o->queued * sizeof(*o->queue));
		b->line.rows_in += o->dropped_rows;
		health_lost(&b->line, "send_queue_full", o->dropped_rows);
		o->dropped_rows = 0;
		health_count(&b->line, "lines_too_big", o->lines_too_big);
		o->lines_too_big = 0;
		health_count(&b->line, "acks_refused", o->link.acks_bad - o->acks_told);
		o->acks_told = o->link.acks_bad;
	}
	pthread_mutex_unlock(&o->lock);
	return b;
}

/* --- ledger lines */

/* The line of the batch's interval: a place of its own, or the one it shares after the clock went back. */
static struct outbox_line *outbox_line(struct outbox *o, const struct flow_ledger *line)
{
	struct outbox_line *l;
	unsigned i;

	for (i = 0; i < OUTBOX_LINES; i++) {
		l = &o->lines[i];
		if (l->used && l->line.interval == line->interval) {
			health_merge(&l->line, line);
			l->acked = l->told = false;
			o->newest = i;
			return l;
		}
	}
	o->newest = (o->newest + 1) % OUTBOX_LINES;
	l = &o->lines[o->newest];
	*l = (struct outbox_line){.line = *line, .used = true, .sub_agent = o->link.sender.sub_agent};
	return l;
}

/* An ack that counts all datagrams of an interval has the health record among them, with all lines up to it: unless
 * that one was still to be sent when a stopping collector counted. */
static void outbox_acked(void *arg, const struct wire_ack *a)
{
	struct outbox *o = arg;
	bool whole = false;
	unsigned i;

	for (i = 0; i < OUTBOX_LINES; i++) {
		const struct outbox_line *l = &o->lines[i];

		whole |= l->told && l->line.interval == a->interval && l->sub_agent == a->sub_agent &&
			 l->datagrams > 0 && l->datagrams == a->datagrams;
	}
	for (i = 0; whole && i < OUTBOX_LINES; i++)
		if (o->lines[i].told && o->lines[i].line.interval <= a->interval)
			o->lines[i].acked = true;
}

/* --- sending */

/* Sends a run; what cannot be sent is counted in the line. */
static void outbox_run(struct outbox *o, struct outbox_line *l, uint8_t *p, const struct batch_item *v, size_t n)
{
	uint32_t rows = 0;
	size_t i, at = 0;
	int r = link_send(&o->link, p, v, n);

	if (r < 0 && n > 1 && !o->link.gso) {
		for (i = 0; i < n; at += v[i++].len)
			outbox_run(o, l, p + at, &v[i], 1);
		return;
	}
	if (l->sub_agent != o->link.sender.sub_agent) {
		l->sub_agent = o->link.sender.sub_agent;
		l->datagrams = 0;
	}
	for (i = 0; i < n; i++)
		rows += v[i].rows;
	if (r == 0) {
		l->datagrams += (uint32_t)n;
		health_info(&l->line, "datagrams", n);
		return;
	}
	o->link.sender.drops += rows;
	l->line.rows_out -= rows;
	health_lost(&l->line, "send_error", rows);
	health_info(&l->line, "send_errors", n);
}

static void outbox_send_health(struct outbox *o)
{
	struct wire_head head = o->head.wire;
	struct wire_sender s = {.agent = o->head.agent};
	struct outbox_line *newest = &o->lines[o->newest];
	struct batch_item item = {0};
	unsigned i;

	head.interval = newest->line.interval;
	head.interval_s = newest->line.interval_s;
	wire_build_open(&o->build, WIRE_HEALTH, &head, &o->head.opts);
	for (i = 0; i < OUTBOX_LINES; i++) {
		struct outbox_line *l = &o->lines[(o->newest + OUTBOX_LINES - i) % OUTBOX_LINES]; /* the newest first */
		int r;

		if (!l->used || l->acked)
			continue;
		if (o->conf->no_ack && i >= SEND_MISSING) /* nobody says what arrived: each is said three times */
			continue;
		r = wire_health_add(&o->build, &l->line);
		if (r == -ENOSPC) { /* a datagram is full: the next */
			item.len = (uint32_t)wire_build_close(&o->build, &s, 0, 0, o->health, sizeof(o->health));
			outbox_run(o, newest, o->health, &item, 1);
			wire_build_open(&o->build, WIRE_HEALTH, &head, &o->head.opts);
			r = wire_health_add(&o->build, &l->line);
		}
		if (r < 0) { /* it never will fit: the next line says so */
			o->lines_too_big++;
			l->acked = true;
			continue;
		}
		l->told = true;
	}
	if (wire_build_empty(&o->build))
		return;
	item.len = (uint32_t)wire_build_close(&o->build, &s, 0, 0, o->health, sizeof(o->health));
	outbox_run(o, newest, o->health, &item, 1);
}

/* Sends up to item `until` of the batch; item n is the health record, with which it ends. */
static void outbox_send(struct outbox *o, size_t until)
{
	struct batch *b = o->now;
	struct outbox_line *l = &o->lines[o->newest];

	while (o->next < until && o->next < b->n) {
		const struct batch_item *v = &b->v[o->next];
		size_t max = (until < b->n ? until : b->n) - o->next;
		size_t n = link_run(&o->link, v, max);

		outbox_run(o, l, (uint8_t *)b->bytes.p + v->at, v, n);
		o->next += n;
	}
	if (until <= b->n)
		return;
	outbox_send_health(o);
	batch_free(b);
	o->now = NULL;
}

static void outbox_begin(struct outbox *o, struct batch *b)
{
	int64_t end = ((int64_t)b->line.interval + b->line.interval_s) * 1000000;
	int64_t spread = (int64_t)o->conf->spread_ms * 1000, now = clock_wall_us();

	unsigned i;

	link_interval(&o->link, b->line.interval);
	for (i = 0; i < b->line.n_lost; i++)
		o->link.sender.drops += (uint32_t)b->line.lost[i].n;
	o->now = b;
	o->next = 0;
	(void)outbox_line(o, &b->line);
	o->from_us = now > end ? now : end;
	o->span_us = end + spread - o->from_us;
	if (o->span_us < spread / 4) /* late: still no burst */
		o->span_us = spread / 4;
}

/* When item i is due, wall clock. */
static int64_t outbox_due(const struct outbox *o, size_t i)
{
	return o->from_us + (int64_t)(((double)i + o->phase) / (double)(o->now->n + 1) * (double)o->span_us);
}

static void outbox_tick(void *arg)
{
	struct outbox *o = arg;
	int64_t now = clock_wall_us();
	size_t until;

	if (!o->now)
		return;
	if (now < o->from_us - 60000000) /* the clock went back */
		o->from_us = now;
	for (until = o->next; until <= o->now->n && outbox_due(o, until) <= now + OUTBOX_TICK_US / 2; until++)
		;
	if (until > o->next)
		outbox_send(o, until);
	if (o->now)
		(void)loop_at(o->loop,
			      outbox_due(o, o->next) > now + OUTBOX_TICK_US ? outbox_due(o, o->next)
									    : now + OUTBOX_TICK_US,
			      outbox_tick, o);
}

static void outbox_on_wake(void *arg, uint32_t events)
{
	struct outbox *o = arg;
	struct batch *b;
	uint64_t n;

	(void)!read(o->wake, &n, sizeof(n));
	while ((b = outbox_take(o))) {
		bool ticking = o->now != NULL;

		if (o->now)
			outbox_send(o, o->now->n + 1);
		outbox_begin(o, b);
		if (!ticking)
			outbox_tick(o);
	}
}

void outbox_flush(struct outbox *o)
{
	struct batch *b;

	if (o->now)
		outbox_send(o, o->now->n + 1);
	while ((b = outbox_take(o))) {
		outbox_begin(o, b);
		outbox_send(o, o->now->n + 1);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The transactions of the window engine; its essay is in window.c. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "graph/window_part.h"

/* One transaction in the making. */
struct commit {
	struct window_batch batch;
	struct ledger_line *lines; /* one an interval it touches, as they will be */
	size_t n_lines;
};

int window_put(struct window_batch *batch, enum bus_topic t, unsigned partition, const void *key, size_t key_len,
	       enum flow_msg_type type, const void *record)
{
	struct window *w = batch->window;

	buf_clear(&w->buf);
	flow_msg_encode(&w->buf, type, record);
	if (w->buf.err < 0)
		return w->buf.err;
	return bus_produce(w->producer, t, partition, key, key_len, w->buf.p, w->buf.n);
}

static int commit_collect(struct window *w, struct window_part *part, struct commit *c)
{
	size_t n = part->n_open + part->n_late;

	*c = (struct commit){.batch = {.window = w,
				       .partition = part->partition,
				       .epoch = part->epoch,
				       .revision = (uint64_t)part->pos * 4096 + part->partition,
				       .closed = part->close_to,
				       .interval_s = part->interval_s}};
	c->batch.buckets = calloc(n + 1, sizeof(struct bucket *));
	c->lines = calloc(n + 1, sizeof(*c->lines));
	if (!c->batch.buckets || !c->lines)
		return -ENOMEM;
	for (struct bucket *b = part->buckets; b && b->interval <= part->close_to; b = b->next) {
		b->rows_out = 0;
		c->batch.buckets[c->batch.n++] = b;
	}
	return 0;
}

static void commit_line(struct window *w, struct commit *c, const struct ledger_line *add)
{
	uint32_t interval = ledger_interval(&w->ledger, add->interval);
	size_t i = 0;

	while (i < c->n_lines && c->lines[i].interval != interval)
		i++;
	if (i == c->n_lines)
		c->lines[c->n_lines++] = (struct ledger_line){.interval = interval, .interval_s = add->interval_s};
	ledger_line_add(&c->lines[i], add);
}

/* Ledger lines of the intervals it touches, and always one of the interval it closes. */
static int commit_ledger(struct window *w, struct window_part *part, struct commit *c)
{
	struct ledger_line told = part->told;
	char key[128];
	int r = 0, n;

	for (size_t i = 0; i < c->batch.n; i++) {
		const struct bucket *b = c->batch.buckets[i];
		const struct ledger_line add = {.interval = b->interval,
						.interval_s = b->interval_s,
						.rows_in = b->rows,
						.rows_out = b->rows_out,
						.lost_late = b->lost_late};

		commit_line(w, c, &add);
	}
	told.interval = c->batch.closed;
	told.interval_s = c->batch.interval_s ? c->batch.interval_s : 1;
	if (!told.interval) /* poison before anything closed: now is as good a time as any */
		told.interval = (uint32_t)(w->now / 1000000) / told.interval_s * told.interval_s;
	told.lost_in_bus = part->producers.lost;
	told.unannounced = part->producers.unannounced;
	commit_line(w, c, &told);
	n = snprintf(key, sizeof(key), "%s/%s", w->opts.stage->role, w->opts.instance);
	for (size_t i = 0; i < c->n_lines && r == 0; i++) {
		const struct ledger_line line = ledger_preview(&w->ledger, &c->lines[i]);

		ledger_message(&line, w->opts.stage->role, w->opts.instance, w->opts.boot, &w->line);
		r = window_put(&c->batch, BUS_LEDGER, 0, key, (size_t)n < sizeof(key) ? (size_t)n : sizeof(key) - 1,
			       FLOW_MSG_LEDGER, &w->line);
	}
	return r;
}

static int commit_poison(struct window *w, struct window_part *part)
{
	const char *topic = bus_topic_name(w->opts.stage->input);
	int r = 0;

	for (struct window_poison *p = part->poison; p && r == 0; p = p->next)
		r = bus_produce(w->producer, BUS_DEAD, 0, topic, strlen(topic), p->value, p->n);
	return r;
}

/* R, H, W, B after this commit. */
static void commit_position(struct window *w, struct window_part *part, struct bus_position *ret)
{
	int64_t oldest = producers_oldest(&part->producers), from = part->pos;

	from = oldest < from ? oldest : from;
	for (struct bucket *b = part->buckets; b; b = b->next) {
		if (b->interval > part->close_to && b->first < from)
			from = b->first;
	}
	*ret = (struct bus_position){.topic = w->opts.stage->input, .partition = part->partition, .offset = from};
	snprintf(ret->metadata, sizeof(ret->metadata), "1 %" PRId64 " %" PRIu32 " %" PRId64, part->pos, part->close_to,
		 part->producers.balance);
}

static size_t commit_entries(const struct commit *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->batch.n; i++)
		n += c->batch.buckets[i]->held;
	return n;
}

/* The stage may add entries (rows that move to another key). */
static int commit_emit(struct window *w, struct commit *c)
{
	size_t before = commit_entries(c);
	int r = w->opts.stage->emit(w->opts.arg, &c->batch);

	w->entries += commit_entries(c) - before;
	return r;
}

static int commit_write(struct window *w, struct window_part *part, struct commit *c)
{
	struct bus_position pos;
	int r = bus_begin(w->producer);

	if (r == 0)
		r = commit_emit(w, c);
	if (r == 0)
		r = commit_poison(w, part);
	if (r == 0)
		r = commit_ledger(w, part, c);
	if (r == 0) {
		commit_position(w, part, &pos);
		r = bus_commit(w->producer, w->reader, &pos, 1);
	}
	if (r < 0)
		(void)bus_abort(w->producer); /* it may be over already */
	return r;
}

static void commit_count(struct window *w, struct window_part *part, const struct commit *c)
{
	struct graph_stage_stats *s = &w->stats;

	s->commits++;
	for (size_t i = 0; i < c->batch.n; i++) {
		s->rows_in += c->batch.buckets[i]->rows;
		s->rows_out += c->batch.buckets[i]->rows_out;
		s->lost_late_unjoined += c->batch.buckets[i]->lost_late;
	}
	s->rows_in += part->told.rows_in;
	s->lost_poison += part->told.lost_poison;
	s->late_rows += part->told.late_rows;
	s->forced += part->told.forced;
	s->silent_closes += part->told.silent;
	s->lost_in_bus += part->producers.lost;
	s->unannounced += part->producers.unannounced;
}

/* What is committed leaves memory. */
static void commit_done(struct window *w, struct window_part *part, const struct commit *c)
{
	commit_count(w, part, c);
	for (size_t i = 0; i < c->n_lines; i++) {
		const struct ledger_line line = ledger_preview(&w->ledger, &c->lines[i]);

		ledger_keep(&w->ledger, &line);
	}
	if (w->opts.stage->committed)
		w->opts.stage->committed(w->opts.arg, &c->batch);
	part->producers.lost = part->producers.unannounced = 0;
	if (part->close_to > part->closed)
		producers_closed(&part->producers);
	for (size_t i = 0; i < c->batch.n; i++) {
		struct bucket *b = part->buckets;

		part->buckets = b->next;
		part->n_late -= b->late;
		part->n_open -= !b->late;
		w->entries -= b->held;
		bucket_free(b);
	}
	window_part_clear_poison(part);
	part->told = (struct ledger_line){0};
	part->closed = part->close_to;
	part->h = part->pos;
	part->due = false;
	part->retry_at = part->pending_since = 0;
}

int window_commit(struct window *w, struct window_part *part)
{
	struct commit c;
	int r;

	if (!part->due || part->pos < part->h || w->now < part->retry_at)
		return 0;
	r = commit_collect(w, part, &c);
	if (r == 0)
		r = commit_write(w, part, &c);
	if (r == 0) {
		commit_done(w, part, &c);
	} else if (r == -EAGAIN) {
		w->stats.busy++;
		part->retry_at = w->now + WINDOW_RETRY_US;
		r = 0;
	} else {
		w->stats.aborts++;
		w->opts.boot++; /* whether those lines were written is not known: they are left alone, new ones begin */
		w->ledger.n = 0;
		(void)window_restore(w, part);
	}
	free(c.batch.buckets);
	free(c.lines);
	return r;
}

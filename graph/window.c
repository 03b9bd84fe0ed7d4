/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The window engine: both stages of the graph are this and a table of functions.
 *
 *   log of a partition   ... r r M r r r r M r | r r M ...        r: row, M: marker
 *                            R               W   H
 *   committed            offset R, metadata "1 H W B"
 *
 *   R  from where a successor reads: the first row of any open interval, or the oldest last marker of a live producer
 *      if that is before (so that it knows who is live; DESIGN 6 names only the first)
 *   H  the read position at the commit     W  the last closed interval     B  the balance of producers.h
 *
 * A partition's open intervals are buckets, each a hash of what the stage keeps under a key. Reading only adds to
 * buckets. A bucket whose interval closes, and every late one, is written out by one transaction, together with markers,
 * ledger lines, dead letters and the new position, and freed when that is committed.
 *
 * Closing. An interval closes when every live producer's marker for it has been read (producers.h), in the middle of a
 * batch if it must be: the order in the log decides, so two readers of a log cut it at the same place. Two exceptions keep
 * it moving: all producers silent for 3 intervals of the wall clock, and more than WINDOW_OPEN intervals open (a producer
 * whose clock is far behind would otherwise fill the memory).
 *
 * Invariants
 *   1. At every moment: rows read = rows committed + rows in buckets + rows skipped + rows lost and counted.
 *   2. A commit at H carries every row below H with interval <= W. Therefore after a restart a row below H with
 *      interval <= W is skipped, below H and > W folded, at or above H and <= W late. No other state is needed.
 *   3. Intervals close in order: W never goes back.
 *   4. A bucket is freed only after its transaction is committed. A full bus (-EAGAIN) costs an aborted transaction, and
 *      what comes meanwhile is folded into the same buckets. Any other failure of a commit may have happened before
 *      or after the commit: memory is dropped and window_restore() asks the bus which.
 *   5. revision = H * 4096 + partition. H grows with every commit that carries rows (a row moves it), so rows of one
 *      interval written twice have different revisions and add, and the same rows are never written twice.
 *   6. Late rows wait for the next commit, at most one interval: a revision an interval, not one a row.
 *   7. Nothing decides below H: what is read again only refills buckets and the table of producers. A commit there would
 *      take H back, and rows between the two would be counted again as late ones.
 *
 * Lost on a crash: nothing that is in the log. Lost on overload: nothing here; past max_entries reading stops, the log
 * grows to its bound, its producers fold on and count what they shed. Only if one interval alone exceeds the memory are
 * the oldest open intervals closed early (`forced`); their later rows are late ones. What was open at H is read again
 * even past max_entries: it fitted its last owner. Rows and markers more than WINDOW_OPEN intervals ahead of both the log
 * and the clock are poison.
 *
 * Why not a changelog of the state, as stream frameworks keep: an open interval lives seconds, reading its rows again is
 * cheaper than writing each change, and there is nothing else to remember. Why not deduplicate by message id instead of
 * H and W: ids would have to be kept for as long as rows may be late.
 */
#include "graph/window.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "graph/window_part.h"

static bool interval_valid(uint32_t interval, uint16_t interval_s)
{
	return interval_s > 0 && 60 % interval_s == 0 && interval > 0 && interval % interval_s == 0;
}

static void window_assigned(void *arg, enum bus_topic t, unsigned partition)
{
	struct window *w = arg;
	struct window_part *part = calloc(1, sizeof(*part));

	(void)t;
	if (!part) {
		w->err = -ENOMEM;
		return;
	}
	part->partition = partition;
	part->last_poison = &part->poison;
	w->parts[partition] = part;
	w->stats.partitions++;
	(void)window_restore(w, part); /* broken then, and tried again */
}

static void window_revoked(void *arg, enum bus_topic t, unsigned partition)
{
	struct window *w = arg;
	struct window_part *part = w->parts[partition];

	(void)t;
	if (!part)
		return;
	if (part->due && !part->broken)
		(void)window_commit(w, part); /* while it is ours; if not, the next owner does it */
	window_part_clear(w, part);
	free(part);
	w->parts[partition] = NULL;
	w->stats.partitions--;
	if (w->opts.stage->forget)
		w->opts.stage->forget(w->opts.arg, partition);
}

int window_new(struct window **ret, const struct window_opts *opts)
{
	struct window *w = calloc(1, sizeof(*w));
	const struct bus_events events = {window_assigned, window_revoked, w};
	char id[128];
	int r = -ENOMEM;

	if (!w)
		return -ENOMEM;
	w->opts = *opts;
	w->n_parts = bus_partitions(opts->bus, opts->stage->input);
	w->parts = calloc(w->n_parts, sizeof(struct window_part *));
	buf_init(&w->buf, 0);
	if (!w->parts)
		goto fail;
	snprintf(id, sizeof(id), "%s-%s", opts->group, opts->instance);
	r = bus_producer_open(&w->producer, opts->bus, id);
	if (r < 0)
		goto fail;
	r = bus_reader_open(&w->reader, opts->bus, opts->group, &opts->stage->input, 1, &events);
	if (r < 0)
		goto fail;
	*ret = w;
	return 0;
fail:
	window_free(w);
	return r;
}

void window_free(struct window *w)
{
	if (!w)
		return;
	bus_producer_close(w->producer);
	bus_reader_close(w->reader);
	for (unsigned i = 0; w->parts && i < w->n_parts; i++) {
		if (w->parts[i])
			window_part_clear(w, w->parts[i]);
		free(w->parts[i]);
	}
	free(w->parts);
	buf_deinit(&w->buf);
	free(w);
}

/* --- reading */

static void part_wait_commit(struct window *w, struct window_part *part)
{
	if (!part->pending_since)
		part->pending_since = w->now;
}

static int part_poison(struct window *w, struct window_part *part, const struct bus_msg *msg, uint64_t rows)
{
	struct window_poison *p = malloc(sizeof(*p) + msg->value_len);

	if (!p)
		return -ENOMEM;
	*p = (struct window_poison){.n = msg->value ? msg->value_len : 0};
	if (p->n)
		memcpy(p->value, msg->value, p->n);
	*part->last_poison = p;
	part->last_poison = &p->next;
	part->told.rows_in += rows;
	part->told.lost_poison += rows;
	part_wait_commit(w, part);
	part->due |= ++part->n_poison >= WINDOW_POISON;
	return 0;
}

/* The bucket of an interval, made if need be. */
static struct bucket *part_bucket(struct window_part *part, uint32_t interval, uint16_t interval_s, int64_t offset)
{
	struct bucket **at = &part->buckets, *b;

	while (*at && (*at)->interval < interval)
		at = &(*at)->next;
	if (*at && (*at)->interval == interval)
		return *at;
	b = bucket_new(interval, interval_s, offset);
	if (!b)
		return NULL;
	b->late = interval <= part->closed;
	b->next = *at;
	*at = b;
	part->n_late += b->late;
	part->n_open += !b->late;
	return b;
}

/* The oldest open interval closes now, whoever is still missing. */
static void part_force(struct window_part *part)
{
	for (struct bucket *b = part->buckets; b; b = b->next) {
		if (b->interval > part->closed) {
			if (b->interval > part->close_to) {
				part->close_to = b->interval;
				part->told.forced++;
			}
			break;
		}
	}
	part->due = true;
}

static bool part_too_late(const struct window *w, const struct window_part *part, uint32_t interval)
{
	uint32_t max = w->opts.stage->late_max_s;

	return max && interval < part->closed && part->closed - interval > max;
}

/* Ahead of the log and of our clock: whoever wrote that has neither. Believed, it would hold R for ages (a row) or make
 * everybody else late (a marker). One of the two is enough: our clock may be wrong, and the log may have rested. */
static bool part_too_early(const struct window *w, const struct window_part *part, uint32_t interval,
			   uint16_t interval_s)
{
	int64_t newest = part->producers.newest, now = w->now / 1000000;

	newest = part->closed > newest ? part->closed : newest;
	return interval > (now > newest ? now : newest) + WINDOW_OPEN * (int64_t)interval_s;
}

static int part_row(struct window *w, struct window_part *part, const struct bus_msg *msg, bool below)
{
	const struct window_stage *stage = w->opts.stage;
	struct producers *ps = &part->producers;
	uint32_t interval;
	uint16_t interval_s;
	uint64_t rows = 1;
	struct bucket *b;
	size_t held;
	int r = stage->when(&w->msg, &interval, &interval_s, &rows);

	if (r == 0 && (!interval_valid(interval, interval_s) || part_too_early(w, part, interval, interval_s)))
		r = -EBADMSG;
	if (below && (r < 0 || interval <= part->closed))
		return 0;
	if (!below)
		producers_rows(ps, rows);
	if (r < 0)
		return part_poison(w, part, msg, rows);
	b = part_bucket(part, interval, interval_s, msg->offset);
	if (!b)
		return -ENOMEM;
	part->interval_s = interval_s;
	if (b->late) {
		part->told.late_rows += rows;
		part_wait_commit(w, part);
	}
	held = b->held;
	r = part_too_late(w, part, interval) ? -ETIME : stage->fold(w->opts.arg, b, &w->msg);
	w->entries += b->held - held;
	if (r == -EBADMSG)
		return part_poison(w, part, msg, rows);
	if (r < 0 && r != -ETIME)
		return r;
	b->rows += rows;
	b->lost_late += r == -ETIME ? rows : 0;
	if (!below && part->n_open > WINDOW_OPEN)
		part_force(part);
	part->due |= part->n_late > WINDOW_OPEN;
	return 0;
}

static int part_marker(struct window *w, struct window_part *part, const struct bus_msg *msg, bool below)
{
	const struct flow_marker *m = &w->msg.marker;
	uint32_t closable;
	int r;

	if (!interval_valid(m->interval, m->interval_s) || part_too_early(w, part, m->interval, m->interval_s))
		return below ? 0 : part_poison(w, part, msg, 0);
	r = producers_marker(&part->producers, m, msg->offset, !below);
	if (r < 0)
		return r;
	part->interval_s = m->interval_s;
	part->marker_at = w->now;
	closable = producers_closable(&part->producers);
	if (!below && closable > part->close_to) {
		part->close_to = closable;
		part->due = true;
	}
	return 0;
}

static int part_message(struct window *w, struct window_part *part, const struct bus_msg *msg)
{
	bool below = msg->offset < part->h;
	int r;

	part->pos = msg->offset + 1;
	w->stats.messages++;
	if (!msg->value || flow_msg_decode(msg->value, msg->value_len, &w->msg) < 0) {
		if (!below)
			producers_rows(&part->producers, 1);
		r = below ? 0 : part_poison(w, part, msg, 1);
	} else if (w->msg.type == FLOW_MSG_MARKER) {
		r = part_marker(w, part, msg, below);
	} else if (w->msg.type == w->opts.stage->type) {
		r = part_row(w, part, msg, below);
	} else {
		r = below ? 0 : part_poison(w, part, msg, 0);
	}
	if (r == 0)
		r = window_commit(w, part);
	else
		(void)window_restore(w, part); /* out of memory: less of it is used then */
	return r;
}

/* --- the wall clock */

/* All producers silent: the clock closes what ended 3 intervals ago. */
static void part_silence(struct window *w, struct window_part *part)
{
	int64_t length = (int64_t)part->interval_s * 1000000, oldest, end;
	uint32_t to = 0;

	if (!part->n_open || w->now - part->marker_at < PRODUCERS_SILENT * length)
		return;
	if (!w->idle &&
	    (bus_bounds(w->opts.bus, w->opts.stage->input, part->partition, &oldest, &end) < 0 || part->pos < end))
		return;
	for (struct bucket *b = part->buckets; b; b = b->next) {
		if (((int64_t)b->interval + b->interval_s) * 1000000 + PRODUCERS_SILENT * length <= w->now)
			to = b->interval;
	}
	if (to > part->close_to) {
		part->close_to = to;
		part->told.silent++;
		part->due = true;
	}
}

static int window_clock(struct window *w)
{
	int err = 0;

	for (unsigned i = 0; i < w->n_parts; i++) {
		struct window_part *part = w->parts[i];
		int64_t length;
		int r;

		if (!part || part->broken)
			continue;
		part_silence(w, part);
		length = part->interval_s ? (int64_t)part->interval_s * 1000000 : 1000000;
		if (part->pending_since && w->now - part->pending_since >= length)
			part->due = true;
		r = window_commit(w, part);
		err = r < 0 ? r : err;
	}
	return err;
}

/* Too much in memory: what is due goes out first, else the oldest interval does. */
static int window_relieve(struct window *w)
{
	bool full = w->entries >= w->opts.max_entries;
	struct window_part *oldest = NULL;
	int r;

	for (unsigned i = 0; i < w->n_parts; i++) {
		struct window_part *part = w->parts[i];

		if (!part || part->broken || part->pos < part->h)
			continue;
		if (part->due && (full || part->n_late > WINDOW_OPEN || part->n_poison >= WINDOW_POISON))
			return -EAGAIN; /* window_clock() has just tried */
		if (part->buckets && (!oldest || part->buckets->interval < oldest->buckets->interval))
			oldest = part;
	}
	if (!full)
		return 0;
	if (!oldest)
		return 0;
	part_force(oldest);
	r = window_commit(w, oldest);
	return r < 0 ? r : oldest->due ? -EAGAIN : 0;
}

/* The wall clock was set back: what waits for a time waits from now on. */
static void window_clock_back(struct window *w, int64_t now_us)
{
	for (unsigned i = 0; i < w->n_parts; i++) {
		struct window_part *part = w->parts[i];

		if (!part)
			continue;
		part->retry_at = 0;
		part->marker_at = part->marker_at < now_us ? part->marker_at : now_us;
		part->pending_since = part->pending_since < now_us ? part->pending_since : now_us;
	}
}

int window_step(struct window *w, int64_t now_us, int timeout_ms)
{
	int n, r, err;

	if (now_us < w->now)
		window_clock_back(w, now_us);
	w->now = now_us;
	w->err = 0;
	for (unsigned i = 0; i < w->n_parts; i++) {
		if (w->parts[i] && w->parts[i]->broken && (r = window_restore(w, w->parts[i])) < 0)
			return r;
	}
	err = window_clock(w);
	r = window_relieve(w);
	if (err < 0 || r < 0)
		return err < 0 ? err : r;
	n = bus_read(w->reader, w->msgs, WINDOW_READ, timeout_ms);
	if (n < 0 || w->err < 0)
		return n < 0 ? n : w->err;
	w->idle = n == 0;
	for (unsigned i = 0; i < w->n_parts; i++) {
		if (w->parts[i])
			w->parts[i]->skip = false;
	}
	for (int i = 0; i < n; i++) {
		struct window_part *part = w->parts[w->msgs[i].partition];

		if (!part || part->skip || part->broken)
			continue;
		r = part_message(w, part, &w->msgs[i]);
		err = r < 0 ? r : err;
	}
	return err < 0 ? err : n;
}

bool window_drained(const struct window *w)
{
	for (unsigned i = 0; i < w->n_parts; i++) {
		const struct window_part *part = w->parts[i];

		if (part && (part->due || part->broken))
			return false;
	}
	return w->idle;
}

int window_flush(struct window *w, int64_t now_us)
{
	int err = 0;

	w->now = now_us;
	for (unsigned i = 0; i < w->n_parts; i++) {
		struct window_part *part = w->parts[i];
		int r;

		if (!part || part->broken)
			continue;
		for (struct bucket *b = part->buckets; b; b = b->next)
			part->close_to = b->interval > part->close_to ? b->interval : part->close_to;
		part->due |= part->buckets || part->poison;
		r = window_commit(w, part);
		err = r < 0 ? r : part->due ? -EAGAIN : err;
	}
	return err;
}

void window_stats(const struct window *w, struct graph_stage_stats *ret)
{
	bool first = true;

	*ret = w->stats;
	ret->entries = w->entries;
	for (unsigned i = 0; i < w->n_parts; i++) {
		const struct window_part *part = w->parts[i];
		uint32_t live, silent;
		int64_t oldest, end;

		if (!part)
			continue;
		producers_count(&part->producers, &live, &silent);
		ret->producers_live = live > ret->producers_live ? live : ret->producers_live;
		ret->producers_silent = silent > ret->producers_silent ? silent : ret->producers_silent;
		ret->open_intervals = part->n_open > ret->open_intervals ? part->n_open : ret->open_intervals;
		ret->watermark = first || part->closed < ret->watermark ? part->closed : ret->watermark;
		first = false;
		if (bus_bounds(w->opts.bus, w->opts.stage->input, i, &oldest, &end) == 0 && end > part->pos)
			ret->lag += (uint64_t)(end - part->pos);
	}
}

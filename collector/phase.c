/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/phase.h"

#include <assert.h>
#include <errno.h>

#include "base/log.h"

#define PACE 50000     /* rows a second at least, once an interval is closed */
#define TICK_US 5000   /* between two portions of rows */
#define SWAP_US 500    /* until looking again whether threads have swapped */
#define RETRY_US 10000 /* after the bus was full */
#define MARKERS_MAX 64 /* intervals marked at once */
#define LOG_EVERY_S 60 /* at most one line */

static struct worker_pane *pane(struct publish *p, unsigned w)
{
	struct worker *wk = p->opts.workers[w];

	return &wk->pane[swap_given(&wk->pane_swap)];
}

/* What bus_produce() answered: 1 taken, 0 full, < 0 refused for good and counted. */
static int produced(struct publish *p, int r, int64_t now_us)
{
	if (r == 0)
		return 1;
	if (r == -EAGAIN) {
		counters_add(&p->counters.bus_full, 1);
		return 0;
	}
	counters_add(&p->counters.bus_errors, 1);
	if (!p->bus_error_logged_s || now_us / 1000000 - p->bus_error_logged_s >= LOG_EVERY_S) {
		log_warn("collector: the bus refused a message, the %llu. since the start: %s",
			 (unsigned long long)p->counters.bus_errors, strerror(-r));
		p->bus_error_logged_s = now_us / 1000000;
	}
	return -1;
}

/* Puts what p->message holds, its key first, on the bus; answers as produced(). */
static int put(struct publish *p, enum bus_topic topic, unsigned partition, size_t key_len, int64_t now_us)
{
	const struct buf *m = &p->message;
	int r = m->err;

	if (!r)
		r = bus_produce(p->producer, topic, partition, m->p, key_len, m->p + key_len, m->n - key_len);
	return produced(p, r, now_us);
}

static int do_idle(struct publish *p, int64_t now_us)
{
	if (!p->is_pending)
		return 0;
	for (unsigned w = 0; w < p->opts.n_workers; w++)
		swap_ask(&p->opts.workers[w]->pane_swap);
	p->closing = p->pending;
	p->is_pending = false;
	if (p->marking > p->closing) /* the clock was set back */
		p->marking = p->closing;
	if (p->opts.wake)
		p->opts.wake(p->opts.arg);
	return 1;
}

void phase_take_counts(struct publish *p, const struct fold *f)
{
	size_t n;
	const struct fold_count *c = fold_counts(f, &n);

	for (size_t i = 0; i <= n; i++) {
		const struct fold_count *from = i < n ? &c[i] : fold_unplaced(f);
		struct ledger_line *line;

		if (i == n && !from->rows_in)
			break;
		line = ledger_of(&p->ledger, i < n ? from->interval : p->closing);
		line->rows_in += from->rows_in;
		line->sampled_rows += from->sampled;
		for (unsigned k = 0; k < FOLD_LOSSES; k++) {
			line->lost[k] += from->lost[k];
			counters_add(&p->counters.rows_lost, from->lost[k]);
		}
	}
}

static int do_swap(struct publish *p, int64_t now_us)
{
	uint64_t fill = 0, merged = 0;
	struct ledger_line *line;

	for (unsigned w = 0; w < p->opts.n_workers; w++) {
		if (!swap_done(&p->opts.workers[w]->pane_swap))
			return 0;
	}
	if (p->lines_asked)
		return 0;
	p->n_rows = p->n_sent = 0;
	p->worker = 0;
	p->row = 0;
	p->record_at = 0;
	for (unsigned w = 0; w < p->opts.n_workers; w++) {
		const struct fold *f = pane(p, w)->fold;

		p->n_rows += fold_n(f);
		fill = fold_fill_pm(f) > fill ? fold_fill_pm(f) : fill;
		merged += fold_roleless_merged(f);
		phase_take_counts(p, f);
	}
	line = ledger_of(&p->ledger, p->closing);
	line->info.fold_fill_pm = fill;
	line->info.roleless_merged += merged;
	__atomic_store_n(&p->fill_pm, fill, __ATOMIC_RELAXED);
	return 1;
}

static int do_records(struct publish *p, int64_t now_us)
{
	struct records_message m;
	size_t at = p->record_at;

	for (; p->worker < p->opts.n_workers; p->worker++, p->record_at = at = 0) {
		while (records_next(&pane(p, p->worker)->records, &at, &m)) {
			int r = produced(p,
					 bus_produce(p->producer, m.topic, 0, m.key.p, m.key.n, m.value.p, m.value.n),
					 now_us);

			if (!r)
				return 0;
			if (r > 0)
				counters_add(&p->counters.records, 1);
			p->record_at = at;
		}
	}
	p->worker = 0;
	p->rows_start_us = now_us;
	p->rows_end_us = now_us + (int64_t)(p->n_rows * 1000000 / PACE);
	if (p->rows_end_us > now_us + p->opts.fold_s * 500000ll)
		p->rows_end_us = now_us + p->opts.fold_s * 500000ll;
	return 1;
}

/* Rows that should be written by now: all, too, when the clock was set back meanwhile. */
static uint64_t rows_target(const struct publish *p, int64_t now_us)
{
	int64_t span = p->rows_end_us - p->rows_start_us, done = now_us + TICK_US - p->rows_start_us;

	if (p->stopping || done < 0 || done >= span)
		return p->n_rows;
	return (uint64_t)((double)p->n_rows * (double)done / (double)span);
}

static int put_row(struct publish *p, const struct fold *f, int64_t now_us)
{
	struct flow_row *row = &p->encode;
	struct ledger_line *line;
	unsigned partition;
	uint64_t key;
	int r;

	fold_get(f, p->row, row);
	row->interval_s = p->opts.fold_s;
	key = flow_conv_partition(&row->conv);
	partition = bus_partition(p->opts.bus, BUS_FLOWS, key);
	buf_clear(&p->message);
	buf_put(&p->message, &key, sizeof(key));
	flow_msg_encode(&p->message, FLOW_MSG_ROW, row);
	r = put(p, BUS_FLOWS, partition, sizeof(key), now_us);
	if (!r)
		return 0;
	line = ledger_of(&p->ledger, row->interval);
	if (r < 0) {
		line->lost[LEDGER_BUS_ERROR] += row->stats.rows;
		counters_add(&p->counters.rows_lost, row->stats.rows);
		return 1;
	}
	line->rows_out += row->stats.rows;
	line->messages++;
	if (row->interval < p->marking) {
		line->late_rows += row->stats.rows;
		counters_add(&p->counters.late_rows, row->stats.rows);
	}
	p->parts[partition].rows += row->stats.rows;
	p->parts[partition].messages++;
	counters_add(&p->counters.rows_out, row->stats.rows);
	counters_add(&p->counters.messages, 1);
	return 1;
}

static int do_rows(struct publish *p, int64_t now_us)
{
	uint64_t target = rows_target(p, now_us);

	for (; p->worker < p->opts.n_workers; p->worker++, p->row = 0) {
		const struct fold *f = pane(p, p->worker)->fold;

		for (; p->row < fold_n(f); p->row++, p->n_sent++) {
			if (p->n_sent >= target || !put_row(p, f, now_us))
				return 0;
		}
	}
	if ((int64_t)p->closing - p->marking > (int64_t)(MARKERS_MAX - 1) * p->opts.fold_s)
		p->marking = p->closing - (MARKERS_MAX - 1) * p->opts.fold_s;
	p->partition = 0;
	return 1;
}

static int do_markers(struct publish *p, int64_t now_us)
{
	struct flow_marker m = {
		.producer = str_from(p->opts.instance),
		.boot = (uint64_t)p->opts.start_us,
		.interval_s = p->opts.fold_s,
	};

	for (; p->marking <= p->closing; p->marking += p->opts.fold_s, p->partition = 0) {
		m.interval = p->marking;
		for (; p->partition < p->n_partitions; p->partition++) {
			struct phase_part *part = &p->parts[p->partition];

			m.rows = part->rows;
			m.messages = part->messages;
			buf_clear(&p->message);
			buf_str(&p->message, m.producer);
			flow_msg_encode(&p->message, FLOW_MSG_MARKER, &m);
			if (put(p, BUS_FLOWS, p->partition, m.producer.n, now_us) <= 0)
				return 0;
			*part = (struct phase_part){0};
			counters_add(&p->counters.markers, 1);
		}
	}
	__atomic_store_n(&p->closed, p->closing, __ATOMIC_RELAXED);
	return 1;
}

static int do_ledger(struct publish *p, int64_t now_us)
{
	struct ledger_line *line;

	while ((line = ledger_changed(&p->ledger))) {
		struct str instance = str_from(p->opts.instance);
		size_t key_len;
		int r;

		ledger_fill(&p->ledger, line, instance, (uint64_t)p->opts.start_us, p->opts.fold_s, &p->encode_ledger);
		buf_clear(&p->message);
		buf_printf(&p->message, "collector/%s", p->opts.instance);
		key_len = p->message.n;
		flow_msg_encode(&p->message, FLOW_MSG_LEDGER, &p->encode_ledger);
		r = put(p, BUS_LEDGER, 0, key_len, now_us);
		if (!r)
			return 0;
		line->changed = false;
	}
	return 1;
}

static int do_clear(struct publish *p, int64_t now_us)
{
	for (unsigned w = 0; w < p->opts.n_workers; w++)
		worker_pane_clear(pane(p, w));
	if (p->last_asked && !p->is_pending)
		p->done = true;
	return 1;
}

static const struct {
	int (*run)(struct publish *p, int64_t now_us);
	int64_t again_us; /* when it is not done */
} phases[PHASES] = {
	[PHASE_IDLE] = {do_idle, INT64_MAX},      [PHASE_SWAP] = {do_swap, SWAP_US},
	[PHASE_RECORDS] = {do_records, RETRY_US}, [PHASE_ROWS] = {do_rows, TICK_US},
	[PHASE_MARKERS] = {do_markers, RETRY_US}, [PHASE_LEDGER] = {do_ledger, RETRY_US},
	[PHASE_CLEAR] = {do_clear, RETRY_US},
};

int phase_run(struct publish *p, int64_t now_us)
{
	return phases[p->phase].run(p, now_us);
}

int64_t phase_again_us(enum phase phase)
{
	return phases[phase].again_us;
}

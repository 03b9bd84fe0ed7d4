/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An interval closes at its end + spread + grace: all agents of the fleet send within the spread, the grace is for the way.
 * Then, step by step (one entry of `phases` each), nothing waiting and everything resumable after a full bus:
 *
 *     swap     every receive thread has gone over to its other tables
 *     records  hosts, listeners, agents' ledger lines: so that names are there before the rows
 *     rows     evenly over half an interval, but not slower than PACE rows a second
 *     markers  of every interval up to the closed one, to every flows partition
 *     ledger   our own lines that changed
 *     clear    tables are emptied and may be swapped again
 *
 * 1. A marker for interval T is written after all rows that were in the tables when T closed. Its counts are the rows
 *    and messages written to that partition since the former marker, whatever their interval: late and early rows are
 *    in it, so the running sum over the markers is exact.
 * 2. An interval has its marker though nothing came: silence and absence differ.
 * 3. Acks and the count of losses go by the interval's end and do not wait for the bus: a full bus is no reason for agents to
 *    look for another collector.
 * 4. While the tables of one interval are not written, the receive threads fold further ones into the other pair (the
 *    interval is in the key). Only when that is full is something lost, and counted there.
 * 5. rows_in = rows_out + lost holds for each of our lines when it is written: `ledger` comes after `rows`.
 *
 * No transaction: a crash repeats nothing, since what was folded is gone; rows written before it stay, those after it are
 * lost, and the agents' lines say how many. Another start is another boot, with markers of its own.
 *
 * A wall clock that jumps: forward, the intervals between are closed, the newest MARKERS_MAX with markers; backward by
 * more than two intervals, closing begins again from there, and what comes is late.
 */
#include "collector/publish.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "collector/period.h"

#define PACE 50000        /* rows a second at least, once an interval is closed */
#define TICK_US 5000      /* between two portions of rows */
#define SWAP_US 500       /* until looking again whether threads have swapped */
#define RETRY_US 10000    /* after the bus was full */
#define MARKERS_MAX 64    /* intervals marked at once */
#define LOG_EVERY_S 60    /* at most one line */

enum phase { IDLE, SWAP, RECORDS, ROWS, MARKERS, LEDGER, CLEAR, PHASES };

struct part {
	uint64_t rows, messages; /* since the former marker */
};

struct publish {
	struct publish_opts opts; /* period keeps a pointer to it */
	struct bus_producer *producer;
	int64_t len_us, spread_us, grace_us;
	uint32_t next;           /* interval to be closed next */
	uint32_t lines_of;       /* interval whose lines were asked for */
	bool lines_asked, stopping, last_asked, done;
	/* the tables being written */
	enum phase phase;
	uint32_t closing;        /* their newest interval */
	uint32_t pending;        /* an interval that ended meanwhile; 0: none */
	bool is_pending;
	int64_t rows_start_us, rows_end_us;
	uint64_t n_rows, n_sent;
	unsigned worker;
	uint32_t row;
	size_t record_at;
	uint32_t marking;        /* interval whose markers are being written */
	unsigned partition, n_partitions;
	struct part *parts;
	struct buf message;
	struct flow_row encode;
	struct flow_ledger encode_ledger;
	struct ledger ledger;
	struct period period;
	/* numbers */
	struct counters_publish counters;
	uint64_t fill_pm;
	uint32_t closed;
	int64_t bus_error_logged_s;
};

static int64_t due_us(const struct publish *p, uint32_t interval)
{
	return (int64_t)interval * 1000000 + p->len_us + p->spread_us + p->grace_us;
}

/* The newest interval that is due at now_us. */
static uint32_t newest_due(const struct publish *p, int64_t now_us)
{
	int64_t t = now_us - p->len_us - p->spread_us - p->grace_us;

	return t < 0 ? 0 : (uint32_t)(t / p->len_us * p->opts.interval_s);
}

int publish_new(struct publish **ret, const struct publish_opts *o)
{
	struct publish *p;
	int r;

	assert(o->bus && o->interval_s && o->n_workers);
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->opts = *o;
	p->len_us = (int64_t)o->interval_s * 1000000;
	p->spread_us = (int64_t)o->spread_ms * 1000;
	p->grace_us = (int64_t)o->grace_ms * 1000;
	p->next = newest_due(p, o->start_us) + o->interval_s;
	p->marking = p->next;
	p->n_partitions = bus_partitions(o->bus, BUS_FLOWS);
	buf_init(&p->message, 0);
	ledger_init(&p->ledger);
	p->parts = calloc(p->n_partitions, sizeof(*p->parts));
	r = p->parts ? period_init(&p->period, &p->opts, &p->counters) : -ENOMEM;
	if (!r)
		r = bus_producer_open(&p->producer, o->bus, o->instance);
	if (r < 0) {
		publish_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

void publish_free(struct publish *p)
{
	if (!p)
		return;
	if (p->producer)
		bus_producer_close(p->producer);
	period_deinit(&p->period);
	buf_deinit(&p->message);
	free(p->parts);
	free(p);
}

/* --- phases: 1 done, go on with the next; 0 call again at *ret_next */

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

/* What is known of the ended period goes into the ledger line of its interval. */
static void take_lines(struct publish *p, int64_t now_us)
{
	struct ledger_info info;

	period_take(&p->period, p->lines_of, p->stopping, now_us, &info);
	ledger_info_add(&ledger_of(&p->ledger, p->lines_of)->info, &info);
	p->spread_us = (int64_t)p->period.spread_ms * 1000;
	if (p->spread_us > p->len_us)
		p->spread_us = p->len_us;
	p->lines_asked = false;
}

static int phase_idle(struct publish *p, int64_t now_us)
{
	if (!p->is_pending)
		return 0;
	for (unsigned w = 0; w < p->opts.n_workers; w++)
		swap_ask(&p->opts.workers[w]->pane_swap);
	p->closing = p->pending;
	p->is_pending = false;
	if (p->opts.wake)
		p->opts.wake(p->opts.arg);
	return 1;
}

/* What the threads counted goes into the lines of its intervals. */
static void take_counts(struct publish *p, const struct fold *f)
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
		for (unsigned k = 0; k < FOLD_LOSSES; k++) {
			line->lost[k] += from->lost[k];
			counters_add(&p->counters.rows_lost, from->lost[k]);
		}
	}
}

static int phase_swap(struct publish *p, int64_t now_us)
{
	struct ledger_line *line;
	uint64_t fill = 0;

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
	line = ledger_of(&p->ledger, p->closing);
	for (unsigned w = 0; w < p->opts.n_workers; w++) {
		const struct fold *f = pane(p, w)->fold;

		p->n_rows += fold_n(f);
		fill = fold_fill_pm(f) > fill ? fold_fill_pm(f) : fill;
		line->info.roleless_merged += fold_roleless_merged(f);
		take_counts(p, f);
	}
	line = ledger_of(&p->ledger, p->closing);
	line->info.fold_fill_pm = fill;
	__atomic_store_n(&p->fill_pm, fill, __ATOMIC_RELAXED);
	return 1;
}

static int phase_records(struct publish *p, int64_t now_us)
{
	struct records_message m;
	size_t at = p->record_at;

	for (; p->worker < p->opts.n_workers; p->worker++, p->record_at = at = 0) {
		while (records_next(&pane(p, p->worker)->records, &at, &m)) {
			int r = produced(p, bus_produce(p->producer, m.topic, 0, m.key.p, m.key.n, m.value.p, m.value.n), now_us);

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
	if (p->rows_end_us > now_us + p->len_us / 2)
		p->rows_end_us = now_us + p->len_us / 2;
	return 1;
}

/* Rows that should be written by now. */
static uint64_t rows_target(const struct publish *p, int64_t now_us)
{
	int64_t span = p->rows_end_us - p->rows_start_us, done = now_us + TICK_US - p->rows_start_us;

	if (p->stopping || done >= span)
		return p->n_rows;
	return done <= 0 ? 0 : (uint64_t)((double)p->n_rows * (double)done / (double)span);
}

static int put_row(struct publish *p, const struct fold *f, int64_t now_us)
{
	struct flow_row *row = &p->encode;
	struct ledger_line *line;
	unsigned partition;
	uint64_t key;
	int r;

	fold_get(f, p->row, row);
	row->interval_s = p->opts.interval_s;
	key = flow_conv_partition(&row->conv);
	partition = bus_partition(p->opts.bus, BUS_FLOWS, key);
	buf_clear(&p->message);
	flow_msg_encode(&p->message, FLOW_MSG_ROW, row);
	r = produced(p, p->message.err ? p->message.err : bus_produce(p->producer, BUS_FLOWS, partition, &key, sizeof(key),
								     p->message.p, p->message.n), now_us);
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

static int phase_rows(struct publish *p, int64_t now_us)
{
	uint64_t target = rows_target(p, now_us);

	for (; p->worker < p->opts.n_workers; p->worker++, p->row = 0) {
		const struct fold *f = pane(p, p->worker)->fold;

		for (; p->row < fold_n(f); p->row++, p->n_sent++) {
			if (p->n_sent >= target || !put_row(p, f, now_us))
				return 0;
		}
	}
	if ((int64_t)p->closing - p->marking > (int64_t)(MARKERS_MAX - 1) * p->opts.interval_s)
		p->marking = p->closing - (MARKERS_MAX - 1) * p->opts.interval_s;
	p->partition = 0;
	return 1;
}

static int phase_markers(struct publish *p, int64_t now_us)
{
	struct flow_marker m = {
		.producer = str_from(p->opts.instance), .boot = (uint64_t)p->opts.start_us,
		.interval_s = p->opts.interval_s,
	};

	for (; p->marking <= p->closing; p->marking += p->opts.interval_s, p->partition = 0) {
		m.interval = p->marking;
		for (; p->partition < p->n_partitions; p->partition++) {
			struct part *part = &p->parts[p->partition];

			m.rows = part->rows;
			m.messages = part->messages;
			buf_clear(&p->message);
			flow_msg_encode(&p->message, FLOW_MSG_MARKER, &m);
			if (produced(p, bus_produce(p->producer, BUS_FLOWS, p->partition, m.producer.p, m.producer.n, p->message.p,
						    p->message.n), now_us) <= 0)
				return 0;
			*part = (struct part){0};
			counters_add(&p->counters.markers, 1);
		}
	}
	__atomic_store_n(&p->closed, p->closing, __ATOMIC_RELAXED);
	return 1;
}

static int phase_ledger(struct publish *p, int64_t now_us)
{
	struct ledger_line *line;

	while ((line = ledger_changed(&p->ledger))) {
		struct str instance = str_from(p->opts.instance);
		size_t key_len;
		int r;

		ledger_fill(&p->ledger, line, instance, (uint64_t)p->opts.start_us, p->opts.interval_s, &p->encode_ledger);
		buf_clear(&p->message);
		buf_printf(&p->message, "collector/%s", p->opts.instance);
		key_len = p->message.n;
		flow_msg_encode(&p->message, FLOW_MSG_LEDGER, &p->encode_ledger);
		r = produced(p, p->message.err ? p->message.err : bus_produce(p->producer, BUS_LEDGER, 0, p->message.p, key_len,
									     p->message.p + key_len, p->message.n - key_len),
			     now_us);
		if (!r)
			return 0;
		line->changed = false;
	}
	return 1;
}

static int phase_clear(struct publish *p, int64_t now_us)
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
	[IDLE] = {phase_idle, INT64_MAX},       [SWAP] = {phase_swap, SWAP_US},
	[RECORDS] = {phase_records, RETRY_US},  [ROWS] = {phase_rows, TICK_US},
	[MARKERS] = {phase_markers, RETRY_US},  [LEDGER] = {phase_ledger, RETRY_US},
	[CLEAR] = {phase_clear, RETRY_US},
};

/* An interval ended: its lines now; its tables when the former ones are written. */
static void ask(struct publish *p, uint32_t interval)
{
	for (unsigned w = 0; w < p->opts.n_workers; w++)
		swap_ask(&p->opts.workers[w]->lines_swap);
	p->lines_asked = true;
	p->lines_of = interval;
	p->next = interval + p->opts.interval_s;
	if (p->is_pending || p->phase != IDLE)
		counters_add(&p->counters.swaps_held, 1);
	p->pending = interval;
	p->is_pending = true;
	if (p->opts.wake)
		p->opts.wake(p->opts.arg);
}

static bool lines_done(const struct publish *p)
{
	for (unsigned w = 0; w < p->opts.n_workers; w++) {
		if (!swap_done(&p->opts.workers[w]->lines_swap))
			return false;
	}
	return true;
}

/* The wall clock was set back: begin again from what it says now. */
static void follow_clock(struct publish *p, int64_t now_us)
{
	if (due_us(p, p->next) - now_us <= 3 * p->len_us)
		return;
	log_warn("collector: the clock was set back by about %lld s", (long long)((due_us(p, p->next) - now_us) / 1000000));
	p->next = newest_due(p, now_us) + p->opts.interval_s;
	if (p->marking > p->next)
		p->marking = p->next;
}

int64_t publish_step(struct publish *p, int64_t now_us)
{
	int64_t next;

	follow_clock(p, now_us);
	if (!p->lines_asked && p->stopping && !p->last_asked) {
		ask(p, (uint32_t)(now_us / p->len_us * p->opts.interval_s));
		p->last_asked = true;
	} else if (!p->lines_asked && !p->stopping && now_us >= due_us(p, p->next)) {
		ask(p, newest_due(p, now_us));
	}
	if (p->lines_asked && lines_done(p)) {
		take_lines(p, now_us);
	}
	while (!p->done && phases[p->phase].run(p, now_us))
		p->phase = (p->phase + 1) % PHASES;
	next = p->lines_asked ? now_us + SWAP_US : due_us(p, p->next);
	if (p->phase != IDLE && now_us + phases[p->phase].again_us < next)
		next = now_us + phases[p->phase].again_us;
	return next > now_us ? next : now_us;
}

void publish_stop(struct publish *p)
{
	p->stopping = true;
}

bool publish_done(const struct publish *p)
{
	return p->done;
}

/* Rows of one table from number `from` on. */
static uint64_t rows_left(const struct fold *f, uint32_t from)
{
	struct flow_row *row = malloc(sizeof(*row));
	uint64_t n = 0;

	for (uint32_t i = from; row && i < fold_n(f); i++) {
		fold_get(f, i, row);
		n += row->stats.rows;
	}
	free(row);
	return n;
}

void publish_give_up(struct publish *p)
{
	bool writing = p->phase == RECORDS || p->phase == ROWS;

	for (unsigned w = 0; w < p->opts.n_workers; w++) {
		struct worker *wk = p->opts.workers[w];
		unsigned given = p->phase == IDLE ? 2 : swap_given(&wk->pane_swap);

		for (unsigned i = 0; i < 2; i++) {
			const struct fold *f = wk->pane[i].fold;

			if (i != given || p->phase == SWAP)
				take_counts(p, f);
			if (i != given || p->phase == SWAP || (writing && w > p->worker))
				counters_add(&p->counters.rows_lost, rows_left(f, 0));
			else if (writing && w == p->worker)
				counters_add(&p->counters.rows_lost, rows_left(f, p->phase == ROWS ? p->row : 0));
		}
	}
	p->done = true;
}

const struct counters_publish *publish_counters(const struct publish *p)
{
	return &p->counters;
}

uint32_t publish_closed(const struct publish *p)
{
	return __atomic_load_n(&p->closed, __ATOMIC_RELAXED);
}

uint64_t publish_agents(const struct publish *p)
{
	return __atomic_load_n(&p->period.agents, __ATOMIC_RELAXED);
}

uint64_t publish_fill_pm(const struct publish *p)
{
	return __atomic_load_n(&p->fill_pm, __ATOMIC_RELAXED);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An interval closes at its end + spread + grace: all agents of the fleet send within the spread, the grace is for the way.
 * Then, step by step (one function of phase.c each), nothing waiting and everything resumable after a full bus:
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
 * 6. There may be two lengths (--fold): agents are answered and their losses counted at each of their intervals, while rows,
 *    markers and our ledger lines are of a multiple of it. That one closes with the last of the agents' in it. Agents' own
 *    ledger lines stay as they said them: they are said again and again, and what is merged cannot be replaced.
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
#include "collector/phase.h"

#define SWAP_US 500 /* until looking again whether threads have swapped */

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

/* That of the rows in which a moment is. */
static uint32_t fold_of(const struct publish *p, uint32_t at_s)
{
	return at_s - at_s % p->opts.fold_s;
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
	if (!o->fold_s)
		p->opts.fold_s = o->interval_s;
	assert(p->opts.fold_s % o->interval_s == 0);
	p->len_us = (int64_t)o->interval_s * 1000000;
	p->spread_us = (int64_t)o->spread_ms * 1000;
	p->grace_us = (int64_t)o->grace_ms * 1000;
	p->next = newest_due(p, o->start_us) + o->interval_s;
	p->marking = p->next_rows = fold_of(p, p->next);
	p->n_partitions = bus_partitions(o->bus, BUS_FLOWS);
	buf_init(&p->message, 0);
	ledger_init(&p->ledger);
	p->parts = calloc(p->n_partitions, sizeof(*p->parts));
	r = p->parts ? period_init(&p->period, &p->opts, &p->counters) : -ENOMEM;
	if (!r)
		r = bus_producer_open(&p->producer, o->bus, NULL);
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

/* What is known of the ended period goes into the ledger line of its interval. */
static void take_lines(struct publish *p, int64_t now_us)
{
	struct ledger_info info;

	period_take(&p->period, p->lines_of, p->stopping || p->telling, now_us, &info);
	ledger_info_add(&ledger_of(&p->ledger, fold_of(p, p->lines_of))->info, &info);
	p->spread_us = (int64_t)p->period.spread_ms * 1000;
	if (p->spread_us > p->len_us)
		p->spread_us = p->len_us;
	p->lines_asked = false;
	__atomic_store_n(&p->told, p->told + p->telling, __ATOMIC_RELEASE);
	p->telling = false;
}

static void ask_lines(struct publish *p, uint32_t interval)
{
	for (unsigned w = 0; w < p->opts.n_workers; w++)
		swap_ask(&p->opts.workers[w]->lines_swap);
	p->lines_asked = true;
	p->lines_of = interval;
	p->telling = p->leaving;
	p->tell = false;
	if (p->opts.wake)
		p->opts.wake(p->opts.arg);
}

/* Those of rows before `end` ended: their tables are next when the former ones are written. */
static void ask_panes(struct publish *p, uint32_t end)
{
	p->next_rows = end;
	if (p->is_pending || p->phase != PHASE_IDLE)
		counters_add(&p->counters.swaps_held, 1);
	p->pending = end - p->opts.fold_s;
	p->is_pending = true;
}

/* One of the agents' intervals ended, and with it maybe one of rows. */
static void ask(struct publish *p, uint32_t interval)
{
	uint32_t end = fold_of(p, interval + p->opts.interval_s);

	ask_lines(p, interval);
	p->next = interval + p->opts.interval_s;
	if (p->stopping)
		end = fold_of(p, interval) + p->opts.fold_s;
	if (end > p->next_rows || p->stopping)
		ask_panes(p, end);
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
	log_warn("collector: the clock was set back by about %lld s",
		 (long long)((due_us(p, p->next) - now_us) / 1000000));
	p->next = newest_due(p, now_us) + p->opts.interval_s;
	p->next_rows = fold_of(p, p->next);
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
	} else if (!p->lines_asked && !p->stopping && p->tell) {
		ask_lines(p, (uint32_t)(now_us / p->len_us * p->opts.interval_s));
	}
	if (p->lines_asked && lines_done(p))
		take_lines(p, now_us);
	while (!p->done && phase_run(p, now_us))
		p->phase = (p->phase + 1) % PHASES;
	next = p->lines_asked ? now_us + SWAP_US : due_us(p, p->next);
	if (p->phase != PHASE_IDLE && now_us + phase_again_us(p->phase) < next)
		next = now_us + phase_again_us(p->phase);
	return next > now_us ? next : now_us;
}

void publish_leave(struct publish *p)
{
	p->leaving = p->tell = true;
}

unsigned publish_told(const struct publish *p)
{
	return __atomic_load_n(&p->told, __ATOMIC_ACQUIRE);
}

void publish_stop(struct publish *p)
{
	p->stopping = true;
}

bool publish_done(const struct publish *p)
{
	return p->done;
}

/* The rows of one table from number `from` on will not be written. */
static void leave_behind(struct publish *p, const struct fold *f, uint32_t from)
{
	for (uint32_t i = from; i < fold_n(f); i++) {
		fold_get(f, i, &p->encode);
		ledger_of(&p->ledger, p->encode.interval)->lost[LEDGER_LATE_BUS_FULL] += p->encode.stats.rows;
		counters_add(&p->counters.rows_lost, p->encode.stats.rows);
	}
}

/* Neither will its records from `at` on. */
static void leave_records(struct publish *p, const struct records *r, size_t at)
{
	struct records_message m;

	while (records_next(r, &at, &m))
		counters_add(&p->counters.records_lost, 1);
}

/* Of the tables being written, what is not yet. */
static void leave_rest(struct publish *p, unsigned w, const struct worker_pane *pane)
{
	if (p->phase == PHASE_RECORDS && w >= p->worker)
		leave_records(p, &pane->records, w == p->worker ? p->record_at : 0);
	if (p->phase == PHASE_RECORDS || (p->phase == PHASE_ROWS && w >= p->worker))
		leave_behind(p, pane->fold, p->phase == PHASE_ROWS && w == p->worker ? p->row : 0);
}

void publish_give_up(struct publish *p)
{
	bool taken = p->phase != PHASE_IDLE && p->phase != PHASE_SWAP;

	for (unsigned w = 0; w < p->opts.n_workers; w++) {
		struct worker *wk = p->opts.workers[w];

		for (unsigned i = 0; i < 2; i++) {
			const struct worker_pane *pane = &wk->pane[i];

			if (taken && i == swap_given(&wk->pane_swap)) {
				leave_rest(p, w, pane);
				continue;
			}
			phase_take_counts(p, pane->fold);
			leave_behind(p, pane->fold, 0);
			leave_records(p, &pane->records, 0);
		}
	}
	p->phase = PHASE_LEDGER; /* has room of its own on the bus, maybe */
	(void)phase_run(p, p->rows_start_us);
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

void publish_samples(struct publish *p, struct buf *b)
{
	period_samples(&p->period, b);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every thread writes a line per agent and period. Here an agent's lines of all threads are strung together in the order
 * of arrival and read life by life (a life: one boot id; without one, one count from restart to restart):
 *
 *     expected   = greatest number - smallest number + 1, of all lines of the life, whichever thread they are of
 *     came       = sum over lines of what was accepted - doubles, which merging the lines' sets finds (collector/seen.c)
 *     missing    = expected - came; likewise of rows, by sample_pool, the agent's running count of them
 *
 * 1. What is missing more than before is reported as lost, what is missing less as found: a late datagram, or a thread that was
 *    behind when the period ended. lost - found, over all periods, is what is missing, to the datagram and to the row.
 * 2. A loss is a gap between numbers that came. What an agent sent after its last one is known when the next comes; if none
 *    does, the agents' own ledger lines tell (server/health.c). What it sent before the first is known for agents younger
 *    than this collector.
 * 3. A datagram that came and could not be read is not missing; its rows are.
 * 4. Rows lost are known to the row while fewer than 2^32 were sent between two that came.
 * 5. A line of the boot id before the present one is what the network held back: it fills the gaps of that life, and no restart is
 *    counted. Of lives before that nothing is kept.
 * 6. Without boot id, another life is told by the uptime, as in account.c, or by a step beyond the jump. It is not told by the
 *    threads: one may have heard nothing of the former life and the next one nothing of the new one.
 */
#include "collector/tally.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_SEQUENCE 1 /* of a new sub-agent id (wire/build.h); its pool starts at 0 */

int tally_init(struct tally *t, uint32_t max_agents, uint32_t threads, int64_t start_us)
{
	int r = slots_init(&t->slots, max_agents);

	if (r < 0)
		return r;
	t->start_us = start_us;
	t->max_lines = threads;
	t->agents = calloc(max_agents, sizeof(*t->agents));
	t->lines = calloc(threads, sizeof(*t->lines));
	if (!t->agents || !t->lines) {
		tally_deinit(t);
		return -ENOMEM;
	}
	return 0;
}

void tally_deinit(struct tally *t)
{
	slots_deinit(&t->slots);
	free(t->agents);
	free(t->lines);
	t->agents = NULL;
	t->lines = NULL;
}

static struct tally_agent *agent_of(struct tally *t, const struct account_line *line, int64_t now_us)
{
	struct slots_key key = line->key;
	uint32_t slot;
	bool new;

	key.boot = 0;
	slot = slots_take(&t->slots, &key, now_us / 1000000, &new);
	if (slot == SLOTS_NONE)
		return NULL;
	if (new)
		t->agents[slot] = (struct tally_agent){0};
	return &t->agents[slot];
}

void tally_begin(struct tally *t)
{
	t->period++;
	t->n_lines = 0;
}

static struct account_line *line_at(const struct tally *t, uint32_t next, uint32_t next_of)
{
	return next ? &t->lines[next_of]->line[next - 1] : NULL;
}

/* Strings a line to its agent's, behind those that arrived before it. */
static void string(const struct tally *t, struct tally_agent *a, struct account_line *l, uint32_t number, uint32_t of)
{
	uint32_t *next = &a->next, *next_of = &a->next_of;
	struct account_line *at;

	while ((at = line_at(t, *next, *next_of)) && (int32_t)(at->at_ms - l->at_ms) <= 0) {
		next = &at->next;
		next_of = &at->next_of;
	}
	l->next = *next;
	l->next_of = *next_of;
	*next = number + 1;
	*next_of = of;
}

/* Counts of the open period. */
static void note(const struct tally *t, struct tally_agent *a, const struct account_line *l, struct tally_sums *sums)
{
	if (a->period != t->period) {
		a->period = t->period;
		a->period_datagrams = a->period_rows = 0;
		a->interval = 0;
		a->reported = false;
		a->next = 0;
		sums->agents++;
	}
	a->period_datagrams += l->key.boot ? l->datagrams : 0; /* what could not be read is not acknowledged */
	a->period_rows += l->rows;
	a->peer = l->peer;
	if (l->interval > a->interval)
		a->interval = l->interval;
}

void tally_add(struct tally *t, struct account_lines *lines, int64_t now_us, struct tally_sums *sums)
{
	uint32_t of = t->n_lines++;

	t->lines[of] = lines;
	for (uint32_t i = 0; i < lines->n; i++) {
		struct account_line *l = &lines->line[i];
		struct tally_agent *a = agent_of(t, l, now_us);

		sums->datagrams += l->datagrams;
		sums->rows += l->rows;
		sums->late += l->late;
		sums->duplicates += l->duplicates;
		sums->old += l->old;
		sums->unset += l->unset;
		sums->unknown += !a;
		if (!a || !l->datagrams)
			continue;
		note(t, a, l, sums);
		string(t, a, l, i, of);
	}
}

/* The first line of an agent, or of another life of it. One that started after us sent us its very first datagram. */
static void begin(const struct tally *t, struct tally_agent *a, const struct account_line *l, int64_t now_us)
{
	bool young = l->key.boot && now_us - (int64_t)l->uptime_ms * 1000 > t->start_us;
	struct tally_agent is = *a;

	if (a->known)
		is.former = (struct tally_former){a->boot, a->lost, a->lost_rows};
	is.known = true;
	is.drops_known = is.begun = false;
	is.boot = l->key.boot;
	is.first = young && l->first > FIRST_SEQUENCE ? FIRST_SEQUENCE : l->first;
	is.pool_first = young ? 0 : l->pool_first;
	is.last = is.first - 1;
	is.pool_last = is.pool_first;
	is.expected = is.expected_rows = is.datagrams = is.rows = is.lost = is.lost_rows = 0;
	is.seen = (struct seen_known){0};
	*a = is;
}

static bool far(uint32_t from, uint32_t to)
{
	int32_t step = (int32_t)(to - from);

	return step > ACCOUNT_JUMP || step < -ACCOUNT_JUMP;
}

/* One of ours whose records could not be read does not say its boot id, but counts on: its rows are lost, it is not. */
static bool same_life(const struct tally_agent *a, const struct account_line *l)
{
	if (l->key.boot && a->boot)
		return a->boot == l->key.boot && (int32_t)(l->last - a->last) >= -ACCOUNT_JUMP;
	if (!l->key.foreign)
		return true;
	return !far(a->last, l->last) && !account_restarted(l->uptime_ms, l->at_ms, a->uptime_ms, a->at_ms);
}

/* Counts what a line says into the life it is of. */
static void extend(struct tally_agent *a, const struct account_line *l, struct tally_sums *sums)
{
	if (!a->begun && (int32_t)(l->first - a->first) < 0) {
		a->expected += a->first - l->first;
		a->expected_rows += a->pool_first - l->pool_first;
		a->first = l->first;
		a->pool_first = l->pool_first;
	}
	if ((int32_t)(l->last - a->last) > 0) {
		a->expected += l->last - a->last;
		a->expected_rows += l->pool_last - a->pool_last;
		a->last = l->last;
		a->pool_last = l->pool_last;
		if (a->drops_known)
			sums->agent_drops += l->drops - a->drops;
		a->drops = l->drops;
		a->drops_known = true;
		a->uptime_ms = l->uptime_ms;
		a->at_ms = l->at_ms;
	}
	a->begun |= a->last - a->first > ACCOUNT_JUMP;
}

static void report(uint64_t expected, uint64_t got, uint64_t *reported, uint64_t *lost, uint64_t *found)
{
	uint64_t missing = expected > got ? expected - got : 0;

	if (missing > *reported)
		*lost += missing - *reported;
	else
		*found += *reported - missing;
	*reported = missing;
}

/* All lines of one life and period are in: `n` sets of them in t->parts. */
static void settle(struct tally *t, struct tally_agent *a, unsigned n, bool foreign, struct tally_sums *sums)
{
	struct seen_doubles d = seen_merge(&a->seen, t->parts, n);

	sums->doubled_datagrams += d.datagrams;
	sums->doubled_rows += d.rows;
	a->datagrams -= d.datagrams;
	a->rows -= d.rows;
	report(a->expected, a->datagrams, &a->lost, &sums->lost_datagrams, &sums->found_datagrams);
	if (!foreign)
		report(a->expected_rows, a->rows, &a->lost_rows, &sums->lost_rows, &sums->found_rows);
}

static uint64_t take(uint64_t *from, uint64_t n)
{
	uint64_t taken = n < *from ? n : *from;

	*from -= taken;
	return taken;
}

/* Of the life before: true when it was. */
static bool former(struct tally_agent *a, const struct account_line *l, struct tally_sums *sums)
{
	if (!l->key.boot || l->key.boot != a->former.boot || l->key.boot == a->boot)
		return false;
	sums->found_datagrams += take(&a->former.lost, l->datagrams);
	sums->found_rows += take(&a->former.lost_rows, l->rows);
	return true;
}

const struct tally_agent *tally_close(struct tally *t, const struct account_line *line, int64_t now_us,
				      struct tally_sums *sums)
{
	struct tally_agent *a = agent_of(t, line, now_us);
	const struct account_line *l;
	uint32_t of;
	unsigned n = 0;

	if (!a || a->period != t->period || a->reported)
		return NULL;
	a->reported = true;
	of = a->next_of;
	for (l = line_at(t, a->next, of); l; of = l->next_of, l = line_at(t, l->next, of)) {
		bool placed = l->datagrams > l->unplaced;

		if (a->known && former(a, l, sums))
			continue;
		if (placed && (!a->known || !same_life(a, l))) {
			if (a->known)
				settle(t, a, n, l->key.foreign, sums);
			n = 0;
			sums->restarts += a->known;
			begin(t, a, l, now_us);
		}
		if (placed)
			extend(a, l, sums);
		a->boot = l->key.boot ? l->key.boot : a->boot;
		if (!a->known)
			continue;
		a->datagrams += l->datagrams;
		a->rows += l->rows;
		if (n < TALLY_PARTS)
			t->parts[n++] = (struct seen_part){&t->lines[of]->sets, l->set};
	}
	if (!a->known)
		return NULL;
	settle(t, a, n, line->key.foreign, sums);
	return a;
}

const struct tally_agent *tally_agent(const struct tally *t, uint32_t slot, int64_t since_s, uint32_t *ret_sub_agent)
{
	const struct tally_agent *a = &t->agents[slot];

	if (!a->known || t->slots.slot[slot].seen_s < since_s)
		return NULL;
	*ret_sub_agent = t->slots.slot[slot].key.sub_agent;
	return a;
}

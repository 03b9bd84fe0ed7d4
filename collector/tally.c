/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/tally.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_SEQUENCE 1 /* of a new sub-agent id (wire/build.h); its pool starts at 0 */

int tally_init(struct tally *t, uint32_t max_agents, int64_t start_us)
{
	int r = slots_init(&t->slots, max_agents);

	if (r < 0)
		return r;
	t->start_us = start_us;
	t->agents = calloc(max_agents, sizeof(*t->agents));
	if (!t->agents) {
		tally_deinit(t);
		return -ENOMEM;
	}
	return 0;
}

void tally_deinit(struct tally *t)
{
	slots_deinit(&t->slots);
	free(t->agents);
	t->agents = NULL;
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

/* First line of an agent, or of another life of it. One that started after us sent us its very first datagram. */
static void begin(const struct tally *t, struct tally_agent *a, const struct account_line *l, int64_t now_us)
{
	bool young = l->key.boot && now_us - (int64_t)l->uptime_ms * 1000 > t->start_us;

	*a = (struct tally_agent){
		.known = true,
		.boot = l->key.boot,
		.generation = l->generation,
		.first = young && l->first > FIRST_SEQUENCE ? FIRST_SEQUENCE : l->first,
		.pool_first = young ? 0 : l->pool_first,
	};
	a->last = a->first - 1;
	a->pool_last = a->pool_first;
}

/* One of ours whose records could not be read does not say its boot id, but counts on: its rows are lost, it is not. */
static bool same_life(const struct tally_agent *a, const struct account_line *l)
{
	if (!l->key.boot && !l->key.foreign)
		return true;
	return a->boot == l->key.boot && a->generation == l->generation;
}

void tally_begin(struct tally *t)
{
	t->period++;
}

/* Counts of the open period. */
static void note(const struct tally *t, struct tally_agent *a, const struct account_line *l, struct tally_sums *sums)
{
	if (a->period != t->period) {
		a->period = t->period;
		a->period_datagrams = a->period_rows = 0;
		a->interval = 0;
		a->reported = false;
		sums->agents++;
	}
	a->period_datagrams += l->key.boot ? l->datagrams : 0; /* what could not be read is not acknowledged */
	a->period_rows += l->rows;
	a->peer = l->peer;
	if (l->interval > a->interval)
		a->interval = l->interval;
}

void tally_add(struct tally *t, const struct account_line *l, int64_t now_us, struct tally_sums *sums)
{
	struct tally_agent *a = agent_of(t, l, now_us);

	sums->datagrams += l->datagrams;
	sums->rows += l->rows;
	sums->late += l->late;
	sums->duplicates += l->duplicates;
	sums->old += l->old;
	sums->unknown += !a;
	if (!a || !l->datagrams)
		return;
	if (!a->known || !same_life(a, l)) {
		sums->restarts += a->known;
		begin(t, a, l, now_us);
	}
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
	}
	a->begun |= a->last - a->first > ACCOUNT_JUMP;
	a->datagrams += l->datagrams;
	a->rows += l->rows;
	note(t, a, l, sums);
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

const struct tally_agent *tally_close(struct tally *t, const struct account_line *l, int64_t now_us,
				      struct tally_sums *sums)
{
	struct tally_agent *a = agent_of(t, l, now_us);

	if (!a || !a->known || !same_life(a, l) || a->period != t->period || a->reported)
		return NULL;
	a->reported = true;
	report(a->expected, a->datagrams, &a->lost, &sums->lost_datagrams, &sums->found_datagrams);
	if (!l->key.foreign)
		report(a->expected_rows, a->rows, &a->lost_rows, &sums->lost_rows, &sums->found_rows);
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

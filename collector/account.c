/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sequence numbers grow by one a datagram, in each (agent, sub-agent). Each thread has a window (collector/seen.c) up to the
 * greatest it saw, `top`:
 *
 *     step = sequence - top
 *     0 < step <= jump      new; the window slides
 *     -window < step <= 0   late when its bit is clear, else a duplicate
 *     -jump <= step <= -window   too old to tell a late datagram from a duplicate
 *     beyond the jump       astray
 *
 * 1. A too old one is refused: added it could count twice, refused it is one counted loss.
 * 2. One that is astray is refused as well, until another says the same: the second in a row is believed, and the window
 *    begins anew there. A broken or forged number else would move the window so far that the agent's own datagrams
 *    were too old from then on. For the same reason NEAR too old ones in a row, with none in order among them, are believed.
 * 3. Ours carry a boot id, which is part of the key, so a restart is simply another agent. Others have restarted when the uptime
 *    fell and is so small that the agent can have started after we heard it last. How small the sequence
 *    number is does not matter: the first ones of the new count may have gone to another thread. An uptime that stands
 *    still, or wraps after 49 days, does not fall.
 * 4. A sub-agent id of ours is used for one collector and one count (wire/build.h), so who comes back after a change
 *    of collectors is another key here, with a window of its own.
 *
 * Losses are not counted here: any socket may receive any agent, so only all threads together know (collector/tally.c).
 */
#include "collector/account.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FAR 2   /* datagrams in a row beyond the jump that are believed */
#define NEAR 16 /* and behind the window */
#define SETS_LEAST 65536

int account_init(struct account *a, uint32_t max_agents)
{
	int r;

	*a = (struct account){0};
	r = slots_init(&a->slots, max_agents);
	if (r < 0)
		return r;
	a->tracks = calloc(max_agents, sizeof(*a->tracks));
	a->clocks = calloc(max_agents, sizeof(*a->clocks));
	r = a->tracks && a->clocks ? slots_init(&a->clock_slots, max_agents) : -ENOMEM;
	if (r < 0)
		account_deinit(a);
	return r;
}

void account_deinit(struct account *a)
{
	for (uint32_t i = 0; a->clocks && i < a->clock_slots.n; i++)
		clock_clear(&a->clocks[i]);
	clock_clear(&a->nobody);
	slots_deinit(&a->slots);
	slots_deinit(&a->clock_slots);
	free(a->tracks);
	free(a->clocks);
	a->tracks = NULL;
	a->clocks = NULL;
}

/* Memory that is not used costs nothing; used it is for agents that send much in a period. */
static uint32_t sets_of(uint32_t agents)
{
	return agents > SETS_LEAST / 4 ? 4 * agents : SETS_LEAST;
}

int account_lines_init(struct account_lines *l, uint32_t max)
{
	*l = (struct account_lines){.max = max, .serial = 1};
	l->line = calloc(max, sizeof(*l->line));
	return l->line ? seen_sets_init(&l->sets, sets_of(max)) : -ENOMEM;
}

void account_lines_deinit(struct account_lines *l)
{
	free(l->line);
	l->line = NULL;
	seen_sets_deinit(&l->sets);
}

void account_lines_clear(struct account_lines *l)
{
	seen_release(l->line, (size_t)l->n * sizeof(*l->line));
	l->n = 0;
	seen_sets_clear(&l->sets);
}

void account_lines_begin(struct account_lines *l, uint32_t serial)
{
	l->n = 0;
	l->sets.n = 0;
	l->serial = serial;
}

bool account_restarted(uint32_t uptime_ms, uint32_t at_ms, uint32_t before_uptime_ms, uint32_t before_at_ms)
{
	int32_t since = (int32_t)(at_ms - before_at_ms);

	return (int32_t)(before_uptime_ms - uptime_ms) > ACCOUNT_UPTIME &&
	       uptime_ms <= (since > 0 ? (uint32_t)since : 0) + ACCOUNT_UPTIME;
}

static uint32_t at_ms(const struct account_seen *s)
{
	return (uint32_t)(s->at_us / 1000);
}

static void set_top(struct account_track *t, const struct account_seen *s)
{
	t->top = s->sequence;
	t->uptime_ms = s->uptime_ms;
	t->at_ms = at_ms(s);
	seen_note(&t->seen, 0);
}

static void begin(struct account_track *t, const struct account_seen *s)
{
	t->seen = (struct seen){0};
	t->strays = 0;
	t->serial = 0; /* another line */
	set_top(t, s);
}

static enum account_verdict judge(struct account_track *t, const struct account_seen *s)
{
	int32_t step = (int32_t)(s->sequence - t->top);
	uint32_t back = 0u - (uint32_t)step;
	bool far = step > ACCOUNT_JUMP || step < -ACCOUNT_JUMP;

	if (far || step <= -ACCOUNT_WINDOW) {
		if (++t->strays < (far ? FAR : NEAR))
			return ACCOUNT_OLD;
		begin(t, s);
		return ACCOUNT_NEW;
	}
	t->strays = 0;
	if (step > 0) {
		seen_slide(&t->seen, (uint32_t)step);
		set_top(t, s);
		return ACCOUNT_NEW;
	}
	if (seen_has(&t->seen, back))
		return ACCOUNT_DUPLICATE;
	seen_note(&t->seen, back);
	return ACCOUNT_LATE;
}

/* The line of the period, begun when the agent is heard for the first time in it. NULL: no room. */
static struct account_line *line_of(struct account_lines *l, struct account_track *t, const struct account_seen *s)
{
	if (t->serial != l->serial) {
		if (l->n == l->max)
			return NULL;
		t->serial = l->serial;
		t->line = l->n++;
		l->line[t->line] = (struct account_line){.key = s->key};
	}
	return &l->line[t->line];
}

static uint32_t clock_of(struct account *a, const struct account_seen *s, uint32_t before)
{
	struct slots_key key = s->key;
	bool new;
	uint32_t slot;

	key.sub_agent = 0;
	slot = slots_take_again(&a->clock_slots, &key, s->at_us / 1000000, before, &new);
	if (slot != SLOTS_NONE && new)
		clock_clear(&a->clocks[slot]);
	return slot;
}

struct clock_agent *account_clock(struct account *a, const struct account_track *track)
{
	if (track && track->clock != SLOTS_NONE)
		return &a->clocks[track->clock];
	clock_clear(&a->nobody);
	return &a->nobody;
}

const uint32_t *account_ahead(const struct account *a, const struct slots_key *key)
{
	return slots_ahead(&a->slots, key);
}

const struct account_track *account_near(const struct account *a, const uint32_t *ahead)
{
	uint32_t slot = slots_fetch(&a->slots, ahead);

	if (slot == SLOTS_NONE)
		return NULL;
	__builtin_prefetch(&a->tracks[slot]);
	__builtin_prefetch(&a->tracks[slot].source);
	return &a->tracks[slot];
}

void account_nearer(const struct account *a, const struct account_lines *l, const struct account_track *near)
{
	if (near->clock < a->clock_slots.n)
		__builtin_prefetch(&a->clock_slots.slot[near->clock]);
	if (near->serial == l->serial) {
		__builtin_prefetch(&l->line[near->line]);
		__builtin_prefetch(&l->line[near->line].rows);
	}
}

enum account_verdict account_datagram(struct account *a, struct account_lines *l, const struct account_seen *s,
				      struct account_track **ret_track, struct account_line **ret_line)
{
	bool new;
	uint32_t slot = slots_take(&a->slots, &s->key, s->at_us / 1000000, &new);
	enum account_verdict v = ACCOUNT_NEW;
	struct account_track *t;
	struct account_line *line;

	*ret_track = NULL;
	*ret_line = NULL;
	if (slot == SLOTS_NONE)
		return ACCOUNT_FULL;
	t = &a->tracks[slot];
	if (new || (!s->key.boot && account_restarted(s->uptime_ms, at_ms(s), t->uptime_ms, t->at_ms)))
		begin(t, s);
	else
		v = judge(t, s);
	t->clock = clock_of(a, s, t->clock);
	*ret_track = t;
	line = line_of(l, t, s);
	if (!line)
		return v == ACCOUNT_NEW || v == ACCOUNT_LATE ? ACCOUNT_FULL : v;
	*ret_line = line;
	line->peer = s->peer;
	line->late += v == ACCOUNT_LATE;
	line->duplicates += v == ACCOUNT_DUPLICATE;
	line->old += v == ACCOUNT_OLD;
	return v;
}

void account_rows(struct account_lines *l, struct account_line *line, const struct account_seen *s,
		  const struct account_read *read)
{
	bool none = line->datagrams == line->unplaced;

	if (read->placed && (none || (int32_t)(s->sequence - line->first) < 0)) {
		line->first = s->sequence;
		line->pool_first = read->pool - (uint32_t)read->rows;
	}
	if (read->placed && (none || (int32_t)(s->sequence - line->last) >= 0)) {
		line->last = s->sequence;
		line->pool_last = read->pool;
		line->drops = read->drops;
		line->uptime_ms = s->uptime_ms;
	}
	if (read->interval)
		line->interval = read->interval;
	line->at_ms = at_ms(s);
	line->datagrams++;
	line->unplaced += !read->placed;
	line->rows += read->rows;
	line->unset += !seen_add(&l->sets, &line->set, s->sequence, read->rows);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sequence numbers grow by one a datagram, in each (agent, sub-agent). The window is a bitmap of the last
 * ACCOUNT_WINDOW numbers up to the greatest seen, `top`:
 *
 *     step = sequence - top (32-bit serial arithmetic, so a wrap is a step like any other)
 *     step > 0           new; the window slides
 *     -window < step <= 0   late when its bit is clear, else a duplicate
 *     step <= -window    too old to tell a late datagram from a duplicate
 *
 * A too old one is refused: added it could count twice, refused it is one counted loss. Ours carry a boot id, which
 * is part of the key, so a restart is simply another agent, and a step however great is a loss. Others are said to have
 * restarted when their uptime fell and their sequence is small, or when the step is beyond ACCOUNT_JUMP either way:
 * `generation` then grows and the window begins anew. Losses are not counted here: any socket may receive any agent, so
 * only all threads together know.
 */
#include "collector/account.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RESTART_SEQUENCE 64 /* a restarted agent is heard of before it sent more */
#define RESTART_UPTIME 1000 /* ms the uptime must have fallen: more than datagrams overtake each other */

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
	slots_deinit(&a->slots);
	slots_deinit(&a->clock_slots);
	free(a->tracks);
	free(a->clocks);
	a->tracks = NULL;
	a->clocks = NULL;
}

int account_lines_init(struct account_lines *l, uint32_t max)
{
	*l = (struct account_lines){.max = max, .serial = 1};
	l->line = calloc(max, sizeof(*l->line));
	return l->line ? 0 : -ENOMEM;
}

void account_lines_deinit(struct account_lines *l)
{
	free(l->line);
	l->line = NULL;
}

void account_lines_begin(struct account_lines *l, uint32_t serial)
{
	l->n = 0;
	l->serial = serial;
}

static void slide(uint64_t *seen, uint32_t by)
{
	enum { WORDS = ACCOUNT_WINDOW / 64 };
	uint32_t words = by / 64, bits = by % 64;

	if (by >= ACCOUNT_WINDOW) {
		memset(seen, 0, ACCOUNT_WINDOW / 8);
		return;
	}
	for (int i = WORDS - 1; i >= 0; i--) {
		uint64_t v = i >= (int)words ? seen[i - (int)words] << bits : 0;

		if (bits && i > (int)words)
			v |= seen[i - (int)words - 1] >> (64 - bits);
		seen[i] = v;
	}
}

static bool restarted(const struct account_track *t, const struct account_seen *s)
{
	int32_t step = (int32_t)(s->sequence - t->top);

	if (s->key.boot)
		return false;
	if (step > ACCOUNT_JUMP || step < -ACCOUNT_JUMP)
		return true;
	return s->sequence <= RESTART_SEQUENCE && (int32_t)(t->uptime_ms - s->uptime_ms) > RESTART_UPTIME;
}

static void begin(struct account_track *t, const struct account_seen *s)
{
	memset(t->seen, 0, sizeof(t->seen));
	t->seen[0] = 1;
	t->top = s->sequence;
	t->uptime_ms = s->uptime_ms;
}

static enum account_verdict judge(struct account_track *t, const struct account_seen *s)
{
	int32_t step = (int32_t)(s->sequence - t->top);
	uint32_t back = 0u - (uint32_t)step;

	if (step > 0) {
		slide(t->seen, (uint32_t)step);
		t->seen[0] |= 1;
		t->top = s->sequence;
		t->uptime_ms = s->uptime_ms;
		return ACCOUNT_NEW;
	}
	if (back >= ACCOUNT_WINDOW)
		return ACCOUNT_OLD;
	if (t->seen[back / 64] >> back % 64 & 1)
		return ACCOUNT_DUPLICATE;
	t->seen[back / 64] |= 1ull << back % 64;
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
		l->line[t->line] = (struct account_line){.key = s->key, .generation = t->generation};
	}
	return &l->line[t->line];
}

static struct clock_agent *clock_of(struct account *a, const struct account_seen *s, int64_t now_s)
{
	struct slots_key key = s->key;
	bool new;
	uint32_t slot;

	key.sub_agent = 0;
	slot = slots_take(&a->clock_slots, &key, now_s, &new);
	if (slot == SLOTS_NONE) {
		a->nobody = (struct clock_agent){0};
		return &a->nobody;
	}
	if (new)
		a->clocks[slot] = (struct clock_agent){0};
	return &a->clocks[slot];
}

enum account_verdict account_datagram(struct account *a, struct account_lines *l, const struct account_seen *s,
				      int64_t now_s, struct account_track **ret_track, struct account_line **ret_line)
{
	bool new;
	uint32_t slot = slots_take(&a->slots, &s->key, now_s, &new);
	struct account_track *t;
	struct account_line *line;
	enum account_verdict v;

	*ret_track = NULL;
	*ret_line = NULL;
	if (slot == SLOTS_NONE)
		return ACCOUNT_FULL;
	t = &a->tracks[slot];
	if (new) {
		memset(t, 0, sizeof(*t));
		begin(t, s);
		v = ACCOUNT_NEW;
	} else if (restarted(t, s)) {
		t->generation++;
		t->serial = 0;
		begin(t, s);
		v = ACCOUNT_NEW;
	} else {
		v = judge(t, s);
	}
	t->clock = clock_of(a, s, now_s);
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

void account_rows(struct account_line *line, uint32_t sequence, uint32_t uptime_ms, uint32_t pool, uint32_t drops,
		  uint64_t rows, uint32_t interval)
{
	bool none = !line->datagrams;

	if (none || (int32_t)(sequence - line->first) < 0) {
		line->first = sequence;
		line->pool_first = pool - (uint32_t)rows;
	}
	if (none || (int32_t)(sequence - line->last) >= 0) {
		line->last = sequence;
		line->pool_last = pool;
		line->drops = drops;
		line->uptime_ms = uptime_ms;
	}
	if (interval)
		line->interval = interval;
	line->datagrams++;
	line->rows += rows;
}

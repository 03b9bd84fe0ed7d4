/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/sources.h"

#include <errno.h>
#include <stdlib.h>

int sources_init(struct sources *s, uint32_t max)
{
	int r = slots_init(&s->slots, max);

	if (r < 0)
		return r;
	s->at = calloc(max, sizeof(*s->at));
	if (!s->at) {
		sources_deinit(s);
		return -ENOMEM;
	}
	return 0;
}

void sources_deinit(struct sources *s)
{
	slots_deinit(&s->slots);
	free(s->at);
	s->at = NULL;
}

int sources_lines_init(struct sources_lines *l, uint32_t max)
{
	*l = (struct sources_lines){.max = max, .serial = 1};
	l->line = calloc(max, sizeof(*l->line));
	return l->line ? 0 : -ENOMEM;
}

void sources_lines_deinit(struct sources_lines *l)
{
	free(l->line);
	l->line = NULL;
}

void sources_lines_begin(struct sources_lines *l, uint32_t serial)
{
	l->n = 0;
	l->serial = serial;
}

int sources_tally_init(struct sources_tally *t, uint32_t max)
{
	int r = slots_init(&t->slots, max);

	if (r < 0)
		return r;
	t->known = calloc(max, sizeof(*t->known));
	if (!t->known) {
		sources_tally_deinit(t);
		return -ENOMEM;
	}
	return 0;
}

void sources_tally_deinit(struct sources_tally *t)
{
	slots_deinit(&t->slots);
	free(t->known);
	t->known = NULL;
}

uint32_t sources_take(struct sources *s, struct sources_lines *l, const struct slots_key *key, int64_t now_s,
		      uint32_t *slot)
{
	struct sources_at *at;
	bool new;

	*slot = slots_take_again(&s->slots, key, now_s, *slot, &new);
	if (*slot == SLOTS_NONE)
		return SLOTS_NONE;
	at = &s->at[*slot];
	if (new)
		at->serial = 0;
	if (at->serial != l->serial) {
		if (l->n == l->max)
			return SLOTS_NONE;
		at->serial = l->serial;
		at->line = l->n++;
		l->line[at->line] = (struct sources_line){.key = *key};
	}
	return at->line;
}

uint64_t sources_tally_add(struct sources_tally *t, const struct sources_line *l, int64_t now_s)
{
	bool new;
	uint32_t slot = slots_take(&t->slots, &l->key, now_s, &new);
	struct sources_known *k;
	int32_t step, grown;

	if (slot == SLOTS_NONE)
		return 0;
	k = &t->known[slot];
	step = (int32_t)(l->sequence - k->sequence);
	grown = (int32_t)(l->drops - k->drops);
	if (!new &&step < 0 && step > -SOURCES_LATE)
		return 0; /* of another thread, which is behind */
	*k = (struct sources_known){l->sequence, l->drops};
	return new || step < 0 || grown < 0 ? 0 : (uint64_t)grown;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sFlow agents say they lost: every flow sample carries `drops`, how many samples its source (an interface, mostly)
 * could not take so far, for want of room. Per (agent, sub-agent, source) each receive thread notes the newest sample of
 * a period; merged, the growth from period to period is what was lost. Shaped as account.h and tally.h are for datagrams.
 */
#pragma once

#include "collector/slots.h"

#define SOURCES_LATE 65536 /* a sequence that fell by less is one of a thread that is behind, not of a restart */

struct sources_line {
	struct slots_key key;     /* boot: class << 32 | index of the source */
	uint32_t sequence, drops; /* of the newest sample */
	uint64_t samples;
};

/* Lines of one period of one thread; handed over as a whole at the swap. */
struct sources_lines {
	uint32_t max, n;
	uint32_t serial; /* of the period */
	struct sources_line *line;
};

/* One thread's. */
struct sources {
	struct slots slots;
	struct sources_at {
		uint32_t line, serial; /* its line in the period `serial` */
	} * at;
};

/* Of the thread that merges. */
struct sources_tally {
	struct slots slots;
	struct sources_known {
		uint32_t sequence, drops;
	} * known;
};

/* -ENOMEM, -EINVAL. */
int sources_init(struct sources *s, uint32_t max);
void sources_deinit(struct sources *s);
int sources_lines_init(struct sources_lines *l, uint32_t max);
void sources_lines_deinit(struct sources_lines *l);
int sources_tally_init(struct sources_tally *t, uint32_t max);
void sources_tally_deinit(struct sources_tally *t);

/* Begins another period; serial: another number than any period before, not 0. */
void sources_lines_begin(struct sources_lines *l, uint32_t serial);

/* The line of a source in this period. SLOTS_NONE: no room. *slot: which it was before, if that is known; and is now. */
uint32_t sources_take(struct sources *s, struct sources_lines *l, const struct slots_key *key, int64_t now_s,
		      uint32_t *slot);

/* Fetches what will be read of that slot. */
static inline void sources_near(const struct sources *s, uint32_t slot)
{
	if (slot < s->slots.n) {
		__builtin_prefetch(&s->slots.slot[slot]);
		__builtin_prefetch(&s->at[slot]);
	}
}

/* Notes a sample of it. */
static inline void sources_sample(struct sources_lines *l, uint32_t line, uint32_t sequence, uint32_t drops)
{
	struct sources_line *at = &l->line[line];

	if (!at->samples++ || (int32_t)(sequence - at->sequence) >= 0) {
		at->sequence = sequence;
		at->drops = drops;
	}
}

/*
 * How many more were lost than was known. What was lost before the first period a source is heard in is not known, nor
 * what was before a restart (its sequence fell): both count nothing. 0, too, when there is no room for it.
 */
uint64_t sources_tally_add(struct sources_tally *t, const struct sources_line *l, int64_t now_s);

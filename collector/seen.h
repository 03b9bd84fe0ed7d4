/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sequence numbers that came: a window behind the newest one, which judges each datagram, and the set of a period, which
 * lets threads that heard the same agent find out what they took twice. See seen.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEEN_WINDOW 256     /* sequence numbers remembered behind the newest */
#define SEEN_CHUNK 16       /* numbers in a piece of a set */
#define SEEN_KEEP 65536     /* bytes */
#define SEEN_ROWS_MAX 65535 /* rows of one datagram that a set can tell */

/* Bit i: newest - i was seen. */
struct seen {
	uint64_t bits[SEEN_WINDOW / 64];
};

/* The newest is greater by `by` now; it is not noted yet. */
void seen_slide(struct seen *s, uint32_t by);

/* back < SEEN_WINDOW */
static inline bool seen_has(const struct seen *s, uint32_t back)
{
	return s->bits[back / 64] >> back % 64 & 1;
}

static inline void seen_note(struct seen *s, uint32_t back)
{
	s->bits[back / 64] |= 1ull << back % 64;
}

struct seen_chunk {
	uint32_t base;             /* sequence / SEEN_CHUNK */
	uint32_t older;            /* 1 + the next one of this set, its numbers are smaller; 0: none */
	uint16_t bits;             /* i: base * SEEN_CHUNK + i came */
	uint16_t rows[SEEN_CHUNK]; /* with so many rows, or SEEN_ROWS_MAX and more */
};

/* All sets of one thread and period. A set is 1 + its newest chunk, 0 when empty. */
struct seen_sets {
	uint32_t max, n;
	struct seen_chunk *chunk;
};

/* -ENOMEM. */
int seen_sets_init(struct seen_sets *s, uint32_t max);
void seen_sets_deinit(struct seen_sets *s);

/* Empties all; what was used beyond SEEN_KEEP bytes goes back to the system. */
void seen_sets_clear(struct seen_sets *s);

/* Gives whole pages of p[0 .. n) back but the first SEEN_KEEP bytes: what is read there next is zero. */
void seen_release(void *p, size_t n);

/* Adds a number that is in the set not yet and less than SEEN_WINDOW behind the set's newest. False: no room. */
bool seen_add(struct seen_sets *s, uint32_t *set, uint32_t sequence, uint64_t rows);

/* One set among those to be merged. */
struct seen_part {
	const struct seen_sets *sets;
	uint32_t at; /* the set; used up */
};

/* What was known before, of one agent. All zero: nothing. */
struct seen_known {
	struct seen seen;
	uint32_t top;
	bool any;
};

/* How much of the parts came before, or is in more than one of them: datagrams folded more than once, and their rows. */
struct seen_doubles {
	uint64_t datagrams, rows;
};

/* Adds the parts to what is known. */
struct seen_doubles seen_merge(struct seen_known *known, struct seen_part *parts, unsigned n);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each receive thread has its own window per agent and asks nobody. So a duplicate that reaches the thread which had
 * the first one is not folded; one that reaches another thread is. Where can that happen? Sockets that share a port are
 * told apart by (agent, sequence number / 64), or by addresses and ports (collector/steer.c): both send a copy where
 * the first one went. What is left is a copy in another run of datagrams that the kernel had glued together, a copy under
 * another source port with the hash, and choice by CPU.
 *
 * Why not one window for all threads? Threads are not equally far: one may have thousands of datagrams of an agent still in its
 * socket when the other has read newer ones. A common window would have to be as long as all sockets' queues, for each
 * agent, or call what waited too old and refuse it. That is loss instead of a rare duplicate. And a lock or a
 * line of cache that wanders is paid for by every datagram.
 *
 * So what a thread took is noted in sets, a bit and the number of rows a datagram, and the sets of all threads are merged when
 * the period ends, with a window of what came before:
 *
 *     set      chunk -> older chunk -> ...      each SEEN_CHUNK numbers, newest first
 *     merge    the newest chunk of all parts, again and again: bits that are in two, or in the window, were folded twice
 *
 * 1. A datagram is in the set of exactly one thread, once: the thread's window saw to that. So what is in two sets was folded
 *    twice, and nothing else was.
 * 2. The merge finds every double whose copies were taken in the same period, and of those of two periods the ones less than
 *    SEEN_WINDOW behind the newest of the former. Not: a copy that comes a period later and further behind than that.
 * 3. Sums that were folded cannot be taken back. Doubles are counted, datagrams and rows, so that sent + doubled = folded +
 *    lost, to the row. Without them a double would hide a loss: the count of what came would be right by chance.
 * 4. Chunks that find no room (SEEN sets are bounded) are taken as distinct, and counted by the caller.
 *
 * A window: step = sequence - top, in 32-bit serial arithmetic, so a wrap is a step like any other.
 */
#include "collector/seen.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BASE_SHIFT 4
#define LOOK (SEEN_WINDOW / SEEN_CHUNK + 2) /* chunks a number less than a window behind can be away */

static_assert(1 << BASE_SHIFT == SEEN_CHUNK && sizeof(struct seen_chunk) == 44, "a chunk as it is described");

void seen_slide(struct seen *s, uint32_t by)
{
	enum { WORDS = SEEN_WINDOW / 64 };
	uint32_t words = by / 64, bits = by % 64;

	if (by >= SEEN_WINDOW) {
		memset(s, 0, sizeof(*s));
		return;
	}
	for (int i = WORDS - 1; i >= 0; i--) {
		uint64_t v = i >= (int)words ? s->bits[i - (int)words] << bits : 0;

		if (bits && i > (int)words)
			v |= s->bits[i - (int)words - 1] >> (64 - bits);
		s->bits[i] = v;
	}
}

int seen_sets_init(struct seen_sets *s, uint32_t max)
{
	*s = (struct seen_sets){.max = max};
	s->chunk = calloc(max, sizeof(*s->chunk));
	return s->chunk ? 0 : -ENOMEM;
}

void seen_sets_deinit(struct seen_sets *s)
{
	free(s->chunk);
	*s = (struct seen_sets){0};
}

void seen_release(void *p, size_t n)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), end = ((uintptr_t)p + n) & ~(page - 1);
	uintptr_t from = ((uintptr_t)p + SEEN_KEEP + page - 1) & ~(page - 1);

	if (p && from < end)
		(void)madvise((void *)from, end - from, MADV_DONTNEED);
}

void seen_sets_clear(struct seen_sets *s)
{
	seen_release(s->chunk, (size_t)s->n * sizeof(*s->chunk));
	s->n = 0;
}

/* a - b of two chunks' bases, which have 32 - BASE_SHIFT bits. */
static int32_t base_step(uint32_t a, uint32_t b)
{
	return (int32_t)((a - b) << BASE_SHIFT);
}

bool seen_add(struct seen_sets *s, uint32_t *set, uint32_t sequence, uint64_t rows)
{
	uint32_t base = sequence >> BASE_SHIFT, bit = sequence % SEEN_CHUNK;
	uint32_t *link = set;
	struct seen_chunk *c;

	for (unsigned i = 0; i < LOOK && *link && base_step(s->chunk[*link - 1].base, base) > 0; i++)
		link = &s->chunk[*link - 1].older;
	if (!*link || s->chunk[*link - 1].base != base) {
		if (s->n == s->max || (*link && base_step(s->chunk[*link - 1].base, base) > 0))
			return false;
		s->chunk[s->n] = (struct seen_chunk){.base = base, .older = *link};
		*link = ++s->n;
	}
	c = &s->chunk[*link - 1];
	c->bits |= (uint16_t)(1u << bit);
	c->rows[bit] = rows > SEEN_ROWS_MAX ? SEEN_ROWS_MAX : (uint16_t)rows;
	return true;
}

/* One number of a chunk that is in `copies` parts with `rows` rows altogether, `most` in one of them. */
static void merge_number(struct seen_known *k, uint32_t sequence, unsigned copies, uint32_t rows, uint32_t most,
			 struct seen_doubles *ret)
{
	uint32_t back = k->top - sequence;

	if (back < SEEN_WINDOW && seen_has(&k->seen, back)) {
		ret->datagrams += copies;
		ret->rows += rows;
		return;
	}
	if (back < SEEN_WINDOW)
		seen_note(&k->seen, back);
	ret->datagrams += copies - 1;
	ret->rows += rows - most;
}

/* All parts' chunks of one base; the parts go on to their next one. */
static void merge_base(struct seen_known *k, struct seen_part *parts, unsigned n, uint32_t base,
		       struct seen_doubles *ret)
{
	uint32_t rows[SEEN_CHUNK] = {0}, most[SEEN_CHUNK] = {0};
	unsigned copies[SEEN_CHUNK] = {0};
	uint32_t any = 0, twice = 0;

	for (unsigned p = 0; p < n; p++) {
		const struct seen_chunk *c = parts[p].at ? &parts[p].sets->chunk[parts[p].at - 1] : NULL;

		if (!c || c->base != base)
			continue;
		parts[p].at = c->older;
		twice |= any & c->bits;
		any |= c->bits;
		for (unsigned i = 0; i < SEEN_CHUNK; i++) {
			if (!(c->bits >> i & 1))
				continue;
			copies[i]++;
			rows[i] += c->rows[i];
			most[i] = c->rows[i] > most[i] ? c->rows[i] : most[i];
		}
	}
	if (!twice && k->top - (base << BASE_SHIFT) >= SEEN_WINDOW + SEEN_CHUNK)
		return; /* behind all that is remembered */
	for (unsigned i = 0; i < SEEN_CHUNK; i++) {
		if (any >> i & 1)
			merge_number(k, (base << BASE_SHIFT) + i, copies[i], rows[i], most[i], ret);
	}
}

/* The newest base of all parts. False: no more. */
static bool newest_base(const struct seen_part *parts, unsigned n, uint32_t *ret)
{
	bool any = false;

	for (unsigned p = 0; p < n; p++) {
		const struct seen_chunk *c = parts[p].at ? &parts[p].sets->chunk[parts[p].at - 1] : NULL;

		if (c && (!any || base_step(c->base, *ret) > 0)) {
			*ret = c->base;
			any = true;
		}
	}
	return any;
}

struct seen_doubles seen_merge(struct seen_known *known, struct seen_part *parts, unsigned n)
{
	struct seen_doubles ret = {0};
	uint32_t base, end;

	if (!newest_base(parts, n, &base))
		return ret;
	end = (base << BASE_SHIFT) + SEEN_CHUNK - 1;
	if (!known->any)
		*known = (struct seen_known){.top = end, .any = true};
	if ((int32_t)(end - known->top) > 0) {
		seen_slide(&known->seen, end - known->top);
		known->top = end;
	}
	do {
		merge_base(known, parts, n, base, &ret);
	} while (newest_base(parts, n, &base));
	return ret;
}

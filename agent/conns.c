/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/conns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static_assert(sizeof(struct conn) == 184, "a connection's memory is promised: 200 bytes with its index");

/* index: 0 = free, else place + 1. Linear probing, deletion by moving back (no tombstones). */
struct conns {
	struct conn *at;
	uint32_t *index;
	uint32_t *gaps; /* free places below `places`, last one out first */
	size_t mask, n, n_gaps, places, max;
};

/* Pages come when touched. */
static void *reserve(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int conns_new(struct conns **ret, uint32_t max)
{
	struct conns *c = calloc(1, sizeof(*c));
	size_t slots = 1024;

	if (!c)
		return -ENOMEM;
	while (slots < (size_t)max * 3 / 2)
		slots *= 2;
	c->max = max;
	c->mask = slots - 1;
	c->at = reserve(max * sizeof(*c->at));
	c->index = reserve(slots * sizeof(*c->index));
	c->gaps = reserve(max * sizeof(*c->gaps));
	if (!c->at || !c->index || !c->gaps) {
		conns_free(c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

void conns_free(struct conns *c)
{
	if (!c)
		return;
	if (c->at)
		munmap(c->at, c->max * sizeof(*c->at));
	if (c->index)
		munmap(c->index, (c->mask + 1) * sizeof(*c->index));
	if (c->gaps)
		munmap(c->gaps, c->max * sizeof(*c->gaps));
	free(c);
}

/* Ids are times: nearly sorted, so the low bits would do; a multiplication spreads bursts and CPUs. */
static size_t slot_of(const struct conns *c, uint64_t id)
{
	return (size_t)(id * 0x9E3779B97F4A7C15ULL >> 32) & c->mask;
}

static size_t slot_find(const struct conns *c, uint64_t id)
{
	size_t i = slot_of(c, id);

	while (c->index[i] && c->at[c->index[i] - 1].id != id)
		i = (i + 1) & c->mask;
	return i;
}

struct conn *conns_find(struct conns *c, uint64_t id)
{
	size_t i = slot_find(c, id);

	return c->index[i] ? &c->at[c->index[i] - 1] : NULL;
}

void conns_expect(const struct conns *c, uint64_t later, uint64_t sooner)
{
	uint32_t place = c->index[slot_of(c, sooner)];
	const char *at = (const char *)&c->at[place ? place - 1 : 0];

	__builtin_prefetch(&c->index[slot_of(c, later)]);
	__builtin_prefetch(at);
	__builtin_prefetch(at + 64);
	__builtin_prefetch(at + 128);
}

struct conn *conns_add(struct conns *c, uint64_t id)
{
	size_t i = slot_find(c, id), place;

	assert(id && !c->index[i]);
	if (c->n == c->max)
		return NULL;
	place = c->n_gaps ? c->gaps[--c->n_gaps] : c->places++;
	c->n++;
	c->index[i] = (uint32_t)place + 1;
	memset(&c->at[place], 0, sizeof(c->at[place]));
	c->at[place].id = id;
	return &c->at[place];
}

void conns_remove(struct conns *c, struct conn *conn)
{
	size_t hole = slot_find(c, conn->id), i;

	assert(c->index[hole]);
	c->gaps[c->n_gaps++] = c->index[hole] - 1;
	c->n--;
	for (i = (hole + 1) & c->mask; c->index[i]; i = (i + 1) & c->mask) {
		size_t home = slot_of(c, c->at[c->index[i] - 1].id);

		if (((i - home) & c->mask) >= ((i - hole) & c->mask)) {
			c->index[hole] = c->index[i];
			hole = i;
		}
	}
	c->index[hole] = 0;
	conn->id = 0;
	if (!c->n) /* all gone: start over at the front, where memory is already ours */
		c->n_gaps = c->places = 0;
}

size_t conns_count(const struct conns *c)
{
	return c->n;
}

size_t conns_room(const struct conns *c)
{
	return c->max - c->n;
}

size_t conns_places(const struct conns *c)
{
	return c->places;
}

struct conn *conns_at(struct conns *c, size_t i)
{
	return c->at[i].id ? &c->at[i] : NULL;
}

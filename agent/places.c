/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/places.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct places {
	uint64_t *at;
	size_t n, room, max;
	const struct sky_log *log;
	struct reader {
		uint64_t n, torn;
	} * read; /* by ring */
	unsigned rings;
};

int places_new(struct places **ret, size_t max)
{
	struct places *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->max = max;
	*ret = p;
	return 0;
}

void places_free(struct places *p)
{
	if (!p)
		return;
	if (p->log)
		munmap((void *)p->log, p->rings * sizeof(*p->log));
	free(p->at);
	free(p->read);
	free(p);
}

size_t places_count(const struct places *p)
{
	return p->n;
}

uint64_t places_at(const struct places *p, size_t i)
{
	assert(i < p->n);
	return p->at[i];
}

static bool places_grow(struct places *p)
{
	size_t room = p->room ? p->room * 2 : 64;
	uint64_t *at;

	if (p->n == p->max)
		return false;
	room = room < p->max ? room : p->max;
	at = realloc(p->at, room * sizeof(*at));
	if (!at)
		return false;
	p->at = at;
	p->room = room;
	return true;
}

bool places_add(struct places *p, uint64_t at)
{
	if (p->n == p->room && !places_grow(p))
		return false;
	p->at[p->n++] = at;
	return true;
}

void places_cut(struct places *p, size_t n)
{
	assert(n <= p->n);
	p->n -= n;
	memmove(p->at, p->at + n, p->n * sizeof(*p->at));
}

int places_open_log(struct places *p, int map_fd, unsigned rings)
{
	void *log = mmap(NULL, rings * sizeof(*p->log), PROT_READ, MAP_SHARED, map_fd, 0);

	if (log == MAP_FAILED)
		return -errno;
	p->read = calloc(rings, sizeof(*p->read));
	if (!p->read) {
		munmap(log, rings * sizeof(*p->log));
		return -ENOMEM;
	}
	p->log = log;
	p->rings = rings;
	return 0;
}

static uint64_t get(const __u64 *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* Of a full ring the oldest line may be the one that is being written: `n` grows afterwards. */
static bool ring_lost(const struct places *p, unsigned ring)
{
	return get(&p->log[ring].n) - p->read[ring].n >= SKY_LOG_LINES || get(&p->log[ring].torn) != p->read[ring].torn;
}

bool places_log_lost(const struct places *p)
{
	for (unsigned i = 0; i < p->rings; i++)
		if (ring_lost(p, i))
			return true;
	return false;
}

uint64_t places_unread(const struct places *p)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < p->rings; i++)
		n += get(&p->log[i].n) - p->read[i].n;
	return n;
}

void places_skip_log(struct places *p)
{
	for (unsigned i = 0; i < p->rings; i++) {
		p->read[i].torn = get(&p->log[i].torn);
		p->read[i].n = get(&p->log[i].n);
	}
}

/* A line overwritten while it was read shows afterwards. */
bool places_read_log(struct places *p, void (*line)(void *arg, uint64_t line), void *arg)
{
	bool whole = true;

	for (unsigned i = 0; i < p->rings; i++) {
		uint64_t n = get(&p->log[i].n), at = p->read[i].n;

		if (n - at > SKY_LOG_LINES)
			at = n - SKY_LOG_LINES;
		for (; at != n; at++) {
			uint64_t l = get(&p->log[i].line[at % SKY_LOG_LINES]);

			if ((l & SKY_LOG_LAP) == sky_log_lap(at))
				line(arg, l & ~(uint64_t)SKY_LOG_LAP);
			else
				whole = false; /* not there yet, or overwritten */
		}
		whole &= !ring_lost(p, i);
		p->read[i].n = n;
		p->read[i].torn = get(&p->log[i].torn);
	}
	return whole;
}

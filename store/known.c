/* SPDX-License-Identifier: Apache-2.0 */
#include "store/known.h"

#include <errno.h>
#include <stdlib.h>

/* id -> day, open addressing, linear; id 0 marks a free slot, edge 0 has a place of its own. */
struct known_slot {
	uint64_t edge;
	uint32_t day;
};

struct known {
	struct known_slot *slots, *pending;
	size_t cap, n, n_pending, cap_pending;
	bool has_zero;
	uint32_t zero_day;
};

static struct known_slot *known_slot(struct known_slot *slots, size_t cap, uint64_t edge)
{
	size_t i = edge & (cap - 1);

	while (slots[i].edge && slots[i].edge != edge)
		i = (i + 1) & (cap - 1);
	return &slots[i];
}

static int known_reserve(struct known *k, size_t n)
{
	size_t cap = k->cap ? k->cap : 1024;
	struct known_slot *slots;

	while (n * 4 > cap * 3)
		cap *= 2;
	if (cap == k->cap)
		return 0;
	slots = calloc(cap, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < k->cap; i++)
		if (k->slots[i].edge)
			*known_slot(slots, cap, k->slots[i].edge) = k->slots[i];
	free(k->slots);
	k->slots = slots;
	k->cap = cap;
	return 0;
}

struct known *known_new(void)
{
	struct known *k = calloc(1, sizeof(*k));

	if (k && known_reserve(k, 1)) {
		free(k);
		return NULL;
	}
	return k;
}

void known_free(struct known *k)
{
	if (!k)
		return;
	free(k->slots);
	free(k->pending);
	free(k);
}

void known_clear(struct known *k)
{
	for (size_t i = 0; i < k->cap; i++)
		k->slots[i] = (struct known_slot){0};
	k->n = 0;
	k->has_zero = false;
}

int known_set(struct known *k, uint64_t edge, uint32_t day)
{
	struct known_slot *s;
	int r;

	if (!edge) {
		k->has_zero = true;
		k->zero_day = day;
		return 0;
	}
	r = known_reserve(k, k->n + 1);
	if (r)
		return r;
	s = known_slot(k->slots, k->cap, edge);
	k->n += !s->edge;
	*s = (struct known_slot){edge, day};
	return 0;
}

bool known_has(const struct known *k, uint64_t edge, uint32_t day)
{
	const struct known_slot *s;

	if (!edge)
		return k->has_zero && k->zero_day >= day;
	s = known_slot(k->slots, k->cap, edge);
	return s->edge && s->day >= day;
}

bool known_pending(const struct known *k, uint64_t edge, uint32_t day)
{
	/* Twice costs little. */
	for (size_t i = k->n_pending; i-- > 0 && k->n_pending - i <= 64;)
		if (k->pending[i].edge == edge && k->pending[i].day >= day)
			return true;
	return false;
}

int known_note(struct known *k, uint64_t edge, uint32_t day)
{
	if (k->n_pending == k->cap_pending) {
		size_t cap = k->cap_pending ? k->cap_pending * 2 : 256;
		struct known_slot *p = realloc(k->pending, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		k->pending = p;
		k->cap_pending = cap;
	}
	k->pending[k->n_pending++] = (struct known_slot){edge, day};
	return 0;
}

int known_commit(struct known *k)
{
	int r = 0;

	for (size_t i = 0; !r && i < k->n_pending; i++)
		if (!known_has(k, k->pending[i].edge, k->pending[i].day))
			r = known_set(k, k->pending[i].edge, k->pending[i].day);
	k->n_pending = 0;
	return r;
}

void known_abort(struct known *k)
{
	k->n_pending = 0;
}

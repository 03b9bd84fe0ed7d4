/* SPDX-License-Identifier: Apache-2.0 */
#include "store/entries.h"

#include <stdlib.h>

#include "base/hash.h"

static uint64_t key_hash(const struct key *k)
{
	uint64_t h = hash64_seed(&k->client, sizeof(k->client) * 2, k->id);

	return k->scope.n ? hash64_seed(k->scope.p, k->scope.n, h) : h;
}

static bool key_eq(const struct key *a, const struct key *b)
{
	return a->id == b->id && ip_eq(&a->client, &b->client) && ip_eq(&a->server, &b->server) &&
	       str_eq(a->scope, b->scope);
}

static bool entries_grow(struct entries *e)
{
	size_t n_slots = e->n_slots ? e->n_slots * 2 : 1024;
	uint32_t *slots = calloc(n_slots, sizeof(*slots));
	struct entry *v = realloc(e->v, n_slots / 2 * sizeof(*v));

	if (v)
		e->v = v;
	if (!slots || !v) {
		free(slots);
		return false;
	}
	for (size_t i = 0; i < e->n; i++) {
		size_t at = key_hash(&v[i].key) & (n_slots - 1);

		while (slots[at])
			at = (at + 1) & (n_slots - 1);
		slots[at] = (uint32_t)i + 1;
	}
	free(e->slots);
	e->slots = slots;
	e->n_slots = n_slots;
	e->cap = n_slots / 2;
	return true;
}

struct entry *entries_get(struct entries *e, const struct key *k, bool add)
{
	size_t at;

	if (e->n == e->cap && !entries_grow(e))
		return NULL;
	for (at = key_hash(k) & (e->n_slots - 1); e->slots[at]; at = (at + 1) & (e->n_slots - 1))
		if (key_eq(&e->v[e->slots[at] - 1].key, k))
			return &e->v[e->slots[at] - 1];
	if (!add)
		return NULL;
	e->v[e->n] = (struct entry){.key = *k};
	e->slots[at] = (uint32_t)++e->n;
	return &e->v[e->n - 1];
}

void entries_deinit(struct entries *e)
{
	free(e->v);
	free(e->slots);
	*e = (struct entries){0};
}

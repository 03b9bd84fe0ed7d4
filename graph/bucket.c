/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/bucket.h"

#include <errno.h>
#include <stdlib.h>

#define CHUNK (64u << 10)

struct bucket_chunk {
	struct bucket_chunk *next;
	size_t used, size;
	_Alignas(16) char data[];
};

struct bucket *bucket_new(uint32_t interval, uint16_t interval_s, int64_t first)
{
	struct bucket *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->interval = interval;
	b->interval_s = interval_s;
	b->first = first;
	b->last = &b->entries;
	return b;
}

void bucket_free(struct bucket *b)
{
	if (!b)
		return;
	while (b->chunks) {
		struct bucket_chunk *c = b->chunks;

		b->chunks = c->next;
		free(c);
	}
	free(b->hash);
	free(b);
}

void *bucket_alloc(struct bucket *b, size_t n)
{
	struct bucket_chunk *c = b->chunks;
	size_t size;
	void *p;

	n = (n + 15) & ~(size_t)15;
	if (!c || c->size - c->used < n) {
		/* small beginnings: most late buckets hold a row or two */
		size = c ? CHUNK : 4096;
		size = n > size ? n : size;
		c = calloc(1, sizeof(*c) + size);
		if (!c)
			return NULL;
		c->size = size;
		c->next = b->chunks;
		b->chunks = c;
	}
	p = c->data + c->used;
	c->used += n;
	return p;
}

int bucket_str(struct bucket *b, struct str s, struct str *ret)
{
	char *p = s.n ? bucket_alloc(b, s.n) : NULL;

	if (s.n && !p)
		return -ENOMEM;
	if (s.n)
		memcpy(p, s.p, s.n);
	*ret = (struct str){p, s.n};
	return 0;
}

struct bucket_entry *bucket_find(const struct bucket *b, uint64_t hash,
				 bool (*eq)(const struct bucket_entry *e, const void *key), const void *key)
{
	if (!b->n_hash)
		return NULL;
	for (struct bucket_entry *e = b->hash[hash & (b->n_hash - 1)]; e; e = e->next_hash) {
		if (e->hash == hash && eq(e, key))
			return e;
	}
	return NULL;
}

static int bucket_grow(struct bucket *b)
{
	size_t n = b->n_hash ? b->n_hash * 2 : 16;
	struct bucket_entry **hash = calloc(n, sizeof(struct bucket_entry *));

	if (!hash)
		return b->n_hash ? 0 : -ENOMEM; /* longer chains will do */
	for (struct bucket_entry *e = b->entries; e; e = e->next) {
		e->next_hash = hash[e->hash & (n - 1)];
		hash[e->hash & (n - 1)] = e;
	}
	free(b->hash);
	b->hash = hash;
	b->n_hash = n;
	return 0;
}

int bucket_add(struct bucket *b, struct bucket_entry *e, uint64_t hash)
{
	if (b->n >= b->n_hash && bucket_grow(b) < 0)
		return -ENOMEM;
	e->hash = hash;
	e->next = NULL;
	*b->last = e;
	b->last = &e->next;
	e->next_hash = b->hash[hash & (b->n_hash - 1)];
	b->hash[hash & (b->n_hash - 1)] = e;
	b->n++;
	b->held++;
	return 0;
}

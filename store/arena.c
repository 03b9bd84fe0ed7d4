/* SPDX-License-Identifier: Apache-2.0 */
#include "store/arena.h"

#include <stdlib.h>

#define ARENA_SIZE 16384

bool arena_copy(struct store_arena **a, struct str s, struct str *ret)
{
	struct store_arena *c = *a;

	if (!s.n) {
		*ret = (struct str){0};
		return true;
	}
	if (!c || c->size - c->used < s.n) {
		size_t size = s.n > ARENA_SIZE ? s.n : ARENA_SIZE;

		c = malloc(sizeof(*c) + size);
		if (!c)
			return false;
		*c = (struct store_arena){.next = *a, .size = size};
		*a = c;
	}
	memcpy(c->text + c->used, s.p, s.n);
	*ret = (struct str){c->text + c->used, s.n};
	c->used += s.n;
	return true;
}

void arena_free(struct store_arena *a)
{
	while (a) {
		struct store_arena *next = a->next;

		free(a);
		a = next;
	}
}

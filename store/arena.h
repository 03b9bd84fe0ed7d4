/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that live as long as an answer. */
#pragma once

#include <stdbool.h>

#include "base/str.h"

struct store_arena {
	struct store_arena *next;
	size_t used, size;
	char text[];
};

/* A copy of s in the arena. False: no memory. */
bool arena_copy(struct store_arena **a, struct str s, struct str *ret);
void arena_free(struct store_arena *a);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strings and names by number, for the life of a fold table. All memory is mapped once; pages come when they are used.
 */
#pragma once

#include "base/hash.h"
#include "collector/index.h"
#include "flow/key.h"

#define TEXTS_MAX (2 * FLOW_NAME_MAX) /* bytes of a string that count */
#define TEXTS_NAMES 6                 /* strings in names */

/* Who measured, and where the addresses belong: one number for all of it. */
struct texts_names {
	struct hash128 hash;
	uint32_t net, scope, string[TEXTS_NAMES], quality;
};

struct texts_string {
	uint32_t at, n;
};

struct texts {
	uint64_t seed;
	struct index strings_index, names_index;
	struct texts_string *strings;
	struct texts_names *names;
	char *bytes;
	uint32_t max_strings, max_names, max_bytes;
	uint32_t n_strings, n_names, n_bytes;
};

int texts_init(struct texts *t, uint32_t max_strings, uint32_t max_names, uint32_t max_bytes);
void texts_deinit(struct texts *t); /* zeros are fine */
void texts_clear(struct texts *t);

/* Number of a string; "" is 0. -ENOSPC. */
int texts_string(struct texts *t, struct str s, uint32_t *ret);

/*
 * Number of names with a net and a scope, which are strings. -ENOSPC. In three steps, each of which fetches what the next one needs:
 * who has several to look up does each step for all of them.
 */
struct texts_wanted {
	struct hash128 hash;
	uint32_t net, scope;
	struct flow_names names;
};

void texts_want(const struct texts *t, uint32_t net, uint32_t scope, const struct flow_names *n,
		struct texts_wanted *ret);
void texts_fetch(const struct texts *t, const struct texts_wanted *w);
int texts_names(struct texts *t, const struct texts_wanted *w, uint32_t *ret);

/* The way back. Texts live until texts_clear(). */
struct str texts_get(const struct texts *t, uint32_t string);
void texts_get_names(const struct texts *t, uint32_t names, struct flow_names *ret, struct str *ret_net,
		     struct str *ret_scope);

/* Memory when all is full, and now. */
size_t texts_bytes(uint32_t max_strings, uint32_t max_names, uint32_t max_bytes);
size_t texts_used(const struct texts *t);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each datagram brings its names along, a few of them for its few rows, so looking names up is as hot as the rows themselves.
 * Comparing a handful of strings that lie anywhere costs more than folding the row they belong to. So names are known by 128 bits
 * of a hash of all they say: two lines of memory, whatever is in them. Its seed is drawn at the start and told to nobody, so two
 * that are alike can be met by chance only, and that does not happen: 10^12 names have one such pair with a chance of 10^-15.
 * Only names that are new have their strings looked up.
 */
#include "collector/texts.h"

#include <assert.h>
#include <sys/random.h>

#define NAMES_OF(n) &(n)->service, &(n)->process, &(n)->unit, &(n)->container, &(n)->pod, &(n)->via

int texts_init(struct texts *t, uint32_t max_strings, uint32_t max_names, uint32_t max_bytes)
{
	int r;

	*t = (struct texts){.max_strings = max_strings, .max_names = max_names, .max_bytes = max_bytes};
	if (getrandom(&t->seed, sizeof(t->seed), GRND_NONBLOCK) < 0)
		t->seed = (uint64_t)(uintptr_t)t;
	t->strings = pages_map((size_t)max_strings * sizeof(*t->strings));
	t->names = pages_map((size_t)max_names * sizeof(*t->names));
	t->bytes = pages_map(max_bytes);
	r = index_init(&t->strings_index, max_strings);
	r = index_init(&t->names_index, max_names) < 0 ? -ENOMEM : r;
	if (!r && t->strings && t->names && t->bytes)
		return 0;
	texts_deinit(t);
	return -ENOMEM;
}

void texts_deinit(struct texts *t)
{
	index_deinit(&t->strings_index);
	index_deinit(&t->names_index);
	pages_unmap(t->strings, (size_t)t->max_strings * sizeof(*t->strings));
	pages_unmap(t->names, (size_t)t->max_names * sizeof(*t->names));
	pages_unmap(t->bytes, t->max_bytes);
	*t = (struct texts){0};
}

void texts_clear(struct texts *t)
{
	index_clear(&t->strings_index);
	index_clear(&t->names_index);
	t->n_strings = t->n_names = t->n_bytes = 0;
}

int texts_string(struct texts *t, struct str s, uint32_t *ret)
{
	uint64_t hash;
	uint32_t at, i;

	if (s.n > TEXTS_MAX)
		s.n = TEXTS_MAX;
	if (!s.n) {
		*ret = 0;
		return 0;
	}
	hash = hash64(s.p, s.n);
	for (at = index_start(hash); (i = index_next(&t->strings_index, hash, &at)); at++) {
		const struct texts_string *have = &t->strings[i - 1];

		if (have->n == s.n && !memcmp(t->bytes + have->at, s.p, s.n)) {
			*ret = i;
			return 0;
		}
	}
	if (t->n_strings == t->max_strings || s.n > t->max_bytes - t->n_bytes)
		return -ENOSPC;
	memcpy(t->bytes + t->n_bytes, s.p, s.n);
	t->strings[t->n_strings] = (struct texts_string){t->n_bytes, (uint32_t)s.n};
	t->n_bytes += (uint32_t)s.n;
	index_put(&t->strings_index, hash, at, t->n_strings++);
	*ret = t->n_strings;
	return 0;
}

/* What names are told apart by. */
static struct hash128 hash_names(const struct texts *t, uint32_t net, uint32_t scope, const struct flow_names *n)
{
	const struct str *from[TEXTS_NAMES] = {NAMES_OF(n)};
	struct {
		uint32_t net, scope, quality;
		uint16_t len[TEXTS_NAMES];
		char text[TEXTS_NAMES * TEXTS_MAX];
	} all;
	char *p = all.text;

	all.net = net;
	all.scope = scope;
	all.quality = n->quality;
	for (unsigned k = 0; k < TEXTS_NAMES; k++) {
		all.len[k] = (uint16_t)(from[k]->n < TEXTS_MAX ? from[k]->n : TEXTS_MAX);
		if (all.len[k])
			memcpy(p, from[k]->p, all.len[k]);
		p += all.len[k];
	}
	return hash128_seed(&all, (size_t)(p - (char *)&all), t->seed);
}

static int new_names(struct texts *t, const struct texts_wanted *w)
{
	const struct str *from[TEXTS_NAMES] = {NAMES_OF(&w->names)};
	struct texts_names want = {.hash = w->hash, .net = w->net, .scope = w->scope, .quality = w->names.quality};

	for (unsigned k = 0; k < TEXTS_NAMES; k++) {
		int r = texts_string(t, *from[k], &want.string[k]);

		if (r < 0)
			return r;
	}
	if (t->n_names == t->max_names)
		return -ENOSPC;
	t->names[t->n_names++] = want;
	return 0;
}

void texts_want(const struct texts *t, uint32_t net, uint32_t scope, const struct flow_names *n,
		struct texts_wanted *ret)
{
	*ret = (struct texts_wanted){hash_names(t, net, scope, n), net, scope, *n};
	index_prefetch(&t->names_index, ret->hash.v[0]);
}

void texts_fetch(const struct texts *t, const struct texts_wanted *w)
{
	uint32_t at = index_start(w->hash.v[0]), i = index_next(&t->names_index, w->hash.v[0], &at);

	if (i)
		__builtin_prefetch(&t->names[i - 1]);
}

int texts_names(struct texts *t, const struct texts_wanted *w, uint32_t *ret)
{
	uint32_t at, i;
	int r;

	for (at = index_start(w->hash.v[0]); (i = index_next(&t->names_index, w->hash.v[0], &at)); at++) {
		if (!memcmp(&t->names[i - 1].hash, &w->hash, sizeof(w->hash))) {
			*ret = i - 1;
			return 0;
		}
	}
	r = new_names(t, w);
	if (r < 0)
		return r;
	*ret = t->n_names - 1;
	index_put(&t->names_index, w->hash.v[0], at, *ret);
	return 0;
}

struct str texts_get(const struct texts *t, uint32_t string)
{
	return string ? (struct str){t->bytes + t->strings[string - 1].at, t->strings[string - 1].n}
		      : (struct str){NULL, 0};
}

void texts_get_names(const struct texts *t, uint32_t names, struct flow_names *ret, struct str *ret_net,
		     struct str *ret_scope)
{
	const struct texts_names *n = &t->names[names];

	assert(names < t->n_names);
	*ret = (struct flow_names){
		.service = texts_get(t, n->string[0]),
		.process = texts_get(t, n->string[1]),
		.unit = texts_get(t, n->string[2]),
		.container = texts_get(t, n->string[3]),
		.pod = texts_get(t, n->string[4]),
		.via = texts_get(t, n->string[5]),
		.quality = (uint8_t)n->quality,
	};
	*ret_net = texts_get(t, n->net);
	*ret_scope = texts_get(t, n->scope);
}

size_t texts_bytes(uint32_t max_strings, uint32_t max_names, uint32_t max_bytes)
{
	return (size_t)max_names * sizeof(struct texts_names) + (size_t)index_slots(max_names) * 8 +
	       (size_t)max_strings * sizeof(struct texts_string) + (size_t)index_slots(max_strings) * 8 + max_bytes;
}

size_t texts_used(const struct texts *t)
{
	return (size_t)t->n_names * sizeof(struct texts_names) + index_used(&t->names_index) +
	       (size_t)t->n_strings * sizeof(struct texts_string) + index_used(&t->strings_index) + t->n_bytes;
}

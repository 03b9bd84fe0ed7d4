/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/texts.h"

#include <assert.h>

#include "base/hash.h"

int texts_init(struct texts *t, uint32_t max_strings, uint32_t max_names, uint32_t max_bytes)
{
	int r;

	*t = (struct texts){.max_strings = max_strings, .max_names = max_names, .max_bytes = max_bytes};
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

int texts_names(struct texts *t, uint32_t net, uint32_t scope, const struct flow_names *n, uint32_t *ret)
{
	const struct str *from[TEXTS_NAMES] = {&n->service, &n->process, &n->unit, &n->container, &n->pod, &n->via};
	struct texts_names want = {.net = net, .scope = scope, .quality = n->quality};
	uint64_t hash;
	uint32_t at, i;

	for (unsigned k = 0; k < TEXTS_NAMES; k++) {
		int r = texts_string(t, *from[k], &want.string[k]);

		if (r < 0)
			return r;
	}
	hash = hash64(&want, sizeof(want));
	for (at = index_start(hash); (i = index_next(&t->names_index, hash, &at)); at++) {
		if (!memcmp(&t->names[i - 1], &want, sizeof(want))) {
			*ret = i - 1;
			return 0;
		}
	}
	if (t->n_names == t->max_names)
		return -ENOSPC;
	t->names[t->n_names] = want;
	index_put(&t->names_index, hash, at, t->n_names);
	*ret = t->n_names++;
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

/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/tables.h"

#include <errno.h>

#include "base/hash.h"
#include "wire/put.h"

enum { NAME_WORDS = 7 };

enum wire_error wire_tables_strings(struct wire_tables *t, struct cursor *c)
{
	uint32_t n = cursor_u32(c);

	if (c->err)
		return WIRE_SHORT;
	if (n > WIRE_STRINGS)
		return WIRE_COUNT;
	t->strings[0] = (struct str){"", 0};
	t->strings_bad[0] = WIRE_OK;
	for (uint32_t i = 1; i <= n; i++) {
		struct str s = cursor_opaque(c);

		t->strings[i] = s;
		t->strings_bad[i] = s.n > WIRE_STRING_MAX ? WIRE_STRING : wire_text_ok(s) ? WIRE_OK : WIRE_TEXT;
	}
	t->n_strings = n;
	t->n_names = 0;
	return c->err ? WIRE_SHORT : WIRE_OK;
}

enum wire_error wire_tables_text(const struct wire_tables *t, uint32_t index, struct str *ret)
{
	if (index > t->n_strings)
		return WIRE_STRING;
	*ret = t->strings[index];
	return t->strings_bad[index];
}

static enum wire_error read_name(struct wire_tables *t, struct cursor *c, struct flow_names *n)
{
	struct str *const texts[] = {&n->service, &n->process, &n->unit, &n->container, &n->pod, &n->via};
	enum wire_error bad = WIRE_OK;
	uint32_t quality;

	for (unsigned i = 0; i < NAME_WORDS - 1; i++) {
		enum wire_error e = wire_tables_text(t, cursor_u32(c), texts[i]);

		if (e)
			bad = e;
	}
	quality = cursor_u32(c);
	n->quality = quality <= FLOW_OWNER_UNKNOWN ? quality : FLOW_OWNER_UNKNOWN;
	return bad;
}

enum wire_error wire_tables_names(struct wire_tables *t, struct cursor *c)
{
	uint32_t n = cursor_u32(c);

	if (c->err)
		return WIRE_SHORT;
	if (n > WIRE_NAMES)
		return WIRE_COUNT;
	if (n > cursor_left(c) / (4 * NAME_WORDS))
		return WIRE_SHORT;
	for (uint32_t i = 0; i < n; i++)
		t->names_bad[i] = read_name(t, c, &t->names[i]);
	t->n_names = n;
	return WIRE_OK;
}

int wire_tables_string(struct wire_build *b, struct str s)
{
	char text[WIRE_STRING_MAX];
	size_t n = wire_text_clean(s, text, sizeof(text));
	uint64_t hash;

	if (!n)
		return 0;
	hash = hash64(text, n);
	for (uint32_t i = b->n_strings; i-- > 0;) {
		const uint8_t *at = b->strings + b->strings_at[i];

		if (b->strings_hash[i] == hash && cursor_load32(at) == n && !memcmp(at + 4, text, n))
			return (int)i + 1;
	}
	if (b->n_strings == WIRE_STRINGS || b->strings_bytes + 4 + ((n + 3) & ~(size_t)3) > b->size)
		return -ENOSPC;
	b->strings_at[b->n_strings] = b->strings_bytes;
	b->strings_hash[b->n_strings] = hash;
	b->strings_bytes = put_opaque(b->strings + b->strings_bytes, text, n) - b->strings;
	return (int)++b->n_strings;
}

int wire_tables_name(struct wire_build *b, const struct flow_names *n)
{
	const struct str texts[] = {n->service, n->process, n->unit, n->container, n->pod, n->via};
	uint32_t words[NAME_WORDS];

	for (unsigned i = 0; i < NAME_WORDS - 1; i++) {
		int r = wire_tables_string(b, texts[i]);

		if (r < 0)
			return r;
		words[i] = r;
	}
	words[NAME_WORDS - 1] = n->quality;
	for (uint32_t i = b->n_names; i-- > 0;)
		if (!memcmp(b->names[i], words, sizeof(words)))
			return (int)i;
	if (b->n_names == WIRE_NAMES)
		return -ENOSPC;
	memcpy(b->names[b->n_names], words, sizeof(words));
	return (int)b->n_names++;
}

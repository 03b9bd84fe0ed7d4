/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/build.h"

#include <assert.h>
#include <errno.h>

#include "wire/auth.h"
#include "wire/put.h"

enum {
	HEADER_BYTES = 40, /* with an IPv6 agent address; 12 fewer with IPv4 */
	SAMPLE_BYTES = 40, /* format, length, 8 words */
	RECORD_BYTES = 8,  /* format, length */
	NAME_BYTES = 28,
	THIS_HOST = 2 << 24 | 1, /* source id: physical entity 1 */
};

/* Which tables stand before the items of a record. */
static const struct {
	bool strings, names, family;
} layout[] = {
	[WIRE_FLOWS] = {true, true, true},
	[WIRE_HOST] = {false, false, false},
	[WIRE_LISTENERS] = {true, true, false},
	[WIRE_HEALTH] = {true, false, false},
};

static uint32_t size_bound(const struct wire_opts *opts)
{
	uint32_t size = opts && opts->size ? opts->size : WIRE_SIZE;

	size = size < WIRE_SIZE_MIN ? WIRE_SIZE_MIN : size > WIRE_SIZE_MAX ? WIRE_SIZE_MAX : size;
	return size & ~3u;
}

static uint8_t *put_text(uint8_t *p, struct str s)
{
	char text[WIRE_STRING_MAX];

	return put_opaque(p, text, wire_text_clean(s, text, sizeof(text)));
}

void wire_build_open(struct wire_build *b, enum wire_format format, const struct wire_head *head,
		     const struct wire_opts *opts)
{
	uint8_t *p = b->head;

	assert(format >= WIRE_FLOWS && format <= WIRE_HEALTH);
	b->format = format;
	b->enterprise = opts && opts->enterprise ? opts->enterprise : WIRE_ENTERPRISE;
	b->size = size_bound(opts);
	b->auth = opts && opts->auth;
	b->family = 0;
	b->n_items = 0;
	b->rows = 0;
	b->strings_bytes = b->items_bytes = 0;
	b->n_strings = b->n_names = 0;
	b->n_extra = 0;
	p = put_u32(p, WIRE_VERSION_RECORD);
	p = put_u32(p, head->interval);
	p = put_u32(p, head->interval_s);
	p = put_u32(p, head->spread_ms);
	p = put_u64(p, head->boot);
	p = put_text(p, head->net);
	p = put_text(p, head->host);
	b->n_head = p - b->head;
}

void wire_build_head_text(struct wire_build *b, struct str s)
{
	assert(b->n_head + 4 + WIRE_STRING_MAX < sizeof(b->head));
	b->n_head = put_text(b->head + b->n_head, s) - b->head;
}

void wire_build_head_u32(struct wire_build *b, uint32_t v)
{
	assert(b->n_head + 4 <= sizeof(b->head));
	b->n_head = put_u32(b->head + b->n_head, v) - b->head;
}

bool wire_build_empty(const struct wire_build *b)
{
	return !b->n_items;
}

static size_t record_body(const struct wire_build *b)
{
	size_t n = b->n_head + 4 + b->items_bytes;

	if (layout[b->format].strings)
		n += 4 + b->strings_bytes;
	if (layout[b->format].names)
		n += 4 + (size_t)b->n_names * NAME_BYTES;
	if (layout[b->format].family)
		n += 4;
	return n;
}

size_t wire_build_size(const struct wire_build *b)
{
	return HEADER_BYTES + SAMPLE_BYTES + RECORD_BYTES + record_body(b) + b->n_extra +
	       (b->auth ? WIRE_AUTH_RECORD : 0);
}

struct wire_mark wire_build_mark(const struct wire_build *b)
{
	return (struct wire_mark){b->n_strings, b->n_names, b->strings_bytes};
}

int wire_build_item(struct wire_build *b, const void *item, size_t n, unsigned count)
{
	size_t size = wire_build_size(b) + n;

	/* Four bytes short of the bound could not be padded to it: a record has a head of eight. */
	if (size != b->size && size + RECORD_BYTES > b->size)
		return -ENOSPC;
	put_bytes(b->items + b->items_bytes, item, n);
	b->items_bytes += n;
	b->n_items += count;
	return 0;
}

int wire_build_undo(struct wire_build *b, struct wire_mark mark, int r)
{
	b->n_strings = mark.n_strings;
	b->n_names = mark.n_names;
	b->strings_bytes = mark.strings_bytes;
	return r == -ENOSPC && wire_build_empty(b) ? -EMSGSIZE : r;
}

static uint8_t *put_header(uint8_t *p, const struct wire_sender *s, uint32_t uptime_ms, uint32_t samples)
{
	bool v4 = ip_is_v4(&s->agent);

	p = put_u32(p, 5);
	p = put_u32(p, v4 ? 1 : 2);
	p = put_bytes(p, s->agent.b + (v4 ? 12 : 0), v4 ? 4 : 16);
	p = put_u32(p, s->sub_agent);
	p = put_u32(p, s->sequence);
	p = put_u32(p, uptime_ms);
	return put_u32(p, samples);
}

size_t wire_build_record_size(const struct wire_build *b)
{
	return RECORD_BYTES + record_body(b);
}

uint8_t *wire_build_record_put(const struct wire_build *b, uint8_t *p)
{
	p = put_u32(p, b->enterprise << 12 | b->format);
	p = put_u32(p, record_body(b));
	p = put_bytes(p, b->head, b->n_head);
	if (layout[b->format].strings) {
		p = put_u32(p, b->n_strings);
		p = put_bytes(p, b->strings, b->strings_bytes);
	}
	if (layout[b->format].names) {
		p = put_u32(p, b->n_names);
		for (uint32_t i = 0; i < b->n_names; i++)
			for (unsigned j = 0; j < NAME_BYTES / 4; j++)
				p = put_u32(p, b->names[i][j]);
	}
	if (layout[b->format].family)
		p = put_u32(p, b->family == 6 ? 2 : 1);
	p = put_u32(p, b->n_items);
	return put_bytes(p, b->items, b->items_bytes);
}

size_t wire_build_close(struct wire_build *b, struct wire_sender *s, uint32_t uptime_ms, size_t pad_to, void *dst,
			size_t cap)
{
	size_t n = wire_build_size(b) - (ip_is_v4(&s->agent) ? 12 : 0);
	size_t pad = pad_to >= n + RECORD_BYTES ? pad_to - n : 0;
	size_t sample = SAMPLE_BYTES - 8 + RECORD_BYTES + record_body(b) + pad;
	uint8_t *p = dst;

	assert(!(pad & 3));
	if (n + pad > cap)
		return 0;
	s->sequence++;
	s->pool += (uint32_t)b->rows;
	p = put_header(p, s, uptime_ms, b->n_extra ? 2 : 1);
	p = put_u32(p, 1); /* 0:1, a flow sample */
	p = put_u32(p, sample);
	p = put_u32(p, s->sequence + s->more);
	p = put_u32(p, THIS_HOST);
	p = put_u32(p, 1); /* every connection, not one in N */
	p = put_u32(p, s->pool);
	p = put_u32(p, s->drops);
	p = put_u32(p, 0); /* input, output: unknown */
	p = put_u32(p, 0);
	p = put_u32(p, pad ? 2 : 1);
	p = wire_build_record_put(b, p);
	if (pad) {
		p = put_u32(p, b->enterprise << 12 | WIRE_PAD);
		p = put_u32(p, pad - RECORD_BYTES);
		memset(p, 0, pad - RECORD_BYTES);
		p += pad - RECORD_BYTES;
	}
	p = put_bytes(p, b->extra, b->n_extra);
	if (b->auth)
		p = (uint8_t *)dst + wire_auth_add(dst, (size_t)(p - (uint8_t *)dst), b->enterprise);
	assert((size_t)(p - (uint8_t *)dst) == n + pad);
	return n + pad;
}

void wire_sender_failed(struct wire_sender *s, uint64_t rows)
{
	s->pool -= (uint32_t)rows;
	s->drops += (uint32_t)rows;
}

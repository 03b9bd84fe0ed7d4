/* SPDX-License-Identifier: Apache-2.0 */
/* Encoder and decoder of the messages: both walk the tables of flow/schema.c. */
#include "flow/schema.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>

#include "flow/avrobin.h"

/* --- integers of any width */

static uint64_t msg_load(const void *p, size_t size)
{
	switch (size) {
	case 1:
		return *(const uint8_t *)p;
	case 2:
		return *(const uint16_t *)p;
	case 4:
		return *(const uint32_t *)p;
	default:
		return *(const uint64_t *)p;
	}
}

/* False when v does not fit: bytes from outside. */
static bool msg_store(void *p, size_t size, uint64_t v)
{
	switch (size) {
	case 1:
		*(uint8_t *)p = (uint8_t)v;
		return v <= UINT8_MAX;
	case 2:
		*(uint16_t *)p = (uint16_t)v;
		return v <= UINT16_MAX;
	case 4:
		*(uint32_t *)p = (uint32_t)v;
		return v <= UINT32_MAX;
	default:
		*(uint64_t *)p = v;
		return true;
	}
}

/* --- encode */

/* The network view has only what a sample shows. */
static bool msg_has(unsigned field, unsigned view)
{
	return view != FLOW_VIEW_NETWORK || flow_fields[field].seen == FLOW_ALL;
}

static uint8_t *write_hist(uint8_t *p, const uint32_t *hist)
{
	unsigned n = FLOW_BUCKETS;

	while (n && !hist[n - 1])
		n--;
	if (n)
		p = avrobin_write_long(p, n);
	for (unsigned i = 0; i < n; i++)
		p = avrobin_write_long(p, hist[i]);
	return avrobin_write_long(p, 0);
}

/* Many small numbers: written beside, put in one go. */
static void encode_stats(struct buf *b, const struct flow_stats *s, unsigned view)
{
	enum { HIST = (FLOW_BUCKETS + 2) * AVROBIN_LONG, U32 = AVROBIN_LONG, U64 = AVROBIN_LONG };
	uint8_t out[0
#define FIELD(name, width, dir, column, unit, seen, meaning) +width
#include "flow/fields.def"
#undef FIELD
	];
	uint8_t *p = out;

#define WRITE_U32(name) p = avrobin_write_long(p, (int64_t)s->name);
#define WRITE_U64(name) p = avrobin_write_long(p, (int64_t)s->name);
#define WRITE_HIST(name) p = write_hist(p, s->name);
#define FIELD(name, width, dir, column, unit, seen, meaning) \
	if (msg_has(FLOW_F_##name, view)) {                  \
		WRITE_##width(name)                          \
	}
#include "flow/fields.def"
#undef FIELD
	buf_put(b, out, (size_t)(p - out));
}

static void encode_items(struct buf *b, const struct schema_member *m, const char *record)
{
	size_t i, n = msg_load(record + m->count_offset, m->size);
	const void *p = record + m->offset;

	if (n > m->max)
		n = m->max;
	if (n)
		avrobin_put_long(b, (int64_t)n);
	for (i = 0; i < n; i++) {
		const struct flow_address *a = (const struct flow_address *)p + i;
		const struct flow_count *c = (const struct flow_count *)p + i;

		if (m->kind == PORTS) {
			avrobin_put_long(b, ((const uint16_t *)p)[i]);
		} else if (m->kind == COUNTS) {
			avrobin_put_bytes(b, c->name.p, c->name.n);
			avrobin_put_long(b, (int64_t)c->n);
		} else {
			buf_put(b, a->ip.b, 16);
			avrobin_put_long(b, a->bits);
			avrobin_put_long(b, a->host_only);
			avrobin_put_long(b, a->netns);
		}
	}
	avrobin_put_long(b, 0);
}

static void encode_member(struct buf *b, const struct schema_member *m, const char *record)
{
	const void *p = record + m->offset;

	switch (m->kind) {
	case INT:
		avrobin_put_long(b, (int64_t)msg_load(p, m->size));
		break;
	case STRING:
		avrobin_put_bytes(b, ((const struct str *)p)->p, ((const struct str *)p)->n);
		break;
	case IP:
		buf_put(b, p, 16);
		break;
	case STATS:
		encode_stats(b, p, m->max);
		break;
	default:
		encode_items(b, m, record);
	}
}

/* --- decode */

void schema_decode_stat(struct avrobin_cursor *c, struct flow_stats *s, unsigned field)
{
	uint32_t *hist = flow_stats_hist(s, field);
	unsigned i = 0;
	size_t n;

	if (flow_fields[field].width != FLOW_HIST) {
		*flow_stats_u64(s, field) = (uint64_t)avrobin_long(c);
		return;
	}
	while ((n = avrobin_block(c, FLOW_BUCKETS - i)) > 0)
		for (; n; n--)
			if (!msg_store(&hist[i++], sizeof(hist[0]), (uint64_t)avrobin_long(c)))
				c->err = true;
}

static void decode_stats(struct avrobin_cursor *c, struct flow_stats *s, unsigned view)
{
	for (unsigned f = 0; f < FLOW_FIELDS; f++)
		if (msg_has(f, view))
			schema_decode_stat(c, s, f);
}

static void decode_item(struct avrobin_cursor *c, enum schema_kind kind, void *items, size_t i)
{
	struct flow_address *a = (struct flow_address *)items + i;
	struct flow_count *n = (struct flow_count *)items + i;
	const void *ip;

	if (kind == PORTS) {
		c->err |= !msg_store((uint16_t *)items + i, 2, (uint64_t)avrobin_long(c));
	} else if (kind == COUNTS) {
		n->name = avrobin_bytes(c);
		n->n = (uint64_t)avrobin_long(c);
	} else {
		ip = avrobin_fixed(c, 16);
		if (ip)
			memcpy(a->ip.b, ip, 16);
		c->err |= !msg_store(&a->bits, 1, (uint64_t)avrobin_long(c));
		c->err |= !msg_store(&a->host_only, 1, (uint64_t)avrobin_long(c));
		c->err |= !msg_store(&a->netns, 4, (uint64_t)avrobin_long(c));
	}
}

static void decode_items(struct avrobin_cursor *c, const struct schema_member *m, char *record)
{
	size_t i = 0, n;

	while ((n = avrobin_block(c, m->max - i)) > 0)
		for (; n && !c->err; n--)
			decode_item(c, m->kind, record + m->offset, i++);
	(void)msg_store(record + m->count_offset, m->size, i);
}

void schema_decode(struct avrobin_cursor *c, const struct schema_member *m, char *record)
{
	void *p = record + m->offset;
	const void *ip;

	switch (m->kind) {
	case INT:
		c->err |= !msg_store(p, m->size, (uint64_t)avrobin_long(c));
		break;
	case STRING:
		*(struct str *)p = avrobin_bytes(c);
		break;
	case IP:
		ip = avrobin_fixed(c, 16);
		if (ip)
			memcpy(p, ip, 16);
		break;
	case STATS:
		decode_stats(c, p, m->max);
		break;
	default:
		decode_items(c, m, record);
	}
}

void flow_msg_encode(struct buf *b, enum flow_msg_type type, const void *record)
{
	const struct schema_member *m;

	avrobin_put_header(b, schema_fingerprint(type));
	for (m = schema_records[type].members; m->name; m++)
		encode_member(b, m, record);
}

static int msg_type(struct avrobin_cursor *c, enum flow_msg_type *ret)
{
	uint64_t fp = avrobin_header(c);
	unsigned i;

	if (c->err)
		return -EBADMSG;
	for (i = 0; i < FLOW_MSG_TYPES; i++) {
		if (schema_fingerprint(i) == fp) {
			*ret = i;
			return 0;
		}
	}
	return -ENOKEY;
}

int flow_msg_decode(const void *p, size_t n, struct flow_msg *ret)
{
	struct avrobin_cursor c = {p, (const uint8_t *)p + n, false};
	const struct schema_member *m;
	int r;

	r = msg_type(&c, &ret->type);
	if (r < 0)
		return r;
	memset(&ret->row, 0, schema_records[ret->type].size);
	for (m = schema_records[ret->type].members; m->name && !c.err; m++)
		schema_decode(&c, m, (char *)&ret->row); /* all members of the union start there */
	return c.err || c.p != c.end ? -EBADMSG : 0;
}

/* --- compaction keys */

static void msg_key(struct buf *b, const char *what, struct str net, struct str host)
{
	buf_printf(b, "%s", what);
	buf_char(b, '\0');
	buf_str(b, net);
	buf_char(b, '\0');
	buf_str(b, host);
}

void flow_host_key(struct buf *b, const struct flow_host *h)
{
	msg_key(b, "host", h->net, h->id);
}

void flow_listener_key(struct buf *b, const struct flow_listener *l)
{
	uint32_t netns = htonl(l->netns);
	uint16_t port = htons(l->port);

	msg_key(b, "listener", l->net, l->host);
	buf_char(b, '\0');
	buf_put(b, &netns, sizeof(netns));
	buf_put(b, l->addr.b, 16);
	buf_char(b, (char)l->protocol);
	buf_put(b, &port, sizeof(port));
}

uint64_t flow_edge_rows(const struct flow_edge *e)
{
	uint64_t rows = 0;

	for (unsigned v = 0; v < FLOW_VIEWS; v++)
		rows += e->view[v].rows;
	return rows;
}

uint64_t flow_count_get(const struct flow_count *c, unsigned n, const char *name)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (str_eq(c[i].name, str_from(name)))
			return c[i].n;
	return 0;
}

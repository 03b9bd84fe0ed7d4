/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listeners record: head, strings, names (as in flows), then rows: network namespace, typed address (0 or :: for
 * any), port + protocol + alive in one word, since, drops, queue, queue_max, names index.
 */
#include "wire/listeners.h"

#include <assert.h>

#include "wire/put.h"

enum { LISTENER_BYTES = 4 + 4 + 16 + 4 + 4 + 8 + 4 + 4 + 4 };

int wire_listeners_add(struct wire_build *b, const struct flow_listener *l)
{
	struct wire_mark mark = wire_build_mark(b);
	int names = wire_tables_name(b, &l->names), r;
	bool v4 = ip_is_v4(&l->addr);
	uint8_t item[LISTENER_BYTES], *p = item;

	assert(b->format == WIRE_LISTENERS);
	if (names < 0)
		return wire_build_undo(b, mark, names);
	p = put_u32(p, l->netns);
	p = put_u32(p, v4 ? 1 : 2);
	p = put_bytes(p, l->addr.b + (v4 ? 12 : 0), v4 ? 4 : 16);
	p = put_u32(p, (uint32_t)l->port << 16 | (uint32_t)l->protocol << 8 | !!l->alive);
	p = put_u32(p, l->since);
	p = put_u64(p, l->drops);
	p = put_u32(p, l->queue);
	p = put_u32(p, l->queue_max);
	p = put_u32(p, names);
	r = wire_build_item(b, item, p - item, 1);
	return r ? wire_build_undo(b, mark, r) : 1;
}

enum wire_error wire_listeners_open(struct wire_listeners *l, const struct wire_record *r)
{
	enum wire_error e;

	l->items.cur = cursor_over(r->body);
	l->items.left = 0;
	e = wire_head_read(&l->items.cur, &l->head);
	if (e)
		return e;
	e = wire_tables_strings(&l->tables, &l->items.cur);
	if (e)
		return e;
	e = wire_tables_names(&l->tables, &l->items.cur);
	if (e)
		return e;
	l->n_rows = l->items.left = cursor_u32(&l->items.cur);
	return l->items.cur.err ? WIRE_SHORT : WIRE_OK;
}

enum wire_error wire_listeners_next(struct wire_listeners *l, struct flow_listener *ret)
{
	struct cursor *c = &l->items.cur;
	uint32_t word, names;
	enum wire_error e;

	e = wire_items_next(&l->items);
	if (e)
		return e;
	ret->net = l->head.net;
	ret->host = l->head.host;
	ret->interval = l->head.interval;
	ret->netns = cursor_u32(c);
	e = wire_address(c, &ret->addr);
	if (e)
		return wire_items_lost(&l->items, e);
	word = cursor_u32(c);
	ret->port = word >> 16;
	ret->protocol = word >> 8 & 0xff;
	ret->alive = word & 1;
	ret->since = cursor_u32(c);
	ret->drops = cursor_u64(c);
	ret->queue = cursor_u32(c);
	ret->queue_max = cursor_u32(c);
	names = cursor_u32(c);
	if (c->err)
		return wire_items_lost(&l->items, WIRE_SHORT);
	if (names >= l->tables.n_names)
		return WIRE_NAME;
	ret->names = l->tables.names[names];
	return l->tables.names_bad[names];
}

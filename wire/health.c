/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The health record: head, strings, then ledger lines: interval, its length, rows in, rows out, losses, infos. A loss or
 * an info is a string index and 64 bits: names describe themselves, a new one needs nothing of the reader.
 *
 * A line is whole or not there: a ledger line replaces its former self, so half of one would be believed. Only infos may
 * be left out, and then the line says so.
 */
#include "wire/health.h"

#include <assert.h>
#include <errno.h>

#include "wire/put.h"

enum { COUNT_BYTES = 12, LINE_BYTES = 2 * 4 + 2 * 8 + 2 * 4 + COUNT_BYTES * (FLOW_LOSSES + FLOW_INFOS) };

/* Each is NULL when the tables are full, and passes on a NULL. */
static uint8_t *put_count(struct wire_build *b, uint8_t *p, struct str text, uint64_t n)
{
	int name = p ? wire_tables_string(b, text) : -1;

	return name < 0 ? NULL : put_u64(put_u32(p, name), n);
}

static uint8_t *put_counts(struct wire_build *b, uint8_t *p, const struct flow_count *counts, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		p = put_count(b, p, counts[i].name, counts[i].n);
	return p;
}

/* The line with its first `infos` infos. */
static int add_line(struct wire_build *b, const struct flow_ledger *line, unsigned infos)
{
	struct wire_mark mark = wire_build_mark(b);
	unsigned left_out = line->n_info - infos;
	uint8_t item[LINE_BYTES], *p = item;
	int r;

	p = put_u32(p, line->interval);
	p = put_u32(p, line->interval_s);
	p = put_u64(p, line->rows_in);
	p = put_u64(p, line->rows_out);
	p = put_u32(p, line->n_lost);
	p = put_counts(b, p, line->lost, line->n_lost);
	if (p)
		p = put_u32(p, infos + !!left_out);
	p = put_counts(b, p, line->info, infos);
	if (left_out)
		p = put_count(b, p, STR("infos_left_out"), left_out);
	r = p ? wire_build_item(b, item, p - item, 1) : -ENOSPC;
	return r ? wire_build_undo(b, mark, r) : 1;
}

int wire_health_add(struct wire_build *b, const struct flow_ledger *line)
{
	unsigned infos = line->n_info;
	int r;

	assert(b->format == WIRE_HEALTH && line->n_lost <= FLOW_LOSSES && line->n_info <= FLOW_INFOS);
	do {
		r = add_line(b, line, infos);
	} while (r == -EMSGSIZE && infos--);
	return r;
}

enum wire_error wire_health_open(struct wire_health *h, const struct wire_record *r)
{
	enum wire_error e;

	h->items.cur = cursor_over(r->body);
	h->items.left = 0;
	e = wire_head_read(&h->items.cur, &h->head);
	if (e)
		return e;
	e = wire_tables_strings(&h->tables, &h->items.cur);
	if (e)
		return e;
	h->n_lines = h->items.left = cursor_u32(&h->items.cur);
	return h->items.cur.err ? WIRE_SHORT : WIRE_OK;
}

/* Reads all, keeps at most `max`. The error of a name is returned after all were passed. */
static enum wire_error read_counts(struct wire_health *h, struct flow_count *counts, unsigned max, uint8_t *ret_n)
{
	struct cursor *c = &h->items.cur;
	uint32_t n = cursor_u32(c);
	enum wire_error bad = WIRE_OK;

	*ret_n = 0;
	if (n > cursor_left(c) / COUNT_BYTES)
		c->err = true;
	for (uint32_t i = 0; i < n && !c->err; i++) {
		struct flow_count one;
		enum wire_error e = wire_tables_text(&h->tables, cursor_u32(c), &one.name);

		one.n = cursor_u64(c);
		if (e)
			bad = e;
		else if (*ret_n < max)
			counts[(*ret_n)++] = one;
	}
	return c->err ? WIRE_SHORT : bad;
}

enum wire_error wire_health_next(struct wire_health *h, struct flow_ledger *ret)
{
	struct cursor *c = &h->items.cur;
	enum wire_error e, lost, info;

	e = wire_items_next(&h->items);
	if (e)
		return e;
	ret->role = STR("agent");
	ret->instance = h->head.host;
	ret->boot = h->head.boot;
	ret->interval = cursor_u32(c);
	uint32_t interval_s = cursor_u32(c);
	ret->rows_in = cursor_u64(c);
	ret->rows_out = cursor_u64(c);
	lost = read_counts(h, ret->lost, FLOW_LOSSES, &ret->n_lost);
	info = read_counts(h, ret->info, FLOW_INFOS, &ret->n_info);
	if (c->err)
		return wire_items_lost(&h->items, WIRE_SHORT);
	ret->interval_s = (uint16_t)interval_s;
	if (!interval_s || interval_s > 60 || 60 % interval_s || ret->interval % interval_s)
		return WIRE_INTERVAL;
	return lost ? lost : info;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flows record.
 *
 *     head      version, interval, its length, spread, boot id, net, host id       (all records of ours)
 *     strings   count, then each string once
 *     names     count, then seven words each: who a row's measuring end is
 *     family    1: addresses of 4 bytes, 2: of 16
 *     rows      count, then each: local, remote, ports, view + protocol + flags, scope, names index,
 *               ephemeral ports, present, body
 *
 * 1. A row says what `local` measured: its client or server, when it knows. Nothing is turned round here; who reads it
 *    makes c2s and s2c of tx and rx.
 * 2. The values are self-delimiting: `present` says which, the body's length passes those of newer agents.
 * 3. A value above 32 bits in a field of 32 becomes further rows with the same head. They carry no `rows`, so that the
 *    ledger still balances; ephemeral ports are in the first.
 * 4. A row is added whole or not at all. Rows of one family and sorted by names pack best: each string travels once.
 * 5. A broken row is passed by its lengths; with a broken length all that follow are lost, and that is said once.
 *
 * Why not 64 bits for all: half of a row would be zeros. Why no variable-length integers: XDR has none, and a fixed
 * width is what rpcgen's reader, a dissector and the fast path below read without looking at each byte.
 */
#include "wire/flows.h"

#include <assert.h>
#include <errno.h>

#include "wire/put.h"

enum { PORTS_BYTES = 2 * FLOW_PORTS, ROW_BYTES = 2 * 16 + 5 * 4 + 4 + PORTS_BYTES + 8 + 4 + WIRE_BODY_MAX };

static int row_split(const struct flow_stats *stats)
{
	for (unsigned f = 0; f < FLOW_FIELDS; f++)
		if (flow_fields[f].width == FLOW_U32 && flow_stats_get(stats, f) > (uint64_t)WIRE_SPLIT * UINT32_MAX)
			return -ERANGE;
	return 0;
}

static size_t put_row(uint8_t *dst, const struct wire_flow *row, uint32_t names, uint32_t family, bool first,
		      struct flow_stats *left)
{
	unsigned skip = family == 4 ? 12 : 0, n_ports = first ? row->n_ports : 0;
	uint8_t body[WIRE_BODY_MAX], ports[PORTS_BYTES], *p = dst;
	uint64_t present;
	size_t n = wire_body_put(left, body, &present);

	assert(n <= sizeof(body));
	for (unsigned i = 0; i < n_ports; i++) {
		ports[2 * i] = row->ports[i] >> 8;
		ports[2 * i + 1] = row->ports[i] & 0xff;
	}
	p = put_bytes(p, row->local.b + skip, 16 - skip);
	p = put_bytes(p, row->remote.b + skip, 16 - skip);
	p = put_u32(p, (uint32_t)row->port << 16 | row->other_port);
	p = put_u32(p, (uint32_t)row->view << 24 | (uint32_t)row->protocol << 16 | row->flags);
	p = put_u32(p, row->scope);
	p = put_u32(p, names);
	p = put_u32(p, first ? row->ports_more : 0);
	p = put_opaque(p, ports, 2 * (size_t)n_ports);
	p = put_u64(p, present);
	p = put_opaque(p, body, n);
	return p - dst;
}

/* Tables and rows; what was begun is undone by the caller. */
static int add_rows(struct wire_build *b, const struct wire_flow *row, const struct flow_stats *stats, uint32_t family)
{
	uint8_t item[ROW_BYTES];
	struct flow_stats left = *stats;
	int names = wire_tables_name(b, row->names), n = 0, r;

	if (names < 0)
		return names;
	do {
		r = wire_build_item(b, item, put_row(item, row, names, family, !n, &left), 1);
		n++;
	} while (!r && !flow_stats_empty(&left));
	return r ? r : n;
}

int wire_flows_add(struct wire_build *b, const struct wire_flow *row, const struct flow_stats *stats)
{
	uint32_t family = ip_is_v4(&row->local) && ip_is_v4(&row->remote) ? 4 : 6;
	uint32_t items = b->n_items, bytes = b->items_bytes;
	struct wire_mark mark = wire_build_mark(b);
	int r = row_split(stats);

	assert(b->format == WIRE_FLOWS && row->n_ports <= FLOW_PORTS && row->view <= FLOW_VIEW_UNKNOWN);
	if (r)
		return r;
	if (b->family && b->family != family)
		return -ENOSPC;
	r = add_rows(b, row, stats, family);
	if (r < 0) {
		b->n_items = items;
		b->items_bytes = bytes;
		return wire_build_undo(b, mark, r);
	}
	b->family = family;
	b->rows += stats->rows;
	return r;
}

enum wire_error wire_flows_open(struct wire_flows *f, const struct wire_record *r)
{
	enum wire_error e;
	uint32_t family;

	f->items.cur = cursor_over(r->body);
	f->items.left = 0;
	e = wire_head_read(&f->items.cur, &f->head);
	if (e)
		return e;
	e = wire_tables_strings(&f->tables, &f->items.cur);
	if (e)
		return e;
	e = wire_tables_names(&f->tables, &f->items.cur);
	if (e)
		return e;
	family = cursor_u32(&f->items.cur);
	f->n_rows = f->items.left = cursor_u32(&f->items.cur);
	if (f->items.cur.err)
		return WIRE_SHORT;
	if (family != 1 && family != 2)
		return WIRE_FAMILY;
	f->family = family == 2 ? 6 : 4;
	return WIRE_OK;
}

static enum wire_error judge(const struct wire_flows *f, const struct wire_flow_raw *row, size_t ports_bytes)
{
	if (row->view > FLOW_VIEW_UNKNOWN || ports_bytes > PORTS_BYTES || ports_bytes % 2)
		return WIRE_VALUE;
	if (row->names_index >= f->tables.n_names)
		return WIRE_NAME;
	return f->tables.names_bad[row->names_index];
}

enum wire_error wire_flows_next_raw(struct wire_flows *f, struct wire_flow_raw *row)
{
	struct cursor *c = &f->items.cur;
	size_t n = f->family == 4 ? 4 : 16;
	const uint8_t *p;
	enum wire_error e;
	struct str ports;
	uint32_t word;

	e = wire_items_next(&f->items);
	if (e)
		return e;
	p = cursor_take(c, 2 * n + 5 * 4);
	if (!p)
		return wire_items_lost(&f->items, WIRE_SHORT);
	row->local = p;
	row->remote = p + n;
	p += 2 * n;
	word = cursor_load32(p);
	row->port = word >> 16;
	row->other_port = word & 0xffff;
	word = cursor_load32(p + 4);
	row->view = word >> 24;
	row->protocol = word >> 16 & 0xff;
	row->flags = word & 0xffff;
	row->scope = cursor_load32(p + 8);
	row->names_index = cursor_load32(p + 12);
	row->ports_more = cursor_load32(p + 16);
	ports = cursor_opaque(c);
	row->ports = (const uint8_t *)ports.p;
	row->n_ports = (uint8_t)(ports.n / 2);
	row->present = cursor_u64(c);
	row->body = cursor_opaque(c);
	if (c->err)
		return wire_items_lost(&f->items, WIRE_SHORT);
	return judge(f, row, ports.n);
}

enum wire_error wire_flows_next(struct wire_flows *f, struct wire_flow *row)
{
	struct wire_flow_raw raw;
	enum wire_error e = wire_flows_next_raw(f, &raw);

	if (!e)
		e = wire_body_check(raw.present, raw.body);
	if (e)
		return e;
	row->port = raw.port;
	row->other_port = raw.other_port;
	row->view = raw.view;
	row->protocol = raw.protocol;
	row->flags = raw.flags;
	row->scope = raw.scope;
	row->names_index = raw.names_index;
	row->ports_more = raw.ports_more;
	row->present = raw.present;
	row->body = raw.body;
	row->n_ports = raw.n_ports;
	for (unsigned i = 0; i < row->n_ports; i++)
		row->ports[i] = (uint16_t)(raw.ports[2 * i] << 8 | raw.ports[2 * i + 1]);
	if (f->family == 4) {
		row->local = ip_from_v4(raw.local);
		row->remote = ip_from_v4(raw.remote);
	} else {
		memcpy(row->local.b, raw.local, 16);
		memcpy(row->remote.b, raw.remote, 16);
	}
	row->names = &f->tables.names[row->names_index];
	return WIRE_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/batch.h"

#include <errno.h>
#include <stdlib.h>

#include "agent/health.h"
#include "wire/host.h"
#include "wire/interop.h"
#include "wire/listeners.h"

/* From here on datagrams are made equally long, so that runs of them can go in one call. */
#define BATCH_PAD_ROWS 1024
#define BATCH_PAD_ROWS_INTEROP 256 /* which take as many datagrams */

struct batch *batch_new(void)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (b)
		buf_init(&b->bytes, 64u << 20);
	return b;
}

void batch_free(struct batch *b)
{
	if (!b)
		return;
	buf_deinit(&b->bytes);
	free(b->v);
	free(b);
}

/* The place for a datagram of at most WIRE_SIZE_MAX bytes; NULL when memory is out. */
static struct batch_item *batch_place(struct batch *b)
{
	struct batch_item *v;

	if (b->n == b->cap) {
		size_t cap = b->cap ? b->cap * 2 : 16;

		v = reallocarray(b->v, cap, sizeof(*v));
		if (!v)
			return NULL;
		b->v = v;
		b->cap = cap;
	}
	b->v[b->n] = (struct batch_item){.at = (uint32_t)b->bytes.n};
	return buf_grow(&b->bytes, WIRE_SIZE_MAX) ? &b->v[b->n] : NULL;
}

/* Closes the builder's datagram into the batch. The sender is a stand-in: the counts are stamped when it goes. */
static int batch_close(struct batch *b, struct wire_build *w, const struct batch_head *head, size_t pad)
{
	struct wire_sender s = {.agent = head->agent};
	struct batch_item *item;
	uint64_t rows = w->rows;
	size_t at = b->bytes.n;

	if (wire_build_empty(w))
		return 0;
	item = batch_place(b);
	if (!item)
		return -ENOMEM;
	item->len = (uint32_t)wire_build_close(w, &s, 0, pad, b->bytes.p + at, WIRE_SIZE_MAX);
	item->rows = (uint32_t)rows;
	b->bytes.n = at + item->len;
	b->n++;
	b->line.rows_out += rows;
	return 0;
}

/* As batch_close(). */
static int batch_close_interop(struct batch *b, struct wire_interop *x, const struct batch_head *head, size_t pad)
{
	struct wire_sender s = {.agent = head->agent};
	struct batch_item *item;

	if (!x->n_samples)
		return 0;
	item = batch_place(b);
	if (!item)
		return -ENOMEM;
	item->len = (uint32_t)wire_interop_close(x, &s, 0, pad, b->bytes.p + item->at, WIRE_SIZE_MAX);
	item->rows = (uint32_t)x->rows;
	b->bytes.n = item->at + item->len;
	b->n++;
	b->line.rows_out += x->rows;
	return 0;
}

/* One row in all its parts. */
static int batch_row_interop(struct batch *b, struct wire_interop *x, const struct batch_head *head, size_t pad,
			     const struct wire_flow *flow, const struct flow_stats *stats)
{
	uint32_t part, parts = wire_interop_parts(stats);
	int r;

	for (part = 0; part < parts; part++) {
		r = wire_interop_add(x, flow, stats, part);
		if (r == -ENOSPC) {
			r = batch_close_interop(b, x, head, pad);
			if (r < 0)
				return r;
			wire_interop_open(x, x->record, &head->wire, &head->opts);
			r = wire_interop_add(x, flow, stats, part);
		}
		if (r < 0) { /* of the first part: the others are smaller */
			health_lost(&b->line, "too_big", stats->rows);
			return 0;
		}
	}
	return 0;
}

static int batch_rows_interop(struct batch *b, struct wire_build *w, const struct batch_head *head,
			      const struct named *rows, const struct names *names)
{
	size_t pad = rows->n > BATCH_PAD_ROWS_INTEROP ? head->opts.size & ~3u : 0, i;
	struct wire_interop x;
	struct wire_flow flow;
	int r;

	wire_interop_open(&x, w, &head->wire, &head->opts);
	for (i = 0; i < rows->n; i++) {
		named_flow(&rows->v[i], names, &flow);
		r = batch_row_interop(b, &x, head, pad, &flow, named_stats(&rows->v[i]));
		if (r < 0)
			return r;
	}
	return batch_close_interop(b, &x, head, 0);
}

int batch_rows(struct batch *b, struct wire_build *w, const struct batch_head *head, const struct named *rows,
	       const struct names *names)
{
	size_t pad = rows->n > BATCH_PAD_ROWS ? head->opts.size & ~3u : 0, i;
	struct wire_flow flow;
	int r;

	if (head->interop)
		return batch_rows_interop(b, w, head, rows, names);
	wire_build_open(w, WIRE_FLOWS, &head->wire, &head->opts);
	for (i = 0; i < rows->n; i++) {
		const struct flow_stats *stats = named_stats(&rows->v[i]);

		named_flow(&rows->v[i], names, &flow);
		r = wire_flows_add(w, &flow, stats);
		if (r == -ENOSPC) {
			r = batch_close(b, w, head, pad);
			if (r < 0)
				return r;
			wire_build_open(w, WIRE_FLOWS, &head->wire, &head->opts);
			r = wire_flows_add(w, &flow, stats);
		}
		if (r < 0)
			health_lost(&b->line, "too_big", stats->rows);
	}
	return batch_close(b, w, head, 0);
}

struct batch_call {
	struct batch *b;
	struct wire_build *w;
	const struct batch_head *head;
	int r;
};

static int batch_listener(void *arg, const struct flow_listener *row)
{
	struct batch_call *c = arg;
	int r = wire_listeners_add(c->w, row);

	if (r == -ENOSPC) {
		c->r = batch_close(c->b, c->w, c->head, 0);
		if (c->r < 0)
			return c->r;
		wire_build_open(c->w, WIRE_LISTENERS, &c->head->wire, &c->head->opts);
		r = wire_listeners_add(c->w, row);
	}
	if (r < 0)
		health_info(&c->b->line, "listeners_too_big", 1);
	return 0;
}

int batch_listeners(struct batch *b, struct wire_build *w, const struct batch_head *head, struct listen *l,
		    struct names *names, int64_t now_us)
{
	struct batch_call c = {b, w, head, 0};

	wire_build_open(w, WIRE_LISTENERS, &head->wire, &head->opts);
	listen_due(l, names, now_us, batch_listener, &c);
	return c.r < 0 ? c.r : batch_close(b, w, head, 0);
}

int batch_host(struct batch *b, struct wire_build *w, const struct batch_head *head, struct host *h)
{
	struct wire_sender s = {.agent = head->agent};
	struct wire_opts opts = head->opts;
	struct wire_adapters adapters;
	unsigned parts, i;

	host_adapters(HOST_NET, &adapters);
	opts.adapters = adapters.n ? &adapters : NULL;
	parts = wire_host_parts(w, &h->rec, &head->wire, &opts);
	for (i = 0; i < parts; i++) {
		struct batch_item *item = batch_place(b);
		size_t at;

		if (!item)
			return -ENOMEM;
		at = item->at;
		item->len = (uint32_t)wire_host_put(w, &h->rec, i, &head->wire, &opts, &s, 0, b->bytes.p + at,
						    WIRE_SIZE_MAX);
		b->bytes.n = at + item->len;
		b->n += item->len > 0;
	}
	return 0;
}

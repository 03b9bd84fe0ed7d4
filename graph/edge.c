/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The edge stage: partials of all flows partitions meet under their edge's id and are added up. One row an edge,
 * interval and transaction leaves, with the revision of that transaction: the rows of an interval add up to all that came,
 * however often it was written (law L8). A partial that comes after its interval closed makes a further revision, never
 * a correction.
 */
#include <errno.h>

#include "graph/stages.h"

struct edge_entry {
	struct bucket_entry base;
	struct flow_edge edge;
};

static bool edge_eq(const struct bucket_entry *e, const void *key)
{
	return ((const struct edge_entry *)e)->edge.id == *(const uint64_t *)key;
}

static int edge_when(const struct flow_msg *m, uint32_t *ret_interval, uint16_t *ret_interval_s, uint64_t *ret_rows)
{
	const struct flow_edge *e = &m->edge;
	const struct str texts[] = {e->name.net,         e->name.client_service,
				    e->name.client_zone, e->name.server_service,
				    e->name.server_zone, e->via};

	*ret_rows = flow_edge_rows(e);
	*ret_interval = e->interval;
	*ret_interval_s = e->interval_s;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (texts[i].n > FLOW_NAME_MAX)
			return -EBADMSG;
	}
	return e->id == flow_edge_id(&e->name) ? 0 : -EBADMSG;
}

static int edge_new(struct bucket *b, const struct flow_edge *from, struct edge_entry **ret)
{
	struct edge_entry *e = bucket_alloc(b, sizeof(*e));
	struct str *texts[] = {&e->edge.name.net, &e->edge.name.client_service, &e->edge.name.client_zone,
			       &e->edge.name.server_service, &e->edge.name.server_zone};
	int r = 0;

	if (!e)
		return -ENOMEM;
	e->edge.interval = from->interval;
	e->edge.interval_s = from->interval_s;
	e->edge.id = from->id;
	e->edge.name = from->name;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]) && r == 0; i++)
		r = bucket_str(b, *texts[i], texts[i]);
	if (r == 0)
		r = bucket_add(b, &e->base, from->id);
	if (r == 0)
		*ret = e;
	return r;
}

static int edge_fold(void *arg, struct bucket *b, const struct flow_msg *m)
{
	const struct flow_edge *from = &m->edge;
	struct edge_entry *e = (struct edge_entry *)bucket_find(b, from->id, edge_eq, &from->id);
	int r;

	(void)arg;
	if (!e) {
		r = edge_new(b, from, &e);
		if (r < 0)
			return r;
	}
	if (!e->edge.via.n && from->via.n) {
		r = bucket_str(b, from->via, &e->edge.via);
		if (r < 0)
			return r;
	}
	e->edge.observed |= from->observed;
	e->edge.client_rungs |= from->client_rungs;
	e->edge.server_rungs |= from->server_rungs;
	e->edge.flags |= from->flags;
	for (unsigned v = 0; v < FLOW_VIEWS; v++)
		flow_stats_add(&e->edge.view[v], &from->view[v]);
	return 0;
}

static int edge_emit(void *arg, struct window_batch *batch)
{
	struct bus *bus = arg;
	int r = 0;

	for (size_t i = 0; i < batch->n && r == 0; i++) {
		struct bucket *b = batch->buckets[i];

		b->rows_out = 0;
		for (struct bucket_entry *at = b->entries; at && r == 0; at = at->next) {
			struct flow_edge *e = &((struct edge_entry *)at)->edge;

			e->revision = batch->revision;
			b->rows_out += flow_edge_rows(e);
			r = window_put(batch, BUS_EDGES, bus_partition(bus, BUS_EDGES, e->id), &e->id, sizeof(e->id),
				       FLOW_MSG_EDGE, e);
		}
	}
	return r;
}

const struct window_stage edge_stage = {
	.role = "edge",
	.input = BUS_PARTIALS,
	.type = FLOW_MSG_EDGE,
	.when = edge_when,
	.fold = edge_fold,
	.emit = edge_emit,
};

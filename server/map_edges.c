/* SPDX-License-Identifier: Apache-2.0 */
/* The map's edges: lines between the same two nodes, their sums and signs. See map.c. */
#include <errno.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/table.h"
#include "server/map_work.h"

/* Lines that are left, between places of the map. */
static void draft_fold(struct map_draft *d)
{
	uint32_t other = 0;
	size_t n = 0;

	while (other < d->m->n_nodes && d->m->nodes[other].kind != MAP_KIND_OTHER)
		other++;
	for (size_t i = 0; i < d->n_lines; i++) {
		struct map_line l = d->lines[i];

		if (!l.kept)
			continue;
		l.source = d->nodes[l.source].place;
		l.target = d->nodes[l.target].place;
		l.source = l.source == UINT32_MAX ? other : l.source;
		l.target = l.target == UINT32_MAX ? other : l.target;
		d->lines[n++] = l;
	}
	d->n_lines = n;
	if (n)
		qsort(d->lines, n, sizeof(*d->lines), map_line_order);
}

/* Adds the best of a row's views (see the top). */
static void best_add(struct flow_edge *to, const struct flow_edge *e)
{
	static const uint8_t own[] = {FLOW_F_turn_self, FLOW_F_turn_peer, FLOW_F_turn_samples};
	struct flow_stats *c = &to->view[FLOW_VIEW_CLIENT], *s = &to->view[FLOW_VIEW_SERVER];
	struct flow_stats keep[2] = {e->view[FLOW_VIEW_CLIENT], e->view[FLOW_VIEW_SERVER]};

	for (unsigned f = 0; f < FLOW_FIELDS; f++) {
		bool mine = flow_fields[f].width == FLOW_HIST;

		for (size_t i = 0; i < ARRAY_LEN(own); i++)
			mine |= f == own[i];
		if (mine)
			continue;
		*flow_stats_u64(&keep[0], f) = flow_fields[f].dir == FLOW_RX ? 0 : store_best(e, f, true);
		*flow_stats_u64(&keep[1], f) = flow_fields[f].dir == FLOW_TX ? store_best(e, f, false) : 0;
	}
	keep[0].reset_received =
		flow_more(e->view[FLOW_VIEW_CLIENT].reset_received, e->view[FLOW_VIEW_SERVER].reset_sent);
	keep[0].reset_sent = flow_more(e->view[FLOW_VIEW_CLIENT].reset_sent, e->view[FLOW_VIEW_SERVER].reset_received);
	flow_stats_add(c, &keep[0]);
	flow_stats_add(s, &keep[1]);
}

static int edge_sum(struct map *m, struct map_edge *x, const struct map_line *l, size_t n)
{
	struct store_row *sum = map_alloc(m, sizeof(*sum));

	if (!sum)
		return -ENOMEM;
	*sum = *l->row;
	memset(sum->e.view, 0, sizeof(sum->e.view));
	sum->edges = 0;
	for (size_t i = 0; i < n; i++) {
		const struct store_row *row = l[i].row;

		best_add(&sum->e, &row->e);
		sum->e.observed |= row->e.observed;
		sum->e.flags |= row->e.flags;
		sum->e.client_rungs |= row->e.client_rungs;
		sum->e.server_rungs |= row->e.server_rungs;
		sum->edges += row->edges;
		sum->seconds = row->seconds > sum->seconds ? row->seconds : sum->seconds;
		sum->first = row->first < sum->first ? row->first : sum->first;
		sum->last = row->last > sum->last ? row->last : sum->last;
		x->same_client &= str_eq(row->e.name.client_service, sum->e.name.client_service);
		x->same_server &= str_eq(row->e.name.server_service, sum->e.name.server_service);
		if (row->e.name.protocol != x->protocol)
			x->protocol = 0;
		if (row->e.id != x->store_edge)
			x->store_edge = 0;
	}
	x->row = sum;
	return 0;
}

static void edge_port(struct map_edge *x, uint16_t port)
{
	unsigned i = 0;

	while (i < x->n_ports && x->ports[i] < port)
		i++;
	if (i == MAP_PORTS || (i < x->n_ports && x->ports[i] == port))
		return;
	if (x->n_ports < MAP_PORTS)
		x->n_ports++;
	memmove(&x->ports[i + 1], &x->ports[i], (x->n_ports - i - 1u) * sizeof(*x->ports));
	x->ports[i] = port;
}

static int map_sign_order(const void *a, const void *b)
{
	return signs_compare(&((const struct map_sign *)a)->sign, &((const struct map_sign *)b)->sign);
}

static int edge_signs(struct map *m, struct map_edge *x, const struct map_line *l, size_t n)
{
	struct sign signs[SIGNS_MAX];

	for (size_t i = 0; i < n; i++) {
		unsigned count = l[i].severity ? signs_of(&l[i].row->e, l[i].row->seconds, signs) : 0;

		for (unsigned k = 0; k < count; k++) {
			unsigned at = 0;

			if (!x->signs)
				x->signs = map_alloc(m, SIGNS_MAX * sizeof(*x->signs));
			if (!x->signs)
				return -ENOMEM;
			while (at < x->n_signs && (strcmp(x->signs[at].sign.name, signs[k].name) ||
						   strcmp(x->signs[at].sign.side, signs[k].side)))
				at++;
			if (at < x->n_signs && signs_compare(&x->signs[at].sign, &signs[k]) <= 0)
				continue;
			x->n_signs += at == x->n_signs;
			x->signs[at] = (struct map_sign){signs[k], l[i].row};
		}
	}
	if (x->n_signs)
		qsort(x->signs, x->n_signs, sizeof(*x->signs), map_sign_order);
	return 0;
}

static void node_add(struct map_node *n, const struct map_edge *x, uint64_t in, uint64_t out)
{
	n->bytes += x->bytes;
	n->in_bytes += in;
	n->out_bytes += out;
	n->edges++;
	if (x->n_signs && x->signs->sign.severity > n->severity)
		n->severity = x->signs->sign.severity;
}

static int draft_edge(struct map_draft *d, const struct map_line *l, size_t n)
{
	struct map *m = d->m;
	struct map_edge *x = &m->edges[m->n_edges++];
	struct map_node *source = &m->nodes[l->source], *target = &m->nodes[l->target];
	uint64_t c2s = 0, s2c = 0;
	int r;

	*x = (struct map_edge){.id = hash64_seed(source->id.p, source->id.n, hash64(target->id.p, target->id.n)),
			       .source = l->source,
			       .target = l->target,
			       .row = l->row,
			       .rows = (uint32_t)n,
			       .store_edge = l->row->e.id,
			       .same_client = true,
			       .same_server = true,
			       .protocol = l->row->e.name.protocol};
	for (size_t i = 0; i < n; i++) {
		x->bytes += l[i].bytes;
		x->observed |= l[i].row->e.observed;
		edge_port(x, l[i].row->e.name.port);
		c2s += store_best(&l[i].row->e, FLOW_F_tx_bytes, true);
		s2c += store_best(&l[i].row->e, FLOW_F_tx_bytes, false);
	}
	r = n > 1 ? edge_sum(m, x, l, n) : 0;
	if (!r)
		r = edge_signs(m, x, l, n);
	if (r)
		return r;
	if (source == target) {
		node_add(source, x, x->bytes, x->bytes);
	} else {
		node_add(source, x, s2c, c2s);
		node_add(target, x, c2s, s2c);
	}
	if (source->kind == MAP_KIND_OTHER || target->kind == MAP_KIND_OTHER) {
		m->other.edges++;
		m->other.bytes += x->bytes;
	}
	return 0;
}

int map_edges(struct map_draft *d)
{
	draft_fold(d);
	d->m->edges = calloc(d->n_lines + 1, sizeof(*d->m->edges));
	if (!d->m->edges)
		return -ENOMEM;
	for (size_t i = 0, n; i < d->n_lines; i += n) {
		int r;

		for (n = 1; i + n < d->n_lines && d->lines[i + n].source == d->lines[i].source &&
			    d->lines[i + n].target == d->lines[i].target;
		     n++)
			;
		r = draft_edge(d, &d->lines[i], n);
		if (r)
			return r;
	}
	return 0;
}

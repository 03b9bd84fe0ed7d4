/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From rows to a map.
 *
 *     rows -> lines (a row and its two nodes) -> idle, signs -> sorted: a run of lines is an edge -> focus -> limit -> sums
 *
 * 1. An edge of the map is (source node, target node). Several ports, protocols or store edges between the same two are
 *    one edge. From a node to itself is an edge like others.
 * 2. Nothing is lost by the limit: what is not among the best is in `other:`, its edges as well. The bytes of all edges
 *    of the map are those of all lines that passed focus and filter, to the byte.
 * 3. A row's best view is chosen per row, then added. Adding the views first and choosing then would drop the bytes of
 *    an edge seen by its client alone whenever another of the same two services was seen by the server alone. So a sum
 *    of several rows keeps the best of what a client says in its client's view, of a server in the server's; turns and
 *    histograms stay as they are.
 * 4. Signs are worked out per row and the worst of a kind is kept: twelve of twelve refused on one port must not drown
 *    in the thousands that went well on another.
 * 5. The order of rows does not matter: nodes are sorted by id, lines by nodes, edge and addresses.
 */
#include "server/map.h"

#include <errno.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/table.h"

const char *const map_groups[MAP_GROUPS] = {"service", "host", "zone", "net"};

const char *map_kind_name(enum map_kind k)
{
	static const char *const names[] = {"service", "host", "zone", "net", "unknown", "other"};

	return names[k];
}

/* --- memory that lives as long as the map */

struct map_chunk {
	struct map_chunk *next;
	size_t used, size;
	_Alignas(16) char data[];
};

static void *map_alloc(struct map *m, size_t n)
{
	struct map_chunk *c = m->memory;
	void *p;

	n = (n + 15) & ~(size_t)15;
	if (!c || c->size - c->used < n) {
		size_t size = n > 65536 ? n : 65536;

		c = malloc(sizeof(*c) + size);
		if (!c)
			return NULL;
		*c = (struct map_chunk){.next = m->memory, .size = size};
		m->memory = c;
	}
	p = c->data + c->used;
	c->used += n;
	return p;
}

void map_free(struct map *m)
{
	struct map_chunk *c, *next;

	if (!m)
		return;
	for (c = m->memory; c; c = next) {
		next = c->next;
		free(c);
	}
	free(m->nodes);
	free(m->edges);
	free(m);
}

/* --- nodes */

struct draft_node {
	struct map_node n;
	uint8_t rungs;
	uint32_t place; /* index in the map; UINT32_MAX: not in it */
	unsigned hops;
};

struct line {
	const struct store_row *row;
	uint32_t source, target;
	uint64_t bytes;
	double rank;
	uint8_t severity;
	bool kept;
};

struct draft {
	struct map *m;
	const struct map_ask *ask;
	struct draft_node *nodes;
	size_t n_nodes, cap_nodes;
	uint32_t *table; /* node + 1 by hash of its id */
	size_t cap_table;
	struct line *lines;
	size_t n_lines;
};

static int draft_grow(struct draft *d)
{
	size_t cap = d->cap_nodes ? d->cap_nodes * 2 : 64;
	struct draft_node *v = realloc(d->nodes, cap * sizeof(*v));
	uint32_t *table;

	if (!v)
		return -ENOMEM;
	d->nodes = v;
	d->cap_nodes = cap;
	table = calloc(cap * 2, sizeof(*table));
	if (!table)
		return -ENOMEM;
	free(d->table);
	d->table = table;
	d->cap_table = cap * 2;
	for (size_t i = 0; i < d->n_nodes; i++) {
		size_t h = hash64(v[i].n.id.p, v[i].n.id.n) & (d->cap_table - 1);

		while (table[h])
			h = (h + 1) & (d->cap_table - 1);
		table[h] = (uint32_t)i + 1;
	}
	return 0;
}

/* The node called prefix + name. */
static int draft_node(struct draft *d, const char *prefix, struct str name, uint32_t *ret)
{
	size_t n = strlen(prefix), h;
	char *id;
	int r;

	if (d->n_nodes * 2 >= d->cap_nodes) {
		r = draft_grow(d);
		if (r)
			return r;
	}
	id = map_alloc(d->m, n + name.n + 1);
	if (!id)
		return -ENOMEM;
	memcpy(id, prefix, n);
	if (name.n)
		memcpy(id + n, name.p, name.n);
	h = hash64(id, n + name.n) & (d->cap_table - 1);
	for (; d->table[h]; h = (h + 1) & (d->cap_table - 1))
		if (str_eq(d->nodes[d->table[h] - 1].n.id, (struct str){id, n + name.n})) {
			/* Given back: it is the newest. */
			d->m->memory->used -= (n + name.n + 1 + 15) & ~(size_t)15;
			*ret = d->table[h] - 1;
			return 0;
		}
	d->nodes[d->n_nodes] = (struct draft_node){
		.n = {.id = {id, n + name.n}, .name = {id + n, name.n}}, .place = UINT32_MAX, .hops = UINT32_MAX};
	d->table[h] = (uint32_t)++d->n_nodes;
	*ret = (uint32_t)d->n_nodes - 1;
	return 0;
}

/* One end of a row. */
struct end {
	struct str service, zone;
	uint8_t rungs;
	const struct ip *ip;
};

static void end_of(const struct flow_edge *e, bool server, struct end *ret)
{
	*ret = server ? (struct end){e->name.server_service, e->name.server_zone, e->server_rungs, &e->server}
		      : (struct end){e->name.client_service, e->name.client_zone, e->client_rungs, &e->client};
}

static int end_host(struct draft *d, const struct flow_edge *e, const struct end *end, uint32_t *ret)
{
	const char *id = NULL, *name;
	char text[IP_TEXT];
	int r;

	/* The rest above the store's cap of pairs: nobody knows between whom. */
	if (ip_is_zero(&e->client) && ip_is_zero(&e->server)) {
		r = draft_node(d, "other:", STR(""), ret);
		if (!r)
			d->nodes[*ret].n.kind = MAP_KIND_OTHER;
		return r;
	}
	name = d->ask->host(d->ask->arg, end->ip, e->scope, &id);
	if (name) {
		r = draft_node(d, "host:", str_from(id && *id ? id : name), ret);
		if (!r) {
			d->nodes[*ret].n.kind = MAP_KIND_HOST;
			d->nodes[*ret].n.name = str_from(*name ? name : id);
		}
		return r;
	}
	if (end->rungs & 1 << FLOW_RUNG_INVENTORY)
		r = draft_node(d, "host:", end->service, ret);
	else
		r = draft_node(d, "host:", str_from(ip_format(end->ip, text)), ret);
	if (!r)
		d->nodes[*ret].n.kind = MAP_KIND_UNKNOWN;
	return r;
}

static int end_node(struct draft *d, const struct flow_edge *e, bool server, uint32_t *ret)
{
	struct draft_node *x;
	struct end end;
	int r;

	end_of(e, server, &end);
	switch (d->ask->group) {
	case MAP_HOST:
		r = end_host(d, e, &end, ret);
		break;
	case MAP_ZONE:
		r = draft_node(d, "zone:", end.zone, ret);
		break;
	case MAP_NET:
		r = draft_node(d, "net:", e->name.net, ret);
		break;
	default:
		r = draft_node(d, "service:", end.service, ret);
	}
	if (r)
		return r;
	x = &d->nodes[*ret];
	if (d->ask->group == MAP_ZONE || d->ask->group == MAP_NET) {
		x->n.kind = d->ask->group == MAP_ZONE ? MAP_KIND_ZONE : MAP_KIND_NET;
		return 0;
	}
	x->rungs |= end.rungs;
	if (end.zone.n && x->n.kind != MAP_KIND_OTHER && (!x->n.zone.n || str_cmp(end.zone, x->n.zone) < 0))
		x->n.zone = end.zone;
	return 0;
}

/* What names a service node: somebody who saw the process, a host record, or nobody. */
static enum map_kind service_kind(const struct draft_node *x)
{
	const struct str unknown = STR("unknown:");

	if (x->rungs & (1 << FLOW_RUNG_VIEW | 1 << FLOW_RUNG_LISTENER))
		return MAP_KIND_SERVICE;
	if (x->rungs & 1 << FLOW_RUNG_HOST)
		return MAP_KIND_HOST;
	if (!x->rungs && (x->n.name.n < unknown.n || memcmp(x->n.name.p, unknown.p, unknown.n)))
		return MAP_KIND_SERVICE;
	return MAP_KIND_UNKNOWN;
}

/* --- lines */

static bool row_idle(const struct flow_edge *e)
{
	for (unsigned v = 0; v < FLOW_VIEWS; v++) {
		const struct flow_stats *s = &e->view[v];

		if (s->tx_bytes || s->rx_bytes || s->attempts || s->opened || s->open_ms || flow_stats_failed(s))
			return false;
	}
	return true;
}

static int draft_lines(struct draft *d, const struct store_row *rows, size_t n)
{
	const char *metric = d->ask->metric ? d->ask->metric : "bytes";
	struct sign signs[SIGNS_MAX];

	for (size_t i = 0; i < n; i++) {
		const struct flow_edge *e = &rows[i].e;
		struct line *l = &d->lines[d->n_lines];
		int r;

		if (!d->ask->idle && row_idle(e))
			continue;
		*l = (struct line){.row = &rows[i], .kept = true};
		l->severity = signs_of(e, rows[i].seconds, signs) ? signs->severity : SIGN_NONE;
		if (d->ask->signs_only && !l->severity)
			continue;
		r = end_node(d, e, false, &l->source);
		if (!r)
			r = end_node(d, e, true, &l->target);
		if (r)
			return r;
		l->bytes = store_sum(e, "bytes");
		l->rank = (double)store_sum(e, metric);
		d->n_lines++;
	}
	return 0;
}

static int line_order(const void *a, const void *b)
{
	const struct line *x = a, *y = b;
	int c;

	if (x->source != y->source)
		return x->source < y->source ? -1 : 1;
	if (x->target != y->target)
		return x->target < y->target ? -1 : 1;
	if (x->row->e.id != y->row->e.id)
		return x->row->e.id < y->row->e.id ? -1 : 1;
	c = memcmp(&x->row->e.client, &y->row->e.client, sizeof(struct ip));
	if (!c)
		c = memcmp(&x->row->e.server, &y->row->e.server, sizeof(struct ip));
	return c ? c : str_cmp(x->row->e.scope, y->row->e.scope);
}

static int node_order(const void *a, const void *b)
{
	return str_cmp(((const struct draft_node *)a)->n.id, ((const struct draft_node *)b)->n.id);
}

/* Nodes by id, lines by nodes. */
static int draft_sort(struct draft *d)
{
	uint32_t *moved = calloc(d->n_nodes + 1, sizeof(*moved));

	if (!moved)
		return -ENOMEM;
	for (size_t i = 0; i < d->n_nodes; i++) {
		d->nodes[i].place = (uint32_t)i;
		if (d->ask->group == MAP_SERVICE)
			d->nodes[i].n.kind = service_kind(&d->nodes[i]);
	}
	if (d->n_nodes)
		qsort(d->nodes, d->n_nodes, sizeof(*d->nodes), node_order);
	for (size_t i = 0; i < d->n_nodes; i++) {
		moved[d->nodes[i].place] = (uint32_t)i;
		d->nodes[i].place = UINT32_MAX;
	}
	for (size_t i = 0; i < d->n_lines; i++) {
		d->lines[i].source = moved[d->lines[i].source];
		d->lines[i].target = moved[d->lines[i].target];
	}
	free(moved);
	if (d->n_lines)
		qsort(d->lines, d->n_lines, sizeof(*d->lines), line_order);
	return 0;
}

static void draft_matched(struct draft *d)
{
	d->m->matched.nodes = d->n_nodes;
	for (size_t i = 0, n; i < d->n_lines; i += n) {
		bool sign = false;

		for (n = 0; i + n < d->n_lines && d->lines[i + n].source == d->lines[i].source &&
			    d->lines[i + n].target == d->lines[i].target;
		     n++)
			sign |= d->lines[i + n].severity;
		d->m->matched.edges++;
		d->m->matched.signs += sign;
	}
}

/* --- focus: nodes within `depth` hops, and the edges on the way there (not those among the last ones) */

static void draft_focus(struct draft *d)
{
	struct draft_node *at, key = {.n.id = str_from(d->ask->focus)};

	at = d->n_nodes ? bsearch(&key, d->nodes, d->n_nodes, sizeof(*at), node_order) : NULL;
	d->m->focus_found = at != NULL;
	if (at)
		at->hops = 0;
	for (unsigned hop = 0; at && hop < d->ask->depth; hop++)
		for (size_t i = 0; i < d->n_lines; i++) {
			struct draft_node *s = &d->nodes[d->lines[i].source], *t = &d->nodes[d->lines[i].target];

			if (s->hops == hop && t->hops > hop)
				t->hops = hop + 1;
			else if (t->hops == hop && s->hops > hop)
				s->hops = hop + 1;
		}
	for (size_t i = 0; i < d->n_lines; i++)
		d->lines[i].kept = d->nodes[d->lines[i].source].hops < d->ask->depth ||
				   d->nodes[d->lines[i].target].hops < d->ask->depth;
}

/* --- limit */

struct ranked {
	const struct draft_node *node;
	uint32_t index;
	bool first;
};

static int ranked_order(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->first != y->first)
		return x->first ? -1 : 1;
	if (x->node->n.rank != y->node->n.rank)
		return x->node->n.rank > y->node->n.rank ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

/* Sums of the nodes over kept lines; then the best `limit` get a place, by id. */
static int draft_limit(struct draft *d)
{
	size_t limit = d->ask->limit ? d->ask->limit : MAP_NODES_MAX, n = 0, other = 0;
	struct ranked *v = calloc(d->n_nodes + 1, sizeof(*v));
	bool *in = calloc(d->n_nodes + 1, sizeof(*in));
	struct map *m = d->m;

	m->nodes = calloc((limit < d->n_nodes ? limit : d->n_nodes) + 2, sizeof(*m->nodes));
	if (!v || !in || !m->nodes) {
		free(v);
		free(in);
		return -ENOMEM;
	}
	for (size_t i = 0; i < d->n_lines; i++) {
		const struct line *l = &d->lines[i];

		if (!l->kept)
			continue;
		in[l->source] = in[l->target] = true;
		d->nodes[l->source].n.rank += l->rank;
		if (l->target != l->source)
			d->nodes[l->target].n.rank += l->rank;
	}
	for (uint32_t i = 0; i < d->n_nodes; i++)
		if ((in[i] || !d->nodes[i].hops) && d->nodes[i].n.kind != MAP_KIND_OTHER)
			v[n++] = (struct ranked){&d->nodes[i], i, !d->nodes[i].hops};
	if (n)
		qsort(v, n, sizeof(*v), ranked_order);
	for (size_t i = 0; i < n; i++)
		in[v[i].index] = i < limit;
	m->other.nodes = n > limit ? n - limit : 0;
	for (uint32_t i = 0, k = 0; i <= d->n_nodes; i++) {
		bool here = i == d->n_nodes || str_cmp(d->nodes[i].n.id, STR("other:")) >= 0;

		/* Where `other:` belongs by id, if it is needed. */
		if (here && !other++) {
			bool rest = i < d->n_nodes && d->nodes[i].n.kind == MAP_KIND_OTHER && in[i];

			if (m->other.nodes || rest)
				m->nodes[m->n_nodes++] = (struct map_node){.id = STR("other:"),
									   .name = STR("other"),
									   .kind = MAP_KIND_OTHER,
									   .members = (uint32_t)m->other.nodes};
			k = (uint32_t)m->n_nodes;
		}
		if (i == d->n_nodes || !in[i] || d->nodes[i].n.kind == MAP_KIND_OTHER)
			continue;
		d->nodes[i].place = k = (uint32_t)m->n_nodes;
		m->nodes[m->n_nodes++] = d->nodes[i].n;
	}
	free(v);
	free(in);
	return 0;
}

/* --- edges */

/* Lines that are left, between places of the map. */
static void draft_fold(struct draft *d)
{
	uint32_t other = 0;
	size_t n = 0;

	while (other < d->m->n_nodes && d->m->nodes[other].kind != MAP_KIND_OTHER)
		other++;
	for (size_t i = 0; i < d->n_lines; i++) {
		struct line l = d->lines[i];

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
		qsort(d->lines, n, sizeof(*d->lines), line_order);
}

static uint64_t more(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
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
	keep[0].reset_received = more(e->view[FLOW_VIEW_CLIENT].reset_received, e->view[FLOW_VIEW_SERVER].reset_sent);
	keep[0].reset_sent = more(e->view[FLOW_VIEW_CLIENT].reset_sent, e->view[FLOW_VIEW_SERVER].reset_received);
	flow_stats_add(c, &keep[0]);
	flow_stats_add(s, &keep[1]);
}

static int edge_sum(struct map *m, struct map_edge *x, const struct line *l, size_t n)
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

static int edge_signs(struct map *m, struct map_edge *x, const struct line *l, size_t n)
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

static int draft_edge(struct draft *d, const struct line *l, size_t n)
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

static int draft_edges(struct draft *d)
{
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

int map_new(struct map **ret, const struct store_row *rows, size_t n, const struct map_ask *ask)
{
	struct draft d = {.m = calloc(1, sizeof(*d.m)), .ask = ask, .lines = calloc(n + 1, sizeof(*d.lines))};
	int r = d.m && d.lines ? 0 : -ENOMEM;

	if (!r)
		r = draft_lines(&d, rows, n);
	if (!r)
		r = draft_sort(&d);
	if (!r) {
		draft_matched(&d);
		if (ask->focus)
			draft_focus(&d);
		r = draft_limit(&d);
	}
	if (!r) {
		draft_fold(&d);
		r = draft_edges(&d);
	}
	free(d.nodes);
	free(d.table);
	free(d.lines);
	if (r) {
		map_free(d.m);
		return r;
	}
	*ret = d.m;
	return 0;
}

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
#include "server/map_work.h"

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

void *map_alloc(struct map *m, size_t n)
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

static int draft_grow(struct map_draft *d)
{
	size_t cap = d->cap_nodes ? d->cap_nodes * 2 : 64;
	struct map_draft_node *v = realloc(d->nodes, cap * sizeof(*v));
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
static int draft_node(struct map_draft *d, const char *prefix, struct str name, uint32_t *ret)
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
	d->nodes[d->n_nodes] = (struct map_draft_node){
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

static int end_host(struct map_draft *d, const struct flow_edge *e, const struct end *end, uint32_t *ret)
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

static int end_node(struct map_draft *d, const struct flow_edge *e, bool server, uint32_t *ret)
{
	struct map_draft_node *x;
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
static enum map_kind service_kind(const struct map_draft_node *x)
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

static int draft_lines(struct map_draft *d, const struct store_row *rows, size_t n)
{
	int bytes = store_metric("bytes"), metric = d->ask->metric ? store_metric(d->ask->metric) : bytes;
	struct sign signs[SIGNS_MAX];

	for (size_t i = 0; i < n; i++) {
		const struct flow_edge *e = &rows[i].e;
		struct map_line *l = &d->lines[d->n_lines];
		int r;

		if (!d->ask->idle && row_idle(e))
			continue;
		*l = (struct map_line){.row = &rows[i], .kept = true};
		l->severity = signs_of(e, rows[i].seconds, signs) ? signs->severity : SIGN_NONE;
		if (d->ask->signs_only && !l->severity)
			continue;
		r = end_node(d, e, false, &l->source);
		if (!r)
			r = end_node(d, e, true, &l->target);
		if (r)
			return r;
		l->bytes = store_metric_sum(e, bytes);
		l->rank = (double)store_metric_sum(e, metric);
		d->n_lines++;
	}
	return 0;
}

int map_line_order(const void *a, const void *b)
{
	const struct map_line *x = a, *y = b;
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
	return str_cmp(((const struct map_draft_node *)a)->n.id, ((const struct map_draft_node *)b)->n.id);
}

/* Nodes by id, lines by nodes. */
static int draft_sort(struct map_draft *d)
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
		qsort(d->lines, d->n_lines, sizeof(*d->lines), map_line_order);
	return 0;
}

static void draft_matched(struct map_draft *d)
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

static void draft_focus(struct map_draft *d)
{
	struct map_draft_node *at, key = {.n.id = str_from(d->ask->focus)};

	at = d->n_nodes ? bsearch(&key, d->nodes, d->n_nodes, sizeof(*at), node_order) : NULL;
	d->m->focus_found = at != NULL;
	if (at)
		at->hops = 0;
	for (unsigned hop = 0; at && hop < d->ask->depth; hop++)
		for (size_t i = 0; i < d->n_lines; i++) {
			struct map_draft_node *s = &d->nodes[d->lines[i].source], *t = &d->nodes[d->lines[i].target];

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
	const struct map_draft_node *node;
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

/* Nodes that are `in` become the map's, by id; `other:` where it belongs, if it is needed. */
static void draft_places(struct map_draft *d, const bool *in)
{
	struct map *m = d->m;
	bool other = m->other.nodes > 0;

	for (size_t i = 0; i < d->n_nodes; i++)
		other |= in[i] && d->nodes[i].n.kind == MAP_KIND_OTHER;
	for (size_t i = 0; i <= d->n_nodes; i++) {
		if (other && (i == d->n_nodes || str_cmp(d->nodes[i].n.id, STR("other:")) >= 0)) {
			m->nodes[m->n_nodes++] = (struct map_node){.id = STR("other:"),
								   .name = STR("other"),
								   .kind = MAP_KIND_OTHER,
								   .members = (uint32_t)m->other.nodes};
			other = false;
		}
		if (i == d->n_nodes || !in[i] || d->nodes[i].n.kind == MAP_KIND_OTHER)
			continue;
		d->nodes[i].place = (uint32_t)m->n_nodes;
		m->nodes[m->n_nodes++] = d->nodes[i].n;
	}
}

/* Sums of the nodes over kept lines; then the best `limit` get a place. */
static int draft_limit(struct map_draft *d)
{
	size_t limit = d->ask->limit ? d->ask->limit : MAP_NODES_MAX, n = 0;
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
		const struct map_line *l = &d->lines[i];

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
	draft_places(d, in);
	free(v);
	free(in);
	return 0;
}

int map_new(struct map **ret, const struct store_row *rows, size_t n, const struct map_ask *ask)
{
	struct map_draft d = {.m = calloc(1, sizeof(*d.m)), .ask = ask, .lines = calloc(n + 1, sizeof(*d.lines))};
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
	if (!r)
		r = map_edges(&d);
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

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/hash.h"
#include "graph/name_end.h"
#include "graph/pair_entry.h"
#include "graph/split.h"

/* One service at one end of a conversation. */
struct side {
	struct str service, via;
	enum flow_rung rung;
	uint32_t flags;
	const struct flow_stats *stats;  /* its own view; NULL: it has none */
	const struct flow_stats *weight; /* by what the other end's view is divided */
};

/* A conversation being written out. */
struct join {
	struct pair *p;
	struct window_batch *batch;
	struct bucket *b;
	struct bucket *edges; /* partials in the making: struct join_edge */
	struct bucket *loose; /* pair rows that may have to be added up first: without a role, many ports are one row */
	const struct pair_entry *entry;
	struct side clients[PAIR_ENDS], servers[PAIR_ENDS];
	unsigned n_clients, n_servers;
	struct flow_stats network;
	uint32_t network_flags;
	bool has_network;
	bool unnamed; /* a side's name is not its own, so two sides may share one */
	struct str client_zone, server_zone;
	char client_text[NAME_END_TEXT], server_text[NAME_END_TEXT];
	struct names_ends known;
};

struct join_edge {
	struct bucket_entry base;
	struct flow_edge edge;
};

static int join_put(struct join *j, enum bus_topic t, enum flow_msg_type type, const struct flow_edge *e,
		    struct pair_count *counts)
{
	unsigned partition = bus_partition(j->p->bus, t, e->id);

	counts[partition].rows += flow_edge_rows(e);
	counts[partition].messages++;
	return window_put(j->batch, t, partition, &e->id, sizeof(e->id), type, e);
}

/* --- adding up edges of one name */

static bool edge_same(const struct bucket_entry *have, const void *key)
{
	const struct flow_edge *a = &((const struct join_edge *)have)->edge, *b = key;

	return a->id == b->id && ip_eq(&a->client, &b->client) && ip_eq(&a->server, &b->server) &&
	       str_eq(a->scope, b->scope);
}

static uint64_t edge_hash(const struct flow_edge *e)
{
	uint64_t h = hash64_seed(e->client.b, 16, hash64_seed(e->server.b, 16, e->id));

	return e->scope.n ? hash64_seed(e->scope.p, e->scope.n, h) : h;
}

static int edge_copy_texts(struct bucket *b, struct flow_edge *e)
{
	struct str *texts[] = {&e->name.net,
			       &e->name.client_service,
			       &e->name.client_zone,
			       &e->name.server_service,
			       &e->name.server_zone,
			       &e->via,
			       &e->scope};
	int r = 0;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]) && r == 0; i++)
		r = bucket_str(b, *texts[i], texts[i]);
	return r;
}

/* Adds an edge to those of `to` that have the same id, addresses and scope. */
static int edge_add(struct bucket *to, const struct flow_edge *e)
{
	uint64_t hash = edge_hash(e);
	struct join_edge *have = (struct join_edge *)bucket_find(to, hash, edge_same, e);
	int r;

	if (!have) {
		have = bucket_alloc(to, sizeof(*have));
		if (!have)
			return -ENOMEM;
		have->edge = *e;
		r = edge_copy_texts(to, &have->edge);
		return r < 0 ? r : bucket_add(to, &have->base, hash);
	}
	have->edge.observed |= e->observed;
	have->edge.client_rungs |= e->client_rungs;
	have->edge.server_rungs |= e->server_rungs;
	have->edge.flags |= e->flags;
	if (!have->edge.via.n && e->via.n) {
		r = bucket_str(to, e->via, &have->edge.via);
		if (r < 0)
			return r;
	}
	for (unsigned v = 0; v < FLOW_VIEWS; v++)
		flow_stats_add(&have->edge.view[v], &e->view[v]);
	return 0;
}

/* --- one edge of a conversation */

static void edge_name(const struct join *j, const struct side *client, const struct side *server, uint16_t port,
		      struct flow_edge *e)
{
	const struct flow_conv *c = &j->entry->conv;

	e->interval = j->b->interval;
	e->interval_s = j->b->interval_s;
	e->revision = j->batch->revision;
	e->name = (struct flow_edge_name){c->net, client->service, j->client_zone, server->service, j->server_zone,
					  port,   c->protocol};
	e->id = flow_edge_id(&e->name);
	e->client_rungs = (uint8_t)(1u << client->rung);
	e->server_rungs = (uint8_t)(1u << server->rung);
	e->flags |= client->flags | server->flags;
	e->via = client->via;
	e->client = c->client;
	e->server = c->server;
	e->scope = c->scope;
}

/* The edge as a partial: no addresses, no revision. */
static int join_partial(struct join *j, const struct flow_edge *e)
{
	struct flow_edge *partial = malloc(sizeof(*partial));
	int r;

	if (!partial)
		return -ENOMEM;
	*partial = *e;
	partial->revision = 0;
	partial->client = partial->server = (struct ip){{0}};
	partial->scope = (struct str){0};
	r = edge_add(j->edges, partial);
	free(partial);
	return r;
}

/* --- who the ends are */

static int side_cmp(const void *a, const void *b)
{
	return str_cmp(((const struct side *)a)->service, ((const struct side *)b)->service);
}

static struct hosts_where join_where(const struct join *j, const struct ip *ip)
{
	return (struct hosts_where){j->entry->conv.net, j->entry->conv.scope, *ip, j->b->interval, j->b->interval_s};
}

/* Services kept from before, as sides without a view; their bytes are the weights. */
static int sides_known(struct join *j, const struct names_end *ends, unsigned n, struct side *sides)
{
	for (unsigned i = 0; i < n; i++) {
		struct flow_stats *w = bucket_alloc(j->edges, sizeof(*w));

		if (!w)
			return -ENOMEM;
		w->tx_bytes = w->rx_bytes = ends[i].bytes;
		sides[i] = (struct side){.service = ends[i].service, .rung = FLOW_RUNG_VIEW, .weight = w};
	}
	return 0;
}

static void side_unnamed(struct join *j, const struct ip *ip, uint16_t port, struct side *side,
			 char text[NAME_END_TEXT])
{
	const struct hosts_where at = join_where(j, ip);

	side->service = name_end(j->p->hosts, j->p->inv, &at, j->entry->conv.protocol, port, &side->rung, text);
}

/* Sides of a view, sorted by name. */
static unsigned sides_of_view(const struct pair_entry *e, enum flow_view view, struct side *sides)
{
	unsigned n = 0;

	for (const struct pair_end *end = e->ends; end; end = end->next) {
		if (end->no_role || end->view != view || n == PAIR_ENDS)
			continue;
		sides[n++] = (struct side){.service = end->service,
					   .via = end->via,
					   .rung = FLOW_RUNG_VIEW,
					   .flags = end->flags,
					   .stats = &end->stats,
					   .weight = &end->stats};
	}
	qsort(sides, n, sizeof(*sides), side_cmp);
	return n;
}

/* Fills in the sides of one end: its views, else its names from before, else one by the other means. */
static int join_sides(struct join *j, enum flow_view view)
{
	const struct flow_conv *c = &j->entry->conv;
	bool client = view == FLOW_VIEW_CLIENT;
	struct side *sides = client ? j->clients : j->servers;
	unsigned *n = client ? &j->n_clients : &j->n_servers;
	const struct ip *ip = client ? &c->client : &c->server;
	uint16_t port = client ? 0 : c->port;
	char *text = client ? j->client_text : j->server_text;
	int r;

	*n = sides_of_view(j->entry, view, sides);
	if (*n == 0 && names_find(j->p->names, c, j->entry->base.hash, j->b->interval, &j->known)) {
		*n = client ? j->known.n_clients : j->known.n_servers;
		r = sides_known(j, client ? j->known.clients : j->known.servers, *n, sides);
		if (r < 0)
			return r;
	}
	if (*n == 0)
		sides[(*n)++] = (struct side){.rung = FLOW_RUNG_NONE};
	for (unsigned i = 0; i < *n; i++) {
		if (sides[i].service.n)
			continue;
		side_unnamed(j, ip, port, &sides[i], text); /* at most one: services differ */
		j->unnamed = true;
	}
	return 0;
}

/* --- dividing */

/* The views of the services at one end, each among the services at the other. */
static int join_divide(struct join *j, enum flow_view view, struct flow_edge *edges)
{
	bool client = view == FLOW_VIEW_CLIENT;
	const struct side *own = client ? j->clients : j->servers, *other = client ? j->servers : j->clients;
	unsigned n_own = client ? j->n_clients : j->n_servers, n_other = client ? j->n_servers : j->n_clients;
	const struct flow_stats *weights[PAIR_ENDS];
	struct flow_stats *parts[PAIR_ENDS];
	int r = 0;

	for (unsigned k = 0; k < n_other; k++)
		weights[k] = other[k].weight;
	for (unsigned i = 0; i < n_own && r == 0; i++) {
		if (!own[i].stats)
			continue;
		for (unsigned k = 0; k < n_other; k++)
			parts[k] = &edges[client ? i * j->n_servers + k : k * j->n_servers + i].view[view];
		r = split_stats(own[i].stats, weights, n_other, true, parts);
	}
	return r;
}

/* What the network saw goes to the first edge of each client by the clients' weights: it cannot tell services apart. */
static int join_divide_network(struct join *j, struct flow_edge *edges)
{
	const struct flow_stats *weights[PAIR_ENDS];
	struct flow_stats *parts[PAIR_ENDS];

	for (unsigned i = 0; i < j->n_clients; i++) {
		weights[i] = j->clients[i].weight;
		parts[i] = &edges[i * j->n_servers].view[FLOW_VIEW_NETWORK];
	}
	return split_stats(&j->network, weights, j->n_clients, false, parts);
}

static bool edge_empty(const struct flow_edge *e)
{
	return flow_stats_empty(&e->view[FLOW_VIEW_CLIENT]) && flow_stats_empty(&e->view[FLOW_VIEW_SERVER]) &&
	       flow_stats_empty(&e->view[FLOW_VIEW_NETWORK]);
}

/* Names edge (client i, server k) and hands it on. */
static int join_edge(struct join *j, struct flow_edge *e, unsigned i, unsigned k)
{
	const struct side *client = &j->clients[i], *server = &j->servers[k];
	unsigned n = j->n_clients * j->n_servers;
	int r;

	if (n > 1 && edge_empty(e))
		return 0;
	e->observed =
		(uint8_t)((client->stats ? 1u << FLOW_VIEW_CLIENT : 0) | (server->stats ? 1u << FLOW_VIEW_SERVER : 0));
	if (j->has_network && (n == 1 || !flow_stats_empty(&e->view[FLOW_VIEW_NETWORK]))) {
		e->observed |= 1u << FLOW_VIEW_NETWORK;
		e->flags |= j->network_flags;
	}
	if ((j->n_clients > 1 && (server->stats || j->has_network)) || (j->n_servers > 1 && client->stats))
		e->flags |= FLOW_SPLIT;
	edge_name(j, client, server, j->entry->conv.port, e);
	r = n > 1 && j->unnamed ? edge_add(j->loose, e) : join_put(j, BUS_PAIRS, FLOW_MSG_PAIR, e, j->p->pairs);
	return r < 0 ? r : join_partial(j, e);
}

static int join_settled(struct join *j)
{
	struct flow_edge *edges = NULL;
	int r = join_sides(j, FLOW_VIEW_CLIENT);

	if (r == 0)
		r = join_sides(j, FLOW_VIEW_SERVER);
	if (r < 0)
		return r;
	edges = calloc((size_t)j->n_clients * j->n_servers, sizeof(*edges));
	if (!edges)
		return -ENOMEM;
	r = join_divide(j, FLOW_VIEW_CLIENT, edges);
	if (r == 0)
		r = join_divide(j, FLOW_VIEW_SERVER, edges);
	if (r == 0 && j->has_network)
		r = join_divide_network(j, edges);
	for (unsigned i = 0; i < j->n_clients; i++) {
		for (unsigned k = 0; k < j->n_servers && r == 0; k++)
			r = join_edge(j, &edges[i * j->n_servers + k], i, k);
	}
	free(edges);
	return r;
}

/* A row nobody could give a role: from the end that measured to the other, port 0. */
static int join_loose(struct join *j, const struct pair_end *end)
{
	const struct flow_conv *c = &j->entry->conv;
	struct side client = {.service = end->service, .rung = FLOW_RUNG_VIEW, .via = end->via, .flags = end->flags};
	enum flow_view view = end->view == FLOW_VIEW_NETWORK ? FLOW_VIEW_NETWORK : FLOW_VIEW_CLIENT;
	struct side server = {.rung = FLOW_RUNG_NONE};
	struct flow_edge *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	if (!client.service.n)
		side_unnamed(j, &c->client, 0, &client, j->client_text);
	side_unnamed(j, &c->server, 0, &server, j->server_text);
	e->observed = (uint8_t)(1u << view);
	e->flags = FLOW_NO_ROLE;
	e->view[view] = end->stats;
	edge_name(j, &client, &server, 0, e);
	r = edge_add(j->loose, e);
	if (r == 0)
		r = join_partial(j, e);
	free(e);
	return r;
}

static int join_entry(struct join *j, const struct pair_entry *entry)
{
	const struct flow_conv *c = &entry->conv;
	bool settled = false;
	int r = 0;

	j->entry = entry;
	j->has_network = j->unnamed = false;
	j->client_zone = name_zone(j->p->inv, c->net, &c->client);
	j->server_zone = name_zone(j->p->inv, c->net, &c->server);
	for (const struct pair_end *end = entry->ends; end && r == 0; end = end->next) {
		if (end->no_role) {
			r = join_loose(j, end);
			continue;
		}
		settled = true;
		if (end->view != FLOW_VIEW_NETWORK)
			continue;
		if (!j->has_network) {
			j->network = (struct flow_stats){0};
			j->network_flags = 0;
		}
		j->has_network = true;
		j->network_flags |= end->flags;
		flow_stats_add(&j->network, &end->stats);
	}
	return r == 0 && settled ? join_settled(j) : r;
}

/* Writes what was added up. */
static int join_write(struct join *j)
{
	int r = 0;

	for (struct bucket_entry *e = j->loose->entries; e && r == 0; e = e->next)
		r = join_put(j, BUS_PAIRS, FLOW_MSG_PAIR, &((struct join_edge *)e)->edge, j->p->pairs);
	for (struct bucket_entry *e = j->edges->entries; e && r == 0; e = e->next) {
		const struct flow_edge *edge = &((struct join_edge *)e)->edge;

		j->b->rows_out += flow_edge_rows(edge);
		r = join_put(j, BUS_PARTIALS, FLOW_MSG_EDGE, edge, j->p->partials);
	}
	return r;
}

int pair_join(struct pair *p, struct window_batch *batch, struct bucket *b)
{
	struct join *j = calloc(1, sizeof(*j));
	int r = -ENOMEM;

	if (!j)
		return -ENOMEM;
	j->p = p;
	j->batch = batch;
	j->b = b;
	b->rows_out = 0;
	j->edges = bucket_new(b->interval, b->interval_s, 0);
	j->loose = bucket_new(b->interval, b->interval_s, 0);
	if (!j->edges || !j->loose)
		goto out;
	r = 0;
	for (struct bucket_entry *e = b->entries; e && r == 0; e = e->next)
		r = join_entry(j, (struct pair_entry *)e);
	if (r == 0)
		r = join_write(j);
out:
	bucket_free(j->edges);
	bucket_free(j->loose);
	free(j);
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/graph: the map, with places; also as DOT, Mermaid, SVG and CSV. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/table.h"
#include "server/api.h"
#include "server/layout.h"
#include "server/map.h"
#include "server/picture.h"
#include "server/views.h"

struct graph {
	struct store_ask ask;
	struct api_filter filter;
	struct map_ask how;
	struct store_rows rows;
	struct api_names *names;
	struct map *map;
	const struct layout *layout; /* NULL: not wanted */
	struct api_brief brief;
};

/* --- parameters */

/* The index of the parameter's value among words; *ret untouched when absent. */
static int graph_word(struct api *a, const char *name, const char *const *words, size_t n, unsigned *ret)
{
	const char *text = http_param(a->req, name);
	char hint[128] = "one of:";

	if (!text)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(text, words[i])) {
			*ret = (unsigned)i;
			return 0;
		}
		snprintf(hint + strlen(hint), sizeof(hint) - strlen(hint), " %s", words[i]);
	}
	return api_error(a, 400, hint, "%s cannot be %.40s", name, text);
}

static const char *const graph_idle[] = {"hide", "show"};
static const char *const graph_only[] = {"all", "signs"};
static const char *const graph_layouts[] = {"keep", "fresh", "none"};
static const char *const graph_formats[] = {"json", "dot", "mermaid", "svg", "csv"};

enum { GRAPH_KEEP, GRAPH_FRESH, GRAPH_NONE };
enum { GRAPH_JSON, GRAPH_DOT, GRAPH_MERMAID, GRAPH_SVG, GRAPH_CSV };

static int graph_params(struct api *a, struct graph *g, unsigned *ret_layout, unsigned *ret_format)
{
	unsigned group = MAP_SERVICE, idle = 0, only = 0;
	uint64_t limit = 150, depth = 1;

	g->how.metric = http_param(a->req, "metric");
	if (g->how.metric && !store_sort_known(g->how.metric))
		return api_error(a, 400,
				 "bytes, opened, failed, retransmitted, ... or a column: as sort of /api/v1/edges",
				 "no sum is called %.60s", g->how.metric);
	if (graph_word(a, "group", map_groups, MAP_GROUPS, &group) ||
	    graph_word(a, "idle", graph_idle, ARRAY_LEN(graph_idle), &idle) ||
	    graph_word(a, "only", graph_only, ARRAY_LEN(graph_only), &only) ||
	    graph_word(a, "layout", graph_layouts, ARRAY_LEN(graph_layouts), ret_layout) ||
	    graph_word(a, "format", graph_formats, ARRAY_LEN(graph_formats), ret_format) ||
	    api_uint(a, "limit", 1, MAP_NODES_MAX, &limit) || api_uint(a, "depth", 1, 10, &depth))
		return -1;
	g->how.group = group;
	g->how.idle = idle;
	g->how.signs_only = only;
	g->how.limit = limit;
	g->how.depth = (unsigned)depth;
	g->how.focus = http_param(a->req, "focus");
	if (g->how.focus && !*g->how.focus)
		g->how.focus = NULL;
	if (api_range(a, 300, &g->ask) || api_filter(a, &g->ask, &g->filter))
		return -1;
	g->ask.sort = g->how.metric;
	g->ask.limit = MAP_ROWS_MAX;
	return 0;
}

/* A view: what is shown, but not of when and by what sum. */
static uint64_t graph_key(struct api *a)
{
	static const char *const names[] = {"service", "client", "server", "zone",  "net",   "port", "protocol",
					    "host",    "group",  "limit",  "focus", "depth", "idle", "only"};
	uint64_t key = 0;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *text = http_param(a->req, names[i]);

		key = hash64_seed(text ? text : "", text ? strlen(text) + 1 : 0, key + i);
	}
	return key;
}

/* --- rows, map, places */

static const char *graph_host(void *arg, const struct ip *ip, struct str scope, const char **ret_id)
{
	return api_names_find(arg, ip, scope, ret_id);
}

static int graph_map(struct api *a, struct graph *g)
{
	int r = 0;

	if (g->how.group == MAP_HOST) {
		r = api_names_load(a, &g->names);
		g->how.host = graph_host;
		g->how.arg = g->names;
		if (!r)
			r = store_pairs(a->q, &g->ask, &g->rows);
	} else {
		r = store_edges(a->q, &g->ask, &g->rows);
	}
	return r ? r : map_new(&g->map, g->rows.rows, g->rows.n, &g->how);
}

/* Characters of a name as shown; bytes that continue one do not count. */
static uint16_t graph_width(struct str name)
{
	size_t n = 0;

	for (size_t i = 0; i < name.n && n < 64; i++)
		n += ((unsigned char)name.p[i] & 0xc0) != 0x80;
	return (uint16_t)(n * 8 + 28);
}

static int graph_layout(struct api *a, struct graph *g, bool keep)
{
	const struct map *m = g->map;
	struct layout_node *nodes = calloc(m->n_nodes + 1, sizeof(*nodes));
	struct layout_edge *edges = calloc(m->n_edges + 1, sizeof(*edges));
	uint64_t key = graph_key(a);
	const struct layout *prior = keep ? views_get(a->s->views, key) : NULL;
	struct layout *l = NULL;
	int r = nodes && edges ? 0 : -ENOMEM;

	for (size_t i = 0; !r && i < m->n_nodes; i++)
		nodes[i] = (struct layout_node){.id = m->nodes[i].id,
						.zone = m->nodes[i].zone,
						.w = graph_width(m->nodes[i].name),
						.aside = m->nodes[i].kind == MAP_KIND_OTHER};
	for (size_t i = 0; !r && i < m->n_edges; i++)
		edges[i] = (struct layout_edge){m->edges[i].source, m->edges[i].target};
	if (!r)
		r = layout_new(&l, nodes, m->n_nodes, edges, m->n_edges, prior);
	views_done(a->s->views, prior);
	if (!r)
		g->layout = views_put(a->s->views, key, l);
	free(nodes);
	free(edges);
	return r;
}

/* --- JSON */

static json_t *graph_node(const struct graph *g, size_t i)
{
	const struct map_node *n = &g->map->nodes[i];
	json_t *o = json_object();

	json_object_set_new(o, "id", api_str(n->id));
	json_object_set_new(o, "name", api_str(n->name));
	json_object_set_new(o, "kind", json_string(map_kind_name(n->kind)));
	json_object_set_new(o, "zone", api_str(n->zone));
	if (g->layout) {
		const struct layout_place *p = &g->layout->places[g->layout->of_node[i]];

		json_object_set_new(o, "layer", json_integer(p->layer));
		json_object_set_new(o, "x", json_integer(p->x));
		json_object_set_new(o, "y", json_integer(p->y));
		json_object_set_new(o, "w", json_integer(p->w));
		json_object_set_new(o, "h", json_integer(LAYOUT_BOX_H));
	}
	json_object_set_new(o, "bytes", api_u64(n->bytes));
	json_object_set_new(o, "in_bytes", api_u64(n->in_bytes));
	json_object_set_new(o, "out_bytes", api_u64(n->out_bytes));
	json_object_set_new(o, "edges", json_integer(n->edges));
	if (n->kind == MAP_KIND_OTHER)
		json_object_set_new(o, "members", json_integer(n->members));
	json_object_set_new(o, "severity", json_integer(n->severity));
	return o;
}

/* Signs of an edge made of several rows say whose they are. */
static json_t *graph_signs(const struct map_edge *e)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < e->n_signs; i++) {
		const struct map_sign *s = &e->signs[i];
		json_t *one = api_signs(&s->sign, 1), *o = json_array_get(one, 0);
		char text[20];

		if (e->rows > 1) {
			snprintf(text, sizeof(text), "%016llx", (unsigned long long)s->row->e.id);
			json_object_set_new(o, "edge", json_string(text));
			json_object_set_new(o, "client_service", api_str(s->row->e.name.client_service));
			json_object_set_new(o, "server_service", api_str(s->row->e.name.server_service));
			json_object_set_new(o, "port", json_integer(s->row->e.name.port));
		}
		json_array_append(list, o);
		json_decref(one);
	}
	return list;
}

static json_t *graph_edge(const struct graph *g, const struct map_edge *e)
{
	const struct map_node *s = &g->map->nodes[e->source], *t = &g->map->nodes[e->target];
	const struct flow_edge_name *name = &e->row->e.name;
	json_t *o = json_object(), *ports = json_array();
	char text[48], protocol[8];
	const char *kind = "group";

	if (s->kind == MAP_KIND_OTHER || t->kind == MAP_KIND_OTHER)
		kind = "other";
	else if (e->store_edge)
		kind = "edge";
	snprintf(text, sizeof(text), "%016llx", (unsigned long long)e->id);
	json_object_set_new(o, "id", json_string(text));
	json_object_set_new(o, "source", api_str(s->id));
	json_object_set_new(o, "target", api_str(t->id));
	json_object_set_new(o, "kind", json_string(kind));
	if (e->store_edge) {
		snprintf(text, sizeof(text), "%016llx", (unsigned long long)e->store_edge);
		json_object_set_new(o, "edge", json_string(text));
	}
	json_object_set_new(o, "client_service", e->same_client ? api_str(name->client_service) : json_string(""));
	json_object_set_new(o, "server_service", e->same_server ? api_str(name->server_service) : json_string(""));
	for (unsigned i = 0; i < e->n_ports; i++)
		json_array_append_new(ports, json_integer(e->ports[i]));
	json_object_set_new(o, "ports", ports);
	json_object_set_new(o, "protocol", json_string(e->protocol ? flow_protocol_name(e->protocol, protocol) : ""));
	json_object_set_new(o, "edges", json_integer(e->rows));
	json_object_set_new(o, "observed_by", json_string(flow_observed_text(e->observed, text)));
	json_object_set_new(o, "derived", api_derived(&e->row->e, e->row->seconds));
	json_object_set_new(o, "signs", graph_signs(e));
	json_object_set_new(o, "severity", json_integer(e->n_signs ? e->signs->sign.severity : SIGN_NONE));
	return o;
}

static json_t *graph_completeness(const struct graph *g)
{
	json_int_t both = 0, client = 0, server = 0, network = 0;
	json_t *o = json_object();

	for (size_t i = 0; i < g->rows.n; i++) {
		unsigned by = g->rows.rows[i].e.observed;

		both += (by & 3) == 3;
		client += (by & 3) == 1;
		server += (by & 3) == 2;
		network += !(by & 3);
	}
	json_object_set_new(o, "edges", api_u64(g->rows.matched));
	json_object_set_new(o, "both", json_integer(both));
	json_object_set_new(o, "client_only", json_integer(client));
	json_object_set_new(o, "server_only", json_integer(server));
	json_object_set_new(o, "network_only", json_integer(network));
	json_object_set_new(o, "not_read", api_u64(g->rows.matched - g->rows.n));
	json_object_set_new(o, "hosts", json_integer(g->brief.known));
	json_object_set_new(o, "hosts_reporting", json_integer(g->brief.reporting));
	json_object_set_new(o, "rows_lost", g->brief.balanced ? api_u64(g->brief.lost) : json_null());
	json_object_set_new(o, "adds_up", g->brief.balanced ? json_boolean(g->brief.adds_up) : json_null());
	return o;
}

static json_t *graph_bands(const struct layout *l)
{
	json_t *list = json_array();

	for (size_t i = 0; i < l->n_bands; i++) {
		const struct layout_band *b = &l->bands[i];

		if (!b->empty)
			json_array_append_new(list, json_pack("{s:o, s:b, s:i, s:i, s:i, s:i}", "name",
							      api_str(b->zone), "other", (int)b->aside, "x", (int)b->x,
							      "y", (int)b->y, "w", (int)b->w, "h", (int)b->h));
	}
	return list;
}

static json_t *graph_json(struct api *a, const struct graph *g)
{
	const struct map *m = g->map;
	json_t *root = api_head(&g->rows), *list;

	json_object_set_new(root, "group", json_string(map_groups[g->how.group]));
	json_object_set_new(root, "metric", json_string(g->how.metric ? g->how.metric : "bytes"));
	json_object_set_new(root, "generated_at", json_integer(a->now_us / 1000));
	json_object_set_new(root, "completeness", graph_completeness(g));
	json_object_set_new(root, "matched",
			    json_pack("{s:I, s:I, s:I}", "nodes", (json_int_t)m->matched.nodes, "edges",
				      (json_int_t)m->matched.edges, "signs", (json_int_t)m->matched.signs));
	if (g->how.focus)
		json_object_set_new(root, "focus",
				    json_pack("{s:o, s:b, s:i}", "id", api_str(str_from(g->how.focus)), "found",
					      (int)m->focus_found, "depth", (int)g->how.depth));
	list = json_array();
	for (size_t i = 0; i < m->n_nodes; i++)
		json_array_append_new(list, graph_node(g, i));
	json_object_set_new(root, "nodes", list);
	list = json_array();
	for (size_t i = 0; i < m->n_edges; i++)
		json_array_append_new(list, graph_edge(g, &m->edges[i]));
	json_object_set_new(root, "edges", list);
	if (g->layout) {
		json_object_set_new(root, "bands", graph_bands(g->layout));
		json_object_set_new(root, "width", json_integer(g->layout->width));
		json_object_set_new(root, "height", json_integer(g->layout->height));
		json_object_set_new(root, "fresh", json_boolean(g->layout->fresh));
	}
	json_object_set_new(root, "other",
			    json_pack("{s:I, s:I, s:I}", "nodes", (json_int_t)m->other.nodes, "edges",
				      (json_int_t)m->other.edges, "bytes", (json_int_t)m->other.bytes));
	return root;
}

/* --- the answer */

static int graph_answer(struct api *a, const struct graph *g, unsigned format)
{
	static const struct {
		const char *type;
		void (*write)(const struct map *m, const struct layout *l, struct buf *b);
	} pictures[] = {
		[GRAPH_DOT] = {"text/vnd.graphviz; charset=utf-8", picture_dot},
		[GRAPH_MERMAID] = {"text/plain; charset=utf-8", picture_mermaid},
		[GRAPH_SVG] = {"image/svg+xml", picture_svg},
		[GRAPH_CSV] = {NULL, NULL},
	};
	struct buf *b = &a->reply->body;

	if (format == GRAPH_JSON || format == GRAPH_CSV)
		return api_send(a, graph_json(a, g), "edges");
	pictures[format].write(g->map, g->layout, b);
	a->reply->type = pictures[format].type;
	a->reply->picture = format == GRAPH_SVG;
	if (b->err)
		return api_error(a, 500, "ask for less: a smaller limit", "no memory for the picture");
	return 0;
}

int api_graph(struct api *a)
{
	unsigned layout = GRAPH_KEEP, format = GRAPH_JSON;
	struct graph g = {0};
	int r;

	r = graph_params(a, &g, &layout, &format);
	if (r)
		goto out;
	if (format == GRAPH_SVG && layout == GRAPH_NONE) {
		r = api_error(a, 400, "layout is keep or fresh", "an SVG needs places");
		goto out;
	}
	r = graph_map(a, &g);
	if (!r && layout != GRAPH_NONE && format != GRAPH_DOT && format != GRAPH_MERMAID)
		r = graph_layout(a, &g, layout == GRAPH_KEEP);
	if (!r && format == GRAPH_JSON)
		r = api_health_brief(a, g.ask.from, g.ask.to, &g.brief);
	r = r ? api_store_error(a, r) : graph_answer(a, &g, format);
out:
	if (g.layout)
		views_done(a->s->views, g.layout);
	map_free(g.map);
	api_names_free(g.names);
	store_rows_deinit(&g.rows);
	api_filter_free(&g.filter);
	return r ? -1 : 0;
}

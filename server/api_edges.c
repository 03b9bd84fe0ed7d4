/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/edges, edges/{id}, edges/{id}/series */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/table.h"
#include "server/api.h"

static const char *const edges_groups[STORE_GROUPS] = {"edge", "services", "client", "server", "zones"};

int api_edges(struct api *a)
{
	const char *group = http_param(a->req, "group");
	struct store_ask ask = {0};
	struct api_filter filter = {0};
	struct store_rows rows;
	json_t *root, *list;
	int r;

	for (ask.group = 0; group && ask.group < STORE_GROUPS && strcmp(group, edges_groups[ask.group]); ask.group++)
		;
	if (ask.group == STORE_GROUPS)
		return api_error(a, 400, "group is edge, services, client, server or zones", "no group is called %.40s",
				 group);
	if (api_range(a, 300, &ask) || api_sort(a, &ask) || api_filter(a, &ask, &filter)) {
		api_filter_free(&filter);
		return -1;
	}
	r = store_edges(a->q, &ask, &rows);
	api_filter_free(&filter);
	if (r)
		return api_store_error(a, r);
	root = api_head(&rows);
	json_object_set_new(root, "matched", api_u64(rows.matched));
	json_object_set_new(root, "sort", json_string(ask.sort ? ask.sort : "bytes"));
	json_object_set_new(root, "group", json_string(edges_groups[ask.group]));
	list = json_array();
	for (size_t i = 0; i < rows.n; i++)
		json_array_append_new(list, api_edge(&rows.rows[i]));
	json_object_set_new(root, "edges", list);
	store_rows_deinit(&rows);
	return api_send(a, root, "edges");
}

/* One observer's sums, named without the observer. */
static json_t *edge_view(const struct flow_edge *e, enum flow_view v)
{
	json_t *o = json_object();

	api_view_columns(o, e, v, strlen(flow_view_name(v)) + 1);
	return o;
}

static json_t *edge_histograms(const struct flow_edge *e)
{
	json_t *o = json_object();
	char name[64];

	for (unsigned v = 0; v < FLOW_VIEWS; v++)
		for (unsigned f = 0; f < FLOW_FIELDS; f++) {
			const uint32_t *hist;

			if (flow_fields[f].width != FLOW_HIST || !flow_column(f, v, name))
				continue;
			hist = flow_stats_hist_get(&e->view[v], f);
			if (flow_hist_count(hist))
				json_object_set_new(o, name, api_histogram(hist));
		}
	return o;
}

static void edge_host_name(json_t *o, const char *key, const struct api_names *names, const struct ip *ip,
			   struct str scope)
{
	const char *host = api_names_find(names, ip, scope, NULL);

	if (host)
		json_object_set_new(o, key, api_str(str_from(host)));
}

static json_t *edge_pair(const struct store_row *row, const struct api_names *names)
{
	const struct flow_edge *e = &row->e;
	bool other = ip_is_zero(&e->client) && ip_is_zero(&e->server);
	json_t *o = json_object();
	char text[48];

	json_object_set_new(o, "client", other ? json_string("") : api_ip(&e->client));
	json_object_set_new(o, "server", other ? json_string("") : api_ip(&e->server));
	if (!other) {
		edge_host_name(o, "client_hostname", names, &e->client, e->scope);
		edge_host_name(o, "server_hostname", names, &e->server, e->scope);
	}
	json_object_set_new(o, "scope", api_str(e->scope));
	json_object_set_new(o, "other", json_boolean(other));
	json_object_set_new(o, "observed_by", json_string(flow_observed_text(e->observed, text)));
	json_object_set_new(o, "flags", api_flags(e->flags));
	api_columns(o, e);
	json_object_set_new(o, "derived", api_derived(e, row->seconds));
	return o;
}

static void edge_host_add(json_t *list, const char *side, const struct api_names *names, const struct ip *ip,
			  struct str scope)
{
	json_t *o = json_object(), *x;
	const char *id = NULL, *name = api_names_find(names, ip, scope, &id);
	size_t i;

	json_object_set_new(o, "address", api_ip(ip));
	json_object_set_new(o, "hostname", api_str(str_from(name)));
	json_object_set_new(o, "host", api_str(str_from(id)));
	json_object_set_new(o, "scope", api_str(scope));
	json_object_set_new(o, "side", json_string(side));
	json_array_foreach(list, i, x) if (json_equal(x, o))
	{
		json_decref(o);
		return;
	}
	json_array_append_new(list, o);
}

/* Pairs and the addresses in them. */
static int edge_pairs(struct api *a, const struct store_ask *ask, json_t *root)
{
	json_t *pairs = json_array(), *hosts = json_array();
	struct api_names *names = NULL;
	struct store_rows rows = {0};
	int r;

	json_object_set_new(root, "hosts", hosts);
	json_object_set_new(root, "pairs", pairs);
	r = api_names_load(a, &names);
	if (!r)
		r = store_pairs(a->q, ask, &rows);
	for (size_t i = 0; !r && i < rows.n; i++) {
		const struct flow_edge *e = &rows.rows[i].e;

		json_array_append_new(pairs, edge_pair(&rows.rows[i], names));
		if ((ip_is_zero(&e->client) && ip_is_zero(&e->server)) || json_array_size(hosts) >= 256)
			continue;
		edge_host_add(hosts, "client", names, &e->client, e->scope);
		edge_host_add(hosts, "server", names, &e->server, e->scope);
	}
	json_object_set_new(root, "pairs_tiers", api_tiers(rows.tiers));
	json_object_set_new(root, "pairs_matched", api_u64(rows.matched));
	store_rows_deinit(&rows);
	api_names_free(names);
	return r;
}

static json_t *bucket_floors(void)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < FLOW_BUCKETS; i++)
		json_array_append_new(list, api_u64(flow_bucket_floor(i)));
	return list;
}

static int edge_detail(struct api *a, struct store_ask *ask)
{
	struct store_rows rows = {0};
	json_t *root, *views;
	int r;

	r = store_edges(a->q, ask, &rows);
	if (r)
		return api_store_error(a, r);
	root = api_head(&rows);
	if (!rows.n) {
		/* Known, but silent in this range: all sums are zero. */
		rows.rows = calloc(1, sizeof(*rows.rows));
		if (rows.rows && !store_name(a->q, ask->filter.edge, &rows.rows->e.name))
			rows.rows->e.id = ask->filter.edge;
		if (!rows.rows) {
			json_decref(root);
			return api_store_error(a, -ENOMEM);
		}
		rows.rows->edges = 1;
		rows.rows->seconds = rows.to - rows.from;
	}
	json_object_set_new(root, "edge", api_edge(rows.rows));
	views = json_object();
	for (unsigned v = 0; v < FLOW_VIEWS; v++)
		json_object_set_new(views, flow_view_name(v), edge_view(&rows.rows->e, v));
	json_object_set_new(root, "views", views);
	json_object_set_new(root, "histograms", edge_histograms(&rows.rows->e));
	json_object_set_new(root, "bucket_floors_us", bucket_floors());
	store_rows_deinit(&rows);
	r = edge_pairs(a, ask, root);
	if (r) {
		json_decref(root);
		return api_store_error(a, r);
	}
	return api_send(a, root, "pairs");
}

static int edge_series(struct api *a, struct store_ask *ask, const char *id)
{
	uint32_t interval = a->s->opts.store.interval_s, span = ask->to - ask->from;
	static const uint32_t steps[] = {1, 10, 60, 300, 3600, 86400};
	struct store_rows rows = {0};
	json_t *root, *list;
	int r;

	/* By default a step that gives a few hundred points. */
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		if (steps[i] >= interval && steps[i] % interval == 0) {
			ask->step = steps[i];
			if (span / steps[i] <= 400)
				break;
		}
	if (api_step(a, &ask->step))
		return -1;
	if (span / ask->step > API_LIMIT_MAX)
		return api_error(a, 400, "take a longer step or a shorter range", "more than %d points", API_LIMIT_MAX);
	r = store_series(a->q, ask, &rows);
	if (r)
		return api_store_error(a, r);
	root = api_head(&rows);
	json_object_set_new(root, "id", json_string(id));
	json_object_set_new(root, "step", api_u64(rows.step));
	list = json_array();
	for (size_t i = 0; i < rows.n; i++) {
		json_t *o = json_object();

		json_object_set_new(o, "at", json_integer(rows.rows[i].e.interval));
		json_object_set_new(o, "seconds", json_integer(rows.rows[i].seconds));
		api_columns(o, &rows.rows[i].e);
		json_object_set_new(o, "derived", api_derived(&rows.rows[i].e, rows.rows[i].seconds));
		json_array_append_new(list, o);
	}
	json_object_set_new(root, "points", list);
	store_rows_deinit(&rows);
	return api_send(a, root, "points");
}

int api_edge_one(struct api *a)
{
	struct flow_edge_name name;
	struct store_ask ask = {0};
	uint64_t limit = 100;
	bool series;
	char id[17];
	size_t n = strspn(a->tail, "0123456789abcdefABCDEF");
	int r;

	series = !strcmp(a->tail + n, "/series");
	if (n != 16 || (a->tail[n] && !series))
		return api_error(a, 404, "an edge's id is 16 hex digits, see /api/v1/edges; after it only /series",
				 "no edge is called %.80s", a->tail);
	if (!series && http_param(a->req, "step"))
		return api_error(a, 400, "step is for /series", "an edge has no series");
	memcpy(id, a->tail, 16);
	id[16] = '\0';
	ask.filter.edge = strtoull(id, NULL, 16);
	if (api_range(a, 300, &ask) || api_uint(a, "limit", 1, API_LIMIT_MAX, &limit))
		return -1;
	r = ask.filter.edge ? store_name(a->q, ask.filter.edge, &name) : -ENOENT;
	if (r == -ENOENT)
		return api_error(a, 404, "see /api/v1/edges", "no edge has the id %s", id);
	if (r)
		return api_store_error(a, r);
	ask.limit = limit;
	if (series)
		return edge_series(a, &ask, id);
	/* The limit is for the pairs. */
	return edge_detail(a, &ask);
}

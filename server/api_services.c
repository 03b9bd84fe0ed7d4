/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/services, services/{name} */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/table.h"
#include "server/api.h"

static json_t *services_sums(const struct store_row *row)
{
	json_t *o = json_object();

	json_object_set_new(o, "edges", json_integer(row ? row->edges : 0));
	if (row) {
		api_columns(o, &row->e);
		json_object_set_new(o, "derived", api_derived(&row->e, row->seconds));
	}
	return o;
}

enum services_side { NOW_CLIENT, NOW_SERVER, BEFORE_CLIENT, BEFORE_SERVER, SERVICES_SIDES };

struct service {
	struct str name;
	const struct store_row *side[SERVICES_SIDES];
	double rank;
	uint64_t bytes, before;
};

static int service_by_name(const void *a, const void *b)
{
	return str_cmp(((const struct service *)a)->name, ((const struct service *)b)->name);
}

/* Best first; those that only were before come last. */
static int service_by_rank(const void *a, const void *b)
{
	const struct service *x = a, *y = b;
	bool x_gone = !x->side[NOW_CLIENT] && !x->side[NOW_SERVER];
	bool y_gone = !y->side[NOW_CLIENT] && !y->side[NOW_SERVER];

	if (x_gone != y_gone)
		return x_gone - y_gone;
	return x->rank != y->rank ? (x->rank > y->rank ? -1 : 1) : str_cmp(x->name, y->name);
}

/* One entry a name out of several, sorted by name before; returns how many are left. */
static size_t services_unite(struct service *v, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (!kept || !str_eq(v[kept - 1].name, v[i].name)) {
			v[kept++] = v[i];
			continue;
		}
		for (unsigned k = 0; k < SERVICES_SIDES; k++)
			if (v[i].side[k])
				v[kept - 1].side[k] = v[i].side[k];
		v[kept - 1].rank += v[i].rank;
		v[kept - 1].bytes += v[i].bytes;
		v[kept - 1].before += v[i].before;
	}
	return kept;
}

/* Rows of all sides as one list, best first. */
static size_t services_merge(struct service *v, const struct store_rows side[SERVICES_SIDES], const char *sort)
{
	int bytes = store_metric("bytes"), metric = store_metric(sort);
	size_t n = 0;

	for (unsigned k = 0; k < SERVICES_SIDES; k++)
		for (size_t i = 0; i < side[k].n; i++, n++) {
			const struct flow_edge *e = &side[k].rows[i].e;
			bool server = k == NOW_SERVER || k == BEFORE_SERVER;

			v[n].name = server ? e->name.server_service : e->name.client_service;
			v[n].side[k] = &side[k].rows[i];
			if (k < BEFORE_CLIENT) {
				v[n].rank = (double)store_metric_sum(e, metric);
				v[n].bytes = store_metric_sum(e, bytes);
			} else {
				v[n].before = store_metric_sum(e, bytes);
			}
		}
	if (n)
		qsort(v, n, sizeof(*v), service_by_name);
	n = services_unite(v, n);
	if (n)
		qsort(v, n, sizeof(*v), service_by_rank);
	return n;
}

static json_t *services_previous(const struct service *x)
{
	json_t *o = json_object();

	json_object_set_new(o, "bytes", api_u64(x->before));
	json_object_set_new(o, "as_client", services_sums(x->side[BEFORE_CLIENT]));
	json_object_set_new(o, "as_server", services_sums(x->side[BEFORE_SERVER]));
	return o;
}

/* n_now of the n are of this range; those that are gone come last in either order. */
static json_t *services_list(const struct service *v, size_t n_now, size_t n, const struct store_ask *ask, bool compare)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n && i < ask->limit; i++) {
		const struct service *x = &v[ask->ascending && i < n_now ? n_now - 1 - i : i];
		json_t *o = json_object();

		json_object_set_new(o, "service", api_str(x->name));
		json_object_set_new(o, "bytes", api_u64(x->bytes));
		json_object_set_new(o, "as_client", services_sums(x->side[NOW_CLIENT]));
		json_object_set_new(o, "as_server", services_sums(x->side[NOW_SERVER]));
		if (compare)
			json_object_set_new(o, "previous", services_previous(x));
		json_array_append_new(list, o);
	}
	return list;
}

/* The rows of a range by client and by server; compare: of the range of the same length before it as well. */
static int services_rows(struct api *a, const struct store_ask *ask, bool compare,
			 struct store_rows side[SERVICES_SIDES])
{
	struct store_ask all = *ask;
	int r = 0;

	all.limit = API_LIMIT_MAX;
	all.ascending = false;
	for (unsigned k = 0; !r && k < (compare ? SERVICES_SIDES : BEFORE_CLIENT); k++) {
		if (k == BEFORE_CLIENT) {
			all.to = ask->from;
			all.from = ask->from > ask->to - ask->from ? ask->from - (ask->to - ask->from) : 0;
			if (all.from >= all.to)
				break;
		}
		all.group = k == NOW_SERVER || k == BEFORE_SERVER ? STORE_BY_SERVER : STORE_BY_CLIENT;
		r = store_edges(a->q, &all, &side[k]);
	}
	return r;
}

/* More services are at one side than were read: what is counted is the least there can be. */
static void services_completeness(json_t *root, const struct store_rows side[SERVICES_SIDES], size_t n_now)
{
	bool complete = true;
	size_t least = n_now;

	for (unsigned k = 0; k < SERVICES_SIDES; k++) {
		complete = complete && side[k].matched == side[k].n;
		if (k < BEFORE_CLIENT && side[k].matched > least)
			least = side[k].matched;
	}
	json_object_set_new(root, "matched", api_u64(least));
	json_object_set_new(root, "complete", json_boolean(complete));
}

static int services_answer(struct api *a, const struct store_ask *ask, bool compare,
			   const struct store_rows side[SERVICES_SIDES])
{
	size_t n = 0, n_now = 0;
	struct service *v;
	json_t *root;

	for (unsigned k = 0; k < SERVICES_SIDES; k++)
		n += side[k].n;
	v = calloc(n + 1, sizeof(*v));
	if (!v)
		return api_store_error(a, -ENOMEM);
	n = services_merge(v, side, ask->sort ? ask->sort : "bytes");
	while (n_now < n && (v[n_now].side[NOW_CLIENT] || v[n_now].side[NOW_SERVER]))
		n_now++;
	root = api_head(&side[NOW_CLIENT]);
	services_completeness(root, side, n_now);
	if (compare)
		json_object_set_new(root, "previous", api_head(&side[BEFORE_CLIENT]));
	json_object_set_new(root, "services", services_list(v, n_now, n, ask, compare));
	free(v);
	return api_send(a, root, "services");
}

int api_services(struct api *a)
{
	const char *compare = http_param(a->req, "compare");
	struct store_rows side[SERVICES_SIDES] = {0};
	struct api_filter filter = {0};
	struct store_ask ask = {0};
	int r;

	if (compare && strcmp(compare, "previous"))
		return api_error(a, 400, "compare is previous: the range of the same length before",
				 "compare cannot be %.40s", compare);
	if (api_range(a, 300, &ask) || api_sort(a, &ask) || api_filter(a, &ask, &filter)) {
		api_filter_free(&filter);
		return -1;
	}
	r = services_rows(a, &ask, compare != NULL, side);
	api_filter_free(&filter);
	r = r ? api_store_error(a, r) : services_answer(a, &ask, compare != NULL, side);
	for (unsigned k = 0; k < SERVICES_SIDES; k++)
		store_rows_deinit(&side[k]);
	return r;
}

/* --- one service */

struct listening {
	struct str service;
	const struct api_names *names;
	json_t *list;
};

static int service_listener(void *arg, const struct flow_listener *l)
{
	struct listening *x = arg;
	const char *host;
	json_t *o;

	if (!str_eq(l->names.service, x->service) || json_array_size(x->list) >= API_LIMIT_MAX)
		return 0;
	o = api_listener(l);
	host = api_names_host(x->names, l->host);
	if (host)
		json_object_set_new(o, "hostname", api_str(str_from(host)));
	json_array_append_new(x->list, o);
	return 0;
}

static void service_host(json_t *seen, json_t *list, const struct api_names *names, const struct ip *ip,
			 struct str scope)
{
	char key[IP_TEXT + 300], text[IP_TEXT];
	const char *id = NULL, *name = api_names_find(names, ip, scope, &id);
	json_t *o;

	snprintf(key, sizeof(key), "%s %.*s", ip_format(ip, text), STR_FMT(scope));
	if (json_object_get(seen, key))
		return;
	json_object_set_new_nocheck(seen, key, json_true());
	o = json_object();
	json_object_set_new(o, "address", api_ip(ip));
	json_object_set_new(o, "hostname", api_str(str_from(name)));
	json_object_set_new(o, "host", api_str(str_from(id)));
	json_object_set_new(o, "scope", api_str(scope));
	json_array_append_new(list, o);
}

/* Addresses on the service's side of its pairs. */
static int service_hosts(struct api *a, const struct store_ask *range, struct str service,
			 const struct api_names *names, json_t *list)
{
	struct store_ask ask = {.from = range->from, .to = range->to, .limit = 1000, .filter.service = service};
	json_t *seen = json_object();
	struct store_rows rows;
	int r;

	r = store_pairs(a->q, &ask, &rows);
	for (size_t i = 0; !r && i < rows.n; i++) {
		const struct flow_edge *e = &rows.rows[i].e;

		if (ip_is_zero(&e->client) && ip_is_zero(&e->server))
			continue;
		if (str_eq(e->name.client_service, service))
			service_host(seen, list, names, &e->client, e->scope);
		if (str_eq(e->name.server_service, service))
			service_host(seen, list, names, &e->server, e->scope);
	}
	if (!r)
		store_rows_deinit(&rows);
	json_decref(seen);
	return r;
}

/* Edges in which the service is one side, and their sum. */
static int service_side(struct api *a, const struct store_ask *range, struct str service, bool as_server, json_t *root)
{
	struct store_ask ask = *range;
	struct store_rows rows = {0};
	json_t *list = json_array();
	int r;

	ask.filter = (struct store_filter){0};
	if (as_server)
		ask.filter.server_service = service;
	else
		ask.filter.client_service = service;
	json_object_set_new(root, as_server ? "callers" : "callees", list);
	r = store_edges(a->q, &ask, &rows);
	if (r)
		return r;
	if (!json_object_get(root, "from"))
		json_object_update_new(root, api_head(&rows));
	for (size_t i = 0; i < rows.n; i++)
		json_array_append_new(list, api_edge(&rows.rows[i]));
	store_rows_deinit(&rows);
	ask.group = as_server ? STORE_BY_SERVER : STORE_BY_CLIENT;
	r = store_edges(a->q, &ask, &rows);
	if (r)
		return r;
	json_object_set_new(root, as_server ? "as_server" : "as_client", services_sums(rows.n ? rows.rows : NULL));
	store_rows_deinit(&rows);
	return 0;
}

int api_service(struct api *a)
{
	struct str service = str_from(a->tail);
	struct api_names *names = NULL;
	struct listening listening = {.service = service};
	struct store_ask ask = {0};
	const char *list = http_param(a->req, "list");
	json_t *root, *hosts;
	bool known = false;
	int r;

	if (list && strcmp(list, "callers") && strcmp(list, "callees") && strcmp(list, "listeners") &&
	    strcmp(list, "hosts"))
		return api_error(a, 400, "list is callers, callees, listeners or hosts: which of them csv has",
				 "a service has no list %.40s", list);
	if (api_range(a, 300, &ask) || api_sort(a, &ask))
		return -1;
	root = json_object();
	json_object_set_new(root, "service", api_str(service));
	r = store_service_known(a->q, service, &known);
	if (!r)
		r = service_side(a, &ask, service, true, root);
	if (!r)
		r = service_side(a, &ask, service, false, root);
	if (!r)
		r = api_names_load(a, &names);
	listening.names = names;
	listening.list = json_array();
	json_object_set_new(root, "listeners", listening.list);
	hosts = json_array();
	json_object_set_new(root, "hosts", hosts);
	if (!r)
		r = store_listeners(a->q, service_listener, &listening);
	if (!r)
		r = service_hosts(a, &ask, service, names, hosts);
	api_names_free(names);
	if (!r && !known && !json_array_size(listening.list)) {
		json_decref(root);
		return api_error(a, 404, "see /api/v1/services", "no service is called %.200s", a->tail);
	}
	if (r) {
		json_decref(root);
		return api_store_error(a, r);
	}
	return api_send(a, root, list ? list : "callers");
}

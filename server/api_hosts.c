/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/hosts; and which host has an address. */
#include <errno.h>
#include <stdlib.h>

#include "server/api.h"

/* --- who has an address */

struct names_address {
	struct ip ip;
	bool host_only;
	size_t host;
};

struct names_host {
	char id[FLOW_NAME_MAX + 1], hostname[FLOW_NAME_MAX + 1];
};

struct api_names {
	struct names_address *v; /* by address */
	size_t n, cap;
	struct names_host *hosts;
	size_t n_hosts, cap_hosts;
};

static int names_host(void *arg, const struct flow_host *h)
{
	struct api_names *x = arg;

	if (x->n_hosts == x->cap_hosts) {
		size_t cap = x->cap_hosts ? x->cap_hosts * 2 : 32;
		struct names_host *p = realloc(x->hosts, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		x->hosts = p;
		x->cap_hosts = cap;
	}
	str_copy(x->hosts[x->n_hosts].id, sizeof(x->hosts->id), h->id);
	str_copy(x->hosts[x->n_hosts].hostname, sizeof(x->hosts->hostname), h->hostname);
	for (unsigned i = 0; i < h->n_addresses; i++) {
		if (x->n == x->cap) {
			size_t cap = x->cap ? x->cap * 2 : 64;
			struct names_address *p = realloc(x->v, cap * sizeof(*p));

			if (!p)
				return -ENOMEM;
			x->v = p;
			x->cap = cap;
		}
		x->v[x->n++] = (struct names_address){h->addresses[i].ip, h->addresses[i].host_only, x->n_hosts};
	}
	x->n_hosts++;
	return 0;
}

static int names_order(const void *a, const void *b)
{
	return memcmp(&((const struct names_address *)a)->ip, &((const struct names_address *)b)->ip,
		      sizeof(struct ip));
}

int api_names_load(struct api *a, struct api_names **ret)
{
	struct api_names *x = calloc(1, sizeof(*x));
	int r;

	if (!x)
		return -ENOMEM;
	r = store_hosts(a->q, names_host, x);
	if (r) {
		api_names_free(x);
		return r;
	}
	if (x->n)
		qsort(x->v, x->n, sizeof(*x->v), names_order);
	*ret = x;
	return 0;
}

void api_names_free(struct api_names *n)
{
	if (!n)
		return;
	free(n->v);
	free(n->hosts);
	free(n);
}

const char *api_names_host(const struct api_names *n, struct str id)
{
	for (size_t i = 0; i < n->n_hosts; i++)
		if (str_eq(str_from(n->hosts[i].id), id))
			return n->hosts[i].hostname;
	return NULL;
}

const char *api_names_find(const struct api_names *n, const struct ip *ip, struct str scope, const char **ret_id)
{
	struct names_address key = {.ip = *ip};
	const struct names_address *at, *end = n->v + n->n;

	if (scope.n) {
		const char *slash = memchr(scope.p, '/', scope.n);
		struct str id = {scope.p, slash ? (size_t)(slash - scope.p) : scope.n};

		for (size_t i = 0; i < n->n_hosts; i++)
			if (str_eq(str_from(n->hosts[i].id), id)) {
				if (ret_id)
					*ret_id = n->hosts[i].id;
				return n->hosts[i].hostname;
			}
		return NULL;
	}
	at = n->n ? bsearch(&key, n->v, n->n, sizeof(*n->v), names_order) : NULL;
	while (at && at > n->v && ip_eq(&at[-1].ip, ip))
		at--;
	for (; at && at < end && ip_eq(&at->ip, ip); at++)
		if (!at->host_only) {
			if (ret_id)
				*ret_id = n->hosts[at->host].id;
			return n->hosts[at->host].hostname;
		}
	return NULL;
}

/* --- the addresses of a host */

#define WANTED_MAX (4 * FLOW_ADDRESSES) /* of hosts with the same name together */

/* Addresses and, behind them, the ids their scopes point to: one free() does. */
struct wanted_block {
	struct store_address v[WANTED_MAX];
	char ids[8][FLOW_NAME_MAX + 1];
};

struct wanted {
	const char *host;
	struct wanted_block *b;
	size_t n;
	unsigned n_ids;
};

static int wanted_host(void *arg, const struct flow_host *h)
{
	struct wanted *w = arg;
	struct str host = str_from(w->host);
	const char *id;

	if (!str_eq(h->hostname, host) && !str_eq(h->id, host))
		return 0;
	if (w->n_ids == sizeof(w->b->ids) / sizeof(*w->b->ids))
		return 0;
	id = str_copy(w->b->ids[w->n_ids++], sizeof(*w->b->ids), h->id);
	for (unsigned i = 0; i < h->n_addresses && w->n < WANTED_MAX; i++)
		w->b->v[w->n++] = (struct store_address){.ip = h->addresses[i].ip,
							 .bits = 128,
							 .scope = h->addresses[i].host_only ? str_from(id) : STR("")};
	return 0;
}

int api_addresses(struct api *a, const char *host, struct store_address **ret, size_t *ret_n)
{
	struct wanted w = {.host = host, .b = malloc(sizeof(*w.b))};
	unsigned bits;
	struct ip ip;
	int r = 0;

	if (!w.b)
		return api_store_error(a, -ENOMEM);
	if (!ip_parse_prefix(host, &ip, &bits))
		w.b->v[w.n++] = (struct store_address){.ip = ip, .bits = bits};
	else
		r = store_hosts(a->q, wanted_host, &w);
	if (r || !w.n) {
		free(w.b);
		if (r)
			return api_store_error(a, r);
		return api_error(a, 404, "a host's name or id (see /api/v1/hosts), an address or a CIDR",
				 w.n_ids ? "the host %.100s has no addresses yet" : "no host is called %.100s", host);
	}
	*ret = w.b->v;
	*ret_n = w.n;
	return 0;
}

/* --- the list */

struct hosts {
	struct api *a;
	const char *host;
	json_t *list, *lines, *listeners; /* lines: by host id; listeners: arrays by host id */
};

/* What agents said of themselves lately: {cost, last, loss} by host id. */
static int hosts_line(void *arg, const struct flow_ledger *l)
{
	struct hosts *x = arg;
	char id[FLOW_NAME_MAX + 1];
	json_t *o, *loss, *lost;

	str_copy(id, sizeof(id), l->instance);
	o = json_object_get(x->lines, id);
	if (!o) {
		o = json_pack("{s:{s:i, s:i, s:{}}}", "loss", "rows_in", 0, "rows_out", 0, "lost");
		/* Unchecked: looked up by the same bytes, never shown. */
		if (json_object_set_new_nocheck(x->lines, id, o))
			return -ENOMEM;
	}
	loss = json_object_get(o, "loss");
	lost = json_object_get(loss, "lost");
	json_object_set_new(o, "last", json_integer(l->interval));
	json_object_set_new(o, "interval_s", json_integer(l->interval_s));
	json_object_set_new(o, "cost", api_counts(l->info, l->n_info));
	api_add(loss, STR("rows_in"), l->rows_in);
	api_add(loss, STR("rows_out"), l->rows_out);
	for (unsigned i = 0; i < l->n_lost; i++)
		api_add(lost, l->lost[i].name, l->lost[i].n);
	return 0;
}

static int hosts_listener(void *arg, const struct flow_listener *l)
{
	struct hosts *x = arg;
	char id[FLOW_NAME_MAX + 1];
	json_t *list;

	str_copy(id, sizeof(id), l->host);
	list = json_object_get(x->listeners, id);
	if (!list) {
		list = json_array();
		if (json_object_set_new_nocheck(x->listeners, id, list))
			return -ENOMEM;
	}
	if (json_array_size(list) < 1000)
		json_array_append_new(list, api_listener(l));
	return 0;
}

static bool hosts_wanted(const struct hosts *x, const struct flow_host *h)
{
	struct str host;
	struct ip ip;

	if (!x->host)
		return true;
	host = str_from(x->host);
	if (str_eq(h->hostname, host) || str_eq(h->id, host))
		return true;
	if (ip_parse(x->host, &ip))
		return false;
	for (unsigned i = 0; i < h->n_addresses; i++)
		if (ip_eq(&h->addresses[i].ip, &ip) && !h->addresses[i].host_only)
			return true;
	return ip_eq(&h->agent, &ip);
}

static json_t *hosts_addresses(const struct flow_host *h)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < h->n_addresses; i++) {
		const struct flow_address *x = &h->addresses[i];
		json_t *o = json_object();

		json_object_set_new(o, "address", api_ip(&x->ip));
		json_object_set_new(o, "prefix",
				    json_integer(ip_is_v4(&x->ip) && x->bits >= 96 ? x->bits - 96 : x->bits));
		json_object_set_new(o, "host_only", json_boolean(x->host_only));
		json_object_set_new(o, "netns", json_integer(x->netns));
		json_array_append_new(list, o);
	}
	return list;
}

uint32_t api_patience(const struct api *a, uint32_t interval_s)
{
	uint32_t stored = a->s->opts.store.interval_s, s = 4 * interval_s + (stored > interval_s ? 2 * stored : 0);

	return s > 10 ? s : 10;
}

static int hosts_one(void *arg, const struct flow_host *h)
{
	struct hosts *x = arg;
	char id[FLOW_NAME_MAX + 1];
	uint32_t last = h->interval + h->interval_s, patience = api_patience(x->a, h->interval_s);
	json_t *o, *line, *list;

	if (!hosts_wanted(x, h) || json_array_size(x->list) >= API_LIMIT_MAX)
		return 0;
	str_copy(id, sizeof(id), h->id);
	line = json_object_get(x->lines, id);
	if (line && json_integer_value(json_object_get(line, "last")) + h->interval_s > last)
		last = (uint32_t)json_integer_value(json_object_get(line, "last")) + h->interval_s;
	o = json_object();
	json_object_set_new(o, "net", api_str(h->net));
	json_object_set_new(o, "id", api_str(h->id));
	json_object_set_new(o, "hostname", api_str(h->hostname));
	json_object_set_new(o, "kernel", api_str(h->kernel));
	json_object_set_new(o, "mode", api_str(h->mode));
	json_object_set_new(o, "version", api_str(h->version));
	json_object_set_new(o, "agent", api_ip(&h->agent));
	json_object_set_new(o, "boot", api_u64(h->boot));
	json_object_set_new(o, "interval_s", json_integer(h->interval_s));
	json_object_set_new(o, "last_seen", json_integer(last));
	json_object_set_new(o, "age_s", json_integer((json_int_t)x->a->now - last));
	json_object_set_new(o, "reporting", json_boolean((json_int_t)x->a->now - last <= patience));
	json_object_set_new(o, "addresses", hosts_addresses(h));
	json_object_set(o, "cost", json_object_get(line, "cost"));
	json_object_set(o, "loss", json_object_get(line, "loss"));
	list = json_object_get(x->listeners, id);
	if (list)
		json_object_set(o, "listeners", list);
	else
		json_object_set_new(o, "listeners", json_array());
	json_array_append_new(x->list, o);
	return 0;
}

int api_hosts(struct api *a)
{
	struct hosts x = {.a = a,
			  .host = http_param(a->req, "host"),
			  .list = json_array(),
			  .lines = json_object(),
			  .listeners = json_object()};
	json_t *root = json_object();
	int r;

	json_object_set_new(root, "now", json_integer(a->now));
	json_object_set_new(root, "hosts", x.list);
	r = store_ledgers(a->q, a->now - 300, a->now + 86400, "agent", hosts_line, &x);
	if (!r)
		r = store_listeners(a->q, hosts_listener, &x);
	if (!r)
		r = store_hosts(a->q, hosts_one, &x);
	json_decref(x.lines);
	json_decref(x.listeners);
	if (r) {
		json_decref(root);
		return api_store_error(a, r);
	}
	return api_send(a, root, "hosts");
}

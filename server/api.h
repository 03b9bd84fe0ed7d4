/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the server: its state, what a route gets, and the helpers all routes share. */
#pragma once

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

#include "server/http.h"
#include "server/live.h"
#include "server/server.h"
#include "server/signs.h"
#include "server/writer.h"
#include "store/query.h"

#define API_LIMIT_MAX 10000
#define API_QUERIES 32 /* store connections kept for the next request */
#define API_METRICS 8

struct server {
	struct server_opts opts;
	char *data, *listen, *instance;
	struct store *store;
	struct writer *writer; /* NULL: no bus */
	struct http *http;
	struct totals *totals;
	struct live *live;
	struct views *views;
	int web_root; /* folder the page comes from; -1: the embedded one */
	uint64_t boot;
	struct {
		void (*fn)(void *arg, struct buf *b);
		void *arg;
	} metrics[API_METRICS];
	unsigned n_metrics;
	_Atomic uint64_t requests, errors;
	pthread_mutex_t lock; /* guards queries */
	struct store_query *queries[API_QUERIES];
	unsigned n_queries;
};

/* One request in work. */
struct api {
	struct server *s;
	const struct http_request *req;
	struct http_reply *reply;
	struct store_query *q;
	const char *tail; /* what the route's '*' stands for */
	uint32_t now;     /* wall clock, s */
	int64_t now_us;
};

/* The handler of every request: finds the route, checks parameters, answers. */
void api_handle(void *server, const struct http_request *req, struct http_reply *reply);

/* --- answers */

/* {error, hint}. Returns -1, so that `return api_error(...)` ends a route. */
int api_error(struct api *a, int status, const char *hint, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* What a store_* call returned. */
int api_store_error(struct api *a, int r);
/* Sends and frees root. With ?format=csv: the objects of root[list] as lines. */
int api_send(struct api *a, json_t *root, const char *list);

/* --- parameters. 0, or -1 after answering with an error. */
int api_range(struct api *a, uint32_t default_s, struct store_ask *ask);
int api_time(struct api *a, const char *name, uint32_t *ret);                             /* untouched when absent */
int api_uint(struct api *a, const char *name, uint64_t min, uint64_t max, uint64_t *ret); /* likewise */
int api_step(struct api *a, uint32_t *ret);
int api_sort(struct api *a, struct store_ask *ask); /* sort, order, limit */

/* A filter and what it points to. */
struct api_filter {
	struct str net;
	struct store_address *addresses;
};

int api_filter(struct api *a, struct store_ask *ask, struct api_filter *ret);
void api_filter_free(struct api_filter *f);

/* Addresses of a host by name, id or address, or a CIDR. -1 after an error answer; none known: 404. */
int api_addresses(struct api *a, const char *host, struct store_address **ret, size_t *ret_n);

/* "-5m", "now", "1763878800", "2026-11-23T05:00:00Z". -EINVAL. */
int api_parse_time(const char *text, uint32_t now, uint32_t *ret);

/* --- JSON out of rows (api_json.c) */
json_t *api_str(struct str s); /* not UTF-8: what is not becomes '?' */
json_t *api_u64(uint64_t v);
json_t *api_ip(const struct ip *ip);

/* Seconds of silence after which an agent of this interval does not report any more: what it says comes with the rows, which
 * may be of longer intervals. */
uint32_t api_patience(const struct api *a, uint32_t interval_s);
json_t *api_head(const struct store_rows *r); /* {from, to, tiers} */
json_t *api_tiers(uint8_t tiers);
json_t *api_flags(uint32_t flags);
json_t *api_derived(const struct flow_edge *e, uint32_t seconds);
/* The sums of one view that are not zero, no histograms; the first `skip` bytes of a column's name left out. */
void api_view_columns(json_t *o, const struct flow_edge *e, enum flow_view v, size_t skip);
void api_columns(json_t *o, const struct flow_edge *e); /* every sum that is not zero; no histograms */
/* Which edge it is, and who saw it: id, net, services, zones, protocol, port, observed_by. */
void api_edge_identity(json_t *o, const struct flow_edge *e);
json_t *api_edge(const struct store_row *row);
json_t *api_signs(const struct sign *v, unsigned n);
json_t *api_counts(const struct flow_count *c, unsigned n);
/* A name from outside as the name of a member: not UTF-8 as api_str(), and not longer than this. Returns key. */
#define API_KEY 64
const char *api_key(char key[API_KEY], struct str name);
/* Adds to the member of that name, made if there is none. Sums may wrap. */
void api_add(json_t *o, struct str name, uint64_t n);
json_t *api_histogram(const uint32_t hist[FLOW_BUCKETS]);
json_t *api_listener(const struct flow_listener *l);

/* CSV of an array of objects: the columns of all of them, nested ones as "derived.bytes" (api_csv.c). */
void api_csv(const json_t *list, struct buf *b);

/* --- who has an address (api_hosts.c) */
struct api_names;
int api_names_load(struct api *a, struct api_names **ret); /* -errno of the store */
void api_names_free(struct api_names *n);
/* Name and id of the host that has the address (scope: "" or a host's); NULL: nobody known. */
const char *api_names_find(const struct api_names *n, const struct ip *ip, struct str scope, const char **ret_id);
/* By host id. */
const char *api_names_host(const struct api_names *n, struct str id);

/* --- how complete a range is, in short (api_health.c) */
struct api_brief {
	json_int_t known, reporting; /* agents */
	bool balanced;               /* the range is short and old enough: the next two are known */
	bool adds_up;
	uint64_t lost; /* rows, at any hop */
};

int api_health_brief(struct api *a, uint32_t from, uint32_t to, struct api_brief *ret); /* -errno of the store */

/* --- routes: 0, or -1 after api_error() */
int api_edges(struct api *a);
int api_edge_one(struct api *a);
int api_graph(struct api *a);
int api_services(struct api *a);
int api_service(struct api *a);
int api_hosts(struct api *a);
int api_health(struct api *a);
int api_ledger(struct api *a);
int api_stream(struct api *a);
/* Whatever is no route: a file of the page, or 404. */
int api_page(struct api *a);
int api_openapi(struct api *a);
int api_metrics(struct api *a);
int api_healthz(struct api *a);
int api_readyz(struct api *a);

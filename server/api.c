/* SPDX-License-Identifier: Apache-2.0 */
/* Routes and answers. */
#include "server/api.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/table.h"
#include "server/openapi.inc"

/* A path ending in '*' takes any non-empty rest. params: space-separated. */
static const struct route {
	const char *path;
	int (*fn)(struct api *a);
	bool store; /* needs a store_query */
	const char *params;
} routes[] = {
	{"/api/v1/edges", api_edges, true,
	 "from to service client server zone net port protocol host sort order limit group format"},
	{"/api/v1/edges/*", api_edge_one, true, "from to limit step format"},
	{"/api/v1/graph", api_graph, true,
	 "from to service client server zone net port protocol host group metric limit focus depth idle only layout format"},
	{"/api/v1/services", api_services, true, "from to zone net port protocol sort order limit compare format"},
	{"/api/v1/services/*", api_service, true, "from to sort order limit list format"},
	{"/api/v1/hosts", api_hosts, true, "host format"},
	{"/api/v1/health", api_health, true, "from to format"},
	{"/api/v1/ledger", api_ledger, true, "from to role instance limit format"},
	{"/api/v1/stream", api_stream, false, ""},
	{"/api/v1/openapi.json", api_openapi, false, ""},
	{"/metrics", api_metrics, true, ""},
	{"/healthz", api_healthz, false, ""},
	{"/readyz", api_readyz, true, ""},
};

int api_error(struct api *a, int status, const char *hint, const char *fmt, ...)
{
	char text[512], *json;
	json_t *o;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	o = json_pack("{s:o, s:s}", "error", api_str(str_from(text)), "hint", hint);
	json = o ? json_dumps(o, 0) : NULL;
	buf_clear(&a->reply->body);
	buf_printf(&a->reply->body, "%s\n", json ? json : "{\"error\": \"no memory\", \"hint\": \"try again\"}");
	free(json);
	json_decref(o);
	a->reply->status = status;
	a->reply->type = "application/json";
	return -1;
}

int api_store_error(struct api *a, int r)
{
	switch (r) {
	case -EINVAL:
	case -E2BIG:
		return api_error(a, 400, "see /api/v1/openapi.json", "%s", store_query_error(a->q));
	case -ENOMEM:
		return api_error(a, 500, "ask for less: a smaller limit or range", "no memory for the answer");
	default:
		return api_error(a, 500, "the server's log and `df` of its data folder may say more", "%s",
				 store_query_error(a->q));
	}
}

static int api_dump(const char *p, size_t n, void *arg)
{
	struct buf *b = arg;

	buf_put(b, p, n);
	return b->err ? -1 : 0;
}

int api_send(struct api *a, json_t *root, const char *list)
{
	const char *format = http_param(a->req, "format");

	if (!root)
		return api_error(a, 500, "ask for less: a smaller limit or range", "no memory for the answer");
	if (list && format && !strcmp(format, "csv")) {
		a->reply->type = "text/csv; charset=utf-8";
		api_csv(json_object_get(root, list), &a->reply->body);
	} else if (list && format && strcmp(format, "json")) {
		json_decref(root);
		return api_error(a, 400, "format is json or csv", "no format is called %.40s", format);
	} else {
		json_dump_callback(root, api_dump, &a->reply->body, JSON_COMPACT | JSON_REAL_PRECISION(10));
		buf_char(&a->reply->body, '\n');
	}
	json_decref(root);
	return 0;
}

struct check {
	struct api *a;
	const struct route *route;
	uint32_t seen; /* bits of the words of params */
	bool bad;
};

/* Which of the words; -1: none. */
static int api_word(const char *words, const char *word)
{
	size_t n = strlen(word);
	int i = 0;

	for (const char *p = words; n && *p; p += strcspn(p, " "), p += *p == ' ', i++)
		if (strcspn(p, " ") == n && !memcmp(p, word, n))
			return i;
	return -1;
}

/* One parameter: known, with a value, and not twice: which of two would be meant? */
static bool api_check(void *arg, const char *name, const char *value)
{
	struct check *c = arg;
	int word = api_word(c->route->params, name);
	char hint[256];

	c->bad = true;
	if (word < 0) {
		snprintf(hint, sizeof(hint), *c->route->params ? "it has: %s" : "it has none%s", c->route->params);
		api_error(c->a, 400, hint, "%.100s has no parameter %.60s", c->a->req->path, *name ? name : "(empty)");
	} else if (!value) {
		api_error(c->a, 400, "write name=value", "%s has no value", name);
	} else if (c->seen & 1u << word) {
		api_error(c->a, 400, "give each parameter once", "%s is given twice", name);
	} else {
		c->seen |= 1u << word;
		c->bad = false;
	}
	return !c->bad;
}

static const struct route *api_route(const char *path, const char **ret_tail)
{
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		size_t n = strlen(routes[i].path);

		if (routes[i].path[n - 1] != '*') {
			if (!strcmp(path, routes[i].path))
				return &routes[i];
		} else if (!strncmp(path, routes[i].path, n - 1) && path[n - 1]) {
			*ret_tail = path + n - 1;
			return &routes[i];
		}
	}
	return NULL;
}

static struct store_query *api_query(struct server *s)
{
	struct store_query *q = NULL;

	pthread_mutex_lock(&s->lock);
	if (s->n_queries)
		q = s->queries[--s->n_queries];
	pthread_mutex_unlock(&s->lock);
	if (!q && store_query_open(&q, s->store))
		return NULL;
	return q;
}

static void api_query_done(struct server *s, struct store_query *q)
{
	pthread_mutex_lock(&s->lock);
	if (q && s->n_queries < API_QUERIES) {
		s->queries[s->n_queries++] = q;
		q = NULL;
	}
	pthread_mutex_unlock(&s->lock);
	store_query_close(q);
}

/* One line for the log: what is foreign in it must not begin another. */
static const char *api_line(const char *s, char text[201])
{
	size_t n = 0;

	for (; s[n] && n < 200; n++)
		text[n] = (unsigned char)s[n] < ' ' || s[n] == 0x7f ? ' ' : s[n];
	text[n] = '\0';
	return text;
}

void api_handle(void *server, const struct http_request *req, struct http_reply *reply)
{
	struct server *s = server;
	struct api a = {.s = s, .req = req, .reply = reply, .now_us = clock_wall_us()};
	const struct route *route = api_route(req->path, &a.tail);
	struct check check;

	a.now = (uint32_t)(a.now_us / 1000000);
	s->requests++;
	if (!route) {
		(void)api_page(&a);
		goto out;
	}
	check = (struct check){.a = &a, .route = route};
	http_params(req, api_check, &check);
	if (check.bad)
		goto out;
	if (route->store) {
		a.q = api_query(s);
		if (!a.q) {
			api_error(&a, 500, "try again", "no memory");
			goto out;
		}
	}
	route->fn(&a);
	if (a.q)
		api_query_done(s, a.q);
out:
	s->errors += reply->status >= 400;
	/* 503 is a state, said by /readyz and the metrics: clients that come back each second must not fill the log. */
	if (reply->status >= 500 && reply->status != 503) {
		char path[201], text[201];

		log_warn("http: %s: %s", api_line(req->path, path), api_line(buf_text(&reply->body), text));
	}
}

int api_openapi(struct api *a)
{
	buf_put(&a->reply->body, openapi_json, sizeof(openapi_json));
	return 0;
}

int api_healthz(struct api *a)
{
	a->reply->type = "text/plain; charset=utf-8";
	buf_printf(&a->reply->body, "ok\n");
	return 0;
}

/* Ready: the store can be read, and written as far as we know. */
int api_readyz(struct api *a)
{
	struct writer_stats w = {0};
	struct store_count c;
	int r = store_counts(a->q, a->now, a->now + 1, &c);

	a->reply->type = "text/plain; charset=utf-8";
	if (a->s->writer)
		writer_stats(a->s->writer, &w);
	if (r || *w.error) {
		a->reply->status = 503;
		buf_printf(&a->reply->body, "%s\n", r ? store_query_error(a->q) : w.error);
	} else {
		buf_printf(&a->reply->body, "ready\n");
	}
	return 0;
}

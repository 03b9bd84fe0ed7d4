/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/api.h"
#include "server/totals.h"
#include "server/views.h"

const struct server_opts server_defaults = {
	.listen = "127.0.0.1:8343",
	.threads = 4,
	.connections = 512,
};

static void server_stored(void *arg, uint32_t oldest, uint32_t newest)
{
	live_stored(arg, oldest, newest);
}

static void server_wake(void *arg)
{
	struct server *s = arg;

	http_wake(s->http);
}

static char *server_instance(const char *name)
{
	char text[128], host[65] = "host";

	if (name && *name)
		return strdup(name);
	(void)gethostname(host, sizeof(host) - 1);
	snprintf(text, sizeof(text), "%s", host);
	return strdup(text);
}

static int server_no_memory(char *why, size_t why_len)
{
	snprintf(why, why_len, "no memory for the server");
	return -ENOMEM;
}

/* Strings and what was left to defaults. */
static int server_settings(struct server *s, const struct server_opts *opts)
{
	s->opts = *opts;
	s->data = strdup(opts->data);
	s->listen = strdup(opts->listen ? opts->listen : server_defaults.listen);
	s->instance = server_instance(opts->instance);
	if (!s->opts.store.interval_s)
		s->opts.store = store_defaults;
	if (!s->opts.threads)
		s->opts.threads = server_defaults.threads;
	if (s->opts.connections < s->opts.threads)
		s->opts.connections = server_defaults.connections;
	if (!s->opts.settle_ms)
		s->opts.settle_ms = s->opts.store.interval_s * 3000u + 4000u;
	return s->data && s->listen && s->instance ? 0 : -ENOMEM;
}

static int server_writer(struct server *s, char *why, size_t why_len)
{
	struct writer_opts wo = {.bus = s->opts.bus,
				 .store = s->store,
				 .instance = s->instance,
				 .interval_s = s->opts.store.interval_s,
				 .boot = s->boot,
				 .totals = s->totals,
				 .stored = server_stored,
				 .arg = s->live};
	int r = writer_new(&s->writer, &wo);

	if (r)
		snprintf(why, why_len, "cannot read the bus: %s", strerror(-r));
	return r;
}

static int server_parts(struct server *s, char *why, size_t why_len)
{
	struct live_opts lo = {.interval_s = s->opts.store.interval_s,
			       .settle_ms = s->opts.settle_ms,
			       .clients = s->opts.connections / 2,
			       .wake = server_wake,
			       .arg = s};
	int r;

	if (s->opts.web_root) {
		s->web_root = page_root_open(s->opts.web_root, why, why_len);
		if (s->web_root < 0)
			return s->web_root;
	}
	r = store_open(&s->store, s->data, &s->opts.store, why, why_len);
	if (r)
		return r;
	lo.store = s->store;
	if (totals_new(&s->totals) || views_new(&s->views, VIEWS_BYTES) || live_new(&s->live, &lo))
		return server_no_memory(why, why_len);
	return s->opts.bus ? server_writer(s, why, why_len) : 0;
}

int server_new(struct server **ret, const struct server_opts *opts, char *why, size_t why_len)
{
	struct server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return server_no_memory(why, why_len);
	s->boot = (uint64_t)clock_wall_us();
	s->web_root = -1;
	pthread_mutex_init(&s->lock, NULL);
	r = server_settings(s, opts) ? server_no_memory(why, why_len) : server_parts(s, why, why_len);
	if (r)
		server_free(s);
	else
		*ret = s;
	return r;
}

int server_add_metrics(struct server *s, void (*fn)(void *arg, struct buf *b), void *arg)
{
	if (s->n_metrics == API_METRICS)
		return -ENOSPC;
	s->metrics[s->n_metrics].fn = fn;
	s->metrics[s->n_metrics++].arg = arg;
	return 0;
}

int server_start(struct server *s, char *why, size_t why_len)
{
	const struct http_opts opts = {
		.listen = s->listen,
		.threads = s->opts.threads,
		.connections = s->opts.connections,
		.handle = api_handle,
		.arg = s,
	};
	int r;

	r = http_start(&s->http, &opts, why, why_len);
	if (r)
		return r;
	r = live_start(s->live);
	if (!r && s->writer)
		r = writer_start(s->writer);
	if (r) {
		snprintf(why, why_len, "cannot start the server's threads: %s", strerror(-r));
		live_stop(s->live);
		http_stop(s->http);
		s->http = NULL;
	}
	return r;
}

void server_stop(struct server *s)
{
	struct writer_stats w;

	live_stop(s->live);
	http_stop(s->http);
	s->http = NULL;
	if (!s->writer)
		return;
	writer_stop(s->writer);
	writer_stats(s->writer, &w);
	if (*w.error)
		log_warn("store: what came last could not be written: %s", w.error);
}

void server_free(struct server *s)
{
	if (!s)
		return;
	server_stop(s);
	writer_free(s->writer);
	live_free(s->live);
	if (s->web_root >= 0)
		close(s->web_root);
	for (unsigned i = 0; i < s->n_queries; i++)
		store_query_close(s->queries[i]);
	store_close(s->store);
	totals_free(s->totals);
	views_free(s->views);
	pthread_mutex_destroy(&s->lock);
	free(s->data);
	free(s->listen);
	free(s->instance);
	free(s);
}

const char *server_url(const struct server *s)
{
	return s->http ? http_url(s->http) : "";
}

void server_stats(struct server *s, struct server_stats *ret)
{
	struct writer_stats w = {0};

	if (s->writer)
		writer_stats(s->writer, &w);
	*ret = (struct server_stats){
		.edges = w.edges,
		.pairs = w.pairs,
		.hosts = w.hosts,
		.listeners = w.listeners,
		.ledgers = w.ledgers,
		.batches = w.batches,
		.retries = w.retries,
		.poison = w.poison,
		.requests = s->requests,
		.errors = s->errors,
		.newest = store_newest(s->store),
	};
}

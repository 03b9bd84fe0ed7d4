/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server role: writes what the graph says into the store (server/writer.c) and answers over HTTP
 * (server/http.c, routes in server/api.c): the page, /api/v1/..., /metrics, /healthz, /readyz.
 *
 *     server_new -> server_add_metrics ... -> server_start -> ... -> server_stop -> server_free
 */
#pragma once

#include "base/buf.h"
#include "bus/bus.h"
#include "store/store.h"

struct server;

struct server_opts {
	struct bus *bus;      /* NULL: only answers from what is stored */
	const char *data;     /* folder of the store; made if it is not there */
	const char *listen;   /* "127.0.0.1:8343"; port 0: any free one, see server_url() */
	const char *instance; /* name in the ledger */
	struct store_opts store;
	unsigned threads;     /* of HTTP */
	unsigned connections; /* open at once, half of them streams; more are refused */
	const char *web_root; /* folder the page is read from, anew each time; NULL: the embedded page */
	uint32_t settle_ms;   /* after an interval's end until all of it should be stored: what `health` waits for */
};

extern const struct server_opts server_defaults;

/* Opens the store. Strings in opts are copied. -errno with a sentence in `why`: what is wrong, what to do. */
int server_new(struct server **ret, const struct server_opts *opts, char *why, size_t why_len);

/* Another role's counters in /metrics: fn appends Prometheus text; called by HTTP threads at any time until
 * server_stop(). At most 8; before server_start(). */
int server_add_metrics(struct server *s, void (*fn)(void *arg, struct buf *b), void *arg);

/* Binds the port, starts writer and HTTP threads. */
int server_start(struct server *s, char *why, size_t why_len);

/* Stops answering, writes what is still on the bus (at most 5 s), joins all threads. */
void server_stop(struct server *s);
void server_free(struct server *s);

/* "http://127.0.0.1:8343" with the port really bound. Valid after server_start(). */
const char *server_url(const struct server *s);

struct server_stats {
	uint64_t edges, pairs, hosts, listeners, ledgers; /* written, duplicates included */
	uint64_t batches, retries, poison;
	uint64_t requests, errors; /* HTTP */
	uint32_t newest;           /* interval newest in the store */
};

void server_stats(struct server *s, struct server_stats *ret);

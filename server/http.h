/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP side, and the only file that knows libmicrohttpd: GET only, bounded in time, size and connections. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct http;

struct http_request {
	const char *path; /* decoded, begins with '/' */
	void *connection;
};

struct http_reply {
	int status;
	const char *type; /* content type; a constant */
	struct buf body;  /* taken over */
};

/* The value of a query parameter, decoded; NULL when absent. Lives as long as the request. */
const char *http_param(const struct http_request *r, const char *name);
/* Calls fn for every parameter; stops when it returns false. */
void http_params(const struct http_request *r, bool (*fn)(void *arg, const char *name), void *arg);

struct http_opts {
	const char *listen; /* "127.0.0.1:8343" */
	unsigned threads, connections;
	void (*handle)(void *arg, const struct http_request *req, struct http_reply *reply); /* by any of the threads */
	void *arg;
};

/* Binds and serves. -errno with a sentence in `why`. */
int http_start(struct http **ret, const struct http_opts *opts, char *why, size_t why_len);
void http_stop(struct http *h); /* waits for requests in work; frees */
const char *http_url(const struct http *h);

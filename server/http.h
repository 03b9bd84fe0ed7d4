/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP side, and the only file that knows libmicrohttpd: GET only, bounded in time, size and connections.
 *
 * An answer is bytes made for it, a file of the page, or a feed: bytes without end, read whenever there are some. A feed
 * that has none is parked and costs no thread; http_wake() has all of them read again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/types.h>

#include "base/buf.h"
#include "server/page.h"

struct http;

struct http_request {
	const char *path; /* decoded, begins with '/' */
	void *connection;
	const struct http *http;
};

#define HTTP_FEED_END (-1)

struct http_feed {
	/* Puts at most n bytes. 0: none for now; HTTP_FEED_END. Called by one thread at a time, any of HTTP's. */
	ssize_t (*read)(void *arg, char *p, size_t n);
	void (*close)(void *arg); /* exactly once, after the last read */
	void *arg;
};

struct http_reply {
	int status;
	const char *type;             /* content type; a constant */
	struct buf body;              /* taken over */
	const struct page_file *file; /* instead of the body, with its type: lives as long as the program */
	struct http_feed feed;        /* instead of the body, when read is set; taken over */
	bool page;                    /* of the page: its security policy, not that of the API */
	bool picture;                 /* an SVG that brings its own style: the policy lets it have that, nothing else */
	unsigned retry_s;             /* Retry-After; 0 none */
};

/* The value of a query parameter, decoded; NULL when absent. Lives as long as the request. */
const char *http_param(const struct http_request *r, const char *name);
/* The value of a header of the request, or NULL. */
const char *http_header(const struct http_request *r, const char *name);
/* Calls fn for every parameter, as often as it is given; value NULL: there is no '='. Stops when it returns false. */
void http_params(const struct http_request *r, bool (*fn)(void *arg, const char *name, const char *value), void *arg);

struct http_opts {
	const char *listen; /* "127.0.0.1:8343" */
	unsigned threads, connections;
	unsigned timeout_s; /* nothing came or went for so long: closed; 0: 15 */
	void (*handle)(void *arg, const struct http_request *req, struct http_reply *reply); /* by any of the threads */
	void *arg;
};

/* Binds and serves. -errno with a sentence in `why`. */
int http_start(struct http **ret, const struct http_opts *opts, char *why, size_t why_len);
/* Ends all feeds, waits for requests in work, frees. */
void http_stop(struct http *h);
/* There may be something new for feeds. Any thread, between http_start() and http_stop(). */
void http_wake(struct http *h);
/* Feeds closed because their client took nothing for timeout_s. */
uint64_t http_stuck(const struct http *h);
const char *http_url(const struct http *h);

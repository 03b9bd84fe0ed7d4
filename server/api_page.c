/* SPDX-License-Identifier: Apache-2.0 */
/* The page and its stream. */
#include <errno.h>
#include <stdio.h>

#include "server/api.h"

#define PAGE_BODY_MAX (32u << 20)

int api_stream(struct api *a)
{
	int r = live_open(a->s->live, http_header(a->req, "Last-Event-ID"), &a->reply->feed);

	if (!r) {
		a->reply->type = "text/event-stream; charset=utf-8";
		return 0;
	}
	a->reply->retry_s = 10;
	if (r == -EAGAIN)
		return api_error(a, 503, "try again in 10 s; the other paths of the API still answer",
				 "%u clients follow the stream, no more are served", a->s->opts.connections / 2);
	return api_error(a, 503, "try again in 10 s", "no memory for another client of the stream");
}

static int page_missing(struct api *a)
{
	a->reply->status = 404;
	a->reply->type = "text/html; charset=utf-8";
	a->reply->page = true;
	buf_clear(&a->reply->body);
	buf_printf(
		&a->reply->body,
		"<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Skyfall: not here</title></head>"
		"<body><p>Nothing is at this address. <a href=\"/\">The page</a> is at /, "
		"<a href=\"/api/v1/openapi.json\">what the API has</a> at /api/v1/openapi.json.</p></body></html>\n");
	return -1;
}

int api_page(struct api *a)
{
	const char *path = a->req->path;
	int r;

	if (!strcmp(path, "/api") || !strncmp(path, "/api/", 5))
		return api_error(a, 404, "what there is: /api/v1/openapi.json", "nothing is called %.200s", path);
	if (a->s->web_root < 0) {
		a->reply->file = page_find(path);
	} else {
		a->reply->body.max = PAGE_BODY_MAX;
		r = page_root_read(a->s->web_root, path, &a->reply->body, &a->reply->type);
		if (r == -ENOMEM)
			return api_error(a, 500, "try again", "no memory for %.200s", path);
		if (r)
			return page_missing(a);
	}
	if (a->s->web_root < 0 && !a->reply->file)
		return page_missing(a);
	a->reply->page = true;
	return 0;
}

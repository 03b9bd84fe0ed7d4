/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ip.h"
#include "base/log.h"
#include "base/table.h"

#define HTTP_TIMEOUT_S 15
#define HTTP_REQUEST_MAX 16384 /* bytes of a request line and its headers */

struct http {
	struct MHD_Daemon *daemon;
	struct http_opts opts;
	bool loopback;
	char url[80];
};

static const struct {
	const char *name, *value;
} http_headers[] = {
	{"X-Content-Type-Options", "nosniff"},
	{"X-Frame-Options", "DENY"},
	{"Referrer-Policy", "no-referrer"},
	{"Content-Security-Policy",
	 "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"},
};

const char *http_param(const struct http_request *r, const char *name)
{
	return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

struct http_each {
	bool (*fn)(void *arg, const char *name);
	void *arg;
};

static enum MHD_Result http_each(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct http_each *x = cls;

	return x->fn(x->arg, key) ? MHD_YES : MHD_NO;
}

void http_params(const struct http_request *r, bool (*fn)(void *arg, const char *name), void *arg)
{
	struct http_each x = {fn, arg};

	MHD_get_connection_values(r->connection, MHD_GET_ARGUMENT_KIND, http_each, &x);
}

static void http_error(struct http_reply *reply, int status, const char *error, const char *hint)
{
	reply->status = status;
	reply->type = "application/json";
	buf_clear(&reply->body);
	buf_printf(&reply->body, "{\"error\": \"%s\", \"hint\": \"%s\"}\n", error, hint);
}

/* A page of a stranger must not reach a server on the loopback under a name of its own (DNS rebinding). */
static bool http_host_ok(const struct http *h, struct MHD_Connection *c)
{
	const char *host = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Host");
	char name[64];
	struct ip ip;
	size_t n;

	if (!h->loopback || !host)
		return true;
	n = *host == '[' ? strcspn(++host, "]") : strcspn(host, ":");
	if (n >= sizeof(name))
		return false;
	memcpy(name, host, n);
	name[n] = '\0';
	return strcasecmp(name, "localhost") == 0 || ip_parse(name, &ip) == 0;
}

static enum MHD_Result http_send(struct MHD_Connection *c, struct http_reply *reply)
{
	struct MHD_Response *m;
	enum MHD_Result r;

	if (reply->body.err) {
		buf_deinit(&reply->body);
		buf_init(&reply->body, 0);
		http_error(reply, 500, "no memory for the answer", "ask for less: a smaller limit or range");
	}
	/* The response frees the bytes. */
	m = MHD_create_response_from_buffer(reply->body.n, reply->body.p, MHD_RESPMEM_MUST_FREE);
	if (!m) {
		buf_deinit(&reply->body);
		return MHD_NO;
	}
	for (size_t i = 0; i < ARRAY_LEN(http_headers); i++)
		MHD_add_response_header(m, http_headers[i].name, http_headers[i].value);
	MHD_add_response_header(m, MHD_HTTP_HEADER_CONTENT_TYPE, reply->type);
	MHD_add_response_header(m, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (reply->status == 405)
		MHD_add_response_header(m, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	r = MHD_queue_response(c, (unsigned)reply->status, m);
	MHD_destroy_response(m);
	return r;
}

static enum MHD_Result http_request(void *cls, struct MHD_Connection *c, const char *url, const char *method,
				    const char *version, const char *upload, size_t *upload_size, void **con_cls)
{
	static const char seen;
	struct http *h = cls;
	struct http_request req = {.path = url, .connection = c};
	struct http_reply reply = {.status = 200, .type = "application/json"};

	/* The first call only brings the headers; answering then would cut a connection that still sends. */
	if (*con_cls != &seen) {
		*con_cls = (void *)(uintptr_t)&seen;
		return MHD_YES;
	}
	if (*upload_size) {
		*upload_size = 0;
		return MHD_YES;
	}
	buf_init(&reply.body, 256u << 20);
	if (strcmp(method, "GET") && strcmp(method, "HEAD"))
		http_error(&reply, 405, "only GET is answered", "the API reads, it does not change anything");
	else if (!http_host_ok(h, c))
		http_error(&reply, 403, "this name is not served", "ask for localhost or an address");
	else
		h->opts.handle(h->opts.arg, &req, &reply);
	return http_send(c, &reply);
}

static void http_log(void *cls, const char *fmt, va_list ap)
{
	char text[256];

	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	log_debug("http: %s", text);
}

static int http_bind(const char *listen_at, int *ret_fd, struct ip *ret_ip, uint16_t *ret_port, char *why,
		     size_t why_len)
{
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);
	char reason[128];
	int fd, r, one = 1;

	r = ip_resolve(listen_at, 8343, ret_ip, ret_port, reason, sizeof(reason));
	if (r) {
		snprintf(why, why_len, "cannot listen on %s: %s; name an address like 127.0.0.1:8343", listen_at,
			 reason);
		return r;
	}
	n = ip_to_sockaddr(ret_ip, *ret_port, &sa);
	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		goto fail;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sa, n) || listen(fd, 128))
		goto fail;
	n = sizeof(sa);
	if (getsockname(fd, (struct sockaddr *)&sa, &n))
		goto fail;
	(void)ip_from_sockaddr((struct sockaddr *)&sa, ret_ip, ret_port);
	*ret_fd = fd;
	return 0;
fail:
	r = -errno;
	if (fd >= 0)
		close(fd);
	if (r == -EADDRINUSE)
		snprintf(
			why, why_len,
			"cannot listen on %s: the port is in use; is another skyfall running? name another with --listen",
			listen_at);
	else
		snprintf(why, why_len, "cannot listen on %s: %s; name another address with --listen", listen_at,
			 strerror(-r));
	return r;
}

int http_start(struct http **ret, const struct http_opts *opts, char *why, size_t why_len)
{
	struct http *h = calloc(1, sizeof(*h));
	char text[IP_TEXT];
	uint16_t port;
	struct ip ip;
	int fd = -1, r;

	if (!h)
		return -ENOMEM;
	h->opts = *opts;
	r = http_bind(opts->listen, &fd, &ip, &port, why, why_len);
	if (r) {
		free(h);
		return r;
	}
	h->loopback = ip_is_loopback(&ip);
	ip_format(&ip, text);
	snprintf(h->url, sizeof(h->url), ip_is_v4(&ip) ? "http://%s:%u" : "http://[%s]:%u", text, port);
	h->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG, 0, NULL, NULL, http_request, h,
				     MHD_OPTION_EXTERNAL_LOGGER, http_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
				     MHD_OPTION_THREAD_POOL_SIZE, opts->threads > 1 ? opts->threads : 0u,
				     MHD_OPTION_CONNECTION_LIMIT, opts->connections, MHD_OPTION_CONNECTION_TIMEOUT,
				     (unsigned)HTTP_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				     (size_t)HTTP_REQUEST_MAX, MHD_OPTION_END);
	if (!h->daemon) {
		close(fd);
		free(h);
		snprintf(why, why_len, "cannot start the HTTP threads; is there memory?");
		return -ENOMEM;
	}
	*ret = h;
	return 0;
}

void http_stop(struct http *h)
{
	if (!h)
		return;
	MHD_stop_daemon(h->daemon);
	free(h);
}

const char *http_url(const struct http *h)
{
	return h->url;
}

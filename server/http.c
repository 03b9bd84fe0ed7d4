/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
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
#define HTTP_URI_MAX 16384     /* bytes of an address as it was sent */
#define HTTP_REQUEST_MAX 98304 /* of a request line, its headers and what is noted of them; more is cut off unread */
#define HTTP_FEED_BLOCK 65536
#define HTTP_FEED_SNDBUF 131072 /* what the kernel holds for a client that is slow */

struct http {
	struct MHD_Daemon *daemon;
	struct http_opts opts;
	bool loopback;
	char url[80];
	_Atomic uint64_t wakes, stuck;
	pthread_mutex_t lock; /* guards the rest; taken before any lock of libmicrohttpd */
	struct feed *waiting;
	bool stopping;
};

/* One open feed. */
struct feed {
	struct http *http;
	struct MHD_Connection *connection;
	struct http_feed source;
	struct feed *next; /* in http.waiting: parked */
};

/* What a request is known as between libmicrohttpd's calls. */
static const char http_seen, http_fed, http_long, http_nul;

static const struct {
	const char *name, *value;
} http_headers[] = {
	{"X-Content-Type-Options", "nosniff"},
	{"X-Frame-Options", "DENY"},
	{"Referrer-Policy", "no-referrer"},
};

#define HTTP_POLICY_NONE "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
#define HTTP_POLICY_PAGE \
	HTTP_POLICY_NONE \
	"; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'"
/* Opened in a tab, an SVG is a document of its own: without this its boxes would be black. */
#define HTTP_POLICY_PICTURE HTTP_POLICY_NONE "; style-src 'unsafe-inline'"

const char *http_param(const struct http_request *r, const char *name)
{
	return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *http_header(const struct http_request *r, const char *name)
{
	return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

struct http_each {
	bool (*fn)(void *arg, const char *name, const char *value);
	void *arg;
};

static enum MHD_Result http_each(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct http_each *x = cls;

	return x->fn(x->arg, key, value) ? MHD_YES : MHD_NO;
}

void http_params(const struct http_request *r, bool (*fn)(void *arg, const char *name, const char *value), void *arg)
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

/* --- feeds */

/* Parks the connection when nothing has been said by http_wake() since `wakes` was read: otherwise what came between the
 * read and here would wait for the next wake. */
static bool feed_park(struct feed *f, uint64_t wakes)
{
	struct http *h = f->http;
	bool park;

	pthread_mutex_lock(&h->lock);
	park = !h->stopping && h->wakes == wakes;
	if (park) {
		f->next = h->waiting;
		h->waiting = f;
		MHD_suspend_connection(f->connection);
	}
	pthread_mutex_unlock(&h->lock);
	return park;
}

static bool feed_stopping(struct http *h)
{
	bool stopping;

	pthread_mutex_lock(&h->lock);
	stopping = h->stopping;
	pthread_mutex_unlock(&h->lock);
	return stopping;
}

static ssize_t feed_read(void *cls, uint64_t pos, char *p, size_t max)
{
	struct feed *f = cls;
	uint64_t wakes;
	ssize_t n;

	do {
		wakes = f->http->wakes;
		n = feed_stopping(f->http) ? HTTP_FEED_END : f->source.read(f->source.arg, p, max);
	} while (!n && !feed_park(f, wakes));
	return n == HTTP_FEED_END ? MHD_CONTENT_READER_END_OF_STREAM : n;
}

/* By libmicrohttpd when the connection is gone; a parked one is woken first, so it is in no list here. */
static void feed_free(void *cls)
{
	struct feed *f = cls;

	f->source.close(f->source.arg);
	free(f);
}

void http_wake(struct http *h)
{
	struct feed *f;

	pthread_mutex_lock(&h->lock);
	h->wakes++;
	while ((f = h->waiting)) {
		h->waiting = f->next;
		MHD_resume_connection(f->connection);
	}
	pthread_mutex_unlock(&h->lock);
}

uint64_t http_stuck(const struct http *h)
{
	return h->stuck;
}

static struct MHD_Response *http_feed(struct http *h, struct MHD_Connection *c, struct http_reply *reply)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct feed *f = calloc(1, sizeof(*f));
	struct MHD_Response *m = NULL;
	int bytes = HTTP_FEED_SNDBUF;

	if (f) {
		*f = (struct feed){.http = h, .connection = c, .source = reply->feed};
		m = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, HTTP_FEED_BLOCK, feed_read, f, feed_free);
	}
	if (!m) {
		free(f);
		reply->feed.close(reply->feed.arg);
		return NULL;
	}
	if (info)
		(void)setsockopt(info->connect_fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	/* Not in chunks: those go through the connection's small buffer. The end of the connection is the feed's. */
	MHD_set_response_options(m, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
	MHD_add_response_header(m, "X-Accel-Buffering", "no");
	return m;
}

/* --- answers */

/* A word of a list in a header, refused by q=0. */
static bool http_accepts(const char *list, const char *word)
{
	size_t n = strlen(word);

	while (list && *list) {
		size_t len;

		list += strspn(list, " \t,");
		len = strcspn(list, ",");
		if (!strncasecmp(list, word, n) && strchr(" \t,;", list[n])) {
			const char *q = memmem(list, len, "q=", 2);

			return !q || strtod(q + 2, NULL) > 0;
		}
		list += len;
	}
	return false;
}

/* If-None-Match: a list of tags, weak or not. */
static bool http_has_tag(const char *list, const char *tag)
{
	char quoted[40];

	snprintf(quoted, sizeof(quoted), "\"%s\"", tag);
	return list && (strstr(list, quoted) || !strcmp(list, "*"));
}

static struct MHD_Response *http_file(struct MHD_Connection *c, struct http_reply *reply)
{
	const struct page_file *f = reply->file;
	bool gzip = f->gz && http_accepts(MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Accept-Encoding"), "gzip");
	struct MHD_Response *m;
	char tag[40];

	reply->type = f->type;
	if (reply->status == 200 &&
	    http_has_tag(MHD_lookup_connection_value(c, MHD_HEADER_KIND, "If-None-Match"), f->tag)) {
		reply->status = 304;
		m = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	} else {
		m = MHD_create_response_from_buffer(gzip ? f->gz_n : f->raw_n,
						    (void *)(uintptr_t)(gzip ? f->gz : f->raw), MHD_RESPMEM_PERSISTENT);
		if (m && gzip)
			MHD_add_response_header(m, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
	}
	if (!m)
		return NULL;
	/* Weak: the same file packed and not has one. */
	snprintf(tag, sizeof(tag), "W/\"%s\"", f->tag);
	MHD_add_response_header(m, MHD_HTTP_HEADER_ETAG, tag);
	MHD_add_response_header(m, MHD_HTTP_HEADER_VARY, "Accept-Encoding");
	MHD_add_response_header(m, MHD_HTTP_HEADER_CACHE_CONTROL,
				f->immutable ? "public, max-age=31536000, immutable" : "no-cache");
	return m;
}

static struct MHD_Response *http_body(struct http_reply *reply)
{
	struct MHD_Response *m;

	if (reply->body.err) {
		buf_deinit(&reply->body);
		buf_init(&reply->body, 0);
		http_error(reply, 500, "no memory for the answer", "ask for less: a smaller limit or range");
	}
	/* The response frees the bytes. */
	m = MHD_create_response_from_buffer(reply->body.n, reply->body.p, MHD_RESPMEM_MUST_FREE);
	if (m)
		MHD_add_response_header(m, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	else
		buf_deinit(&reply->body);
	return m;
}

static enum MHD_Result http_send(struct http *h, struct MHD_Connection *c, struct http_reply *reply)
{
	struct MHD_Response *m;
	enum MHD_Result r;
	char seconds[16];

	if (reply->feed.read)
		m = http_feed(h, c, reply);
	else
		m = reply->file ? http_file(c, reply) : http_body(reply);
	if (reply->file || reply->feed.read)
		buf_deinit(&reply->body);
	if (!m)
		return MHD_NO;
	for (size_t i = 0; i < ARRAY_LEN(http_headers); i++)
		MHD_add_response_header(m, http_headers[i].name, http_headers[i].value);
	MHD_add_response_header(m, "Content-Security-Policy",
				reply->page      ? HTTP_POLICY_PAGE
				: reply->picture ? HTTP_POLICY_PICTURE
						 : HTTP_POLICY_NONE);
	MHD_add_response_header(m, MHD_HTTP_HEADER_CONTENT_TYPE, reply->type);
	if (reply->feed.read)
		MHD_add_response_header(m, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (reply->status == 405)
		MHD_add_response_header(m, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	if (reply->retry_s) {
		snprintf(seconds, sizeof(seconds), "%u", reply->retry_s);
		MHD_add_response_header(m, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
	}
	r = MHD_queue_response(c, (unsigned)reply->status, m);
	MHD_destroy_response(m);
	return r;
}

/* An address as it came, before it is decoded: past a NUL nobody would see what it says. */
static void *http_uri(void *cls, const char *uri, struct MHD_Connection *c)
{
	if (strlen(uri) > HTTP_URI_MAX)
		return (void *)(uintptr_t)&http_long;
	return strstr(uri, "%00") ? (void *)(uintptr_t)&http_nul : NULL;
}

static enum MHD_Result http_request(void *cls, struct MHD_Connection *c, const char *url, const char *method,
				    const char *version, const char *upload, size_t *upload_size, void **con_cls)
{
	struct http *h = cls;
	struct http_request req = {.path = url, .connection = c, .http = h};
	struct http_reply reply = {.status = 200, .type = "application/json"};

	/* The first call only brings the headers; answering then cuts a connection that still sends. */
	if (*con_cls == &http_long || *con_cls == &http_nul) {
		buf_init(&reply.body, 0);
		if (*con_cls == &http_long)
			http_error(&reply, 414, "the address is too long", "at most 16384 bytes");
		else
			http_error(&reply, 400, "%00 has no place in an address", "no name holds such a byte");
		return http_send(h, c, &reply);
	}
	if (*con_cls != &http_seen) {
		*con_cls = (void *)(uintptr_t)&http_seen;
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
	if (reply.feed.read)
		*con_cls = (void *)(uintptr_t)&http_fed;
	return http_send(h, c, &reply);
}

static void http_completed(void *cls, struct MHD_Connection *c, void **con_cls, enum MHD_RequestTerminationCode why)
{
	struct http *h = cls;

	h->stuck += *con_cls == &http_fed && why == MHD_REQUEST_TERMINATED_TIMEOUT_REACHED;
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
		snprintf(why, why_len, "cannot listen on %s: %s; name one like 127.0.0.1:8343 with --listen", listen_at,
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

	if (!h) {
		snprintf(why, why_len, "no memory for HTTP");
		return -ENOMEM;
	}
	h->opts = *opts;
	r = http_bind(opts->listen, &fd, &ip, &port, why, why_len);
	if (r) {
		free(h);
		return r;
	}
	h->loopback = ip_is_loopback(&ip);
	ip_format(&ip, text);
	snprintf(h->url, sizeof(h->url), ip_is_v4(&ip) ? "http://%s:%u" : "http://[%s]:%u", text, port);
	pthread_mutex_init(&h->lock, NULL);
	h->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG | MHD_ALLOW_SUSPEND_RESUME, 0,
				     NULL, NULL, http_request, h, MHD_OPTION_NOTIFY_COMPLETED, http_completed, h,
				     MHD_OPTION_URI_LOG_CALLBACK, http_uri, NULL, MHD_OPTION_EXTERNAL_LOGGER, http_log,
				     NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE,
				     opts->threads > 1 ? opts->threads : 0u, MHD_OPTION_CONNECTION_LIMIT,
				     opts->connections, MHD_OPTION_CONNECTION_TIMEOUT,
				     opts->timeout_s ? opts->timeout_s : (unsigned)HTTP_TIMEOUT_S,
				     MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_REQUEST_MAX, MHD_OPTION_END);
	if (!h->daemon) {
		close(fd);
		pthread_mutex_destroy(&h->lock);
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
	/* A daemon with parked connections does not stop. */
	pthread_mutex_lock(&h->lock);
	h->stopping = true;
	pthread_mutex_unlock(&h->lock);
	http_wake(h);
	MHD_stop_daemon(h->daemon);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

const char *http_url(const struct http *h)
{
	return h->url;
}

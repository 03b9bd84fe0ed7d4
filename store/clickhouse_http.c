/* SPDX-License-Identifier: Apache-2.0 */
#include "store/clickhouse_http.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HTTP_ANSWER_MAX (1u << 30)
#define HTTP_CONNECT_MS 2000L
#define HTTP_TIMEOUT_MS 60000L
/* A statement with many ids is long; a roll-up of many edges may go to disk. The server is to wait for the end of an answer
 * before it sends the first of it: else an error in the middle comes behind "200 OK", as rows. */
#define HTTP_SETTINGS                                                                                       \
	"max_query_size=268435456&max_bytes_before_external_group_by=2000000000&insert_distributed_sync=1&" \
	"wait_end_of_query=1"

struct clickhouse_http {
	CURL *curl;
	struct curl_slist *headers;
	char *url, *url_database, *user, *password;
	char *database, where[300];
};

/* A name that needs no quotes anywhere. */
static bool http_plain(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	return n && n < 64 && !name[n];
}

static char *http_part(CURLU *u, CURLUPart part, unsigned flags)
{
	char *curl = NULL, *ours;

	if (curl_url_get(u, part, &curl, flags))
		return NULL;
	ours = strdup(curl);
	curl_free(curl);
	return ours;
}

static int http_url(struct clickhouse_http *h, CURLU *u)
{
	char *scheme = http_part(u, CURLUPART_SCHEME, 0), *host = http_part(u, CURLUPART_HOST, 0);
	char *port = http_part(u, CURLUPART_PORT, 0), *path = http_part(u, CURLUPART_PATH, 0);
	int r = -EINVAL;

	h->user = http_part(u, CURLUPART_USER, CURLU_URLDECODE);
	h->password = http_part(u, CURLUPART_PASSWORD, CURLU_URLDECODE);
	if (scheme && host && path && (!path[0] || !path[1] || http_plain(path + 1))) {
		const char *p = port ? port : strcmp(scheme, "https") ? "8123" : "8443";

		h->database = strdup(path[0] && path[1] ? path + 1 : "skyfall");
		snprintf(h->where, sizeof(h->where), "%.150s:%.10s/%.100s", host, p, h->database ? h->database : "");
		r = h->database && asprintf(&h->url, "%s://%s:%s/?" HTTP_SETTINGS, scheme, host, p) > 0 &&
				    asprintf(&h->url_database, "%s&database=%s", h->url, h->database) > 0
			    ? 0
			    : -ENOMEM;
	}
	free(scheme);
	free(host);
	free(port);
	free(path);
	return r;
}

int clickhouse_http_new(struct clickhouse_http **ret, const char *url, char *why, size_t why_len)
{
	struct clickhouse_http *h = calloc(1, sizeof(*h));
	CURLU *u = curl_url();
	int r = -ENOMEM;

	if (h && u) {
		h->curl = curl_easy_init();
		/* Without it curl asks before it sends much, and waits a second where nobody answers that. */
		h->headers = curl_slist_append(NULL, "Expect:");
		r = curl_url_set(u, CURLUPART_URL, url, 0) ? -EINVAL : http_url(h, u);
	}
	curl_url_cleanup(u);
	if (!r && (!h->curl || !h->headers))
		r = -ENOMEM;
	if (r) {
		snprintf(why, why_len,
			 r == -ENOMEM ? "no memory for the store"
				      : "the store's URL is not http[s]://"
					"[user:password@]host[:port]/database (letters, digits and '_')");
		clickhouse_http_free(h);
		return r;
	}
	*ret = h;
	return 0;
}

void clickhouse_http_free(struct clickhouse_http *h)
{
	if (!h)
		return;
	curl_easy_cleanup(h->curl);
	curl_slist_free_all(h->headers);
	free(h->url);
	free(h->url_database);
	free(h->user);
	free(h->password);
	free(h->database);
	free(h);
}

const char *clickhouse_http_database(const struct clickhouse_http *h)
{
	return h->database;
}

const char *clickhouse_http_where(const struct clickhouse_http *h)
{
	return h->where;
}

static size_t http_take(char *p, size_t size, size_t n, void *arg)
{
	struct buf *b = arg;

	buf_put(b, p, size * n);
	return b->err ? 0 : size * n;
}

static void http_setup(struct clickhouse_http *h, bool with_database, const struct buf *body, struct buf *answer,
		       char *error)
{
	curl_easy_reset(h->curl);
	curl_easy_setopt(h->curl, CURLOPT_URL, with_database ? h->url_database : h->url);
	curl_easy_setopt(h->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h->curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, h->headers);
	curl_easy_setopt(h->curl, CURLOPT_CONNECTTIMEOUT_MS, HTTP_CONNECT_MS);
	curl_easy_setopt(h->curl, CURLOPT_TIMEOUT_MS, HTTP_TIMEOUT_MS);
	curl_easy_setopt(h->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->n);
	curl_easy_setopt(h->curl, CURLOPT_POSTFIELDS, body->p);
	curl_easy_setopt(h->curl, CURLOPT_WRITEFUNCTION, http_take);
	curl_easy_setopt(h->curl, CURLOPT_WRITEDATA, answer);
	curl_easy_setopt(h->curl, CURLOPT_ERRORBUFFER, error);
	if (h->user) {
		curl_easy_setopt(h->curl, CURLOPT_USERNAME, h->user);
		curl_easy_setopt(h->curl, CURLOPT_PASSWORD, h->password ? h->password : "");
	}
}

/* Errors of the server's that pass: 159 time is over, 160 too slow, 202 too many statements, 209/210 network, 241 memory,
 * 242 read only for now, 252 too many parts, 319 unknown status, 999 Keeper. */
static bool http_passes(int code)
{
	static const int codes[] = {159, 160, 202, 209, 210, 241, 242, 252, 319, 999};

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		if (codes[i] == code)
			return true;
	return false;
}

/* "Code: 60, e.displayText() = DB::Exception: ..." or "Code: 60. DB::Exception: ...". */
static int http_code(const char *text)
{
	const char *at = strstr(text, "Code: ");

	return at ? atoi(at + 6) : 0;
}

int clickhouse_http_post(struct clickhouse_http *h, bool with_database, const struct buf *body, struct buf *ret,
			 int *ret_code, char *error, size_t error_len)
{
	char said[CURL_ERROR_SIZE] = "";
	struct buf own, *answer = ret ? ret : &own;
	long status = 0;
	CURLcode c;
	int r = 0, code;

	if (body->err)
		return -ENOMEM;
	buf_init(&own, HTTP_ANSWER_MAX);
	buf_clear(answer);
	http_setup(h, with_database, body, answer, said);
	c = curl_easy_perform(h->curl);
	curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
	if (ret_code)
		*ret_code = 0;
	if (answer->err) {
		snprintf(error, error_len, "an answer of ClickHouse at %s is too large", h->where);
		r = -ENOMEM;
	} else if (c) {
		snprintf(error, error_len, "ClickHouse at %s does not answer: %s", h->where,
			 *said ? said : curl_easy_strerror(c));
		r = -EAGAIN;
	} else if (status != 200) {
		const char *text = buf_text(answer);

		code = http_code(text);
		snprintf(error, error_len, "ClickHouse at %s says (HTTP %ld): %.300s", h->where, status, text);
		error[strcspn(error, "\n")] = '\0';
		if (ret_code)
			*ret_code = code;
		r = http_passes(code) || (!code && status >= 500) ? -EAGAIN : -EPROTO;
	}
	buf_deinit(&own);
	return r;
}

void clickhouse_quote(struct buf *sql, struct str s)
{
	buf_char(sql, '\'');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 0x20 || c == 0x7f)
			buf_printf(sql, "\\x%02x", c);
		else if (c == '\'' || c == '\\')
			buf_printf(sql, "\\%c", c);
		else
			buf_char(sql, (char)c);
	}
	buf_char(sql, '\'');
}

void clickhouse_varint(struct buf *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_char(b, (char)(v | 0x80));
	buf_char(b, (char)v);
}

void clickhouse_string(struct buf *b, struct str s)
{
	clickhouse_varint(b, s.n);
	buf_str(b, s);
}

void clickhouse_block(struct buf *b, unsigned columns, size_t rows)
{
	clickhouse_varint(b, columns);
	clickhouse_varint(b, rows);
}

void clickhouse_column(struct buf *b, const char *name, const char *type)
{
	clickhouse_string(b, str_from(name));
	clickhouse_string(b, str_from(type));
}

struct clickhouse_rows clickhouse_rows(const struct buf *b)
{
	return (struct clickhouse_rows){(const uint8_t *)b->p, (const uint8_t *)b->p + b->n, false};
}

bool clickhouse_more(const struct clickhouse_rows *r)
{
	return !r->bad && r->p < r->end;
}

static const uint8_t *rows_take(struct clickhouse_rows *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->bad || (size_t)(r->end - r->p) < n) {
		r->bad = true;
		return NULL;
	}
	r->p += n;
	return p;
}

uint64_t clickhouse_uint(struct clickhouse_rows *r, unsigned bytes)
{
	const uint8_t *p = rows_take(r, bytes);
	uint64_t v = 0;

	for (unsigned i = 0; p && i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

double clickhouse_float(struct clickhouse_rows *r)
{
	uint64_t bits = clickhouse_uint(r, 8);
	double v;

	memcpy(&v, &bits, sizeof(v));
	return v;
}

uint64_t clickhouse_count(struct clickhouse_rows *r)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		const uint8_t *p = rows_take(r, 1);

		if (!p)
			return 0;
		v |= (uint64_t)(*p & 0x7f) << shift;
		if (!(*p & 0x80))
			break;
	}
	if (v > (uint64_t)(r->end - r->p)) {
		r->bad = true;
		return 0;
	}
	return v;
}

struct str clickhouse_text(struct clickhouse_rows *r)
{
	size_t n = clickhouse_count(r);
	const uint8_t *p = rows_take(r, n);

	return (struct str){(const char *)p, p ? n : 0};
}

struct ip clickhouse_ip(struct clickhouse_rows *r)
{
	struct ip ip = {0};
	const uint8_t *p = rows_take(r, sizeof(ip.b));

	if (p)
		memcpy(ip.b, p, sizeof(ip.b));
	return ip;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cmd.h"

#define CLIENT_TIMEOUT_S 20L

struct client {
	CURL *curl;
	char *api; /* without a '/' at its end */
	char error[512];
};

int client_new(struct client **ret, const char *api)
{
	const char *env = getenv("SKYFALL_API");
	struct client *c = calloc(1, sizeof(*c));
	size_t n;

	if (!c)
		return -ENOMEM;
	if (!api)
		api = env && *env ? env : CLIENT_DEFAULT_API;
	if (asprintf(&c->api, "%s%s", strstr(api, "://") ? "" : "http://", api) < 0)
		c->api = NULL;
	c->curl = curl_easy_init();
	if (!c->api || !c->curl) {
		client_free(c);
		return -ENOMEM;
	}
	n = strlen(c->api);
	while (n && c->api[n - 1] == '/')
		c->api[--n] = '\0';
	*ret = c;
	return 0;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	curl_easy_cleanup(c->curl);
	free(c->api);
	free(c);
}

const char *client_api(const struct client *c)
{
	return c->api;
}

const char *client_error(const struct client *c)
{
	return c->error;
}

int client_exit_code(int r)
{
	if (r == -EINVAL)
		return CMD_USAGE;
	return r == -EPROTO || r == -EREMOTEIO || r == -ENOMEM ? CMD_FAILED : CMD_NO_API;
}

void client_escape(struct buf *out, const char *text)
{
	for (; *text; text++) {
		unsigned char ch = (unsigned char)*text;
		bool plain = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
			     ch == '-' || ch == '.' || ch == '_' || ch == '~';

		if (plain)
			buf_char(out, (char)ch);
		else
			buf_printf(out, "%%%02X", ch);
	}
}

static size_t client_take(char *p, size_t size, size_t n, void *arg)
{
	struct buf *body = arg;

	buf_put(body, p, size * n);
	return body->err ? 0 : size * n;
}

/* What curl could not do, in words that say what to do. */
static int client_failed(struct client *c, CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_CONNECT:
		snprintf(c->error, sizeof(c->error),
			 "nobody answers at %s: is `skyfall run` running? (--api says where else)", c->api);
		return -ECONNREFUSED;
	case CURLE_OPERATION_TIMEDOUT:
		snprintf(c->error, sizeof(c->error), "%s gave no answer within %ld s: is `skyfall run` overloaded?",
			 c->api, CLIENT_TIMEOUT_S);
		return -ETIMEDOUT;
	case CURLE_COULDNT_RESOLVE_HOST:
		snprintf(c->error, sizeof(c->error), "no such host in %s: check --api", c->api);
		return -EHOSTUNREACH;
	case CURLE_WRITE_ERROR:
		snprintf(c->error, sizeof(c->error), "the answer of %s is longer than %u MiB: ask for less (--limit)",
			 c->api, CLIENT_ANSWER_MAX >> 20);
		return -EPROTO;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		snprintf(c->error, sizeof(c->error), "'%s' is no address of an API: write http://HOST:PORT", c->api);
		return -EINVAL;
	default:
		snprintf(c->error, sizeof(c->error), "%s: %s", c->api, curl_easy_strerror(code));
		return -EIO;
	}
}

/* An answer that is an error: its own words, if it has any. */
static int client_refused(struct client *c, long status, struct buf *body)
{
	json_t *json = json_loads(buf_text(body), 0, NULL);
	const char *error = client_str(json, "error", ""), *hint = client_str(json, "hint", "");

	if (*error)
		snprintf(c->error, sizeof(c->error), "%s%s%s%s", error, *hint ? " (" : "", hint, *hint ? ")" : "");
	else
		snprintf(c->error, sizeof(c->error), "%s answers with status %ld: is that Skyfall's API?", c->api,
			 status);
	json_decref(json);
	return status == 400 ? -EINVAL : -EREMOTEIO;
}

int client_get_raw(struct client *c, const char *path, struct buf *out)
{
	struct buf body;
	char *url = NULL;
	long status = 0;
	CURLcode code;
	int r = -ENOMEM;

	buf_init(&body, CLIENT_ANSWER_MAX);
	snprintf(c->error, sizeof(c->error), "out of memory");
	if (asprintf(&url, "%s%s", c->api, path) < 0)
		return r;
	curl_easy_setopt(c->curl, CURLOPT_URL, url);
	curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT, 5L);
	curl_easy_setopt(c->curl, CURLOPT_TIMEOUT, CLIENT_TIMEOUT_S);
	curl_easy_setopt(c->curl, CURLOPT_USERAGENT, CMD_PROGRAM "/" SKYFALL_VERSION);
	curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, client_take);
	curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, &body);
	code = curl_easy_perform(c->curl);
	if (code != CURLE_OK) {
		r = client_failed(c, code);
		goto out;
	}
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200) {
		r = client_refused(c, status, &body);
		goto out;
	}
	buf_put(out, body.p, body.n);
	r = out->err ? -ENOMEM : 0;
out:
	buf_deinit(&body);
	free(url);
	return r;
}

int client_get(struct client *c, const char *path, json_t **ret_json)
{
	struct buf body;
	json_error_t error;
	json_t *json;
	int r;

	buf_init(&body, CLIENT_ANSWER_MAX);
	r = client_get_raw(c, path, &body);
	if (r < 0)
		goto out;
	json = json_loadb(body.p, body.n, 0, &error);
	if (!json_is_object(json)) {
		snprintf(c->error, sizeof(c->error),
			 "%s%.200s answers something that is no JSON object: is that Skyfall's API?", c->api, path);
		json_decref(json);
		r = -EPROTO;
		goto out;
	}
	*ret_json = json;
out:
	buf_deinit(&body);
	return r;
}

const char *client_str(const json_t *o, const char *key, const char *otherwise)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : otherwise;
}

double client_num(const json_t *o, const char *key, double otherwise)
{
	const json_t *v = json_object_get(o, key);

	if (json_is_number(v))
		return json_number_value(v);
	if (json_is_boolean(v))
		return json_is_true(v) ? 1 : 0;
	return otherwise;
}

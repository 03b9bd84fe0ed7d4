/* SPDX-License-Identifier: Apache-2.0 */
/* Query parameters: read, bounded, refused with a hint. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/opt.h"
#include "server/api.h"

#define PARAM_TIME_HINT "seconds since 1970, 2026-11-23T05:00:00Z, or relative: -5m, -1h, now"

int api_parse_time(const char *text, uint32_t now, uint32_t *ret)
{
	struct tm tm = {0};
	const char *end;
	uint32_t ms;
	char *stop;
	unsigned long long v;

	if (!strcmp(text, "now")) {
		*ret = now;
		return 0;
	}
	if (*text == '-') {
		if (opt_time_ms(text + 1, &ms))
			return -EINVAL;
		*ret = now > ms / 1000 ? now - ms / 1000 : 0;
		return 0;
	}
	if (*text >= '0' && *text <= '9' && strspn(text, "0123456789") == strlen(text)) {
		errno = 0;
		v = strtoull(text, &stop, 10);
		if (errno || v > UINT32_MAX)
			return -EINVAL;
		*ret = (uint32_t)v;
		return 0;
	}
	end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!end) {
		tm = (struct tm){0};
		end = strptime(text, "%Y-%m-%dT%H:%M", &tm);
	}
	if (!end) {
		tm = (struct tm){0};
		end = strptime(text, "%Y-%m-%d", &tm);
	}
	if (!end || (*end && strcmp(end, "Z")) || tm.tm_year < 70 || tm.tm_year > 200)
		return -EINVAL;
	*ret = (uint32_t)timegm(&tm);
	return 0;
}

int api_time(struct api *a, const char *name, uint32_t *ret)
{
	const char *text = http_param(a->req, name);

	if (!text || !api_parse_time(text, a->now, ret))
		return 0;
	return api_error(a, 400, PARAM_TIME_HINT, "%s: no time is written %.40s", name, text);
}

int api_range(struct api *a, uint32_t default_s, struct store_ask *ask)
{
	uint32_t from = 0, to = a->now + 1;
	bool given = http_param(a->req, "from") != NULL;

	if (api_time(a, "to", &to))
		return -1;
	/* Nothing is stored of the day after tomorrow. */
	if (to > a->now + 86400)
		to = a->now + 86400;
	from = to > default_s ? to - default_s : 0;
	if (given && api_time(a, "from", &from))
		return -1;
	if (from >= to)
		return api_error(a, 400, "from comes before to; " PARAM_TIME_HINT, "the range [%u, %u) is empty", from,
				 to);
	ask->from = from;
	ask->to = to;
	return 0;
}

int api_uint(struct api *a, const char *name, uint64_t min, uint64_t max, uint64_t *ret)
{
	const char *text = http_param(a->req, name);
	unsigned long long v;
	char hint[80], *stop;

	if (!text)
		return 0;
	errno = 0;
	v = strtoull(text, &stop, 10);
	if (errno || *stop || *text < '0' || *text > '9' || v < min || v > max) {
		snprintf(hint, sizeof(hint), "a number from %llu to %llu", (unsigned long long)min,
			 (unsigned long long)max);
		return api_error(a, 400, hint, "%s cannot be %.40s", name, text);
	}
	*ret = v;
	return 0;
}

int api_step(struct api *a, uint32_t *ret)
{
	const char *text = http_param(a->req, "step");
	uint32_t interval = a->s->opts.store.interval_s, ms = 0;
	bool plain = text && *text && strspn(text, "0123456789") == strlen(text) && strlen(text) < 7;

	if (!text)
		return 0;
	if (plain)
		ms = (uint32_t)atoi(text) * 1000;
	if ((!plain && opt_time_ms(text, &ms)) || ms < interval * 1000 || ms % (interval * 1000))
		return api_error(a, 400, "a length like 10s, 1m, 5m or 1h; a multiple of the finest interval",
				 "step cannot be %.40s", text);
	*ret = ms / 1000;
	return 0;
}

int api_sort(struct api *a, struct store_ask *ask)
{
	const char *order = http_param(a->req, "order");
	uint64_t limit = 100;

	ask->sort = http_param(a->req, "sort");
	if (ask->sort && !store_sort_known(ask->sort)) {
		char hint[256] = "one of:";
		size_t n = strlen(hint);

		for (size_t i = 0; store_sort_name(i) && n < sizeof(hint); i++)
			n += (size_t)snprintf(hint + n, sizeof(hint) - n, " %s", store_sort_name(i));
		if (n < sizeof(hint))
			snprintf(hint + n, sizeof(hint) - n, ", or a column");
		return api_error(a, 400, hint, "no sum is called %.60s", ask->sort);
	}
	if (order && strcmp(order, "asc") && strcmp(order, "desc"))
		return api_error(a, 400, "order is asc or desc", "order cannot be %.40s", order);
	ask->ascending = order && !strcmp(order, "asc");
	if (api_uint(a, "limit", 1, API_LIMIT_MAX, &limit))
		return -1;
	ask->limit = limit;
	return 0;
}

static struct str param_str(struct api *a, const char *name)
{
	const char *text = http_param(a->req, name);

	return text ? (struct str){text, strlen(text)} : (struct str){0};
}

static int param_protocol(struct api *a, uint8_t *ret)
{
	const char *text = http_param(a->req, "protocol");
	uint64_t v = 0;

	if (!text)
		return 0;
	if (!strcmp(text, "tcp"))
		*ret = 6;
	else if (!strcmp(text, "udp"))
		*ret = 17;
	else if (*text < '0' || *text > '9')
		return api_error(a, 400, "protocol is tcp, udp or a number from 1 to 255", "protocol cannot be %.40s",
				 text);
	else if (api_uint(a, "protocol", 1, 255, &v))
		return -1;
	else
		*ret = (uint8_t)v;
	return 0;
}

int api_filter(struct api *a, struct store_ask *ask, struct api_filter *ret)
{
	const char *host = http_param(a->req, "host"), *net = http_param(a->req, "net");
	struct store_filter *f = &ask->filter;
	uint64_t port = 0;

	*ret = (struct api_filter){0};
	f->service = param_str(a, "service");
	f->client_service = param_str(a, "client");
	f->server_service = param_str(a, "server");
	f->zone = param_str(a, "zone");
	if (net) {
		ret->net = (struct str){net, strlen(net)};
		f->net = &ret->net;
	}
	if (api_uint(a, "port", 0, 65535, &port) || param_protocol(a, &f->protocol))
		return -1;
	f->port = (uint16_t)port;
	if (host) {
		if (api_addresses(a, host, &ret->addresses, &f->n_addresses))
			return -1;
		f->addresses = ret->addresses;
	}
	return 0;
}

void api_filter_free(struct api_filter *f)
{
	free(f->addresses);
	f->addresses = NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Rows as JSON: columns by flow_column(), what is made of them under "derived". */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/api.h"

json_t *api_str(struct str s)
{
	json_t *o = json_stringn(s.n ? s.p : "", s.n);
	char *p;

	if (o)
		return o;
	/* Bytes from outside need not be text. */
	p = malloc(s.n + 1);
	if (!p)
		return NULL;
	for (size_t i = 0; i < s.n; i++)
		p[i] = s.p[i] >= ' ' && (unsigned char)s.p[i] < 0x7f ? s.p[i] : '?';
	o = json_stringn(p, s.n);
	free(p);
	return o;
}

json_t *api_u64(uint64_t v)
{
	return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v);
}

json_t *api_ip(const struct ip *ip)
{
	char text[IP_TEXT];

	return json_string(ip_format(ip, text));
}

json_t *api_tiers(uint8_t tiers)
{
	static const char *const names[STORE_TIERS] = {"fine", "1m", "5m", "1h"};
	json_t *list = json_array();

	for (unsigned t = 0; t < STORE_TIERS; t++)
		if (tiers & 1 << t)
			json_array_append_new(list, json_string(names[t]));
	return list;
}

json_t *api_head(const struct store_rows *r)
{
	json_t *o = json_object();

	json_object_set_new(o, "from", api_u64(r->from));
	json_object_set_new(o, "to", api_u64(r->to));
	json_object_set_new(o, "tiers", api_tiers(r->tiers));
	return o;
}

/* "a,b" as ["a", "b"]. */
static json_t *json_words(const char *text)
{
	json_t *list = json_array();

	while (*text) {
		size_t n = strcspn(text, ",");

		json_array_append_new(list, json_stringn(text, n));
		text += n + (text[n] == ',');
	}
	return list;
}

json_t *api_flags(uint32_t flags)
{
	char text[96];

	return json_words(flow_flags_text(flags, text));
}

static json_t *json_rungs(uint8_t rungs)
{
	json_t *list = json_array();

	for (unsigned r = 0; r <= FLOW_RUNG_NONE; r++)
		if (rungs & 1 << r)
			json_array_append_new(list, json_string(flow_rung_name(r)));
	return list;
}

void api_view_columns(json_t *o, const struct flow_edge *e, enum flow_view v, size_t skip)
{
	char name[64];

	for (unsigned f = 0; f < FLOW_FIELDS; f++) {
		uint64_t n;

		if (flow_fields[f].width == FLOW_HIST || !flow_column(f, v, name))
			continue;
		n = flow_stats_get(&e->view[v], f);
		if (n)
			json_object_set_new(o, name + skip, api_u64(n));
	}
}

void api_columns(json_t *o, const struct flow_edge *e)
{
	for (unsigned v = 0; v < FLOW_VIEWS; v++)
		api_view_columns(o, e, v, 0);
}

static void json_number(json_t *o, const char *name, double v)
{
	json_object_set_new(o, name, json_real(v));
}

static void json_quantiles(json_t *o, const char *name, const uint32_t *hist)
{
	char key[64];

	if (!flow_hist_count(hist))
		return;
	snprintf(key, sizeof(key), "%s_p50_us", name);
	json_number(o, key, flow_hist_quantile(hist, 0.5));
	snprintf(key, sizeof(key), "%s_p99_us", name);
	json_number(o, key, flow_hist_quantile(hist, 0.99));
}

static void json_share(json_t *o, const char *name, uint64_t part, uint64_t of)
{
	if (of)
		json_number(o, name, (double)part / (double)of);
}

static uint64_t json_failed(json_t *o, const struct flow_edge *e)
{
	json_t *by = json_object();
	uint64_t sum = 0;

	for (size_t i = 0; i < FLOW_FAILURES; i++) {
		uint64_t n = store_best(e, flow_failures[i].field, true);

		sum += n;
		if (n)
			json_object_set_new(by, flow_failures[i].cause, api_u64(n));
	}
	json_object_set_new(o, "failed", api_u64(sum));
	json_object_set_new(o, "failed_by", by);
	return sum;
}

static void json_times(json_t *o, const struct flow_edge *e)
{
	const struct flow_stats *c = &e->view[FLOW_VIEW_CLIENT], *s = &e->view[FLOW_VIEW_SERVER];

	/* Both ends measure the same round trip; the client's is shown, the server's where there is no other. */
	json_quantiles(o, "srtt", flow_hist_count(c->srtt) ? c->srtt : s->srtt);
	json_quantiles(o, "srtt_c2s", c->srtt);
	json_quantiles(o, "srtt_s2c", s->srtt);
	json_quantiles(o, "handshake", flow_hist_count(c->handshake) ? c->handshake : s->handshake);
	json_share(o, "rwnd_limited_share_c2s", c->rwnd_limited_us, c->busy_us);
	json_share(o, "rwnd_limited_share_s2c", s->rwnd_limited_us, s->busy_us);
	json_share(o, "sndbuf_limited_share_c2s", c->sndbuf_limited_us, c->busy_us);
	json_share(o, "sndbuf_limited_share_s2c", s->sndbuf_limited_us, s->busy_us);
	json_share(o, "server_turn_share", s->turn_self, s->turn_samples);
	json_share(o, "client_turn_share", c->turn_self, c->turn_samples);
}

json_t *api_derived(const struct flow_edge *e, uint32_t seconds)
{
	json_t *o = json_object();
	uint64_t c2s = store_best(e, FLOW_F_tx_bytes, true), s2c = store_best(e, FLOW_F_tx_bytes, false);
	uint64_t opened = store_best(e, FLOW_F_opened, true), segs = store_sum(e, "segs");
	uint64_t resent = store_sum(e, "retransmitted");
	bool tcp = e->name.protocol != IPPROTO_UDP; /* UDP has no word for the rest: it is not known, not 0 */
	bool counted = tcp || segs > 0;             /* agents that see its sockets only have seen no datagram */

	if (counted) {
		json_object_set_new(o, "bytes", api_u64(c2s + s2c));
		json_object_set_new(o, "c2s_bytes", api_u64(c2s));
		json_object_set_new(o, "s2c_bytes", api_u64(s2c));
		json_object_set_new(o, "segs", api_u64(segs));
	}
	json_object_set_new(o, "opened", api_u64(opened));
	json_object_set_new(o, "closed", api_u64(store_best(e, FLOW_F_closed, true)));
	if (tcp) {
		json_object_set_new(o, "attempts", api_u64(store_best(e, FLOW_F_attempts, true)));
		json_failed(o, e);
		json_object_set_new(o, "resets", api_u64(store_sum(e, "resets")));
		json_object_set_new(o, "retransmitted", api_u64(resent));
		json_share(o, "retransmit_ratio", resent, segs);
	}
	if (seconds && counted)
		json_number(o, "bytes_per_s", (double)(c2s + s2c) / seconds);
	if (seconds) {
		json_number(o, "opened_per_s", (double)opened / seconds);
		json_number(o, "mean_open", (double)store_best(e, FLOW_F_open_ms, true) / (seconds * 1000.0));
	}
	json_times(o, e);
	return o;
}

json_t *api_signs(const struct sign *v, unsigned n)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:i, s:s, s:I, s:I, s:f, s:s}", "sign", v[i].name, "severity",
						(int)v[i].severity, "side", v[i].side, "count", (json_int_t)v[i].count,
						"of", (json_int_t)v[i].of, "share", v[i].share, "text", v[i].text));
	return list;
}

void api_edge_identity(json_t *o, const struct flow_edge *e)
{
	char id[20], text[48], protocol[8];

	if (e->id) {
		snprintf(id, sizeof(id), "%016llx", (unsigned long long)e->id);
		json_object_set_new(o, "id", json_string(id));
	}
	json_object_set_new(o, "net", api_str(e->name.net));
	json_object_set_new(o, "client_service", api_str(e->name.client_service));
	json_object_set_new(o, "client_zone", api_str(e->name.client_zone));
	json_object_set_new(o, "server_service", api_str(e->name.server_service));
	json_object_set_new(o, "server_zone", api_str(e->name.server_zone));
	if (e->name.protocol) {
		json_object_set_new(o, "protocol", json_string(flow_protocol_name(e->name.protocol, protocol)));
		json_object_set_new(o, "port", json_integer(e->name.port));
	}
	json_object_set_new(o, "observed_by", json_string(flow_observed_text(e->observed, text)));
}

json_t *api_edge(const struct store_row *row)
{
	const struct flow_edge *e = &row->e;
	json_t *o = json_object(), *rungs = json_object();
	struct sign signs[SIGNS_MAX];
	unsigned n_signs = signs_of(e, row->seconds, signs);

	api_edge_identity(o, e);
	json_object_set_new(o, "flags", api_flags(e->flags));
	json_object_set_new(rungs, "client", json_rungs(e->client_rungs));
	json_object_set_new(rungs, "server", json_rungs(e->server_rungs));
	json_object_set_new(o, "rungs", rungs);
	if (e->via.n)
		json_object_set_new(o, "via", api_str(e->via));
	json_object_set_new(o, "edges", json_integer(row->edges));
	json_object_set_new(o, "first", json_integer(row->first));
	json_object_set_new(o, "last", json_integer(row->last));
	api_columns(o, e);
	json_object_set_new(o, "derived", api_derived(e, row->seconds));
	json_object_set_new(o, "signs", api_signs(signs, n_signs));
	json_object_set_new(o, "severity", json_integer(n_signs ? signs->severity : SIGN_NONE));
	return o;
}

const char *api_key(char key[API_KEY], struct str name)
{
	json_t *text = api_str((struct str){name.p, name.n < API_KEY ? name.n : API_KEY - 1});

	str_copy(key, API_KEY, str_from(text ? json_string_value(text) : "?"));
	json_decref(text);
	return key;
}

void api_add(json_t *o, struct str name, uint64_t n)
{
	char key[API_KEY];
	json_t *was = json_object_get(o, api_key(key, name));

	json_object_set_new(o, key, json_integer((json_int_t)((uint64_t)json_integer_value(was) + n)));
}

json_t *api_counts(const struct flow_count *c, unsigned n)
{
	json_t *o = json_object();

	/* Some are differences of gauges: below zero they wrapped, as all sums do. */
	for (unsigned i = 0; i < n; i++)
		api_add(o, c[i].name, c[i].n);
	return o;
}

json_t *api_histogram(const uint32_t hist[FLOW_BUCKETS])
{
	json_t *o = json_object(), *list = json_array();

	json_object_set_new(o, "count", api_u64(flow_hist_count(hist)));
	json_number(o, "p50_us", flow_hist_quantile(hist, 0.5));
	json_number(o, "p90_us", flow_hist_quantile(hist, 0.9));
	json_number(o, "p99_us", flow_hist_quantile(hist, 0.99));
	for (unsigned i = 0; i < FLOW_BUCKETS; i++)
		json_array_append_new(list, json_integer(hist[i]));
	json_object_set_new(o, "buckets", list);
	return o;
}

json_t *api_listener(const struct flow_listener *l)
{
	json_t *o = json_object();
	char protocol[8];

	json_object_set_new(o, "host", api_str(l->host));
	json_object_set_new(o, "netns", json_integer(l->netns));
	json_object_set_new(o, "address", ip_is_zero(&l->addr) ? json_string("*") : api_ip(&l->addr));
	json_object_set_new(o, "port", json_integer(l->port));
	json_object_set_new(o, "protocol", json_string(flow_protocol_name(l->protocol, protocol)));
	json_object_set_new(o, "alive", json_boolean(l->alive));
	json_object_set_new(o, "since", json_integer(l->since));
	json_object_set_new(o, "last", json_integer(l->interval));
	json_object_set_new(o, "drops", api_u64(l->drops));
	json_object_set_new(o, "queue", json_integer(l->queue));
	json_object_set_new(o, "queue_max", json_integer(l->queue_max));
	json_object_set_new(o, "service", api_str(l->names.service));
	json_object_set_new(o, "process", api_str(l->names.process));
	json_object_set_new(o, "unit", api_str(l->names.unit));
	json_object_set_new(o, "container", api_str(l->names.container));
	json_object_set_new(o, "pod", api_str(l->names.pod));
	json_object_set_new(o, "owner_quality", json_string(flow_quality_name(l->names.quality)));
	return o;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/health: the whole picture; /api/v1/ledger: the lines themselves. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/advice.h"
#include "server/api.h"

struct picture {
	struct api *a;
	struct health *health;
	json_t *agents; /* by id: {last, interval_s, hook} */
};

static int picture_host(void *arg, const struct flow_host *h)
{
	struct picture *p = arg;
	struct str mode = {h->mode.p, h->mode.n < 31 ? h->mode.n : 31};
	char id[FLOW_NAME_MAX + 1];

	if (h->interval + 86400u < p->a->now)
		return 0;
	/* Unchecked: looked up by the same bytes, never shown. */
	return json_object_set_new_nocheck(p->agents, str_copy(id, sizeof(id), h->id),
					   json_pack("{s:I, s:i, s:o, s:o}", "last", (json_int_t)h->interval,
						     "interval_s", (int)h->interval_s, "mode", api_str(mode),
						     "hostname", api_str(h->hostname)))
		       ? -ENOMEM
		       : 0;
}

/* Heard lately? */
static int picture_recent(void *arg, const struct flow_ledger *l)
{
	struct picture *p = arg;
	char id[FLOW_NAME_MAX + 1];
	json_t *o = json_object_get(p->agents, str_copy(id, sizeof(id), l->instance));

	if (o && json_integer_value(json_object_get(o, "last")) < l->interval)
		json_object_set_new(o, "last", json_integer(l->interval));
	return 0;
}

static int picture_line(void *arg, const struct flow_ledger *l)
{
	struct picture *p = arg;
	char id[FLOW_NAME_MAX + 1];
	const char *mode = json_string_value(
		json_object_get(json_object_get(p->agents, str_copy(id, sizeof(id), l->instance)), "mode"));

	return health_line(p->health, l, !mode || !strcmp(mode, "bpf"));
}

static json_t *picture_agents(const struct picture *p)
{
	json_t *o = json_object(), *silent = json_array(), *modes = json_object(), *agent;
	json_int_t reporting = 0;
	const char *id;

	json_object_foreach(p->agents, id, agent)
	{
		json_int_t interval = json_integer_value(json_object_get(agent, "interval_s"));
		json_int_t age = (json_int_t)p->a->now - json_integer_value(json_object_get(agent, "last")) - interval;
		const char *mode = json_string_value(json_object_get(agent, "mode"));

		if (age <= api_patience(p->a, (uint32_t)interval)) {
			reporting++;
			api_add(modes, str_from(mode), 1);
		} else if (json_array_size(silent) < 1000) {
			json_array_append(silent, json_object_get(agent, "hostname"));
		}
	}
	json_object_set_new(o, "known", json_integer((json_int_t)json_object_size(p->agents)));
	json_object_set_new(o, "reporting", json_integer(reporting));
	json_object_set_new(o, "silent", silent);
	json_object_set_new(o, "by_mode", modes);
	return o;
}

static json_t *health_clues_json(const struct health_report *r)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < r->n_clues; i++) {
		const char *name = r->clues[i].name, *next, *text = advice_clue(name, &next);
		json_t *o = json_object();

		json_object_set_new(o, "clue", api_str(str_from(name)));
		json_object_set_new(o, "datagrams", api_u64(r->clues[i].n));
		json_object_set_new(o, "text", json_string(text));
		json_object_set_new(o, "next", json_string(next));
		json_array_append_new(list, o);
	}
	return list;
}

/* Most often; where datagrams are missing or refused, what explains most of them. */
static void health_advice(json_t *o, enum health_hop hop, const struct health_report *r)
{
	const char *likely = advice_likely(hop), *next = advice_next(hop);

	for (unsigned i = 0; i < r->n_clues; i++) {
		if (!strcmp(r->clues[i].name, "lost_network_datagrams"))
			continue;
		likely = advice_clue(r->clues[i].name, &next);
		break;
	}
	json_object_set_new(o, "likely", json_string(likely));
	json_object_set_new(o, "next", json_string(next));
}

static json_t *health_hop_json(enum health_hop hop, const struct health_report *r)
{
	json_t *o = json_object(), *lost = json_object(), *texts = json_object(), *nexts = json_object(),
	       *at = json_array();

	json_object_set_new(o, "hop", json_string(health_hop_name(hop)));
	json_object_set_new(o, "unit", json_string(hop == HEALTH_KERNEL ? "connections" : "rows"));
	json_object_set_new(o, "in", api_u64(r->in));
	json_object_set_new(o, "out", api_u64(r->out));
	for (unsigned i = 0; i < r->n_lost; i++) {
		const char *name = r->lost[i].name;
		char key[API_KEY];

		api_add(lost, str_from(name), r->lost[i].n);
		json_object_set_new(texts, api_key(key, str_from(name)), json_string(advice_loss(name)));
		json_object_set_new(nexts, api_key(key, str_from(name)), json_string(advice_loss_next(hop, name)));
	}
	json_object_set_new(o, "lost", lost);
	json_object_set_new(o, "lost_text", texts);
	json_object_set_new(o, "lost_next", nexts);
	json_object_set_new(o, "lost_total", api_u64(r->lost_total));
	json_object_set_new(o, "missing", json_integer(r->missing));
	json_object_set_new(o, "adds_up", json_boolean(r->adds_up));
	json_object_set_new(o, "instances", json_integer(r->instances));
	for (unsigned i = 0; i < r->n_intervals; i++)
		json_array_append_new(at, json_pack("{s:I, s:I}", "interval", (json_int_t)r->intervals[i].interval,
						    "missing", (json_int_t)r->intervals[i].missing));
	json_object_set_new(o, "intervals", at);
	if (hop == HEALTH_NETWORK)
		json_object_set_new(o, "clues", health_clues_json(r));
	health_advice(o, hop, r);
	return o;
}

/* The verdict over the chain, in one word and in one sentence. */
static void health_verdict(json_t *root, const struct health_report r[HEALTH_HOPS], enum health_hop bad)
{
	enum health_hop loss = HEALTH_HOPS;
	const char *status = "ok";
	char text[256];

	for (unsigned i = HEALTH_HOPS; i-- > 0;)
		if (r[i].lost_total)
			loss = i;
	if (bad < HEALTH_HOPS) {
		status = "broken";
		snprintf(text, sizeof(text), "%s: %lld of %llu %s are missing and nobody knows why",
			 health_hop_name(bad), (long long)r[bad].missing, (unsigned long long)r[bad].in,
			 bad == HEALTH_KERNEL ? "connections" : "rows");
		if (r[bad].missing < 0)
			snprintf(text, sizeof(text), "%s: %llu rows came out that nobody counted going in",
				 health_hop_name(bad), 0 - (unsigned long long)r[bad].missing);
	} else if (!r[HEALTH_AGENT].instances && !r[HEALTH_STORED].out) {
		status = "no_data";
		loss = r[HEALTH_NETWORK].refused ? HEALTH_NETWORK : HEALTH_HOPS;
		snprintf(text, sizeof(text), "no whole interval of any agent is in this range%s",
			 r[HEALTH_NETWORK].refused ? "; datagrams were refused" : "");
	} else if (loss < HEALTH_HOPS) {
		status = "loss";
		snprintf(text, sizeof(text), "%s: %llu lost (%s); everything adds up", health_hop_name(loss),
			 (unsigned long long)r[loss].lost_total, r[loss].lost[0].name);
	} else if (r[HEALTH_NETWORK].refused) {
		status = "loss";
		loss = HEALTH_NETWORK;
		snprintf(text, sizeof(text), "network: %llu datagrams refused; every row that was read is in the store",
			 (unsigned long long)r[loss].refused);
	} else {
		snprintf(text, sizeof(text), "every row counted by the agents is in the store");
	}
	json_object_set_new(root, "status", json_string(status));
	json_object_set_new(root, "sentence", api_str(str_from(text)));
	json_object_set_new(root, "adds_up", json_boolean(bad == HEALTH_HOPS));
	json_object_set_new(root, "first_bad", bad < HEALTH_HOPS ? json_string(health_hop_name(bad)) : json_null());
	json_object_set_new(root, "first_loss", loss < HEALTH_HOPS ? json_string(health_hop_name(loss)) : json_null());
}

static void health_store(struct api *a, json_t *root, const struct store_count *c, uint32_t settled)
{
	uint32_t interval = a->s->opts.store.interval_s, newest = store_newest(a->s->store);
	struct writer_stats w = {0};

	if (a->s->writer)
		writer_stats(a->s->writer, &w);
	json_object_set_new(root, "now", json_integer(a->now));
	json_object_set_new(root, "interval_s", json_integer(interval));
	json_object_set_new(root, "newest", json_integer(newest));
	json_object_set_new(root, "newest_age_s",
			    newest ? json_real((double)a->now_us / 1e6 - (double)(newest + interval)) : json_null());
	json_object_set_new(root, "settled_to", json_integer(settled));
	json_object_set_new(root, "edges",
			    json_pack("{s:I, s:I}", "rows", (json_int_t)c->edge_rows, "both",
				      (json_int_t)c->edge_rows_both));
	if (c->edge_rows)
		json_object_set_new(json_object_get(root, "edges"), "both_share",
				    json_real((double)c->edge_rows_both / (double)c->edge_rows));
	json_object_set_new(root, "writer",
			    json_pack("{s:I, s:I, s:I, s:s}", "retries", (json_int_t)w.retries, "poison",
				      (json_int_t)w.poison, "duplicates", (json_int_t)w.store.duplicates, "error",
				      w.error));
}

static int picture_agents_take(struct picture *p)
{
	int r = store_hosts(p->a->q, picture_host, p);

	return r ? r : store_ledgers(p->a->q, p->a->now - 300, p->a->now + 300, "agent", picture_recent, p);
}

/* Rows may be of longer intervals than agents' lines (--fold): of both those are balanced whose row's interval begins in the
 * range. So its ends go up to such a begin. */
static uint32_t health_end(const struct api *a, uint32_t at)
{
	uint32_t interval = a->s->opts.store.interval_s, over = at % interval;

	return !over || at > UINT32_MAX - interval ? at : at - over + interval;
}

static int picture_take(struct picture *p, uint32_t from, uint32_t to, struct store_count *ret_counts)
{
	uint64_t stored = 0;
	int r;

	r = health_new(&p->health);
	if (!r)
		r = picture_agents_take(p);
	if (!r)
		r = store_ledgers(p->a->q, from, to, NULL, picture_line, p);
	if (!r)
		r = store_counts(p->a->q, from, to, ret_counts);
	for (unsigned v = 0; !r && v < FLOW_VIEWS; v++)
		stored += ret_counts->view_rows[v];
	if (!r)
		health_stored(p->health, stored, ret_counts->before_syn);
	return r;
}

#define BRIEF_S 3600 /* a longer range is not balanced for a remark beside a picture */

int api_health_brief(struct api *a, uint32_t from, uint32_t to, struct api_brief *ret)
{
	uint32_t settled = a->now - (a->s->opts.settle_ms + 999) / 1000;
	struct picture p = {.a = a, .agents = json_object()};
	struct health_report chain[HEALTH_HOPS];
	struct api_brief b = {0};
	struct store_count counts;
	json_t *agents;
	int r;

	settled -= settled % a->s->opts.store.interval_s;
	from = health_end(a, from);
	to = to < settled ? health_end(a, to) : settled;
	b.balanced = from < to && to - from <= BRIEF_S;
	r = b.balanced ? picture_take(&p, from, to, &counts) : picture_agents_take(&p);
	if (!r) {
		agents = picture_agents(&p);
		b.known = json_integer_value(json_object_get(agents, "known"));
		b.reporting = json_integer_value(json_object_get(agents, "reporting"));
		json_decref(agents);
	}
	if (!r && b.balanced) {
		b.adds_up = health_chain(p.health, chain) == HEALTH_HOPS;
		for (unsigned i = HEALTH_AGENT; i < HEALTH_HOPS; i++)
			b.lost += chain[i].lost_total;
	}
	health_free(p.health);
	json_decref(p.agents);
	if (!r)
		*ret = b;
	return r;
}

int api_health(struct api *a)
{
	uint32_t interval = a->s->opts.store.interval_s;
	uint32_t settled = a->now - (a->s->opts.settle_ms + 999) / 1000, from, to;
	struct picture p = {.a = a, .agents = json_object()};
	struct health_report chain[HEALTH_HOPS];
	struct store_count counts;
	json_t *root, *list;
	int r;

	settled -= settled % interval;
	to = settled;
	if (api_time(a, "to", &to))
		goto refused;
	from = to > 60 ? to - 60 : 0;
	if (api_time(a, "from", &from))
		goto refused;
	if (from >= to || to - from > 86400) {
		api_error(a, 400, "from before to, at most a day apart", "the range [%u, %u) cannot be balanced", from,
			  to);
		goto refused;
	}
	from = health_end(a, from);
	to = health_end(a, to);
	r = picture_take(&p, from, to, &counts);
	if (r) {
		health_free(p.health);
		json_decref(p.agents);
		return api_store_error(a, r);
	}
	root = json_object();
	json_object_set_new(root, "from", json_integer(from));
	json_object_set_new(root, "to", json_integer(to));
	health_verdict(root, chain, health_chain(p.health, chain));
	health_store(a, root, &counts, settled);
	json_object_set_new(root, "agents", picture_agents(&p));
	list = json_array();
	for (unsigned i = 0; i < HEALTH_HOPS; i++)
		json_array_append_new(list, health_hop_json(i, &chain[i]));
	json_object_set_new(root, "chain", list);
	health_free(p.health);
	json_decref(p.agents);
	return api_send(a, root, "chain");
refused:
	json_decref(p.agents);
	return -1;
}

/* --- ledger */

struct lines_list {
	json_t *list;
	const char *instance;
	uint64_t matched, limit;
};

static int ledger_line(void *arg, const struct flow_ledger *l)
{
	struct lines_list *x = arg;
	uint64_t lost = 0;
	json_t *o;

	if (x->instance && !str_eq(l->instance, str_from(x->instance)))
		return 0;
	x->matched++;
	/* The newest stay: they come last. */
	if (json_array_size(x->list) == x->limit)
		json_array_remove(x->list, 0);
	for (unsigned i = 0; i < l->n_lost; i++)
		lost += l->lost[i].n;
	o = json_object();
	json_object_set_new(o, "interval", json_integer(l->interval));
	json_object_set_new(o, "interval_s", json_integer(l->interval_s));
	json_object_set_new(o, "role", api_str(l->role));
	json_object_set_new(o, "instance", api_str(l->instance));
	json_object_set_new(o, "boot", api_u64(l->boot));
	json_object_set_new(o, "rows_in", api_u64(l->rows_in));
	json_object_set_new(o, "rows_out", api_u64(l->rows_out));
	json_object_set_new(o, "lost", api_counts(l->lost, l->n_lost));
	json_object_set_new(o, "info", api_counts(l->info, l->n_info));
	json_object_set_new(o, "missing", json_integer((json_int_t)(l->rows_in - l->rows_out - lost)));
	json_array_append_new(x->list, o);
	return 0;
}

int api_ledger(struct api *a)
{
	struct store_ask ask = {0};
	struct lines_list x = {.instance = http_param(a->req, "instance"), .limit = 1000};
	json_t *root;
	int r;

	if (api_range(a, 300, &ask) || api_uint(a, "limit", 1, API_LIMIT_MAX, &x.limit))
		return -1;
	root = json_object();
	json_object_set_new(root, "from", json_integer(ask.from));
	json_object_set_new(root, "to", json_integer(ask.to));
	x.list = json_array();
	json_object_set_new(root, "lines", x.list);
	r = store_ledgers(a->q, ask.from, ask.to, http_param(a->req, "role"), ledger_line, &x);
	json_object_set_new(root, "matched", api_u64(x.matched));
	if (r) {
		json_decref(root);
		return api_store_error(a, r);
	}
	return api_send(a, root, "lines");
}

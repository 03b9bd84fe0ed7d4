/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pair stage: both ends' rows of a conversation meet under (net, scope, protocol, client, server, port).
 *
 *   bucket (one interval)  entry: conversation -> ends: (view, service) -> sums
 *     "api" c 10.0.0.1 -> 10.0.0.2:5432    client "api", client "cron", server "postgres"
 *   when it closes         api  -> postgres   client view: api's own,  server view: postgres', divided   (FLOW_SPLIT)
 *                          cron -> postgres   client view: cron's own, server view: the rest of it
 *
 * Out come partial sums of edges, keyed by edge (a partial an edge, interval and transaction), and pair rows: the same
 * sums before addresses are forgotten. Markers follow to every partition of both.
 *
 * Invariants
 *   1. Nothing is dropped or counted twice: over the edges of a conversation, each sum of each view adds up to what came
 *      in that view (the ledger checks it with `rows`). With k services at the client and m at the server there are up to
 *      k x m edges: client view i is divided among the servers in the ratio of their sums, server view j among the
 *      clients in the ratio of theirs (split.c). k = 1 or m = 1 divide one side only, k = m = 1 none.
 *   2. A row without a role is settled by listeners alone, when its interval closes: exactly one end must listen on its port.
 *      Then it joins as if its agent had known. Else it stays an edge of port 0 in the client view, flag no_role, from the end
 *      that measured to the other; it joins nothing, also not the other end's row of the same kind.
 *   3. An end's name is its own agent's if it has a row, or had one within 10 minutes (names.h); else name_end.h.
 *   4. What emit() does to a bucket (settling) keeps every sum, so it may run again after a full bus.
 *
 * A row more than 10 minutes behind the last closed interval is lost (late_unjoined): nobody knows names that old, and the
 * stores' finest tiers may be closed. Names are in memory only, lost where a partition goes to another graph (a crash, a
 * rebalance): in the next 10 minutes late rows, and those whose other end has none in their interval, are then named as by
 * name_end.h. No sum is lost, but it may stand under another edge.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "graph/pair_entry.h"

static bool entry_eq(const struct bucket_entry *e, const void *key)
{
	return flow_conv_eq(&((const struct pair_entry *)e)->conv, key);
}

static int entry_get(struct bucket *b, const struct flow_conv *conv, struct pair_entry **ret)
{
	uint64_t hash = flow_conv_hash(conv);
	struct pair_entry *e = (struct pair_entry *)bucket_find(b, hash, entry_eq, conv);
	int r;

	if (!e) {
		e = bucket_alloc(b, sizeof(*e));
		if (!e)
			return -ENOMEM;
		e->conv = *conv;
		r = bucket_str(b, conv->net, &e->conv.net);
		if (r == 0)
			r = bucket_str(b, conv->scope, &e->conv.scope);
		if (r == 0)
			r = bucket_add(b, &e->base, hash);
		if (r < 0)
			return r;
	}
	*ret = e;
	return 0;
}

static bool end_is(const struct pair_end *end, const struct pair_end *like, struct str service)
{
	return end->view == like->view && end->no_role == like->no_role && str_eq(end->service, service);
}

/* The end of `e` to which rows like `like` belong. */
static int end_get(struct bucket *b, struct pair_entry *e, const struct pair_end *like, struct pair_end **ret)
{
	struct str service = like->service;
	struct pair_end **at, *end;
	unsigned n = 0;
	int r;

	for (at = &e->ends; *at && !end_is(*at, like, service); at = &(*at)->next)
		n += (*at)->view == like->view && (*at)->no_role == like->no_role;
	if (!*at && n >= PAIR_ENDS - 1) {
		service = STR("other");
		for (at = &e->ends; *at && !end_is(*at, like, service); at = &(*at)->next)
			;
	}
	if (!*at) {
		end = bucket_alloc(b, sizeof(*end));
		if (!end)
			return -ENOMEM;
		end->view = like->view;
		end->no_role = like->no_role;
		r = bucket_str(b, service, &end->service);
		if (r < 0)
			return r;
		*at = end;
		b->held++;
	}
	*ret = *at;
	return 0;
}

/* Adds rows to a conversation; `like` says what they are and brings their sums. */
static int pair_add(struct bucket *b, const struct flow_conv *conv, const struct pair_end *like)
{
	struct pair_entry *e;
	struct pair_end *end;
	int r = entry_get(b, conv, &e);

	if (r == 0)
		r = end_get(b, e, like, &end);
	if (r == 0 && like->via.n && !end->via.n)
		r = bucket_str(b, like->via, &end->via);
	if (r < 0)
		return r;
	end->flags |= like->flags;
	flow_stats_add(&end->stats, &like->stats);
	return 0;
}

static int pair_when(const struct flow_msg *m, uint32_t *ret_interval, uint16_t *ret_interval_s, uint64_t *ret_rows)
{
	const struct flow_row *row = &m->row;

	*ret_rows = row->stats.rows;
	*ret_interval = row->interval;
	*ret_interval_s = row->interval_s;
	if (row->view > FLOW_VIEW_UNKNOWN || row->conv.net.n > FLOW_NAME_MAX || row->conv.scope.n > FLOW_NAME_MAX ||
	    row->names.service.n > FLOW_NAME_MAX || row->names.process.n > FLOW_NAME_MAX ||
	    row->names.via.n > FLOW_NAME_MAX)
		return -EBADMSG;
	return 0;
}

static int pair_fold(void *arg, struct bucket *b, const struct flow_msg *m)
{
	const struct flow_row *row = &m->row;
	struct flow_conv conv = row->conv;
	struct pair_end like = {.view = row->view,
				.via = row->names.via,
				.flags = row->flags & ~(uint32_t)FLOW_NO_ROLE,
				.service = row->names.service.n ? row->names.service : row->names.process,
				.stats = row->stats};

	(void)arg;
	like.no_role = row->view == FLOW_VIEW_UNKNOWN || (row->view == FLOW_VIEW_NETWORK && row->flags & FLOW_NO_ROLE);
	if (!like.no_role)
		conv.other_port = 0;
	return pair_add(b, &conv, &like);
}

/* --- rows without a role */

/* The same traffic seen the other way round. */
static void stats_turn(struct flow_stats *s)
{
	for (unsigned f = 0; f < FLOW_FIELDS; f++) {
		for (unsigned g = 0; g < FLOW_FIELDS && flow_fields[f].dir == FLOW_TX; g++) {
			uint64_t *tx = flow_stats_u64(s, f), *rx = flow_stats_u64(s, g), v = *tx;

			if (flow_fields[g].dir != FLOW_RX || strcmp(flow_fields[f].column, flow_fields[g].column) != 0)
				continue;
			*tx = *rx;
			*rx = v;
		}
	}
}

/* Which end listens: 0 nobody or both, 1 the one that measured (it is the server), 2 the other. */
static int entry_listener(const struct pair *p, const struct bucket *b, const struct flow_conv *c)
{
	struct hosts_where at = {c->net, c->scope, c->client, b->interval, b->interval_s};
	struct str service;
	bool own = hosts_listener(p->hosts, &at, c->protocol, c->port, &service), other;

	at.ip = c->server;
	other = hosts_listener(p->hosts, &at, c->protocol, c->other_port, &service);
	return own == other ? 0 : own ? 1 : 2;
}

/* Moves an end of an entry to where it belongs. */
static int entry_settle(struct bucket *b, struct pair_entry *e, struct pair_end **at, int listener)
{
	struct pair_end *end = *at, like = *end;
	struct flow_conv conv = e->conv;
	int r;

	conv.other_port = 0;
	like.no_role = false;
	if (listener == 1) {
		conv.client = e->conv.server;
		conv.server = e->conv.client;
		if (like.view == FLOW_VIEW_NETWORK)
			stats_turn(&like.stats);
		else
			like.view = FLOW_VIEW_SERVER;
	} else {
		conv.port = e->conv.other_port;
		if (like.view != FLOW_VIEW_NETWORK)
			like.view = FLOW_VIEW_CLIENT;
	}
	r = pair_add(b, &conv, &like);
	if (r == 0)
		*at = end->next;
	return r;
}

static int pair_settle(struct pair *p, struct bucket *b)
{
	for (struct bucket_entry *be = b->entries; be; be = be->next) {
		struct pair_entry *e = (struct pair_entry *)be;
		struct pair_end **at = &e->ends;
		int listener = -1, r;

		while (*at) {
			if ((*at)->no_role && listener < 0)
				listener = entry_listener(p, b, &e->conv);
			if ((*at)->no_role && listener > 0) {
				r = entry_settle(b, e, at, listener);
				if (r < 0)
					return r;
			} else {
				at = &(*at)->next;
			}
		}
	}
	return 0;
}

/* --- the stage */

static int pair_markers(struct pair *p, struct window_batch *batch, enum bus_topic t, const struct pair_count *counts)
{
	struct flow_marker m = {.boot = batch->epoch, .interval = batch->closed, .interval_s = batch->interval_s};
	char producer[32];
	int r = 0;

	snprintf(producer, sizeof(producer), "flows/%u", batch->partition);
	m.producer = str_from(producer);
	for (unsigned i = 0; batch->closed && i < bus_partitions(p->bus, t) && r == 0; i++) {
		m.rows = counts[i].rows;
		m.messages = counts[i].messages;
		r = window_put(batch, t, i, producer, m.producer.n, FLOW_MSG_MARKER, &m);
	}
	return r;
}

static int pair_emit(void *arg, struct window_batch *batch)
{
	struct pair *p = arg;
	int r = 0;

	if (p->refresh)
		p->refresh(p->refresh_arg);
	memset(p->partials, 0, bus_partitions(p->bus, BUS_PARTIALS) * sizeof(*p->partials));
	memset(p->pairs, 0, bus_partitions(p->bus, BUS_PAIRS) * sizeof(*p->pairs));
	for (size_t i = 0; i < batch->n && r == 0; i++) {
		r = pair_settle(p, batch->buckets[i]);
		if (r == 0)
			r = pair_join(p, batch, batch->buckets[i]);
	}
	if (r == 0)
		r = pair_markers(p, batch, BUS_PARTIALS, p->partials);
	if (r == 0)
		r = pair_markers(p, batch, BUS_PAIRS, p->pairs);
	return r;
}

static int end_cmp(const void *a, const void *b)
{
	return str_cmp(((const struct names_end *)a)->service, ((const struct names_end *)b)->service);
}

static void pair_committed(void *arg, const struct window_batch *batch)
{
	struct pair *p = arg;
	struct names_ends ends;

	for (size_t i = 0; i < batch->n; i++) {
		for (struct bucket_entry *be = batch->buckets[i]->entries; be; be = be->next) {
			const struct pair_entry *e = (const struct pair_entry *)be;

			ends.n_clients = ends.n_servers = 0;
			for (const struct pair_end *end = e->ends; end; end = end->next) {
				const struct names_end kept = {end->service, end->stats.tx_bytes + end->stats.rx_bytes};

				if (end->view == FLOW_VIEW_CLIENT && kept.service.n && ends.n_clients < NAMES_ENDS)
					ends.clients[ends.n_clients++] = kept;
				if (end->view == FLOW_VIEW_SERVER && kept.service.n && ends.n_servers < NAMES_ENDS)
					ends.servers[ends.n_servers++] = kept;
			}
			if (!ends.n_clients && !ends.n_servers)
				continue;
			qsort(ends.clients, ends.n_clients, sizeof(ends.clients[0]), end_cmp);
			qsort(ends.servers, ends.n_servers, sizeof(ends.servers[0]), end_cmp);
			names_keep(p->names, batch->partition, &e->conv, be->hash, batch->buckets[i]->interval, &ends);
		}
	}
	names_expire(p->names, batch->closed);
}

static void pair_forget(void *arg, unsigned partition)
{
	struct pair *p = arg;

	names_forget(p->names, partition);
}

int pair_init(struct pair *p, struct bus *bus, const struct hosts *hosts, const struct inventory *inv)
{
	*p = (struct pair){.bus = bus, .hosts = hosts, .inv = inv};
	p->partials = calloc(bus_partitions(bus, BUS_PARTIALS), sizeof(*p->partials));
	p->pairs = calloc(bus_partitions(bus, BUS_PAIRS), sizeof(*p->pairs));
	if (!p->partials || !p->pairs || names_new(&p->names) < 0) {
		pair_deinit(p);
		return -ENOMEM;
	}
	return 0;
}

void pair_deinit(struct pair *p)
{
	free(p->partials);
	free(p->pairs);
	names_free(p->names);
	*p = (struct pair){0};
}

const struct window_stage pair_stage = {
	.role = "pair",
	.input = BUS_FLOWS,
	.type = FLOW_MSG_ROW,
	.late_max_s = PAIR_LATE_MAX_S,
	.when = pair_when,
	.fold = pair_fold,
	.emit = pair_emit,
	.committed = pair_committed,
	.forget = pair_forget,
};

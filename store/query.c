/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three passes, so that the best 20 of many edges cost little:
 *
 *     1. names   which edges match (only when something is filtered or grouped by name)
 *     2. rank    one sum per edge over the whole range, in a hash; sort; the best `limit` stay
 *     3. sums    every column of just these, added into struct store_row
 *
 * The rank is a double: an order, not an answer. The sums are exact.
 */
#include "store/query.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/entries.h"
#include "store/names.h"

void store_rows_deinit(struct store_rows *r)
{
	free(r->rows);
	arena_free(r->arena);
	*r = (struct store_rows){0};
}

struct work {
	struct store_query *q;
	const struct store_ask *ask;
	enum columns_kind kind; /* where rows come from */
	bool pairs;             /* one answer row per pair */
	bool named;             /* names[] restricts what matches */
	struct cover cover;
	struct store_arena *arena;
	struct names names;
	struct entries entries;
	struct store_row *rows; /* one per entry */
};

static int work_names(struct work *w)
{
	w->named = true;
	return names_load(w->q, &w->ask->filter, w->ask->group, &w->arena, &w->names);
}

/* --- which row a stored row belongs to */

static bool address_match(const struct store_address *a, const struct ip *ip, struct str scope)
{
	if (!ip_in_prefix(ip, &a->ip, a->bits))
		return false;
	if (!a->scope.p)
		return true;
	return str_eq(a->scope, scope) || (a->scope.n && scope.n > a->scope.n && scope.p[a->scope.n] == '/' &&
					   !memcmp(a->scope.p, scope.p, a->scope.n));
}

static bool addresses_match(const struct store_filter *f, const struct key *k)
{
	for (size_t i = 0; i < f->n_addresses; i++)
		if (address_match(&f->addresses[i], &k->client, k->scope) ||
		    address_match(&f->addresses[i], &k->server, k->scope))
			return true;
	return !f->n_addresses;
}

static struct ip query_ip(sqlite3_stmt *st, int i)
{
	struct ip ip = {0};

	if (sqlite3_column_bytes(st, i) == sizeof(ip.b))
		memcpy(ip.b, sqlite3_column_blob(st, i), sizeof(ip.b));
	return ip;
}

/* edge at column `at`; pairs: client, server, scope after `skip` more. False: it does not match. */
static bool work_key(const struct work *w, sqlite3_stmt *st, int at, int skip, struct key *ret)
{
	struct key k = {.id = (uint64_t)sqlite3_column_int64(st, at)};
	const struct name *n = NULL;

	if (w->named) {
		n = names_get(&w->names, k.id);
		if (!n)
			return false;
	}
	if (w->kind == COLUMNS_PAIRS) {
		k.client = query_ip(st, at + 1 + skip);
		k.server = query_ip(st, at + 2 + skip);
		k.scope = (struct str){(const char *)sqlite3_column_text(st, at + 3 + skip),
				       (size_t)sqlite3_column_bytes(st, at + 3 + skip)};
		if (!addresses_match(&w->ask->filter, &k))
			return false;
	}
	if (!w->pairs)
		k = (struct key){.id = w->ask->group == STORE_BY_EDGE ? k.id : n->group};
	*ret = k;
	return true;
}

/* --- pass 2 */

static int rank_row(void *arg, sqlite3_stmt *st)
{
	struct work *w = arg;
	struct entry *e;
	struct key k;
	size_t n = w->entries.n;

	if (!work_key(w, st, 1, 0, &k))
		return 0;
	e = entries_get(&w->entries, &k, true);
	if (!e)
		return -ENOMEM;
	if (w->entries.n > n && k.scope.n && !arena_copy(&w->arena, k.scope, &e->key.scope))
		return -ENOMEM;
	e->rank += (double)sqlite3_column_int64(st, 0);
	return 0;
}

static int entry_order(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank > y->rank ? -1 : 1;
	if (x->key.id != y->key.id)
		return x->key.id < y->key.id ? -1 : 1;
	return memcmp(&x->key.client, &y->key.client, sizeof(x->key.client) * 2);
}

/* Sorted, cut to the limit, the hash made again. */
static int work_cut(struct work *w)
{
	struct entries *e = &w->entries, old = *e;
	size_t limit = w->ask->limit && w->ask->limit < STORE_ROWS_MAX ? w->ask->limit : STORE_ROWS_MAX;
	size_t n = old.n < limit ? old.n : limit;
	int r = 0;

	if (old.n)
		qsort(old.v, old.n, sizeof(*old.v), entry_order);
	if (w->ask->ascending)
		for (size_t i = 0; i < old.n / 2; i++) {
			struct entry t = old.v[i];

			old.v[i] = old.v[old.n - 1 - i];
			old.v[old.n - 1 - i] = t;
		}
	*e = (struct entries){0};
	for (size_t i = 0; !r && i < n; i++) {
		struct entry *x = entries_get(e, &old.v[i].key, true);

		if (x)
			x->rank = old.v[i].rank;
		else
			r = -ENOMEM;
	}
	entries_deinit(&old);
	return r;
}

static const uint64_t *work_edges(const struct work *w, size_t *ret_n, uint64_t **ret_free)
{
	size_t n = w->named ? w->names.n : 0;
	uint64_t *v = n ? malloc(n * sizeof(*v)) : NULL;

	*ret_free = v;
	*ret_n = v ? n : 0;
	for (size_t i = 0; v && i < n; i++)
		v[i] = w->names.v[i].edge;
	return v;
}

static int work_rank(struct work *w)
{
	const char *name = w->ask->sort ? w->ask->sort : "bytes";
	uint64_t *edges;
	size_t n;
	struct buf sql;
	int r;

	buf_init(&sql, 0);
	if (!columns_sum(&w->q->st->columns, name, &sql)) {
		buf_deinit(&sql);
		snprintf(w->q->error, sizeof(w->q->error), "no sum is called %.60s", name);
		return -EINVAL;
	}
	buf_printf(&sql, w->kind == COLUMNS_PAIRS ? ",edge,client,server,scope" : ",edge");
	work_edges(w, &n, &edges);
	r = w->named && !w->names.n ? 0 : scan_rows(w->q, w->kind, &w->cover, buf_text(&sql), edges, n, rank_row, w);
	free(edges);
	buf_deinit(&sql);
	return r;
}

/* --- pass 3 */

static int sum_into(struct work *w, struct store_row *row, sqlite3_stmt *st, const struct key *k)
{
	struct flow_edge *e = &row->e;
	struct str scope = e->scope, via = e->via;

	columns_read(&w->q->st->columns, w->kind, st, e);
	if (!row->first || e->interval < row->first)
		row->first = e->interval;
	if (e->interval > row->last)
		row->last = e->interval;
	e->id = w->ask->group == STORE_BY_EDGE ? e->id : 0;
	e->revision = 0;
	e->scope = scope;
	if (!w->pairs) {
		e->client = e->server = (struct ip){0};
	} else if (k) {
		e->scope = k->scope;
	}
	/* The first one known stays; it lives in the statement until copied. */
	if (via.n)
		e->via = via;
	else if (e->via.n && !arena_copy(&w->arena, e->via, &e->via))
		return -ENOMEM;
	return 0;
}

static int sum_row(void *arg, sqlite3_stmt *st)
{
	struct work *w = arg;
	struct entry *e;
	struct key k;

	if (!work_key(w, st, 1, 1, &k))
		return 0;
	e = entries_get(&w->entries, &k, false);
	return e ? sum_into(w, &w->rows[e - w->entries.v], st, &e->key) : 0;
}

static int work_sums(struct work *w)
{
	size_t n = w->entries.n, n_edges = 0;
	uint64_t *edges = malloc((n + 1) * sizeof(*edges));
	int r;

	w->rows = calloc(n + 1, sizeof(*w->rows));
	if (!edges || !w->rows) {
		free(edges);
		return -ENOMEM;
	}
	if (w->ask->group == STORE_BY_EDGE)
		for (size_t i = 0; i < n; i++)
			if (!n_edges || edges[n_edges - 1] != w->entries.v[i].key.id)
				edges[n_edges++] = w->entries.v[i].key.id;
	/* Pairs: several keys of one edge, looked up once. */
	if (w->pairs && n_edges > 1) {
		size_t kept = 0;

		for (size_t i = 0; i < n_edges; i++) {
			size_t k = 0;

			while (k < kept && edges[k] != edges[i])
				k++;
			if (k == kept && kept < 65)
				edges[kept++] = edges[i];
		}
		n_edges = kept;
	}
	r = n ? scan_rows(w->q, w->kind, &w->cover, NULL, edges, n_edges, sum_row, w) : 0;
	free(edges);
	return r;
}

/* Of the group of each row: its name, and how many edges it has. */
static int work_finish_groups(struct work *w)
{
	uint32_t *members = calloc(w->names.groups, sizeof(*members));
	const struct name **first = calloc(w->names.groups, sizeof(*first));
	int r = members && first ? 0 : -ENOMEM;

	for (size_t i = 0; !r && i < w->names.n; i++) {
		members[w->names.v[i].group]++;
		first[w->names.v[i].group] = &w->names.v[i];
	}
	for (size_t i = 0; !r && i < w->entries.n; i++) {
		uint64_t group = w->entries.v[i].key.id;

		w->rows[i].e.name = first[group]->name;
		w->rows[i].edges = members[group];
	}
	free(members);
	free(first);
	return r;
}

static int work_finish_edges(struct work *w)
{
	int r = w->named ? 0 : names_begin(w->q);

	if (r)
		return r;
	for (size_t i = 0; !r && i < w->entries.n; i++) {
		struct flow_edge *e = &w->rows[i].e;
		const struct name *n;

		e->id = w->entries.v[i].key.id;
		n = w->named ? names_get(&w->names, e->id) : NULL;
		if (n) {
			e->name = n->name;
		} else {
			r = names_one(w->q, e->id, &w->arena, &e->name);
			if (r == -ENOENT)
				r = 0;
		}
	}
	if (!w->named)
		names_end(w->q);
	return r;
}

/* Names, times and counts of the finished rows. */
static int work_finish(struct work *w)
{
	for (size_t i = 0; i < w->entries.n; i++) {
		struct store_row *row = &w->rows[i];

		row->e.interval = w->cover.from;
		row->e.interval_s = 0;
		row->seconds = w->cover.to - w->cover.from;
		row->edges = 1;
	}
	return w->names.groups ? work_finish_groups(w) : work_finish_edges(w);
}

static void work_deinit(struct work *w)
{
	cover_deinit(&w->cover);
	names_deinit(&w->names);
	entries_deinit(&w->entries);
	free(w->rows);
	arena_free(w->arena);
}

static void work_answer(struct work *w, size_t n, size_t matched, struct store_rows *ret)
{
	*ret = (struct store_rows){.rows = w->rows,
				   .n = n,
				   .matched = matched,
				   .from = w->cover.from,
				   .to = w->cover.to,
				   .step = w->cover.step,
				   .tiers = w->cover.tiers,
				   .arena = w->arena};
	w->rows = NULL;
	w->arena = NULL;
}

static int query_list(struct store_query *q, const struct store_ask *ask, bool pairs, struct store_rows *ret)
{
	struct work w = {.q = q,
			 .ask = ask,
			 .pairs = pairs,
			 .kind = pairs || ask->filter.n_addresses ? COLUMNS_PAIRS : COLUMNS_EDGES};
	size_t matched;
	int r;

	scan_begin(q);
	r = cover_make(q->st, w.kind, ask->from, ask->to, 0, &w.cover);
	if (!r && (names_filtered(&ask->filter) || ask->group != STORE_BY_EDGE))
		r = work_names(&w);
	if (!r)
		r = work_rank(&w);
	matched = w.entries.n;
	if (!r)
		r = work_cut(&w);
	if (!r)
		r = work_sums(&w);
	if (!r)
		r = work_finish(&w);
	if (!r)
		work_answer(&w, w.entries.n, matched, ret);
	scan_end(q);
	work_deinit(&w);
	return r;
}

int store_edges(struct store_query *q, const struct store_ask *ask, struct store_rows *ret)
{
	return query_list(q, ask, false, ret);
}

int store_pairs(struct store_query *q, const struct store_ask *ask, struct store_rows *ret)
{
	struct store_ask by_edge = *ask;

	by_edge.group = STORE_BY_EDGE;
	return query_list(q, &by_edge, true, ret);
}

/* --- series: the key is the point in time */

static int point_row(void *arg, sqlite3_stmt *st)
{
	struct work *w = arg;
	uint32_t interval = (uint32_t)sqlite3_column_int64(st, 0);
	struct key k;
	size_t i;

	if (!work_key(w, st, 1, 1, &k))
		return 0;
	i = interval / w->cover.step - w->cover.from / w->cover.step;
	if (i >= w->entries.cap)
		return 0;
	return sum_into(w, &w->rows[i], st, NULL);
}

static size_t series_pack(struct work *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->entries.cap; i++) {
		uint32_t at = (uint32_t)((w->cover.from / w->cover.step + i) * w->cover.step);
		uint64_t end = (uint64_t)at + w->cover.step;

		if (!w->rows[i].first)
			continue;
		w->rows[n] = w->rows[i];
		w->rows[n].e.interval = at < w->cover.from ? w->cover.from : at;
		w->rows[n].e.interval_s = 0;
		w->rows[n].seconds = (uint32_t)((end > w->cover.to ? w->cover.to : end) - w->rows[n].e.interval);
		w->rows[n].edges = (uint32_t)(w->named ? w->names.n : 0);
		n++;
	}
	return n;
}

int store_series(struct store_query *q, const struct store_ask *ask, struct store_rows *ret)
{
	struct work w = {.q = q, .ask = ask, .kind = ask->filter.n_addresses ? COLUMNS_PAIRS : COLUMNS_EDGES};
	uint64_t *edges = NULL;
	size_t n = 0, n_edges = 0;
	int r;

	if (!ask->step)
		return -EINVAL;
	scan_begin(q);
	r = cover_make(q->st, w.kind, ask->from, ask->to, ask->step, &w.cover);
	if (!r && w.cover.to > w.cover.from)
		n = (w.cover.to - 1) / w.cover.step - w.cover.from / w.cover.step + 1;
	if (n > STORE_ROWS_MAX) {
		snprintf(q->error, sizeof(q->error), "more than %d points: take a longer step", STORE_ROWS_MAX);
		r = -E2BIG;
	}
	if (!r && names_filtered(&ask->filter))
		r = work_names(&w);
	if (!r) {
		w.entries.cap = n;
		w.rows = calloc(n + 1, sizeof(*w.rows));
		r = w.rows ? 0 : -ENOMEM;
	}
	work_edges(&w, &n_edges, &edges);
	if (!r && !(w.named && !w.names.n))
		r = scan_rows(q, w.kind, &w.cover, NULL, edges, n_edges, point_row, &w);
	if (!r)
		n = series_pack(&w);
	if (!r)
		work_answer(&w, n, n, ret);
	scan_end(q);
	free(edges);
	work_deinit(&w);
	return r;
}

int store_name(struct store_query *q, uint64_t edge, struct flow_edge_name *ret)
{
	struct store_arena *a = NULL;
	int r = names_one(q, edge, &a, ret);

	arena_free(q->names);
	q->names = a;
	return r;
}

bool store_sort_known(const char *name)
{
	struct columns c;
	struct buf sql;
	bool known;

	columns_init(&c);
	buf_init(&sql, 0);
	known = columns_sum(&c, name, &sql);
	buf_deinit(&sql);
	return known;
}

const char *store_sort_name(size_t i)
{
	return columns_sum_name(i);
}

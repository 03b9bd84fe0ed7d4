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

/* False: it does not match. */
static bool work_key(const struct work *w, const struct scan_row *row, struct key *ret)
{
	const struct name *n = NULL;

	if (w->named) {
		n = names_get(&w->names, row->key.id);
		if (!n)
			return false;
	}
	if (w->kind == COLUMNS_PAIRS && !addresses_match(&w->ask->filter, &row->key))
		return false;
	if (w->pairs)
		*ret = row->key;
	else
		*ret = (struct key){.id = w->ask->group == STORE_BY_EDGE ? row->key.id : n->group};
	return true;
}

/* --- pass 2 */

static int rank_row(void *arg, const struct scan_row *row)
{
	struct work *w = arg;
	struct entry *e;
	struct key k;
	size_t n = w->entries.n;

	if (!work_key(w, row, &k))
		return 0;
	e = entries_get(&w->entries, &k, true);
	if (!e)
		return -ENOMEM;
	if (w->entries.n > n && k.scope.n && !arena_copy(&w->arena, k.scope, &e->key.scope))
		return -ENOMEM;
	e->rank += row->rank;
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
	struct scan x = {.kind = w->kind, .cover = &w->cover, .sort = w->ask->sort ? w->ask->sort : "bytes"};
	uint64_t *edges;
	int r;

	if (!store_sort_known(x.sort)) {
		snprintf(w->q->error, sizeof(w->q->error), "no sum is called %.60s", x.sort);
		return -EINVAL;
	}
	x.edges = work_edges(w, &x.n_edges, &edges);
	r = w->named && !w->names.n ? 0 : w->q->ops->scan(w->q, &x, rank_row, w);
	free(edges);
	return r;
}

/* --- pass 3 */

static int sum_into(struct work *w, struct store_row *row, const struct scan_row *from, const struct key *k)
{
	struct flow_edge *e = &row->e;
	struct str scope = e->scope, via = e->via;

	from->add(from, e);
	if (!row->first || from->first < row->first)
		row->first = from->first;
	if (from->last > row->last)
		row->last = from->last;
	e->id = w->ask->group == STORE_BY_EDGE ? from->key.id : 0;
	e->revision = 0;
	e->scope = scope;
	if (!w->pairs) {
		e->client = e->server = (struct ip){0};
	} else if (k) {
		e->client = k->client;
		e->server = k->server;
		e->scope = k->scope;
	}
	/* The first one known stays; it lives for the call until copied. */
	if (via.n)
		e->via = via;
	else if (e->via.n && !arena_copy(&w->arena, e->via, &e->via))
		return -ENOMEM;
	return 0;
}

static int sum_row(void *arg, const struct scan_row *row)
{
	struct work *w = arg;
	struct entry *e;
	struct key k;

	if (!work_key(w, row, &k))
		return 0;
	e = entries_get(&w->entries, &k, false);
	return e ? sum_into(w, &w->rows[e - w->entries.v], row, &e->key) : 0;
}

static int edge_order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x != y ? (x < y ? -1 : 1) : 0;
}

/* Pairs: several keys of one edge, looked up once. */
static size_t work_unique(uint64_t *edges, size_t n)
{
	size_t kept = 0;

	if (n)
		qsort(edges, n, sizeof(*edges), edge_order);
	for (size_t i = 0; i < n; i++)
		if (!kept || edges[kept - 1] != edges[i])
			edges[kept++] = edges[i];
	return kept;
}

static int work_sums(struct work *w)
{
	size_t n = w->entries.n, n_edges = 0;
	uint64_t *edges = malloc((n + 1) * sizeof(*edges));
	struct scan x = {.kind = w->kind, .cover = &w->cover};
	int r;

	w->rows = calloc(n + 1, sizeof(*w->rows));
	if (!edges || !w->rows) {
		free(edges);
		return -ENOMEM;
	}
	if (w->ask->group == STORE_BY_EDGE) {
		for (; n_edges < n; n_edges++)
			edges[n_edges] = w->entries.v[n_edges].key.id;
		n_edges = work_unique(edges, n_edges);
	}
	x.edges = edges;
	x.n_edges = n_edges;
	r = n ? w->q->ops->scan(w->q, &x, sum_row, w) : 0;
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
	size_t n = w->entries.n;
	uint64_t *edges = w->named ? NULL : malloc((n + 1) * sizeof(*edges));
	int r = 0;

	if (edges) {
		for (size_t i = 0; i < n; i++)
			edges[i] = w->entries.v[i].key.id;
		r = names_load_of(w->q, edges, work_unique(edges, n), &w->arena, &w->names);
	} else if (!w->named) {
		r = -ENOMEM;
	}
	for (size_t i = 0; !r && i < n; i++) {
		struct flow_edge *e = &w->rows[i].e;
		const struct name *name;

		e->id = w->entries.v[i].key.id;
		name = names_get(&w->names, e->id);
		if (name)
			e->name = name->name;
	}
	free(edges);
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

	r = q->ops->begin(q, ask->from, ask->to);
	if (r)
		return r;
	r = q->ops->cover(q, w.kind, ask->from, ask->to, 0, &w.cover);
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
	q->ops->end(q);
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

static int point_row(void *arg, const struct scan_row *row)
{
	struct work *w = arg;
	struct key k;
	size_t i;

	if (!work_key(w, row, &k))
		return 0;
	i = row->first / w->cover.step - w->cover.from / w->cover.step;
	if (i >= w->entries.cap)
		return 0;
	return sum_into(w, &w->rows[i], row, NULL);
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
	struct scan x = {.kind = w.kind, .cover = &w.cover};
	uint64_t *edges = NULL;
	size_t n = 0;
	int r;

	if (!ask->step)
		return -EINVAL;
	r = q->ops->begin(q, ask->from, ask->to);
	if (r)
		return r;
	r = q->ops->cover(q, w.kind, ask->from, ask->to, ask->step, &w.cover);
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
	x.edges = work_edges(&w, &x.n_edges, &edges);
	x.step = w.cover.step;
	x.edges_told = !w.named && w.kind == COLUMNS_EDGES;
	if (!r && !(w.named && !w.names.n))
		r = q->ops->scan(q, &x, point_row, &w);
	if (!r)
		n = series_pack(&w);
	if (!r)
		work_answer(&w, n, n, ret);
	q->ops->end(q);
	free(edges);
	work_deinit(&w);
	return r;
}

int store_name(struct store_query *q, uint64_t edge, struct flow_edge_name *ret)
{
	struct store_arena *a = NULL;
	struct names names = {0};
	int r = names_load_of(q, &edge, 1, &a, &names);

	if (!r && !names.n)
		r = -ENOENT;
	if (!r)
		*ret = names.v[0].name;
	names_deinit(&names);
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
	known = columns_sum(&c, COLUMNS_SQLITE, name, &sql);
	buf_deinit(&sql);
	return known;
}

const char *store_sort_name(size_t i)
{
	return columns_sum_name(i);
}

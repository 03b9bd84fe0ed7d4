/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cap of pairs. In the finest tier an (interval, edge) keeps the first that come; what comes after is summed in a row of
 * zero addresses, one for each batch, whose `folded` lists the hashes of what went into it. So row and list are one row: both
 * are there or neither, and a pair brought twice is found in a list. Only groups that may be above the cap are looked up.
 *
 * In the tier above an edge keeps its largest pairs. Those that stayed last time and do not now are replaced by rows with
 * `gone`, whose n is larger.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/hash.h"
#include "store/clickhouse.h"
#include "store/roll.h"

/* What is there of one (interval, edge). */
struct group {
	uint64_t *keys; /* of the kept, then of the folded */
	size_t n, cap, kept;
};

static int group_add(struct group *g, uint64_t key)
{
	if (g->n == g->cap) {
		size_t cap = g->cap ? g->cap * 2 : 256;
		uint64_t *v = realloc(g->keys, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		g->keys = v;
		g->cap = cap;
	}
	g->keys[g->n++] = key;
	return 0;
}

static int hash_order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x != y ? (x < y ? -1 : 1) : 0;
}

static uint64_t pairs_hash(const struct flow_edge *e)
{
	struct {
		struct ip client, server;
		uint64_t revision, scope;
	} k = {e->client, e->server, e->revision, hash64(e->scope.p, e->scope.n)};

	return hash64(&k, sizeof(k));
}

static int group_load(struct clickhouse *st, const struct flow_edge *of, struct group *g)
{
	struct clickhouse_rows rows;
	struct buf sql, answer;
	int r;

	buf_init(&sql, 0);
	buf_init(&answer, 0);
	buf_printf(&sql,
		   "SELECT client,server,scope,revision,folded FROM pairs_fine WHERE edge=%llu AND start=%u FORMAT "
		   "RowBinary",
		   (unsigned long long)of->id, of->interval);
	r = clickhouse_do(st, &sql, &answer, "reading pairs");
	g->n = g->kept = 0;
	rows = clickhouse_rows(&answer);
	for (unsigned pass = 0; !r && pass < 2; pass++) {
		rows = clickhouse_rows(&answer);
		while (!r && clickhouse_more(&rows)) {
			struct flow_edge e = {.client = clickhouse_ip(&rows)};
			bool other;
			uint64_t n;

			e.server = clickhouse_ip(&rows);
			e.scope = clickhouse_text(&rows);
			e.revision = clickhouse_uint(&rows, 8);
			n = clickhouse_count(&rows);
			other = ip_is_zero(&e.client) && ip_is_zero(&e.server);
			if (!pass && !other)
				r = group_add(g, pairs_hash(&e));
			while (!r && n--) {
				uint64_t key = clickhouse_uint(&rows, 8);

				if (pass)
					r = group_add(g, key);
			}
		}
		if (pass)
			break;
		/* Not merged yet, a key may be there twice. */
		if (g->n)
			qsort(g->keys, g->n, sizeof(*g->keys), hash_order);
		for (size_t i = 0; i < g->n; i++)
			if (!g->kept || g->keys[g->kept - 1] != g->keys[i])
				g->keys[g->kept++] = g->keys[i];
		g->n = g->kept;
	}
	if (g->n)
		qsort(g->keys, g->n, sizeof(*g->keys), hash_order);
	buf_deinit(&sql);
	buf_deinit(&answer);
	return r ? r : rows.bad ? -EPROTO : 0;
}

/* Writes the row of what is above the cap; its revision is the hash of the list, so a batch brought again is the same row. */
static int fold_put(struct clickhouse *st, const struct flow_edge *other, uint64_t *keys, size_t n)
{
	struct flow_edge e = *other;
	struct buf b;
	int r;

	if (!n)
		return 0;
	qsort(keys, n, sizeof(*keys), hash_order);
	e.revision = hash64(keys, n * sizeof(*keys));
	buf_init(&b, 0);
	buf_printf(
		&b,
		"INSERT INTO pairs_fine(start,edge,revision,interval_s,observed,client_rungs,server_rungs,flags,n,folded");
	for (unsigned i = 0; i < st->s.columns.n; i++)
		buf_printf(&b, ",%s", st->s.columns.v[i].name);
	buf_printf(&b, ") FORMAT RowBinary\n");
	buf_put(&b, &e.interval, 4);
	buf_put(&b, &e.id, 8);
	buf_put(&b, &e.revision, 8);
	buf_put(&b, &e.interval_s, 2);
	buf_put(&b, &e.observed, 1);
	buf_put(&b, &e.client_rungs, 1);
	buf_put(&b, &e.server_rungs, 1);
	buf_put(&b, &e.flags, 4);
	buf_put(&b, &(uint64_t){1}, 8);
	clickhouse_varint(&b, n);
	buf_put(&b, keys, n * sizeof(*keys));
	for (unsigned i = 0; i < st->s.columns.n; i++) {
		const struct column *c = &st->s.columns.v[i];

		if (c->hist) {
			clickhouse_varint(&b, FLOW_BUCKETS);
			buf_put(&b, flow_stats_hist_get(&e.view[c->view], c->field), FLOW_BUCKETS * sizeof(uint32_t));
		} else {
			uint64_t v = flow_stats_get(&e.view[c->view], c->field);

			buf_put(&b, &v, 8);
		}
	}
	r = clickhouse_do(st, &b, NULL, "storing pairs");
	buf_deinit(&b);
	return r;
}

static void fold_add(struct flow_edge *other, const struct flow_edge *e)
{
	if (!other->interval_s)
		*other = (struct flow_edge){.interval = e->interval, .interval_s = e->interval_s, .id = e->id};
	other->observed |= e->observed;
	other->client_rungs |= e->client_rungs;
	other->server_rungs |= e->server_rungs;
	other->flags |= e->flags;
	for (unsigned v = 0; v < FLOW_VIEWS; v++)
		flow_stats_add(&other->view[v], &e->view[v]);
}

/* One group that may be above the cap: the rows that stay are appended to `keep`. */
static int group_write(struct clickhouse *st, const struct flow_edge *const *v, size_t n, struct group *g,
		       const struct flow_edge **keep, size_t *n_keep)
{
	struct flow_edge *other = calloc(1, sizeof(*other));
	uint64_t *keys = malloc(n * sizeof(*keys));
	size_t there, n_keys = 0;
	int r = other && keys ? group_load(st, v[0], g) : -ENOMEM;

	there = g->n;
	for (size_t i = 0; !r && i < n; i++) {
		uint64_t key = pairs_hash(v[i]);
		bool known = there && bsearch(&key, g->keys, there, sizeof(key), hash_order);

		/* Twice in one batch. */
		for (size_t k = there; !known && k < g->n; k++)
			known = g->keys[k] == key;
		if (known) {
			st->s.stats.duplicates++;
			continue;
		}
		r = group_add(g, key);
		if (g->kept < st->s.opts.pairs_per_edge) {
			g->kept++;
			keep[(*n_keep)++] = v[i];
			continue;
		}
		fold_add(other, v[i]);
		keys[n_keys++] = key;
		st->s.stats.folded++;
	}
	if (!r)
		r = fold_put(st, other, keys, n_keys);
	free(other);
	free(keys);
	return r;
}

/* Which groups may be above the cap: all of their rows so far are counted in one question. */
static int pairs_counts(struct clickhouse *st, const struct flow_edge *const *v, size_t n, struct buf *answer)
{
	struct buf sql;
	int r;

	buf_init(&sql, 0);
	buf_printf(&sql, "SELECT edge,start,count() FROM pairs_fine WHERE start>=%u AND start<=%u AND edge IN (",
		   v[0]->interval, v[n - 1]->interval);
	for (size_t i = 0; i < n; i++)
		if (!i || v[i]->id != v[i - 1]->id)
			buf_printf(&sql, i ? ",%llu" : "%llu", (unsigned long long)v[i]->id);
	buf_printf(&sql, ") GROUP BY edge,start FORMAT RowBinary");
	r = clickhouse_do(st, &sql, answer, "reading pairs");
	buf_deinit(&sql);
	return r;
}

static uint64_t pairs_there(const struct buf *answer, const struct flow_edge *e)
{
	struct clickhouse_rows rows = clickhouse_rows(answer);

	while (clickhouse_more(&rows)) {
		uint64_t edge = clickhouse_uint(&rows, 8), interval = clickhouse_uint(&rows, 4),
			 n = clickhouse_uint(&rows, 8);

		if (edge == e->id && interval == e->interval)
			return n;
	}
	return 0;
}

int clickhouse_append_pairs(struct clickhouse *st, const struct flow_edge *const *v, size_t n)
{
	const struct flow_edge **keep = malloc((n + 1) * sizeof(*keep));
	struct group g = {0};
	size_t n_keep = 0, end;
	struct buf answer;
	int r = keep ? 0 : -ENOMEM;

	buf_init(&answer, 0);
	if (!r && n)
		r = pairs_counts(st, v, n, &answer);
	for (size_t i = 0; !r && i < n; i = end) {
		for (end = i + 1; end < n && v[end]->interval == v[i]->interval && v[end]->id == v[i]->id; end++)
			;
		if (end - i + pairs_there(&answer, v[i]) > st->s.opts.pairs_per_edge)
			r = group_write(st, v + i, end - i, &g, keep, &n_keep);
		else
			for (size_t k = i; k < end; k++)
				keep[n_keep++] = v[k];
	}
	if (!r)
		r = clickhouse_put_rows(st, COLUMNS_PAIRS, STORE_FINE, keep, n_keep, NULL, NULL);
	buf_deinit(&answer);
	free(g.keys);
	free(keep);
	return r;
}

/* --- the tier above */

struct roll_up {
	struct roll roll;
	struct clickhouse *st;
	enum store_tier above;
	uint32_t bucket;
	uint64_t edge; /* in hand */
	struct flow_edge *rows;
	size_t n, cap;
	struct store_arena *texts;
};

static int roll_up_put(void *arg, const struct flow_edge *e)
{
	struct roll_up *x = arg;
	struct flow_edge *to;

	if (x->n == x->cap)
		return -E2BIG;
	to = &x->rows[x->n++];
	*to = *e;
	x->edge = e->id;
	return arena_copy(&x->texts, e->scope, &to->scope) && arena_copy(&x->texts, e->via, &to->via) ? 0 : -ENOMEM;
}

static bool roll_up_same(const struct flow_edge *a, const struct flow_edge *b)
{
	return ip_eq(&a->client, &b->client) && ip_eq(&a->server, &b->server) && str_eq(a->scope, b->scope);
}

/* The edge's rows of the tier above, and those that are no more. Each gets an n above what is there. */
static int roll_up_write(struct roll_up *x)
{
	size_t made = x->n, most;
	struct clickhouse_rows rows;
	const struct flow_edge **v = NULL;
	struct buf sql, answer;
	uint64_t *n = NULL, top = 0;
	uint8_t *gone = NULL;
	int r;

	if (!made)
		return 0;
	buf_init(&sql, 0);
	buf_init(&answer, 0);
	buf_printf(&sql,
		   "SELECT client,server,scope,n,gone FROM %s FINAL WHERE edge=%llu AND start=%u FORMAT RowBinary",
		   clickhouse_rows_table(COLUMNS_PAIRS, x->above), (unsigned long long)x->edge, x->bucket);
	r = clickhouse_do(x->st, &sql, &answer, "reading pairs");
	rows = clickhouse_rows(&answer);
	most = made + answer.n / 42;
	if (!r) {
		struct flow_edge *more = realloc(x->rows, (most + 1) * sizeof(*more));

		x->rows = more ? more : x->rows;
		v = malloc((most + 1) * sizeof(*v));
		n = malloc((most + 1) * sizeof(*n));
		gone = calloc(most + 1, 1);
		r = more && v && n && gone ? 0 : -ENOMEM;
	}
	while (!r && clickhouse_more(&rows)) {
		struct flow_edge e = {.interval = x->bucket, .interval_s = x->roll.length, .id = x->edge};
		uint64_t was;
		size_t i;

		e.client = clickhouse_ip(&rows);
		e.server = clickhouse_ip(&rows);
		e.scope = clickhouse_text(&rows);
		was = clickhouse_uint(&rows, 8);
		top = was > top ? was : top;
		if (clickhouse_uint(&rows, 1) || x->n == most)
			continue;
		for (i = 0; i < made && !roll_up_same(&x->rows[i], &e); i++)
			;
		if (i == made) {
			gone[x->n] = 1;
			x->rows[x->n++] = e;
		}
	}
	for (size_t i = 0; !r && i < x->n; i++) {
		v[i] = &x->rows[i];
		n[i] = top + 1;
	}
	if (!r)
		r = rows.bad ? -EPROTO : clickhouse_put_rows(x->st, COLUMNS_PAIRS, x->above, v, x->n, n, gone);
	x->n = 0;
	buf_deinit(&sql);
	buf_deinit(&answer);
	free(v);
	free(n);
	free(gone);
	return r;
}

static int roll_up_edge(struct roll_up *x, enum store_tier below, uint64_t edge)
{
	struct clickhouse *st = x->st;
	struct clickhouse_rows rows;
	struct buf sql, answer;
	int r;

	buf_init(&sql, 0);
	buf_init(&answer, 0);
	buf_printf(&sql, "SELECT client,server,scope,");
	clickhouse_sums(&st->s.columns, &sql);
	buf_printf(&sql,
		   " FROM %s FINAL WHERE edge=%llu AND start>=%u AND start<%u AND gone=0 GROUP BY client,server,scope "
		   "ORDER BY client,server,scope FORMAT RowBinary",
		   clickhouse_rows_table(COLUMNS_PAIRS, below), (unsigned long long)edge, x->bucket,
		   x->bucket + x->roll.length);
	r = clickhouse_do(st, &sql, &answer, "reading pairs");
	rows = clickhouse_rows(&answer);
	while (!r && clickhouse_more(&rows)) {
		struct flow_edge e = {.id = edge, .client = clickhouse_ip(&rows)};
		uint64_t n;

		e.server = clickhouse_ip(&rows);
		e.scope = clickhouse_text(&rows);
		clickhouse_add(&st->s.columns, &rows, &e, &n);
		r = rows.bad ? -EPROTO : roll_row(&x->roll, &e);
	}
	if (!r)
		r = roll_end(&x->roll);
	if (!r)
		r = roll_up_write(x);
	buf_deinit(&sql);
	buf_deinit(&answer);
	return r;
}

int clickhouse_roll_pairs(struct clickhouse *st, enum store_tier below, uint32_t bucket)
{
	enum store_tier above = tiers_above(&st->s.opts, COLUMNS_PAIRS, below);
	struct roll_up x = {.st = st, .above = above, .bucket = bucket, .cap = st->s.opts.pairs_per_edge + 2};
	struct clickhouse_rows rows;
	struct buf sql, answer;
	int r;

	buf_init(&sql, 0);
	buf_init(&answer, 0);
	x.roll = (struct roll){.kind = COLUMNS_PAIRS,
			       .bucket = bucket,
			       .length = (uint16_t)tiers_length(&st->s.opts, above),
			       .put = roll_up_put,
			       .arg = &x};
	buf_printf(&sql,
		   "SELECT edge FROM (SELECT edge,client,server,scope FROM %s WHERE start>=%u AND start<%u GROUP BY "
		   "edge,client,server,scope) GROUP BY edge HAVING count()>%u FORMAT RowBinary",
		   clickhouse_rows_table(COLUMNS_PAIRS, below), bucket, bucket + x.roll.length,
		   st->s.opts.pairs_per_edge);
	r = clickhouse_do(st, &sql, &answer, "reading pairs");
	rows = clickhouse_rows(&answer);
	while (!r && clickhouse_more(&rows)) {
		uint64_t edge = clickhouse_uint(&rows, 8);

		x.rows = malloc(x.cap * sizeof(*x.rows));
		r = x.rows ? roll_init(&x.roll, st->s.opts.pairs_per_edge) : -ENOMEM;
		if (!r)
			r = roll_up_edge(&x, below, edge);
		roll_deinit(&x.roll);
		x.roll.rows = NULL;
		x.roll.texts = NULL;
		x.roll.n = 0;
		x.roll.other = false;
		free(x.rows);
	}
	arena_free(x.texts);
	buf_deinit(&sql);
	buf_deinit(&answer);
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a batch (see clickhouse.c, invariants 1 to 3). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "store/clickhouse.h"

#define INSERT_ROWS 4096 /* rows of a block: what a column takes from them stays in the processor's cache */

static int insert_order(const void *a, const void *b)
{
	const struct flow_edge *x = *(const struct flow_edge *const *)a, *y = *(const struct flow_edge *const *)b;

	if (x->interval != y->interval)
		return x->interval < y->interval ? -1 : 1;
	return x->id != y->id ? (x->id < y->id ? -1 : 1) : 0;
}

static const struct flow_edge **insert_sort(const struct flow_edge *rows, size_t n)
{
	const struct flow_edge **v = malloc((n + !n) * sizeof(*v));

	for (size_t i = 0; v && i < n; i++)
		v[i] = &rows[i];
	if (v)
		qsort(v, n, sizeof(*v), insert_order);
	return v;
}

/* --- names */

static int insert_names(struct clickhouse *st, const struct flow_edge *rows, size_t n, const struct flow_edge ***ret,
			size_t *ret_n)
{
	const struct flow_edge **v = realloc(*ret, (*ret_n + n + 1) * sizeof(*v));

	if (!v)
		return -ENOMEM;
	*ret = v;
	for (size_t i = 0; i < n; i++) {
		uint32_t day = rows[i].interval / CLICKHOUSE_DAY;

		if (known_has(st->known, rows[i].id, day) || known_pending(st->known, rows[i].id, day))
			continue;
		if (known_note(st->known, rows[i].id, day))
			return -ENOMEM;
		v[(*ret_n)++] = &rows[i];
	}
	return 0;
}

static void insert_names_block(struct buf *b, const struct flow_edge *const *v, size_t n)
{
	static const struct {
		const char *name;
		size_t at;
	} texts[] = {{"net", offsetof(struct flow_edge_name, net)},
		     {"client_service", offsetof(struct flow_edge_name, client_service)},
		     {"client_zone", offsetof(struct flow_edge_name, client_zone)},
		     {"server_service", offsetof(struct flow_edge_name, server_service)},
		     {"server_zone", offsetof(struct flow_edge_name, server_zone)}};

	buf_printf(b,
		   "INSERT INTO names(edge,net,client_service,client_zone,server_service,server_zone,protocol,port,day)"
		   " FORMAT Native\n");
	clickhouse_block(b, 9, n);
	clickhouse_column(b, "edge", "UInt64");
	for (size_t i = 0; i < n; i++)
		buf_put(b, &v[i]->id, 8);
	for (size_t k = 0; k < sizeof(texts) / sizeof(*texts); k++) {
		clickhouse_column(b, texts[k].name, "String");
		for (size_t i = 0; i < n; i++)
			clickhouse_string(b, *(const struct str *)((const char *)&v[i]->name + texts[k].at));
	}
	clickhouse_column(b, "protocol", "UInt8");
	for (size_t i = 0; i < n; i++)
		buf_put(b, &v[i]->name.protocol, 1);
	clickhouse_column(b, "port", "UInt16");
	for (size_t i = 0; i < n; i++)
		buf_put(b, &v[i]->name.port, 2);
	clickhouse_column(b, "day", "UInt32");
	for (size_t i = 0; i < n; i++) {
		uint32_t day = v[i]->interval / CLICKHOUSE_DAY;

		buf_put(b, &day, 4);
	}
}

static int insert_all_names(struct clickhouse *st, const struct store_batch *batch)
{
	const struct flow_edge **v = NULL;
	size_t n = 0;
	struct buf b;
	int r;

	buf_init(&b, 0);
	r = insert_names(st, batch->edges, batch->n_edges, &v, &n);
	if (!r)
		r = insert_names(st, batch->pairs, batch->n_pairs, &v, &n);
	if (!r && n) {
		insert_names_block(&b, v, n);
		r = clickhouse_do(st, &b, NULL, "storing names");
	}
	if (!r)
		r = known_commit(st->known);
	known_abort(st->known);
	buf_deinit(&b);
	free(v);
	return r;
}

/* --- rows */

static bool insert_any(const struct column *c, const struct flow_edge *const *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct flow_stats *s = &v[i]->view[c->view];

		if (!c->hist) {
			if (flow_stats_get(s, c->field))
				return true;
			continue;
		}
		for (unsigned k = 0; k < FLOW_BUCKETS; k++)
			if (flow_stats_hist_get(s, c->field)[k])
				return true;
	}
	return false;
}

static void insert_hist(struct buf *b, const struct column *c, const struct flow_edge *const *v, size_t n)
{
	size_t offsets = b->n;
	uint64_t total = 0;

	if (!buf_grow(b, n * 8))
		return;
	for (size_t i = 0; i < n; i++) {
		const uint32_t *h = flow_stats_hist_get(&v[i]->view[c->view], c->field);
		unsigned end = FLOW_BUCKETS;

		while (end && !h[end - 1])
			end--;
		buf_put(b, h, end * sizeof(*h));
		if (b->err)
			return;
		total += end;
		memcpy(b->p + offsets + i * 8, &total, 8);
	}
}

static void insert_sum(struct buf *b, const struct column *c, const struct flow_edge *const *v, size_t n)
{
	uint64_t *to = buf_grow(b, n * 8);

	for (size_t i = 0; to && i < n; i++) {
		uint64_t x = flow_stats_get(&v[i]->view[c->view], c->field);

		memcpy(&to[i], &x, 8);
	}
}

/* A member of the same size in every row. */
static void insert_member(struct buf *b, const char *name, const char *type, const struct flow_edge *const *v, size_t n,
			  size_t at, size_t size)
{
	clickhouse_column(b, name, type);
	for (size_t i = 0; i < n; i++)
		buf_put(b, (const char *)v[i] + at, size);
}

#define MEMBER(b, member, name, type) \
	insert_member(b, name, type, v, n, offsetof(struct flow_edge, member), sizeof(((struct flow_edge *)0)->member))

static void insert_head(struct buf *b, enum columns_kind kind, const struct flow_edge *const *v, size_t n,
			const uint64_t *sums, const uint8_t *gone)
{
	const uint64_t one = 1;
	const uint8_t none = 0;

	MEMBER(b, interval, "start", "UInt32");
	MEMBER(b, id, "edge", "UInt64");
	MEMBER(b, revision, "revision", "UInt64");
	MEMBER(b, interval_s, "interval_s", "UInt16");
	MEMBER(b, observed, "observed", "UInt8");
	MEMBER(b, client_rungs, "client_rungs", "UInt8");
	MEMBER(b, server_rungs, "server_rungs", "UInt8");
	MEMBER(b, flags, "flags", "UInt32");
	clickhouse_column(b, "via", "String");
	for (size_t i = 0; i < n; i++)
		clickhouse_string(b, v[i]->via);
	clickhouse_column(b, "n", "UInt64");
	for (size_t i = 0; i < n; i++)
		buf_put(b, sums ? &sums[i] : &one, 8);
	if (kind != COLUMNS_PAIRS)
		return;
	MEMBER(b, client, "client", "FixedString(16)");
	MEMBER(b, server, "server", "FixedString(16)");
	clickhouse_column(b, "scope", "String");
	for (size_t i = 0; i < n; i++)
		clickhouse_string(b, v[i]->scope);
	clickhouse_column(b, "gone", "UInt8");
	for (size_t i = 0; i < n; i++)
		buf_put(b, gone ? &gone[i] : &none, 1);
}

#define HEAD_EDGES "start,edge,revision,interval_s,observed,client_rungs,server_rungs,flags,via,n"
#define HEAD_PAIRS HEAD_EDGES ",client,server,scope,gone"

int clickhouse_put_rows(struct clickhouse *st, enum columns_kind kind, enum store_tier t,
			const struct flow_edge *const *v, size_t count, const uint64_t *sums, const uint8_t *gone)
{
	const struct columns *c = &st->s.columns;
	bool has[COLUMNS_MAX];
	unsigned columns = kind == COLUMNS_PAIRS ? 14 : 10;
	struct buf b;
	int r;

	if (!count)
		return 0;
	buf_init(&b, 0);
	buf_printf(&b, "INSERT INTO %s(%s", clickhouse_rows_table(kind, t),
		   kind == COLUMNS_PAIRS ? HEAD_PAIRS : HEAD_EDGES);
	/* What is zero in all rows is not sent: a column's default. */
	for (unsigned i = 0; i < c->n; i++) {
		has[i] = insert_any(&c->v[i], v, count);
		columns += has[i];
		if (has[i])
			buf_printf(&b, ",%s", c->v[i].name);
	}
	buf_printf(&b, ") FORMAT Native\n");
	for (size_t at = 0; at < count; at += INSERT_ROWS) {
		size_t n = count - at < INSERT_ROWS ? count - at : INSERT_ROWS;

		clickhouse_block(&b, columns, n);
		insert_head(&b, kind, v + at, n, sums ? sums + at : NULL, gone ? gone + at : NULL);
		for (unsigned i = 0; i < c->n; i++) {
			if (!has[i])
				continue;
			clickhouse_column(&b, c->v[i].name, c->v[i].hist ? "Array(UInt32)" : "UInt64");
			(c->v[i].hist ? insert_hist : insert_sum)(&b, &c->v[i], v + at, n);
		}
	}
	r = clickhouse_do(st, &b, NULL, "storing rows");
	buf_deinit(&b);
	return r;
}

/* --- what stands beside the rows: partitions there are, buckets to be made again */

int clickhouse_touch(struct clickhouse *st, enum columns_kind kind, enum store_tier t, uint32_t interval)
{
	uint32_t length = clickhouse_span(kind, t), start = interval - interval % length, bucket;
	enum store_tier above = tiers_above(&st->s.opts, kind, t);
	struct buf b;
	int r = 0;

	buf_init(&b, 0);
	if (!dirty_any(&st->spans[kind][t], start, start + 1)) {
		buf_printf(&b, "INSERT INTO spans(kind,tier,start,gone) VALUES (%u,%u,%u,0)", kind, t, start);
		r = clickhouse_do(st, &b, NULL, "noting a partition");
		if (!r)
			r = dirty_add(&st->spans[kind][t], start);
	}
	if (!r && kind != COLUMNS_LEDGER && above < STORE_TIERS) {
		length = tiers_length(&st->s.opts, above);
		bucket = interval - interval % length;
		/* Another process may have made the bucket, once it has ended: then our mark is no more. */
		if (!dirty_any(&st->marked[kind][t], bucket, bucket + 1) || bucket + length <= st->now) {
			uint64_t at = 2 * (uint64_t)clock_wall_us();

			st->at = at > st->at ? at : st->at + 2;
			buf_clear(&b);
			buf_printf(&b,
				   "INSERT INTO marks(kind,tier,bucket,owner,dirty,at) VALUES (%u,%u,%u,%llu,1,%llu)",
				   kind, t, bucket, (unsigned long long)st->owner, (unsigned long long)st->at);
			r = clickhouse_do(st, &b, NULL, "marking a minute");
			if (!r)
				r = dirty_add(&st->marked[kind][t], bucket);
			st->loaded = 0;
		}
	}
	buf_deinit(&b);
	return r;
}

/* Partitions and marks of sorted rows, before and behind them; rows of removed partitions are cut off the front. */
static int insert_touch(struct clickhouse *st, enum columns_kind kind, const struct flow_edge ***v, size_t *n,
			uint64_t *too_old)
{
	uint32_t last = 0;
	int r = 0;

	while (*n && (**v)->interval < st->floor[kind][STORE_FINE]) {
		*too_old += flow_edge_rows(**v);
		(*v)++;
		(*n)--;
	}
	for (size_t i = 0; !r && i < *n; i++) {
		uint32_t interval = (*v)[i]->interval;

		if (i && interval == last)
			continue;
		last = interval;
		r = clickhouse_touch(st, kind, STORE_FINE, interval);
	}
	return r;
}

int clickhouse_append_now(struct clickhouse *st, const struct store_batch *b)
{
	const struct flow_edge **edges = insert_sort(b->edges, b->n_edges), **pairs = insert_sort(b->pairs, b->n_pairs);
	const struct flow_edge **e = edges, **p = pairs;
	struct store_stats before = st->s.stats;
	size_t n_edges = b->n_edges, n_pairs = b->n_pairs;
	int r = -ENOMEM;

	if (edges && pairs)
		r = insert_all_names(st, b);
	if (!r)
		r = insert_touch(st, COLUMNS_EDGES, &e, &n_edges, &st->s.stats.too_old);
	if (!r)
		r = clickhouse_put_rows(st, COLUMNS_EDGES, STORE_FINE, e, n_edges, NULL, NULL);
	if (!r)
		r = insert_touch(st, COLUMNS_EDGES, &e, &n_edges, &st->s.stats.too_old);
	if (!r)
		r = insert_touch(st, COLUMNS_PAIRS, &p, &n_pairs, &st->s.stats.too_old_pairs);
	if (!r)
		r = clickhouse_append_pairs(st, p, n_pairs);
	if (!r)
		r = insert_touch(st, COLUMNS_PAIRS, &p, &n_pairs, &st->s.stats.too_old_pairs);
	if (!r)
		r = clickhouse_put_ledgers(st, b);
	if (!r)
		r = clickhouse_put_hosts(st, b);
	if (r) {
		st->s.stats.too_old = before.too_old;
		st->s.stats.too_old_pairs = before.too_old_pairs;
		st->s.stats.folded = before.folded;
	} else if (n_edges && e[n_edges - 1]->interval > st->newest) {
		st->newest = e[n_edges - 1]->interval;
	}
	free(edges);
	free(pairs);
	return r;
}

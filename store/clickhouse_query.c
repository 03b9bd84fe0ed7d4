/* SPDX-License-Identifier: Apache-2.0 */
/* Questions: which tiers answer them, and rows summed by the server. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/clickhouse.h"

#define QUERY_LOOKUPS 5000 /* so many edges are named in a statement; of more all are read */

int clickhouse_ask(struct clickhouse_query *q, struct buf *sql, struct buf *ret)
{
	return clickhouse_http_post(q->http, true, sql, ret, NULL, q->q.error, sizeof(q->q.error));
}

/* --- sums */

void clickhouse_sums(const struct columns *c, struct buf *sql)
{
	buf_printf(sql,
		   "toUInt8(groupBitOr(observed)),toUInt8(groupBitOr(client_rungs)),toUInt8(groupBitOr(server_rungs)),"
		   "toUInt32(groupBitOr(flags)),max(via),sum(n)");
	for (unsigned i = 0; i < c->n; i++)
		if (c->v[i].hist)
			buf_printf(sql, ",arrayMap(x -> toUInt32(least(x,4294967295)),sumForEach(%s))", c->v[i].name);
		else
			buf_printf(sql, ",sum(%s)", c->v[i].name);
}

void clickhouse_add(const struct columns *c, struct clickhouse_rows *r, struct flow_edge *e, uint64_t *ret_n)
{
	e->observed |= clickhouse_uint(r, 1);
	e->client_rungs |= clickhouse_uint(r, 1);
	e->server_rungs |= clickhouse_uint(r, 1);
	e->flags |= (uint32_t)clickhouse_uint(r, 4);
	e->via = clickhouse_text(r);
	*ret_n = clickhouse_uint(r, 8);
	for (unsigned i = 0; i < c->n; i++) {
		struct flow_stats *s = &e->view[c->v[i].view];
		enum flow_field f = c->v[i].field;

		if (!c->v[i].hist) {
			*flow_stats_u64(s, f) += clickhouse_uint(r, 8);
			continue;
		}
		for (uint64_t n = clickhouse_count(r), k = 0; k < n; k++) {
			uint64_t v = clickhouse_uint(r, 4);
			uint32_t *h = &flow_stats_hist(s, f)[k];

			if (k < FLOW_BUCKETS)
				*h = v > UINT32_MAX - *h ? UINT32_MAX : *h + (uint32_t)v;
		}
	}
}

/* Passes over what clickhouse_add() reads. */
static void query_skip(const struct columns *c, struct clickhouse_rows *r)
{
	(void)clickhouse_uint(r, 3);
	(void)clickhouse_uint(r, 4);
	(void)clickhouse_text(r);
	(void)clickhouse_uint(r, 8);
	for (unsigned i = 0; i < c->n; i++)
		if (!c->v[i].hist)
			(void)clickhouse_uint(r, 8);
		else
			for (uint64_t n = clickhouse_count(r); n && !r->bad; n--)
				(void)clickhouse_uint(r, 4);
}

/* --- which tiers: marks and partitions as they are now */

static int query_begin(struct store_query *sq, uint32_t from, uint32_t to)
{
	struct clickhouse_query *q = (struct clickhouse_query *)sq;
	struct clickhouse_rows rows;
	struct buf sql, answer;
	int r;

	tiers_deinit(&q->tiers);
	buf_init(&sql, 0);
	buf_init(&answer, 0);
	/* A range may be widened to whole hours. */
	buf_printf(
		&sql,
		"SELECT toUInt8(0),kind,tier,bucket FROM (SELECT kind,tier,bucket,owner,argMax(dirty,at) AS d FROM marks "
		"WHERE bucket>=%u AND bucket<%llu GROUP BY kind,tier,bucket,owner) WHERE d=1 GROUP BY kind,tier,bucket "
		"UNION ALL SELECT toUInt8(1),kind,tier,min(start) FROM (SELECT kind,tier,start,max(gone) AS g FROM spans "
		"GROUP BY kind,tier,start) WHERE g=0 GROUP BY kind,tier FORMAT RowBinary",
		from > 7200 ? from - 7200 : 0, (unsigned long long)to + 7200);
	r = clickhouse_ask(q, &sql, &answer);
	rows = clickhouse_rows(&answer);
	while (!r && clickhouse_more(&rows)) {
		bool span = clickhouse_uint(&rows, 1);
		unsigned kind = (unsigned)clickhouse_uint(&rows, 1), tier = (unsigned)clickhouse_uint(&rows, 1);
		uint32_t at = (uint32_t)clickhouse_uint(&rows, 4);

		if (kind >= COLUMNS_KINDS || tier >= STORE_TIERS)
			continue;
		if (span)
			q->tiers.oldest[kind][tier] = at;
		else
			r = dirty_add(&q->tiers.dirty[kind][tier], at);
	}
	buf_deinit(&sql);
	buf_deinit(&answer);
	return r;
}

static void query_end(struct store_query *q)
{
}

static int query_cover(struct store_query *sq, enum columns_kind kind, uint32_t from, uint32_t to, uint32_t step,
		       struct cover *ret)
{
	struct clickhouse_query *q = (struct clickhouse_query *)sq;

	return cover_make(&q->tiers, &q->st->s.opts, kind, from, to, step, ret);
}

/* --- rows */

struct take {
	struct scan_row row;
	const struct columns *columns;
	struct clickhouse_rows sums; /* of the row in hand */
};

static void take_add(const struct scan_row *row, struct flow_edge *e)
{
	const struct take *x = (const struct take *)row;
	struct clickhouse_rows at = x->sums;
	uint64_t n;

	clickhouse_add(x->columns, &at, e, &n);
}

static int take_rows(struct clickhouse_query *q, const struct scan *s, const struct buf *answer, scan_fn *fn, void *arg)
{
	struct take x = {.row.add = take_add, .columns = &q->st->s.columns};
	struct clickhouse_rows rows = clickhouse_rows(answer);
	int r = 0;

	while (!r && clickhouse_more(&rows)) {
		x.row.key.id = clickhouse_uint(&rows, 8);
		if (s->kind == COLUMNS_PAIRS) {
			x.row.key.client = clickhouse_ip(&rows);
			x.row.key.server = clickhouse_ip(&rows);
			x.row.key.scope = clickhouse_text(&rows);
		}
		if (s->sort) {
			x.row.rank = clickhouse_float(&rows);
		} else {
			x.row.first = (uint32_t)clickhouse_uint(&rows, 4);
			x.row.last = (uint32_t)clickhouse_uint(&rows, 4);
			x.sums = rows;
			query_skip(x.columns, &rows);
		}
		if (rows.bad) {
			snprintf(q->q.error, sizeof(q->q.error), "ClickHouse's answer is cut short");
			return -EPROTO;
		}
		r = fn(arg, &x.row);
	}
	return r;
}

static void query_where(const struct scan *s, enum store_tier t, struct buf *sql)
{
	const char *sep = "";

	buf_printf(sql, " FROM %s FINAL WHERE (", clickhouse_rows_table(s->kind, t));
	for (size_t i = 0; i < s->cover->n; i++) {
		const struct segment *g = &s->cover->v[i];

		if (g->tier != t)
			continue;
		buf_printf(sql, "%s(start>=%u AND start<%u)", sep, g->from, g->to);
		sep = " OR ";
	}
	buf_char(sql, ')');
	if (s->kind == COLUMNS_PAIRS)
		buf_printf(sql, " AND gone=0");
	if (s->n_edges && s->n_edges <= QUERY_LOOKUPS) {
		for (size_t i = 0; i < s->n_edges; i++)
			buf_printf(sql, i ? ",%llu" : " AND edge IN (%llu", (unsigned long long)s->edges[i]);
		buf_char(sql, ')');
	}
}

static int query_tier(struct clickhouse_query *q, const struct scan *s, enum store_tier t, scan_fn *fn, void *arg)
{
	bool told = s->edges_told, pairs = s->kind == COLUMNS_PAIRS;
	const char *key = pairs ? "edge,client,server,scope" : told ? "toUInt64(0)" : "edge";
	struct buf sql, answer;
	int r;

	buf_init(&sql, 0);
	buf_init(&answer, 0);
	buf_printf(&sql, "SELECT %s,", key);
	if (s->sort) {
		buf_printf(&sql, "sum(toFloat64(");
		(void)columns_sum(&q->st->s.columns, COLUMNS_CLICKHOUSE, s->sort, &sql);
		buf_printf(&sql, "))");
	} else {
		buf_printf(&sql, "min(start),max(start),");
		clickhouse_sums(&q->st->s.columns, &sql);
	}
	query_where(s, t, &sql);
	if (!told)
		buf_printf(&sql, " GROUP BY %s", key);
	if (s->step)
		buf_printf(&sql, "%s intDiv(start,%u)", told ? " GROUP BY" : ",", s->step);
	buf_printf(&sql, " FORMAT RowBinary");
	r = clickhouse_ask(q, &sql, &answer);
	if (!r)
		r = take_rows(q, s, &answer, fn, arg);
	buf_deinit(&sql);
	buf_deinit(&answer);
	return r;
}

static int query_scan(struct store_query *sq, const struct scan *s, scan_fn *fn, void *arg)
{
	struct clickhouse_query *q = (struct clickhouse_query *)sq;
	int r = 0;

	for (unsigned t = 0; !r && t < STORE_TIERS; t++)
		if (s->cover->tiers & 1 << t)
			r = query_tier(q, s, t, fn, arg);
	return r;
}

static void query_close(struct store_query *sq)
{
	struct clickhouse_query *q = (struct clickhouse_query *)sq;

	clickhouse_http_free(q->http);
	tiers_deinit(&q->tiers);
	free(q);
}

int clickhouse_query_open(struct store_query **ret, struct store *s)
{
	static const struct store_query_ops ops = {
		.close = query_close,
		.begin = query_begin,
		.end = query_end,
		.cover = query_cover,
		.scan = query_scan,
		.names = clickhouse_names,
		.names_of = clickhouse_names_of,
		.service_known = clickhouse_service_known,
		.hosts = clickhouse_hosts,
		.listeners = clickhouse_listeners,
		.ledgers = clickhouse_ledgers,
		.counts = clickhouse_counts,
	};
	struct clickhouse *st = (struct clickhouse *)s;
	struct clickhouse_query *q = calloc(1, sizeof(*q));
	char why[200];
	int r;

	if (!q)
		return -ENOMEM;
	r = clickhouse_http_new(&q->http, st->url, why, sizeof(why));
	if (r) {
		free(q);
		return r;
	}
	q->q.ops = &ops;
	q->q.st = s;
	q->st = st;
	tiers_init(&q->tiers);
	*ret = &q->q;
	return 0;
}

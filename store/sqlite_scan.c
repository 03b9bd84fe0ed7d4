/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sqlite_scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SCAN_LOOKUPS 64 /* so many edges are looked up rather than found by walking all rows */

int scan_fail(struct sqlite_query *q, sqlite3 *db, int sqlite)
{
	int r = day_errno(db, sqlite);

	snprintf(q->q.error, sizeof(q->q.error), "reading the store: %s",
		 db ? sqlite3_errmsg(db) : sqlite3_errstr(sqlite));
	return r ? r : -EIO;
}

int scan_begin(struct store_query *sq, uint32_t from, uint32_t to)
{
	struct sqlite_query *q = (struct sqlite_query *)sq;
	unsigned generation;

	pthread_rwlock_rdlock(&q->st->files);
	pthread_mutex_lock(&q->st->lock);
	generation = q->st->generation;
	pthread_mutex_unlock(&q->st->lock);
	if (generation != q->generation)
		for (unsigned i = 0; i < DAY_OPEN; i++)
			day_close(&q->days[i]);
	q->generation = generation;
	return 0;
}

void scan_end(struct store_query *q)
{
	pthread_rwlock_unlock(&((struct sqlite_query *)q)->st->files);
}

static int scan_cover(struct store_query *sq, enum columns_kind kind, uint32_t from, uint32_t to, uint32_t step,
		      struct cover *ret)
{
	struct sqlite *st = ((struct sqlite_query *)sq)->st;
	int r;

	pthread_mutex_lock(&st->lock);
	r = cover_make(&st->tiers, &st->s.opts, kind, from, to, step, ret);
	pthread_mutex_unlock(&st->lock);
	return r;
}

int scan_main(struct sqlite_query *q, sqlite3 **ret)
{
	char file[4352];
	int r;

	if (!q->main) {
		snprintf(file, sizeof(file), "%s/skyfall.db", q->st->path);
		r = sqlite3_open_v2(file, &q->main, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
		if (r) {
			r = scan_fail(q, q->main, r);
			sqlite3_close_v2(q->main);
			q->main = NULL;
			return r;
		}
		sqlite3_extended_result_codes(q->main, 1);
		sqlite3_busy_timeout(q->main, 5000);
	}
	*ret = q->main;
	return 0;
}

/* NULL in ret: no such file, so no rows. */
static int scan_day(struct sqlite_query *q, const struct day_id *id, struct day **ret)
{
	struct day *oldest = &q->days[0];
	int r;

	*ret = NULL;
	for (unsigned i = 0; i < DAY_OPEN; i++) {
		struct day *d = &q->days[i];

		if (d->db && !memcmp(&d->id, id, sizeof(*id))) {
			d->used = ++q->clock;
			*ret = d;
			return 0;
		}
		if (d->used < oldest->used)
			oldest = d;
	}
	day_close(oldest);
	r = day_open_read(q->st->path, id, oldest);
	if (r == SQLITE_CANTOPEN)
		return 0;
	if (r)
		return scan_fail(q, NULL, r);
	oldest->used = ++q->clock;
	*ret = oldest;
	return 0;
}

struct scan_files {
	struct sqlite_query *q;
	enum columns_kind kind;
	const uint64_t *edges;
	size_t n_edges;
	int (*fn)(void *arg, sqlite3_stmt *st);
	void *arg;
};

/* Steps through a bound statement. */
static int scan_steps(struct scan_files *x, sqlite3 *db, sqlite3_stmt *st)
{
	int r, stop = 0;

	while ((r = sqlite3_step(st)) == SQLITE_ROW && !stop)
		stop = x->fn(x->arg, st);
	if (stop)
		r = stop;
	else
		r = r == SQLITE_DONE ? 0 : scan_fail(x->q, db, r);
	sqlite3_reset(st);
	return r;
}

static int scan_all(struct scan_files *x, struct day *d, struct buf *sql, uint32_t from, uint32_t to)
{
	sqlite3_stmt *st;
	int r;

	buf_printf(sql, " WHERE interval>=? AND interval<?");
	r = sqlite3_prepare_v2(d->db, buf_text(sql), -1, &st, NULL);
	if (r)
		return scan_fail(x->q, d->db, r);
	sqlite3_bind_int64(st, 1, from);
	sqlite3_bind_int64(st, 2, to);
	r = scan_steps(x, d->db, st);
	sqlite3_finalize(st);
	return r;
}

/* The key begins with the interval: hop from one to the next, in each look for the edges. */
static int scan_lookup(struct scan_files *x, struct day *d, struct buf *sql, uint32_t from, uint32_t to)
{
	sqlite3_stmt *st = NULL, *hop = NULL;
	char text[128];
	int r;

	snprintf(text, sizeof(text), "SELECT min(interval) FROM %s WHERE interval>=? AND interval<?",
		 columns_table(x->kind));
	buf_printf(sql, " WHERE interval=? AND edge=?");
	r = sqlite3_prepare_v2(d->db, buf_text(sql), -1, &st, NULL);
	if (!r)
		r = sqlite3_prepare_v2(d->db, text, -1, &hop, NULL);
	if (r)
		r = scan_fail(x->q, d->db, r);
	while (!r && from < to) {
		sqlite3_bind_int64(hop, 1, from);
		sqlite3_bind_int64(hop, 2, to);
		r = sqlite3_step(hop);
		if (r != SQLITE_ROW) {
			r = scan_fail(x->q, d->db, r);
			break;
		}
		r = 0;
		if (sqlite3_column_type(hop, 0) == SQLITE_NULL)
			break;
		from = (uint32_t)sqlite3_column_int64(hop, 0);
		sqlite3_reset(hop);
		for (size_t i = 0; !r && i < x->n_edges; i++) {
			sqlite3_bind_int64(st, 1, from);
			sqlite3_bind_int64(st, 2, (sqlite3_int64)x->edges[i]);
			r = scan_steps(x, d->db, st);
		}
		from++;
	}
	sqlite3_finalize(st);
	sqlite3_finalize(hop);
	return r;
}

static int scan_file(struct scan_files *x, const struct segment *s, uint32_t day, const char *columns)
{
	uint32_t start = day * DAY_SECONDS, from = s->from > start ? s->from : start;
	uint32_t to = s->to < start + DAY_SECONDS ? s->to : start + DAY_SECONDS;
	struct day_id id;
	struct day *d;
	struct buf sql;
	int r;

	memset(&id, 0, sizeof(id));
	id.kind = x->kind;
	id.tier = s->tier;
	id.day = day;
	r = scan_day(x->q, &id, &d);
	if (r || !d)
		return r;
	buf_init(&sql, 0);
	if (columns) {
		buf_printf(&sql, "SELECT %s FROM %s", columns, columns_table(x->kind));
	} else {
		r = columns_select(&x->q->st->s.columns, x->kind, d->db, &sql);
		if (r)
			r = scan_fail(x->q, d->db, r);
	}
	if (!r)
		r = x->n_edges && x->n_edges <= SCAN_LOOKUPS ? scan_lookup(x, d, &sql, from, to)
							     : scan_all(x, d, &sql, from, to);
	buf_deinit(&sql);
	return r;
}

int scan_rows(struct sqlite_query *q, enum columns_kind kind, const struct cover *c, const char *columns,
	      const uint64_t *edges, size_t n_edges, int (*fn)(void *arg, sqlite3_stmt *st), void *arg)
{
	struct scan_files x = {q, kind, edges, n_edges, fn, arg};
	int r = 0;

	for (size_t i = 0; !r && i < c->n; i++) {
		const struct segment *s = &c->v[i];
		uint32_t day = s->from / DAY_SECONDS, oldest;

		pthread_mutex_lock(&q->st->lock);
		oldest = q->st->tiers.oldest[kind][s->tier];
		pthread_mutex_unlock(&q->st->lock);
		/* A range from 1970 must not try every day. */
		if (day < oldest / DAY_SECONDS)
			day = oldest / DAY_SECONDS;
		for (; !r && (uint64_t)day * DAY_SECONDS < s->to; day++)
			r = scan_file(&x, s, day, columns);
	}
	return r;
}

/* --- a statement's row as the questions want it */

struct scan_take {
	struct scan_row row;
	sqlite3_stmt *st;
	const struct columns *columns;
	enum columns_kind kind;
	bool ranked;
	scan_fn *fn;
	void *arg;
};

static struct ip scan_ip(sqlite3_stmt *st, int i)
{
	struct ip ip = {0};

	if (sqlite3_column_bytes(st, i) == sizeof(ip.b))
		memcpy(ip.b, sqlite3_column_blob(st, i), sizeof(ip.b));
	return ip;
}

static void scan_add(const struct scan_row *row, struct flow_edge *e)
{
	const struct scan_take *x = (const struct scan_take *)row;

	columns_read(x->columns, x->kind, x->st, e);
}

/* Ranked: rank, edge, then the addresses. Else: interval, edge, revision, then the addresses. */
static int scan_take_row(void *arg, sqlite3_stmt *st)
{
	struct scan_take *x = arg;
	int at = x->ranked ? 2 : 3;

	x->st = st;
	x->row.key.id = (uint64_t)sqlite3_column_int64(st, 1);
	if (x->kind == COLUMNS_PAIRS) {
		x->row.key.client = scan_ip(st, at);
		x->row.key.server = scan_ip(st, at + 1);
		x->row.key.scope = (struct str){(const char *)sqlite3_column_text(st, at + 2),
						(size_t)sqlite3_column_bytes(st, at + 2)};
	}
	if (x->ranked)
		x->row.rank = (double)sqlite3_column_int64(st, 0);
	else
		x->row.first = x->row.last = (uint32_t)sqlite3_column_int64(st, 0);
	return x->fn(x->arg, &x->row);
}

static int scan_scan(struct store_query *sq, const struct scan *s, scan_fn *fn, void *arg)
{
	struct sqlite_query *q = (struct sqlite_query *)sq;
	struct scan_take x = {.row.add = scan_add,
			      .columns = &q->st->s.columns,
			      .kind = s->kind,
			      .ranked = s->sort != NULL,
			      .fn = fn,
			      .arg = arg};
	struct buf sql;
	int r;

	buf_init(&sql, 0);
	if (s->sort) {
		(void)columns_sum(&q->st->s.columns, COLUMNS_SQLITE, s->sort, &sql);
		buf_printf(&sql, s->kind == COLUMNS_PAIRS ? ",edge,client,server,scope" : ",edge");
	}
	r = scan_rows(q, s->kind, s->cover, s->sort ? buf_text(&sql) : NULL, s->edges, s->n_edges, scan_take_row, &x);
	buf_deinit(&sql);
	return r;
}

static void scan_close(struct store_query *sq)
{
	struct sqlite_query *q = (struct sqlite_query *)sq;

	for (unsigned i = 0; i < DAY_OPEN; i++)
		day_close(&q->days[i]);
	sqlite3_finalize(q->one);
	sqlite3_close_v2(q->main);
	free(q);
}

int sqlite_query_open(struct store_query **ret, struct store *st)
{
	static const struct store_query_ops ops = {
		.close = scan_close,
		.begin = scan_begin,
		.end = scan_end,
		.cover = scan_cover,
		.scan = scan_scan,
		.names = sqlite_names,
		.names_of = sqlite_names_of,
		.service_known = sqlite_service_known,
		.hosts = sqlite_hosts,
		.listeners = sqlite_listeners,
		.ledgers = sqlite_ledgers,
		.counts = sqlite_counts,
	};
	struct sqlite_query *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->q.ops = &ops;
	q->q.st = st;
	q->st = (struct sqlite *)st;
	*ret = &q->q;
	return 0;
}

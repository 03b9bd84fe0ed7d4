/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a batch (see sqlite.c, invariants 1 to 4). */
#include <errno.h>
#include <stdlib.h>

#include "store/catalog.h"
#include "store/marks.h"

static int append_order(const void *a, const void *b)
{
	const struct flow_edge *x = *(const struct flow_edge *const *)a, *y = *(const struct flow_edge *const *)b;

	if (x->interval != y->interval)
		return x->interval < y->interval ? -1 : 1;
	return x->id != y->id ? ((int64_t)x->id < (int64_t)y->id ? -1 : 1) : 0;
}

/* The rows in the order of the key: what lies side by side in the file is written side by side. */
static const struct flow_edge **append_sort(const struct flow_edge *rows, size_t n)
{
	const struct flow_edge **v = malloc((n + !n) * sizeof(*v));

	if (!v)
		return NULL;
	for (size_t i = 0; i < n; i++)
		v[i] = &rows[i];
	qsort(v, n, sizeof(*v), append_order);
	return v;
}

static int append_names(struct sqlite *st, const struct flow_edge *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t day = rows[i].interval / DAY_SECONDS;
		int r;

		if (dict_known(st->dict, rows[i].id, day))
			continue;
		r = sqlite_main_begin(st);
		if (r)
			return r;
		r = dict_put(st->dict, &rows[i], day);
		if (r)
			return sqlite_fail(st, st->main, r, "writing names");
	}
	return 0;
}

static int append_commit_days(struct sqlite *st)
{
	int r = 0;

	for (unsigned i = 0; !r && i < DAY_OPEN; i++)
		if (st->days[i].in_tx)
			r = sqlite_commit(st, &st->days[i]);
	return r;
}

static uint64_t append_rows(const struct flow_edge *e)
{
	uint64_t n = 0;

	for (unsigned v = 0; v < FLOW_VIEWS; v++)
		n += e->view[v].rows;
	return n;
}

/* The day file of an interval, in a transaction. ret NULL: the day was removed by age. */
static int append_day(struct sqlite *st, enum columns_kind kind, uint32_t interval, struct day **ret)
{
	uint32_t day = interval / DAY_SECONDS;
	int r;

	*ret = NULL;
	if (day < st->floor[kind][STORE_FINE])
		return 0;
	r = sqlite_day(st, kind, STORE_FINE, day, ret);
	/* More days in one batch than files may be open: what is written so far is committed early (invariant 3). */
	if (r == -E2BIG) {
		r = append_commit_days(st);
		if (!r)
			r = sqlite_day(st, kind, STORE_FINE, day, ret);
	}
	return r ? r : sqlite_begin(st, *ret);
}

static int append_row(struct sqlite *st, struct day *d, const struct flow_edge *e, bool *ret_new)
{
	int r;

	columns_bind(&st->s.columns, d->id.kind, d->insert, e);
	r = sqlite3_step(d->insert);
	sqlite3_reset(d->insert);
	if (r != SQLITE_DONE)
		return sqlite_fail(st, d->db, r, "storing rows");
	*ret_new = sqlite3_changes(d->db) != 0;
	if (!*ret_new) {
		st->s.stats.duplicates++;
		return 0;
	}
	return marks_add(st, d, e->interval);
}

static int append_edges(struct sqlite *st, const struct flow_edge *const *v, size_t n)
{
	struct day *d = NULL;
	int r = 0;

	for (size_t i = 0; !r && i < n; i++) {
		bool is_new;

		if (!i || !d || v[i]->interval / DAY_SECONDS != d->id.day)
			r = append_day(st, COLUMNS_EDGES, v[i]->interval, &d);
		if (r)
			break;
		if (d)
			r = append_row(st, d, v[i], &is_new);
		else
			st->s.stats.too_old += append_rows(v[i]);
	}
	return r;
}

/* --- pairs: a cap per (interval, edge) */

struct fold {
	struct sqlite *st;
	struct day *d;
	const struct flow_edge *first; /* of the group in hand */
	unsigned kept;                 /* rows of it in the file */
	struct flow_edge other;        /* what this batch adds to `other` */
	bool any;
};

static int fold_prepare(struct fold *x, const char *sql, const struct flow_edge *e, sqlite3_stmt **ret)
{
	int r = sqlite3_prepare_v2(x->d->db, sql, -1, ret, NULL);

	if (r)
		return sqlite_fail(x->st, x->d->db, r, "storing pairs");
	sqlite3_bind_int64(*ret, 1, e->interval);
	sqlite3_bind_int64(*ret, 2, (sqlite3_int64)e->id);
	return 0;
}

static int fold_begin(struct fold *x, const struct flow_edge *e)
{
	sqlite3_stmt *q;
	int r;

	x->first = e;
	r = fold_prepare(x,
			 "SELECT count(*) FROM pairs WHERE interval=? AND edge=? AND NOT(client=zeroblob(16) AND "
			 "server=zeroblob(16))",
			 e, &q);
	if (r)
		return r;
	r = sqlite3_step(q);
	x->kept = (unsigned)sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	return r == SQLITE_ROW ? 0 : sqlite_fail(x->st, x->d->db, r, "storing pairs");
}

static void fold_bind_key(sqlite3_stmt *q, const struct flow_edge *e)
{
	sqlite3_bind_blob(q, 3, e->client.b, 16, SQLITE_STATIC);
	sqlite3_bind_blob(q, 4, e->server.b, 16, SQLITE_STATIC);
	sqlite3_bind_text(q, 5, e->scope.n ? e->scope.p : "", (int)e->scope.n, SQLITE_STATIC);
	sqlite3_bind_int64(q, 6, (sqlite3_int64)e->revision);
}

/* The cap is reached: is this one among the kept? */
static int fold_known(struct fold *x, const struct flow_edge *e, bool *ret)
{
	sqlite3_stmt *q;
	int r;

	r = fold_prepare(x,
			 "SELECT 1 FROM pairs WHERE interval=? AND edge=? AND client=? AND server=? AND scope=? AND "
			 "revision=?",
			 e, &q);
	if (r)
		return r;
	fold_bind_key(q, e);
	r = sqlite3_step(q);
	sqlite3_finalize(q);
	*ret = r == SQLITE_ROW;
	return r == SQLITE_ROW || r == SQLITE_DONE ? 0 : sqlite_fail(x->st, x->d->db, r, "storing pairs");
}

static int fold_add(struct fold *x, const struct flow_edge *e)
{
	sqlite3_stmt *q;
	int r;

	r = sqlite3_exec(
		x->d->db,
		"CREATE TABLE IF NOT EXISTS folded(interval INTEGER,edge INTEGER,client BLOB,server BLOB,scope TEXT,"
		"revision INTEGER,PRIMARY KEY(interval,edge,client,server,scope,revision)) WITHOUT ROWID",
		NULL, NULL, NULL);
	if (r)
		return sqlite_fail(x->st, x->d->db, r, "storing pairs");
	r = fold_prepare(x, "INSERT OR IGNORE INTO folded VALUES(?,?,?,?,?,?)", e, &q);
	if (r)
		return r;
	fold_bind_key(q, e);
	r = sqlite3_step(q);
	sqlite3_finalize(q);
	if (r != SQLITE_DONE)
		return sqlite_fail(x->st, x->d->db, r, "storing pairs");
	if (!sqlite3_changes(x->d->db)) {
		x->st->s.stats.duplicates++;
		return 0;
	}
	if (!x->any)
		x->other = (struct flow_edge){.interval = e->interval, .interval_s = e->interval_s, .id = e->id};
	x->any = true;
	x->st->s.stats.folded++;
	x->other.observed |= e->observed;
	x->other.client_rungs |= e->client_rungs;
	x->other.server_rungs |= e->server_rungs;
	x->other.flags |= e->flags;
	for (unsigned v = 0; v < FLOW_VIEWS; v++)
		flow_stats_add(&x->other.view[v], &e->view[v]);
	return 0;
}

/* The group is over: its `other` row becomes the former one plus what came. */
static int fold_end(struct fold *x)
{
	struct buf sql;
	sqlite3_stmt *q = NULL;
	int r;

	if (!x->any)
		return 0;
	x->any = false;
	buf_init(&sql, 0);
	r = columns_select(&x->st->s.columns, COLUMNS_PAIRS, x->d->db, &sql);
	buf_printf(&sql, " WHERE interval=? AND edge=? AND client=zeroblob(16) AND server=zeroblob(16)");
	if (!r)
		r = fold_prepare(x, buf_text(&sql), &x->other, &q);
	if (r)
		goto out;
	while ((r = sqlite3_step(q)) == SQLITE_ROW)
		columns_read(&x->st->s.columns, COLUMNS_PAIRS, q, &x->other);
	sqlite3_finalize(q);
	/* Half read, it must not replace the former one. */
	if (r != SQLITE_DONE) {
		r = sqlite_fail(x->st, x->d->db, r, "storing pairs");
		goto out;
	}
	x->other.scope = x->other.via = (struct str){0};
	x->other.revision = 0;
	buf_clear(&sql);
	columns_insert(&x->st->s.columns, COLUMNS_PAIRS, "REPLACE", &sql);
	r = fold_prepare(x, buf_text(&sql), &x->other, &q);
	if (r)
		goto out;
	columns_bind(&x->st->s.columns, COLUMNS_PAIRS, q, &x->other);
	r = sqlite3_step(q);
	sqlite3_finalize(q);
	r = r == SQLITE_DONE ? marks_add(x->st, x->d, x->other.interval)
			     : sqlite_fail(x->st, x->d->db, r, "storing pairs");
out:
	buf_deinit(&sql);
	return r;
}

static int append_pair(struct fold *x, const struct flow_edge *e)
{
	bool known = false, is_new = false;
	int r = 0;

	if (x->kept >= x->st->s.opts.pairs_per_edge) {
		r = fold_known(x, e, &known);
		if (!r && !known)
			return fold_add(x, e);
	}
	if (!r)
		r = append_row(x->st, x->d, e, &is_new);
	x->kept += is_new;
	return r;
}

static int append_pairs(struct sqlite *st, const struct flow_edge *const *v, size_t n)
{
	struct fold x = {.st = st};
	int r = 0;

	for (size_t i = 0; !r && i < n; i++) {
		if (!i || append_order(&v[i - 1], &v[i])) {
			r = fold_end(&x);
			if (!r)
				r = append_day(st, COLUMNS_PAIRS, v[i]->interval, &x.d);
			if (!r && x.d)
				r = fold_begin(&x, v[i]);
		}
		if (!r && x.d)
			r = append_pair(&x, v[i]);
		else if (!r)
			st->s.stats.too_old_pairs += append_rows(v[i]);
	}
	return r ? r : fold_end(&x);
}

static int append_ledgers(struct sqlite *st, const struct store_batch *b)
{
	int r = 0;

	for (size_t i = 0; !r && i < b->n_ledgers; i++) {
		struct day *d;

		r = append_day(st, COLUMNS_LEDGER, b->ledgers[i].interval, &d);
		if (!r && d)
			r = catalog_put_ledger(st, d, &b->ledgers[i]);
	}
	return r;
}

static int append_hosts(struct sqlite *st, const struct store_batch *b)
{
	int r = 0;

	if (b->n_hosts + b->n_listeners)
		r = sqlite_main_begin(st);
	for (size_t i = 0; !r && i < b->n_hosts; i++)
		r = catalog_put_host(st, &b->hosts[i]);
	for (size_t i = 0; !r && i < b->n_listeners; i++)
		r = catalog_put_listener(st, &b->listeners[i]);
	return r ? r : sqlite_main_commit(st);
}

static void append_newest(struct sqlite *st, const struct store_batch *b)
{
	pthread_mutex_lock(&st->lock);
	for (size_t i = 0; i < b->n_edges; i++)
		if (b->edges[i].interval > st->newest)
			st->newest = b->edges[i].interval;
	pthread_mutex_unlock(&st->lock);
}

int sqlite_append(struct store *s, const struct store_batch *b)
{
	struct sqlite *st = (struct sqlite *)s;
	const struct flow_edge **edges = append_sort(b->edges, b->n_edges), **pairs = append_sort(b->pairs, b->n_pairs);
	struct store_stats before = st->s.stats;
	int r = -ENOMEM;

	if (!edges || !pairs)
		goto out;
	r = append_names(st, b->edges, b->n_edges);
	if (!r)
		r = append_names(st, b->pairs, b->n_pairs);
	if (!r)
		r = sqlite_main_commit(st);
	if (!r && dict_commit(st->dict))
		r = -ENOMEM;
	if (!r)
		r = append_edges(st, edges, b->n_edges);
	if (!r)
		r = append_pairs(st, pairs, b->n_pairs);
	if (!r)
		r = append_ledgers(st, b);
	if (!r)
		r = append_commit_days(st);
	if (!r)
		r = append_hosts(st, b);
	if (!r)
		append_newest(st, b);
out:
	if (r) {
		sqlite_rollback(st);
		st->s.stats = before;
	}
	free(edges);
	free(pairs);
	return r;
}

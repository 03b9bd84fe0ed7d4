/* SPDX-License-Identifier: Apache-2.0 */
/* One roll-up: a bucket read from the file below in the order of its keys, summed, written to the file above. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/query.h"
#include "store/marks.h"

struct roll {
	struct sqlite *st;
	enum columns_kind kind;
	struct day *to;
	uint32_t bucket;
	uint16_t length;
	char *texts; /* scope and via of rows in hand: ROLL_TEXT bytes each */
	/* Pairs of the edge in hand, at most pairs_per_edge; [cap] is `other`. Edges: just [0]. */
	struct flow_edge *rows;
	size_t n, cap;
	bool other;
};

#define ROLL_TEXT 512 /* scope, via: each at most 255 bytes */

static void roll_keep_texts(struct roll *x, size_t i)
{
	struct flow_edge *e = &x->rows[i];
	char *p = x->texts + i * ROLL_TEXT;
	size_t scope = e->scope.n < 255 ? e->scope.n : 255, via = e->via.n < 255 ? e->via.n : 255;

	if (scope)
		memmove(p, e->scope.p, scope);
	if (via)
		memmove(p + 256, e->via.p, via);
	e->scope = (struct str){p, scope};
	e->via = (struct str){p + 256, via};
}

static void roll_add(struct flow_edge *a, const struct flow_edge *b)
{
	a->observed |= b->observed;
	a->client_rungs |= b->client_rungs;
	a->server_rungs |= b->server_rungs;
	a->flags |= b->flags;
	for (unsigned v = 0; v < FLOW_VIEWS; v++)
		flow_stats_add(&a->view[v], &b->view[v]);
}

static uint64_t roll_weight(const struct flow_edge *e)
{
	return store_best(e, FLOW_F_tx_bytes, true) + store_best(e, FLOW_F_tx_bytes, false);
}

static int roll_put(struct roll *x, struct flow_edge *e)
{
	int r;

	e->interval = x->bucket;
	e->interval_s = x->length;
	e->revision = 0;
	columns_bind(&x->st->s.columns, x->kind, x->to->insert, e);
	r = sqlite3_step(x->to->insert);
	sqlite3_reset(x->to->insert);
	return r == SQLITE_DONE ? 0 : sqlite_fail(x->st, x->to->db, r, "writing a roll-up");
}

/* Writes the edge in hand. */
static int roll_flush(struct roll *x)
{
	int r = 0;

	for (size_t i = 0; !r && i < x->n; i++)
		r = roll_put(x, &x->rows[i]);
	if (!r && x->other)
		r = roll_put(x, &x->rows[x->cap]);
	x->n = 0;
	x->other = false;
	return r;
}

static void roll_to_other(struct roll *x, const struct flow_edge *e)
{
	struct flow_edge *o = &x->rows[x->cap];

	if (!x->other) {
		*o = (struct flow_edge){.id = e->id};
		roll_keep_texts(x, x->cap);
	}
	x->other = true;
	roll_add(o, e);
}

/* The newest row of the edge is whole (another key begins, or the edge ends): it stays, or joins `other`. */
static void roll_settle(struct roll *x)
{
	struct flow_edge *last;
	size_t least = 0;

	if (x->kind != COLUMNS_PAIRS || !x->n)
		return;
	last = &x->rows[x->n - 1];
	if (ip_is_zero(&last->client) && ip_is_zero(&last->server)) {
		roll_to_other(x, last);
		x->n--;
		return;
	}
	if (x->n < x->cap)
		return;
	/* rows[] has one place more than may stay. */
	for (size_t i = 1; i < x->n; i++)
		if (roll_weight(&x->rows[i]) < roll_weight(&x->rows[least]))
			least = i;
	roll_to_other(x, &x->rows[least]);
	x->rows[least] = *last;
	roll_keep_texts(x, least);
	x->n--;
}

static int roll_row(struct roll *x, sqlite3_stmt *from)
{
	uint64_t edge = (uint64_t)sqlite3_column_int64(from, 1);
	struct flow_edge *e = x->n ? &x->rows[x->n - 1] : NULL;
	struct flow_edge key = {0};
	bool same;
	int r;

	if ((x->n || x->other) && (e ? e->id : x->rows[x->cap].id) != edge) {
		if (x->n)
			roll_settle(x);
		r = roll_flush(x);
		if (r)
			return r;
		e = NULL;
	}
	columns_read(&x->st->s.columns, x->kind, from, &key);
	same = e && (x->kind == COLUMNS_EDGES ||
		     (ip_eq(&e->client, &key.client) && ip_eq(&e->server, &key.server) && str_eq(e->scope, key.scope)));
	if (same) {
		roll_add(e, &key);
		return 0;
	}
	if (e)
		roll_settle(x);
	x->rows[x->n] = key;
	roll_keep_texts(x, x->n++);
	return 0;
}

static int roll_read(struct roll *x, struct day *from)
{
	sqlite3_stmt *q = NULL;
	struct buf sql;
	int r;

	buf_init(&sql, 0);
	r = columns_select(&x->st->s.columns, x->kind, from->db, &sql);
	buf_printf(&sql, " WHERE interval>=? AND interval<? ORDER BY %s",
		   x->kind == COLUMNS_PAIRS ? "edge,client,server,scope" : "edge");
	if (!r)
		r = sqlite3_prepare_v2(from->db, buf_text(&sql), -1, &q, NULL);
	buf_deinit(&sql);
	if (r)
		return sqlite_fail(x->st, from->db, r, "reading for a roll-up");
	sqlite3_bind_int64(q, 1, x->bucket);
	sqlite3_bind_int64(q, 2, (sqlite3_int64)x->bucket + x->length);
	while ((r = sqlite3_step(q)) == SQLITE_ROW) {
		r = roll_row(x, q);
		if (r)
			goto out;
	}
	if (r != SQLITE_DONE) {
		r = sqlite_fail(x->st, from->db, r, "reading for a roll-up");
		goto out;
	}
	if (x->n)
		roll_settle(x);
	r = roll_flush(x);
out:
	sqlite3_finalize(q);
	return r;
}

static int roll_exec(struct sqlite *st, struct day *d, const char *fmt, const char *table, uint32_t bucket)
{
	char sql[128];
	int r;

	snprintf(sql, sizeof(sql), fmt, table, bucket);
	r = sqlite3_exec(d->db, sql, NULL, NULL, NULL);
	return r ? sqlite_fail(st, d->db, r, "rolling up") : 0;
}

static int roll_bucket(struct sqlite *st, enum columns_kind kind, enum store_tier below, uint32_t bucket)
{
	enum store_tier above = tiers_above(&st->s.opts, kind, below);
	struct roll x = {
		.st = st, .kind = kind, .bucket = bucket, .length = (uint16_t)tiers_length(&st->s.opts, above)};
	struct day *from;
	int r = -ENOMEM;

	/* Room for the kept, one more in hand, and `other`. */
	x.cap = kind == COLUMNS_PAIRS ? st->s.opts.pairs_per_edge + 1 : 1;
	x.rows = malloc((x.cap + 1) * sizeof(*x.rows));
	x.texts = calloc(x.cap + 1, ROLL_TEXT);
	if (!x.rows || !x.texts)
		goto out;
	r = sqlite_day(st, kind, below, bucket / DAY_SECONDS, &from);
	if (!r)
		r = sqlite_day(st, kind, above, bucket / DAY_SECONDS, &x.to);
	if (!r)
		r = sqlite_begin(st, x.to);
	if (!r)
		r = roll_exec(st, x.to, "DELETE FROM %s WHERE interval=%u", columns_table(kind), bucket);
	if (!r)
		r = roll_read(&x, from);
	if (!r)
		r = marks_add(st, x.to, bucket);
	if (!r)
		r = sqlite_commit(st, x.to);
	if (!r)
		r = roll_exec(st, from, "DELETE FROM %s WHERE bucket=%u", "dirty", bucket);
	if (r) {
		sqlite_rollback(st);
		goto out;
	}
	pthread_mutex_lock(&st->lock);
	dirty_del(&st->tiers.dirty[kind][below], bucket);
	pthread_mutex_unlock(&st->lock);
	st->s.stats.rolled++;
out:
	free(x.rows);
	free(x.texts);
	return r;
}

int sqlite_roll(struct sqlite *st, uint32_t now_s)
{
	/* Rows of a bucket's end are on their way for about two intervals. */
	uint32_t slack = 2u * st->s.opts.interval_s > 5 ? 2u * st->s.opts.interval_s : 5;

	for (unsigned k = 0; k < COLUMNS_LEDGER; k++)
		for (unsigned t = 0; t < STORE_TIERS; t++) {
			enum store_tier above = tiers_above(&st->s.opts, k, t);
			const struct dirty *d = &st->tiers.dirty[k][t];

			/* Oldest first; only this thread changes the list. */
			if (d->n && above < STORE_TIERS &&
			    (uint64_t)d->v[0] + tiers_length(&st->s.opts, above) + slack <= now_s) {
				int r = roll_bucket(st, k, t, d->v[0]);

				return r ? r : 1;
			}
		}
	return 0;
}

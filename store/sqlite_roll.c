/* SPDX-License-Identifier: Apache-2.0 */
/* A bucket read from the file below in the order of its keys, summed, written to the file above. */
#include "store/roll.h"

#include <errno.h>
#include <stdio.h>

#include "store/marks.h"

struct roll_days {
	struct roll roll;
	struct sqlite *st;
	struct day *to;
};

static int roll_put(void *arg, const struct flow_edge *e)
{
	struct roll_days *x = arg;
	int r;

	columns_bind(&x->st->s.columns, x->roll.kind, x->to->insert, e);
	r = sqlite3_step(x->to->insert);
	sqlite3_reset(x->to->insert);
	return r == SQLITE_DONE ? 0 : sqlite_fail(x->st, x->to->db, r, "writing a roll-up");
}

static int roll_read(struct roll_days *x, struct day *from)
{
	enum columns_kind kind = x->roll.kind;
	sqlite3_stmt *q = NULL;
	struct buf sql;
	int r;

	buf_init(&sql, 0);
	r = columns_select(&x->st->s.columns, kind, from->db, &sql);
	buf_printf(&sql, " WHERE interval>=? AND interval<? ORDER BY %s",
		   kind == COLUMNS_PAIRS ? "edge,client,server,scope" : "edge");
	if (!r)
		r = sqlite3_prepare_v2(from->db, buf_text(&sql), -1, &q, NULL);
	buf_deinit(&sql);
	if (r)
		return sqlite_fail(x->st, from->db, r, "reading for a roll-up");
	sqlite3_bind_int64(q, 1, x->roll.bucket);
	sqlite3_bind_int64(q, 2, (sqlite3_int64)x->roll.bucket + x->roll.length);
	while ((r = sqlite3_step(q)) == SQLITE_ROW) {
		struct flow_edge e = {0};

		columns_read(&x->st->s.columns, kind, q, &e);
		r = roll_row(&x->roll, &e);
		if (r)
			goto out;
	}
	if (r != SQLITE_DONE) {
		r = sqlite_fail(x->st, from->db, r, "reading for a roll-up");
		goto out;
	}
	r = roll_end(&x->roll);
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
	struct roll_days x = {.roll = {.kind = kind,
				       .bucket = bucket,
				       .length = (uint16_t)tiers_length(&st->s.opts, above),
				       .put = roll_put,
				       .arg = &x},
			      .st = st};
	struct day *from;
	int r = roll_init(&x.roll, st->s.opts.pairs_per_edge);

	if (r)
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
	roll_deinit(&x.roll);
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

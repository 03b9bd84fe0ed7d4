/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roll-ups and retention.
 *
 *     rows come in -> mark (kind, tier, bucket of the tier above, owner) dirty, the rows, of a bucket that ended the mark again
 *     roll-up      -> mark of the tier above, INSERT ... SELECT of the whole bucket, then every mark seen before: clean
 *
 * 1. A bucket above is complete and current when no mark below it is dirty: each is written before its rows, for a crash, and
 *    behind them, for another process that makes the bucket between the two. It is cleaned only in the version that was read
 *    before the rows were summed: a mark renewed meanwhile has a larger version and stays.
 * 2. n is the number of the finest rows in a sum: of two sums of a bucket the more complete one stays, whoever wrote it.
 * 3. Of several processes the one with the least number among a bucket's marks makes it. When it does not (it died), any
 *    other does a minute later. Made twice it is the same.
 * 4. Retention drops partitions and notes them as gone: never begun again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/clickhouse.h"
#include "store/spool.h"

#define ROLL_TOGETHER 30  /* buckets of edges made by one statement, when there is much to make up for */
#define ROLL_PATIENCE 60u /* s: a bucket of somebody else's waits so much longer */

uint32_t clickhouse_span(enum columns_kind kind, enum store_tier t)
{
	return kind != COLUMNS_LEDGER && t == STORE_FINE ? 3600 : CLICKHOUSE_DAY;
}

static int marks_load(struct clickhouse *st)
{
	struct clickhouse_rows rows;
	struct buf sql, answer;
	size_t n = 0, cap;
	int r;

	buf_init(&sql, 0);
	buf_init(&answer, 0);
	buf_printf(
		&sql,
		"SELECT kind,tier,bucket,min(owner),max(owner=%llu) FROM (SELECT kind,tier,bucket,owner,argMax(dirty,at) AS d "
		"FROM marks GROUP BY kind,tier,bucket,owner) WHERE d=1 GROUP BY kind,tier,bucket ORDER BY bucket,tier "
		"FORMAT RowBinary",
		(unsigned long long)st->owner);
	r = clickhouse_do(st, &sql, &answer, "reading what must be rolled up");
	cap = answer.n / 15;
	if (!r) {
		struct clickhouse_mark *v = realloc(st->marks, (cap + 1) * sizeof(*v));

		r = v ? 0 : -ENOMEM;
		if (v)
			st->marks = v;
	}
	rows = clickhouse_rows(&answer);
	while (!r && clickhouse_more(&rows)) {
		struct clickhouse_mark *m = &st->marks[n];

		m->kind = (uint8_t)clickhouse_uint(&rows, 1);
		m->tier = (uint8_t)clickhouse_uint(&rows, 1);
		m->bucket = (uint32_t)clickhouse_uint(&rows, 4);
		m->leader = clickhouse_uint(&rows, 8);
		m->own = (uint8_t)clickhouse_uint(&rows, 1);
		n += m->kind < COLUMNS_LEDGER && m->tier < STORE_1H;
	}
	if (!r)
		st->n_marks = n;
	buf_deinit(&sql);
	buf_deinit(&answer);
	return r;
}

static void roll_names(struct clickhouse *st, struct buf *sql)
{
	buf_printf(sql, "observed,client_rungs,server_rungs,flags,via,n");
	for (unsigned i = 0; i < st->s.columns.n; i++)
		buf_printf(sql, ",%s", st->s.columns.v[i].name);
}

/* The buckets of m[0..n) are of one kind, tier and partition. Pairs: one. */
static int roll_rows(struct clickhouse *st, const struct clickhouse_mark *m, size_t n, enum store_tier above)
{
	uint32_t length = tiers_length(&st->s.opts, above), from = m[0].bucket, to = m[n - 1].bucket + length;
	bool pairs = m->kind == COLUMNS_PAIRS;
	const char *key = pairs ? "edge,client,server,scope" : "edge";
	const char *below = clickhouse_rows_table(m->kind, m->tier);
	struct buf sql;
	int r;

	buf_init(&sql, 0);
	buf_printf(&sql, "INSERT INTO %s(start,revision,interval_s,%s,", clickhouse_rows_table(m->kind, above), key);
	roll_names(st, &sql);
	buf_printf(&sql, ") SELECT toUInt32(intDiv(start,%u)*%u) AS bucket,toUInt64(0),toUInt16(%u),%s,", length,
		   length, length, key);
	clickhouse_sums(&st->s.columns, &sql);
	buf_printf(&sql, " FROM %s FINAL WHERE start>=%u AND start<%u AND intDiv(start,%u) IN (", below, from, to,
		   length);
	for (size_t i = 0; i < n; i++)
		buf_printf(&sql, i ? ",%u" : "%u", m[i].bucket / length);
	buf_char(&sql, ')');
	/* Edges above the cap go another way. GLOBAL: both tables are distributed on a cluster, where plain IN is refused. */
	if (pairs)
		buf_printf(
			&sql,
			" AND gone=0 AND edge GLOBAL NOT IN (SELECT edge FROM (SELECT edge,client,server,scope FROM %s WHERE "
			"start>=%u AND start<%u GROUP BY edge,client,server,scope) GROUP BY edge HAVING count()>%u)",
			below, from, to, st->s.opts.pairs_per_edge);
	buf_printf(&sql, " GROUP BY bucket,%s", key);
	r = clickhouse_do(st, &sql, NULL, "rolling up");
	buf_deinit(&sql);
	return r || !pairs ? r : clickhouse_roll_pairs(st, m->tier, from);
}

/* The versions of the marks as they are now, in a statement that cleans just these. */
static int roll_seen(struct clickhouse *st, const struct clickhouse_mark *m, size_t n, struct buf *ret)
{
	struct clickhouse_rows rows;
	struct buf sql, answer;
	int r;

	buf_init(&sql, 0);
	buf_init(&answer, 0);
	buf_printf(&sql, "SELECT bucket,owner,max(at) FROM marks WHERE kind=%u AND tier=%u AND bucket IN (", m->kind,
		   m->tier);
	for (size_t i = 0; i < n; i++)
		buf_printf(&sql, i ? ",%u" : "%u", m[i].bucket);
	buf_printf(&sql, ") GROUP BY bucket,owner FORMAT RowBinary");
	r = clickhouse_do(st, &sql, &answer, "reading what must be rolled up");
	rows = clickhouse_rows(&answer);
	buf_printf(ret, "INSERT INTO marks(kind,tier,bucket,owner,dirty,at) VALUES ");
	while (!r && clickhouse_more(&rows)) {
		unsigned bucket = (unsigned)clickhouse_uint(&rows, 4);
		unsigned long long owner = clickhouse_uint(&rows, 8), at = clickhouse_uint(&rows, 8);

		/* Marks have even versions: the odd one above it is the same mark, cleaned. */
		buf_printf(ret, "(%u,%u,%u,%llu,0,%llu)", m->kind, m->tier, bucket, owner, at | 1);
	}
	if (!r && rows.bad)
		r = -EPROTO;
	buf_deinit(&sql);
	buf_deinit(&answer);
	return r;
}

static int roll_touch(struct clickhouse *st, const struct clickhouse_mark *m, size_t n, enum store_tier above)
{
	int r = 0;

	for (size_t i = 0; !r && i < n; i++)
		r = clickhouse_touch(st, m->kind, above, m[i].bucket);
	return r;
}

static int roll_buckets(struct clickhouse *st, const struct clickhouse_mark *m, size_t n)
{
	enum store_tier above = tiers_above(&st->s.opts, m->kind, m->tier);
	struct buf clean;
	int r;

	buf_init(&clean, 0);
	r = roll_seen(st, m, n, &clean);
	if (!r && m->bucket >= st->floor[m->kind][m->tier]) {
		r = roll_touch(st, m, n, above);
		if (!r)
			r = roll_rows(st, m, n, above);
		if (!r)
			r = roll_touch(st, m, n, above);
	}
	if (!r)
		r = clickhouse_do(st, &clean, NULL, "rolling up");
	for (size_t i = 0; !r && i < n; i++)
		dirty_del(&st->marked[m->kind][m->tier], m[i].bucket);
	st->s.stats.rolled += r ? 0 : n;
	buf_deinit(&clean);
	return r;
}

static bool roll_due(const struct clickhouse *st, const struct clickhouse_mark *m)
{
	uint32_t slack = 2u * st->s.opts.interval_s > 5 ? 2u * st->s.opts.interval_s : 5;
	enum store_tier above = tiers_above(&st->s.opts, m->kind, m->tier);

	if (above >= STORE_TIERS)
		return false;
	if (!m->own || m->leader != st->owner)
		slack += ROLL_PATIENCE;
	return (uint64_t)m->bucket + tiers_length(&st->s.opts, above) + slack <= st->now;
}

/* Takes the oldest that is due from the list, with others of its kind, tier and partition. */
static size_t roll_take(struct clickhouse *st, struct clickhouse_mark v[ROLL_TOGETHER])
{
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < st->n_marks; i++) {
		const struct clickhouse_mark *m = &st->marks[i];
		uint32_t span = clickhouse_span(m->kind, m->tier);

		if (n < ROLL_TOGETHER && roll_due(st, m) &&
		    (!n || (m->kind == COLUMNS_EDGES && m->kind == v->kind && m->tier == v->tier &&
			    m->bucket / span == v->bucket / span)))
			v[n++] = *m;
		else
			st->marks[kept++] = *m;
	}
	st->n_marks = kept;
	return n;
}

/* 1: did some; 0: none. */
static int roll_some(struct clickhouse *st)
{
	struct clickhouse_mark v[ROLL_TOGETHER];

	for (unsigned again = 0; again < 2; again++) {
		size_t n = roll_take(st, v);
		int r;

		if (n) {
			r = roll_buckets(st, v, n);
			return r ? r : 1;
		}
		if (st->loaded == st->now)
			break;
		r = marks_load(st);
		if (r)
			return r;
		st->loaded = st->now;
	}
	return 0;
}

/* --- spans: which partitions there are */

int clickhouse_load(struct clickhouse *st)
{
	struct clickhouse_rows rows;
	struct buf sql, answer;
	int r;

	buf_init(&sql, 0);
	buf_init(&answer, 0);
	buf_printf(&sql, "SELECT kind,tier,start,max(gone) FROM spans GROUP BY kind,tier,start FORMAT RowBinary");
	r = clickhouse_do(st, &sql, &answer, "reading what partitions there are");
	rows = clickhouse_rows(&answer);
	while (!r && clickhouse_more(&rows)) {
		unsigned kind = (unsigned)clickhouse_uint(&rows, 1), tier = (unsigned)clickhouse_uint(&rows, 1);
		uint32_t start = (uint32_t)clickhouse_uint(&rows, 4);
		bool gone = clickhouse_uint(&rows, 1);

		if (kind >= COLUMNS_KINDS || tier >= STORE_TIERS)
			continue;
		if (!gone)
			r = dirty_add(&st->spans[kind][tier], start);
		else if (start + clickhouse_span(kind, tier) > st->floor[kind][tier])
			st->floor[kind][tier] = start + clickhouse_span(kind, tier);
	}
	if (!r) {
		const struct dirty *d = &st->spans[COLUMNS_EDGES][STORE_FINE];

		buf_clear(&sql);
		buf_printf(&sql, "SELECT max(start) FROM edges_fine WHERE start>=%u FORMAT RowBinary",
			   d->n ? d->v[d->n - 1] : 0);
		r = clickhouse_do(st, &sql, &answer, "reading the newest interval");
		rows = clickhouse_rows(&answer);
		if (!r) {
			uint32_t newest = (uint32_t)clickhouse_uint(&rows, 4);

			st->newest = newest > st->newest ? newest : st->newest;
		}
	}
	buf_deinit(&sql);
	buf_deinit(&answer);
	return r;
}

static int retain_drop(struct clickhouse *st, enum columns_kind kind, enum store_tier t, uint32_t start)
{
	const char *table = clickhouse_rows_table(kind, t), *cluster = st->s.opts.cluster;
	uint32_t length = clickhouse_span(kind, t);
	struct buf sql;
	int r;

	buf_init(&sql, 0);
	buf_printf(&sql, "INSERT INTO spans(kind,tier,start,gone) VALUES (%u,%u,%u,1)", kind, t, start);
	r = clickhouse_do(st, &sql, NULL, "noting a partition");
	buf_clear(&sql);
	buf_printf(&sql, "ALTER TABLE %s%s%s%s DROP PARTITION %u", table, cluster ? "_local" : "",
		   cluster ? " ON CLUSTER " : "", cluster ? cluster : "", start / length);
	if (!r)
		r = clickhouse_do(st, &sql, NULL, "dropping a partition");
	if (!r) {
		dirty_del(&st->spans[kind][t], start);
		if (start + length > st->floor[kind][t])
			st->floor[kind][t] = start + length;
		st->s.stats.removed++;
	}
	buf_deinit(&sql);
	return r;
}

/* Some mark in [from, to) of the tier is not rolled up yet. */
static bool retain_waits(const struct clickhouse *st, unsigned kind, unsigned tier, uint32_t from, uint32_t to)
{
	for (size_t i = 0; i < st->n_marks; i++)
		if (st->marks[i].kind == kind && st->marks[i].tier == tier && st->marks[i].bucket >= from &&
		    st->marks[i].bucket < to)
			return true;
	return false;
}

static int retain(struct clickhouse *st)
{
	/* What goes is decided by data as well as by the clock: one that jumps ahead by a year removes a day. */
	uint32_t now = st->newest && st->now > st->newest + CLICKHOUSE_DAY ? st->newest + CLICKHOUSE_DAY : st->now;
	int r = 0;

	for (unsigned k = 0; k < COLUMNS_KINDS; k++)
		for (unsigned t = 0; !r && t < STORE_TIERS; t++) {
			uint32_t keep = tiers_keep(&st->s.opts, k, t), length = clickhouse_span(k, t);
			const struct dirty *d = &st->spans[k][t];

			for (size_t i = 0; !r && keep && i < d->n;) {
				uint64_t end = (uint64_t)d->v[i] + length + keep;

				/* Not yet rolled up: kept a day longer, not for ever. */
				if (end > now ||
				    (end + CLICKHOUSE_DAY > now && retain_waits(st, k, t, d->v[i], d->v[i] + length)))
					i++;
				else
					r = retain_drop(st, k, t, d->v[i]);
			}
		}
	return r;
}

/* Once an hour: names, hosts, listeners, marks nobody needs any more. Statements both engines have: a new server would take
 * DELETE, the old one knows ALTER ... DELETE. */
static int forget(struct clickhouse *st)
{
	static const char *const tables[] = {"hosts", "listeners"};
	const char *cluster = st->s.opts.cluster, *local = cluster ? "_local ON CLUSTER " : "";
	uint32_t keep = 2 * CLICKHOUSE_DAY, longest = 0;
	struct buf sql;
	int r = 0;

	for (unsigned t = 0; t < STORE_TIERS; t++)
		longest = st->s.opts.keep_s[t] > longest ? st->s.opts.keep_s[t] : longest;
	keep += longest;
	if (st->now < keep)
		return 0;
	buf_init(&sql, 0);
	for (unsigned i = 0; !r && i < 2; i++) {
		buf_clear(&sql);
		buf_printf(&sql, "ALTER TABLE %s%s%s DELETE WHERE start<%u", tables[i], local, cluster ? cluster : "",
			   st->now - keep);
		r = clickhouse_do(st, &sql, NULL, "forgetting hosts");
	}
	buf_clear(&sql);
	buf_printf(&sql, "ALTER TABLE names%s%s DELETE WHERE day<%u", local, cluster ? cluster : "",
		   (st->now - keep) / CLICKHOUSE_DAY);
	if (!r)
		r = clickhouse_do(st, &sql, NULL, "forgetting names");
	buf_clear(&sql);
	buf_printf(&sql, "ALTER TABLE marks%s%s DELETE WHERE bucket<%u", local, cluster ? cluster : "", st->now - keep);
	if (!r)
		r = clickhouse_do(st, &sql, NULL, "forgetting marks");
	buf_deinit(&sql);
	return r;
}

/* One batch of the spool, oldest first. 1: did one; 0: none. */
static int spool_one(struct clickhouse *st)
{
	struct store_batch b;
	int r = st->spool ? spool_oldest(st->spool, &b) : -ENOENT;

	if (r == -ENOENT)
		return 0;
	if (r) {
		st->s.stats.spool_errors++;
		snprintf(st->s.error, sizeof(st->s.error), "the spool %s", spool_error(st->spool));
	} else {
		r = clickhouse_append_now(st, &b);
		if (!r)
			spool_done(st->spool);
	}
	st->s.stats.spool_bytes = spool_bytes(st->spool);
	return r ? r : 1;
}

int clickhouse_maintain(struct store *s, uint32_t now_s)
{
	struct clickhouse *st = (struct clickhouse *)s;
	uint32_t minute = now_s - now_s % 60;
	int r, spool;

	st->now = now_s;
	spool = spool_one(st);
	if (spool == 1 || spool == -EAGAIN)
		return spool;
	/* A file that cannot be read or a batch that is refused waits for somebody; the rest goes on. */
	r = roll_some(st);
	if (r)
		return r;
	if (st->swept == minute)
		return spool;
	r = clickhouse_load(st);
	if (!r)
		r = retain(st);
	if (!r && st->swept && now_s / 3600 != st->swept / 3600)
		r = forget(st);
	st->swept = minute;
	return r ? r : spool;
}

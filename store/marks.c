/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tiers.
 *
 * A row of a coarser tier is the sum of the rows of the next finer one over its time, made whole and put in place of its
 * former self; nothing is ever added to it. So it does not matter how often or when it is made.
 *
 *     rows come in -> fine day file, table dirty += bucket of the tier above       one transaction
 *     roll-up: read bucket from below -> delete + insert above, dirty there too    one transaction of the file above
 *              then dirty -= bucket in the file below                              a second one
 *
 * 1. A bucket above is complete and current exactly when no finer tier has it marked dirty. Readers ask that (cover.c) and
 *    go to the finer rows where it does not hold. So a bucket still running is dirty from its first row on.
 * 2. Marks are on disk with the rows that caused them. A crash between the two transactions leaves the mark: the bucket is
 *    made once more, with the same result.
 * 3. A bucket never spans days, so it has one file below and one above.
 * 4. A day whose file was removed by age is never begun again (floor): otherwise a very late row would be rolled up as if
 *    it were all of its bucket.
 *
 * Why not triggers or adding to the coarse row when a fine one comes: a row written twice would count twice.
 */
#include "store/marks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/table.h"

static int marks_load_day(void *arg, const struct day_id *id)
{
	struct sqlite *st = arg;
	enum store_tier above;
	struct day *d;
	sqlite3_stmt *q;
	int r;

	if (id->day * DAY_SECONDS < st->tiers.oldest[id->kind][id->tier])
		st->tiers.oldest[id->kind][id->tier] = id->day * DAY_SECONDS;
	above = tiers_above(&st->s.opts, id->kind, id->tier);
	if (id->kind == COLUMNS_LEDGER || above == STORE_TIERS || !tiers_keep(&st->s.opts, id->kind, id->tier))
		return 0;
	r = sqlite_day(st, id->kind, id->tier, id->day, &d);
	if (r)
		return r;
	r = sqlite3_prepare_v2(d->db, "SELECT bucket FROM dirty", -1, &q, NULL);
	if (r)
		return sqlite_fail(st, d->db, r, "reading what must be rolled up");
	while ((r = sqlite3_step(q)) == SQLITE_ROW) {
		uint32_t bucket = (uint32_t)sqlite3_column_int64(q, 0), length = tiers_length(&st->s.opts, above);

		if (dirty_add(&st->tiers.dirty[id->kind][id->tier], bucket - bucket % length)) {
			r = SQLITE_NOMEM;
			break;
		}
	}
	sqlite3_finalize(q);
	return r == SQLITE_DONE ? 0 : sqlite_fail(st, d->db, r, "reading what must be rolled up");
}

/* Every bucket of a file, when the tiers are others than last time. */
static int marks_all(void *arg, const struct day_id *id)
{
	struct sqlite *st = arg;
	enum store_tier above = tiers_above(&st->s.opts, id->kind, id->tier);
	struct day *d;
	char sql[160];
	int r;

	if (id->kind == COLUMNS_LEDGER || above == STORE_TIERS || !tiers_keep(&st->s.opts, id->kind, id->tier))
		return 0;
	r = sqlite_day(st, id->kind, id->tier, id->day, &d);
	if (r)
		return r;
	snprintf(sql, sizeof(sql), "INSERT OR IGNORE INTO dirty SELECT DISTINCT interval/%u*%u FROM %s",
		 tiers_length(&st->s.opts, above), tiers_length(&st->s.opts, above), columns_table(id->kind));
	r = sqlite3_exec(d->db, sql, NULL, NULL, NULL);
	return r ? sqlite_fail(st, d->db, r, "marking what must be rolled up") : 0;
}

int marks_load(struct sqlite *st)
{
	uint32_t made = 1; /* which tiers there are: one bit each */
	int r;

	for (unsigned k = 0; k < COLUMNS_KINDS; k++)
		for (unsigned t = 0; t < STORE_TIERS; t++) {
			char key[48];

			made |= (uint32_t)(tiers_keep(&st->s.opts, k, t) != 0) << (1 + k * STORE_TIERS + t);
			st->tiers.oldest[k][t] = UINT32_MAX;
			snprintf(key, sizeof(key), "floor %s %s", columns_table(k), tiers_names[t]);
			st->floor[k][t] = sqlite_meta(st, key);
		}
	if (sqlite_meta(st, "tiers") != made) {
		r = day_each(st->path, marks_all, st);
		if (!r)
			r = sqlite_meta_set(st, "tiers", made);
		if (r)
			return r;
	}
	return day_each(st->path, marks_load_day, st);
}

int marks_add(struct sqlite *st, struct day *d, uint32_t interval)
{
	enum store_tier above = tiers_above(&st->s.opts, d->id.kind, d->id.tier);
	uint32_t bucket;
	int r;

	if (above == STORE_TIERS)
		return 0;
	bucket = interval - interval % tiers_length(&st->s.opts, above);
	if (bucket == d->marked)
		return 0;
	pthread_mutex_lock(&st->lock);
	r = dirty_add(&st->tiers.dirty[d->id.kind][d->id.tier], bucket);
	pthread_mutex_unlock(&st->lock);
	if (r)
		return r;
	sqlite3_bind_int64(d->mark, 1, bucket);
	r = sqlite3_step(d->mark);
	sqlite3_reset(d->mark);
	if (r != SQLITE_DONE)
		return sqlite_fail(st, d->db, r, "marking a minute");
	d->marked = bucket;
	return 0;
}

/* What retention removes is decided by data as well as by the clock: one that jumps ahead by a year removes a day. */
static uint32_t marks_clock(struct sqlite *st, uint32_t now_s)
{
	uint32_t newest = store_newest(&st->s);

	return newest && now_s > newest + DAY_SECONDS ? newest + DAY_SECONDS : now_s;
}

struct retain {
	struct sqlite *st;
	uint32_t now;
	struct day_id gone[64]; /* a call's piece of work */
	unsigned n;
	uint32_t oldest[COLUMNS_KINDS][STORE_TIERS];
};

static int marks_retain_day(void *arg, const struct day_id *id)
{
	struct retain *x = arg;
	uint32_t keep = tiers_keep(&x->st->s.opts, id->kind, id->tier);
	uint64_t end = ((uint64_t)id->day + 1) * DAY_SECONDS;
	const struct dirty *d = &x->st->tiers.dirty[id->kind][id->tier];
	bool old = keep && end + keep <= x->now;

	/* Not yet rolled up: kept a day longer, not for ever. */
	if (old && end + keep + DAY_SECONDS > x->now && dirty_any(d, id->day * DAY_SECONDS, (uint32_t)end))
		old = false;
	if (old && x->n < ARRAY_LEN(x->gone))
		x->gone[x->n++] = *id;
	else if (id->day * DAY_SECONDS < x->oldest[id->kind][id->tier])
		x->oldest[id->kind][id->tier] = id->day * DAY_SECONDS;
	return 0;
}

static int marks_remove(struct sqlite *st, const struct day_id *id)
{
	char key[48];
	int r;

	snprintf(key, sizeof(key), "floor %s %s", columns_table(id->kind), tiers_names[id->tier]);
	if (st->floor[id->kind][id->tier] <= id->day) {
		r = sqlite_meta_set(st, key, id->day + 1);
		if (r)
			return r;
		st->floor[id->kind][id->tier] = id->day + 1;
	}
	for (unsigned i = 0; i < DAY_OPEN; i++)
		if (st->days[i].db && !memcmp(&st->days[i].id, id, sizeof(*id)))
			day_close(&st->days[i]);
	day_unlink(st->path, id);
	st->s.stats.removed++;
	return 0;
}

int marks_retain(struct sqlite *st, uint32_t now_s)
{
	struct retain x = {.st = st, .now = marks_clock(st, now_s)};
	int r;

	memset(x.oldest, 0xff, sizeof(x.oldest));
	r = day_each(st->path, marks_retain_day, &x);
	if (r || !x.n)
		return r;
	/* A query is running: next time. */
	if (pthread_rwlock_trywrlock(&st->files))
		return 0;
	for (unsigned i = 0; !r && i < x.n; i++)
		r = marks_remove(st, &x.gone[i]);
	pthread_mutex_lock(&st->lock);
	for (unsigned i = 0; !r && i < x.n; i++) {
		struct dirty *d = &st->tiers.dirty[x.gone[i].kind][x.gone[i].tier];
		uint32_t from = x.gone[i].day * DAY_SECONDS;

		while (dirty_any(d, from, from + DAY_SECONDS))
			dirty_del(d, d->v[dirty_at(d, from)]);
	}
	if (!r)
		memcpy(st->tiers.oldest, x.oldest, sizeof(st->tiers.oldest));
	st->generation++;
	pthread_mutex_unlock(&st->lock);
	pthread_rwlock_unlock(&st->files);
	return r;
}

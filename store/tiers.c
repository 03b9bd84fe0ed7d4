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
#include "store/tiers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/table.h"

uint32_t tiers_length(const struct store *st, enum store_tier t)
{
	static const uint32_t lengths[STORE_TIERS] = {0, 60, 300, 3600};

	return t == STORE_FINE ? st->opts.interval_s : lengths[t];
}

uint32_t tiers_keep(const struct store *st, enum columns_kind kind, enum store_tier t)
{
	switch (kind) {
	case COLUMNS_EDGES:
		return st->opts.keep_s[t];
	case COLUMNS_PAIRS:
		return st->opts.keep_pairs_s[t];
	default: /* the ledger answers for the fine rows and some time after them */
		if (t != STORE_FINE)
			return 0;
		return st->opts.keep_s[STORE_1M] > st->opts.keep_s[STORE_FINE] ? st->opts.keep_s[STORE_1M]
									       : st->opts.keep_s[STORE_FINE];
	}
}

enum store_tier tiers_above(const struct store *st, enum columns_kind kind, enum store_tier t)
{
	do
		t++;
	while (t < STORE_TIERS && !tiers_keep(st, kind, t));
	return t;
}

enum store_tier tiers_below(const struct store *st, enum columns_kind kind, enum store_tier t)
{
	while (t-- > STORE_FINE)
		if (tiers_keep(st, kind, t))
			return t;
	return STORE_TIERS;
}

/* Index of the first that is not below `bucket`. */
static size_t dirty_at(const struct dirty *d, uint32_t bucket)
{
	size_t lo = 0, hi = d->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (d->v[mid] < bucket)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int dirty_add(struct dirty *d, uint32_t bucket)
{
	size_t at = dirty_at(d, bucket);

	if (at < d->n && d->v[at] == bucket)
		return 0;
	if (d->n == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 64;
		uint32_t *v = realloc(d->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		d->v = v;
		d->cap = cap;
	}
	memmove(&d->v[at + 1], &d->v[at], (d->n - at) * sizeof(*d->v));
	d->v[at] = bucket;
	d->n++;
	return 0;
}

void dirty_del(struct dirty *d, uint32_t bucket)
{
	size_t at = dirty_at(d, bucket);

	if (at == d->n || d->v[at] != bucket)
		return;
	memmove(&d->v[at], &d->v[at + 1], (d->n - at - 1) * sizeof(*d->v));
	d->n--;
}

bool dirty_any(const struct dirty *d, uint32_t from, uint32_t to)
{
	size_t at = dirty_at(d, from);

	return at < d->n && d->v[at] < to;
}

static int tiers_load_day(void *arg, const struct day_id *id)
{
	struct store *st = arg;
	enum store_tier above;
	struct day *d;
	sqlite3_stmt *q;
	int r;

	if (id->day < st->oldest[id->kind][id->tier])
		st->oldest[id->kind][id->tier] = id->day;
	above = tiers_above(st, id->kind, id->tier);
	if (id->kind == COLUMNS_LEDGER || above == STORE_TIERS || !tiers_keep(st, id->kind, id->tier))
		return 0;
	r = sqlite_day(st, id->kind, id->tier, id->day, &d);
	if (r)
		return r;
	r = sqlite3_prepare_v2(d->db, "SELECT bucket FROM dirty", -1, &q, NULL);
	if (r)
		return sqlite_fail(st, d->db, r, "reading what must be rolled up");
	while ((r = sqlite3_step(q)) == SQLITE_ROW) {
		uint32_t bucket = (uint32_t)sqlite3_column_int64(q, 0), length = tiers_length(st, above);

		if (dirty_add(&st->dirty[id->kind][id->tier], bucket - bucket % length)) {
			r = SQLITE_NOMEM;
			break;
		}
	}
	sqlite3_finalize(q);
	return r == SQLITE_DONE ? 0 : sqlite_fail(st, d->db, r, "reading what must be rolled up");
}

/* Every bucket of a file, when the tiers are others than last time. */
static int tiers_mark_all(void *arg, const struct day_id *id)
{
	struct store *st = arg;
	enum store_tier above = tiers_above(st, id->kind, id->tier);
	struct day *d;
	char sql[160];
	int r;

	if (id->kind == COLUMNS_LEDGER || above == STORE_TIERS || !tiers_keep(st, id->kind, id->tier))
		return 0;
	r = sqlite_day(st, id->kind, id->tier, id->day, &d);
	if (r)
		return r;
	snprintf(sql, sizeof(sql), "INSERT OR IGNORE INTO dirty SELECT DISTINCT interval/%u*%u FROM %s",
		 tiers_length(st, above), tiers_length(st, above), columns_table(id->kind));
	r = sqlite3_exec(d->db, sql, NULL, NULL, NULL);
	return r ? sqlite_fail(st, d->db, r, "marking what must be rolled up") : 0;
}

int tiers_load(struct store *st)
{
	uint32_t made = 1; /* which tiers there are: one bit each */
	int r;

	for (unsigned k = 0; k < COLUMNS_KINDS; k++)
		for (unsigned t = 0; t < STORE_TIERS; t++) {
			char key[48];

			made |= (uint32_t)(tiers_keep(st, k, t) != 0) << (1 + k * STORE_TIERS + t);
			st->oldest[k][t] = UINT32_MAX;
			snprintf(key, sizeof(key), "floor %s %s", columns_table(k), day_tier_names[t]);
			st->floor[k][t] = sqlite_meta(st, key);
		}
	if (sqlite_meta(st, "tiers") != made) {
		r = day_each(st->path, tiers_mark_all, st);
		if (!r)
			r = sqlite_meta_set(st, "tiers", made);
		if (r)
			return r;
	}
	return day_each(st->path, tiers_load_day, st);
}

int tiers_mark(struct store *st, struct day *d, uint32_t interval)
{
	enum store_tier above = tiers_above(st, d->id.kind, d->id.tier);
	uint32_t bucket;
	int r;

	if (above == STORE_TIERS)
		return 0;
	bucket = interval - interval % tiers_length(st, above);
	if (bucket == d->marked)
		return 0;
	pthread_mutex_lock(&st->lock);
	r = dirty_add(&st->dirty[d->id.kind][d->id.tier], bucket);
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
static uint32_t tiers_clock(struct store *st, uint32_t now_s)
{
	uint32_t newest = store_newest(st);

	return newest && now_s > newest + DAY_SECONDS ? newest + DAY_SECONDS : now_s;
}

struct retain {
	struct store *st;
	uint32_t now;
	struct day_id gone[64]; /* a call's piece of work */
	unsigned n;
	uint32_t oldest[COLUMNS_KINDS][STORE_TIERS];
};

static int tiers_retain_day(void *arg, const struct day_id *id)
{
	struct retain *x = arg;
	uint32_t keep = tiers_keep(x->st, id->kind, id->tier);
	uint64_t end = ((uint64_t)id->day + 1) * DAY_SECONDS;
	const struct dirty *d = &x->st->dirty[id->kind][id->tier];
	bool old = keep && end + keep <= x->now;

	/* Not yet rolled up: kept a day longer, not for ever. */
	if (old && end + keep + DAY_SECONDS > x->now && dirty_any(d, id->day * DAY_SECONDS, (uint32_t)end))
		old = false;
	if (old && x->n < ARRAY_LEN(x->gone))
		x->gone[x->n++] = *id;
	else if (id->day < x->oldest[id->kind][id->tier])
		x->oldest[id->kind][id->tier] = id->day;
	return 0;
}

static int tiers_remove(struct store *st, const struct day_id *id)
{
	char key[48];
	int r;

	snprintf(key, sizeof(key), "floor %s %s", columns_table(id->kind), day_tier_names[id->tier]);
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
	st->stats.removed++;
	return 0;
}

int tiers_retain(struct store *st, uint32_t now_s)
{
	struct retain x = {.st = st, .now = tiers_clock(st, now_s)};
	int r;

	memset(x.oldest, 0xff, sizeof(x.oldest));
	r = day_each(st->path, tiers_retain_day, &x);
	if (r || !x.n)
		return r;
	/* A query is running: next time. */
	if (pthread_rwlock_trywrlock(&st->files))
		return 0;
	for (unsigned i = 0; !r && i < x.n; i++)
		r = tiers_remove(st, &x.gone[i]);
	pthread_mutex_lock(&st->lock);
	for (unsigned i = 0; !r && i < x.n; i++) {
		struct dirty *d = &st->dirty[x.gone[i].kind][x.gone[i].tier];
		uint32_t from = x.gone[i].day * DAY_SECONDS;

		while (dirty_any(d, from, from + DAY_SECONDS))
			dirty_del(d, d->v[dirty_at(d, from)]);
	}
	if (!r)
		memcpy(st->oldest, x.oldest, sizeof(st->oldest));
	st->generation++;
	pthread_mutex_unlock(&st->lock);
	pthread_rwlock_unlock(&st->files);
	return r;
}

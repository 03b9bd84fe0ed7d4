/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of a fleet: a ClickHouse, asked over HTTP. Any number of processes write to it and read from it.
 *
 *     clickhouse_ddl.c      the tables; clickhouse_insert.c, _pairs.c, _catalog.c: writing; clickhouse_roll.c: roll-ups
 *     clickhouse_query.c    sums; clickhouse_answers.c: names, hosts, ledger; clickhouse_http.c: the protocol
 *     spool.c               batches on disk while the server is away
 *
 * 1. A key is written once: rows with the same key are one row after FINAL. Revisions of an interval add up (law L8). So a
 *    statement whose answer was lost is sent again, and a batch brought twice changes nothing.
 * 2. Names and marks are written before the rows that need them; a batch is several statements, and a process that dies
 *    between two leaves a part of it, as in SQLite: it was not acknowledged.
 * 3. A server that does not answer is tried again with growing pauses for `retry_ms`; then the batch goes to the spool, if
 *    there is one with room, and is acknowledged. Else it is refused and waits where it came from. What the server refuses
 *    for another reason (an older table, no right) is never spooled: it would be refused again.
 * 4. Every statement is one that ClickHouse 18.16 and today's both run: the tests run all of them on both.
 *
 * Why Native for what is written: columns need no parsing, and those that are zero are left out. Why RowBinary for what is
 * read: an answer is taken row by row. Why no materialised views: see store/marks.c.
 */
#include "store/clickhouse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "store/spool.h"

int clickhouse_do(struct clickhouse *st, struct buf *body, struct buf *ret, const char *what)
{
	char error[480];
	int r = clickhouse_http_post(st->http, true, body, ret, NULL, error, sizeof(error));

	if (r)
		snprintf(st->s.error, sizeof(st->s.error), "%s: %s", what, error);
	st->s.stats.refused += r == -EPROTO;
	return r;
}

/* --- opening: tables are there and have every column */

struct table_look {
	struct clickhouse *st;
	const struct buf *have; /* "table name type" of all columns, RowBinary */
	const char *table;
	bool any;
	char why[256];
	struct buf add;
};

static bool table_has(const struct table_look *x, const char *name, struct str *type)
{
	struct clickhouse_rows rows = clickhouse_rows(x->have);

	while (clickhouse_more(&rows)) {
		struct str table = clickhouse_text(&rows), column = clickhouse_text(&rows);

		*type = clickhouse_text(&rows);
		if (str_eq(table, str_from(x->table)) && (!name || str_eq(column, str_from(name))))
			return true;
	}
	return false;
}

static int table_column(void *arg, const char *name, const char *type)
{
	struct table_look *x = arg;
	struct str has;

	if (!table_has(x, name, &has)) {
		buf_printf(&x->add, "%s ADD COLUMN %s %s", x->add.n ? "," : "", name, type);
	} else if (!str_eq(has, str_from(type))) {
		snprintf(x->why, sizeof(x->why), "column %s of table %s is %.*s, not %s", name, x->table, STR_FMT(has),
			 type);
		return -EPROTONOSUPPORT;
	}
	return 0;
}

static int open_table(struct clickhouse *st, const struct buf *have, enum clickhouse_table t, char *why, size_t why_len)
{
	const char *database = clickhouse_http_database(st->http);
	struct table_look x = {.st = st, .have = have, .table = clickhouse_table(t)};
	struct str type;
	struct buf sql;
	int r = 0;

	if (!x.table)
		return 0;
	buf_init(&sql, 0);
	buf_init(&x.add, 0);
	if (!table_has(&x, NULL, &type)) {
		if (st->s.opts.cluster) {
			snprintf(why, why_len,
				 "ClickHouse at %s has no table %s: make the tables with `skyfall store --print-ddl "
				 "--replicated --cluster %.60s`",
				 clickhouse_http_where(st->http), x.table, st->s.opts.cluster);
			r = -ENOENT;
			goto out;
		}
		clickhouse_create(&st->s.columns, t, database, NULL, &sql);
		r = clickhouse_do(st, &sql, NULL, "making a table");
	} else {
		r = clickhouse_columns(&st->s.columns, t, table_column, &x);
		if (!r && x.add.n && st->s.opts.cluster) {
			snprintf(x.why, sizeof(x.why), "table %s lacks columns", x.table);
			r = -EPROTONOSUPPORT;
		} else if (!r && x.add.n) {
			buf_printf(&sql, "ALTER TABLE %s%s", x.table, buf_text(&x.add));
			r = clickhouse_do(st, &sql, NULL, "adding columns");
		}
	}
	if (r == -EPROTONOSUPPORT)
		snprintf(
			why, why_len,
			"ClickHouse at %s has tables of another version: %s; compare with `skyfall store --print-ddl`, or "
			"name another database",
			clickhouse_http_where(st->http), x.why);
	else if (r)
		snprintf(why, why_len, "%s", st->s.error);
out:
	buf_deinit(&sql);
	buf_deinit(&x.add);
	return r;
}

static int open_tables(struct clickhouse *st, char *why, size_t why_len)
{
	struct buf sql, have;
	char error[480];
	int r;

	buf_init(&sql, 0);
	buf_init(&have, 0);
	buf_printf(&sql, "CREATE DATABASE IF NOT EXISTS %s", clickhouse_http_database(st->http));
	if (!st->s.opts.cluster) {
		r = clickhouse_http_post(st->http, false, &sql, NULL, NULL, error, sizeof(error));
		/* Without the right to make one it may still be there. */
		if (r == -EPROTO)
			r = 0;
		if (r) {
			snprintf(why, why_len, "%s", error);
			goto out;
		}
	}
	buf_clear(&sql);
	buf_printf(&sql, "SELECT table,name,type FROM system.columns WHERE database='%s' FORMAT RowBinary",
		   clickhouse_http_database(st->http));
	r = clickhouse_do(st, &sql, &have, "looking at the tables");
	if (r)
		snprintf(why, why_len, "%s", st->s.error);
	for (int t = 0; !r && t < CLICKHOUSE_TABLES; t++)
		r = open_table(st, &have, (enum clickhouse_table)t, why, why_len);
out:
	buf_deinit(&sql);
	buf_deinit(&have);
	return r;
}

static int open_names(struct clickhouse *st)
{
	struct clickhouse_rows rows;
	struct buf sql, answer;
	int r;

	buf_init(&sql, 0);
	buf_init(&answer, 0);
	buf_printf(&sql, "SELECT edge,max(day) FROM names GROUP BY edge FORMAT RowBinary");
	r = clickhouse_do(st, &sql, &answer, "reading names");
	rows = clickhouse_rows(&answer);
	while (!r && clickhouse_more(&rows)) {
		uint64_t edge = clickhouse_uint(&rows, 8);

		r = known_set(st->known, edge, (uint32_t)clickhouse_uint(&rows, 4));
	}
	buf_deinit(&sql);
	buf_deinit(&answer);
	return r;
}

static void clickhouse_close(struct store *s)
{
	struct clickhouse *st = (struct clickhouse *)s;

	for (unsigned k = 0; k < COLUMNS_KINDS; k++)
		for (unsigned t = 0; t < STORE_TIERS; t++) {
			free(st->marked[k][t].v);
			free(st->spans[k][t].v);
		}
	free(st->marks);
	known_free(st->known);
	spool_close(st->spool);
	clickhouse_http_free(st->http);
	free(st->url);
	free(st->cluster);
	free(st);
}

static uint32_t clickhouse_newest(struct store *s)
{
	return ((struct clickhouse *)s)->newest;
}

static int clickhouse_setup(struct clickhouse *st, const char *url, char *why, size_t why_len)
{
	int r;

	st->url = strdup(url);
	st->cluster = st->s.opts.cluster ? strdup(st->s.opts.cluster) : NULL;
	st->s.opts.cluster = st->cluster;
	st->known = known_new();
	snprintf(why, why_len, "no memory for the store");
	if (!st->url || !st->known || getrandom(&st->owner, sizeof(st->owner), 0) != sizeof(st->owner))
		return -ENOMEM;
	r = clickhouse_http_new(&st->http, url, why, why_len);
	if (!r && st->s.opts.spool)
		r = spool_open(&st->spool, st->s.opts.spool, st->s.opts.spool_bytes, why, why_len);
	st->s.opts.spool = NULL; /* read at open */
	if (!r)
		r = open_tables(st, why, why_len);
	if (r)
		return r;
	r = clickhouse_load(st);
	if (!r)
		r = open_names(st);
	if (r)
		snprintf(why, why_len, "%s", st->s.error);
	return r;
}

int clickhouse_open(struct store **ret, const char *url, const struct store_opts *opts, char *why, size_t why_len)
{
	static const struct store_ops ops = {.close = clickhouse_close,
					     .append = clickhouse_append,
					     .maintain = clickhouse_maintain,
					     .newest = clickhouse_newest,
					     .query_open = clickhouse_query_open};
	struct clickhouse *st = calloc(1, sizeof(*st));
	int r;

	if (!st)
		return -ENOMEM;
	r = store_init(&st->s, &ops, opts, why, why_len);
	if (!r)
		r = clickhouse_setup(st, url, why, why_len);
	if (r) {
		clickhouse_close(&st->s);
		return r;
	}
	*ret = &st->s;
	return 0;
}

/* --- a batch: now, later, or to the spool */

static void append_pause(unsigned ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000l};

	nanosleep(&t, NULL);
}

static int append_spool(struct clickhouse *st, const struct store_batch *b)
{
	int r = spool_put(st->spool, b);

	st->s.stats.spooled += !r;
	st->s.stats.spool_bytes = spool_bytes(st->spool);
	st->s.stats.spool_full += r == -ENOSPC;
	st->s.stats.spool_errors += r && r != -ENOSPC;
	if (r) {
		size_t n = strlen(st->s.error);

		snprintf(st->s.error + n, sizeof(st->s.error) - n, "; the spool %s", spool_error(st->spool));
	}
	return r;
}

int clickhouse_append(struct store *s, const struct store_batch *b)
{
	struct clickhouse *st = (struct clickhouse *)s;
	int64_t until = clock_mono_us() + st->s.opts.retry_ms * 1000ll;
	unsigned pause = 50;
	int r;

	/* A server that was away a moment ago is tried once, so that the spool takes what comes. */
	while ((r = clickhouse_append_now(st, b)) == -EAGAIN && !st->away && clock_mono_us() + pause * 1000ll < until) {
		st->s.stats.retries++;
		append_pause(pause);
		pause = pause < 2000 ? pause * 2 : pause;
	}
	st->away = r == -EAGAIN;
	return st->away && st->spool ? append_spool(st, b) : r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of one machine: SQLite files in one folder.
 *
 *     lock                          held (flock) by the process that writes; its pid inside
 *     skyfall.db                    meta, names (edge id -> names), hosts, addresses, listeners
 *     edges-<tier>-YYYY-MM-DD.db    table edges: key (interval, edge, revision), every column of flow/fields.def; table dirty
 *     pairs-<tier>-YYYY-MM-DD.db    table pairs: key (interval, edge, client, server, scope, revision); tables dirty, folded
 *     ledger-fine-YYYY-MM-DD.db     table ledger: key (interval, role, instance, boot)
 *
 * <tier> is fine (the run's interval), 1m, 5m or 1h; days are UTC. All in WAL mode with synchronous=NORMAL: a commit is
 * safe against the death of the process, the last ones may be missing after a power cut.
 *
 * 1. A key is written once: INSERT OR IGNORE in the fine tier. Revisions of an interval add up (law L8).
 * 2. Names are committed before the rows that need them. A crash between the two leaves a name nobody uses.
 * 3. A batch touches several files. They are committed one after the other, so a crash may leave a part of it; it was not
 *    acknowledged then, its writer brings it again, and by 1 the part already there does not count twice. An error rolls
 *    back what is not yet committed, with the same effect.
 * 4. Pairs above the cap of their (interval, edge) are summed in one row with zero addresses. So that a pair brought twice
 *    is not added twice, table `folded` holds the keys that went into it.
 * 5. Coarser tiers: marks.c. Which file answers what: cover.c.
 *
 * Why edges and pairs are not in one file: pairs are kept for a shorter time, and retention is to remove files, not rows.
 * Why the scope is text in the key and no hash: it is nearly always empty, and then costs nothing.
 */
#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/catalog.h"
#include "store/marks.h"
#include "store/sqlite_scan.h"

int sqlite_fail(struct sqlite *st, sqlite3 *db, int sqlite, const char *what)
{
	int r = day_errno(db, sqlite);
	const char *file = db ? sqlite3_db_filename(db, "main") : NULL;

	if (r == -ENOSPC)
		snprintf(st->s.error, sizeof(st->s.error), "%s: no space left for %.100s; make room or keep less", what,
			 st->path);
	else
		snprintf(st->s.error, sizeof(st->s.error), "%s%s%s: %s", what, file ? ": " : "", file ? file : "",
			 db ? sqlite3_errmsg(db) : sqlite3_errstr(sqlite));
	return r ? r : -EIO;
}

static int sqlite_exec_main(struct sqlite *st, const char *sql, const char *what)
{
	int r = sqlite3_exec(st->main, sql, NULL, NULL, NULL);

	return r ? sqlite_fail(st, st->main, r, what) : 0;
}

int sqlite_day(struct sqlite *st, enum columns_kind kind, enum store_tier tier, uint32_t day, struct day **ret)
{
	struct day_id id;
	struct day *free_one = NULL;
	int r;

	memset(&id, 0, sizeof(id));
	id.kind = kind;
	id.tier = tier;
	id.day = day;
	for (unsigned i = 0; i < DAY_OPEN; i++) {
		struct day *d = &st->days[i];

		if (d->db && !memcmp(&d->id, &id, sizeof(id))) {
			d->used = ++st->clock;
			*ret = d;
			return 0;
		}
		if (!d->db)
			free_one = d;
	}
	/* The one not used longest goes; files in a transaction stay. */
	for (unsigned i = 0; !free_one && i < DAY_OPEN; i++) {
		struct day *best = NULL;

		for (unsigned k = 0; k < DAY_OPEN; k++)
			if (!st->days[k].in_tx && (!best || st->days[k].used < best->used))
				best = &st->days[k];
		if (!best) {
			snprintf(st->s.error, sizeof(st->s.error), "a batch spans more than %d day files", DAY_OPEN);
			return -E2BIG;
		}
		day_close(best);
		free_one = best;
	}
	r = day_open_write(&st->s.columns, st->path, &id, free_one);
	if (r) {
		char file[512];

		day_path(st->path, &id, file, sizeof(file));
		return sqlite_fail(st, NULL, r, file);
	}
	free_one->used = ++st->clock;
	pthread_mutex_lock(&st->lock);
	if (day * DAY_SECONDS < st->tiers.oldest[kind][tier])
		st->tiers.oldest[kind][tier] = day * DAY_SECONDS;
	pthread_mutex_unlock(&st->lock);
	*ret = free_one;
	return 0;
}

int sqlite_begin(struct sqlite *st, struct day *d)
{
	int r;

	if (d->in_tx)
		return 0;
	r = sqlite3_exec(d->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (r)
		return sqlite_fail(st, d->db, r, "beginning a batch");
	d->in_tx = true;
	d->marked = 0;
	return 0;
}

int sqlite_commit(struct sqlite *st, struct day *d)
{
	int r = sqlite3_exec(d->db, "COMMIT", NULL, NULL, NULL);

	if (r)
		return sqlite_fail(st, d->db, r, "storing a batch");
	d->in_tx = false;
	return 0;
}

int sqlite_main_begin(struct sqlite *st)
{
	int r;

	if (st->main_tx)
		return 0;
	r = sqlite_exec_main(st, "BEGIN IMMEDIATE", "beginning a batch");
	st->main_tx = !r;
	return r;
}

int sqlite_main_commit(struct sqlite *st)
{
	int r;

	if (!st->main_tx)
		return 0;
	r = sqlite_exec_main(st, "COMMIT", "storing names and hosts");
	if (!r)
		st->main_tx = false;
	return r;
}

void sqlite_rollback(struct sqlite *st)
{
	for (unsigned i = 0; i < DAY_OPEN; i++)
		if (st->days[i].in_tx) {
			(void)sqlite3_exec(st->days[i].db, "ROLLBACK", NULL, NULL, NULL);
			st->days[i].in_tx = false;
		}
	if (st->main_tx)
		(void)sqlite3_exec(st->main, "ROLLBACK", NULL, NULL, NULL);
	st->main_tx = false;
	dict_abort(st->dict);
}

uint32_t sqlite_meta(struct sqlite *st, const char *key)
{
	sqlite3_stmt *q;
	uint32_t v = 0;

	if (sqlite3_prepare_v2(st->main, "SELECT value FROM meta WHERE key=?", -1, &q, NULL))
		return 0;
	sqlite3_bind_text(q, 1, key, -1, SQLITE_STATIC);
	if (sqlite3_step(q) == SQLITE_ROW)
		v = (uint32_t)sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	return v;
}

int sqlite_meta_set(struct sqlite *st, const char *key, uint32_t value)
{
	char sql[160];

	snprintf(sql, sizeof(sql), "INSERT OR REPLACE INTO meta VALUES('%s',%u)", key, value);
	return sqlite_exec_main(st, sql, "writing skyfall.db");
}

/* Every folder of the path. */
static int sqlite_folder(const char *path)
{
	char part[4096];
	size_t n = strlen(path);

	if (!n)
		return -ENOENT;
	if (n >= sizeof(part) - 64)
		return -ENAMETOOLONG;
	memcpy(part, path, n + 1);
	for (size_t i = 1; i <= n; i++) {
		char c = part[i];

		if (c != '/' && c)
			continue;
		part[i] = '\0';
		if (mkdir(part, 0755) && errno != EEXIST)
			return -errno;
		part[i] = c;
	}
	return 0;
}

static int sqlite_lock(struct sqlite *st, char *why, size_t why_len)
{
	char file[4200], pid[16] = "?";
	ssize_t n;
	int r = sqlite_folder(st->path);

	snprintf(file, sizeof(file), "%s/lock", st->path);
	if (!r) {
		st->lock_fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		if (st->lock_fd < 0)
			r = -errno;
	}
	if (r) {
		snprintf(why, why_len,
			 "cannot write in the data folder %s: %s; name another with --data or fix its owner", st->path,
			 strerror(-r));
		return r;
	}
	if (flock(st->lock_fd, LOCK_EX | LOCK_NB)) {
		n = pread(st->lock_fd, pid, sizeof(pid) - 1, 0);
		pid[n > 0 ? n : 0] = '\0';
		pid[strcspn(pid, "\n")] = '\0';
		snprintf(why, why_len,
			 "the data folder %s is in use by process %s; stop it or name another with --data", st->path,
			 pid);
		return -EBUSY;
	}
	n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(st->lock_fd, 0) || pwrite(st->lock_fd, pid, (size_t)n, 0) != n) {
		r = errno ? -errno : -EIO;
		snprintf(why, why_len, "cannot write in the data folder %s: %s; make room or name another with --data",
			 st->path, strerror(-r));
		return r;
	}
	return 0;
}

static int sqlite_version(sqlite3 *db, int *ret)
{
	sqlite3_stmt *q;
	int r = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &q, NULL);

	if (!r && sqlite3_step(q) == SQLITE_ROW)
		*ret = sqlite3_column_int(q, 0);
	else if (!r)
		r = sqlite3_errcode(db);
	sqlite3_finalize(q);
	return r;
}

static int sqlite_open_main(struct sqlite *st, char *why, size_t why_len)
{
	char file[4200], sql[64];
	int version = 0, r;

	snprintf(file, sizeof(file), "%s/skyfall.db", st->path);
	r = sqlite3_open_v2(file, &st->main, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (!r) {
		sqlite3_extended_result_codes(st->main, 1);
		sqlite3_busy_timeout(st->main, 5000);
		r = sqlite_version(st->main, &version);
	}
	if (!r && version > SQLITE_VERSION_OF_STORE) {
		snprintf(
			why, why_len,
			"%s was written by a newer skyfall (its format is %d, this program reads %d); use that one or another "
			"--data folder",
			st->path, version, SQLITE_VERSION_OF_STORE);
		return -EPROTONOSUPPORT;
	}
	snprintf(sql, sizeof(sql), "PRAGMA user_version=%d", SQLITE_VERSION_OF_STORE);
	if (!r)
		r = sqlite3_exec(st->main, "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL", NULL, NULL, NULL);
	if (!r)
		r = catalog_create(st->main);
	if (!r)
		r = sqlite3_exec(st->main, sql, NULL, NULL, NULL);
	if (!r)
		r = dict_open(&st->dict, st->main);
	if (r) {
		int err = sqlite_fail(st, st->main, r, "opening skyfall.db");

		snprintf(why, why_len, err == -ENOSPC ? "%s" : "%s; if the file is damaged move it away", st->s.error);
		return err;
	}
	return 0;
}

/* The newest interval of the newest files. */
static void sqlite_load_newest(struct sqlite *st)
{
	for (unsigned i = 0; i < DAY_OPEN; i++) {
		struct day *d = &st->days[i];
		sqlite3_stmt *q;

		if (!d->db || d->id.kind != COLUMNS_EDGES || d->id.tier != STORE_FINE ||
		    sqlite3_prepare_v2(d->db, "SELECT max(interval) FROM edges", -1, &q, NULL))
			continue;
		if (sqlite3_step(q) == SQLITE_ROW && sqlite3_column_int64(q, 0) > st->newest)
			st->newest = (uint32_t)sqlite3_column_int64(q, 0);
		sqlite3_finalize(q);
	}
}

/* Once an hour: hosts and names nobody needs any more. */
static int sqlite_forget(struct sqlite *st, uint32_t now_s)
{
	uint32_t keep = 0;
	unsigned n;
	int r;

	for (unsigned t = 0; t < STORE_TIERS; t++)
		if (st->s.opts.keep_s[t] > keep)
			keep = st->s.opts.keep_s[t];
	keep += 2 * DAY_SECONDS;
	if (now_s < keep)
		return 0;
	r = sqlite_main_begin(st);
	if (!r)
		r = catalog_forget(st, now_s - keep);
	if (!r) {
		r = dict_forget(st->dict, (now_s - keep) / DAY_SECONDS, 10000, &n);
		if (r)
			r = sqlite_fail(st, st->main, r, "forgetting names");
	}
	if (!r)
		r = sqlite_main_commit(st);
	if (r)
		sqlite_rollback(st);
	return r;
}

static int sqlite_maintain(struct store *s, uint32_t now_s)
{
	struct sqlite *st = (struct sqlite *)s;
	uint32_t minute = now_s - now_s % 60;
	int r;

	r = sqlite_roll(st, now_s);
	if (r)
		return r;
	if (st->swept == minute)
		return 0;
	r = marks_retain(st, now_s);
	if (!r && now_s / 3600 != st->swept / 3600)
		r = sqlite_forget(st, now_s);
	st->swept = minute;
	return r;
}

static uint32_t sqlite_newest(struct store *s)
{
	struct sqlite *st = (struct sqlite *)s;
	uint32_t v;

	pthread_mutex_lock(&st->lock);
	v = st->newest;
	pthread_mutex_unlock(&st->lock);
	return v;
}

static void sqlite_close(struct store *s)
{
	struct sqlite *st = (struct sqlite *)s;

	if (st->main)
		sqlite_rollback(st);
	for (unsigned i = 0; i < DAY_OPEN; i++)
		day_close(&st->days[i]);
	dict_close(st->dict);
	sqlite3_close_v2(st->main);
	if (st->lock_fd >= 0)
		close(st->lock_fd);
	tiers_deinit(&st->tiers);
	pthread_rwlock_destroy(&st->files);
	pthread_mutex_destroy(&st->lock);
	free(st->path);
	free(st);
}

int sqlite_open(struct store **ret, const char *path, const struct store_opts *opts, char *why, size_t why_len)
{
	static const struct store_ops ops = {.close = sqlite_close,
					     .append = sqlite_append,
					     .maintain = sqlite_maintain,
					     .newest = sqlite_newest,
					     .query_open = sqlite_query_open};
	struct sqlite *st = calloc(1, sizeof(*st));
	int r;

	if (!st)
		return -ENOMEM;
	r = store_init(&st->s, &ops, opts, why, why_len);
	if (r) {
		free(st);
		return r;
	}
	st->lock_fd = -1;
	tiers_init(&st->tiers);
	pthread_rwlock_init(&st->files, NULL);
	pthread_mutex_init(&st->lock, NULL);
	st->path = strdup(path);
	r = st->path ? sqlite_lock(st, why, why_len) : -ENOMEM;
	if (!r)
		r = sqlite_open_main(st, why, why_len);
	if (!r) {
		r = marks_load(st);
		if (r)
			snprintf(why, why_len, "%s; if the file is damaged move it away", st->s.error);
	}
	if (r) {
		sqlite_close(&st->s);
		return r;
	}
	sqlite_load_newest(st);
	*ret = &st->s;
	return 0;
}

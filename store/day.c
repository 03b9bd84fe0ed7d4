/* SPDX-License-Identifier: Apache-2.0 */
#include "store/day.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/table.h"
#include "store/tiers.h"

void day_path(const char *folder, const struct day_id *id, char *dst, size_t size)
{
	time_t t = (time_t)id->day * DAY_SECONDS;
	struct tm tm;

	gmtime_r(&t, &tm);
	snprintf(dst, size, "%s/%s-%s-%04d-%02d-%02d.db", folder, columns_table(id->kind), tiers_names[id->tier],
		 tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
}

bool day_parse(const char *name, struct day_id *ret)
{
	char kind[16], tier[8], again[64];
	struct day_id id = {0};
	struct tm tm = {0};
	int end = -1;

	if (sscanf(name, "%15[a-z]-%7[a-z0-9]-%4d-%2d-%2d.db%n", kind, tier, &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		   &end) != 5 ||
	    end < 0 || name[end])
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	for (id.kind = 0; id.kind < COLUMNS_KINDS && strcmp(kind, columns_table(id.kind)); id.kind++)
		;
	for (id.tier = 0; id.tier < STORE_TIERS && strcmp(tier, tiers_names[id.tier]); id.tier++)
		;
	if (id.kind == COLUMNS_KINDS || id.tier == STORE_TIERS || tm.tm_year < 70 || tm.tm_year > 300)
		return false;
	id.day = (uint32_t)(timegm(&tm) / DAY_SECONDS);
	/* Only what we would write ourselves: no 31st of February. */
	day_path(".", &id, again, sizeof(again));
	if (strcmp(again + 2, name))
		return false;
	*ret = id;
	return true;
}

int day_errno(sqlite3 *db, int sqlite)
{
	int system = db ? sqlite3_system_errno(db) : 0;

	/* SQLite knows a full disk, but not a full quota or the limit of a file's size; what write() said is still there. */
	if (!system)
		system = errno;
	switch (sqlite & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
		if (system == ENOSPC || system == EDQUOT || system == EFBIG)
			return -ENOSPC;
		if (system == EACCES || system == EROFS || system == EPERM)
			return -EACCES;
		/* A shared-memory file that cannot grow has no error number of its own. */
		return sqlite == SQLITE_IOERR_SHMSIZE ? -ENOSPC : -EIO;
	default:
		return -EIO;
	}
}

static int day_setup(const struct columns *c, struct day *d)
{
	struct buf sql;
	int r;

	buf_init(&sql, 0);
	r = sqlite3_exec(d->db,
			 "PRAGMA page_size=8192;PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;"
			 "PRAGMA cache_size=-8000;PRAGMA journal_size_limit=33554432;"
			 "CREATE TABLE IF NOT EXISTS dirty(bucket INTEGER PRIMARY KEY)",
			 NULL, NULL, NULL);
	if (r)
		goto out;
	columns_create(c, d->id.kind, &sql);
	r = sqlite3_exec(d->db, buf_text(&sql), NULL, NULL, NULL);
	if (r)
		goto out;
	r = columns_grow(c, d->id.kind, d->db);
	if (r)
		goto out;
	buf_clear(&sql);
	if (d->id.kind == COLUMNS_LEDGER)
		buf_printf(&sql,
			   "INSERT OR REPLACE INTO ledger(interval,role,instance,boot,interval_s,rows_in,rows_out,"
			   "lost,info)VALUES(?,?,?,?,?,?,?,?,?)");
	else
		columns_insert(c, d->id.kind, d->id.tier == STORE_FINE ? "IGNORE" : "REPLACE", &sql);
	if (sql.err) {
		r = SQLITE_NOMEM;
		goto out;
	}
	r = sqlite3_prepare_v3(d->db, buf_text(&sql), -1, SQLITE_PREPARE_PERSISTENT, &d->insert, NULL);
	if (!r)
		r = sqlite3_prepare_v3(d->db, "INSERT OR IGNORE INTO dirty VALUES(?)", -1, SQLITE_PREPARE_PERSISTENT,
				       &d->mark, NULL);
out:
	buf_deinit(&sql);
	return r;
}

int day_open_write(const struct columns *c, const char *folder, const struct day_id *id, struct day *ret)
{
	struct day d = {.id = *id};
	char path[4352];
	int r;

	day_path(folder, id, path, sizeof(path));
	r = sqlite3_open_v2(path, &d.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (!r) {
		sqlite3_extended_result_codes(d.db, 1);
		sqlite3_busy_timeout(d.db, 5000);
		r = day_setup(c, &d);
	}
	if (r) {
		int err = day_errno(d.db, r);

		day_close(&d);
		/* The result code must not lose what the system said. */
		return err == -ENOSPC ? SQLITE_FULL : r;
	}
	*ret = d;
	return SQLITE_OK;
}

/* The writer is just making the file: its table comes with the first transaction. */
static int day_has_table(const struct day *d)
{
	sqlite3_stmt *st;
	int r = sqlite3_prepare_v2(d->db, "SELECT 1 FROM sqlite_master WHERE type='table' AND name=?", -1, &st, NULL);

	if (r)
		return r;
	sqlite3_bind_text(st, 1, columns_table(d->id.kind), -1, SQLITE_STATIC);
	r = sqlite3_step(st);
	sqlite3_finalize(st);
	return r == SQLITE_ROW ? SQLITE_OK : r == SQLITE_DONE ? SQLITE_CANTOPEN : r;
}

int day_open_read(const char *folder, const struct day_id *id, struct day *ret)
{
	struct day d = {.id = *id};
	char path[4352];
	int r;

	day_path(folder, id, path, sizeof(path));
	if (access(path, R_OK))
		return SQLITE_CANTOPEN;
	r = sqlite3_open_v2(path, &d.db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
	if (r) {
		day_close(&d);
		return r;
	}
	sqlite3_extended_result_codes(d.db, 1);
	sqlite3_busy_timeout(d.db, 5000);
	sqlite3_exec(d.db, "PRAGMA cache_size=-4000", NULL, NULL, NULL);
	r = day_has_table(&d);
	if (r) {
		day_close(&d);
		return r;
	}
	*ret = d;
	return SQLITE_OK;
}

void day_close(struct day *d)
{
	if (d->in_tx)
		(void)sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_finalize(d->insert);
	sqlite3_finalize(d->mark);
	sqlite3_close_v2(d->db);
	*d = (struct day){0};
}

int day_each(const char *folder, int (*fn)(void *arg, const struct day_id *id), void *arg)
{
	DIR *dir = opendir(folder);
	struct dirent *e;
	int r = 0;

	if (!dir)
		return -errno;
	while (!r && (e = readdir(dir))) {
		struct day_id id;

		if (day_parse(e->d_name, &id))
			r = fn(arg, &id);
	}
	closedir(dir);
	return r;
}

void day_unlink(const char *folder, const struct day_id *id)
{
	char path[4352];
	size_t n;

	day_path(folder, id, path, sizeof(path) - 8);
	n = strlen(path);
	unlink(path);
	strcpy(path + n, "-wal");
	unlink(path);
	strcpy(path + n, "-shm");
	unlink(path);
}

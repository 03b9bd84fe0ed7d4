/* SPDX-License-Identifier: Apache-2.0 */
/* Day files: one SQLite file per kind of row, tier and UTC day. */
#pragma once

#include <sqlite3.h>

#include "store/columns.h"
#include "store/store.h"

#define DAY_SECONDS 86400u
#define DAY_OPEN 12 /* files kept open by a writer or reader */

struct day_id {
	enum columns_kind kind;
	enum store_tier tier;
	uint32_t day; /* since 1970 */
};

/* "<folder>/edges-fine-2026-11-23.db" */
void day_path(const char *folder, const struct day_id *id, char *dst, size_t size);
/* The id of a file name (without folder); false for anything else, "-wal" and "-shm" included. */
bool day_parse(const char *name, struct day_id *ret);

/* An open day file. */
struct day {
	struct day_id id;
	sqlite3 *db;
	sqlite3_stmt *insert; /* writer: OR IGNORE in the finest tier, OR REPLACE above; ledger: OR REPLACE */
	sqlite3_stmt *mark;   /* writer: a bucket of the tier above must be made again */
	bool in_tx;
	uint32_t marked; /* last bucket marked in this transaction; 0: none */
	uint64_t used;   /* for closing the one not used longest */
};

/* For the writer: made when it is not there, columns added that it lacks. SQLite's result code. */
int day_open_write(const struct columns *c, const char *folder, const struct day_id *id, struct day *ret);
/* Read only. SQLITE_CANTOPEN: there is none, or nothing was ever committed to it. */
int day_open_read(const char *folder, const struct day_id *id, struct day *ret);
void day_close(struct day *d); /* rolls back what is open */

/* Calls fn for every day file in the folder. -errno of the folder, or what fn returned first. */
int day_each(const char *folder, int (*fn)(void *arg, const struct day_id *id), void *arg);

/* Removes the file and its side files. */
void day_unlink(const char *folder, const struct day_id *id);

/* -ENOSPC, -EROFS, -EACCES, -EBUSY, -ENOMEM, else -EIO. */
int day_errno(sqlite3 *db, int sqlite);

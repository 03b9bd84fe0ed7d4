/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the SQLite store: what its files share. Nobody outside store/ includes this. */
#pragma once

#include <pthread.h>

#include "store/day.h"
#include "store/dict.h"
#include "store/ops.h"

#define SQLITE_VERSION_OF_STORE 1 /* user_version of skyfall.db; a newer one is refused */

struct sqlite {
	struct store s;
	char *path;
	int lock_fd;

	/* The writer's own. */
	sqlite3 *main;
	bool main_tx;
	struct dict *dict;
	struct day days[DAY_OPEN];
	uint64_t clock;                             /* of days[].used */
	uint32_t swept;                             /* when retention last looked, s */
	uint32_t floor[COLUMNS_KINDS][STORE_TIERS]; /* days before this one were removed: never begun again */

	/* Held for reading while a query has files open, for writing while retention removes some. */
	pthread_rwlock_t files;
	/* Guards the rest. */
	pthread_mutex_t lock;
	struct tiers tiers;
	uint32_t newest;
	unsigned generation; /* files were removed: readers reopen */
};

int sqlite_open(struct store **ret, const char *path, const struct store_opts *opts, char *why, size_t why_len);
int sqlite_append(struct store *s, const struct store_batch *b);

/* Notes text for store_error(); returns -errno. db may be NULL. */
int sqlite_fail(struct sqlite *st, sqlite3 *db, int sqlite, const char *what);

/* The writer's open day file, opened or made if need be. -errno. */
int sqlite_day(struct sqlite *st, enum columns_kind kind, enum store_tier tier, uint32_t day, struct day **ret);
int sqlite_begin(struct sqlite *st, struct day *d);
int sqlite_commit(struct sqlite *st, struct day *d);

int sqlite_main_begin(struct sqlite *st);
int sqlite_main_commit(struct sqlite *st);
void sqlite_rollback(struct sqlite *st); /* all that is open */

/* meta of skyfall.db: a number under a name; 0 when absent. */
uint32_t sqlite_meta(struct sqlite *st, const char *key);
int sqlite_meta_set(struct sqlite *st, const char *key, uint32_t value);

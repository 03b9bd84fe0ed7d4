/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the SQLite store: what its files share. Nobody outside store/ includes this. */
#pragma once

#include <pthread.h>

#include "store/columns.h"
#include "store/day.h"
#include "store/dict.h"
#include "store/store.h"

#define SQLITE_VERSION_OF_STORE 1 /* user_version of skyfall.db; a newer one is refused */

/* Start times of buckets of the tier above that must be made again. Sorted. */
struct dirty {
	uint32_t *v;
	size_t n, cap;
};

struct store {
	char *path;
	struct store_opts opts;
	struct columns columns;
	int lock_fd;

	/* The writer's own. */
	sqlite3 *main;
	bool main_tx;
	struct dict *dict;
	struct day days[DAY_OPEN];
	uint64_t clock;                             /* of days[].used */
	uint32_t swept;                             /* when retention last looked, s */
	uint32_t floor[COLUMNS_KINDS][STORE_TIERS]; /* days before this one were removed: never begun again */
	struct store_stats stats;
	char error[512];

	/* Held for reading while a query has files open, for writing while retention removes some. */
	pthread_rwlock_t files;
	/* Guards the rest. */
	pthread_mutex_t lock;
	struct dirty dirty[COLUMNS_KINDS][STORE_TIERS];
	uint32_t oldest[COLUMNS_KINDS][STORE_TIERS]; /* day of the oldest file; UINT32_MAX: none */
	uint32_t newest;
	unsigned generation; /* files were removed: readers reopen */
};

/* Notes text for store_error(); returns -errno. db may be NULL. */
int sqlite_fail(struct store *st, sqlite3 *db, int sqlite, const char *what);

/* The writer's open day file, opened or made if need be. -errno. */
int sqlite_day(struct store *st, enum columns_kind kind, enum store_tier tier, uint32_t day, struct day **ret);
int sqlite_begin(struct store *st, struct day *d);
int sqlite_commit(struct store *st, struct day *d);

int sqlite_main_begin(struct store *st);
int sqlite_main_commit(struct store *st);
void sqlite_rollback(struct store *st); /* all that is open */

/* meta of skyfall.db: a number under a name; 0 when absent. */
uint32_t sqlite_meta(struct store *st, const char *key);
int sqlite_meta_set(struct store *st, const char *key, uint32_t value);

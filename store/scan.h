/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the reading side: files of a cover, and rows out of them. */
#pragma once

#include "store/cover.h"
#include "store/query.h"

struct store_query {
	struct store *st;
	sqlite3 *main;
	sqlite3_stmt *one; /* of names_one(), prepared once: as dear as the look-up itself */
	struct day days[DAY_OPEN];
	uint64_t clock;
	unsigned generation;
	struct store_arena *names; /* of store_name() */
	char error[512];
};

int scan_fail(struct store_query *q, sqlite3 *db, int sqlite);

/* Around every question: files stay while it runs. */
void scan_begin(struct store_query *q);
void scan_end(struct store_query *q);

/* The connection to skyfall.db. -errno. */
int scan_main(struct store_query *q, sqlite3 **ret);

/* Calls fn for the rows of the cover. columns NULL: all, to be read by columns_read(); else this text after SELECT.
 * With few edges named the rows are looked up one by one; with many all rows are walked: fn looks at the edge itself.
 * fn returns 0 to go on, else scan returns it. */
int scan_rows(struct store_query *q, enum columns_kind kind, const struct cover *c, const char *columns,
	      const uint64_t *edges, size_t n_edges, int (*fn)(void *arg, sqlite3_stmt *st), void *arg);

/* --- texts that live as long as an answer */
struct store_arena {
	struct store_arena *next;
	size_t used, size;
	char text[];
};

/* A copy of s in the arena. False: no memory. */
bool arena_copy(struct store_arena **a, struct str s, struct str *ret);
void arena_free(struct store_arena *a);

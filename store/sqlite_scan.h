/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the SQLite store's reading side: files of a cover, and rows out of them. */
#pragma once

#include "store/sqlite.h"

struct sqlite_query {
	struct store_query q;
	struct sqlite *st;
	sqlite3 *main;
	sqlite3_stmt *one; /* of sqlite_names_of(), prepared once: as dear as the look-up itself */
	struct day days[DAY_OPEN];
	uint64_t clock;
	unsigned generation;
};

int scan_fail(struct sqlite_query *q, sqlite3 *db, int sqlite);

/* Around every question: files stay while it runs. */
int scan_begin(struct store_query *q, uint32_t from, uint32_t to);
void scan_end(struct store_query *q);

/* The connection to skyfall.db. -errno. */
int scan_main(struct sqlite_query *q, sqlite3 **ret);

/* Calls fn for the rows of the cover. columns NULL: all, to be read by columns_read(); else this text after SELECT.
 * With few edges named the rows are looked up one by one; with many all rows are walked: fn looks at the edge itself.
 * fn returns 0 to go on, else scan returns it. */
int scan_rows(struct sqlite_query *q, enum columns_kind kind, const struct cover *c, const char *columns,
	      const uint64_t *edges, size_t n_edges, int (*fn)(void *arg, sqlite3_stmt *st), void *arg);

int sqlite_query_open(struct store_query **ret, struct store *st);

/* Ops of other files than sqlite_scan.c. */
int sqlite_names(struct store_query *q, const struct store_filter *f, names_fn *fn, void *arg);
int sqlite_names_of(struct store_query *q, const uint64_t *edges, size_t n, names_fn *fn, void *arg);
int sqlite_service_known(struct store_query *q, struct str service, bool *ret);
int sqlite_hosts(struct store_query *q, int (*fn)(void *arg, const struct flow_host *h), void *arg);
int sqlite_listeners(struct store_query *q, int (*fn)(void *arg, const struct flow_listener *l), void *arg);
int sqlite_ledgers(struct store_query *q, uint32_t from, uint32_t to, const char *role,
		   int (*fn)(void *arg, const struct flow_ledger *l), void *arg);
int sqlite_counts(struct store_query *q, uint32_t from, uint32_t to, struct store_count *ret);

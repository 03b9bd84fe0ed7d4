/* SPDX-License-Identifier: Apache-2.0 */
/* The columns of a stored row, made from flow/fields.def: every field in every view that can have it. */
#pragma once

#include <sqlite3.h>

#include "base/buf.h"
#include "flow/msg.h"

#define COLUMNS_MAX (FLOW_FIELDS * FLOW_VIEWS)
#define COLUMNS_HIST_MAX (1 + FLOW_BUCKETS * 5) /* bytes of a histogram at most */

enum columns_kind { COLUMNS_EDGES, COLUMNS_PAIRS, COLUMNS_LEDGER, COLUMNS_KINDS };

struct column {
	char name[64];
	uint8_t view, field;
	bool hist;
};

struct columns {
	struct column v[COLUMNS_MAX];
	unsigned n;
};

void columns_init(struct columns *c);

const char *columns_table(enum columns_kind kind); /* "edges", "pairs", "ledger" */

/* CREATE TABLE of a kind. */
void columns_create(const struct columns *c, enum columns_kind kind, struct buf *sql);

/* INSERT of a row of edges or pairs; `or` is "IGNORE" or "REPLACE". Bound by columns_bind(). */
void columns_insert(const struct columns *c, enum columns_kind kind, const char * or, struct buf *sql);
int columns_bind(const struct columns *c, enum columns_kind kind, sqlite3_stmt *st, const struct flow_edge *e);

/* "SELECT ... FROM table", read by columns_read(). Columns that `db` (an older file) lacks come as 0. */
int columns_select(const struct columns *c, enum columns_kind kind, sqlite3 *db, struct buf *sql);
/* Adds a row's sums, flags and observers to `e`; sets interval, interval_s, id, revision, addresses, scope and via
 * (pointing into the statement) to the row's. */
void columns_read(const struct columns *c, enum columns_kind kind, sqlite3_stmt *st, struct flow_edge *e);

/* ALTER TABLE ADD COLUMN for what the file lacks. SQLite's result code. */
int columns_grow(const struct columns *c, enum columns_kind kind, sqlite3 *db);

enum columns_dialect { COLUMNS_SQLITE, COLUMNS_CLICKHOUSE };

/* SQL of a scalar's best view (see store_best), or of the column called `name`. False: no such sum. */
bool columns_sum(const struct columns *c, enum columns_dialect d, const char *name, struct buf *sql);
const char *columns_sum_name(size_t i);

/* A histogram as bytes: index of the first counter that is not zero, then the counters up to the last such one as LEB128.
 * Nothing for an empty one. Returns the length. */
size_t columns_hist_encode(const uint32_t hist[FLOW_BUCKETS], uint8_t dst[COLUMNS_HIST_MAX]);
/* Adds; counters stop at 2^32 - 1. False: bytes that are no histogram (what could be read was added). */
bool columns_hist_add(const uint8_t *p, size_t n, uint32_t hist[FLOW_BUCKETS]);

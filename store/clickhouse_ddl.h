/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of the ClickHouse store, made from flow/fields.def. */
#pragma once

#include "store/columns.h"
#include "store/tiers.h"

enum clickhouse_table {
	CLICKHOUSE_ROWS, /* edges of each tier, then pairs of each tier */
	CLICKHOUSE_LEDGER = CLICKHOUSE_ROWS + 2 * STORE_TIERS,
	CLICKHOUSE_NAMES,
	CLICKHOUSE_HOSTS,
	CLICKHOUSE_LISTENERS,
	CLICKHOUSE_MARKS,
	CLICKHOUSE_SPANS,
	CLICKHOUSE_TABLES
};

/* Its name, e.g. "edges_fine"; NULL: there is none such (pairs have two tiers). */
const char *clickhouse_table(enum clickhouse_table t);
const char *clickhouse_rows_table(enum columns_kind kind, enum store_tier t);

/* Of one table: "name type" of its columns in their order; fn returns non-zero to stop. */
int clickhouse_columns(const struct columns *c, enum clickhouse_table t,
		       int (*fn)(void *arg, const char *name, const char *type), void *arg);

/* CREATE TABLE, without the end of the statement. cluster: two statements, ';' between; NULL: one server. */
void clickhouse_create(const struct columns *c, enum clickhouse_table t, const char *database, const char *cluster,
		       struct buf *sql);

/* All of it for a person: `skyfall store --print-ddl`. */
void clickhouse_ddl(const char *database, const char *cluster, struct buf *sql);

/* SPDX-License-Identifier: Apache-2.0 */
/* What is not a sum over time: hosts, their addresses, listeners (skyfall.db); and the text form of ledger lines. */
#pragma once

#include "store/sqlite.h"

/* Tables of skyfall.db. SQLite's result code. */
int catalog_create(sqlite3 *db);

/* Writes inside the open transaction of skyfall.db. A record older than what is there changes nothing. -errno. */
int catalog_put_host(struct sqlite *st, const struct flow_host *h);
int catalog_put_listener(struct sqlite *st, const struct flow_listener *l);

/* Forgets hosts and listeners not heard since `before`. -errno. */
int catalog_forget(struct sqlite *st, uint32_t before);

/* Writes into the ledger's day file. -errno. */
int catalog_put_ledger(struct sqlite *st, struct day *d, const struct flow_ledger *l);

/* "name=12 other=3"; names keep letters, digits, '_', '.', '-' and '/', the rest becomes '_'. */
void catalog_counts_format(const struct flow_count *c, unsigned n, struct buf *dst);
/* The reverse; names point into text. Returns how many, at most max. */
unsigned catalog_counts_parse(struct str text, struct flow_count *c, unsigned max);

/* SPDX-License-Identifier: Apache-2.0 */
/* The dictionary edge id -> names, table `names` of skyfall.db, and which of them the writer knows to be there. */
#pragma once

#include <sqlite3.h>

#include "flow/msg.h"

struct dict;

/* Loads the ids. The table is there. SQLite's result code. */
int dict_open(struct dict **ret, sqlite3 *db);
void dict_close(struct dict *d);

/* True when the id was written on that day or later: nothing to do. */
bool dict_known(const struct dict *d, uint64_t edge, uint32_t day);

/* Writes name and day inside the caller's transaction. Known only after dict_commit(). */
int dict_put(struct dict *d, const struct flow_edge *e, uint32_t day);
int dict_commit(struct dict *d); /* SQLITE_OK or SQLITE_NOMEM */
void dict_abort(struct dict *d);

/* Forgets names not seen since `day`, inside the caller's transaction; at most `max` of them. */
int dict_forget(struct dict *d, uint32_t day, unsigned max, unsigned *ret_n);

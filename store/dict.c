/* SPDX-License-Identifier: Apache-2.0 */
#include "store/dict.h"

#include <stdlib.h>

#include "store/known.h"

struct dict {
	sqlite3 *db;
	sqlite3_stmt *put;
	struct known *known;
};

static int dict_load(struct dict *d)
{
	sqlite3_stmt *st = NULL;
	int r;

	known_clear(d->known);
	r = sqlite3_prepare_v2(d->db, "SELECT edge, day FROM names", -1, &st, NULL);
	if (r)
		return r;
	while ((r = sqlite3_step(st)) == SQLITE_ROW)
		if (known_set(d->known, (uint64_t)sqlite3_column_int64(st, 0), (uint32_t)sqlite3_column_int64(st, 1))) {
			r = SQLITE_NOMEM;
			break;
		}
	sqlite3_finalize(st);
	return r == SQLITE_DONE ? SQLITE_OK : r;
}

int dict_open(struct dict **ret, sqlite3 *db)
{
	struct dict *d = calloc(1, sizeof(*d));
	int r = SQLITE_NOMEM;

	if (!d)
		return r;
	d->db = db;
	d->known = known_new();
	r = d->known ? dict_load(d) : SQLITE_NOMEM;
	if (!r)
		r = sqlite3_prepare_v3(
			db,
			"INSERT INTO names(edge,net,client_service,client_zone,server_service,server_zone,"
			"protocol,port,day)VALUES(?,?,?,?,?,?,?,?,?)"
			"ON CONFLICT(edge) DO UPDATE SET day=max(day,excluded.day)",
			-1, SQLITE_PREPARE_PERSISTENT, &d->put, NULL);
	if (r) {
		dict_close(d);
		return r;
	}
	*ret = d;
	return SQLITE_OK;
}

void dict_close(struct dict *d)
{
	if (!d)
		return;
	sqlite3_finalize(d->put);
	known_free(d->known);
	free(d);
}

bool dict_known(const struct dict *d, uint64_t edge, uint32_t day)
{
	return known_has(d->known, edge, day);
}

static void dict_text(sqlite3_stmt *st, int i, struct str s)
{
	sqlite3_bind_text(st, i, s.n ? s.p : "", (int)s.n, SQLITE_STATIC);
}

int dict_put(struct dict *d, const struct flow_edge *e, uint32_t day)
{
	const struct flow_edge_name *n = &e->name;
	int r;

	if (known_pending(d->known, e->id, day))
		return SQLITE_OK;
	sqlite3_bind_int64(d->put, 1, (sqlite3_int64)e->id);
	dict_text(d->put, 2, n->net);
	dict_text(d->put, 3, n->client_service);
	dict_text(d->put, 4, n->client_zone);
	dict_text(d->put, 5, n->server_service);
	dict_text(d->put, 6, n->server_zone);
	sqlite3_bind_int(d->put, 7, n->protocol);
	sqlite3_bind_int(d->put, 8, n->port);
	sqlite3_bind_int64(d->put, 9, day);
	r = sqlite3_step(d->put);
	sqlite3_reset(d->put);
	if (r != SQLITE_DONE)
		return r;
	return known_note(d->known, e->id, day) ? SQLITE_NOMEM : SQLITE_OK;
}

int dict_commit(struct dict *d)
{
	return known_commit(d->known) ? SQLITE_NOMEM : SQLITE_OK;
}

void dict_abort(struct dict *d)
{
	if (d)
		known_abort(d->known);
}

int dict_forget(struct dict *d, uint32_t day, unsigned max, unsigned *ret_n)
{
	sqlite3_stmt *st;
	int r;

	*ret_n = 0;
	r = sqlite3_prepare_v2(d->db, "DELETE FROM names WHERE edge IN (SELECT edge FROM names WHERE day<? LIMIT ?)",
			       -1, &st, NULL);
	if (r)
		return r;
	sqlite3_bind_int64(st, 1, day);
	sqlite3_bind_int64(st, 2, max);
	r = sqlite3_step(st);
	sqlite3_finalize(st);
	if (r != SQLITE_DONE)
		return r;
	*ret_n = (unsigned)sqlite3_changes(d->db);
	return *ret_n ? dict_load(d) : SQLITE_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "store/dict.h"

#include <stdlib.h>

/* id -> day, open addressing, linear; id 0 marks a free slot, edge 0 has a place of its own (index cap). */
struct dict_slot {
	uint64_t edge;
	uint32_t day;
};

struct dict {
	sqlite3 *db;
	sqlite3_stmt *put;
	struct dict_slot *slots, *pending;
	size_t cap, n, n_pending, cap_pending;
	bool has_zero;
	uint32_t zero_day;
};

static struct dict_slot *dict_slot(const struct dict *d, struct dict_slot *slots, size_t cap, uint64_t edge)
{
	size_t i = edge & (cap - 1);

	while (slots[i].edge && slots[i].edge != edge)
		i = (i + 1) & (cap - 1);
	return &slots[i];
}

static int dict_reserve(struct dict *d, size_t n)
{
	size_t cap = d->cap ? d->cap : 1024;
	struct dict_slot *slots;

	while (n * 4 > cap * 3)
		cap *= 2;
	if (cap == d->cap)
		return SQLITE_OK;
	slots = calloc(cap, sizeof(*slots));
	if (!slots)
		return SQLITE_NOMEM;
	for (size_t i = 0; i < d->cap; i++)
		if (d->slots[i].edge)
			*dict_slot(d, slots, cap, d->slots[i].edge) = d->slots[i];
	free(d->slots);
	d->slots = slots;
	d->cap = cap;
	return SQLITE_OK;
}

static int dict_set(struct dict *d, uint64_t edge, uint32_t day)
{
	struct dict_slot *s;
	int r;

	if (!edge) {
		d->has_zero = true;
		d->zero_day = day;
		return SQLITE_OK;
	}
	r = dict_reserve(d, d->n + 1);
	if (r)
		return r;
	s = dict_slot(d, d->slots, d->cap, edge);
	d->n += !s->edge;
	*s = (struct dict_slot){edge, day};
	return SQLITE_OK;
}

static int dict_load(struct dict *d)
{
	sqlite3_stmt *st = NULL;
	int r;

	d->n = 0;
	d->has_zero = false;
	free(d->slots);
	d->slots = NULL;
	d->cap = 0;
	r = dict_reserve(d, 1);
	if (!r)
		r = sqlite3_prepare_v2(d->db, "SELECT edge, day FROM names", -1, &st, NULL);
	if (r)
		return r;
	while (!r && (r = sqlite3_step(st)) == SQLITE_ROW)
		r = dict_set(d, (uint64_t)sqlite3_column_int64(st, 0), (uint32_t)sqlite3_column_int64(st, 1));
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
	r = dict_load(d);
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
	free(d->slots);
	free(d->pending);
	free(d);
}

bool dict_known(const struct dict *d, uint64_t edge, uint32_t day)
{
	const struct dict_slot *s;

	if (!edge)
		return d->has_zero && d->zero_day >= day;
	s = dict_slot(d, d->slots, d->cap, edge);
	return s->edge && s->day >= day;
}

static void dict_text(sqlite3_stmt *st, int i, struct str s)
{
	sqlite3_bind_text(st, i, s.n ? s.p : "", (int)s.n, SQLITE_STATIC);
}

int dict_put(struct dict *d, const struct flow_edge *e, uint32_t day)
{
	const struct flow_edge_name *n = &e->name;
	int r;

	for (size_t i = d->n_pending; i-- > 0;)
		if (d->pending[i].edge == e->id && d->pending[i].day >= day)
			return SQLITE_OK;
		else if (d->n_pending - i > 64)
			break; /* twice costs little */
	if (d->n_pending == d->cap_pending) {
		size_t cap = d->cap_pending ? d->cap_pending * 2 : 256;
		struct dict_slot *p = realloc(d->pending, cap * sizeof(*p));

		if (!p)
			return SQLITE_NOMEM;
		d->pending = p;
		d->cap_pending = cap;
	}
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
	d->pending[d->n_pending++] = (struct dict_slot){e->id, day};
	return SQLITE_OK;
}

int dict_commit(struct dict *d)
{
	int r = SQLITE_OK;

	for (size_t i = 0; !r && i < d->n_pending; i++)
		if (!dict_known(d, d->pending[i].edge, d->pending[i].day))
			r = dict_set(d, d->pending[i].edge, d->pending[i].day);
	d->n_pending = 0;
	return r;
}

void dict_abort(struct dict *d)
{
	if (d)
		d->n_pending = 0;
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

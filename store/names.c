/* SPDX-License-Identifier: Apache-2.0 */
#include "store/names.h"

#include <errno.h>
#include <stdlib.h>

static struct str name_text(sqlite3_stmt *st, int i)
{
	const char *p = (const char *)sqlite3_column_text(st, i);

	return (struct str){p, p ? (size_t)sqlite3_column_bytes(st, i) : 0};
}

#define NAMES_SELECT "SELECT edge,net,client_service,client_zone,server_service,server_zone,protocol,port FROM names"

static bool name_read(sqlite3_stmt *st, struct store_arena **a, struct flow_edge_name *ret)
{
	ret->protocol = (uint8_t)sqlite3_column_int(st, 6);
	ret->port = (uint16_t)sqlite3_column_int(st, 7);
	return arena_copy(a, name_text(st, 1), &ret->net) && arena_copy(a, name_text(st, 2), &ret->client_service) &&
	       arena_copy(a, name_text(st, 3), &ret->client_zone) &&
	       arena_copy(a, name_text(st, 4), &ret->server_service) &&
	       arena_copy(a, name_text(st, 5), &ret->server_zone);
}

/* The members of a name that all edges of a group share; the rest is emptied. */
static void group_name(enum store_group g, struct flow_edge_name *n)
{
	struct flow_edge_name k = {0};

	switch (g) {
	case STORE_BY_SERVICES:
		k.client_service = n->client_service;
		k.server_service = n->server_service;
		break;
	case STORE_BY_CLIENT:
		k.client_service = n->client_service;
		break;
	case STORE_BY_SERVER:
		k.server_service = n->server_service;
		break;
	case STORE_BY_ZONES:
		k.client_zone = n->client_zone;
		k.server_zone = n->server_zone;
		break;
	default:
		return;
	}
	*n = k;
}

static int name_order(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	return x->edge != y->edge ? (x->edge < y->edge ? -1 : 1) : 0;
}

static int name_group_order(const void *a, const void *b)
{
	const struct flow_edge_name *x = &(*(struct name *const *)a)->name, *y = &(*(struct name *const *)b)->name;
	int r = str_cmp(x->client_service, y->client_service);

	if (!r)
		r = str_cmp(x->server_service, y->server_service);
	if (!r)
		r = str_cmp(x->client_zone, y->client_zone);
	return r ? r : str_cmp(x->server_zone, y->server_zone);
}

/* Numbers the groups: equal names, equal number. */
static int names_group(struct names *x, enum store_group group)
{
	struct name **v = malloc((x->n + 1) * sizeof(*v));

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < x->n; i++) {
		group_name(group, &x->v[i].name);
		v[i] = &x->v[i];
	}
	qsort(v, x->n, sizeof(*v), name_group_order);
	for (size_t i = 0; i < x->n; i++) {
		if (!i || name_group_order(&v[i - 1], &v[i]))
			x->groups++;
		v[i]->group = x->groups - 1;
	}
	free(v);
	return 0;
}

static void filter_sql(const struct store_filter *f, struct buf *sql)
{
	const char *sep = " WHERE ";

	if (f->edge) {
		buf_printf(sql, "%sedge=%lld", sep, (long long)f->edge);
		sep = " AND ";
	}
	if (f->net) {
		buf_printf(sql, "%snet=:net", sep);
		sep = " AND ";
	}
	if (f->service.p) {
		buf_printf(sql, "%s(client_service=:service OR server_service=:service)", sep);
		sep = " AND ";
	}
	if (f->client_service.p) {
		buf_printf(sql, "%sclient_service=:client", sep);
		sep = " AND ";
	}
	if (f->server_service.p) {
		buf_printf(sql, "%sserver_service=:server", sep);
		sep = " AND ";
	}
	if (f->zone.p) {
		buf_printf(sql, "%s(client_zone=:zone OR server_zone=:zone)", sep);
		sep = " AND ";
	}
	if (f->port) {
		buf_printf(sql, "%sport=%u", sep, f->port);
		sep = " AND ";
	}
	if (f->protocol)
		buf_printf(sql, "%sprotocol=%u", sep, f->protocol);
}

static void filter_bind(sqlite3_stmt *st, const char *name, struct str s)
{
	int i = sqlite3_bind_parameter_index(st, name);

	if (i)
		sqlite3_bind_text(st, i, s.n ? s.p : "", (int)s.n, SQLITE_STATIC);
}

bool names_filtered(const struct store_filter *f)
{
	return f->net || f->service.p || f->client_service.p || f->server_service.p || f->zone.p || f->port ||
	       f->protocol || f->edge;
}

static int names_add(struct names *x, struct store_arena **a, sqlite3_stmt *st)
{
	struct name *n;

	if (x->n == x->cap) {
		size_t cap = x->cap ? x->cap * 2 : 256;
		struct name *v = realloc(x->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		x->v = v;
		x->cap = cap;
	}
	n = &x->v[x->n];
	*n = (struct name){.edge = (uint64_t)sqlite3_column_int64(st, 0)};
	if (!name_read(st, a, &n->name))
		return -ENOMEM;
	x->n++;
	return 0;
}

int names_load(struct store_query *q, const struct store_filter *f, enum store_group group, struct store_arena **a,
	       struct names *ret)
{
	sqlite3_stmt *st = NULL;
	sqlite3 *db;
	struct buf sql;
	int r;

	r = scan_main(q, &db);
	if (r)
		return r;
	buf_init(&sql, 0);
	buf_printf(&sql, NAMES_SELECT);
	filter_sql(f, &sql);
	r = sqlite3_prepare_v2(db, buf_text(&sql), -1, &st, NULL);
	buf_deinit(&sql);
	if (r)
		return scan_fail(q, db, r);
	if (f->net)
		filter_bind(st, ":net", *f->net);
	filter_bind(st, ":service", f->service);
	filter_bind(st, ":client", f->client_service);
	filter_bind(st, ":server", f->server_service);
	filter_bind(st, ":zone", f->zone);
	while ((r = sqlite3_step(st)) == SQLITE_ROW) {
		r = names_add(ret, a, st);
		if (r)
			goto out;
	}
	r = r == SQLITE_DONE ? 0 : scan_fail(q, db, r);
out:
	sqlite3_finalize(st);
	if (r)
		return r;
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), name_order);
	return group == STORE_BY_EDGE ? 0 : names_group(ret, group);
}

void names_deinit(struct names *n)
{
	free(n->v);
	*n = (struct names){0};
}

const struct name *names_get(const struct names *n, uint64_t edge)
{
	struct name key = {.edge = edge};

	return n->n ? bsearch(&key, n->v, n->n, sizeof(*n->v), name_order) : NULL;
}

int names_begin(struct store_query *q)
{
	sqlite3 *db;
	int r;

	r = scan_main(q, &db);
	if (r)
		return r;
	r = sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
	return r ? scan_fail(q, db, r) : 0;
}

void names_end(struct store_query *q)
{
	(void)sqlite3_exec(q->main, "COMMIT", NULL, NULL, NULL);
}

int names_one(struct store_query *q, uint64_t edge, struct store_arena **a, struct flow_edge_name *ret)
{
	sqlite3 *db;
	int r;

	r = scan_main(q, &db);
	if (r)
		return r;
	if (!q->one) {
		r = sqlite3_prepare_v2(db, NAMES_SELECT " WHERE edge=?", -1, &q->one, NULL);
		if (r)
			return scan_fail(q, db, r);
	}
	sqlite3_bind_int64(q->one, 1, (sqlite3_int64)edge);
	r = sqlite3_step(q->one);
	if (r == SQLITE_ROW)
		r = name_read(q->one, a, ret) ? 0 : -ENOMEM;
	else
		r = r == SQLITE_DONE ? -ENOENT : scan_fail(q, db, r);
	sqlite3_reset(q->one);
	return r;
}

int store_service_known(struct store_query *q, struct str service, bool *ret)
{
	sqlite3_stmt *st;
	sqlite3 *db;
	int r;

	r = scan_main(q, &db);
	if (r)
		return r;
	r = sqlite3_prepare_v2(db, "SELECT 1 FROM names WHERE client_service=:s OR server_service=:s LIMIT 1", -1, &st,
			       NULL);
	if (r)
		return scan_fail(q, db, r);
	filter_bind(st, ":s", service);
	r = sqlite3_step(st);
	*ret = r == SQLITE_ROW;
	sqlite3_finalize(st);
	return r == SQLITE_ROW || r == SQLITE_DONE ? 0 : scan_fail(q, db, r);
}

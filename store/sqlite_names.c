/* SPDX-License-Identifier: Apache-2.0 */
/* Edges by their names in skyfall.db. */
#include "store/sqlite_scan.h"

static struct str name_text(sqlite3_stmt *st, int i)
{
	const char *p = (const char *)sqlite3_column_text(st, i);

	return (struct str){p, p ? (size_t)sqlite3_column_bytes(st, i) : 0};
}

#define NAMES_SELECT "SELECT edge,net,client_service,client_zone,server_service,server_zone,protocol,port FROM names"

static struct flow_edge_name name_read(sqlite3_stmt *st)
{
	return (struct flow_edge_name){
		.net = name_text(st, 1),
		.client_service = name_text(st, 2),
		.client_zone = name_text(st, 3),
		.server_service = name_text(st, 4),
		.server_zone = name_text(st, 5),
		.protocol = (uint8_t)sqlite3_column_int(st, 6),
		.port = (uint16_t)sqlite3_column_int(st, 7),
	};
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

static int names_steps(struct sqlite_query *q, sqlite3 *db, sqlite3_stmt *st, names_fn *fn, void *arg)
{
	int r;

	while ((r = sqlite3_step(st)) == SQLITE_ROW) {
		struct flow_edge_name name = name_read(st);

		r = fn(arg, (uint64_t)sqlite3_column_int64(st, 0), &name);
		if (r)
			return r;
	}
	return r == SQLITE_DONE ? 0 : scan_fail(q, db, r);
}

int sqlite_names(struct store_query *sq, const struct store_filter *f, names_fn *fn, void *arg)
{
	struct sqlite_query *q = (struct sqlite_query *)sq;
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
	r = names_steps(q, db, st, fn, arg);
	sqlite3_finalize(st);
	return r;
}

/* One look at the file for all of them instead of one each. */
int sqlite_names_of(struct store_query *sq, const uint64_t *edges, size_t n, names_fn *fn, void *arg)
{
	struct sqlite_query *q = (struct sqlite_query *)sq;
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
	r = sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
	if (r)
		return scan_fail(q, db, r);
	for (size_t i = 0; !r && i < n; i++) {
		sqlite3_bind_int64(q->one, 1, (sqlite3_int64)edges[i]);
		r = names_steps(q, db, q->one, fn, arg);
		sqlite3_reset(q->one);
	}
	(void)sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	return r;
}

int sqlite_service_known(struct store_query *sq, struct str service, bool *ret)
{
	struct sqlite_query *q = (struct sqlite_query *)sq;
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

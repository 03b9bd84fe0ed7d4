/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what is not summed over edges from SQLite: hosts, listeners, ledger, row counts. */
#include <errno.h>
#include <stdlib.h>

#include "store/catalog.h"
#include "store/sqlite_scan.h"

static struct str text_of(sqlite3_stmt *st, int i)
{
	const char *p = (const char *)sqlite3_column_text(st, i);

	return (struct str){p, p ? (size_t)sqlite3_column_bytes(st, i) : 0};
}

static struct ip ip_of(sqlite3_stmt *st, int i)
{
	struct ip ip = {0};

	if (sqlite3_column_bytes(st, i) == sizeof(ip.b))
		memcpy(ip.b, sqlite3_column_blob(st, i), sizeof(ip.b));
	return ip;
}

static int host_addresses(struct sqlite_query *q, sqlite3 *db, struct flow_host *h)
{
	sqlite3_stmt *st;
	int r;

	r = sqlite3_prepare_v2(db, "SELECT netns,ip,bits,host_only FROM addresses WHERE net=? AND id=? LIMIT ?", -1,
			       &st, NULL);
	if (r)
		return scan_fail(q, db, r);
	sqlite3_bind_text(st, 1, h->net.n ? h->net.p : "", (int)h->net.n, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, h->id.n ? h->id.p : "", (int)h->id.n, SQLITE_STATIC);
	sqlite3_bind_int(st, 3, FLOW_ADDRESSES);
	while ((r = sqlite3_step(st)) == SQLITE_ROW)
		h->addresses[h->n_addresses++] = (struct flow_address){
			.netns = (uint32_t)sqlite3_column_int64(st, 0),
			.ip = ip_of(st, 1),
			.bits = (uint8_t)sqlite3_column_int(st, 2),
			.host_only = (uint8_t)sqlite3_column_int(st, 3),
		};
	sqlite3_finalize(st);
	return r == SQLITE_DONE ? 0 : scan_fail(q, db, r);
}

int sqlite_hosts(struct store_query *sq, int (*fn)(void *arg, const struct flow_host *h), void *arg)
{
	struct sqlite_query *q = (struct sqlite_query *)sq;
	struct flow_host *h = malloc(sizeof(*h));
	sqlite3_stmt *st = NULL;
	sqlite3 *db;
	int r = -ENOMEM, sql;

	if (h)
		r = scan_main(q, &db);
	if (r)
		goto out;
	sql = sqlite3_prepare_v2(db,
				 "SELECT net,id,hostname,kernel,mode,version,agent,boot,interval,interval_s FROM hosts "
				 "ORDER BY hostname,net,id",
				 -1, &st, NULL);
	if (sql) {
		r = scan_fail(q, db, sql);
		goto out;
	}
	while (!r && (sql = sqlite3_step(st)) == SQLITE_ROW) {
		*h = (struct flow_host){
			.net = text_of(st, 0),
			.id = text_of(st, 1),
			.hostname = text_of(st, 2),
			.kernel = text_of(st, 3),
			.mode = text_of(st, 4),
			.version = text_of(st, 5),
			.agent = ip_of(st, 6),
			.boot = (uint64_t)sqlite3_column_int64(st, 7),
			.interval = (uint32_t)sqlite3_column_int64(st, 8),
			.interval_s = (uint16_t)sqlite3_column_int(st, 9),
		};
		r = host_addresses(q, db, h);
		if (!r)
			r = fn(arg, h);
	}
	if (!r && sql != SQLITE_DONE)
		r = scan_fail(q, db, sql);
out:
	sqlite3_finalize(st);
	free(h);
	return r;
}

int sqlite_listeners(struct store_query *sq, int (*fn)(void *arg, const struct flow_listener *l), void *arg)
{
	struct sqlite_query *q = (struct sqlite_query *)sq;
	sqlite3_stmt *st;
	sqlite3 *db;
	int r, sql;

	r = scan_main(q, &db);
	if (r)
		return r;
	sql = sqlite3_prepare_v2(
		db,
		"SELECT net,host,netns,addr,port,protocol,alive,interval,since,drops,queue,queue_max,"
		"service,process,unit,container,pod,quality FROM listeners ORDER BY net,host,port,netns,addr",
		-1, &st, NULL);
	if (sql)
		return scan_fail(q, db, sql);
	while (!r && (sql = sqlite3_step(st)) == SQLITE_ROW) {
		struct flow_listener l = {
			.net = text_of(st, 0),
			.host = text_of(st, 1),
			.netns = (uint32_t)sqlite3_column_int64(st, 2),
			.addr = ip_of(st, 3),
			.port = (uint16_t)sqlite3_column_int(st, 4),
			.protocol = (uint8_t)sqlite3_column_int(st, 5),
			.alive = (uint8_t)sqlite3_column_int(st, 6),
			.interval = (uint32_t)sqlite3_column_int64(st, 7),
			.since = (uint32_t)sqlite3_column_int64(st, 8),
			.drops = (uint64_t)sqlite3_column_int64(st, 9),
			.queue = (uint32_t)sqlite3_column_int64(st, 10),
			.queue_max = (uint32_t)sqlite3_column_int64(st, 11),
			.names = {.service = text_of(st, 12),
				  .process = text_of(st, 13),
				  .unit = text_of(st, 14),
				  .container = text_of(st, 15),
				  .pod = text_of(st, 16),
				  .quality = (uint8_t)sqlite3_column_int(st, 17)},
		};

		r = fn(arg, &l);
	}
	if (!r && sql != SQLITE_DONE)
		r = scan_fail(q, db, sql);
	sqlite3_finalize(st);
	return r;
}

/* The ledger and the counts live in the finest tier only. */
static int fine_cover(struct cover *c, uint32_t from, uint32_t to)
{
	*c = (struct cover){.from = from, .to = to};
	c->v = malloc(sizeof(*c->v));
	if (!c->v)
		return -ENOMEM;
	c->v[0] = (struct segment){STORE_FINE, from, to};
	c->n = c->cap = 1;
	return 0;
}

struct ledgers {
	const char *role;
	int (*fn)(void *arg, const struct flow_ledger *l);
	void *arg;
	struct flow_ledger line;
};

static int ledgers_row(void *arg, sqlite3_stmt *st)
{
	struct ledgers *x = arg;
	struct flow_ledger *l = &x->line;

	l->role = text_of(st, 1);
	if (x->role && !str_eq(l->role, str_from(x->role)))
		return 0;
	l->interval = (uint32_t)sqlite3_column_int64(st, 0);
	l->instance = text_of(st, 2);
	l->boot = (uint64_t)sqlite3_column_int64(st, 3);
	l->interval_s = (uint16_t)sqlite3_column_int(st, 4);
	l->rows_in = (uint64_t)sqlite3_column_int64(st, 5);
	l->rows_out = (uint64_t)sqlite3_column_int64(st, 6);
	l->n_lost = (uint8_t)catalog_counts_parse(text_of(st, 7), l->lost, FLOW_LOSSES);
	l->n_info = (uint8_t)catalog_counts_parse(text_of(st, 8), l->info, FLOW_INFOS);
	return x->fn(x->arg, l);
}

int sqlite_ledgers(struct store_query *sq, uint32_t from, uint32_t to, const char *role,
		   int (*fn)(void *arg, const struct flow_ledger *l), void *arg)
{
	struct sqlite_query *q = (struct sqlite_query *)sq;
	struct ledgers *x = calloc(1, sizeof(*x));
	struct cover c = {0};
	int r = -ENOMEM;

	if (x) {
		x->role = role;
		x->fn = fn;
		x->arg = arg;
		r = fine_cover(&c, from, to);
	}
	if (!r) {
		(void)scan_begin(sq, from, to);
		r = scan_rows(q, COLUMNS_LEDGER, &c,
			      "interval,role,instance,boot,interval_s,rows_in,rows_out,lost,info", NULL, 0, ledgers_row,
			      x);
		scan_end(sq);
	}
	cover_deinit(&c);
	free(x);
	return r;
}

static int counts_edges(void *arg, sqlite3_stmt *st)
{
	struct store_count *c = arg;

	c->edge_rows += (uint64_t)sqlite3_column_int64(st, 0);
	c->edge_rows_both += (uint64_t)sqlite3_column_int64(st, 1);
	for (int v = 0; v < FLOW_VIEWS; v++)
		c->view_rows[v] += (uint64_t)sqlite3_column_double(st, 2 + v);
	if ((uint32_t)sqlite3_column_int64(st, 2 + FLOW_VIEWS) > c->newest)
		c->newest = (uint32_t)sqlite3_column_int64(st, 2 + FLOW_VIEWS);
	c->before_syn += (uint64_t)sqlite3_column_double(st, 3 + FLOW_VIEWS);
	return 0;
}

static int counts_pairs(void *arg, sqlite3_stmt *st)
{
	struct store_count *c = arg;

	for (int v = 0; v < FLOW_VIEWS; v++)
		c->pair_view_rows[v] += (uint64_t)sqlite3_column_double(st, v);
	return 0;
}

#define COUNTS_VIEWS "total(client_rows),total(server_rows),total(network_rows)"

int sqlite_counts(struct store_query *sq, uint32_t from, uint32_t to, struct store_count *ret)
{
	struct sqlite_query *q = (struct sqlite_query *)sq;
	struct store_count n = {0};
	struct cover c = {0};
	int r;

	r = fine_cover(&c, from, to);
	if (r)
		return r;
	(void)scan_begin(sq, from, to);
	r = scan_rows(q, COLUMNS_EDGES, &c,
		      "count(*),total(observed&3=3)," COUNTS_VIEWS ",max(interval),"
		      "total(client_failed_no_route)+total(client_failed_no_port)",
		      NULL, 0, counts_edges, &n);
	if (!r)
		r = scan_rows(q, COLUMNS_PAIRS, &c, COUNTS_VIEWS, NULL, 0, counts_pairs, &n);
	scan_end(sq);
	cover_deinit(&c);
	if (!r)
		*ret = n;
	return r;
}

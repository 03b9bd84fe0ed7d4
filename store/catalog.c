/* SPDX-License-Identifier: Apache-2.0 */
#include "store/catalog.h"

#include <ctype.h>
#include <errno.h>

int catalog_create(sqlite3 *db)
{
	return sqlite3_exec(
		db,
		"CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;"
		"CREATE TABLE IF NOT EXISTS names(edge INTEGER PRIMARY KEY, net TEXT, client_service TEXT, client_zone TEXT,"
		" server_service TEXT, server_zone TEXT, protocol INTEGER, port INTEGER, day INTEGER);"
		"CREATE TABLE IF NOT EXISTS hosts(net TEXT, id TEXT, hostname TEXT, kernel TEXT, mode TEXT, version TEXT,"
		" agent BLOB, boot INTEGER, interval INTEGER, interval_s INTEGER, PRIMARY KEY(net,id)) WITHOUT ROWID;"
		"CREATE TABLE IF NOT EXISTS addresses(net TEXT, id TEXT, netns INTEGER, ip BLOB, bits INTEGER,"
		" host_only INTEGER, PRIMARY KEY(net,id,netns,ip)) WITHOUT ROWID;"
		"CREATE TABLE IF NOT EXISTS listeners(net TEXT, host TEXT, netns INTEGER, addr BLOB, port INTEGER,"
		" protocol INTEGER, alive INTEGER, interval INTEGER, since INTEGER, drops INTEGER, queue INTEGER,"
		" queue_max INTEGER, service TEXT, process TEXT, unit TEXT, container TEXT, pod TEXT, quality INTEGER,"
		" PRIMARY KEY(net,host,netns,addr,port,protocol)) WITHOUT ROWID;",
		NULL, NULL, NULL);
}

/* Binds one after the other. */
struct bind {
	sqlite3_stmt *st;
	int at;
};

static void bind_text(struct bind *b, struct str s)
{
	sqlite3_bind_text(b->st, ++b->at, s.n ? s.p : "", (int)s.n, SQLITE_STATIC);
}

static void bind_int(struct bind *b, uint64_t v)
{
	sqlite3_bind_int64(b->st, ++b->at, v > INT64_MAX ? INT64_MAX : (sqlite3_int64)v);
}

static void bind_ip(struct bind *b, const struct ip *ip)
{
	sqlite3_bind_blob(b->st, ++b->at, ip->b, sizeof(ip->b), SQLITE_STATIC);
}

static int catalog_prepare(struct sqlite *st, const char *sql, struct bind *ret)
{
	int r;

	*ret = (struct bind){0};
	r = sqlite3_prepare_v2(st->main, sql, -1, &ret->st, NULL);
	return r ? sqlite_fail(st, st->main, r, "writing hosts") : 0;
}

static int catalog_step(struct sqlite *st, struct bind *b)
{
	int r = sqlite3_step(b->st);

	sqlite3_finalize(b->st);
	b->st = NULL;
	return r == SQLITE_DONE ? 0 : sqlite_fail(st, st->main, r, "writing hosts");
}

static int catalog_put_addresses(struct sqlite *st, const struct flow_host *h)
{
	struct bind b;
	int r;

	r = catalog_prepare(st, "DELETE FROM addresses WHERE net=? AND id=?", &b);
	if (r)
		return r;
	bind_text(&b, h->net);
	bind_text(&b, h->id);
	r = catalog_step(st, &b);
	for (unsigned i = 0; !r && i < h->n_addresses; i++) {
		const struct flow_address *a = &h->addresses[i];

		r = catalog_prepare(st, "INSERT OR REPLACE INTO addresses VALUES(?,?,?,?,?,?)", &b);
		if (r)
			return r;
		bind_text(&b, h->net);
		bind_text(&b, h->id);
		bind_int(&b, a->netns);
		bind_ip(&b, &a->ip);
		bind_int(&b, a->bits);
		bind_int(&b, a->host_only);
		r = catalog_step(st, &b);
	}
	return r;
}

int catalog_put_host(struct sqlite *st, const struct flow_host *h)
{
	struct bind b;
	int r;

	r = catalog_prepare(
		st,
		"INSERT INTO hosts VALUES(?,?,?,?,?,?,?,?,?,?) ON CONFLICT(net,id) DO UPDATE SET "
		"hostname=excluded.hostname,kernel=excluded.kernel,mode=excluded.mode,version=excluded.version,"
		"agent=excluded.agent,boot=excluded.boot,interval=excluded.interval,"
		"interval_s=excluded.interval_s WHERE excluded.interval>=interval",
		&b);
	if (r)
		return r;
	bind_text(&b, h->net);
	bind_text(&b, h->id);
	bind_text(&b, h->hostname);
	bind_text(&b, h->kernel);
	bind_text(&b, h->mode);
	bind_text(&b, h->version);
	bind_ip(&b, &h->agent);
	bind_int(&b, h->boot & INT64_MAX);
	bind_int(&b, h->interval);
	bind_int(&b, h->interval_s);
	r = catalog_step(st, &b);
	if (!r && sqlite3_changes(st->main))
		r = catalog_put_addresses(st, h);
	return r;
}

int catalog_put_listener(struct sqlite *st, const struct flow_listener *l)
{
	struct bind b;
	int r;

	/* drops are deltas: a record written twice must not count twice. */
	r = catalog_prepare(st,
			    "INSERT INTO listeners VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) "
			    "ON CONFLICT(net,host,netns,addr,port,protocol) DO UPDATE SET alive=excluded.alive,"
			    "interval=excluded.interval,since=min(since,excluded.since),drops=drops+excluded.drops,"
			    "queue=excluded.queue,queue_max=excluded.queue_max,service=excluded.service,"
			    "process=excluded.process,unit=excluded.unit,container=excluded.container,pod=excluded.pod,"
			    "quality=excluded.quality WHERE excluded.interval>interval",
			    &b);
	if (r)
		return r;
	bind_text(&b, l->net);
	bind_text(&b, l->host);
	bind_int(&b, l->netns);
	bind_ip(&b, &l->addr);
	bind_int(&b, l->port);
	bind_int(&b, l->protocol);
	bind_int(&b, l->alive);
	bind_int(&b, l->interval);
	bind_int(&b, l->since ? l->since : l->interval);
	bind_int(&b, l->drops);
	bind_int(&b, l->queue);
	bind_int(&b, l->queue_max);
	bind_text(&b, l->names.service);
	bind_text(&b, l->names.process);
	bind_text(&b, l->names.unit);
	bind_text(&b, l->names.container);
	bind_text(&b, l->names.pod);
	bind_int(&b, l->names.quality);
	return catalog_step(st, &b);
}

int catalog_forget(struct sqlite *st, uint32_t before)
{
	static const char *const statements[] = {
		"DELETE FROM addresses WHERE (net,id) IN (SELECT net,id FROM hosts WHERE interval<?)",
		"DELETE FROM hosts WHERE interval<?",
		"DELETE FROM listeners WHERE interval<?",
	};
	int r = 0;

	for (unsigned i = 0; !r && i < sizeof(statements) / sizeof(*statements); i++) {
		struct bind b;

		r = catalog_prepare(st, statements[i], &b);
		if (r)
			break;
		bind_int(&b, before);
		r = catalog_step(st, &b);
	}
	return r;
}

void catalog_counts_format(const struct flow_count *c, unsigned n, struct buf *dst)
{
	for (unsigned i = 0; i < n; i++) {
		if (i)
			buf_char(dst, ' ');
		if (!c[i].name.n)
			buf_char(dst, '_');
		for (size_t k = 0; k < c[i].name.n; k++) {
			char ch = c[i].name.p[k];

			buf_char(dst, isalnum((unsigned char)ch) || (ch && strchr("_.-/", ch)) ? ch : '_');
		}
		buf_printf(dst, "=%llu", (unsigned long long)c[i].n);
	}
}

unsigned catalog_counts_parse(struct str text, struct flow_count *c, unsigned max)
{
	unsigned n = 0;
	size_t at = 0;

	while (at < text.n && n < max) {
		size_t name = at;
		uint64_t v = 0;

		while (at < text.n && text.p[at] != '=')
			at++;
		c[n].name = (struct str){text.p + name, at - name};
		for (at++; at < text.n && text.p[at] >= '0' && text.p[at] <= '9'; at++)
			v = v * 10 + (uint64_t)(text.p[at] - '0');
		c[n++].n = v;
		at++;
	}
	return n;
}

int catalog_put_ledger(struct sqlite *st, struct day *d, const struct flow_ledger *l)
{
	struct bind b = {d->insert, 0};
	struct buf lost, info;
	int r = SQLITE_NOMEM;

	buf_init(&lost, 65536);
	buf_init(&info, 65536);
	catalog_counts_format(l->lost, l->n_lost, &lost);
	catalog_counts_format(l->info, l->n_info, &info);
	if (lost.err || info.err)
		goto out;
	bind_int(&b, l->interval);
	bind_text(&b, l->role);
	bind_text(&b, l->instance);
	bind_int(&b, l->boot & INT64_MAX);
	bind_int(&b, l->interval_s);
	bind_int(&b, l->rows_in);
	bind_int(&b, l->rows_out);
	bind_text(&b, (struct str){lost.p, lost.n});
	bind_text(&b, (struct str){info.p, info.n});
	r = sqlite3_step(d->insert);
	sqlite3_reset(d->insert);
out:
	buf_deinit(&lost);
	buf_deinit(&info);
	return r == SQLITE_DONE ? 0 : sqlite_fail(st, d->db, r, "writing the ledger");
}

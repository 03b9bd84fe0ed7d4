/* SPDX-License-Identifier: Apache-2.0 */
#include "store/columns.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "base/table.h"
#include "store/query.h"

/* The key and what else a row of a kind has before its sums. */
struct head {
	const char *table, *keys, *primary;
	unsigned n; /* columns in keys */
};

static const struct head heads[COLUMNS_KINDS] = {
	[COLUMNS_EDGES] = {"edges", "interval,edge,revision", "interval,edge,revision", 3},
	[COLUMNS_PAIRS] = {"pairs", "interval,edge,revision,client,server,scope",
			   "interval,edge,client,server,scope,revision", 6},
	[COLUMNS_LEDGER] = {"ledger", "interval,role,instance,boot", "interval,role,instance,boot", 4},
};

#define COLUMNS_REST "interval_s,observed,client_rungs,server_rungs,flags,via"
#define COLUMNS_REST_N 6

void columns_init(struct columns *c)
{
	c->n = 0;
	for (unsigned v = 0; v < FLOW_VIEWS; v++)
		for (unsigned f = 0; f < FLOW_FIELDS; f++) {
			struct column *col = &c->v[c->n];

			if (!flow_column(f, v, col->name))
				continue;
			col->view = v;
			col->field = f;
			col->hist = flow_fields[f].width == FLOW_HIST;
			c->n++;
		}
}

const char *columns_table(enum columns_kind kind)
{
	return heads[kind].table;
}

void columns_create(const struct columns *c, enum columns_kind kind, struct buf *sql)
{
	static const char *const types[COLUMNS_KINDS] = {
		[COLUMNS_EDGES] = "interval INTEGER NOT NULL,edge INTEGER NOT NULL,revision INTEGER NOT NULL",
		[COLUMNS_PAIRS] = "interval INTEGER NOT NULL,edge INTEGER NOT NULL,revision INTEGER NOT NULL,"
				  "client BLOB NOT NULL,server BLOB NOT NULL,scope TEXT NOT NULL",
		[COLUMNS_LEDGER] =
			"interval INTEGER NOT NULL,role TEXT NOT NULL,instance TEXT NOT NULL,boot INTEGER NOT NULL,"
			"interval_s INTEGER,rows_in INTEGER,rows_out INTEGER,lost TEXT,info TEXT",
	};

	buf_printf(sql, "CREATE TABLE IF NOT EXISTS %s(%s", heads[kind].table, types[kind]);
	if (kind != COLUMNS_LEDGER) {
		buf_printf(sql, ",interval_s INTEGER,observed INTEGER,client_rungs INTEGER,server_rungs INTEGER,"
				"flags INTEGER,via TEXT");
		for (unsigned i = 0; i < c->n; i++)
			buf_printf(sql, ",%s %s DEFAULT 0", c->v[i].name, c->v[i].hist ? "BLOB" : "INTEGER");
	}
	buf_printf(sql, ",PRIMARY KEY(%s)) WITHOUT ROWID", heads[kind].primary);
}

void columns_insert(const struct columns *c, enum columns_kind kind, const char * or, struct buf *sql)
{
	unsigned n = heads[kind].n + COLUMNS_REST_N + c->n;

	assert(kind != COLUMNS_LEDGER);
	buf_printf(sql, "INSERT OR %s INTO %s(%s," COLUMNS_REST, or, heads[kind].table, heads[kind].keys);
	for (unsigned i = 0; i < c->n; i++)
		buf_printf(sql, ",%s", c->v[i].name);
	buf_printf(sql, ")VALUES(?");
	for (unsigned i = 1; i < n; i++)
		buf_printf(sql, ",?");
	buf_printf(sql, ")");
}

/* SQLite's integers have a sign: what no counter reaches is stored as the largest. */
static sqlite3_int64 columns_i64(uint64_t v)
{
	return v > INT64_MAX ? INT64_MAX : (sqlite3_int64)v;
}

static void columns_bind_stats(const struct columns *c, sqlite3_stmt *st, int at, const struct flow_edge *e)
{
	uint8_t hist[COLUMNS_HIST_MAX];

	for (unsigned i = 0; i < c->n; i++, at++) {
		const struct flow_stats *s = &e->view[c->v[i].view];
		enum flow_field f = c->v[i].field;

		if (c->v[i].hist) {
			size_t n = columns_hist_encode(flow_stats_hist_get(s, f), hist);

			if (n)
				sqlite3_bind_blob(st, at, hist, (int)n, SQLITE_TRANSIENT);
			else
				sqlite3_bind_int(st, at, 0);
		} else {
			sqlite3_bind_int64(st, at, columns_i64(flow_stats_get(s, f)));
		}
	}
}

int columns_bind(const struct columns *c, enum columns_kind kind, sqlite3_stmt *st, const struct flow_edge *e)
{
	int i = 0;

	sqlite3_bind_int64(st, ++i, e->interval);
	sqlite3_bind_int64(st, ++i, (sqlite3_int64)e->id);
	sqlite3_bind_int64(st, ++i, (sqlite3_int64)e->revision);
	if (kind == COLUMNS_PAIRS) {
		sqlite3_bind_blob(st, ++i, e->client.b, sizeof(e->client.b), SQLITE_STATIC);
		sqlite3_bind_blob(st, ++i, e->server.b, sizeof(e->server.b), SQLITE_STATIC);
		sqlite3_bind_text(st, ++i, e->scope.n ? e->scope.p : "", (int)e->scope.n, SQLITE_STATIC);
	}
	sqlite3_bind_int(st, ++i, e->interval_s);
	sqlite3_bind_int(st, ++i, e->observed);
	sqlite3_bind_int(st, ++i, e->client_rungs);
	sqlite3_bind_int(st, ++i, e->server_rungs);
	sqlite3_bind_int64(st, ++i, e->flags);
	if (e->via.n)
		sqlite3_bind_text(st, ++i, e->via.p, (int)e->via.n, SQLITE_STATIC);
	else
		sqlite3_bind_null(st, ++i);
	columns_bind_stats(c, st, i + 1, e);
	return SQLITE_OK;
}

/* Which of our columns the file has. */
static int columns_have(const struct columns *c, enum columns_kind kind, sqlite3 *db, bool have[COLUMNS_MAX])
{
	char sql[64];
	sqlite3_stmt *st;
	unsigned at = 0;
	int r;

	memset(have, 0, COLUMNS_MAX * sizeof(*have));
	snprintf(sql, sizeof(sql), "PRAGMA table_info(%s)", heads[kind].table);
	r = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
	if (r)
		return r;
	while ((r = sqlite3_step(st)) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(st, 1);

		/* Mostly in our order: look on from the last one found. */
		for (unsigned i = 0; name && i < c->n; i++, at = (at + 1) % c->n)
			if (!strcmp(c->v[at].name, name)) {
				have[at] = true;
				break;
			}
	}
	sqlite3_finalize(st);
	return r == SQLITE_DONE ? SQLITE_OK : r;
}

int columns_select(const struct columns *c, enum columns_kind kind, sqlite3 *db, struct buf *sql)
{
	bool have[COLUMNS_MAX];
	int r;

	r = columns_have(c, kind, db, have);
	if (r)
		return r;
	buf_printf(sql, "SELECT %s," COLUMNS_REST, heads[kind].keys);
	for (unsigned i = 0; i < c->n; i++)
		buf_printf(sql, ",%s", have[i] ? c->v[i].name : "0");
	buf_printf(sql, " FROM %s", heads[kind].table);
	return SQLITE_OK;
}

static struct str columns_text(sqlite3_stmt *st, int i)
{
	const char *p = (const char *)sqlite3_column_text(st, i);

	return (struct str){p, p ? (size_t)sqlite3_column_bytes(st, i) : 0};
}

static struct ip columns_ip(sqlite3_stmt *st, int i)
{
	struct ip ip = {0};

	if (sqlite3_column_bytes(st, i) == sizeof(ip.b))
		memcpy(ip.b, sqlite3_column_blob(st, i), sizeof(ip.b));
	return ip;
}

void columns_read(const struct columns *c, enum columns_kind kind, sqlite3_stmt *st, struct flow_edge *e)
{
	int i = 0;

	e->interval = (uint32_t)sqlite3_column_int64(st, i++);
	e->id = (uint64_t)sqlite3_column_int64(st, i++);
	e->revision = (uint64_t)sqlite3_column_int64(st, i++);
	if (kind == COLUMNS_PAIRS) {
		e->client = columns_ip(st, i++);
		e->server = columns_ip(st, i++);
		e->scope = columns_text(st, i++);
	}
	e->interval_s = (uint16_t)sqlite3_column_int(st, i++);
	e->observed |= sqlite3_column_int(st, i++);
	e->client_rungs |= sqlite3_column_int(st, i++);
	e->server_rungs |= sqlite3_column_int(st, i++);
	e->flags |= (uint32_t)sqlite3_column_int64(st, i++);
	e->via = columns_text(st, i++);
	for (unsigned k = 0; k < c->n; k++, i++) {
		struct flow_stats *s = &e->view[c->v[k].view];
		enum flow_field f = c->v[k].field;

		if (!c->v[k].hist)
			*flow_stats_u64(s, f) += (uint64_t)sqlite3_column_int64(st, i);
		else if (sqlite3_column_type(st, i) == SQLITE_BLOB)
			(void)columns_hist_add(sqlite3_column_blob(st, i), (size_t)sqlite3_column_bytes(st, i),
					       flow_stats_hist(s, f));
	}
}

int columns_grow(const struct columns *c, enum columns_kind kind, sqlite3 *db)
{
	bool have[COLUMNS_MAX];
	int r;

	if (kind == COLUMNS_LEDGER)
		return SQLITE_OK;
	r = columns_have(c, kind, db, have);
	for (unsigned i = 0; !r && i < c->n; i++) {
		char sql[160];

		if (have[i])
			continue;
		snprintf(sql, sizeof(sql), "ALTER TABLE %s ADD COLUMN %s %s DEFAULT 0", heads[kind].table, c->v[i].name,
			 c->v[i].hist ? "BLOB" : "INTEGER");
		r = sqlite3_exec(db, sql, NULL, NULL, NULL);
	}
	return r;
}

/* Short names of the best view. `ways`: 1 c2s, 2 s2c, 3 both, 0 for sums of the conversation, CROSSED: fields[0] at one end
 * is fields[1] at the other, as a reset that is sent and received; counted once. */
#define CROSSED 4

static const struct sum {
	const char *name;
	uint8_t ways;
	uint8_t n;
	uint8_t fields[8];
} sums[] = {
	{"bytes", 3, 1, {FLOW_F_tx_bytes}},
	{"c2s_bytes", 1, 1, {FLOW_F_tx_bytes}},
	{"s2c_bytes", 2, 1, {FLOW_F_tx_bytes}},
	{"rows", 0, 1, {FLOW_F_rows}},
	{"attempts", 0, 1, {FLOW_F_attempts}},
	{"opened", 0, 1, {FLOW_F_opened}},
	{"closed", 0, 1, {FLOW_F_closed}},
	{"failed",
	 0,
	 7,
	 {FLOW_F_failed_refused, FLOW_F_failed_timeout, FLOW_F_failed_unreachable, FLOW_F_failed_no_port,
	  FLOW_F_failed_abandoned, FLOW_F_failed_no_route, FLOW_F_failed_other}},
	{"resets", CROSSED, 2, {FLOW_F_reset_sent, FLOW_F_reset_received}},
	{"open_ms", 0, 1, {FLOW_F_open_ms}},
	{"segs", 3, 1, {FLOW_F_tx_segs}},
	{"retransmitted", 3, 1, {FLOW_F_retransmitted}},
	{"lost", 3, 1, {FLOW_F_lost}},
	{"undelivered", 3, 1, {FLOW_F_tx_undelivered}},
};

/* How a dialect says what the sums need. */
struct words {
	const char *max, *ends;
};

/* The name of what the sender of a way calls `f`, seen by v. A receiver has it where a field of the same column name exists. */
static const struct column *columns_find(const struct columns *c, enum flow_view v, const char *way, const char *column)
{
	char name[80];

	snprintf(name, sizeof(name), "%s_%s%s", flow_view_name(v), way, column);
	for (unsigned i = 0; i < c->n; i++)
		if (!strcmp(c->v[i].name, name))
			return &c->v[i];
	return NULL;
}

static void columns_best(const struct columns *c, const struct words *d, const char *way, const char *column,
			 struct buf *sql)
{
	const struct column *a = columns_find(c, FLOW_VIEW_CLIENT, way, column);
	const struct column *b = columns_find(c, FLOW_VIEW_SERVER, way, column);
	const struct column *n = columns_find(c, FLOW_VIEW_NETWORK, way, column);

	if (a && b && n)
		buf_printf(sql, "CASE WHEN %s THEN %s(%s,%s) ELSE %s END", d->ends, d->max, a->name, b->name, n->name);
	else if (a && b)
		buf_printf(sql, "%s(%s,%s)", d->max, a->name, b->name);
	else
		buf_printf(sql, "%s", a ? a->name : b ? b->name : "0");
}

static void columns_crossed(const struct words *d, const uint8_t fields[2], struct buf *sql)
{
	const char *a = flow_fields[fields[0]].column, *b = flow_fields[fields[1]].column;

	buf_printf(sql, "%s(client_%s,server_%s)+%s(client_%s,server_%s)", d->max, a, b, d->max, b, a);
}

const char *columns_sum_name(size_t i)
{
	return i < ARRAY_LEN(sums) ? sums[i].name : NULL;
}

bool columns_sum(const struct columns *c, enum columns_dialect dialect, const char *name, struct buf *sql)
{
	static const struct words dialects[] = {
		[COLUMNS_SQLITE] = {"max", "observed&3"},
		[COLUMNS_CLICKHOUSE] = {"greatest", "bitAnd(observed,3)!=0"},
	};
	const struct words *d = &dialects[dialect];

	for (unsigned i = 0; i < c->n; i++)
		if (!strcmp(c->v[i].name, name) && !c->v[i].hist) {
			buf_printf(sql, "%s", name);
			return true;
		}
	for (size_t i = 0; i < ARRAY_LEN(sums); i++) {
		const char *sep = "";

		if (strcmp(sums[i].name, name))
			continue;
		if (sums[i].ways == CROSSED)
			columns_crossed(d, sums[i].fields, sql);
		for (unsigned k = 0; sums[i].ways != CROSSED && k < sums[i].n; k++) {
			const char *column = flow_fields[sums[i].fields[k]].column;

			for (unsigned way = 1; way <= 2; way++) {
				if (sums[i].ways && !(sums[i].ways & way))
					continue;
				if (!sums[i].ways && way == 2)
					continue;
				buf_printf(sql, "%s", sep);
				columns_best(c, d, !sums[i].ways ? "" : way == 1 ? "c2s_" : "s2c_", column, sql);
				sep = "+";
			}
		}
		return true;
	}
	return false;
}

size_t columns_hist_encode(const uint32_t hist[FLOW_BUCKETS], uint8_t dst[COLUMNS_HIST_MAX])
{
	unsigned first = 0, end = FLOW_BUCKETS;
	size_t n = 0;

	while (first < end && !hist[first])
		first++;
	while (end > first && !hist[end - 1])
		end--;
	if (first == end)
		return 0;
	dst[n++] = (uint8_t)first;
	for (unsigned i = first; i < end; i++) {
		uint32_t v = hist[i];

		for (; v >= 0x80; v >>= 7)
			dst[n++] = (uint8_t)(v | 0x80);
		dst[n++] = (uint8_t)v;
	}
	return n;
}

bool columns_hist_add(const uint8_t *p, size_t n, uint32_t hist[FLOW_BUCKETS])
{
	size_t at = 1;

	if (!n)
		return true;
	for (unsigned i = p[0]; at < n; i++) {
		uint64_t v = 0;
		unsigned shift = 0;

		for (;;) {
			if (at >= n || shift > 28)
				return false;
			v |= (uint64_t)(p[at] & 0x7f) << shift;
			shift += 7;
			if (!(p[at++] & 0x80))
				break;
		}
		if (i >= FLOW_BUCKETS || v > UINT32_MAX)
			return false;
		v += hist[i];
		hist[i] = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
	}
	return true;
}

uint64_t store_best(const struct flow_edge *e, enum flow_field f, bool c2s)
{
	/* A directional field is one member at the sender, its twin at the receiver. */
	static const struct {
		uint8_t tx, rx;
	} twins[] = {{FLOW_F_tx_bytes, FLOW_F_rx_bytes}, {FLOW_F_tx_segs, FLOW_F_rx_segs}};
	const struct flow_stats *sender = &e->view[c2s ? FLOW_VIEW_CLIENT : FLOW_VIEW_SERVER];
	const struct flow_stats *receiver = &e->view[c2s ? FLOW_VIEW_SERVER : FLOW_VIEW_CLIENT];
	const struct flow_stats *network = &e->view[FLOW_VIEW_NETWORK];
	enum flow_field rx = f;
	uint64_t a, b;

	if (flow_fields[f].dir == FLOW_CONN) {
		a = flow_stats_get(sender, f);
		b = flow_stats_get(receiver, f);
		return a || b || e->observed & 3 ? (a > b ? a : b) : flow_stats_get(network, f);
	}
	for (size_t i = 0; i < ARRAY_LEN(twins); i++)
		if (f == twins[i].tx || f == twins[i].rx) {
			f = twins[i].tx;
			rx = twins[i].rx;
		}
	a = flow_stats_get(sender, f);
	b = rx == f ? 0 : flow_stats_get(receiver, rx);
	if (a || b || e->observed & 3)
		return a > b ? a : b;
	/* key_way of the network view: its tx is c2s, its rx s2c. */
	return flow_stats_get(network, c2s ? f : rx);
}

static uint64_t sum_crossed(const struct flow_edge *e, enum flow_field f, enum flow_field g)
{
	const struct flow_stats *c = &e->view[FLOW_VIEW_CLIENT], *s = &e->view[FLOW_VIEW_SERVER];
	uint64_t cf = flow_stats_get(c, f), sg = flow_stats_get(s, g), cg = flow_stats_get(c, g),
		 sf = flow_stats_get(s, f);

	return (cf > sg ? cf : sg) + (cg > sf ? cg : sf);
}

/* The short names, then the columns of all views; histograms have none. */
int store_metric(const char *name)
{
	char column[64];

	for (size_t i = 0; i < ARRAY_LEN(sums); i++)
		if (!strcmp(sums[i].name, name))
			return (int)i;
	for (unsigned v = 0; v < FLOW_VIEWS; v++)
		for (unsigned f = 0; f < FLOW_FIELDS; f++)
			if (flow_fields[f].width != FLOW_HIST && flow_column(f, v, column) && !strcmp(column, name))
				return (int)(ARRAY_LEN(sums) + v * FLOW_FIELDS + f);
	return -ENOENT;
}

uint64_t store_metric_sum(const struct flow_edge *e, int metric)
{
	unsigned i = (unsigned)metric, column = i - (unsigned)ARRAY_LEN(sums);
	uint64_t n = 0;

	if (metric < 0)
		return 0;
	if (i >= ARRAY_LEN(sums))
		return flow_stats_get(&e->view[column / FLOW_FIELDS], column % FLOW_FIELDS);
	if (sums[i].ways == CROSSED)
		return sum_crossed(e, sums[i].fields[0], sums[i].fields[1]);
	for (unsigned k = 0; k < sums[i].n; k++) {
		if (sums[i].ways != 2)
			n += store_best(e, sums[i].fields[k], true);
		if (sums[i].ways & 2)
			n += store_best(e, sums[i].fields[k], false);
	}
	return n;
}

uint64_t store_sum(const struct flow_edge *e, const char *name)
{
	return store_metric_sum(e, store_metric(name));
}

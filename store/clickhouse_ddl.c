/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables. All are ReplacingMergeTree: of rows with the same key the one with the greatest version stays, so writing
 * twice changes nothing (law L8). Read with FINAL: what is merged later is already one row.
 *
 *     edges_fine edges_1m edges_5m edges_1h   key (edge, start, revision), version n = rows of the finest tier summed
 *     pairs_fine pairs_5m                     key (edge, start, client, server, scope, revision), likewise;
 *                                             folded: what went into this row of zero addresses; gone: it is no more
 *     ledger names hosts listeners            the newest
 *     marks                                   buckets that must be made again (clickhouse_roll.c)
 *     spans                                   partitions there are (gone 0), were (gone 1)
 *
 * start is the interval's start (18.16 takes a column called interval for the keyword). The edge stands before it in the key: the sums of the best twenty of many edges touch few granules, and an
 * edge's rows, much alike, lie side by side and pack well. What a range of time leaves out is left out by partitions: an
 * hour of the finest tier, a day of the others. Retention drops partitions.
 *
 * On a cluster each table is two: <table>_local, replicated, and <table>, distributed by edge (or by what the key begins
 * with), so that all rows of a key are in one shard.
 */
#include "store/clickhouse_ddl.h"

#include <assert.h>
#include <stdio.h>

#define ROW_REST \
	"interval_s UInt16,observed UInt8,client_rungs UInt8,server_rungs UInt8,flags UInt32,via String,n UInt64"
#define EDGES "start UInt32,edge UInt64,revision UInt64," ROW_REST
#define PAIRS                                                                                     \
	"start UInt32,edge UInt64,revision UInt64,client FixedString(16),server FixedString(16)," \
	"scope String," ROW_REST ",gone UInt8,folded Array(UInt64)"
#define EDGES_KEY "edge,start,revision"
#define PAIRS_KEY "edge,start,client,server,scope,revision"
#define HOUR "intDiv(start,3600)"
#define DAY "intDiv(start,86400)"

static const struct table {
	const char *name, *columns, *version, *partition, *key, *shard;
	bool sums;
} tables[CLICKHOUSE_TABLES] = {
	{"edges_fine", EDGES, "n", HOUR, EDGES_KEY, "edge", true},
	{"edges_1m", EDGES, "n", DAY, EDGES_KEY, "edge", true},
	{"edges_5m", EDGES, "n", DAY, EDGES_KEY, "edge", true},
	{"edges_1h", EDGES, "n", DAY, EDGES_KEY, "edge", true},
	{"pairs_fine", PAIRS, "n", HOUR, PAIRS_KEY, "edge", true},
	{NULL, NULL, NULL, NULL, NULL, NULL, false},
	{"pairs_5m", PAIRS, "n", DAY, PAIRS_KEY, "edge", true},
	{NULL, NULL, NULL, NULL, NULL, NULL, false},
	{"ledger",
	 "start UInt32,role String,instance String,boot UInt64,interval_s UInt16,rows_in UInt64,rows_out UInt64,"
	 "lost String,info String,at UInt64",
	 "at", DAY, "start,role,instance,boot", "cityHash64(instance)", false},
	{"names",
	 "edge UInt64,net String,client_service String,client_zone String,server_service String,server_zone String,"
	 "protocol UInt8,port UInt16,day UInt32",
	 "day", NULL, "edge", "edge", false},
	{"hosts",
	 "net String,id String,hostname String,kernel String,mode String,version String,agent FixedString(16),"
	 "boot UInt64,start UInt32,interval_s UInt16,netns Array(UInt32),ip Array(FixedString(16)),"
	 "bits Array(UInt8),host_only Array(UInt8)",
	 "start", NULL, "net,id", "cityHash64(id)", false},
	{"listeners",
	 "net String,host String,netns UInt32,addr FixedString(16),port UInt16,protocol UInt8,alive UInt8,"
	 "start UInt32,since UInt32,drops UInt64,queue UInt32,queue_max UInt32,service String,process String,"
	 "unit String,container String,pod String,quality UInt8",
	 "start", NULL, "net,host,netns,addr,port,protocol", "cityHash64(host)", false},
	{"marks", "kind UInt8,tier UInt8,bucket UInt32,owner UInt64,dirty UInt8,at UInt64", "at",
	 "intDiv(bucket,86400)", "kind,tier,bucket,owner", "bucket", false},
	{"spans", "kind UInt8,tier UInt8,start UInt32,gone UInt8", "gone", NULL, "kind,tier,start", "start", false},
};

const char *clickhouse_table(enum clickhouse_table t)
{
	return tables[t].name;
}

const char *clickhouse_rows_table(enum columns_kind kind, enum store_tier t)
{
	return kind == COLUMNS_LEDGER ? tables[CLICKHOUSE_LEDGER].name
				      : tables[CLICKHOUSE_ROWS + (kind == COLUMNS_PAIRS) * STORE_TIERS + t].name;
}

int clickhouse_columns(const struct columns *c, enum clickhouse_table t,
		       int (*fn)(void *arg, const char *name, const char *type), void *arg)
{
	char name[32], type[32];
	int r = 0, end;

	for (const char *p = tables[t].columns; !r && *p; p += end + (p[end] == ',')) {
		end = 0;
		(void)sscanf(p, "%31s %31[^,]%n", name, type, &end);
		assert(end);
		r = fn(arg, name, type);
	}
	for (unsigned i = 0; !r && tables[t].sums && i < c->n; i++)
		r = fn(arg, c->v[i].name, c->v[i].hist ? "Array(UInt32)" : "UInt64");
	return r;
}

struct ddl_list {
	struct buf *sql;
	const char *before;
};

static int ddl_column(void *arg, const char *name, const char *type)
{
	struct ddl_list *l = arg;

	buf_printf(l->sql, "%s\n\t%s %s", l->before, name, type);
	l->before = ",";
	return 0;
}

static void ddl_local(const struct columns *c, const struct table *t, const char *database, const char *cluster,
		      struct buf *sql)
{
	if (cluster)
		buf_printf(sql, "CREATE TABLE IF NOT EXISTS %s.%s_local ON CLUSTER %s(", database, t->name, cluster);
	else
		buf_printf(sql, "CREATE TABLE IF NOT EXISTS %s(", t->name);
	clickhouse_columns(c, (enum clickhouse_table)(t - tables), ddl_column, &(struct ddl_list){sql, ""});
	buf_printf(sql, ")\nENGINE = ");
	if (cluster)
		buf_printf(sql,
			   "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/skyfall/%s', '{replica}', %s)",
			   t->name, t->version);
	else
		buf_printf(sql, "ReplacingMergeTree(%s)", t->version);
	if (t->partition)
		buf_printf(sql, "\nPARTITION BY %s", t->partition);
	buf_printf(sql, "\nORDER BY (%s)\nSETTINGS index_granularity = 1024", t->key);
}

void clickhouse_create(const struct columns *c, enum clickhouse_table table, const char *database, const char *cluster,
		       struct buf *sql)
{
	const struct table *t = &tables[table];

	ddl_local(c, t, database, cluster, sql);
	if (cluster)
		buf_printf(sql,
			   ";\n\nCREATE TABLE IF NOT EXISTS %s.%s ON CLUSTER %s AS %s.%s_local\n"
			   "ENGINE = Distributed(%s, %s, %s_local, %s)",
			   database, t->name, cluster, database, t->name, cluster, database, t->name, t->shard);
}

void clickhouse_ddl(const char *database, const char *cluster, struct buf *sql)
{
	struct columns c;

	columns_init(&c);
	buf_printf(
		sql,
		"-- Tables of Skyfall's store for ClickHouse 18.16 and later, made by\n--     skyfall store --print-ddl%s%s\n"
		"-- from flow/fields.def: do not edit.\n",
		cluster ? " --replicated --cluster " : "", cluster ? cluster : "");
	if (cluster)
		buf_printf(sql, "-- The macros {shard} and {replica} are those of each server's configuration.\n");
	buf_printf(sql, "\nCREATE DATABASE IF NOT EXISTS %s%s%s;\n\nUSE %s;\n", database, cluster ? " ON CLUSTER " : "",
		   cluster ? cluster : "", database);
	for (int t = 0; t < CLICKHOUSE_TABLES; t++) {
		if (!tables[t].name)
			continue;
		buf_char(sql, '\n');
		clickhouse_create(&c, (enum clickhouse_table)t, database, cluster, sql);
		buf_printf(sql, ";\n");
	}
}

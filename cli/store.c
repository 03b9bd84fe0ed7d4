/* SPDX-License-Identifier: Apache-2.0 */
/* The store's tables, for those who make them themselves. */
#include <stdio.h>
#include <string.h>

#include "cli/cmd.h"
#include "store/clickhouse_ddl.h"

struct store_conf {
	bool print_ddl, replicated;
	const char *cluster, *database;
};

#define AT(member) .offset = offsetof(struct store_conf, member)

static const struct opt store_options[] = {
	{.name = "print-ddl", .type = OPT_FLAG, AT(print_ddl), .help = "the statements that make ClickHouse's tables"},
	{.name = "replicated", .type = OPT_FLAG, AT(replicated), .help = "for several servers: needs --cluster"},
	{.name = "cluster",
	 .type = OPT_STRING,
	 AT(cluster),
	 .arg = "NAME",
	 .help = "the cluster's name in ClickHouse's configuration"},
	{.name = "database", .type = OPT_STRING, AT(database), .arg = "NAME", .help = "default skyfall"},
	{0},
};

const struct opt_command store_command = {
	.name = "store",
	.summary = "the tables of a ClickHouse store",
	.args = "",
	.about = "One ClickHouse server needs nothing made: Skyfall makes its tables there. For a cluster run what\n"
		 "--print-ddl --replicated --cluster NAME prints; packaging/clickhouse/ has both.",
	.opts = store_options,
	.conf_size = sizeof(struct store_conf),
};

static bool store_plain(const char *name)
{
	return *name && !name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")];
}

int cmd_store(int argc, char **argv)
{
	struct store_conf conf = {0};
	struct buf sql;
	char **args;
	int n, r = opt_parse(CMD_PROGRAM " store", &store_command, argc, argv, &conf, &args, &n);

	if (r)
		return r == OPT_HELP ? CMD_OK : CMD_USAGE;
	if (!conf.print_ddl || conf.replicated != (conf.cluster != NULL)) {
		fprintf(stderr, CMD_PROGRAM " store: it is --print-ddl, or --print-ddl --replicated --cluster NAME\n");
		return CMD_USAGE;
	}
	if (!store_plain(conf.cluster ? conf.cluster : "c") || !store_plain(conf.database ? conf.database : "d")) {
		fprintf(stderr, CMD_PROGRAM " store: names of databases and clusters are letters, digits and '_'\n");
		return CMD_USAGE;
	}
	buf_init(&sql, 0);
	clickhouse_ddl(conf.database ? conf.database : "skyfall", conf.cluster, &sql);
	fputs(buf_text(&sql), stdout);
	buf_deinit(&sql);
	return CMD_OK;
}

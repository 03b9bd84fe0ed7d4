/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/answer.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/edge_row.h"

struct edges_conf {
	const char *api, *from, *to, *service, *client, *server, *zone, *net, *host, *sort, *group;
	uint64_t port, limit;
	bool reverse, json, csv;
};

#define EDGES_MAX 10000ull /* the API gives no more */

#define AT(member) .offset = offsetof(struct edges_conf, member)

static const struct opt edges_opts[] = {
	{.name = "from",
	 .type = OPT_STRING,
	 AT(from),
	 .arg = "TIME",
	 .help = "start: -5m, -1h, seconds since 1970 or 2026-11-23T05:00:00Z; default -5m"},
	{.name = "to", .type = OPT_STRING, AT(to), .arg = "TIME", .help = "end, not included; default now"},
	{.name = "service", .type = OPT_STRING, AT(service), .arg = "NAME", .help = "service at either end"},
	{.name = "client", .type = OPT_STRING, AT(client), .arg = "NAME", .help = "service of the client"},
	{.name = "server", .type = OPT_STRING, AT(server), .arg = "NAME", .help = "service of the server"},
	{.name = "zone", .type = OPT_STRING, AT(zone), .arg = "NAME", .help = "zone at either end", .empty = true},
	{.name = "net", .type = OPT_STRING, AT(net), .arg = "NAME", .help = "address space", .empty = true},
	{.name = "host",
	 .type = OPT_STRING,
	 AT(host),
	 .arg = "HOST",
	 .help = "host name, host id, address or CIDR at either end"},
	{.name = "port", .type = OPT_UINT, AT(port), .arg = "N", .help = "service port", .max = 65535},
	{.name = "group",
	 .type = OPT_STRING,
	 AT(group),
	 .arg = "BY",
	 .choices = "edge|services|client|server|zones",
	 .help = "sum edges: services, client, server or zones; default edge"},
	{.name = "sort",
	 .letter = 's',
	 .type = OPT_STRING,
	 AT(sort),
	 .arg = "SUM",
	 .help = "bytes, opened, failed, resets, retransmitted, open_ms, ... or a column such as client_c2s_bytes; default bytes"},
	{.name = "reverse", .letter = 'r', .type = OPT_FLAG, AT(reverse), .help = "the least first"},
	{.name = "limit",
	 .letter = 'n',
	 .type = OPT_UINT,
	 AT(limit),
	 .arg = "N",
	 .help = "so many at most; default 100",
	 .min = 1,
	 .max = EDGES_MAX},
	CLIENT_OPT(struct edges_conf, api),
	{.name = "json", .letter = 'j', .type = OPT_FLAG, AT(json), .help = "the API's answer as it is"},
	{.name = "csv", .type = OPT_FLAG, AT(csv), .help = "comma-separated, every column"},
	{0},
};

const struct opt_command edges_command = {
	.name = "edges",
	.summary = "which service talked to which, and how much",
	.args = "[FILTER ...]",
	.about =
		"Sums over a range, one line an edge. Each word of FILTER must be part of a service's or zone's name, or\n"
		"be the port. C2S is what the client sent, S2C what the server sent, each as the better informed end\n"
		"counted it; --json has every sum of both views.",
	.opts = edges_opts,
	.conf_size = sizeof(struct edges_conf),
	.max_args = 16,
};

/* With words, the table is cut after they have chosen. */
static void edges_path(const struct edges_conf *conf, bool words, struct buf *path)
{
	char number[24];

	answer_path(path, "/api/v1/edges");
	answer_param(path, "from", conf->from);
	answer_param(path, "to", conf->to);
	answer_param(path, "service", conf->service);
	answer_param(path, "client", conf->client);
	answer_param(path, "server", conf->server);
	answer_param(path, "zone", conf->zone);
	answer_param(path, "net", conf->net);
	answer_param(path, "host", conf->host);
	answer_param(path, "sort", conf->sort);
	answer_param(path, "group", conf->group);
	answer_param(path, "order", conf->reverse ? "asc" : NULL);
	answer_param(path, "format", conf->csv ? "csv" : NULL);
	snprintf(number, sizeof(number), "%llu", words ? EDGES_MAX : (unsigned long long)conf->limit);
	answer_param(path, "limit", number);
	snprintf(number, sizeof(number), "%llu", (unsigned long long)conf->port);
	answer_param(path, "port", conf->port != UINT64_MAX ? number : NULL);
}

static bool edges_wanted(const struct edge_row *row, char **words, int n)
{
	for (int i = 0; i < n; i++)
		if (!edge_row_matches(row, words[i]))
			return false;
	return true;
}

static int edges_print(const struct edges_conf *conf, const json_t *answer, char **words, int n_words)
{
	struct table_column columns[EDGE_ROW_COLUMNS_MAX];
	const char *what = conf->group && strcmp(conf->group, "edge") ? "groups" : "edges";
	const json_t *edges = json_object_get(answer, "edges");
	double from = client_num(answer, "from", 0), to = client_num(answer, "to", 0);
	size_t matched = (size_t)client_num(answer, "matched", 0), n = json_array_size(edges);
	char range[96];
	struct table *t;
	int r;

	/* What groups do not have is left out. */
	memcpy(columns, edge_row_totals, edge_row_columns * sizeof(*columns));
	for (size_t i = 0; i < 3; i++)
		columns[i].drop = *what == 'g';
	r = table_new(&t, columns, edge_row_columns);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n && table_rows(t) < conf->limit; i++) {
		struct edge_row row;

		edge_row_read(json_array_get(edges, i), &row);
		if (edges_wanted(&row, words, n_words))
			edge_row_cells(t, &row, 0);
	}
	answer_range(from, to, range, sizeof(range));
	if (table_rows(t)) {
		r = answer_table(t);
		printf("\n%zu of %zu %s, %s\n", table_rows(t), matched, what, range);
	} else if (n) {
		printf("None of %zu %s has these words, %s.\n", matched, what, range);
	} else {
		printf("No edge, %s. Is an agent reporting? `skyfall hosts` lists them.\n", range);
	}
	table_free(t);
	return r;
}

int cmd_edges(int argc, char **argv)
{
	struct edges_conf conf = {.port = UINT64_MAX, .limit = 100};
	struct client *c = NULL;
	json_t *answer = NULL;
	struct buf path;
	char **words;
	int n, r = opt_parse(CMD_PROGRAM " edges", &edges_command, argc, argv, &conf, &words, &n);

	if (r)
		return r == OPT_HELP ? CMD_OK : CMD_USAGE;
	if (n && (conf.json || conf.csv)) {
		fprintf(stderr,
			CMD_PROGRAM
			" edges: '%s': --json and --csv are chosen by --service, --port, ..., not by words\n",
			words[0]);
		return CMD_USAGE;
	}
	buf_init(&path, 0);
	edges_path(&conf, n, &path);
	r = client_new(&c, conf.api);
	if (r == 0 && (conf.json || conf.csv))
		r = answer_verbatim(c, buf_text(&path));
	else if (r == 0 && (r = client_get(c, buf_text(&path), &answer)) == 0)
		r = edges_print(&conf, answer, words, n);
	r = answer_exit(c, "edges", r);
	json_decref(answer);
	client_free(c);
	buf_deinit(&path);
	return r;
}

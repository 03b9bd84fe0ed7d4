/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/cmd.h"

struct graph_conf {
	const char *bus, *inventory;
};

#define AT(member) .offset = offsetof(struct graph_conf, member)

static const struct opt graph_options[] = {
	{.name = "bus",
	 .type = OPT_STRING,
	 AT(bus),
	 .arg = "KIND",
	 .help = "where rows come from; this version has only the bus inside `skyfall run`: memory",
	 .choices = "memory"},
	{.name = "inventory",
	 .type = OPT_STRING,
	 AT(inventory),
	 .arg = "FILE",
	 .help = "whose addresses are whose (YAML)"},
	{0},
};

const struct opt_command graph_command = {
	.name = "graph",
	.summary = "the graph alone (needs a bus between processes: a later version)",
	.args = "",
	.about = "Joins both ends of each conversation and sums conversations into edges between services.",
	.opts = graph_options,
	.conf_size = sizeof(struct graph_conf),
};

int cmd_graph(int argc, char **argv)
{
	struct graph_conf conf = {0};
	char **args;
	int n, r = opt_parse(CMD_PROGRAM " graph", &graph_command, argc, argv, &conf, &args, &n);

	if (r)
		return r == OPT_HELP ? CMD_OK : CMD_USAGE;
	fprintf(stderr, CMD_PROGRAM
		" graph: a graph of its own has nothing to read: this version's only bus is in the memory of one "
		"process; use `" CMD_PROGRAM " run`\n");
	return CMD_FAILED;
}

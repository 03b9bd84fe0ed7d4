/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/cmd.h"

struct collector_conf {
	const char *sflow, *bus;
	uint32_t interval_ms;
	uint64_t threads;
	struct opt_list nets;
};

#define AT(member) .offset = offsetof(struct collector_conf, member)

static const struct opt collector_options[] = {
	{.name = "bus",
	 .type = OPT_STRING,
	 AT(bus),
	 .arg = "KIND",
	 .help = "where rows go; this version has only the bus inside `skyfall run`: memory",
	 .choices = "memory"},
	{.name = "sflow",
	 .type = OPT_STRING,
	 AT(sflow),
	 .arg = "HOST:PORT",
	 .help = "UDP address for agents; default :6343"},
	OPT_INTERVAL(struct collector_conf, interval_ms, "the fleet's interval; default 10s"),
	{.name = "threads",
	 .type = OPT_UINT,
	 AT(threads),
	 .arg = "N",
	 .help = "receive threads; default one a CPU",
	 .max = 64},
	{.name = "net",
	 .type = OPT_LIST,
	 AT(nets),
	 .arg = "NAME",
	 .help = "only agents of this address space (again for more)"},
	{0},
};

const struct opt_command collector_command = {
	.name = "collector",
	.summary = "the collector alone (needs a bus between processes: a later version)",
	.args = "",
	.about = "Receives what agents send, folds it, passes it on over the bus.",
	.opts = collector_options,
	.conf_size = sizeof(struct collector_conf),
};

int cmd_collector(int argc, char **argv)
{
	struct collector_conf conf = {0};
	char **args;
	int n, r = opt_parse(CMD_PROGRAM " collector", &collector_command, argc, argv, &conf, &args, &n);

	if (r)
		return r == OPT_HELP ? CMD_OK : CMD_USAGE;
	fprintf(stderr, CMD_PROGRAM
		" collector: a collector of its own has nobody to hand rows to: this version's only bus is in the "
		"memory of one process; use `" CMD_PROGRAM " run --no-agent`\n");
	return CMD_FAILED;
}

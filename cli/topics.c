/* SPDX-License-Identifier: Apache-2.0 */
/* skyfall topics: the topics of a Kafka bus, made or looked over. */
#include "bus/topics.h"

#include <stdio.h>

#include "cli/bus.h"
#include "cli/cmd.h"

struct topics_conf {
	const char *bus, *config;
	uint64_t partitions, replication;
	bool create, check;
};

#define AT(member) .offset = offsetof(struct topics_conf, member)

static const struct opt topics_options[] = {
	{.name = "bus", .type = OPT_STRING, AT(bus), .arg = "KIND", .help = BUS_OPTION_HELP},
	{.name = "bus-config", .type = OPT_STRING, AT(config), .arg = "FILE", .help = BUS_CONFIG_HELP},
	{.name = "check", .type = OPT_FLAG, AT(check), .help = "only look (the default)"},
	{.name = "create",
	 .type = OPT_FLAG,
	 AT(create),
	 .help = "make what is missing, unless something there is wrong"},
	{.name = "partitions",
	 .type = OPT_UINT,
	 AT(partitions),
	 .arg = "N",
	 .help = "of flows, partials, edges and pairs; for good; default as they are, else 12",
	 .min = 1,
	 .max = 4096},
	{.name = "replication",
	 .type = OPT_UINT,
	 AT(replication),
	 .arg = "N",
	 .help = "copies; default as they are, else 3 (fewer brokers: as many)",
	 .min = 1,
	 .max = 16},
	{0},
};

const struct opt_command topics_command = {
	.name = "topics",
	.summary = "make or check the topics of a Kafka bus",
	.args = "",
	.about =
		"A line a topic; exit 1 when one is missing or not as it should be. What is there is never changed: with another\n"
		"count of partitions, both ends of a conversation would meet in different ones before and after.",
	.opts = topics_options,
	.conf_size = sizeof(struct topics_conf),
};

static void topics_say(void *arg, bool good, const char *line)
{
	(void)arg;
	printf("%s %s\n", good ? "ok   " : "wrong", line);
}

int cmd_topics(int argc, char **argv)
{
	struct topics_conf conf = {0};
	struct topics_opts opts;
	char **args, why[1024];
	int n, r = opt_parse(CMD_PROGRAM " topics", &topics_command, argc, argv, &conf, &args, &n);

	if (r)
		return r == OPT_HELP ? CMD_OK : CMD_USAGE;
	opts = (struct topics_opts){.brokers = bus_brokers(conf.bus),
				    .config = conf.config,
				    .partitions = (unsigned)conf.partitions,
				    .replication = (unsigned)conf.replication,
				    .create = conf.create};
	if (!opts.brokers || (conf.create && conf.check)) {
		fprintf(stderr, CMD_PROGRAM " topics: %s\n",
			opts.brokers ? "--create and --check: one of them, please"
				     : "--bus kafka:HOST:PORT says where the brokers are");
		return CMD_USAGE;
	}
	r = topics_look(&opts, topics_say, NULL, why, sizeof(why));
	if (r < 0)
		fprintf(stderr, CMD_PROGRAM " topics: %s\n", why);
	return r == 0 ? CMD_OK : CMD_FAILED;
}

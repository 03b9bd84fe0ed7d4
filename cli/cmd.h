/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of `skyfall`, one file each. A command is a table of options (base/opt.h) and a function
 * that gets argv from its own name on (argv[0] = "edges") and returns the exit code.
 */
#pragma once

#include <stddef.h>

#include "base/opt.h"

#define CMD_PROGRAM "skyfall"

/* Exit codes. */
enum {
	CMD_OK = 0,
	CMD_FAILED = 1, /* it was asked rightly and did not work; doctor: something does not add up */
	CMD_USAGE = 2,  /* a wrong option or argument */
	CMD_NO_API = 3, /* nobody answers at the API's address */
};

struct command {
	const struct opt_command *opts;
	int (*run)(int argc, char **argv);
};

/* All of them in the order of `skyfall help`; cli/main.c. */
extern const struct command commands[];
extern const size_t commands_n;

#define CMD(name)                                       \
	extern const struct opt_command name##_command; \
	int cmd_##name(int argc, char **argv)

CMD(run);
CMD(top);
CMD(edges);
CMD(hosts);
CMD(doctor);
CMD(dump);
CMD(collector);
CMD(graph);
CMD(server);
CMD(topics);
CMD(store);
CMD(key);
CMD(schema);
CMD(fields);
CMD(completion);
CMD(man);
CMD(help);
CMD(version);

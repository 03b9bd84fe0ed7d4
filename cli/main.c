/* SPDX-License-Identifier: Apache-2.0 */
/* skyfall: one program, a role or a question per command. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/table.h"
#include "cli/cmd.h"

#define COMMAND(name)                       \
	{                                   \
		&name##_command, cmd_##name \
	}

const struct command commands[] = {
	COMMAND(run),       COMMAND(top),    COMMAND(edges),      COMMAND(hosts),  COMMAND(doctor),  COMMAND(dump),
	COMMAND(collector), COMMAND(graph),  COMMAND(server),     COMMAND(topics), COMMAND(store),   COMMAND(key),
	COMMAND(schema),    COMMAND(fields), COMMAND(completion), COMMAND(man),    COMMAND(version), COMMAND(help),
};
const size_t commands_n = ARRAY_LEN(commands);

/* Other spellings people try first. */
static const char *main_alias(const char *word)
{
	static const char *const aliases[][2] = {
		{"--help", "help"}, {"-h", "help"}, {"--version", "version"}, {"-V", "version"}};

	for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
		if (strcmp(aliases[i][0], word) == 0)
			return aliases[i][1];
	return word;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? main_alias(argv[1]) : NULL;

	log_set(LOG_INFO, CMD_PROGRAM);
	signal(SIGPIPE, SIG_IGN);
	if (!name) {
		char help[] = "help", *alone[] = {help, NULL};

		(void)cmd_help(1, alone);
		return CMD_USAGE;
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].opts->name, name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, CMD_PROGRAM ": there is no command '%s'; `" CMD_PROGRAM " help` lists them\n", name);
	return CMD_USAGE;
}

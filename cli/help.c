/* SPDX-License-Identifier: Apache-2.0 */
/* What comes from the option tables alone: help, completion, manual page, version. */
#include <stdio.h>
#include <string.h>

#include "cli/cmd.h"

#define HELP_COMMANDS_MAX 32
#define HELP_SUMMARY "which service talks to which, how much and how well"

static const struct opt no_opts[] = {{0}};

const struct opt_command help_command = {.name = "help",
					 .summary = "this list, or one command's options",
					 .args = "[COMMAND]",
					 .opts = no_opts,
					 .max_args = 1};
const struct opt_command version_command = {.name = "version", .summary = "the version", .args = "", .opts = no_opts};
const struct opt_command completion_command = {
	.name = "completion",
	.summary = "completion for a shell",
	.args = "[bash]",
	.about = "Put it to use: source <(skyfall completion bash)",
	.opts = no_opts,
	.max_args = 1,
};
const struct opt_command man_command = {.name = "man",
					.summary = "the manual page (roff)",
					.args = "",
					.about = "Read it: skyfall man | man -l -",
					.opts = no_opts};

static size_t help_tables(const struct opt_command *tables[HELP_COMMANDS_MAX])
{
	size_t n = 0;

	for (; n < commands_n && n < HELP_COMMANDS_MAX; n++)
		tables[n] = commands[n].opts;
	return n;
}

static int help_list(void)
{
	printf("Skyfall " SKYFALL_VERSION ": " HELP_SUMMARY "\n\nusage: " CMD_PROGRAM " COMMAND [option ...]\n\n");
	for (size_t i = 0; i < commands_n; i++)
		printf("  %-12s %s\n", commands[i].opts->name, commands[i].opts->summary);
	printf("\nStart with `" CMD_PROGRAM " run`, then `" CMD_PROGRAM " top`. `" CMD_PROGRAM
	       " COMMAND --help` lists a command's options.\n");
	return CMD_OK;
}

int cmd_help(int argc, char **argv)
{
	char **args, name[64];
	int n, r = opt_parse(CMD_PROGRAM " help", &help_command, argc, argv, NULL, &args, &n);

	if (r)
		return r == OPT_HELP ? CMD_OK : CMD_USAGE;
	if (n == 0)
		return help_list();
	for (size_t i = 0; i < commands_n; i++) {
		if (strcmp(commands[i].opts->name, args[0]) != 0)
			continue;
		snprintf(name, sizeof(name), CMD_PROGRAM " %s", args[0]);
		opt_help(name, commands[i].opts, stdout);
		return CMD_OK;
	}
	fprintf(stderr, CMD_PROGRAM ": there is no command '%s'; `" CMD_PROGRAM " help` lists them\n", args[0]);
	return CMD_USAGE;
}

int cmd_version(int argc, char **argv)
{
	char **args;
	int n, r = opt_parse(CMD_PROGRAM " version", &version_command, argc, argv, NULL, &args, &n);

	if (r)
		return r == OPT_HELP ? CMD_OK : CMD_USAGE;
	printf(CMD_PROGRAM " " SKYFALL_VERSION "\n");
	return CMD_OK;
}

int cmd_completion(int argc, char **argv)
{
	const struct opt_command *tables[HELP_COMMANDS_MAX];
	char **args;
	int n, r = opt_parse(CMD_PROGRAM " completion", &completion_command, argc, argv, NULL, &args, &n);

	if (r)
		return r == OPT_HELP ? CMD_OK : CMD_USAGE;
	if (n == 1 && strcmp(args[0], "bash") != 0) {
		fprintf(stderr, CMD_PROGRAM " completion: no completion for '%s'; there is one for bash\n", args[0]);
		return CMD_USAGE;
	}
	opt_completion_bash(CMD_PROGRAM, tables, help_tables(tables), stdout);
	return CMD_OK;
}

int cmd_man(int argc, char **argv)
{
	const struct opt_command *tables[HELP_COMMANDS_MAX];
	char **args;
	int n, r = opt_parse(CMD_PROGRAM " man", &man_command, argc, argv, NULL, &args, &n);

	if (r)
		return r == OPT_HELP ? CMD_OK : CMD_USAGE;
	opt_man(CMD_PROGRAM, 1, HELP_SUMMARY, tables, help_tables(tables), stdout);
	return CMD_OK;
}

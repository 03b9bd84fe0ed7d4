/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table of options per command. Parsing, --help, shell completion and the man page's OPTIONS
 * section all come from it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum opt_type {
	OPT_FLAG,   /* bool, no value */
	OPT_STRING, /* const char * */
	OPT_LIST,   /* struct opt_list: may be given again */
	OPT_UINT,   /* uint64_t, between min and max */
	OPT_TIME,   /* uint32_t milliseconds: "200ms", "0.2s", "10s", "5m", "2h", "7d" */
	OPT_SIZE,   /* uint64_t bytes: "64M", "1G" */
	OPT_GROUP,  /* a heading in --help */
};

struct opt_list {
	const char *v[64];
	size_t n;
};

struct opt {
	const char *name; /* long name without "--" */
	char letter;      /* short name or 0 */
	enum opt_type type;
	size_t offset;       /* of the member in the command's struct */
	const char *arg;     /* what the value is called in help: "HOST:PORT" */
	const char *help;    /* one line; ends with the default where there is one */
	uint64_t min, max;   /* OPT_UINT, OPT_TIME, OPT_SIZE; max 0 = no bound */
	const char *choices; /* OPT_STRING: "a|b|c", also for completion; NULL = any */
	bool empty;          /* OPT_STRING, OPT_LIST: '' is a value as well; else it is refused */
};

/* The fleet's interval is the same in every program: this row, and whole seconds that divide a minute. */
#define OPT_INTERVAL(conf, member, text)                                                                              \
	{                                                                                                             \
		.name = "interval", .letter = 'i', .type = OPT_TIME, .offset = offsetof(conf, member), .arg = "TIME", \
		.help = text, .min = 1000, .max = 60000                                                               \
	}
bool opt_interval_ok(uint32_t ms);
#define OPT_INTERVAL_RULE \
	"--interval: must be whole seconds and divide 60: 1s, 2s, 3s, 4s, 5s, 6s, 10s, 12s, 15s, 20s, 30s or 60s"

struct opt_command {
	const char *name;       /* "run" */
	const char *summary;    /* one line */
	const char *args;       /* "[A B]" or "" */
	const char *about;      /* some lines of explanation, or NULL */
	const struct opt *opts; /* ends with {0} */
	size_t conf_size;
	unsigned min_args, max_args;
};

enum { OPT_HELP = 1 };

/* Reads argv[1..] into `conf` (filled with defaults by the caller). 0; OPT_HELP when help was asked for and
 * printed; -EINVAL after saying on standard error what is wrong with which word (the caller exits 2).
 * ret_args: the words that are no options, in order, inside argv. */
int opt_parse(const char *program, const struct opt_command *cmd, int argc, char **argv, void *conf, char ***ret_args,
	      int *ret_n);

void opt_help(const char *program, const struct opt_command *cmd, FILE *out);

/* bash completion for a program with subcommands (n > 1) or without. */
void opt_completion_bash(const char *program, const struct opt_command *const *cmds, size_t n, FILE *out);

/* The man page (roff, section 8 or 1) of the program. */
void opt_man(const char *program, int section, const char *summary, const struct opt_command *const *cmds, size_t n,
	     FILE *out);

/* "10s" -> 10000. -EINVAL. */
int opt_time_ms(const char *text, uint32_t *ret_ms);

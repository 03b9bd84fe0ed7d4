/* SPDX-License-Identifier: Apache-2.0 */
#include "base/opt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/table.h"
#include "base/wrap.h"

#define OPT_HELP_AT 31 /* column where an option's text begins */

struct opt_unit {
	const char *word;
	uint64_t factor;
};

static const struct opt_unit time_units[] = {{"ms", 1},      {"s", 1000},     {"m", 60000},
					     {"h", 3600000}, {"d", 86400000}, {"", 1000}};
static const struct opt_unit size_units[] = {
	{"", 1}, {"K", 1ull << 10}, {"M", 1ull << 20}, {"G", 1ull << 30}, {"T", 1ull << 40}};

/* A decimal number and one of the units: "0.2s". -EINVAL, -ERANGE. */
static int opt_scaled(const char *text, const struct opt_unit *units, size_t n, uint64_t *ret)
{
	double v;
	char *end;
	size_t i;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	v = strtod(text, &end);
	/* Hexadecimal and exponents are not how people write times. */
	if (strspn(text, "0123456789.") != (size_t)(end - text))
		return -EINVAL;
	for (i = 0; i < n; i++) {
		if (strcmp(end, units[i].word) != 0)
			continue;
		v *= (double)units[i].factor;
		if (v >= 9e18)
			return -ERANGE;
		*ret = (uint64_t)(v + 0.5);
		return 0;
	}
	return -EINVAL;
}

int opt_time_ms(const char *text, uint32_t *ret_ms)
{
	uint64_t v;
	int r = opt_scaled(text, time_units, ARRAY_LEN(time_units), &v);

	if (r < 0)
		return r;
	if (v > UINT32_MAX)
		return -ERANGE;
	*ret_ms = (uint32_t)v;
	return 0;
}

bool opt_interval_ok(uint32_t ms)
{
	return ms && ms % 1000 == 0 && 60000 % ms == 0;
}

static bool opt_is_choice(const char *choices, const char *value)
{
	size_t n = strlen(value);
	const char *p;

	for (p = choices; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL)
		if (strncmp(p, value, n) == 0 && (p[n] == '|' || p[n] == '\0'))
			return true;
	return false;
}

static int opt_uint(const char *text, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && !*end && !errno ? 0 : -EINVAL;
}

/* Stores a number after looking at its bounds; says what is wrong. */
static int opt_number(const char *program, const struct opt *o, const char *value, void *member)
{
	static const char *const expect[] = {
		[OPT_UINT] = "a whole number",
		[OPT_TIME] = "a time such as 200ms, 10s, 5m, 2h or 7d",
		[OPT_SIZE] = "a size such as 512K, 64M or 2G",
	};
	uint64_t v = 0, max = o->max ? o->max : o->type == OPT_TIME ? UINT32_MAX : UINT64_MAX;
	int r;

	if (o->type == OPT_UINT)
		r = opt_uint(value, &v);
	else if (o->type == OPT_TIME)
		r = opt_scaled(value, time_units, ARRAY_LEN(time_units), &v);
	else
		r = opt_scaled(value, size_units, ARRAY_LEN(size_units), &v);
	if (r < 0) {
		fprintf(stderr, "%s: --%s: '%s' is not %s\n", program, o->name, value, expect[o->type]);
		return -EINVAL;
	}
	if (v < o->min || v > max) {
		fprintf(stderr, "%s: --%s: %s is out of range (%llu to %llu%s)\n", program, o->name, value,
			(unsigned long long)o->min, (unsigned long long)max, o->type == OPT_TIME ? " ms" : "");
		return -EINVAL;
	}
	if (o->type == OPT_TIME)
		*(uint32_t *)member = (uint32_t)v;
	else
		*(uint64_t *)member = v;
	return 0;
}

/* An empty word is a variable of a script that was not set, more often than not. */
static bool opt_word_ok(const char *program, const struct opt *o, const char *value)
{
	if (*value || o->empty || o->choices)
		return true;
	fprintf(stderr, "%s: --%s: '' is not %s\n", program, o->name, o->arg);
	return false;
}

static int opt_store(const char *program, const struct opt *o, const char *value, void *conf)
{
	void *member = (char *)conf + o->offset;
	struct opt_list *list;

	switch (o->type) {
	case OPT_FLAG:
		*(bool *)member = true;
		return 0;
	case OPT_STRING:
		if (!opt_word_ok(program, o, value))
			return -EINVAL;
		if (o->choices && !opt_is_choice(o->choices, value)) {
			fprintf(stderr, "%s: --%s: '%s' is none of %s\n", program, o->name, value, o->choices);
			return -EINVAL;
		}
		*(const char **)member = value;
		return 0;
	case OPT_LIST:
		list = member;
		if (!opt_word_ok(program, o, value))
			return -EINVAL;
		if (list->n == ARRAY_LEN(list->v)) {
			fprintf(stderr, "%s: --%s is given more than %zu times\n", program, o->name,
				ARRAY_LEN(list->v));
			return -EINVAL;
		}
		list->v[list->n++] = value;
		return 0;
	default:
		return opt_number(program, o, value, member);
	}
}

/* The option that `word` ("--name", "--name=value", "-n") names; NULL. ret_value: what follows '=' or NULL. */
static const struct opt *opt_find(const struct opt_command *cmd, const char *word, const char **ret_value)
{
	const char *eq = strchr(word, '=');
	size_t n = eq ? (size_t)(eq - word) : strlen(word);
	const struct opt *o;

	*ret_value = NULL;
	for (o = cmd->opts; o->name || o->help; o++) {
		if (o->type == OPT_GROUP)
			continue;
		if (word[1] != '-') {
			if (o->letter && word[1] == o->letter && !word[2])
				return o;
			continue;
		}
		if (strlen(o->name) == n - 2 && strncmp(o->name, word + 2, n - 2) == 0) {
			*ret_value = eq ? eq + 1 : NULL;
			return o;
		}
	}
	return NULL;
}

static int opt_check_args(const char *program, const struct opt_command *cmd, char **args, int n)
{
	if ((unsigned)n < cmd->min_args) {
		fprintf(stderr, "%s: needs %s; see '%s --help'\n", program, cmd->args, program);
		return -EINVAL;
	}
	if ((unsigned)n > cmd->max_args) {
		fprintf(stderr, "%s: '%s' is not expected here; see '%s --help'\n", program, args[cmd->max_args],
			program);
		return -EINVAL;
	}
	return 0;
}

int opt_parse(const char *program, const struct opt_command *cmd, int argc, char **argv, void *conf, char ***ret_args,
	      int *ret_n)
{
	bool only_args = false;
	int i, n = 0, r;

	for (i = 1; i < argc; i++) {
		const struct opt *o;
		const char *value;

		if (only_args || argv[i][0] != '-' || !argv[i][1]) {
			argv[1 + n++] = argv[i];
			continue;
		}
		if (strcmp(argv[i], "--") == 0) {
			only_args = true;
			continue;
		}
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			opt_help(program, cmd, stdout);
			return OPT_HELP;
		}
		o = opt_find(cmd, argv[i], &value);
		if (!o) {
			fprintf(stderr, "%s: unknown option '%s'; see '%s --help'\n", program, argv[i], program);
			return -EINVAL;
		}
		if (o->type == OPT_FLAG && value) {
			fprintf(stderr, "%s: --%s takes no value\n", program, o->name);
			return -EINVAL;
		}
		if (o->type != OPT_FLAG && !value) {
			if (i + 1 == argc) {
				fprintf(stderr, "%s: --%s needs %s\n", program, o->name, o->arg);
				return -EINVAL;
			}
			value = argv[++i];
		}
		r = opt_store(program, o, value, conf);
		if (r < 0)
			return r;
	}
	r = opt_check_args(program, cmd, argv + 1, n);
	if (r < 0)
		return r;
	*ret_args = argv + 1;
	*ret_n = n;
	return 0;
}

/* --- what the table also is: help, completion, manual */

static void opt_left(const struct opt *o, char *text, size_t n)
{
	char letter[8] = "    ";

	if (o->letter)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	snprintf(text, n, "%s--%s%s%s", letter, o->name, o->arg ? " " : "", o->arg ? o->arg : "");
}

void opt_help(const char *program, const struct opt_command *cmd, FILE *out)
{
	size_t columns = wrap_columns(out);
	const struct opt *o;
	char left[64];

	fprintf(out, "usage: %s [option ...]%s%s\n", program, cmd->args && *cmd->args ? " " : "",
		cmd->args ? cmd->args : "");
	wrap_put(out, cmd->summary, 0, columns);
	if (cmd->about) {
		fputc('\n', out);
		wrap_put(out, cmd->about, 0, columns);
	}
	if (cmd->opts->type != OPT_GROUP)
		fputc('\n', out);
	for (o = cmd->opts; o->name || o->help; o++) {
		if (o->type == OPT_GROUP) {
			fprintf(out, "\n%s\n", o->help);
			continue;
		}
		opt_left(o, left, sizeof(left));
		if (strlen(left) > 28)
			fprintf(out, "  %s\n%*s", left, OPT_HELP_AT, "");
		else
			fprintf(out, "  %-28s ", left);
		wrap_put(out, o->help, OPT_HELP_AT, columns);
	}
	fprintf(out, "  %-28s %s\n", "-h, --help", "show this");
}

static void opt_completion_words(const struct opt_command *cmd, FILE *out)
{
	const struct opt *o;

	for (o = cmd->opts; o->name || o->help; o++)
		if (o->type != OPT_GROUP)
			fprintf(out, "--%s ", o->name);
	fputs("--help", out);
}

/* Cases of one command, matched against "command:the word before". An option that takes a value: its choices, or
 * nothing, which is bash's default, a file name. `name`: the command, or "*" in a program without commands. */
static void opt_completion_cases(const struct opt_command *cmd, const char *name, FILE *out)
{
	const struct opt *o;
	const char *p;

	for (o = cmd->opts; o->name || o->help; o++) {
		if (o->type == OPT_GROUP || o->type == OPT_FLAG)
			continue;
		fprintf(out, "\t%s:--%s", name, o->name);
		if (o->letter)
			fprintf(out, "|%s:-%c", name, o->letter);
		fputs(") words='", out);
		for (p = o->choices; p && *p; p++)
			fputc(*p == '|' ? ' ' : *p, out);
		fputs("' ;;\n", out);
	}
	fprintf(out, "\t%s:*) words='", name);
	opt_completion_words(cmd, out);
	fputs("' ;;\n", out);
}

void opt_completion_bash(const char *program, const struct opt_command *const *cmds, size_t n, FILE *out)
{
	char fn[64];
	size_t i;
	char *p;

	snprintf(fn, sizeof(fn), "_%s", program);
	for (p = fn; *p; p++)
		*p = *p == '-' ? '_' : *p;
	fprintf(out, "%s() {\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} words=''\n", fn);
	if (n > 1) {
		fputs("\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n\t\twords='", out);
		for (i = 0; i < n; i++)
			fprintf(out, "%s ", cmds[i]->name);
		fputs("--help'\n\telse\n", out);
	}
	fputs("\tcase ${COMP_WORDS[1]}:${COMP_WORDS[COMP_CWORD-1]} in\n", out);
	for (i = 0; i < n; i++)
		opt_completion_cases(cmds[i], n > 1 ? cmds[i]->name : "*", out);
	fprintf(out, "\tesac\n%s\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n}\n",
		n > 1 ? "\tfi\n" : "");
	fprintf(out, "complete -o default -F %s %s\n", fn, program);
}

/* Text in roff: '-' and '\\' escaped, no line starts with a dot. */
static void opt_roff(const char *text, FILE *out)
{
	bool line_start = true;

	for (; *text; text++) {
		if (*text == '-' || *text == '\\')
			fputc('\\', out);
		if (*text == '.' && line_start)
			fputs("\\&", out);
		fputc(*text, out);
		line_start = *text == '\n';
	}
}

static void opt_man_command(const struct opt_command *cmd, FILE *out)
{
	const struct opt *o;
	char left[64];

	for (o = cmd->opts; o->name || o->help; o++) {
		if (o->type == OPT_GROUP) {
			fprintf(out, ".PP\n%s\n", o->help);
			continue;
		}
		opt_left(o, left, sizeof(left));
		fputs(".TP\n.B ", out);
		opt_roff(left + strspn(left, " "), out);
		fputc('\n', out);
		opt_roff(o->help, out);
		fputc('\n', out);
	}
}

void opt_man(const char *program, int section, const char *summary, const struct opt_command *const *cmds, size_t n,
	     FILE *out)
{
	size_t i;

	fprintf(out, ".TH %s %d \"\" \"Skyfall %s\" \"Skyfall\"\n.SH NAME\n%s \\- %s\n.SH SYNOPSIS\n", program, section,
		SKYFALL_VERSION, program, summary);
	for (i = 0; i < n; i++) {
		const char *args = cmds[i]->args ? cmds[i]->args : "";

		fprintf(out, ".B %s%s%s\n[option ...]%s%s\n.br\n", program, n > 1 ? " " : "",
			n > 1 ? cmds[i]->name : "", *args ? " " : "", args);
	}
	fputs(n > 1 ? ".SH COMMANDS\n" : ".SH OPTIONS\n", out);
	for (i = 0; i < n; i++) {
		if (n > 1)
			fprintf(out, ".SS %s\n%s\n", cmds[i]->name, cmds[i]->summary);
		if (cmds[i]->about) {
			fputs(".PP\n", out);
			opt_roff(cmds[i]->about, out);
			fputc('\n', out);
		}
		opt_man_command(cmds[i], out);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/opt.h"
#include "base/table.h"

struct conf {
	bool flag;
	const char *text, *choice, *blank;
	struct opt_list list, blanks;
	uint64_t number, size;
	uint32_t time_ms;
};

#define AT(member) .offset = offsetof(struct conf, member)

static const struct opt opts[] = {
	{.type = OPT_GROUP, .help = "First"},
	{.name = "flag", .letter = 'f', .type = OPT_FLAG, AT(flag), .help = "a flag"},
	{.name = "text", .letter = 't', .type = OPT_STRING, AT(text), .arg = "WORD", .help = "a text"},
	{.name = "choice",
	 .type = OPT_STRING,
	 AT(choice),
	 .arg = "WHICH",
	 .help = "one of",
	 .choices = "red|green|blue"},
	{.name = "list", .letter = 'l', .type = OPT_LIST, AT(list), .arg = "X", .help = "many"},
	{.name = "blank", .type = OPT_STRING, AT(blank), .arg = "B", .help = "may be empty", .empty = true},
	{.name = "blanks", .type = OPT_LIST, AT(blanks), .arg = "B", .help = "may hold the empty", .empty = true},
	{.type = OPT_GROUP, .help = "Second"},
	{.name = "number",
	 .letter = 'n',
	 .type = OPT_UINT,
	 AT(number),
	 .arg = "N",
	 .help = "a number",
	 .min = 3,
	 .max = 70},
	{.name = "size", .type = OPT_SIZE, AT(size), .arg = "SIZE", .help = "a size"},
	{.name = "time", .type = OPT_TIME, AT(time_ms), .arg = "TIME", .help = "a time", .min = 5},
	{0},
};

static const struct opt_command cmd = {.name = "try",
				       .summary = "tries things",
				       .args = "[A [B]]",
				       .opts = opts,
				       .conf_size = sizeof(struct conf),
				       .max_args = 2};
static const struct opt_command strict = {.name = "need",
					  .summary = "needs one",
					  .args = "A",
					  .about = ".starts with a dot",
					  .opts = opts,
					  .min_args = 1,
					  .max_args = 1};

static char said[4096]; /* on standard error by the last parse() */

/* Words (ended by NULL) -> the result; what is said goes to `said`. */
static int parse(const struct opt_command *c, struct conf *conf, char ***ret_args, int *ret_n, const char *const *words)
{
	static char copies[80][64], *argv[80];
	int argc = 1, keep = dup(STDERR_FILENO), r;
	FILE *out = tmpfile();

	assert_non_null(out);
	argv[0] = (char *)"try";
	for (; words[argc - 1]; argc++) {
		snprintf(copies[argc], sizeof(copies[argc]), "%s", words[argc - 1]);
		argv[argc] = copies[argc];
	}
	argv[argc] = NULL;
	memset(conf, 0, sizeof(*conf));
	fflush(stderr);
	dup2(fileno(out), STDERR_FILENO);
	r = opt_parse("prog try", c, argc, argv, conf, ret_args, ret_n);
	fflush(stderr);
	dup2(keep, STDERR_FILENO);
	close(keep);
	rewind(out);
	said[fread(said, 1, sizeof(said) - 1, out)] = '\0';
	fclose(out);
	return r;
}

#define PARSE(...) parse(&cmd, &conf, &args, &n, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void test_values(void **state)
{
	struct conf conf;
	char **args;
	int n;

	assert_int_equal(PARSE(), 0);
	assert_int_equal(n, 0);
	assert_int_equal(PARSE("-f", "--text", "a b", "--choice=green", "--number=70", "--size", "64M", "--time",
			       "0.2s", "x"),
			 0);
	assert_true(conf.flag);
	assert_string_equal(conf.text, "a b");
	assert_string_equal(conf.choice, "green");
	assert_int_equal(conf.number, 70);
	assert_int_equal(conf.size, 64 << 20);
	assert_int_equal(conf.time_ms, 200);
	assert_int_equal(n, 1);
	assert_string_equal(args[0], "x");
	assert_string_equal(said, "");
}

static void test_list_and_words(void **state)
{
	struct conf conf;
	char **args;
	int n;

	assert_int_equal(PARSE("-l", "1", "first", "--list=2", "--", "--flag"), 0);
	assert_int_equal(conf.list.n, 2);
	assert_string_equal(conf.list.v[0], "1");
	assert_string_equal(conf.list.v[1], "2");
	assert_false(conf.flag);
	assert_int_equal(n, 2);
	assert_string_equal(args[0], "first");
	assert_string_equal(args[1], "--flag");
	assert_int_equal(PARSE("--text=-", "-"), 0);
	assert_string_equal(conf.text, "-");
	assert_string_equal(args[0], "-");
	assert_int_equal(PARSE("--blank=", "--blanks", ""), 0);
	assert_string_equal(conf.blank, "");
	assert_int_equal(conf.blanks.n, 1);
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *words[4], *says;
	} bad[] = {
		{{"--nonsense"}, "nonsense"},
		{{"-x"}, "-x"},
		{{"--flag=1"}, "no value"},
		{{"--text"}, "needs WORD"},
		{{"--text", ""}, "--text: '' is not WORD"},
		{{"--text="}, "--text: '' is not WORD"},
		{{"-t", ""}, "--text: '' is not WORD"},
		{{"--list", ""}, "--list: '' is not X"},
		{{"--size", ""}, "--size: '' is not a size"},
		{{"--time", ""}, "--time: '' is not a time"},
		{{"--choice", "re"}, "red|green|blue"},
		{{"--choice", "redd"}, "red|green|blue"},
		{{"--choice", ""}, "red|green|blue"},
		{{"--number", "2"}, "3 to 70"},
		{{"--number", "71"}, "3 to 70"},
		{{"--number", "-3"}, "whole number"},
		{{"--number", "3x"}, "whole number"},
		{{"--number", "99999999999999999999"}, "whole number"},
		{{"--number", ""}, "whole number"},
		{{"--time", "4ms"}, "out of range"},
		{{"--time", "5y"}, "200ms"},
		{{"--time", "-5s"}, "200ms"},
		{{"--time", "999999d"}, "range"},
		{{"--size", "1e400"}, "size"},
		{{"a", "b", "c"}, "'c' is not expected"},
		{{"--nu", "5"}, "--nu"},
		{{"--numbers", "5"}, "--numbers"},
	};
	struct conf conf;
	char **args;
	int n;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *words[5] = {bad[i].words[0], bad[i].words[1], bad[i].words[2], bad[i].words[3]};

		assert_true(parse(&cmd, &conf, &args, &n, words) < 0);
		if (!strstr(said, bad[i].says))
			fail_msg("'%s %s': says '%s', not '%s'", words[0], words[1] ? words[1] : "", said, bad[i].says);
		/* One line. */
		assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
	}
	assert_true(parse(&strict, &conf, &args, &n, (const char *const[]){NULL}) < 0);
	assert_non_null(strstr(said, "needs A"));
}

static void test_too_many(void **state)
{
	const size_t most = ARRAY_LEN(((struct opt_list *)NULL)->v);
	const char *words[80];
	struct conf conf;
	char **args;
	int n;

	for (size_t i = 0; i <= most; i++)
		words[i] = "--list=1";
	words[most] = NULL;
	assert_int_equal(parse(&cmd, &conf, &args, &n, words), 0);
	assert_int_equal(conf.list.n, most);
	words[most] = "--list=1";
	words[most + 1] = NULL;
	assert_true(parse(&cmd, &conf, &args, &n, words) < 0);
	assert_non_null(strstr(said, "more than 64 times"));
}

static void test_time(void **state)
{
	static const struct {
		const char *text;
		uint32_t ms;
	} good[] = {{"1500ms", 1500}, {"0.2s", 200},     {"10s", 10000}, {"5m", 300000},
		    {"2h", 7200000},  {"7d", 604800000}, {"3", 3000},    {"0s", 0}};
	static const char *const bad[] = {"",    "s",   "-1s", "1 s", "1sec", "0x10s",
					  "nan", "inf", "1e",  "50d", ".5s",  "1s "};
	uint32_t ms;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(opt_time_ms(good[i].text, &ms), 0);
		assert_int_equal(ms, good[i].ms);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (opt_time_ms(bad[i], &ms) == 0)
			fail_msg("'%s' is taken for %u ms", bad[i], ms);
}

static void test_interval(void **state)
{
	static const uint32_t good[] = {1000, 2000, 3000, 4000, 5000, 6000, 10000, 12000, 15000, 20000, 30000, 60000};
	size_t n = 0;

	for (uint32_t ms = 0; ms <= 120000; ms += 500)
		if (opt_interval_ok(ms)) {
			assert_true(n < ARRAY_LEN(good));
			assert_int_equal(ms, good[n++]);
		}
	assert_int_equal(n, ARRAY_LEN(good));
}

/* What a function prints. */
static char *printed(void (*print)(FILE *out))
{
	static char text[16384];
	FILE *out = fmemopen(text, sizeof(text), "w");

	assert_non_null(out);
	print(out);
	fclose(out);
	return text;
}

static void print_help(FILE *out)
{
	opt_help("prog try", &cmd, out);
}

static void test_help(void **state)
{
	const char *text = printed(print_help);

	for (const struct opt *o = opts; o->name || o->help; o++)
		assert_non_null(strstr(text, o->help));
	assert_non_null(strstr(text, "-n, --number N"));
	assert_non_null(strstr(text, "usage: prog try [option ...] [A [B]]"));
}

static const struct opt_command *const both[] = {&cmd, &strict};

static void print_completion(FILE *out)
{
	opt_completion_bash("prog", both, 2, out);
}

/* What bash itself completes for the words so far, joined by spaces. */
static void completed(const char *script, const char *words, int at, char *ret, size_t size)
{
	char command[20000];
	FILE *bash;
	size_t n;

	snprintf(command, sizeof(command), "%s\nCOMP_WORDS=(%s) COMP_CWORD=%d; _prog; echo \"${COMPREPLY[*]}\"", script,
		 words, at);
	assert_int_equal(setenv("TEST_SCRIPT", command, 1), 0);
	bash = popen("bash -c \"$TEST_SCRIPT\" 2>&1", "r");
	assert_non_null(bash);
	n = fread(ret, 1, size - 1, bash);
	assert_int_equal(pclose(bash), 0);
	ret[n && ret[n - 1] == '\n' ? n - 1 : n] = '\0';
}

static void test_completion(void **state)
{
	const char *script = printed(print_completion);
	char text[1024];

	completed(script, "prog ''", 1, text, sizeof(text));
	assert_string_equal(text, "try need --help");
	completed(script, "prog t", 1, text, sizeof(text));
	assert_string_equal(text, "try");
	completed(script, "prog try --nu", 2, text, sizeof(text));
	assert_string_equal(text, "--number");
	completed(script, "prog try --choice ''", 3, text, sizeof(text));
	assert_string_equal(text, "red green blue");
	completed(script, "prog try --choice g", 3, text, sizeof(text));
	assert_string_equal(text, "green");
	completed(script, "prog try --text ''", 3, text, sizeof(text));
	assert_string_equal(text, ""); /* a file name, by bash's default */
}

static void print_man(FILE *out)
{
	opt_man("prog", 1, "tries things", both, 2, out);
}

static void test_man(void **state)
{
	const char *text = printed(print_man);

	assert_non_null(strstr(text, ".TH prog 1"));
	assert_non_null(strstr(text, "\\-\\-number"));
	/* A text that starts with a dot is no request. */
	assert_non_null(strstr(text, "\\&.starts with a dot"));
	assert_non_null(strstr(text, ".SS need"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),   cmocka_unit_test(test_list_and_words), cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_too_many), cmocka_unit_test(test_time),           cmocka_unit_test(test_interval),
		cmocka_unit_test(test_help),     cmocka_unit_test(test_completion),     cmocka_unit_test(test_man),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

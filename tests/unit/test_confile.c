/* SPDX-License-Identifier: Apache-2.0 */
/* Options from a file: the words they become, where each mistake is, what a reload keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <unistd.h>

#include "agent/conf.h"

static const char *const once[] = {"once", NULL};

static int parse(struct confile **f, const char *text, char *why, size_t n)
{
	why[0] = '\0';
	return confile_parse(f, "F", str_from(text), &conf_command, once, why, n);
}

static void test_words(void **state)
{
	static const char *const expected[] = {
		"--interval=5s", "--collector=a:1", "--collector=[::1]:2", "--rules=/etc/my \"rules\"",
		"--no-ack",      "--net="};
	struct confile *f = NULL;
	char why[256];
	size_t i;

	assert_int_equal(parse(&f,
			       "# comment\n\n  interval\t5s # more\r\ncollector a:1\ncollector [::1]:2\n"
			       "rules \"/etc/my \\\"rules\\\"\"\nno-ack\nnet \"\"",
			       why, sizeof(why)),
			 0);
	assert_int_equal(confile_count(f), 6);
	for (i = 0; i < 6; i++)
		assert_string_equal(confile_word(f, i), expected[i]);
	assert_string_equal(confile_where(f, "interval", 8), "F:3:12");
	assert_string_equal(confile_where(f, "collector", 9), "F:5:11"); /* the last of them */
	assert_null(confile_where(f, "inter", 5));
	confile_free(f);
}

static void test_mistakes_have_a_place(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"interval", "F:1:9: the value is missing"},
		{"interval 5s\n  colector a:1", "F:2:3: no such option"},
		{"interval 5s 6s", "F:1:13: a word too many"},
		{"no-ack yes", "F:1:8: a word too many"},
		{"\n\nrules \"/etc", "F:3:7: the quote is not closed"},
		{"once", "F:1:1: belongs on the command line only"},
		{"--interval 5s", "F:1:1: no such option"},
		{"help", "F:1:1: no such option"},
	};
	struct confile *f = NULL;
	char why[256];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(&f, cases[i].text, why, sizeof(why)), -EINVAL);
		if (strncmp(why, cases[i].why, strlen(cases[i].why)) != 0)
			fail_msg("'%s': %s", cases[i].text, why);
	}
	assert_int_equal(confile_parse(&f, "F", (struct str){"no-ack\0x", 8}, &conf_command, once, why, sizeof(why)),
			 -EINVAL);
	assert_non_null(strstr(why, "F:1:7: a zero byte"));
	assert_null(f);
}

/* What the option itself refuses is said where options are: on standard error, with the place before it. */
static void test_a_wrong_value_is_said_with_its_place(void **state)
{
	struct confile *f = NULL;
	char why[256], said[512] = "";
	int p[2], old = dup(2);

	assert_int_equal(pipe(p), 0);
	fflush(stderr);
	dup2(p[1], 2);
	assert_int_equal(parse(&f, "net x\ninterval   fast\n", why, sizeof(why)), -EINVAL);
	fflush(stderr);
	dup2(old, 2);
	close(p[1]);
	assert_true(read(p[0], said, sizeof(said) - 1) > 0);
	close(p[0]);
	close(old);
	assert_string_equal(why, "");
	assert_true(strncmp(said, "F:2:12: --interval: 'fast' is not a time", 40) == 0);
}

static void test_no_file_is_too_odd(void **state)
{
	struct confile *f = NULL;
	char why[256], text[64];
	unsigned seed = 1, i, j;
	int quiet = dup(2);

	assert_non_null(freopen("/dev/null", "w", stderr));
	for (i = 0; i < 20000; i++) {
		for (j = 0; j < sizeof(text); j++) {
			seed = seed * 1103515245 + 12345;
			text[j] = "interval 5s\n\"#\\ \tno-ack\0net\xff"[(seed >> 16) % 29];
		}
		f = NULL;
		if (confile_parse(&f, "F", (struct str){text, sizeof(text)}, &conf_command, once, why, sizeof(why)) ==
		    0)
			confile_free(f);
	}
	fflush(stderr);
	dup2(quiet, 2);
	close(quiet);
	assert_int_equal(confile_load(&f, "/nonexistent/conf", &conf_command, once, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "/nonexistent/conf"));
	assert_true(confile_load(&f, "/", &conf_command, once, why, sizeof(why)) < 0);
}

static char path[64];

static void put(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void test_command_line_goes_first(void **state)
{
	char *argv[] = {(char *)"a", (char *)"--config", path, (char *)"--interval=2s", (char *)"--collector=127.0.0.9",
			NULL};
	struct conf c;
	char why[512];

	put("interval 5s\ncollector 127.0.0.1\nbudget 3\n");
	assert_int_equal(conf_parse(&c, 5, argv, why, sizeof(why)), 0);
	assert_int_equal(conf_check(&c, why, sizeof(why)), 0);
	assert_int_equal(c.interval_s, 2);
	assert_int_equal(c.n_collectors, 2);
	assert_int_equal(c.budget_ppm, 30000);
	conf_deinit(&c);
	put("collector 127.0.0.1\n  interval 7s\n"); /* a word that is fine by itself */
	assert_int_equal(conf_parse(&c, 3, argv, why, sizeof(why)), 0);
	assert_int_equal(conf_check(&c, why, sizeof(why)), -EINVAL);
	assert_ptr_equal(strstr(why, path), why);
	assert_non_null(strstr(why, ":2:12: --interval"));
	conf_deinit(&c);
}

static void test_reload(void **state)
{
	char *argv[] = {(char *)"a", (char *)"--config", path, NULL};
	struct conf first, c;
	char why[512];

	put("interval 5s\ncollector 127.0.0.1\nnet one\nmax-rows 100\n");
	assert_int_equal(conf_parse(&first, 3, argv, why, sizeof(why)), 0);
	assert_int_equal(conf_check(&first, why, sizeof(why)), 0);
	put("interval 2s\ncollector 127.0.0.2:7\nnet two\nmax-rows 200\nbudget 2\nno-ack\n");
	assert_int_equal(conf_reload(&c, &first, &first, 3, argv, why, sizeof(why)), 0);
	assert_int_equal(c.interval_s, 2);
	assert_int_equal(c.spread_ms, 1600);
	assert_int_equal(c.collector[0].port, 7);
	assert_int_equal(c.budget_ppm, 20000);
	assert_string_equal(c.net, "one");
	assert_int_equal(c.max_rows, 100);
	assert_false(c.no_ack);
	assert_string_equal(why, "--no-ack, --max-rows, --net");
	conf_deinit(&c);
	assert_string_equal(first.net, "one");
	put("interval 5s\ncollector 127.0.0.1\nrules /nonexistent/rules\nnet one\nmax-rows 100\n");
	assert_int_equal(conf_reload(&c, &first, &first, 3, argv, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "/nonexistent/rules"));
	conf_deinit(&c);
	/* a collector in force is not looked up again: here nobody could */
	first.collectors.v[0] = "collector.invalid:6343";
	first.collector[0].text = first.collectors.v[0];
	put("interval 5s\ncollector collector.invalid:6343\nnet one\nmax-rows 100\n");
	assert_int_equal(conf_reload(&c, &first, &first, 3, argv, why, sizeof(why)), 0);
	assert_true(ip_eq(&c.collector[0].ip, &first.collector[0].ip));
	assert_string_equal(c.collector[0].text, "collector.invalid:6343");
	assert_string_equal(why, "");
	conf_deinit(&c);
	unlink(path);
	assert_int_equal(conf_reload(&c, &first, &first, 3, argv, why, sizeof(why)), -ENOENT);
	conf_deinit(&c);
	conf_deinit(&first);
}

/* What follows from options is no change of one. */
static void test_reload_of_print(void **state)
{
	char *argv[] = {(char *)"a", (char *)"--json", (char *)"--config", path, NULL};
	struct conf first, c;
	char why[512];

	put("interval 5s\n");
	assert_int_equal(conf_parse(&first, 4, argv, why, sizeof(why)), 0);
	assert_int_equal(conf_check(&first, why, sizeof(why)), 0);
	assert_true(first.print);
	put("interval 2s\n");
	assert_int_equal(conf_reload(&c, &first, &first, 4, argv, why, sizeof(why)), 0);
	assert_true(c.print);
	assert_string_equal(why, "");
	conf_deinit(&c);
	conf_deinit(&first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_mistakes_have_a_place),
		cmocka_unit_test(test_a_wrong_value_is_said_with_its_place),
		cmocka_unit_test(test_no_file_is_too_odd),
		cmocka_unit_test(test_command_line_goes_first),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_reload_of_print),
	};

	snprintf(path, sizeof(path), "/tmp/skyfall-confile-%d", (int)getpid());
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/rules.h"
#include "base/table.h"

static void test_first_match_names(void **state)
{
	static const char text[] = "# names of the shop\n"
				   "\n"
				   "unit      postgresql@*.service  postgres\n"
				   "exe\t\"my server\"\t\"shop \\\"front\\\" \\\\\"   # with blanks\r\n"
				   "cgroup    /shop/*               web\n"
				   "pod       checkout-[0-9]*       checkout\n"
				   "container 0123456789ab          billing\n"
				   "exe       *                     rest";
	struct str f[RULES_WHATS] = {{0}};
	struct rules *r;
	char why[200];

	assert_int_equal(rules_parse(&r, "r", STR(text), why, sizeof(why)), 0);
	assert_int_equal(rules_count(r), 6);
	assert_int_equal(rules_find(r, f).n, 0);
	f[RULES_UNIT] = STR("postgresql@15-main.service");
	assert_true(str_eq(rules_find(r, f), STR("postgres")));
	f[RULES_UNIT] = STR("nginx.service");
	assert_int_equal(rules_find(r, f).n, 0);
	f[RULES_CGROUP] = STR("/shop/a/b");
	assert_true(str_eq(rules_find(r, f), STR("web")));
	f[RULES_EXE] = STR("my server"); /* stands before the cgroup's rule */
	assert_true(str_eq(rules_find(r, f), STR("shop \"front\" \\")));
	f[RULES_CGROUP] = f[RULES_EXE] = (struct str){0};
	f[RULES_POD] = STR("checkout-7x");
	assert_true(str_eq(rules_find(r, f), STR("checkout")));
	f[RULES_POD] = STR("checkout-x");
	assert_int_equal(rules_find(r, f).n, 0);
	f[RULES_EXE] = STR("anything");
	assert_true(str_eq(rules_find(r, f), STR("rest")));
	rules_free(r);
	rules_free(NULL);
	assert_int_equal(rules_find(NULL, f).n, 0);
}

static void test_mistakes_have_a_place(void **state)
{
	static const struct {
		const char *text, *why;
	} v[] = {
		{"exe a b\nprocess x y\n", "r:2:1: a rule begins with unit, container, exe, cgroup or pod"},
		{"\n\n  unit", "r:3:7: the pattern is missing: <what> <pattern> <name>"},
		{"unit a # b\n", "r:1:8: the name is missing: <what> <pattern> <name>"},
		{"unit a b c", "r:1:10: a word too many; a name with blanks is put in double quotes"},
		{"unit a \"b\n", "r:1:8: the quote is not closed"},
		{"unit a \"\"", "r:1:8: the name is empty"},
		{"unit \"\" b", "r:1:6: the pattern is missing: <what> <pattern> <name>"},
		{"unit a \"b\tc\"", "r:1:8: the name contains a control character"},
	};
	struct rules *r = NULL;
	char why[200];
	size_t i;

	for (i = 0; i < ARRAY_LEN(v); i++) {
		assert_true(rules_parse(&r, "r", str_from(v[i].text), why, sizeof(why)) < 0);
		assert_string_equal(why, v[i].why);
	}
	assert_true(rules_parse(&r, "r", STR("exe a b\nexe \0 c"), why, sizeof(why)) < 0);
	assert_string_equal(why, "r:2:5: a zero byte: this is not a text file");
	assert_null(r);
}

static void test_bounds(void **state)
{
	char *text = malloc(20 * (RULES_MAX + 1)), name[300], line[400], why[200];
	struct rules *r = NULL;
	size_t n = 0, i;

	for (i = 0; i < RULES_MAX; i++)
		n += (size_t)sprintf(text + n, "exe a%zu b\n", i);
	assert_int_equal(rules_parse(&r, "r", (struct str){text, n}, why, sizeof(why)), 0);
	rules_free(r);
	n += (size_t)sprintf(text + n, "exe z b\n");
	assert_true(rules_parse(&r, "r", (struct str){text, n}, why, sizeof(why)) < 0);
	assert_string_equal(why, "r:4097:1: more than 4096 rules");
	free(text);
	memset(name, 'n', 256);
	name[256] = '\0';
	snprintf(line, sizeof(line), "exe a %s", name);
	assert_true(rules_parse(&r, "r", str_from(line), why, sizeof(why)) < 0);
	assert_string_equal(why, "r:1:7: the name is longer than 255 bytes");
}

static void test_files(void **state)
{
	char path[] = "/tmp/test_rules.XXXXXX", why[200];
	int fd = mkstemp(path);
	struct rules *r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "exe a b\n", 8), 8);
	close(fd);
	assert_int_equal(rules_load(&r, path, why, sizeof(why)), 0);
	rules_free(r);
	unlink(path);
	assert_true(rules_load(&r, path, why, sizeof(why)) < 0);
	assert_non_null(strstr(why, path));
	assert_non_null(strstr(why, "No such file"));
	assert_true(rules_load(&r, "/tmp", why, sizeof(why)) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_match_names),
		cmocka_unit_test(test_mistakes_have_a_place),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

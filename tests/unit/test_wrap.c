/* SPDX-License-Identifier: Apache-2.0 */
/* Lines that fit, on terminals of many widths. */
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/wrap.h"

static const char *wrapped(const char *text, size_t indent, size_t columns)
{
	static char out[4096];
	FILE *f = fmemopen(out, sizeof(out), "w");

	assert_non_null(f);
	wrap_put(f, text, indent, columns);
	fclose(f);
	return out;
}

static void test_as_it_stands(void **state)
{
	const char *text = "one two three four five six seven eight nine\nten  eleven";

	assert_string_equal(wrapped(text, 0, 0), "one two three four five six seven eight nine\nten  eleven\n");
	assert_string_equal(wrapped(text, 30, 30 + WRAP_LEAST - 1),
			    "one two three four five six seven eight nine\nten  eleven\n");
	assert_string_equal(wrapped("", 5, 80), "\n");
}

static void test_lines(void **state)
{
	assert_string_equal(wrapped("twenty columns fit20 and no more\nthan that", 0, 20),
			    "twenty columns fit20\nand no more than\nthat\n");
	assert_string_equal(wrapped("one\ntwo\n\nthree", 0, 20), "one two\n\nthree\n");
	assert_string_equal(wrapped("a-word-that-is-longer-than-any-line is whole", 2, 22),
			    "a-word-that-is-longer-than-any-line\n  is whole\n");
	assert_string_equal(wrapped("is a-word-that-is-longer-than-any-line whole", 0, 20),
			    "is\na-word-that-is-longer-than-any-line\nwhole\n");
}

/* No line is longer than the terminal, none has room for the next one's first word, and no word is lost or changed. */
static void test_every_width(void **state)
{
	const char *text = "Reads the kernel's own connection counters, names both by service, and sends sums once an\n"
			   "interval. Needs root to see everything; without it, it shows what sock_diag tells anybody.";
	char words[4200], *line, *rest;
	size_t columns, indent, joined;

	for (columns = 30; columns < 200; columns++) {
		indent = columns % 10;
		snprintf(words, sizeof(words), "%*s%s", (int)indent, "", wrapped(text, indent, columns));
		joined = 0;
		for (line = strtok_r(words, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
			size_t n = strlen(line) - indent;

			assert_in_range(strlen(line), indent + 1, columns);
			assert_int_equal(strspn(line, " "), indent);
			for (size_t i = 0; i < n; i++)
				assert_true(line[indent + i] == text[joined + i] ||
					    (line[indent + i] == ' ' && text[joined + i] == '\n'));
			joined += n;
			if (!text[joined])
				continue;
			assert_true(text[joined] == ' ' || text[joined] == '\n');
			joined++;
			assert_true(strlen(line) + 1 + strcspn(text + joined, " \n") > columns);
		}
		assert_int_equal(joined, strlen(text));
	}
}

static void test_terminal(void **state)
{
	struct winsize size = {.ws_row = 24, .ws_col = 80};
	int master, slave;
	FILE *f;

	assert_int_equal(openpty(&master, &slave, NULL, NULL, &size), 0);
	f = fdopen(slave, "w");
	assert_int_equal(wrap_columns(f), 80);
	fclose(f);
	close(master);
	f = tmpfile();
	assert_int_equal(wrap_columns(f), 0);
	fclose(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_it_stands),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_every_width),
		cmocka_unit_test(test_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/table.h"
#include "cli/table.h"
#include "cli/unit.h"

static const struct table_column columns[] = {
	{.title = "NAME", .cut_to = 5},
	{.title = "BYTES", .right = true},
	{.title = "SRTT", .right = true, .drop = 1},
	{.title = "ID", .drop = 9},
	{.title = "NOTE", .cut_to = 4, .drop = 2},
};

static struct table *table_with(const char *const *cells, size_t n)
{
	struct table *t;

	assert_int_equal(table_new(&t, columns, ARRAY_LEN(columns)), 0);
	for (size_t i = 0; i < n; i++)
		table_cell(t, i == 1 ? TABLE_BAD : TABLE_PLAIN, cells[i]);
	return t;
}

static const char *const two_rows[] = {"inventory-system", "1.20 MB", "92 us", "00ff", "refused 3", "db", "7 B",
				       "1.00 ms",          "01aa",    ""};

/* The rendered table; valid until the next call. */
static const char *rendered(const struct table *t, const struct table_look *look)
{
	static struct buf out;

	buf_deinit(&out);
	buf_init(&out, 0);
	assert_int_equal(table_render(t, look, &out), 0);
	return buf_text(&out);
}

static void test_natural(void **state)
{
	struct table *t = table_with(two_rows, ARRAY_LEN(two_rows));

	assert_int_equal(table_rows(t), 2);
	assert_string_equal(rendered(t, &table_look_default), "NAME                BYTES     SRTT  ID    NOTE\n"
							      "inventory-system  1.20 MB    92 us  00ff  refused 3\n"
							      "db                    7 B  1.00 ms  01aa\n");
	table_free(t);
}

static void test_narrow(void **state)
{
	struct table *t = table_with(two_rows, ARRAY_LEN(two_rows));
	struct table_look look = table_look_default;

	/* The luxury (ID) goes before anything is cut. */
	look.width = 46;
	assert_string_equal(rendered(t, &look), "NAME                BYTES     SRTT  NOTE\n"
						"inventory-system  1.20 MB    92 us  refused 3\n"
						"db                    7 B  1.00 ms\n");
	/* Then texts are cut, the widest first. */
	look.width = 38;
	assert_string_equal(rendered(t, &look), "NAME         BYTES     SRTT  NOTE\n"
						"inventor\xe2\x80\xa6  1.20 MB    92 us  refused 3\n"
						"db             7 B  1.00 ms\n");
	/* Then columns go, the highest drop first. */
	look.width = 25;
	assert_string_equal(rendered(t, &look), "NAME       BYTES     SRTT\n"
						"invent\xe2\x80\xa6  1.20 MB    92 us\n"
						"db           7 B  1.00 ms\n");
	look.width = 14;
	assert_string_equal(rendered(t, &look), "NAME     BYTES\n"
						"inve\xe2\x80\xa6  1.20 MB\n"
						"db         7 B\n");
	table_free(t);
}

static void test_every_width_fits(void **state)
{
	struct table *t = table_with(two_rows, ARRAY_LEN(two_rows));

	for (size_t width = 14; width < 80; width++) {
		struct table_look look = table_look_default;
		const char *p;

		look.width = width;
		for (p = rendered(t, &look); *p; p = strchr(p, '\n') + 1) {
			char line[256];

			str_copy(line, sizeof(line), (struct str){p, strcspn(p, "\n")});
			assert_true(table_text_width(line) <= width);
		}
	}
	table_free(t);
}

static void test_part_and_selection(void **state)
{
	struct table *t = table_with(two_rows, ARRAY_LEN(two_rows));
	struct table_look look = table_look_default;
	const char *text;

	look.first = 1;
	look.rows = 5;
	look.marked = 1;
	look.mark = "v";
	text = rendered(t, &look);
	assert_null(strstr(text, "inventory"));
	assert_non_null(strstr(text, "BYTESv"));
	assert_non_null(strstr(text, "db "));
	look.first = 7;
	assert_string_equal(strchr(rendered(t, &look), '\n'), "\n");
	look.first = 0;
	look.colour = true;
	look.selected = 1;
	text = rendered(t, &look);
	assert_non_null(strstr(text, "\033[31m1.20 MB\033[0m"));
	assert_non_null(strstr(text, "\033[7mdb "));
	table_free(t);
}

static void test_empty_column_is_left_out(void **state)
{
	static const char *const cells[] = {"a", "1 B", "", "x", ""};
	struct table *t = table_with(cells, ARRAY_LEN(cells));

	assert_string_equal(rendered(t, &table_look_default), "NAME  BYTES  ID\na       1 B  x\n");
	table_free(t);
}

/* What comes from outside cannot move the cursor, colour the screen, or break the columns. */
static void test_text_from_outside(void **state)
{
	static const struct {
		const char *raw, *shown;
		size_t width;
	} texts[] = {
		{"plain", "plain", 5},
		{"\033[31mred\033[2J", "?[31mred?[2J", 12},
		{"a\nb\tc\x7f", "a?b?c?", 6},
		{"caf\xc3\xa9", "caf\xc3\xa9", 4},
		{"\xe6\x97\xa5\xe6\x9c\xac", "\xe6\x97\xa5\xe6\x9c\xac", 4}, /* two wide letters */
		{"\xff\xc3", "??", 2},
		{"\xc0\xaf", "??", 2},    /* overlong '/' */
		{"\xed\xa0\x80", "?", 1}, /* surrogate */
		{"\xc2\x9b"
		 "31m",
		 "?31m", 4}, /* CSI as one character of 8 bits */
		{"x\xe2\x80\xae"
		 "y",
		 "x?y", 3}, /* right to left */
		{"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", 2},
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct buf out;

		buf_init(&out, 0);
		assert_int_equal(table_put_cut(&out, texts[i].raw, 100), texts[i].width);
		assert_string_equal(buf_text(&out), texts[i].shown);
		assert_int_equal(table_text_width(texts[i].raw), texts[i].width);
		buf_deinit(&out);
	}
}

static void test_cut(void **state)
{
	struct buf out;

	buf_init(&out, 0);
	assert_int_equal(table_put_cut(&out, "abcdef", 4), 4);
	assert_string_equal(buf_text(&out), "abc\xe2\x80\xa6");
	buf_clear(&out);
	/* A wide letter that does not fit leaves its column free. */
	assert_int_equal(table_put_cut(&out, "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 4), 3);
	assert_string_equal(buf_text(&out), "\xe6\x97\xa5\xe2\x80\xa6");
	buf_clear(&out);
	assert_int_equal(table_put_cut(&out, "abc", 0), 0);
	assert_string_equal(buf_text(&out), "");
	buf_deinit(&out);
}

static void test_units(void **state)
{
	static const struct {
		char *(*format)(double n, char text[UNIT_TEXT]);
		double n;
		const char *text;
	} cases[] = {
		{unit_count, 0, "0"},
		{unit_count, 7, "7"},
		{unit_count, 999, "999"},
		{unit_count, 0.0001, "<0.01"},
		{unit_count, 0.3, "0.30"},
		{unit_count, 9.996, "10.0"},
		{unit_count, 99.96, "100"},
		{unit_count, 999.4, "999"},
		{unit_count, 999.6, "1.00 k"},
		{unit_count, 1000, "1.00 k"},
		{unit_count, 12345, "12.3 k"},
		{unit_count, 999499, "999 k"},
		{unit_count, 999600, "1.00 M"},
		{unit_count, 4.2e9, "4.20 G"},
		{unit_count, 1e18, "1000000 T"},
		{unit_count, NAN, "-"},
		{unit_bytes, 0, "0 B"},
		{unit_bytes, 512, "512 B"},
		{unit_bytes, 1500, "1.50 kB"},
		{unit_bytes, 4294967296.0, "4.29 GB"},
		{unit_rate, 2.5e6, "2.50 MB/s"},
		{unit_time_us, 92, "92 us"},
		{unit_time_us, 1200, "1.20 ms"},
		{unit_time_us, 59.4e6, "59.4 s"},
		{unit_time_us, 60e6, "1.00 min"},
		{unit_time_us, 3600e6, "1.00 h"},
		{unit_percent, 0.021, "2.10 %"},
		{unit_percent, 0, "0 %"},
		{unit_percent, 1, "100 %"},
		{unit_percent, 0.00001, "<0.01 %"},
	};
	char text[UNIT_TEXT];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(cases[i].format(cases[i].n, text), cases[i].text);
}

/* Read back, the text is within half of its last digit of the number. */
static void test_units_are_near(void **state)
{
	char text[UNIT_TEXT];

	for (double n = 1; n < 1e14; n *= 1.0137) {
		double scale = 1, back;
		char *unit;

		back = strtod(unit_count(n, text), &unit);
		for (const char *s = " kMGT"; *unit && s[1]; s++) {
			scale *= 1000;
			if (s[1] == unit[1])
				break;
		}
		assert_true(fabs(back * scale - n) <= n * 0.00501);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_natural),
		cmocka_unit_test(test_narrow),
		cmocka_unit_test(test_every_width_fits),
		cmocka_unit_test(test_part_and_selection),
		cmocka_unit_test(test_empty_column_is_left_out),
		cmocka_unit_test(test_text_from_outside),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_units_are_near),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The painter is held against a little terminal of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/table.h"
#include "cli/screen.h"
#include "cli/table.h"

#define ROWS 8
#define COLS 20

/* What a terminal of ROWS x COLS shows; understands just what the painter may send. Cells hold a character's bytes. */
struct terminal {
	char cell[ROWS][COLS][8];
	size_t row, col;
	unsigned sent; /* characters printed */
};

static void terminal_clear_from(struct terminal *t, size_t row, size_t col)
{
	for (; col < COLS; col++)
		strcpy(t->cell[row][col], " ");
}

static const char *terminal_sequence(struct terminal *t, const char *p)
{
	unsigned a = 0, b = 0;
	int n = 0;

	if (sscanf(p, "[%u;%uH%n", &a, &b, &n) == 2 && n) {
		assert_in_range(a, 1, ROWS);
		assert_in_range(b, 1, COLS);
		t->row = a - 1;
		t->col = b - 1;
		return p + n;
	}
	if (strncmp(p, "[K", 2) == 0) {
		terminal_clear_from(t, t->row, t->col);
		return p + 2;
	}
	if (strncmp(p, "[2J", 3) == 0) {
		for (size_t row = 0; row < ROWS; row++)
			terminal_clear_from(t, row, 0);
		return p + 3;
	}
	assert_int_equal(*p, '[');
	p += 1 + strspn(p + 1, "0123456789;");
	assert_int_equal(*p, 'm');
	return p + 1;
}

static void terminal_feed(struct terminal *t, const char *p)
{
	while (*p) {
		unsigned width;
		size_t len;
		bool ok;

		if (*p == '\033') {
			p = terminal_sequence(t, p + 1);
			continue;
		}
		len = table_char(p, strlen(p), &width, &ok);
		assert_true(ok);                     /* no control character but escape */
		assert_true(t->col + width <= COLS); /* nothing wraps */
		memcpy(t->cell[t->row][t->col], p, len);
		t->cell[t->row][t->col][len] = '\0';
		if (width == 2)
			strcpy(t->cell[t->row][t->col + 1], "");
		t->col += width;
		t->sent++;
		p += len;
	}
}

/* Row without blanks at its end. */
static const char *terminal_row(const struct terminal *t, size_t row)
{
	static char text[COLS * 8 + 1];
	size_t n = 0;

	for (size_t col = 0; col < COLS; col++)
		n += (size_t)sprintf(text + n, "%s", t->cell[row][col]);
	while (n && text[n - 1] == ' ')
		n--;
	text[n] = '\0';
	return text;
}

static void paint(struct terminal *t, const char *before, const char *after)
{
	struct buf out;

	buf_init(&out, 0);
	screen_diff(before, after, ROWS, COLS, &out);
	terminal_feed(t, buf_text(&out));
	buf_deinit(&out);
}

static struct terminal dirty(void)
{
	struct terminal t = {.row = 0};

	for (size_t row = 0; row < ROWS; row++)
		for (size_t col = 0; col < COLS; col++)
			strcpy(t.cell[row][col], "#");
	return t;
}

static void test_paint(void **state)
{
	struct terminal t = dirty();
	const char *first = "head\none\n\033[1mtwo\033[0m bold\n",
		   *second = "head\nuno\n\033[1mtwo\033[0m bold\nthree\n";

	paint(&t, NULL, first);
	assert_string_equal(terminal_row(&t, 0), "head");
	assert_string_equal(terminal_row(&t, 2), "two bold");
	assert_string_equal(terminal_row(&t, 3), "");
	assert_string_equal(terminal_row(&t, ROWS - 1), "");
	t.sent = 0;
	paint(&t, first, second);
	assert_string_equal(terminal_row(&t, 1), "uno");
	assert_string_equal(terminal_row(&t, 3), "three");
	assert_int_equal(t.sent, 8); /* just what changed */
	t.sent = 0;
	paint(&t, second, second);
	assert_int_equal(t.sent, 0);
	paint(&t, second, "");
	for (size_t row = 0; row < ROWS; row++)
		assert_string_equal(terminal_row(&t, row), "");
}

static void test_margins(void **state)
{
	struct terminal t = dirty();

	/* Exactly full, too long, a wide letter over the margin, an escape that is no style, more lines than rows. */
	paint(&t, NULL,
	      "01234567890123456789\n01234567890123456789XYZ\n0123456789012345678\xe6\x97\xa5\n\033[2Jx\033[5;5Hy\n5\n6\n7\n8\n9\n10\n");
	assert_string_equal(terminal_row(&t, 0), "01234567890123456789");
	assert_string_equal(terminal_row(&t, 1), "01234567890123456789");
	assert_string_equal(terminal_row(&t, 2), "0123456789012345678");
	assert_string_equal(terminal_row(&t, 3), "?[2Jx?[5;5Hy");
	assert_string_equal(terminal_row(&t, 7), "8");
}

/* Random pictures one after the other: the terminal always shows the last, whatever stood there. */
static void test_random(void **state)
{
	struct terminal t = dirty();
	char pictures[2][1024] = {""};
	unsigned seed = 7;

	for (int round = 0; round < 2000; round++) {
		char *now = pictures[round & 1], *before = pictures[!(round & 1)], *p = now;
		char lines[ROWS + 2][COLS + 8];
		int n = rand_r(&seed) % (ROWS + 3);

		for (int i = 0; i < n; i++) {
			int len = rand_r(&seed) % (COLS + 5);

			for (int k = 0; k < len; k++)
				lines[i][k] = (char)("ab "[rand_r(&seed) % 3]);
			lines[i][len] = '\0';
			p += sprintf(p, "%s\n", lines[i]);
		}
		*p = '\0';
		paint(&t, round ? before : NULL, now);
		for (int i = 0; i < ROWS; i++) {
			char want[COLS + 1] = "";

			if (i < n)
				snprintf(want, sizeof(want), "%.*s", COLS, lines[i]);
			for (size_t len = strlen(want); len && want[len - 1] == ' ';)
				want[--len] = '\0';
			assert_string_equal(terminal_row(&t, (size_t)i), want);
		}
	}
}

static void test_keys(void **state)
{
	static const struct {
		const char *typed;
		uint32_t key;
		size_t used;
	} whole[] = {
		{"q", 'q', 1},
		{"qs", 'q', 1},
		{" ", ' ', 1},
		{"\r", SCREEN_ENTER, 1},
		{"\n", SCREEN_ENTER, 1},
		{"\x7f", SCREEN_BACKSPACE, 1},
		{"\b", SCREEN_BACKSPACE, 1},
		{"\xc3\xa9x", 0xe9, 2},
		{"\xff", SCREEN_OTHER, 1},
		{"\033[A", SCREEN_UP, 3},
		{"\033OB", SCREEN_DOWN, 3},
		{"\033[5~q", SCREEN_PAGE_UP, 4},
		{"\033[6~", SCREEN_PAGE_DOWN, 4},
		{"\033[H", SCREEN_HOME, 3},
		{"\033[4~", SCREEN_END, 4},
		{"\033[1;5C", SCREEN_OTHER, 6},
		{"\033[200~x", SCREEN_OTHER, 6},
		{"\033x", SCREEN_ESC, 1},
		{"\033\033[A", SCREEN_ESC, 1},
	};
	static const char *const parts[] = {"\033", "\033[", "\033[5", "\033[1;5", "\033O", "\xc3", "\xe6\x97"};
	size_t used;

	for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
		assert_int_equal(screen_key(whole[i].typed, strlen(whole[i].typed), false, &used), whole[i].key);
		assert_int_equal(used, whole[i].used);
	}
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		assert_int_equal(screen_key(parts[i], strlen(parts[i]), false, &used), SCREEN_NONE);
		assert_int_equal(used, 0);
		assert_int_not_equal(screen_key(parts[i], strlen(parts[i]), true, &used), SCREEN_NONE);
		assert_true(used > 0);
	}
	assert_int_equal(screen_key("\033", 1, true, &used), SCREEN_ESC);
	assert_int_equal(screen_key("", 0, true, &used), SCREEN_NONE);
}

/* Any bytes: every call takes at least one when it may, never more than there are. */
static void test_keys_of_noise(void **state)
{
	unsigned seed = 3;

	for (int round = 0; round < 20000; round++) {
		char typed[24];
		size_t n = 1 + (unsigned)rand_r(&seed) % sizeof(typed), used;

		for (size_t i = 0; i < n; i++)
			typed[i] = rand_r(&seed) % 4 ? (char)("\033[O;15~AZ"[rand_r(&seed) % 9]) : (char)rand_r(&seed);
		(void)screen_key(typed, n, true, &used);
		assert_in_range(used, 1, n);
		(void)screen_key(typed, n, false, &used);
		assert_in_range(used, 0, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paint), cmocka_unit_test(test_margins),       cmocka_unit_test(test_random),
		cmocka_unit_test(test_keys),  cmocka_unit_test(test_keys_of_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The live table's picture and keys, and an edge of the API as its line: pure, no terminal, no API. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/screen.h"
#include "cli/top.h"

static json_t *edge(const char *client, const char *server, int port, const char *derived)
{
	json_error_t error;
	json_t *d = json_loads(derived, 0, &error);

	assert_non_null(d);
	return json_pack("{s:s,s:s,s:i,s:s,s:[],s:o}", "client_service", client, "server_service", server, "port", port,
			 "observed_by", "both", "flags", "derived", d);
}

static void test_read(void **state)
{
	json_t *e = edge("web", "api", 80, "{\"c2s_bytes\":5,\"opened\":3,\"failed\":2,\"failed_by\":{\"refused\":2}}");
	struct edge_row row;

	edge_row_read(e, &row);
	assert_string_equal(row.client, "web");
	assert_int_equal(row.port, 80);
	assert_true(row.c2s_bytes == 5 && row.opened == 3 && row.failed_by[EDGE_ROW_REFUSED] == 2);
	assert_true(isnan(row.srtt_p50_us) && isnan(row.s2c_bytes)); /* not known is not 0 */
	assert_true(edge_row_bytes(&row) == 0);
	json_decref(e);
	/* An answer that is not what we asked for. */
	e = json_pack("{s:i,s:n,s:[i]}", "client_service", 5, "derived", "flags", 7);
	edge_row_read(e, &row);
	assert_string_equal(row.client, "?");
	assert_true(row.opened == 0);
	json_decref(e);
	edge_row_read(NULL, &row);
	assert_string_equal(row.server, "?");
}

static void test_note(void **state)
{
	struct edge_row row = {.slow_server = NAN, .slow_client = NAN, .retransmit_ratio = NAN};
	char note[EDGE_ROW_NOTE];

	assert_int_equal(edge_row_note(&row, 0, note), TABLE_PLAIN);
	assert_string_equal(note, "");
	row.failed_by[EDGE_ROW_REFUSED] = 20;
	row.failed_by[EDGE_ROW_TIMEOUT] = 30;
	assert_int_equal(edge_row_note(&row, 10, note), TABLE_BAD);
	assert_string_equal(note, "timed out 3/s, refused 2/s");
	assert_int_equal(edge_row_note(&row, 0, note), TABLE_BAD);
	assert_string_equal(note, "timed out 30, refused 20");
	memset(row.failed_by, 0, sizeof(row.failed_by));
	row.slow_server = 0.86;
	row.retransmit_ratio = 0.021;
	row.retransmitted = 4;
	assert_int_equal(edge_row_note(&row, 1, note), TABLE_WARN);
	assert_string_equal(note, "slow server 86 %");
	row.retransmitted = 5;
	assert_int_equal(edge_row_note(&row, 1, note), TABLE_WARN);
	assert_string_equal(note, "slow server 86 %, retransmits 2.10 %");
	/* Everything at once does not overflow. */
	for (int i = 0; i < EDGE_ROW_CAUSES; i++)
		row.failed_by[i] = 123456789;
	row.slow_client = 0.5;
	row.resets = 1e12;
	row.no_role = true;
	assert_int_equal(edge_row_note(&row, 1, note), TABLE_BAD);
	assert_true(strlen(note) < EDGE_ROW_NOTE);
}

static struct edge_row rows[40];
static char names[40][16];

/* 40 edges, the i-th with i+1 opened and 40-i bytes. */
static struct top_view view_with_rows(void)
{
	for (int i = 0; i < 40; i++) {
		snprintf(names[i], sizeof(names[i]), "svc-%02d", i);
		rows[i] = (struct edge_row){.id = "",
					    .net = "",
					    .client = names[i],
					    .server = "db",
					    .client_zone = "",
					    .server_zone = "",
					    .protocol = "tcp",
					    .seen = "both",
					    .port = 5432,
					    .c2s_bytes = 40 - i,
					    .opened = i + 1,
					    .mean_open = NAN,
					    .srtt_p50_us = i % 2 ? NAN : i,
					    .srtt_p99_us = NAN,
					    .handshake_p50_us = NAN,
					    .retransmit_ratio = NAN,
					    .slow_server = NAN,
					    .slow_client = NAN};
	}
	rows[7].failed = rows[7].failed_by[EDGE_ROW_REFUSED] = 5;
	return (struct top_view){.rows = rows,
				 .n = 40,
				 .matched = 40,
				 .seconds = 1,
				 .asked = true,
				 .agents = 1,
				 .agents_known = 1,
				 .sort = &edge_row_sorts[0],
				 .quit = "quit",
				 .clock = "10:00:00",
				 .state = "all well"};
}

/* The picture, its lines counted and measured. */
static const char *picture(struct top_view *v, size_t height, size_t width)
{
	static struct buf out;
	size_t lines = 0;

	buf_deinit(&out);
	buf_init(&out, 0);
	top_paint(v, height, width, false, &out);
	for (const char *p = buf_text(&out); *p; p = strchr(p, '\n') + 1, lines++) {
		char line[1024];

		str_copy(line, sizeof(line), (struct str){p, strcspn(p, "\n")});
		if (width >= 60)
			assert_true(table_text_width(line) <= width);
	}
	assert_true(lines <= height || height < 5);
	return buf_text(&out);
}

/* Names of the rows shown, in order, up to `most`. */
static void shown(const char *text, char *ret, size_t most)
{
	const char *p = text;

	*ret = '\0';
	while (most-- && (p = strstr(p, "svc-"))) {
		strncat(ret, p + 4, 2);
		strcat(ret, " ");
		p += 4;
	}
}

static void test_sizes(void **state)
{
	static const size_t widths[] = {1, 20, 60, 79, 80, 100, 120, 200, 500}, heights[] = {1, 4, 5, 10, 24, 60, 500};
	struct top_view v = view_with_rows();

	for (size_t w = 0; w < sizeof(widths) / sizeof(*widths); w++)
		for (size_t h = 0; h < sizeof(heights) / sizeof(*heights); h++)
			assert_non_null(picture(&v, heights[h], widths[w]));
	v.note = "API http://127.0.0.1:8343";
	assert_non_null(strstr(picture(&v, 10, 80), "http://127.0.0.1:8343"));
	v.help = true;
	assert_non_null(strstr(picture(&v, 10, 80), "keys and columns"));
}

static void test_order_and_filter(void **state)
{
	struct top_view v = view_with_rows();
	char names_shown[256];

	shown(picture(&v, 8, 80), names_shown, 4);
	assert_string_equal(names_shown, "00 01 02 03 ");
	assert_true(top_key(&v, 'r', 4));
	shown(picture(&v, 8, 80), names_shown, 4);
	assert_string_equal(names_shown, "39 38 37 36 ");
	top_key(&v, 'r', 4);
	while (strcmp(v.sort->name, "opened") != 0)
		top_key(&v, 's', 4);
	shown(picture(&v, 8, 80), names_shown, 4);
	assert_string_equal(names_shown, "39 38 37 36 ");
	while (strcmp(v.sort->name, "srtt") != 0)
		top_key(&v, 'S', 4);
	/* What nobody knows comes last, both ways. */
	shown(picture(&v, 8, 80), names_shown, 2);
	assert_string_equal(names_shown, "38 36 ");
	top_key(&v, 'r', 4);
	shown(picture(&v, 8, 80), names_shown, 2);
	assert_string_equal(names_shown, "00 02 ");
	top_key(&v, '/', 4);
	for (const char *p = "sVc-1 5432"; *p; p++)
		top_key(&v, (uint32_t)*p, 4);
	top_key(&v, '9', 4);
	top_key(&v, SCREEN_BACKSPACE, 4);
	top_key(&v, SCREEN_ENTER, 4);
	shown(picture(&v, 30, 80), names_shown, 40);
	assert_int_equal(strlen(names_shown), 3 * 10);
	top_key(&v, SCREEN_ESC, 4);
	top_key(&v, 'e', 4);
	shown(picture(&v, 30, 80), names_shown, 40);
	assert_string_equal(names_shown, "07 ");
	assert_non_null(strstr(picture(&v, 30, 80), "refused 5/s"));
}

static void test_moving(void **state)
{
	struct top_view v = view_with_rows();
	char names_shown[256];

	for (int i = 0; i < 5; i++)
		top_key(&v, SCREEN_DOWN, 4);
	shown(picture(&v, 8, 80), names_shown, 4);
	assert_string_equal(names_shown, "02 03 04 05 ");
	top_key(&v, SCREEN_PAGE_DOWN, 4);
	assert_int_equal(v.selected, 9);
	top_key(&v, SCREEN_END, 4);
	shown(picture(&v, 8, 80), names_shown, 4);
	assert_string_equal(names_shown, "36 37 38 39 ");
	top_key(&v, SCREEN_DOWN, 4);
	assert_int_equal(v.selected, 39);
	/* A larger terminal fills up; fewer rows pull the selection along. */
	shown(picture(&v, 14, 80), names_shown, 10);
	assert_string_equal(names_shown, "30 31 32 33 34 35 36 37 38 39 ");
	v.n = 3;
	shown(picture(&v, 8, 80), names_shown, 4);
	assert_string_equal(names_shown, "00 01 02 ");
	assert_int_equal(v.selected, 2);
	top_key(&v, SCREEN_HOME, 4);
	top_key(&v, SCREEN_UP, 4);
	assert_int_equal(v.selected, 0);
	assert_false(top_key(&v, 'q', 4));
}

static void test_states(void **state)
{
	struct top_view v = {.sort = &edge_row_sorts[0], .quit = "quit"};

	assert_non_null(strstr(picture(&v, 10, 80), "asking"));
	v.asked = true;
	assert_non_null(strstr(picture(&v, 10, 80), "No agent has reported"));
	v.agents = 1;
	assert_non_null(strstr(picture(&v, 10, 80), "No connection was open"));
	strcpy(v.error, "nobody answers at http://x");
	assert_non_null(strstr(picture(&v, 10, 80), "nobody answers"));
	v = view_with_rows();
	strcpy(v.filter, "nothing like it");
	assert_non_null(strstr(picture(&v, 10, 80), "No edge matches"));
	strcpy(v.error, "nobody answers at http://x");
	v.filter[0] = '\0';
	assert_non_null(strstr(picture(&v, 10, 80), "svc-00")); /* the last numbers stay */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),   cmocka_unit_test(test_note),
		cmocka_unit_test(test_sizes),  cmocka_unit_test(test_order_and_filter),
		cmocka_unit_test(test_moving), cmocka_unit_test(test_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

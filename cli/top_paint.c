/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/table.h"
#include "cli/screen.h"
#include "cli/top.h"
#include "cli/unit.h"

#define TOP_CHROME 4 /* lines that are not rows: head, state, titles, keys */

/* --- lines */

/* Text cut to the terminal; style over the whole line. */
static void top_line(struct buf *out, const char *text, size_t cols, enum table_style style, bool colour)
{
	if (style != TABLE_PLAIN)
		table_put_style(out, style, colour);
	table_put_cut(out, text, cols);
	if (style != TABLE_PLAIN)
		table_put_style(out, TABLE_PLAIN, colour);
	buf_char(out, '\n');
}

static void top_head(const struct top_view *v, size_t cols, bool colour, struct buf *out)
{
	char text[512], bytes[UNIT_TEXT], opened[UNIT_TEXT], failed[UNIT_TEXT];
	double sum_bytes = 0, sum_opened = 0, sum_failed = 0, by = v->seconds > 0 ? v->seconds : 1;

	for (size_t i = 0; i < v->n; i++) {
		sum_bytes += edge_row_bytes(&v->rows[i]);
		sum_opened += v->rows[i].opened;
		sum_failed += v->rows[i].failed;
	}
	snprintf(text, sizeof(text), "Skyfall  %s  %zu edges  %s  %s opened/s  %s failed/s  %s%s", v->clock, v->matched,
		 unit_rate(sum_bytes / by, bytes), unit_count(sum_opened / by, opened),
		 unit_count(sum_failed / by, failed), v->paused ? "PAUSED  " : "",
		 v->filter[0] || v->odd ? "filtered" : "");
	top_line(out, text, cols, TABLE_BOLD, colour);
}

/* How complete the picture is, or why there is none. */
static void top_state(const struct top_view *v, size_t cols, bool colour, struct buf *out)
{
	if (v->error[0])
		top_line(out, v->error, cols, TABLE_BAD, colour);
	else if (!v->asked)
		top_line(out, "asking ...", cols, TABLE_DIM, colour);
	else
		top_line(out, v->state, cols, v->state_bad ? TABLE_WARN : TABLE_DIM, colour);
}

static void top_keys(const struct top_view *v, size_t cols, bool colour, struct buf *out)
{
	char text[256];

	if (v->typing) {
		snprintf(text, sizeof(text), "filter: %s_   (Enter keeps it, Esc drops it)", v->filter);
		top_line(out, text, cols, TABLE_BOLD, colour);
		return;
	}
	snprintf(text, sizeof(text), "q %s  s sort (%s)  r reverse  / filter%s%s  e %s  space %s  ? help", v->quit,
		 v->sort->name, v->filter[0] ? ": " : "", v->filter, v->odd ? "all" : "only odd",
		 v->paused ? "go on" : "pause");
	top_line(out, text, cols, TABLE_DIM, colour);
}

static void top_help(size_t rows, size_t cols, bool colour, struct buf *out)
{
	static const char *const lines[] = {
		"q           leave",
		"s S         sort by the next, the former column",
		"r           reverse the order",
		"/           filter: words that must be part of a service or zone, or be the port",
		"e           only edges with a note: failures, slow readers, resets",
		"up down     select a line; PgUp PgDn Home End further",
		"space       pause; the numbers stay",
		"?           this page",
		"",
		"C2S, S2C    payload from client to server, from server to client",
		"NEW         connections established; FAILED: attempts that were not",
		"OPEN        connections open on average",
		"SRTT, P99   round-trip time: the median, and what 99 of 100 stay below",
		"CONNECT     time from SYN to established, median",
		"RETRANS     share of segments sent again",
		"SEEN BY     which end has an agent: client, server, both",
		"NOTE        failures by cause; slow server, slow client: how long that end's",
		"            window was shut while there was something to send it; resets",
		"",
		"All are means over the last seconds; - is: not known.",
	};

	top_line(out, "Skyfall: keys and columns (any key goes back)", cols, TABLE_BOLD, colour);
	for (size_t i = 0; i < ARRAY_LEN(lines) && i + 1 < rows; i++)
		top_line(out, lines[i], cols, TABLE_PLAIN, colour);
}

/* --- the table */

bool top_shows(const struct top_view *v, const struct edge_row *row)
{
	char note[EDGE_ROW_NOTE];

	return edge_row_matches(row, v->filter) && (!v->odd || edge_row_note(row, 0, note) != TABLE_PLAIN);
}

static size_t top_count(const struct top_view *v)
{
	size_t n = 0;

	for (size_t i = 0; i < v->n; i++)
		n += top_shows(v, &v->rows[i]);
	return n;
}

/* Keeps the selection on the screen, moving as little as possible. */
static void top_clamp(struct top_view *v, size_t shown, size_t page)
{
	if (v->selected >= shown)
		v->selected = shown ? shown - 1 : 0;
	if (v->first > v->selected)
		v->first = v->selected;
	if (page && v->selected >= v->first + page)
		v->first = v->selected - page + 1;
	if (page && v->first + page > shown)
		v->first = shown > page ? shown - page : 0;
}

static int top_table(struct top_view *v, size_t page, size_t cols, bool colour, struct buf *out)
{
	struct table_look look = table_look_default;
	struct table *t;
	int r = table_new(&t, edge_row_rates, edge_row_columns);

	if (r < 0)
		return r;
	edge_row_order(v->rows, v->n, v->sort, v->reverse);
	for (size_t i = 0; i < v->n; i++)
		if (top_shows(v, &v->rows[i]))
			edge_row_cells(t, &v->rows[i], v->seconds > 0 ? v->seconds : 1);
	top_clamp(v, table_rows(t), page);
	look.width = cols;
	look.colour = colour;
	look.first = v->first;
	look.rows = page;
	look.selected = colour ? v->selected : SIZE_MAX;
	look.marked = v->sort->column;
	look.mark = v->reverse ? "^" : "v";
	r = table_render(t, &look, out);
	table_free(t);
	return r;
}

static const char *top_nothing(const struct top_view *v)
{
	if (!v->asked || v->error[0])
		return "";
	if (v->n)
		return v->odd ? "Nothing odd (e shows all edges)." : "No edge matches the filter (Esc drops it).";
	return v->agents > 0 ? "No connection was open in the last seconds."
			     : "No agent has reported yet: `skyfall doctor` says why.";
}

size_t top_page(const struct top_view *v, size_t rows)
{
	size_t chrome = TOP_CHROME + (v->note != NULL);

	return rows > chrome ? rows - chrome : 1;
}

void top_paint(struct top_view *v, size_t rows, size_t cols, bool colour, struct buf *out)
{
	size_t page = top_page(v, rows), shown = top_count(v), used;

	if (v->help) {
		top_help(rows, cols, colour, out);
		return;
	}
	top_head(v, cols, colour, out);
	top_state(v, cols, colour, out);
	if (v->note)
		top_line(out, v->note, cols, TABLE_DIM, colour);
	if (shown && top_table(v, page, cols, colour, out) == 0) {
		used = shown < page ? shown : page;
	} else {
		top_line(out, "", cols, TABLE_PLAIN, colour);
		top_line(out, top_nothing(v), cols, TABLE_PLAIN, colour);
		used = 1;
	}
	for (; used < page; used++)
		buf_char(out, '\n');
	top_keys(v, cols, colour, out);
}

/* --- keys */

static bool top_key_typing(struct top_view *v, uint32_t key)
{
	size_t n = strlen(v->filter);

	if (key == SCREEN_ENTER) {
		v->typing = false;
	} else if (key == SCREEN_ESC) {
		v->typing = false;
		v->filter[0] = '\0';
	} else if (key == SCREEN_BACKSPACE) {
		while (n && (v->filter[--n] & 0xc0) == 0x80)
			;
		v->filter[n] = '\0';
	} else if (key >= ' ' && key < 0x80 && n + 1 < sizeof(v->filter)) {
		v->filter[n] = (char)key;
		v->filter[n + 1] = '\0';
	}
	return true;
}

static void top_key_sort(struct top_view *v, int step)
{
	size_t at = (size_t)(v->sort - edge_row_sorts);

	v->sort = &edge_row_sorts[(at + edge_row_sorts_n + (size_t)step) % edge_row_sorts_n];
	v->first = v->selected = 0;
}

static void top_key_move(struct top_view *v, uint32_t key, size_t page)
{
	size_t last = top_count(v);

	last = last ? last - 1 : 0;
	if (key == SCREEN_UP)
		v->selected -= v->selected > 0;
	else if (key == SCREEN_DOWN)
		v->selected += v->selected < last;
	else if (key == SCREEN_PAGE_UP)
		v->selected = v->selected > page ? v->selected - page : 0;
	else if (key == SCREEN_PAGE_DOWN)
		v->selected = v->selected + page < last ? v->selected + page : last;
	else if (key == SCREEN_HOME)
		v->selected = 0;
	else if (key == SCREEN_END)
		v->selected = last;
}

bool top_key(struct top_view *v, uint32_t key, size_t page)
{
	if (v->typing)
		return top_key_typing(v, key);
	if (key == 'q' || key == 'Q')
		return false;
	if (v->help)
		v->help = false;
	else if (key == '?' || key == 'h')
		v->help = true;
	else if (key == 's')
		top_key_sort(v, 1);
	else if (key == 'S')
		top_key_sort(v, -1);
	else if (key == 'r')
		v->reverse = !v->reverse;
	else if (key == ' ')
		v->paused = !v->paused;
	else if (key == 'e')
		v->odd = !v->odd;
	else if (key == '/')
		v->typing = true;
	else if (key == SCREEN_ESC)
		v->filter[0] = '\0';
	else
		top_key_move(v, key, page);
	return true;
}

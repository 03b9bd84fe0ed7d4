/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/table.h"

#define TABLE_COLUMNS 40
#define TABLE_GAP 2
#define TABLE_ELLIPSIS "\xe2\x80\xa6"

struct table_text {
	size_t at; /* in `text` */
	unsigned width;
	uint8_t style;
};

struct table {
	const struct table_column *columns;
	size_t n;
	struct buf cells; /* struct table_text each */
	struct buf text;  /* NUL-terminated, safe */
};

const struct table_look table_look_default = {.selected = SIZE_MAX, .marked = SIZE_MAX};

/* --- text */

static bool table_is_wide(uint32_t c)
{
	static const struct {
		uint32_t from, to;
	} wide[] = {{0x1100, 0x115f}, {0x2e80, 0x303e},   {0x3041, 0x33ff},   {0x3400, 0x4dbf},  {0x4e00, 0x9fff},
		    {0xa000, 0xa4cf}, {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},  {0xff00, 0xff60},
		    {0xffe0, 0xffe6}, {0x1f300, 0x1f64f}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};

	for (size_t i = 0; i < ARRAY_LEN(wide); i++)
		if (c >= wide[i].from && c <= wide[i].to)
			return true;
	return false;
}

/* Marks that change the order of what follows, or have no width: not in a table of ours. */
static bool table_is_odd(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x300 && c < 0x370) || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || (c >= 0xfe00 && c <= 0xfe0f) ||
	       c == 0xfeff || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff;
}

size_t table_char(const char *text, size_t n, unsigned *ret_width, bool *ret_ok)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const uint8_t *p = (const uint8_t *)text;
	size_t len = p[0] < 0x80 ? 1 : p[0] >= 0xf0 && p[0] < 0xf8 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc0 ? 2 : 0;
	uint32_t c = p[0];

	*ret_width = 1;
	*ret_ok = false;
	if (len == 0 || p[0] >= 0xf8 || len > n)
		return 1;
	if (len > 1)
		c &= 0x7fu >> len;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 1;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[len] || table_is_odd(c))
		return len == 1 || c < least[len] ? 1 : len;
	*ret_ok = true;
	*ret_width = table_is_wide(c) ? 2 : 1;
	return len;
}

size_t table_text_width(const char *text)
{
	size_t width = 0, n = strlen(text);
	unsigned w;
	bool ok;

	while (n) {
		size_t len = table_char(text, n, &w, &ok);

		width += w;
		text += len;
		n -= len;
	}
	return width;
}

static size_t table_put_safe(struct buf *out, const char *text, size_t width)
{
	size_t used = 0, n = strlen(text);
	unsigned w;
	bool ok;

	while (n) {
		size_t len = table_char(text, n, &w, &ok);

		if (used + w > width)
			break;
		if (ok)
			buf_put(out, text, len);
		else
			buf_char(out, '?');
		used += w;
		text += len;
		n -= len;
	}
	return used;
}

size_t table_put_cut(struct buf *out, const char *text, size_t width)
{
	size_t used;

	if (table_text_width(text) <= width)
		return table_put_safe(out, text, width);
	if (width == 0)
		return 0;
	used = table_put_safe(out, text, width - 1);
	buf_str(out, STR(TABLE_ELLIPSIS));
	return used + 1;
}

void table_put_style(struct buf *out, enum table_style style, bool colour)
{
	/* Bright enough on dark and light; never the only carrier of a meaning. */
	static const char *const codes[TABLE_STYLES] = {
		[TABLE_PLAIN] = "\033[0m",   [TABLE_DIM] = "\033[2m",   [TABLE_BOLD] = "\033[1m",
		[TABLE_GOOD] = "\033[32m",   [TABLE_WARN] = "\033[33m", [TABLE_BAD] = "\033[31m",
		[TABLE_REVERSE] = "\033[7m",
	};

	if (colour)
		buf_str(out, str_from(codes[style]));
}

bool table_colour_wanted(int fd)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fd) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

size_t table_width_of(int fd)
{
	struct winsize size;
	const char *columns = getenv("COLUMNS");

	if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return columns ? strtoul(columns, NULL, 10) : 0;
}

/* --- the table */

int table_new(struct table **ret, const struct table_column *columns, size_t n)
{
	struct table *t = calloc(1, sizeof(*t));

	assert(n > 0 && n <= TABLE_COLUMNS);
	if (!t)
		return -ENOMEM;
	t->columns = columns;
	t->n = n;
	buf_init(&t->cells, 0);
	buf_init(&t->text, 0);
	*ret = t;
	return 0;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	buf_deinit(&t->cells);
	buf_deinit(&t->text);
	free(t);
}

void table_cell(struct table *t, enum table_style style, const char *text)
{
	struct table_text cell = {.at = t->text.n, .style = style};

	cell.width = table_put_safe(&t->text, text, 4096);
	buf_char(&t->text, '\0');
	if (!t->text.err)
		buf_put(&t->cells, &cell, sizeof(cell));
}

static size_t table_cells(const struct table *t)
{
	return t->cells.n / sizeof(struct table_text);
}

size_t table_rows(const struct table *t)
{
	return table_cells(t) / t->n;
}

static const struct table_text *table_at(const struct table *t, size_t row, size_t column)
{
	return (const struct table_text *)t->cells.p + row * t->n + column;
}

struct table_plan {
	unsigned width[TABLE_COLUMNS]; /* 0: left out */
	size_t from, to;               /* rows shown */
};

static size_t table_total(const struct table *t, const struct table_plan *p)
{
	size_t total = 0;

	for (size_t i = 0; i < t->n; i++)
		if (p->width[i])
			total += p->width[i] + (total ? TABLE_GAP : 0);
	return total;
}

/* Leaves out the column that is easiest to miss, if its `drop` is at least so high. False when there is none. */
static bool table_drop_one(const struct table *t, struct table_plan *p, unsigned least)
{
	size_t worst = t->n;

	for (size_t i = 0; i < t->n; i++)
		if (p->width[i] && t->columns[i].drop >= least &&
		    (worst == t->n || t->columns[i].drop >= t->columns[worst].drop))
			worst = i;
	if (worst == t->n)
		return false;
	p->width[worst] = 0;
	return true;
}

/* Total when every column that may be cut is cut. */
static size_t table_least(const struct table *t, const struct table_plan *p)
{
	struct table_plan least = *p;

	for (size_t i = 0; i < t->n; i++)
		if (t->columns[i].cut_to && least.width[i] > t->columns[i].cut_to)
			least.width[i] = t->columns[i].cut_to;
	return table_total(t, &least);
}

/* Takes one column from the widest that may be cut. */
static bool table_cut_one(const struct table *t, struct table_plan *p)
{
	size_t widest = t->n;

	for (size_t i = 0; i < t->n; i++)
		if (t->columns[i].cut_to && p->width[i] > t->columns[i].cut_to &&
		    (widest == t->n || p->width[i] > p->width[widest]))
			widest = i;
	if (widest == t->n)
		return false;
	p->width[widest]--;
	return true;
}

static bool table_is_blank(const struct table *t, size_t column)
{
	for (size_t row = 0; row < table_rows(t); row++)
		if (table_at(t, row, column)->width)
			return false;
	return true;
}

/* Widths come from all rows, not just those shown: scrolling does not move the columns. */
static void table_plan_make(const struct table *t, const struct table_look *look, struct table_plan *p)
{
	size_t rows = table_rows(t);

	p->from = look->first < rows ? look->first : rows;
	p->to = look->rows && look->rows < rows - p->from ? p->from + look->rows : rows;
	for (size_t i = 0; i < t->n; i++) {
		p->width[i] = table_text_width(t->columns[i].title) + (look->mark && look->marked == i ? 1 : 0);
		for (size_t row = 0; row < rows; row++)
			if (table_at(t, row, i)->width > p->width[i])
				p->width[i] = table_at(t, row, i)->width;
	}
	for (size_t i = 0; i < t->n; i++)
		if (t->columns[i].drop && rows && table_is_blank(t, i))
			p->width[i] = 0;
	if (!look->width)
		return;
	while (table_total(t, p) > look->width && table_drop_one(t, p, TABLE_LUXURY))
		;
	while (table_least(t, p) > look->width && table_drop_one(t, p, 1))
		;
	while (table_total(t, p) > look->width && table_cut_one(t, p))
		;
}

/* Blanks at the end of the line that started at `from`: a table in a file or a mail has none. */
static void table_trim(struct buf *out, size_t from)
{
	while (out->n > from && out->p[out->n - 1] == ' ')
		out->n--;
}

static void table_pad(struct buf *out, size_t n)
{
	while (n--)
		buf_char(out, ' ');
}

/* One cell; the last one of a line is not padded on the right unless the line is in reverse. */
static void table_put_cell(struct buf *out, const char *text, unsigned width, bool right, bool last)
{
	size_t natural = table_text_width(text);

	if (right && natural < width)
		table_pad(out, width - natural);
	natural = table_put_cut(out, text, width);
	if (!right && !last && natural < width)
		table_pad(out, width - natural);
}

static void table_put_title(const struct table *t, const struct table_look *look, const struct table_plan *p,
			    struct buf *out)
{
	size_t start = out->n, used = 0, total = table_total(t, p);

	table_put_style(out, TABLE_BOLD, look->colour);
	for (size_t i = 0; i < t->n; i++) {
		char title[64];

		if (!p->width[i])
			continue;
		if (used) {
			table_pad(out, TABLE_GAP);
			used += TABLE_GAP;
		}
		used += p->width[i];
		str_copy(title, sizeof(title) - 4, str_from(t->columns[i].title));
		if (look->mark && look->marked == i)
			strncat(title, look->mark, sizeof(title) - strlen(title) - 1);
		table_put_cell(out, title, p->width[i], t->columns[i].right, used == total);
	}
	table_trim(out, start);
	table_put_style(out, TABLE_PLAIN, look->colour);
	buf_char(out, '\n');
}

static void table_put_row(const struct table *t, const struct table_look *look, const struct table_plan *p, size_t row,
			  struct buf *out)
{
	bool selected = row == look->selected;
	size_t start = out->n, used = 0, total = table_total(t, p);

	if (selected)
		table_put_style(out, TABLE_REVERSE, look->colour);
	for (size_t i = 0; i < t->n; i++) {
		const struct table_text *cell = table_at(t, row, i);
		bool styled = cell->style != TABLE_PLAIN && !selected && cell->width;

		if (!p->width[i])
			continue;
		if (used) {
			table_pad(out, TABLE_GAP);
			used += TABLE_GAP;
		}
		used += p->width[i];
		if (styled)
			table_put_style(out, cell->style, look->colour);
		table_put_cell(out, t->text.p + cell->at, p->width[i], t->columns[i].right, used == total && !selected);
		if (styled)
			table_put_style(out, TABLE_PLAIN, look->colour);
	}
	if (selected)
		table_put_style(out, TABLE_PLAIN, look->colour);
	else
		table_trim(out, start);
	buf_char(out, '\n');
}

int table_render(const struct table *t, const struct table_look *look, struct buf *out)
{
	struct table_plan plan;

	if (t->text.err || t->cells.err)
		return -ENOMEM;
	table_plan_make(t, look, &plan);
	table_put_title(t, look, &plan, out);
	for (size_t row = plan.from; row < plan.to; row++)
		table_put_row(t, look, &plan, row, out);
	return out->err ? -ENOMEM : 0;
}

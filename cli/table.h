/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables on a terminal: columns as wide as their content, numbers to the right, what does not fit is left
 * out (whole columns first, by `drop`) or cut with an ellipsis. Text from outside (service names, host
 * names) never reaches the terminal raw: control characters and broken UTF-8 become '?'.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum table_style { TABLE_PLAIN, TABLE_DIM, TABLE_BOLD, TABLE_GOOD, TABLE_WARN, TABLE_BAD, TABLE_REVERSE, TABLE_STYLES };

#define TABLE_LUXURY 9

struct table_column {
	const char *title;
	bool right;      /* numbers */
	unsigned cut_to; /* may be cut to so many columns; 0: never cut */
	unsigned drop;   /* 0: always shown; else left out when it is empty or there is no room, the highest first;
			    from TABLE_LUXURY on before anything is cut */
};

struct table;

/* The columns are kept by the caller. -ENOMEM. */
int table_new(struct table **ret, const struct table_column *columns, size_t n);
void table_free(struct table *t);

/* Next cell of the open row; the first call after n cells opens the next row. Text is copied and made safe. */
void table_cell(struct table *t, enum table_style style, const char *text);

size_t table_rows(const struct table *t);

struct table_look {
	size_t width; /* of the terminal; 0: unbounded */
	bool colour;
	size_t first, rows; /* which rows; rows 0: all */
	size_t selected;    /* row shown in reverse; SIZE_MAX: none */
	size_t marked;      /* column whose title carries `mark`; SIZE_MAX: none */
	const char *mark;   /* "v" or "^" */
};

extern const struct table_look table_look_default;

/* The title line, then the rows, each ended by a newline, appended to `out`. Returns -ENOMEM or 0. */
int table_render(const struct table *t, const struct table_look *look, struct buf *out);

/* True when standard output is a terminal and NO_COLOR is not set (no-color.org). */
bool table_colour_wanted(int fd);
/* Columns of the terminal behind fd, else COLUMNS, else 0 (unbounded). */
size_t table_width_of(int fd);

/* --- text */
/* The character at p (n > 0 bytes left): its length in bytes, and columns on the terminal in *ret_width.
 * A control character or broken byte: length 1, width 1, *ret_ok false. */
size_t table_char(const char *p, size_t n, unsigned *ret_width, bool *ret_ok);
/* Columns that safe text needs. */
size_t table_text_width(const char *text);
/* Appends text cut to `width` columns, the last being an ellipsis if anything is left out. Returns columns written. */
size_t table_put_cut(struct buf *out, const char *text, size_t width);
/* Starts a style (escape sequence) or ends it; nothing without colour. */
void table_put_style(struct buf *out, enum table_style style, bool colour);

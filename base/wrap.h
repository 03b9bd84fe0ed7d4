/* SPDX-License-Identifier: Apache-2.0 */
/* Prose for a person: in lines that fit on a terminal, as it stands anywhere else. */
#pragma once

#include <stddef.h>
#include <stdio.h>

#define WRAP_LEAST 20 /* columns below which nothing is broken */

/* Columns of the terminal that `out` is; 0: it is none. */
size_t wrap_columns(FILE *out);

/* Writes `text` and a line's end. It begins at the cursor, which stands in column `indent`, and so does each further line. `columns` is the
 * terminal's width, 0: lines stay as they are. In a text that is broken a single line's end is a blank. A word longer than a
 * line stays whole. */
void wrap_put(FILE *out, const char *text, size_t indent, size_t columns);

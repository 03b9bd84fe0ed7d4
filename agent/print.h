/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of an interval for the terminal (--print): an aligned table, or a JSON object a line. */
#pragma once

#include "agent/named.h"
#include "base/buf.h"
#include "flow/msg.h"

struct print_head {
	uint32_t interval;
	uint16_t interval_s;
	const char *net, *host;
	size_t columns; /* of the terminal, for the table; 0: as many as it takes */
};

/* Appends a table: one line a row, those with most bytes first, then a line of totals. On a narrow terminal some columns are left
 * out, and long names of services cut. */
void print_table(struct buf *out, const struct print_head *head, const struct named *rows, const struct names *names);

/* Appends one object a row, {"type":"row", ...}: every field that is not zero by its name, histograms as {"bucket's floor in us": count}. */
void print_json(struct buf *out, const struct print_head *head, const struct named *rows, const struct names *names);

/* Appends the interval's ledger line, {"type":"health", ...}: the last line of an interval. */
void print_health_json(struct buf *out, const struct print_head *head, const struct flow_ledger *line);

/* Appends s as a JSON string with its quotes. */
void print_json_text(struct buf *out, struct str s);

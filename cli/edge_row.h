/* SPDX-License-Identifier: Apache-2.0 */
/* An edge of the API's answer as a line of a table: what `top`, `edges` and the summary of `run` show. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/table.h"

#define EDGE_ROW_NOTE 96

/* Causes of failed attempts, in the words of `failed_by`. */
enum edge_row_cause {
	EDGE_ROW_REFUSED,
	EDGE_ROW_TIMEOUT,
	EDGE_ROW_UNREACHABLE,
	EDGE_ROW_NO_PORT,
	EDGE_ROW_ABANDONED,
	EDGE_ROW_NO_ROUTE,
	EDGE_ROW_OTHER,
	EDGE_ROW_CAUSES
};

/* Strings belong to the JSON. A number nobody knows is NAN. */
struct edge_row {
	const char *id, *net, *client, *server, *client_zone, *server_zone, *protocol, *seen;
	unsigned port;
	double c2s_bytes, s2c_bytes, attempts, opened, closed, failed, resets, mean_open;
	double failed_by[EDGE_ROW_CAUSES];
	double srtt_p50_us, srtt_p99_us, handshake_p50_us;
	double retransmit_ratio;         /* share of segments, 0..1 */
	double retransmitted;            /* how many they were */
	double slow_server, slow_client; /* share of sending time the reader's window was shut */
	bool no_role;
	double first, last; /* intervals, s since 1970 */
};

void edge_row_read(const json_t *edge, struct edge_row *ret);

/* Both ways, for a sum over rows: 0 where nobody knows. */
double edge_row_bytes(const struct edge_row *row);

/* What is odd about it in a few words ("" if nothing): facts with their numbers, no verdict. per_s: divide counts by
 * this many seconds and say "/s"; 0: totals. Returns how bad it looks. */
enum table_style edge_row_note(const struct edge_row *row, double per_s, char note[EDGE_ROW_NOTE]);

/* The table's columns; totals or rates. */
extern const struct table_column edge_row_totals[];
extern const struct table_column edge_row_rates[];
extern const size_t edge_row_columns;
#define EDGE_ROW_COLUMNS_MAX 16

/* Adds the row's cells. per_s as above. */
void edge_row_cells(struct table *t, const struct edge_row *row, double per_s);

/* --- sorting, by a column of the table */
struct edge_row_sort {
	const char *name; /* as --sort takes it */
	size_t column;    /* whose title is marked */
	double (*number)(const struct edge_row *row);
	const char *(*text)(const struct edge_row *row); /* instead of number */
};

extern const struct edge_row_sort edge_row_sorts[];
extern const size_t edge_row_sorts_n;

/* The numbers downwards and texts upwards, or the other way round; equal ones by client, server, port. */
void edge_row_order(struct edge_row *rows, size_t n, const struct edge_row_sort *by, bool reverse);

/* True when a word of the filter is part of client, server, zone or port; every word must be ("api db"). */
bool edge_row_matches(const struct edge_row *row, const char *filter);

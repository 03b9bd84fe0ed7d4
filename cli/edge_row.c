/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/edge_row.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/table.h"
#include "cli/client.h"
#include "cli/unit.h"

#define EDGE_ROW_SLOW 0.2       /* a window shut for less of the time is a burst, not a slow reader */
#define EDGE_ROW_RETRANS 0.01   /* below this every network is */
#define EDGE_ROW_RETRANS_SEGS 5 /* fewer are no pattern */

static const struct {
	const char *key, *word;
} causes[EDGE_ROW_CAUSES] = {
	[EDGE_ROW_REFUSED] = {"refused", "refused"},
	[EDGE_ROW_TIMEOUT] = {"timeout", "timed out"},
	[EDGE_ROW_UNREACHABLE] = {"unreachable", "unreachable"},
	[EDGE_ROW_NO_PORT] = {"no_port", "no local port"},
	[EDGE_ROW_ABANDONED] = {"abandoned", "given up"},
	[EDGE_ROW_NO_ROUTE] = {"no_route", "no route"},
	[EDGE_ROW_OTHER] = {"other", "failed"},
};

static bool edge_row_flag(const json_t *edge, const char *flag)
{
	const json_t *flags = json_object_get(edge, "flags");

	for (size_t i = 0; i < json_array_size(flags); i++) {
		const char *word = json_string_value(json_array_get(flags, i));

		if (word && strcmp(word, flag) == 0)
			return true;
	}
	return false;
}

void edge_row_read(const json_t *edge, struct edge_row *ret)
{
	const json_t *d = json_object_get(edge, "derived"), *by = json_object_get(d, "failed_by");

	*ret = (struct edge_row){
		.id = client_str(edge, "id", ""),
		.net = client_str(edge, "net", ""),
		.client = client_str(edge, "client_service", "?"),
		.server = client_str(edge, "server_service", "?"),
		.client_zone = client_str(edge, "client_zone", ""),
		.server_zone = client_str(edge, "server_zone", ""),
		.protocol = client_str(edge, "protocol", ""),
		.seen = client_str(edge, "observed_by", ""),
		.port = (unsigned)client_num(edge, "port", 0),
		.c2s_bytes = client_num(d, "c2s_bytes", NAN),
		.s2c_bytes = client_num(d, "s2c_bytes", NAN),
		.attempts = client_num(d, "attempts", 0),
		.opened = client_num(d, "opened", 0),
		.closed = client_num(d, "closed", 0),
		.failed = client_num(d, "failed", 0),
		.resets = client_num(d, "resets", 0),
		.mean_open = client_num(d, "mean_open", NAN),
		.srtt_p50_us = client_num(d, "srtt_p50_us", NAN),
		.srtt_p99_us = client_num(d, "srtt_p99_us", NAN),
		.handshake_p50_us = client_num(d, "handshake_p50_us", NAN),
		.retransmit_ratio = client_num(d, "retransmit_ratio", NAN),
		.retransmitted = client_num(d, "retransmitted", 0),
		.slow_server = client_num(d, "rwnd_limited_share_c2s", NAN),
		.slow_client = client_num(d, "rwnd_limited_share_s2c", NAN),
		.no_role = edge_row_flag(edge, "no_role"),
		.first = client_num(edge, "first", 0),
		.last = client_num(edge, "last", 0),
	};
	for (size_t i = 0; i < EDGE_ROW_CAUSES; i++)
		ret->failed_by[i] = client_num(by, causes[i].key, 0);
}

double edge_row_bytes(const struct edge_row *row)
{
	double bytes = row->c2s_bytes + row->s2c_bytes;

	return isnan(bytes) ? 0 : bytes;
}

/* --- the note */

static void edge_row_say(char note[EDGE_ROW_NOTE], const char *what, const char *number)
{
	size_t n = strlen(note);

	snprintf(note + n, EDGE_ROW_NOTE - n, "%s%s %s", n ? ", " : "", what, number);
}

static char *edge_row_number(double n, double per_s, char text[UNIT_TEXT])
{
	if (per_s <= 0)
		return unit_count(n, text);
	unit_count(n / per_s, text);
	return strncat(text, "/s", UNIT_TEXT - strlen(text) - 1);
}

/* Whole percents: a share of time is no exact thing. */
static char *edge_row_share(double ratio, char text[UNIT_TEXT])
{
	snprintf(text, UNIT_TEXT, "%.0f %%", ratio * 100);
	return text;
}

/* The cause that comes k-th when the most frequent comes first. */
static size_t edge_row_most(const struct edge_row *row, size_t k)
{
	for (size_t i = 0; i < EDGE_ROW_CAUSES; i++) {
		size_t before = 0;

		for (size_t j = 0; j < EDGE_ROW_CAUSES; j++)
			before += row->failed_by[j] > row->failed_by[i] ||
				  (row->failed_by[j] == row->failed_by[i] && j < i);
		if (before == k)
			return i;
	}
	return 0;
}

enum table_style edge_row_note(const struct edge_row *row, double per_s, char note[EDGE_ROW_NOTE])
{
	enum table_style style = TABLE_PLAIN;
	char number[UNIT_TEXT];

	note[0] = '\0';
	for (size_t k = 0; k < EDGE_ROW_CAUSES; k++) {
		size_t most = edge_row_most(row, k);

		if (row->failed_by[most] <= 0)
			break;
		edge_row_say(note, causes[most].word, edge_row_number(row->failed_by[most], per_s, number));
		style = TABLE_BAD;
	}
	if (row->slow_server >= EDGE_ROW_SLOW)
		edge_row_say(note, "slow server", edge_row_share(row->slow_server, number));
	if (row->slow_client >= EDGE_ROW_SLOW)
		edge_row_say(note, "slow client", edge_row_share(row->slow_client, number));
	if (row->retransmit_ratio >= EDGE_ROW_RETRANS && row->retransmitted >= EDGE_ROW_RETRANS_SEGS)
		edge_row_say(note, "retransmits", unit_percent(row->retransmit_ratio, number));
	if (row->resets > 0)
		edge_row_say(note, "resets", edge_row_number(row->resets, per_s, number));
	if (note[0] && style == TABLE_PLAIN)
		style = TABLE_WARN;
	if (row->no_role)
		snprintf(note + strlen(note), EDGE_ROW_NOTE - strlen(note), "%swho connected is not known",
			 note[0] ? ", " : "");
	return style;
}

/* --- the table. Wide things come last, so that on a narrow terminal the rest keeps its place. */

#define EDGE_ROW_COLUMNS(per)                                                                                         \
	{                                                                                                             \
		{.title = "CLIENT", .cut_to = 9}, {.title = "SERVER", .cut_to = 9}, {.title = "PORT", .right = true}, \
			{.title = "C2S" per, .right = true}, {.title = "S2C" per, .right = true, .drop = 1},          \
			{.title = "NEW" per, .right = true}, {.title = "FAILED" per, .right = true, .drop = 7},       \
			{.title = "OPEN", .right = true, .drop = 5}, {.title = "SRTT", .right = true, .drop = 2},     \
			{.title = "P99", .right = true, .drop = 4}, {.title = "CONNECT", .right = true, .drop = 9},   \
			{.title = "RETRANS", .right = true, .drop = 8}, {.title = "SEEN BY", .drop = 3},              \
			{.title = "ZONES", .drop = 10}, {.title = "ID", .drop = 11},                                  \
			{.title = "NOTE", .cut_to = 18, .drop = 1},                                                   \
	}

const struct table_column edge_row_totals[] = EDGE_ROW_COLUMNS("");
const struct table_column edge_row_rates[] = EDGE_ROW_COLUMNS("/s");
const size_t edge_row_columns = ARRAY_LEN(edge_row_totals);
_Static_assert(ARRAY_LEN(edge_row_totals) <= EDGE_ROW_COLUMNS_MAX, "as the header says");

static void edge_row_zones(const struct edge_row *row, char *text, size_t size)
{
	if (*row->client_zone || *row->server_zone || (!*row->client && !*row->server))
		snprintf(text, size, "%s > %s", *row->client_zone ? row->client_zone : "-",
			 *row->server_zone ? row->server_zone : "-");
	else
		text[0] = '\0';
}

/* A count that is nothing recedes. */
static void edge_row_count(struct table *t, double n, const char *text, enum table_style style)
{
	table_cell(t, n == 0 || isnan(n) ? TABLE_DIM : style, text);
}

void edge_row_cells(struct table *t, const struct edge_row *row, double per_s)
{
	char text[600], note[EDGE_ROW_NOTE];
	enum table_style bad = edge_row_note(row, per_s, note);
	double by = per_s > 0 ? per_s : 1;

	table_cell(t, TABLE_PLAIN, row->client);
	table_cell(t, TABLE_PLAIN, row->server);
	snprintf(text, sizeof(text), "%u", row->port);
	/* A group has no protocol, and ports of its own only if they are all the same. */
	table_cell(t, TABLE_PLAIN, row->port ? text : *row->protocol ? "-" : "");
	edge_row_count(t, row->c2s_bytes, unit_bytes(row->c2s_bytes / by, text), TABLE_PLAIN);
	edge_row_count(t, row->s2c_bytes, unit_bytes(row->s2c_bytes / by, text), TABLE_PLAIN);
	edge_row_count(t, row->opened, unit_count(row->opened / by, text), TABLE_PLAIN);
	edge_row_count(t, row->failed, unit_count(row->failed / by, text), TABLE_BAD);
	edge_row_count(t, row->mean_open, unit_count(row->mean_open, text), TABLE_PLAIN);
	edge_row_count(t, row->srtt_p50_us, unit_time_us(row->srtt_p50_us, text), TABLE_PLAIN);
	edge_row_count(t, row->srtt_p99_us, unit_time_us(row->srtt_p99_us, text), TABLE_PLAIN);
	edge_row_count(t, row->handshake_p50_us, unit_time_us(row->handshake_p50_us, text), TABLE_PLAIN);
	edge_row_count(t, row->retransmit_ratio, unit_percent(row->retransmit_ratio, text),
		       row->retransmit_ratio >= EDGE_ROW_RETRANS ? TABLE_WARN : TABLE_PLAIN);
	table_cell(t, strcmp(row->seen, "both") == 0 ? TABLE_PLAIN : TABLE_DIM, row->seen);
	edge_row_zones(row, text, sizeof(text));
	table_cell(t, TABLE_PLAIN, text);
	table_cell(t, TABLE_DIM, row->id);
	table_cell(t, bad, note);
}

/* --- order and filter */

#define NUMBER(fn, expr)                                           \
	static double edge_row_by_##fn(const struct edge_row *row) \
	{                                                          \
		return expr;                                       \
	}
#define WORD(fn)                                                        \
	static const char *edge_row_by_##fn(const struct edge_row *row) \
	{                                                               \
		return row->fn;                                         \
	}

NUMBER(bytes, row->c2s_bytes + row->s2c_bytes)
NUMBER(c2s, row->c2s_bytes)
NUMBER(s2c, row->s2c_bytes)
NUMBER(opened, row->opened)
NUMBER(failed, row->failed)
NUMBER(open, row->mean_open)
NUMBER(srtt, row->srtt_p50_us)
NUMBER(p99, row->srtt_p99_us)
NUMBER(retransmit_ratio, row->retransmit_ratio)
WORD(client)
WORD(server)

const struct edge_row_sort edge_row_sorts[] = {
	{"bytes", SIZE_MAX, edge_row_by_bytes, NULL},
	{"client", 0, NULL, edge_row_by_client},
	{"server", 1, NULL, edge_row_by_server},
	{"c2s", 3, edge_row_by_c2s, NULL},
	{"s2c", 4, edge_row_by_s2c, NULL},
	{"opened", 5, edge_row_by_opened, NULL},
	{"failed", 6, edge_row_by_failed, NULL},
	{"open", 7, edge_row_by_open, NULL},
	{"srtt", 8, edge_row_by_srtt, NULL},
	{"p99", 9, edge_row_by_p99, NULL},
	{"retrans", 11, edge_row_by_retransmit_ratio, NULL},
};
const size_t edge_row_sorts_n = ARRAY_LEN(edge_row_sorts);

struct edge_row_order {
	const struct edge_row_sort *by;
	bool reverse;
};

static int edge_row_compare(const void *va, const void *vb, void *arg)
{
	const struct edge_row *a = va, *b = vb;
	const struct edge_row_order *order = arg;
	int r;

	if (order->by->text) {
		r = strcmp(order->by->text(a), order->by->text(b));
	} else {
		double x = order->by->number(a), y = order->by->number(b);

		/* Not known goes last both ways. */
		if (isnan(x) || isnan(y))
			r = order->reverse ? isnan(y) - isnan(x) : isnan(x) - isnan(y);
		else
			r = (x < y) - (x > y);
	}
	if (r)
		return order->reverse ? -r : r;
	r = strcmp(a->client, b->client);
	if (!r)
		r = strcmp(a->server, b->server);
	return r ? r : (a->port > b->port) - (a->port < b->port);
}

void edge_row_order(struct edge_row *rows, size_t n, const struct edge_row_sort *by, bool reverse)
{
	struct edge_row_order order = {by, reverse};

	qsort_r(rows, n, sizeof(*rows), edge_row_compare, &order);
}

bool edge_row_matches(const struct edge_row *row, const char *filter)
{
	char words[256], port[8], *save = NULL;

	str_copy(words, sizeof(words), str_from(filter));
	snprintf(port, sizeof(port), "%u", row->port);
	for (char *word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save))
		if (!strcasestr(row->client, word) && !strcasestr(row->server, word) &&
		    !strcasestr(row->client_zone, word) && !strcasestr(row->server_zone, word) &&
		    strcmp(port, word) != 0)
			return false;
	return true;
}

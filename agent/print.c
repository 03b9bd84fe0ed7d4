/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/print.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/cgpath.h"
#include "base/table.h"

void print_json_text(struct buf *out, struct str s)
{
	size_t i;

	buf_char(out, '"');
	for (i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c < 0x20)
			buf_printf(out, "\\u%04x", c);
		else
			buf_char(out, (char)c);
	}
	buf_char(out, '"');
}

static void print_member(struct buf *out, const char *name, struct str value)
{
	if (value.n == 0)
		return;
	buf_printf(out, ",\"%s\":", name);
	print_json_text(out, value);
}

static void print_fields(struct buf *out, const struct flow_stats *stats)
{
	const uint32_t *hist;
	unsigned f, i, n;

	for (f = 0; f < FLOW_FIELDS; f++) {
		if (flow_fields[f].width != FLOW_HIST) {
			if (flow_stats_get(stats, f))
				buf_printf(out, ",\"%s\":%" PRIu64, flow_fields[f].name, flow_stats_get(stats, f));
			continue;
		}
		hist = flow_stats_hist_get(stats, f);
		if (!flow_hist_count(hist))
			continue;
		buf_printf(out, ",\"%s\":{", flow_fields[f].name);
		for (i = n = 0; i < FLOW_BUCKETS; i++)
			if (hist[i])
				buf_printf(out, "%s\"%" PRIu64 "\":%" PRIu32, n++ ? "," : "", flow_bucket_floor(i),
					   hist[i]);
		buf_char(out, '}');
	}
}

static void print_head_json(struct buf *out, const struct print_head *head, const char *type)
{
	buf_printf(out, "{\"type\":\"%s\",\"interval\":%u,\"interval_s\":%u", type, head->interval, head->interval_s);
	print_member(out, "net", str_from(head->net));
	print_member(out, "host", str_from(head->host));
}

static void print_names(struct buf *out, const struct flow_names *n)
{
	print_member(out, "service", n->service);
	print_member(out, "process", n->process);
	print_member(out, "unit", n->unit);
	print_member(out, "container", n->container);
	print_member(out, "pod", n->pod);
	print_member(out, "via", n->via);
	print_member(out, "owner", str_from(flow_quality_name(n->quality)));
}

void print_json(struct buf *out, const struct print_head *head, const struct named *rows, const struct names *names)
{
	char local[IP_TEXT], remote[IP_TEXT], proto[8], flags[96];
	size_t i;
	unsigned j;

	for (i = 0; i < rows->n; i++) {
		const struct named_ref *ref = &rows->v[i];
		struct wire_flow w;

		named_flow(ref, names, &w);
		print_head_json(out, head, "row");
		buf_printf(out, ",\"view\":\"%s\",\"protocol\":\"%s\",\"local\":\"%s\",\"remote\":\"%s\",\"port\":%u",
			   flow_view_name(w.view), flow_protocol_name(w.protocol, proto), ip_format(&w.local, local),
			   ip_format(&w.remote, remote), w.port);
		if (w.view == FLOW_VIEW_UNKNOWN)
			buf_printf(out, ",\"other_port\":%u", w.other_port);
		if (w.scope)
			buf_printf(out, ",\"scope\":%u", w.scope);
		buf_printf(out, ",\"netns\":%u", ref->row->key.netns);
		print_member(out, "flags", str_from(flow_flags_text(w.flags, flags)));
		print_names(out, w.names);
		buf_printf(out, ",\"ports\":[");
		for (j = 0; j < w.n_ports; j++)
			buf_printf(out, "%s%u", j ? "," : "", w.ports[j]);
		buf_printf(out, "],\"ports_more\":%u", w.ports_more);
		print_fields(out, named_stats(ref));
		buf_printf(out, "}\n");
	}
}

static void print_counts(struct buf *out, const char *name, const struct flow_count *v, unsigned n)
{
	unsigned i;

	buf_printf(out, ",\"%s\":{", name);
	for (i = 0; i < n; i++) {
		buf_printf(out, "%s", i ? "," : "");
		print_json_text(out, v[i].name);
		buf_printf(out, ":%" PRIu64, v[i].n);
	}
	buf_char(out, '}');
}

void print_health_json(struct buf *out, const struct print_head *head, const struct flow_ledger *line)
{
	print_head_json(out, head, "health");
	buf_printf(out, ",\"rows_in\":%" PRIu64 ",\"rows_out\":%" PRIu64, line->rows_in, line->rows_out);
	print_counts(out, "lost", line->lost, line->n_lost);
	print_counts(out, "info", line->info, line->n_info);
	buf_printf(out, "}\n");
}

/* --- the table: columns as wide as their widest cell */

enum {
	COL_SERVICE,
	COL_VIEW,
	COL_LOCAL,
	COL_REMOTE,
	COL_PORT,
	COL_OPENED,
	COL_CLOSED,
	COL_FAILED,
	COL_TX,
	COL_RX,
	COL_RETRANS,
	COL_RTT,
	COLS
};

static const struct {
	const char *title;
	bool number;
} print_cols[COLS] = {
	[COL_SERVICE] = {"SERVICE", false}, [COL_VIEW] = {"AS", false},        [COL_LOCAL] = {"LOCAL", false},
	[COL_REMOTE] = {"REMOTE", false},   [COL_PORT] = {"PORT", true},       [COL_OPENED] = {"OPENED", true},
	[COL_CLOSED] = {"CLOSED", true},    [COL_FAILED] = {"FAILED", true},   [COL_TX] = {"TX BYTES", true},
	[COL_RX] = {"RX BYTES", true},      [COL_RETRANS] = {"RETRANS", true}, [COL_RTT] = {"RTT MS", true},
};

#define PRINT_GAP 2

struct print_line {
	char cell[COLS][48];
	uint64_t bytes;
};

static void print_numbers(struct print_line *l, const struct flow_stats *s)
{
	snprintf(l->cell[COL_OPENED], 48, "%" PRIu64, s->opened);
	snprintf(l->cell[COL_CLOSED], 48, "%" PRIu64, s->closed);
	snprintf(l->cell[COL_FAILED], 48, "%" PRIu64, flow_stats_failed(s));
	snprintf(l->cell[COL_TX], 48, "%" PRIu64, s->tx_bytes);
	snprintf(l->cell[COL_RX], 48, "%" PRIu64, s->rx_bytes);
	snprintf(l->cell[COL_RETRANS], 48, "%" PRIu64, s->retransmitted);
	if (flow_hist_count(s->srtt))
		snprintf(l->cell[COL_RTT], 48, "%.3g", flow_hist_quantile(s->srtt, 0.5) / 1000);
	l->bytes = s->tx_bytes + s->rx_bytes;
}

static void print_row(struct print_line *l, const struct named_ref *ref, const struct names *names)
{
	struct wire_flow w;

	named_flow(ref, names, &w);
	*l = (struct print_line){0};
	(void)cgpath_clean(w.names->service, l->cell[COL_SERVICE], 33);
	snprintf(l->cell[COL_VIEW], 48, "%s", flow_view_name(w.view));
	(void)ip_format(&w.local, l->cell[COL_LOCAL]);
	(void)ip_format(&w.remote, l->cell[COL_REMOTE]);
	snprintf(l->cell[COL_PORT], 48, w.view == FLOW_VIEW_UNKNOWN ? "%u/%u" : "%u", w.port, w.other_port);
	print_numbers(l, named_stats(ref));
}

static int print_by_bytes(const void *pa, const void *pb)
{
	const struct print_line *a = pa, *b = pb;

	return (a->bytes < b->bytes) - (a->bytes > b->bytes);
}

/* Characters of a UTF-8 text, near enough to its width. */
static unsigned print_width(const char *s)
{
	unsigned n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* How a line too long for the terminal is made shorter, a step at a time: columns are left out (0), or cut to no less than so
 * many characters. JSON has all of it. */
static const struct {
	uint8_t col;
	unsigned to;
} print_least[] = {{COL_LOCAL, 0},    {COL_RETRANS, 0}, {COL_CLOSED, 0}, {COL_RTT, 0},
		   {COL_SERVICE, 12}, {COL_REMOTE, 24}, {COL_FAILED, 0}, {COL_OPENED, 0}};

static void print_fit(unsigned width[COLS], size_t columns)
{
	size_t line = 0, i;
	unsigned c;

	for (c = 0; c < COLS; c++)
		line += width[c] + (c ? PRINT_GAP : 0);
	for (i = 0; columns && line > columns && i < ARRAY_LEN(print_least); i++) {
		unsigned *w = &width[print_least[i].col], to = print_least[i].to, was = *w;

		if (to && *w > to)
			*w = *w - to > line - columns ? *w - (unsigned)(line - columns) : to;
		else if (!to)
			*w = 0;
		line -= was - *w + (to ? 0 : PRINT_GAP);
	}
}

/* A text's first `width` characters; what was cut ends in "~". */
static void print_cut(char *s, unsigned width)
{
	unsigned n = 0;

	if (print_width(s) <= width)
		return;
	while (((unsigned char)*s & 0xc0) == 0x80 || n++ < width - 1)
		s++;
	strcpy(s, "~");
}

static void print_cells(struct buf *out, struct print_line *l, const unsigned width[COLS])
{
	unsigned c, pad;

	for (c = 0; c < COLS; c++) {
		if (!width[c])
			continue;
		print_cut(l->cell[c], width[c]);
		pad = width[c] - (print_width(l->cell[c]) < width[c] ? print_width(l->cell[c]) : width[c]);
		if (print_cols[c].number)
			buf_printf(out, "%s%*s%s", c ? "  " : "", (int)pad, "", l->cell[c]);
		else
			buf_printf(out, "%s%s%*s", c ? "  " : "", l->cell[c], (int)pad, "");
	}
	buf_char(out, '\n');
}

void print_table(struct buf *out, const struct print_head *head, const struct named *rows, const struct names *names)
{
	struct print_line *v = calloc(rows->n + 2, sizeof(*v));
	struct print_line *total = v + rows->n, *title = total + 1;
	time_t at = (time_t)head->interval;
	unsigned width[COLS] = {0}, c;
	struct flow_stats sum = {0};
	struct tm tm;
	char when[32];
	size_t i;

	if (!v) {
		out->err = -ENOMEM;
		return;
	}
	for (i = 0; i < rows->n; i++) {
		print_row(&v[i], &rows->v[i], names);
		flow_stats_add(&sum, named_stats(&rows->v[i]));
	}
	qsort(v, rows->n, sizeof(*v), print_by_bytes);
	print_numbers(total, &sum);
	snprintf(total->cell[COL_SERVICE], 48, "total");
	for (c = 0; c < COLS; c++)
		snprintf(title->cell[c], 48, "%s", print_cols[c].title);
	for (i = 0; i < rows->n + 2; i++)
		for (c = 0; c < COLS; c++)
			if (print_width(v[i].cell[c]) > width[c])
				width[c] = print_width(v[i].cell[c]);
	print_fit(width, head->columns);
	strftime(when, sizeof(when), "%F %T", localtime_r(&at, &tm));
	buf_printf(out, "%s, %u s: %zu row%s\n", when, head->interval_s, rows->n, rows->n == 1 ? "" : "s");
	if (rows->n) {
		print_cells(out, title, width);
		for (i = 0; i < rows->n; i++)
			print_cells(out, &v[i], width);
		print_cells(out, total, width);
	}
	buf_char(out, '\n');
	free(v);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/gen/truth.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct truth_edge {
	uint8_t observed;           /* bits 1 << enum flow_view */
	struct flow_stats views[2]; /* client, server */
};

struct truth {
	const struct fleet *fleet;
	FILE *out;
	struct truth_edge *edges;
};

int truth_new(struct truth **ret, const struct fleet *f, FILE *out)
{
	struct truth *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	*t = (struct truth){f, out, calloc(f->conf.edges, sizeof(*t->edges))};
	if (!t->edges) {
		free(t);
		return -ENOMEM;
	}
	*ret = t;
	return 0;
}

void truth_free(struct truth *t)
{
	if (!t)
		return;
	free(t->edges);
	free(t);
}

void truth_add(struct truth *t, const struct fleet_row *row, const struct flow_stats *s)
{
	struct truth_edge *e;

	if (!t)
		return;
	e = &t->edges[t->fleet->pairs[row->pair].edge];
	e->observed |= (uint8_t)(1u << row->server);
	flow_stats_add(&e->views[row->server], s);
}

static void put_text(FILE *out, const char *key, struct str s)
{
	fprintf(out, ",\"%s\":\"", key);
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"' || c == '\\')
			fputc('\\', out);
		if (c < ' ')
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void put_sums(FILE *out, const struct truth_edge *e)
{
	const char *comma = "";
	char name[64];

	fputs(",\"sums\":{", out);
	for (unsigned v = 0; v < 2; v++) {
		for (unsigned i = 0; i < FLOW_FIELDS; i++) {
			uint64_t n = flow_fields[i].width == FLOW_HIST ? 0 : flow_stats_get(&e->views[v], i);

			if (!n)
				continue;
			fprintf(out, "%s\"%s\":%" PRIu64, comma, flow_column(i, v, name), n);
			comma = ",";
		}
	}
	fputc('}', out);
}

static void put_histogram(FILE *out, const char *column, const uint32_t *hist)
{
	const char *comma = "";

	fprintf(out, "\"%s\":{", column);
	for (unsigned b = 0; b < FLOW_BUCKETS; b++) {
		if (!hist[b])
			continue;
		fprintf(out, "%s\"%u\":%" PRIu32, comma, b, hist[b]);
		comma = ",";
	}
	fputc('}', out);
}

static void put_histograms(FILE *out, const struct truth_edge *e)
{
	const char *comma = "";
	char name[64];

	fputs(",\"histograms\":{", out);
	for (unsigned v = 0; v < 2; v++) {
		for (unsigned i = 0; i < FLOW_FIELDS; i++) {
			const uint32_t *hist =
				flow_fields[i].width == FLOW_HIST ? flow_stats_hist_get(&e->views[v], i) : NULL;

			if (!hist || !flow_hist_count(hist))
				continue;
			fputs(comma, out);
			put_histogram(out, flow_column(i, v, name), hist);
			comma = ",";
		}
	}
	fputc('}', out);
}

int truth_write(struct truth *t, uint32_t interval, uint32_t interval_s)
{
	char text[48], protocol[8];

	if (!t)
		return 0;
	for (uint32_t i = 0; i < t->fleet->conf.edges; i++) {
		const struct flow_edge_name *n = &t->fleet->edges[i].name;
		const struct truth_edge *e = &t->edges[i];

		if (!e->observed)
			continue;
		fprintf(t->out, "{\"interval\":%u,\"interval_s\":%u,\"id\":\"%016" PRIx64 "\"", interval, interval_s,
			flow_edge_id(n));
		put_text(t->out, "net", n->net);
		put_text(t->out, "client_service", n->client_service);
		put_text(t->out, "client_zone", n->client_zone);
		put_text(t->out, "server_service", n->server_service);
		put_text(t->out, "server_zone", n->server_zone);
		fprintf(t->out, ",\"protocol\":\"%s\",\"port\":%u,\"observed_by\":\"%s\"",
			flow_protocol_name(n->protocol, protocol), n->port, flow_observed_text(e->observed, text));
		put_sums(t->out, e);
		put_histograms(t->out, e);
		fputs("}\n", t->out);
	}
	memset(t->edges, 0, t->fleet->conf.edges * sizeof(*t->edges));
	return fflush(t->out) || ferror(t->out) ? -EIO : 0;
}

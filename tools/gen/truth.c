/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/gen/truth.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct truth_edge {
	uint8_t observed; /* bits 1 << enum flow_view */
	bool unsent;
	uint64_t twice;
	struct flow_stats *views, *missing; /* client, server; made when needed */
};

struct truth_row {
	bool any;
	struct flow_stats sums;
	uint64_t unsent, twice;
	uint32_t n_ports;
	uint16_t ports[TRAFFIC_PORTS];
};

struct truth {
	const struct fleet *fleet;
	FILE *out, *rows_out;
	struct truth_edge *edges;
	struct truth_row *rows; /* of the host at work */
	bool samples;
	uint32_t interval, interval_s; /* of what was added */
	struct {
		uint32_t row;
		uint16_t port;
	} at; /* of samples: whose sums rows[0] are */
	int err;
};

int truth_new(struct truth **ret, const struct fleet *f, FILE *edges, FILE *rows, bool samples)
{
	struct truth *t = calloc(1, sizeof(*t));
	uint32_t most = 1;

	if (!t)
		return -ENOMEM;
	for (uint32_t i = 0; i < f->conf.hosts; i++)
		most = f->hosts[i].n_rows > most ? f->hosts[i].n_rows : most;
	*t = (struct truth){.fleet = f, .out = edges, .rows_out = rows, .samples = samples};
	t->edges = calloc(f->conf.edges, sizeof(*t->edges));
	t->rows = calloc(most, sizeof(*t->rows));
	if (!t->edges || !t->rows) {
		truth_free(t);
		return -ENOMEM;
	}
	*ret = t;
	return 0;
}

void truth_free(struct truth *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; t->edges && i < t->fleet->conf.edges; i++) {
		free(t->edges[i].views);
		free(t->edges[i].missing);
	}
	free(t->edges);
	free(t->rows);
	free(t);
}

static void sums_add(struct flow_stats *to, const struct flow_stats *s, uint32_t times)
{
	struct flow_stats all;

	if (times == 1)
		flow_stats_add(to, s);
	if (times < 2)
		return;
	all = *s;
	for (unsigned f = 0; f < FLOW_FIELDS; f++) {
		uint32_t *hist = flow_stats_hist(&all, f);

		if (flow_fields[f].width != FLOW_HIST)
			*flow_stats_u64(&all, f) *= times;
		for (unsigned b = 0; b < FLOW_BUCKETS && flow_fields[f].width == FLOW_HIST; b++)
			hist[b] *= times;
	}
	flow_stats_add(to, &all);
}

static struct flow_stats *edge_sums(struct truth *t, struct flow_stats **views)
{
	if (!*views)
		*views = calloc(2, sizeof(**views));
	if (!*views)
		t->err = -ENOMEM;
	return *views;
}

static void edge_add(struct truth *t, const struct fleet_row *row, const struct flow_stats *s, uint32_t sent,
		     uint32_t unsent, uint32_t twice)
{
	struct truth_edge *e = &t->edges[t->fleet->pairs[row->pair].edge];

	if (sent && edge_sums(t, &e->views)) {
		e->observed |= (uint8_t)(1u << row->server);
		sums_add(&e->views[row->server], s, sent);
	}
	if (unsent && edge_sums(t, &e->missing)) {
		e->unsent = true;
		sums_add(&e->missing[row->server], s, unsent);
	}
	e->twice += twice * s->rows;
}

static void row_add(struct truth_row *r, const struct traffic_item *item, uint32_t sent, uint32_t unsent,
		    uint32_t twice)
{
	r->any = true;
	sums_add(&r->sums, &item->stats, sent);
	r->unsent += unsent * item->stats.rows;
	r->twice += twice * item->stats.rows;
	for (unsigned i = 0; sent && i < item->n_ports; i++) {
		uint32_t k = 0;

		while (k < r->n_ports && r->ports[k] != item->ports[i])
			k++;
		if (k == r->n_ports && k < TRAFFIC_PORTS)
			r->ports[r->n_ports++] = item->ports[i];
	}
}

/* --- writing */

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

static void put_histogram(FILE *out, const uint32_t *hist)
{
	const char *comma = "";

	fputc('{', out);
	for (unsigned b = 0; b < FLOW_BUCKETS; b++) {
		if (!hist[b])
			continue;
		fprintf(out, "%s\"%u\":%" PRIu32, comma, b, hist[b]);
		comma = ",";
	}
	fputc('}', out);
}

/* What is not 0 of both views, under the column's name; `views` NULL: nothing. One view alone (FLOW_VIEWS): the field's name. */
static void put_stats(FILE *out, const char *key, const struct flow_stats *views, unsigned view, bool histograms)
{
	unsigned from = view == FLOW_VIEWS ? 0 : view, n = view == FLOW_VIEWS ? 1 : 2;
	const char *comma = "";
	char column[64];

	fprintf(out, ",\"%s\":{", key);
	for (unsigned v = from; views && v < n; v++) {
		uint64_t present = flow_stats_present(&views[v]);

		for (unsigned i = 0; i < FLOW_FIELDS; i++) {
			if (!(present >> i & 1) || (flow_fields[i].width == FLOW_HIST) != histograms)
				continue;
			fprintf(out, "%s\"%s\":", comma,
				view == FLOW_VIEWS ? flow_fields[i].name : flow_column(i, v, column));
			if (histograms)
				put_histogram(out, flow_stats_hist_get(&views[v], i));
			else
				fprintf(out, "%" PRIu64, flow_stats_get(&views[v], i));
			comma = ",";
		}
	}
	fputc('}', out);
}

/* port: of samples, the ephemeral one. */
static void put_row(struct truth *t, const struct fleet_row *row, uint16_t port, const struct truth_row *r)
{
	const struct fleet *f = t->fleet;
	const struct fleet_pair *p = &f->pairs[row->pair];
	uint16_t service = f->edges[p->edge].port;
	bool turned = t->samples && row->server;
	char client[IP_TEXT], server[IP_TEXT];
	struct flow_names names = {0};
	FILE *out = t->rows_out;

	if (!t->samples)
		fleet_names(f, row->instance, &names);
	fprintf(out, "{\"interval\":%u,\"interval_s\":%u,\"view\":%u", t->interval, t->interval_s,
		t->samples    ? FLOW_VIEW_NETWORK
		: row->server ? FLOW_VIEW_SERVER
			      : FLOW_VIEW_CLIENT);
	put_text(out, "net", str_from(t->samples ? "" : f->conf.net));
	fprintf(out,
		",\"scope\":\"\",\"protocol\":%d,\"client\":\"%s\",\"server\":\"%s\",\"port\":%u,\"other_port\":%u",
		IPPROTO_TCP, ip_format(turned ? &p->server_ip : &p->client_ip, client),
		ip_format(turned ? &p->client_ip : &p->server_ip, server), t->samples && !turned ? port : service,
		!t->samples ? 0
		: turned    ? port
			    : service);
	put_text(out, "service", names.service);
	put_text(out, "process", names.process);
	put_text(out, "container", names.container);
	fputs(",\"ports\":[", out);
	for (uint32_t i = 0; i < r->n_ports; i++)
		fprintf(out, i ? ",%u" : "%u", r->ports[i]);
	fputc(']', out);
	put_stats(out, "sums", &r->sums, FLOW_VIEWS, false);
	put_stats(out, "histograms", &r->sums, FLOW_VIEWS, true);
	fprintf(out, ",\"unsent_rows\":%" PRIu64 ",\"twice_rows\":%" PRIu64 "}\n", r->unsent, r->twice);
}

static int truth_said(const struct truth *t, FILE *out)
{
	return t->err ? t->err : fflush(out) || ferror(out) ? -EIO : 0;
}

/* Samples: the sums of one row and port are whole. */
static void truth_sample(struct truth *t)
{
	if (t->rows[0].any)
		put_row(t, &t->fleet->rows[t->at.row], t->at.port, &t->rows[0]);
	t->rows[0] = (struct truth_row){0};
}

void truth_begin(struct truth *t, uint32_t interval, uint32_t interval_s)
{
	if (!t)
		return;
	t->interval = interval;
	t->interval_s = interval_s;
}

void truth_add(struct truth *t, uint32_t row, const struct traffic_item *item, uint32_t sent, uint32_t unsent,
	       uint32_t twice)
{
	const struct fleet *f = t ? t->fleet : NULL;
	const struct fleet_row *r;

	if (!t)
		return;
	r = &f->rows[row];
	if (t->out)
		edge_add(t, r, &item->stats, sent, unsent, twice);
	if (t->rows_out && t->samples) {
		if (t->at.row != row || t->at.port != standard_port(item))
			truth_sample(t);
		t->at.row = row;
		t->at.port = standard_port(item);
		row_add(&t->rows[0], item, sent, unsent, twice);
		t->rows[0].n_ports = 0;
	} else if (t->rows_out) {
		row_add(&t->rows[row - f->hosts[f->instances[r->instance].host].first_row], item, sent, unsent, twice);
	}
}

int truth_host(struct truth *t, uint32_t host)
{
	const struct fleet_host *h = t ? &t->fleet->hosts[host] : NULL;

	if (!t || !t->rows_out)
		return 0;
	if (t->samples)
		truth_sample(t);
	for (uint32_t i = 0; i < h->n_rows; i++) {
		if (t->rows[i].any)
			put_row(t, &t->fleet->rows[h->first_row + i], 0, &t->rows[i]);
	}
	memset(t->rows, 0, h->n_rows * sizeof(*t->rows));
	return truth_said(t, t->rows_out);
}

static void put_edge(FILE *out, const struct flow_edge_name *n, const struct truth_edge *e)
{
	char text[48], protocol[8];

	fprintf(out, ",\"id\":\"%016" PRIx64 "\"", flow_edge_id(n));
	put_text(out, "net", n->net);
	put_text(out, "client_service", n->client_service);
	put_text(out, "client_zone", n->client_zone);
	put_text(out, "server_service", n->server_service);
	put_text(out, "server_zone", n->server_zone);
	fprintf(out, ",\"protocol\":\"%s\",\"port\":%u,\"observed_by\":\"%s\"",
		flow_protocol_name(n->protocol, protocol), n->port, flow_observed_text(e->observed, text));
	put_stats(out, "sums", e->observed ? e->views : NULL, 0, false);
	put_stats(out, "histograms", e->observed ? e->views : NULL, 0, true);
	if (e->unsent)
		put_stats(out, "unsent", e->missing, 0, false);
	if (e->twice)
		fprintf(out, ",\"twice\":%" PRIu64, e->twice);
	fputs("}\n", out);
}

static void edge_clear(struct truth_edge *e)
{
	struct flow_stats *views = e->views, *missing = e->missing;

	if (views)
		memset(views, 0, 2 * sizeof(*views));
	if (missing)
		memset(missing, 0, 2 * sizeof(*missing));
	*e = (struct truth_edge){.views = views, .missing = missing};
}

int truth_interval(struct truth *t)
{
	if (!t || !t->out)
		return t ? t->err : 0;
	for (uint32_t i = 0; i < t->fleet->conf.edges; i++) {
		struct truth_edge *e = &t->edges[i];

		if (!e->observed && !e->unsent)
			continue;
		fprintf(t->out, "{\"interval\":%u,\"interval_s\":%u", t->interval, t->interval_s);
		put_edge(t->out, &t->fleet->edges[i].name, e);
		edge_clear(e);
	}
	return truth_said(t, t->out);
}

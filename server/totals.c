/* SPDX-License-Identifier: Apache-2.0 */
#include "server/totals.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/table.h"
#include "store/query.h"

struct total {
	char client[FLOW_NAME_MAX + 1], server[FLOW_NAME_MAX + 1], client_zone[FLOW_NAME_MAX + 1],
		server_zone[FLOW_NAME_MAX + 1];
	uint64_t key;
	struct flow_edge sum;                             /* views only */
	uint64_t c2s, s2c, opened, failed[FLOW_FAILURES]; /* best views, row by row: they never fall */
	uint32_t interval;                                /* newest, and what was open in it */
	uint64_t open_ms;
	uint16_t interval_s;
};

struct totals {
	pthread_mutex_t lock;
	struct total *v; /* [0] is `other` */
	size_t n, cap;
	uint32_t slots[4 * TOTALS_MAX]; /* index; 0 free */
	uint64_t paired, unpaired[FLOW_VIEWS];
	uint32_t newest;
};

int totals_new(struct totals **ret)
{
	struct totals *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->cap = 16;
	t->v = calloc(t->cap, sizeof(*t->v));
	if (!t->v) {
		free(t);
		return -ENOMEM;
	}
	pthread_mutex_init(&t->lock, NULL);
	strcpy(t->v[0].client, "other");
	strcpy(t->v[0].server, "other");
	t->n = 1;
	*ret = t;
	return 0;
}

void totals_free(struct totals *t)
{
	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t->v);
	free(t);
}

static struct total *totals_get(struct totals *t, const struct flow_edge_name *n)
{
	/* Ports and protocol away: the id of what is left. */
	struct flow_edge_name name = {.client_service = n->client_service,
				      .client_zone = n->client_zone,
				      .server_service = n->server_service,
				      .server_zone = n->server_zone};
	uint64_t key = flow_edge_id(&name);
	size_t at = key % ARRAY_LEN(t->slots);
	struct total *x;

	for (; t->slots[at]; at = (at + 1) % ARRAY_LEN(t->slots))
		if (t->v[t->slots[at]].key == key)
			return &t->v[t->slots[at]];
	if (t->n > TOTALS_MAX)
		return &t->v[0];
	if (t->n == t->cap) {
		struct total *v = realloc(t->v, t->cap * 2 * sizeof(*v));

		if (!v)
			return &t->v[0];
		t->v = v;
		t->cap *= 2;
	}
	x = &t->v[t->n];
	memset(x, 0, sizeof(*x));
	x->key = key;
	str_copy(x->client, sizeof(x->client), n->client_service);
	str_copy(x->server, sizeof(x->server), n->server_service);
	str_copy(x->client_zone, sizeof(x->client_zone), n->client_zone);
	str_copy(x->server_zone, sizeof(x->server_zone), n->server_zone);
	t->slots[at] = (uint32_t)t->n++;
	return x;
}

void totals_add(struct totals *t, const struct flow_edge *e)
{
	struct total *x;
	uint64_t open_ms = store_best(e, FLOW_F_open_ms, true);

	pthread_mutex_lock(&t->lock);
	x = totals_get(t, &e->name);
	for (unsigned v = 0; v < FLOW_VIEWS; v++)
		flow_stats_add(&x->sum.view[v], &e->view[v]);
	x->c2s += store_best(e, FLOW_F_tx_bytes, true);
	x->s2c += store_best(e, FLOW_F_tx_bytes, false);
	x->opened += store_best(e, FLOW_F_opened, true);
	for (unsigned i = 0; i < FLOW_FAILURES; i++)
		x->failed[i] += store_best(e, flow_failures[i].field, true);
	if (e->interval > x->interval) {
		x->interval = e->interval;
		x->interval_s = e->interval_s;
		x->open_ms = open_ms;
	} else if (e->interval == x->interval) {
		x->open_ms += open_ms;
	}
	if (e->interval > t->newest)
		t->newest = e->interval;
	if ((e->observed & 3) == 3)
		t->paired++;
	else
		for (unsigned v = 0; v < FLOW_VIEWS; v++)
			t->unpaired[v] += (e->observed >> v) & 1;
	pthread_mutex_unlock(&t->lock);
}

void totals_label(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\n')
			buf_printf(b, "\\n");
		else if (s.p[i] == '"' || s.p[i] == '\\')
			buf_printf(b, "\\%c", s.p[i]);
		else
			buf_char(b, s.p[i]);
}

static void totals_line(struct buf *b, const char *name, const struct total *x, const char *more, double value)
{
	buf_printf(b, "skyfall_edge_%s{client=\"", name);
	totals_label(b, str_from(x->client));
	buf_printf(b, "\",server=\"");
	totals_label(b, str_from(x->server));
	buf_printf(b, "\",client_zone=\"");
	totals_label(b, str_from(x->client_zone));
	buf_printf(b, "\",server_zone=\"");
	totals_label(b, str_from(x->server_zone));
	buf_printf(b, "\"%s} %.17g\n", more, value);
}

static void totals_head(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP skyfall_edge_%s %s\n# TYPE skyfall_edge_%s %s\n", name, help, name, type);
}

static void totals_both(struct buf *b, const struct totals *t, const char *name, enum flow_field f, double scale,
			const char *more)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct flow_edge *e = &t->v[i].sum;
		char labels[64];

		snprintf(labels, sizeof(labels), ",direction=\"c2s\"%s", more);
		totals_line(b, name, &t->v[i], labels, scale * (double)flow_stats_get(&e->view[FLOW_VIEW_CLIENT], f));
		snprintf(labels, sizeof(labels), ",direction=\"s2c\"%s", more);
		totals_line(b, name, &t->v[i], labels, scale * (double)flow_stats_get(&e->view[FLOW_VIEW_SERVER], f));
	}
}

/* Every fourth bucket: a Prometheus bucket costs a line for every edge. */
static void totals_hist(struct buf *b, const struct total *x, const char *name, const uint32_t *hist)
{
	char metric[48], labels[48];
	uint64_t n = 0;
	double sum = 0;

	snprintf(metric, sizeof(metric), "%s_bucket", name);
	for (unsigned i = 0; i < FLOW_BUCKETS; i++) {
		n += hist[i];
		/* The middle of the bucket stands for all in it. */
		sum += hist[i] * (double)(flow_bucket_floor(i) + flow_bucket_floor(i + 1 < FLOW_BUCKETS ? i + 1 : i)) /
		       2e6;
		if (i % 4 || i + 1 == FLOW_BUCKETS)
			continue;
		snprintf(labels, sizeof(labels), ",le=\"%g\"", (double)flow_bucket_floor(i + 1) / 1e6);
		totals_line(b, metric, x, labels, (double)n);
	}
	totals_line(b, metric, x, ",le=\"+Inf\"", (double)n);
	snprintf(metric, sizeof(metric), "%s_sum", name);
	totals_line(b, metric, x, "", sum);
	snprintf(metric, sizeof(metric), "%s_count", name);
	totals_line(b, metric, x, "", (double)n);
}

static void totals_counts(const struct totals *t, struct buf *b)
{
	totals_head(b, "bytes_total", "counter", "payload bytes between two services; the larger of both ends' counts");
	for (size_t i = 0; i < t->n; i++) {
		totals_line(b, "bytes_total", &t->v[i], ",direction=\"c2s\"", (double)t->v[i].c2s);
		totals_line(b, "bytes_total", &t->v[i], ",direction=\"s2c\"", (double)t->v[i].s2c);
	}
	totals_head(b, "connections_opened_total", "counter", "connections established");
	for (size_t i = 0; i < t->n; i++)
		totals_line(b, "connections_opened_total", &t->v[i], "", (double)t->v[i].opened);
	totals_head(b, "connections_failed_total", "counter", "attempts that failed, by reason");
	for (size_t i = 0; i < t->n; i++)
		for (unsigned k = 0; k < FLOW_FAILURES; k++) {
			char labels[48];

			snprintf(labels, sizeof(labels), ",reason=\"%s\"", flow_failures[k].cause);
			if (t->v[i].failed[k])
				totals_line(b, "connections_failed_total", &t->v[i], labels, (double)t->v[i].failed[k]);
		}
	totals_head(b, "connections_active", "gauge", "connections open, mean over the newest interval");
	for (size_t i = 0; i < t->n; i++) {
		const struct total *x = &t->v[i];
		bool fresh = x->interval_s && x->interval + 3u * x->interval_s > t->newest;

		totals_line(b, "connections_active", x, "", fresh ? (double)x->open_ms / (x->interval_s * 1000.0) : 0);
	}
}

void totals_write(struct totals *t, struct buf *b)
{
	pthread_mutex_lock(&t->lock);
	totals_counts(t, b);
	totals_head(b, "retransmitted_segments_total", "counter", "segments sent again, by the end that sent them");
	totals_both(b, t, "retransmitted_segments_total", FLOW_F_retransmitted, 1, "");
	totals_head(b, "segments_sent_total", "counter", "segments with payload sent, retransmits included");
	totals_both(b, t, "segments_sent_total", FLOW_F_tx_segs, 1, "");
	totals_head(b, "limited_seconds_total", "counter",
		    "time the sender was held back by the receiver's window or its own buffer");
	totals_both(b, t, "limited_seconds_total", FLOW_F_rwnd_limited_us, 1e-6, ",by=\"rwnd\"");
	totals_both(b, t, "limited_seconds_total", FLOW_F_sndbuf_limited_us, 1e-6, ",by=\"sndbuf\"");
	totals_head(b, "srtt_seconds", "histogram", "smoothed round-trip time, the client's samples");
	for (size_t i = 0; i < t->n; i++)
		totals_hist(b, &t->v[i], "srtt_seconds", t->v[i].sum.view[FLOW_VIEW_CLIENT].srtt);
	totals_head(b, "connect_seconds", "histogram", "SYN to established at the client");
	for (size_t i = 0; i < t->n; i++)
		totals_hist(b, &t->v[i], "connect_seconds", t->v[i].sum.view[FLOW_VIEW_CLIENT].handshake);
	buf_printf(
		b,
		"# HELP skyfall_join_paired_total edge rows seen from both ends\n# TYPE skyfall_join_paired_total counter\n"
		"skyfall_join_paired_total %llu\n"
		"# HELP skyfall_join_unpaired_total edge rows seen from one end, by that end\n"
		"# TYPE skyfall_join_unpaired_total counter\n",
		(unsigned long long)t->paired);
	for (unsigned v = 0; v < FLOW_VIEWS; v++)
		buf_printf(b, "skyfall_join_unpaired_total{side=\"%s\"} %llu\n", flow_view_name(v),
			   (unsigned long long)t->unpaired[v]);
	pthread_mutex_unlock(&t->lock);
}

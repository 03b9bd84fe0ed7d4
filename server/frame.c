/* SPDX-License-Identifier: Apache-2.0 */
#include "server/frame.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/api.h"
#include "server/signs.h"

struct frame_edge {
	uint64_t id;
	size_t at, n; /* its text */
};

struct frame {
	uint32_t interval, hosts;
	uint16_t interval_s;
	struct {
		uint64_t edges, bytes, opened, failed, signs;
	} totals;
	struct frame_edge *edges; /* by id */
	size_t n;
	struct buf text;
};

/* A row that may be shown. */
struct frame_pick {
	const struct store_row *row;
	unsigned severity;
};

static void frame_number(json_t *o, const char *name, uint64_t v)
{
	json_object_set_new(o, name, api_u64(v));
}

static void frame_srtt(json_t *o, const char *name, const struct flow_stats *s)
{
	if (flow_hist_count(s->srtt))
		json_object_set_new(o, name, json_real(flow_hist_quantile(s->srtt, 0.5)));
}

static json_t *frame_edge(const struct frame_pick *p, uint16_t interval_s)
{
	const struct flow_edge *e = &p->row->e;
	struct sign signs[SIGNS_MAX];
	json_t *o = json_object();

	api_edge_identity(o, e);
	frame_number(o, "c2s_bytes", store_best(e, FLOW_F_tx_bytes, true));
	frame_number(o, "s2c_bytes", store_best(e, FLOW_F_tx_bytes, false));
	frame_number(o, "attempts", store_best(e, FLOW_F_attempts, true));
	frame_number(o, "opened", store_best(e, FLOW_F_opened, true));
	frame_number(o, "failed", store_sum(e, "failed"));
	json_object_set_new(o, "open", json_real((double)store_best(e, FLOW_F_open_ms, true) / (interval_s * 1000.0)));
	frame_number(o, "retransmitted", store_sum(e, "retransmitted"));
	frame_number(o, "segs", store_sum(e, "segs"));
	frame_srtt(o, "srtt_c2s_p50_us", &e->view[FLOW_VIEW_CLIENT]);
	frame_srtt(o, "srtt_s2c_p50_us", &e->view[FLOW_VIEW_SERVER]);
	json_object_set_new(o, "signs", api_signs(signs, signs_of(e, interval_s, signs)));
	json_object_set_new(o, "severity", json_integer(p->severity));
	return o;
}

static int frame_dump(const char *p, size_t n, void *arg)
{
	buf_put(arg, p, n);
	return 0;
}

/* The text of a row at the end of what is there. */
static int frame_add(struct frame *f, const struct frame_pick *p)
{
	json_t *o = frame_edge(p, f->interval_s);
	struct frame_edge *x = &f->edges[f->n++];
	int r;

	x->id = p->row->e.id;
	x->at = f->text.n;
	r = o ? json_dump_callback(o, frame_dump, &f->text, JSON_COMPACT | JSON_REAL_PRECISION(6)) : -1;
	x->n = f->text.n - x->at;
	json_decref(o);
	return r || f->text.err ? -ENOMEM : 0;
}

/* Worse first, and of the same severity as they come: by bytes. Puts at most FRAME_EDGES; returns how many. */
static size_t frame_pick(struct frame *f, const struct store_rows *rows, struct frame_pick *ret)
{
	struct frame_pick *rest = ret + FRAME_EDGES; /* [2][FRAME_EDGES]: worth a look, no sign */
	size_t n[SIGN_SERIOUS + 1] = {0}, all;

	for (size_t i = 0; i < rows->n; i++) {
		const struct flow_edge *e = &rows->rows[i].e;
		struct sign signs[SIGNS_MAX];
		unsigned severity = signs_of(e, f->interval_s, signs) ? signs[0].severity : SIGN_NONE;
		unsigned place = SIGN_SERIOUS - severity;

		f->totals.bytes += store_sum(e, "bytes");
		f->totals.opened += store_best(e, FLOW_F_opened, true);
		f->totals.failed += store_sum(e, "failed");
		f->totals.signs += severity != SIGN_NONE;
		if (n[severity] < FRAME_EDGES)
			ret[place * FRAME_EDGES + n[severity]++] = (struct frame_pick){&rows->rows[i], severity};
	}
	f->totals.edges = rows->matched;
	all = n[SIGN_SERIOUS];
	for (unsigned place = 0; place < SIGN_SERIOUS; place++)
		for (size_t i = 0; i < n[SIGN_LOOK - place] && all < FRAME_EDGES; i++)
			ret[all++] = rest[place * FRAME_EDGES + i];
	return all;
}

static int frame_by_id(const void *a, const void *b)
{
	uint64_t x = ((const struct frame_edge *)a)->id, y = ((const struct frame_edge *)b)->id;

	return x < y ? -1 : x > y;
}

int frame_new(struct frame **ret, const struct store_rows *rows, uint32_t interval, uint16_t interval_s, uint32_t hosts)
{
	struct frame *f = calloc(1, sizeof(*f));
	struct frame_pick *picks = malloc((SIGN_SERIOUS + 1) * FRAME_EDGES * sizeof(*picks));
	int r = f && picks ? 0 : -ENOMEM;
	size_t n;

	if (r)
		goto out;
	f->interval = interval;
	f->interval_s = interval_s;
	f->hosts = hosts;
	buf_init(&f->text, 64u << 20);
	n = frame_pick(f, rows, picks);
	f->edges = malloc((n + 1) * sizeof(*f->edges));
	r = f->edges ? 0 : -ENOMEM;
	for (size_t i = 0; !r && i < n; i++)
		r = frame_add(f, &picks[i]);
	if (!r)
		qsort(f->edges, f->n, sizeof(*f->edges), frame_by_id);
out:
	free(picks);
	if (r)
		frame_free(f);
	else
		*ret = f;
	return r;
}

void frame_free(struct frame *f)
{
	if (!f)
		return;
	buf_deinit(&f->text);
	free(f->edges);
	free(f);
}

static void frame_head(const struct frame *f, struct buf *b)
{
	buf_printf(b, "{\"interval\":%u,\"interval_s\":%u,", f->interval, f->interval_s);
}

static void frame_tail(const struct frame *f, struct buf *b)
{
	buf_printf(b,
		   ",\"hosts\":%u,\"totals\":{\"edges\":%llu,\"bytes\":%llu,\"opened\":%llu,\"failed\":%llu,"
		   "\"signs\":%llu}}",
		   f->hosts, (unsigned long long)f->totals.edges, (unsigned long long)f->totals.bytes,
		   (unsigned long long)f->totals.opened, (unsigned long long)f->totals.failed,
		   (unsigned long long)f->totals.signs);
}

/* The next text of a list. */
static void frame_put(const struct frame *f, const struct frame_edge *e, struct buf *b, bool *first)
{
	if (!*first)
		buf_char(b, ',');
	*first = false;
	buf_put(b, f->text.p + e->at, e->n);
}

void frame_snapshot(const struct frame *f, struct buf *b)
{
	bool first = true;

	frame_head(f, b);
	buf_printf(b, "\"edges\":[");
	for (size_t i = 0; i < f->n; i++)
		frame_put(f, &f->edges[i], b, &first);
	buf_char(b, ']');
	frame_tail(f, b);
}

enum frame_list { FRAME_ADD, FRAME_UPDATE, FRAME_REMOVE };

/* Both are by id: one walk along the two says in which list an edge belongs. */
static void frame_walk(const struct frame *was, const struct frame *f, enum frame_list list, struct buf *b)
{
	size_t i = 0, k = 0, n_was = was ? was->n : 0;
	bool first = true;

	while (i < n_was || k < f->n) {
		const struct frame_edge *x = i < n_was ? &was->edges[i] : NULL, *y = k < f->n ? &f->edges[k] : NULL;

		if (x && (!y || x->id < y->id)) {
			if (list == FRAME_REMOVE)
				buf_printf(b, "%s\"%016llx\"", first ? "" : ",", (unsigned long long)x->id);
			first = first && list != FRAME_REMOVE;
			i++;
		} else if (!x || y->id < x->id) {
			if (list == FRAME_ADD)
				frame_put(f, y, b, &first);
			k++;
		} else {
			if (list == FRAME_UPDATE &&
			    (x->n != y->n || memcmp(was->text.p + x->at, f->text.p + y->at, x->n)))
				frame_put(f, y, b, &first);
			i++;
			k++;
		}
	}
}

void frame_delta(const struct frame *was, const struct frame *f, struct buf *b)
{
	static const char *const names[] = {"add", "update", "remove"};

	frame_head(f, b);
	for (unsigned list = FRAME_ADD; list <= FRAME_REMOVE; list++) {
		buf_printf(b, "%s\"%s\":[", list ? "," : "", names[list]);
		frame_walk(was, f, list, b);
		buf_char(b, ']');
	}
	frame_tail(f, b);
}

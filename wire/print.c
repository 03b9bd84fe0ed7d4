/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One walk gives both forms: a line is a kind and named values. Text puts what a datagram's lines share on a line of its
 * own and leaves out what is empty; in JSON every line is an object that stands alone.
 */
#include "wire/print.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/table.h"
#include "wire/ack.h"
#include "wire/out.h"
#include "wire/print_sflow.h"

/* What each line of a record repeats in JSON. */
struct context {
	const struct wire_datagram *d;
	const struct wire_sample *s; /* where the record stands, if it is not one of ours */
	const struct wire_record *r;
	const struct wire_head *head;
};

static void out_head(const struct out *o, const struct wire_head *h)
{
	out_u64(o, "interval", h->interval);
	out_u64(o, "interval_s", h->interval_s);
	out_u64(o, "spread_ms", h->spread_ms);
	out_id(o, "boot", h->boot);
	out_str(o, "net", h->net);
	out_str(o, "host", h->host);
}

static void out_frame(const struct out *o, const struct context *x)
{
	if (x->d) {
		out_ip(o, "agent", &x->d->agent);
		out_u64(o, "sub_agent", x->d->sub_agent);
		out_u64(o, "sequence", x->d->sequence);
		out_u64(o, "uptime_ms", x->d->uptime_ms);
	}
	if (x->r) {
		out_u64(o, "sample_pool", x->r->in->pool);
		out_u64(o, "drops", x->r->in->drops);
	}
}

static void line_begin(const struct out *o, const char *kind, const struct context *x)
{
	if (!o->json) {
		buf_printf(o->b, "%s%s", x->head || x->s ? "    " : x->d ? "  " : "", kind);
		return;
	}
	buf_printf(o->b, "{\"record\":\"%s\"", kind);
	out_frame(o, x);
	if (x->head)
		out_head(o, x->head);
}

static void line_end(const struct out *o)
{
	buf_printf(o->b, o->json ? "}\n" : "\n");
}

static void print_error(const struct out *o, const struct context *x, const char *where, enum wire_error e)
{
	line_begin(o, "error", x);
	out_str(o, "in", str_from(where));
	out_str(o, "reason", str_from(wire_error_name(e)));
	line_end(o);
}

/* The line that a record's lines stand under, in text. */
static void print_head(const struct out *o, const char *kind, const struct wire_record *r, const struct wire_head *h)
{
	if (o->json)
		return;
	buf_printf(o->b, "  %s", kind);
	out_head(o, h);
	out_u64(o, "sample_pool", r->in->pool);
	out_u64(o, "drops", r->in->drops);
	buf_char(o->b, '\n');
}

static void out_names(const struct out *o, const struct flow_names *n)
{
	out_str(o, "service", n->service);
	out_str(o, "process", n->process);
	out_str(o, "unit", n->unit);
	out_str(o, "container", n->container);
	out_str(o, "pod", n->pod);
	out_str(o, "via", n->via);
	out_str(o, "owner", str_from(flow_quality_name(n->quality)));
}

static void out_hist(const struct out *o, const char *key, const uint32_t hist[FLOW_BUCKETS])
{
	bool first = true;

	out_key(o, str_from(key));
	buf_char(o->b, o->json ? '{' : '[');
	for (unsigned i = 0; i < FLOW_BUCKETS; i++) {
		if (!hist[i])
			continue;
		buf_printf(o->b, o->json ? "%s\"%" PRIu64 "\":%u" : "%s%" PRIu64 "us:%u",
			   first     ? ""
			   : o->json ? ","
				     : " ",
			   flow_bucket_floor(i), hist[i]);
		first = false;
	}
	buf_char(o->b, o->json ? '}' : ']');
}

static void out_stats(const struct out *o, uint64_t present, struct str body)
{
	struct flow_stats s = {0};

	wire_body_add(present, body, &s);
	for (unsigned f = 0; f < FLOW_FIELDS; f++) {
		if (!(present >> f & 1))
			continue;
		if (flow_fields[f].width == FLOW_HIST)
			out_hist(o, flow_fields[f].name, flow_stats_hist_get(&s, f));
		else
			out_u64(o, flow_fields[f].name, flow_stats_get(&s, f));
	}
	if (present >> FLOW_FIELDS)
		out_u64(o, "unknown_fields", __builtin_popcountll(present >> FLOW_FIELDS));
}

static void out_ports(const struct out *o, const struct wire_flow *row)
{
	if (!row->n_ports && !row->ports_more)
		return;
	out_key(o, STR("ephemeral_ports"));
	buf_char(o->b, '[');
	for (unsigned i = 0; i < row->n_ports; i++)
		buf_printf(o->b, "%s%u", i ? "," : "", row->ports[i]);
	buf_char(o->b, ']');
	out_u64(o, "ephemeral_more", row->ports_more);
}

static void print_row(const struct out *o, const struct context *x, const struct wire_flow *row)
{
	char text[96];

	line_begin(o, "flow", x);
	out_str(o, "view", str_from(flow_view_name(row->view)));
	out_str(o, "protocol", str_from(flow_protocol_name(row->protocol, text)));
	out_ip(o, "local", &row->local);
	out_ip(o, "remote", &row->remote);
	out_u64(o, "port", row->port);
	if (row->other_port || o->json)
		out_u64(o, "other_port", row->other_port);
	if (row->scope || o->json)
		out_u64(o, "scope", row->scope);
	out_str(o, "flags", str_from(flow_flags_text(row->flags, text)));
	out_names(o, row->names);
	out_ports(o, row);
	out_stats(o, row->present, row->body);
	line_end(o);
}

static unsigned print_flows(struct wire_print *w, const struct out *o, struct context *x)
{
	enum wire_error e = wire_flows_open(&w->flows, x->r);
	struct wire_flow row;
	unsigned bad = 0;

	if (e) {
		print_error(o, x, "flows", e);
		return 1;
	}
	x->head = &w->flows.head;
	print_head(o, "flows", x->r, x->head);
	while ((e = wire_flows_next(&w->flows, &row)) != WIRE_END) {
		if (e) {
			print_error(o, x, "flow", e);
			bad++;
		} else {
			print_row(o, x, &row);
		}
	}
	return bad;
}

static unsigned print_host(struct wire_print *w, const struct out *o, struct context *x)
{
	unsigned part, parts, bad;
	struct wire_head head;
	struct flow_host *h = &w->host;
	enum wire_error e = wire_host_read(x->r, &head, h, &part, &parts, &bad);

	if (e) {
		print_error(o, x, "host", e);
		return 1;
	}
	x->head = &head;
	print_head(o, "host", x->r, x->head);
	line_begin(o, "host", x);
	out_str(o, "hostname", h->hostname);
	out_str(o, "kernel", h->kernel);
	out_str(o, "mode", h->mode);
	out_str(o, "version", h->version);
	out_u64(o, "part", part);
	out_u64(o, "parts", parts);
	out_u64(o, "addresses", h->n_addresses);
	line_end(o);
	for (unsigned i = 0; i < h->n_addresses; i++) {
		const struct flow_address *a = &h->addresses[i];

		line_begin(o, "address", x);
		out_ip(o, "address", &a->ip);
		out_u64(o, "prefix", ip_is_v4(&a->ip) ? a->bits - 96u : a->bits);
		out_u64(o, "host_only", a->host_only);
		out_u64(o, "netns", a->netns);
		line_end(o);
	}
	if (bad)
		print_error(o, x, "addresses", WIRE_VALUE);
	x->head = NULL;
	return bad;
}

static void print_listener(const struct out *o, const struct context *x, const struct flow_listener *l)
{
	char text[8];

	line_begin(o, "listener", x);
	out_u64(o, "netns", l->netns);
	out_ip(o, "address", &l->addr);
	out_u64(o, "port", l->port);
	out_str(o, "protocol", str_from(flow_protocol_name(l->protocol, text)));
	out_u64(o, "alive", l->alive);
	out_u64(o, "since", l->since);
	out_u64(o, "listener_drops", l->drops);
	out_u64(o, "queue", l->queue);
	out_u64(o, "queue_max", l->queue_max);
	out_names(o, &l->names);
	line_end(o);
}

static unsigned print_listeners(struct wire_print *w, const struct out *o, struct context *x)
{
	enum wire_error e = wire_listeners_open(&w->listeners, x->r);
	struct flow_listener l = {0};
	unsigned bad = 0;

	if (e) {
		print_error(o, x, "listeners", e);
		return 1;
	}
	x->head = &w->listeners.head;
	print_head(o, "listeners", x->r, x->head);
	while ((e = wire_listeners_next(&w->listeners, &l)) != WIRE_END) {
		if (e) {
			print_error(o, x, "listener", e);
			bad++;
		} else {
			print_listener(o, x, &l);
		}
	}
	return bad;
}

static void out_counts(const struct out *o, const char *key, const struct flow_count *c, unsigned n)
{
	if (o->json) {
		out_key(o, str_from(key));
		buf_char(o->b, '{');
	}
	for (unsigned i = 0; i < n; i++) {
		if (o->json) {
			if (i)
				buf_char(o->b, ',');
			out_text(o, c[i].name);
			buf_printf(o->b, ":%" PRIu64, c[i].n);
		} else {
			buf_printf(o->b, " %s.%.*s=%" PRIu64, key, STR_FMT(c[i].name), c[i].n);
		}
	}
	if (o->json)
		buf_char(o->b, '}');
}

static unsigned print_health(struct wire_print *w, const struct out *o, struct context *x)
{
	enum wire_error e = wire_health_open(&w->health, x->r);
	struct flow_ledger *line = &w->line;
	unsigned bad = 0;

	if (e) {
		print_error(o, x, "health", e);
		return 1;
	}
	x->head = &w->health.head;
	print_head(o, "health", x->r, x->head);
	while ((e = wire_health_next(&w->health, line)) != WIRE_END) {
		if (e) {
			print_error(o, x, "line", e);
			bad++;
			continue;
		}
		line_begin(o, "ledger", x);
		out_u64(o, "line_interval", line->interval);
		out_u64(o, "line_interval_s", line->interval_s);
		out_u64(o, "rows_in", line->rows_in);
		out_u64(o, "rows_out", line->rows_out);
		out_counts(o, "lost", line->lost, line->n_lost);
		out_counts(o, "info", line->info, line->n_info);
		line_end(o);
	}
	return bad;
}

/* A record of others: by the standard's table, else by number only. */
static unsigned print_other(const struct out *o, const struct context *x)
{
	const struct wire_record *r = x->r;
	const struct sflow_struct *s = r->enterprise ? NULL : sflow_record(r->in->kind, r->format);
	enum wire_error e = WIRE_OK;

	line_begin(o, s ? s->name : "other_record", x);
	if (o->json) {
		out_u64(o, "sample_sequence", x->s->sequence);
		out_u64(o, "source_class", x->s->source_class);
		out_u64(o, "source_index", x->s->source_index);
	}
	if (s) {
		e = print_sflow_record(o, s, r->body);
	} else {
		out_u64(o, "enterprise", r->enterprise);
		out_u64(o, "format", r->format);
		out_u64(o, "bytes", r->body.n);
	}
	line_end(o);
	if (e)
		print_error(o, x, s->name, e);
	return e != WIRE_OK;
}

static unsigned print_record(struct wire_print *w, const struct out *o, struct context *x)
{
	static unsigned (*const print[])(struct wire_print *, const struct out *, struct context *) = {
		[WIRE_FLOWS] = print_flows,
		[WIRE_HOST] = print_host,
		[WIRE_LISTENERS] = print_listeners,
		[WIRE_HEALTH] = print_health,
	};

	if (!x->r->ours || x->r->format >= ARRAY_LEN(print) || !print[x->r->format])
		return print_other(o, x);
	x->s = NULL;
	return print[x->r->format](w, o, x);
}

static void print_sample(const struct out *o, const struct wire_datagram *d, const struct wire_sample *s)
{
	static const char *const names[WIRE_KINDS] = {"other_sample", "flow_sample", "counters_sample",
						      "discarded_packet"};
	struct context x = {.d = d};

	line_begin(o, names[s->kind], &x);
	if (s->kind == WIRE_KIND_OTHER) {
		out_u64(o, "enterprise", s->enterprise);
		out_u64(o, "format", s->format);
		out_u64(o, "bytes", s->body.n);
	} else {
		print_sflow_sample(o, s);
	}
	line_end(o);
}

/* A sample and its records. A flow sample of ours has no line of its own: its record says all of it. */
static unsigned print_records(struct wire_print *w, const struct out *o, struct wire_datagram *d,
			      const struct wire_sample *s)
{
	struct context x = {.d = d};
	struct wire_record r;
	bool said = false;
	enum wire_error e;
	unsigned bad = 0;

	do {
		e = wire_record_next(d, &r);
		if (!said && (e || !r.ours))
			print_sample(o, d, s);
		said = true;
		x.r = e ? NULL : &r;
		x.s = s;
		x.head = NULL;
		if (!e)
			bad += print_record(w, o, &x);
		else if (e != WIRE_END)
			print_error(o, &x, "sample", e);
		bad += e && e != WIRE_END;
	} while (e != WIRE_END);
	return bad;
}

static void print_ack(const struct out *o, const struct wire_ack *a)
{
	struct context none = {0};

	line_begin(o, "ack", &none);
	out_id(o, "boot", a->boot);
	out_u64(o, "sub_agent", a->sub_agent);
	out_u64(o, "interval", a->interval);
	out_u64(o, "interval_s", a->interval_s);
	out_u64(o, "datagrams", a->datagrams);
	out_u64(o, "rows", a->rows);
	out_u64(o, "stopping", a->flags & WIRE_ACK_STOPPING);
	line_end(o);
}

unsigned wire_print(struct wire_print *w, const void *p, size_t n, struct buf *b)
{
	struct out o = {b, w->json};
	struct context x = {0};
	struct wire_datagram d;
	const struct wire_sample *s;
	struct wire_ack ack;
	enum wire_error e;
	unsigned bad = 0;

	if (!wire_ack_read(p, n, &ack)) {
		print_ack(&o, &ack);
		return 0;
	}
	e = wire_open(&d, p, n, w->enterprise);
	if (e) {
		print_error(&o, &x, "datagram", e);
		return 1;
	}
	x.d = &d;
	if (!o.json) {
		buf_printf(b, "datagram");
		out_frame(&o, &x);
		out_u64(&o, "bytes", n);
		buf_char(b, '\n');
	}
	while ((e = wire_sample_next(&d, &s)) != WIRE_END) {
		if (!e) {
			bad += print_records(w, &o, &d, s);
			continue;
		}
		print_error(&o, &x, "datagram", e);
		bad++;
	}
	return bad;
}

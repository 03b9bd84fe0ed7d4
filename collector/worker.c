/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/said.h"

#define NAMES_NONE UINT32_MAX /* no room for them */

static int pane_init(struct worker_pane *p, const struct worker_opts *o)
{
	records_init(&p->records, o->record_bytes);
	return fold_new(&p->fold, &o->fold);
}

int worker_new(struct worker **ret, const struct worker_opts *o)
{
	struct worker *w;
	int r = -ENOMEM;

	if (!o->interval_s || 60 % o->interval_s || o->fold_s % o->interval_s)
		return -EINVAL;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->state = calloc(1, sizeof(*w->state));
	if (!w->state)
		goto out;
	w->state->opts = *o;
	if (!o->fold_s)
		w->state->opts.fold_s = o->interval_s;
	w->state->serial = 1;
	r = o->trust ? trust_join(o->trust, &w->state->trust) : 0;
	if (r < 0)
		goto out;
	r = account_init(&w->state->account, o->max_agents);
	if (r < 0)
		goto out;
	r = sources_init(&w->state->sources, o->max_agents);
	if (!r)
		r = records_parts_new(&w->state->parts);
	for (unsigned i = 0; i < 2 && !r; i++) {
		r = account_lines_init(&w->lines[i].agents, o->max_agents);
		if (!r)
			r = sources_lines_init(&w->lines[i].sources, o->max_agents);
		if (!r)
			r = pane_init(&w->pane[i], o);
	}
out:
	if (r < 0) {
		worker_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	for (unsigned i = 0; i < 2; i++) {
		account_lines_deinit(&w->lines[i].agents);
		sources_lines_deinit(&w->lines[i].sources);
		fold_free(w->pane[i].fold);
		records_deinit(&w->pane[i].records);
	}
	if (w->state) {
		account_deinit(&w->state->account);
		sources_deinit(&w->state->sources);
		records_parts_free(w->state->parts);
	}
	free(w->state);
	free(w);
}

void worker_lines_clear(struct worker_lines *l)
{
	account_lines_clear(&l->agents);
	l->sources.n = 0;
	l->spread_ms = 0;
	memset(l->refused, 0, sizeof(l->refused));
}

void worker_pane_clear(struct worker_pane *p)
{
	fold_clear(p->fold);
	records_clear(&p->records);
}

bool worker_poll(struct worker *w)
{
	bool any = false;

	if (w->state->trust)
		trust_look(w->state->trust);
	if (swap_wanted(&w->lines_swap)) {
		unsigned next = swap_active(&w->lines_swap) ^ 1;

		account_lines_begin(&w->lines[next].agents, ++w->state->serial);
		sources_lines_begin(&w->lines[next].sources, w->state->serial);
		swap_do(&w->lines_swap);
		any = true;
	}
	if (swap_wanted(&w->pane_swap)) {
		swap_do(&w->pane_swap);
		any = true;
	}
	return any;
}

void reading_refuse(struct worker *w, unsigned reason, const struct worker_packet *p)
{
	struct worker_refused *r = &reading_lines(w)->refused[reason];

	counters_add(&w->counters.rejected[reason], 1);
	r->n++;
	r->from = p->peer.ip;
	r->n_head = (uint8_t)(p->bytes.n < sizeof(r->head) ? p->bytes.n : sizeof(r->head));
	memcpy(r->head, p->bytes.p, r->n_head);
}

static void flush(struct worker *w)
{
	fold_flush(reading_pane(w)->fold);
	network_flush(&w->state->network);
}

/* An interval length or a net that is not ours refuses a whole record. COLLECTOR_REJECTS: accepted. */
static unsigned judge_head(const struct worker *w, const struct wire_head *h)
{
	const struct trust_reader *trust = w->state->trust;

	if (h->interval_s != w->state->opts.interval_s)
		return COLLECTOR_REJECT_INTERVAL_LENGTH;
	return !trust || nets_has(trust_nets(trust), h->net) ? COLLECTOR_REJECTS : COLLECTOR_REJECT_NET;
}

bool reading_accepted(struct worker *w, const struct worker_packet *p, const struct wire_head *h)
{
	unsigned refused = judge_head(w, h);

	if (refused != COLLECTOR_REJECTS)
		reading_refuse(w, refused, p);
	return refused == COLLECTOR_REJECTS;
}

/* "<host id>", for one network namespace "<host id>/<inode>". Rows of one scope mostly follow each other. */
static int scope_of(struct worker *w, const struct wire_head *h, uint32_t scope, uint32_t *ret)
{
	struct worker_state *s = w->state;
	char text[FLOW_NAME_MAX + 16];
	int r = 0;

	if (scope == 0) {
		*ret = 0;
		return 0;
	}
	if (scope != s->scope.wire) {
		snprintf(text, sizeof(text), "%.*s/%u", STR_FMT(h->host), scope);
		r = fold_string(reading_pane(w)->fold, scope == 1 ? h->host : str_from(text), &s->scope.id);
		s->scope.wire = r < 0 ? 0 : scope;
	}
	*ret = s->scope.id;
	return r;
}

/* Number among the waiting ones of names `index` of the open record in this scope. NAMES_NONE: no room. */
static uint32_t names_of(struct worker *w, const struct wire_flows *f, uint32_t index, uint32_t scope)
{
	struct worker_state *s = w->state;
	struct fold *fold = reading_pane(w)->fold;
	uint32_t scope_id;

	if (s->names[index].known && s->names[index].scope == scope && s->names[index].batch == fold_batch(fold))
		return s->names[index].id;
	if (s->net == NAMES_NONE || scope_of(w, &f->head, scope, &scope_id) < 0)
		return NAMES_NONE;
	s->names[index].known = true;
	s->names[index].scope = scope;
	s->names[index].batch = fold_batch(fold);
	return s->names[index].id = fold_wait(fold, s->net, scope_id, &f->tables.names[index]);
}

/* Numbers of the record's strings are looked up once; those of a former one may be of another pane. */
static void begin_flows(struct worker *w, struct reading *rd, const struct wire_flows *f)
{
	struct worker_state *s = w->state;

	if (rd->track)
		rd->shift = clock_shift(account_clock(&w->state->account, rd->track), f->head.interval,
					f->head.interval_s, rd->at_us);
	rd->interval = clock_moved(f->head.interval, f->head.interval_s, rd->shift);
	rd->interval -= rd->interval % s->opts.fold_s;
	if (f->head.spread_ms > reading_lines(w)->spread_ms)
		reading_lines(w)->spread_ms = f->head.spread_ms;
	memset(s->names, 0, f->tables.n_names * sizeof(s->names[0]));
	s->scope.wire = 0;
	if (fold_string(reading_pane(w)->fold, f->head.net, &s->net) < 0)
		s->net = NAMES_NONE;
}

static void ends(struct fold_item *it, const struct wire_flow_raw *row, uint32_t family)
{
	bool server = row->view == FLOW_VIEW_SERVER;
	const uint8_t *c = server ? row->remote : row->local, *s = server ? row->local : row->remote;

	if (family == 4)
		fold_item_ends4(it, c, s);
	else
		fold_item_ends(it, (const struct ip *)c, (const struct ip *)s);
}

/* A row that can be read. Returns its sum(rows). */
static uint64_t flow(struct worker *w, struct reading *rd, const struct wire_flow_raw *row)
{
	const struct wire_flows *f = &w->state->flows;
	struct fold *fold = reading_pane(w)->fold;
	struct fold_item *it = fold_item(fold); /* its values are in it */
	uint64_t rows = it->rows;
	uint32_t names;

	it->key.interval = rd->interval;
	names = names_of(w, f, row->names_index, row->scope);
	if (names == NAMES_NONE) {
		fold_shed(fold, it->key.interval, FOLD_LOST_NAMES, rows);
		return rows;
	}
	ends(it, row, f->family);
	it->key.port = row->port;
	it->key.other_port = row->other_port;
	it->key.protocol = row->protocol;
	it->key.view = row->view;
	it->flags = (uint16_t)(row->flags | (rd->shift ? FLOW_CLOCK : 0) |
			       (row->view == FLOW_VIEW_UNKNOWN ? FLOW_NO_ROLE : 0));
	it->n_ports = row->n_ports;
	it->ports = row->ports;
	it->ports_more = row->ports_more;
	fold_push_named(fold, names);
	return rows;
}

static enum wire_error flows(struct worker *w, struct reading *rd, const struct wire_record *r)
{
	struct wire_flows *f = &w->state->flows;
	enum wire_error e = wire_flows_open(f, r);
	struct wire_flow_raw row;
	uint64_t n = 0, sum = 0;
	bool ours;

	if (e)
		return e;
	ours = reading_accepted(w, rd->packet, &f->head);
	if (ours)
		begin_flows(w, rd, f);
	while ((e = wire_flows_next_raw(f, &row)) != WIRE_END) {
		if (!e && !fold_values(reading_pane(w)->fold, row.present, row.body))
			e = WIRE_BODY;
		if (e) {
			reading_refuse(w, e, rd->packet);
			continue;
		}
		n++;
		sum += ours ? flow(w, rd, &row) : fold_item(reading_pane(w)->fold)->rows;
	}
	rd->rows += sum;
	counters_add(&w->counters.flow_rows, n);
	counters_add(ours ? &w->counters.rows : &w->counters.refused_rows, sum);
	return WIRE_OK;
}

static void record(struct worker *w, struct reading *rd, const struct wire_record *r)
{
	static enum wire_error (*const readers[])(struct worker *, struct reading *, const struct wire_record *) = {
		[WIRE_FLOWS] = flows,
		[WIRE_HOST] = said_host,
		[WIRE_LISTENERS] = said_listeners,
		[WIRE_HEALTH] = said_health,
	};
	enum wire_error e;

	if (!r->ours || r->format >= sizeof(readers) / sizeof(*readers) || !readers[r->format]) {
		counters_add(&w->counters.foreign, 1);
		return;
	}
	rd->placed = true;
	rd->pool = r->in->pool;
	rd->drops = r->in->drops;
	e = readers[r->format](w, rd, r);
	if (e)
		reading_refuse(w, e, rd->packet);
}

/* The head of the first record of ours, zero when it cannot be read. Counts nothing: the datagram may be refused yet. */
static struct wire_head first_head(const struct wire_datagram *d)
{
	struct wire_datagram ahead = *d;
	struct wire_record r;
	struct wire_head head;
	struct cursor c;
	enum wire_error e;

	while ((e = wire_next(&ahead, &r)) != WIRE_END) {
		if (e || !r.ours)
			continue;
		c = cursor_over(r.body);
		return wire_head_read(&c, &head) ? (struct wire_head){0} : head;
	}
	return (struct wire_head){0};
}

/* The next record of ours, others counted. False: no more. */
static bool next_ours(struct worker *w, struct reading *rd, struct wire_record *r)
{
	enum wire_error e;

	while ((e = wire_next(&rd->datagram, r)) != WIRE_END) {
		if (e)
			reading_refuse(w, e, rd->packet);
		else if (r->ours)
			return true;
		else
			counters_add(&w->counters.foreign, 1);
	}
	return false;
}

static enum account_verdict account(struct worker *w, struct reading *rd, struct account_line **ret_line)
{
	const struct wire_head *h = &rd->head;
	enum account_verdict v;

	v = account_datagram(&w->state->account, &reading_lines(w)->agents, &rd->seen, &rd->track, ret_line);
	counters_add(&w->counters.duplicates, v == ACCOUNT_DUPLICATE);
	counters_add(&w->counters.old_datagrams, v == ACCOUNT_OLD);
	counters_add(&w->counters.late_datagrams, v == ACCOUNT_LATE);
	counters_add(&w->counters.agents_full, v == ACCOUNT_FULL);
	if (h->interval_s)
		rd->shift = clock_shift_known(account_clock(&w->state->account, rd->track), h->interval, h->interval_s,
					      rd->at_us);
	return v;
}

/* A datagram of standard sFlow. */
static void sampled(struct worker *w, struct reading *rd)
{
	const struct worker_opts *o = &w->state->opts;
	struct network *n = &w->state->network;
	uint32_t unknown = SLOTS_NONE;
	struct network_from from = {
		.fold = reading_pane(w)->fold,
		.counters = &w->counters,
		.sources = &w->state->sources,
		.lines = &reading_lines(w)->sources,
		.agent = rd->datagram.agent,
		.sub_agent = rd->datagram.sub_agent,
		.source_slot = rd->track ? &rd->track->source : &unknown,
		.net = w->state->trust ? trust_nets(w->state->trust)->home : STR(""),
		.interval = (uint32_t)(rd->at_us / 1000000 / o->fold_s * o->fold_s),
		.at_s = rd->at_us / 1000000,
	};
	enum wire_error e;

	network_begin(n, &from);
	while ((e = network_next(n, &rd->datagram)) != WIRE_END)
		reading_refuse(w, e, rd->packet);
	rd->rows = n->rows;
}

/* Whether it is new, and allowed now. Refused: nothing of it is noted. */
static bool fresh(struct worker *w, struct reading *rd)
{
	struct trust_reader *trust = w->state->trust;
	const struct trust_verdict *v = &rd->trust;
	unsigned e = trust ? trust_fresh(trust, &rd->datagram, &rd->head, v, rd->at_us) : COLLECTOR_REJECTS;

	if (e != COLLECTOR_REJECTS) {
		reading_refuse(w, e, rd->packet);
		return false;
	}
	counters_add(&w->counters.signed_datagrams, v->is_signed);
	counters_add(&w->counters.signed_late_key, v->by_late_key);
	return true;
}

/* Its heads, and whether its sender may say so. False: refused. */
static bool open_datagram(struct worker *w, struct reading *rd, const struct worker_packet *p, int64_t now_us)
{
	struct wire_datagram *d = &rd->datagram;
	unsigned e;

	rd->packet = p;
	rd->at_us = p->at_us ? p->at_us : now_us;
	rd->head = (struct wire_head){0};
	rd->trust = (struct trust_verdict){.reject = COLLECTOR_REJECTS};
	e = wire_open(d, p->bytes.p, p->bytes.n, w->state->opts.enterprise);
	if (p->truncated)
		e = COLLECTOR_REJECT_TRUNCATED;
	if (!e && w->state->trust)
		rd->trust = trust_origin(w->state->trust, d, p->bytes);
	if (!e && rd->trust.reject != COLLECTOR_REJECTS)
		e = rd->trust.reject;
	if (e) {
		reading_refuse(w, e, p);
		return false;
	}
	rd->ours = wire_has_ours(d);
	if (rd->ours)
		rd->head = first_head(d);
	rd->seen = (struct account_seen){
		.key = {.agent = d->agent, .sub_agent = d->sub_agent, .foreign = !rd->ours, .boot = rd->head.boot},
		.peer = p->peer,
		.sequence = d->sequence,
		.uptime_ms = d->uptime_ms,
		.at_us = rd->at_us,
	};
	return true;
}

static void read_datagram(struct worker *w, struct reading *rd)
{
	struct account_line *line;
	enum account_verdict v;
	struct wire_record r;

	rd->shift = 0;
	rd->rows = 0;
	rd->placed = false;
	rd->pool = rd->drops = 0;
	if (!fresh(w, rd))
		return;
	v = account(w, rd, &line);
	if (v == ACCOUNT_DUPLICATE || v == ACCOUNT_OLD)
		return;
	while (rd->ours && next_ours(w, rd, &r))
		record(w, rd, &r);
	if (!rd->ours)
		sampled(w, rd);
	counters_add(&w->counters.clock_moved, rd->shift != 0);
	if (line)
		account_rows(&reading_lines(w)->agents, line, &rd->seen,
			     &(struct account_read){.rows = rd->rows,
						    .placed = rd->placed || !rd->ours,
						    .pool = rd->pool,
						    .drops = rd->drops,
						    .interval = rd->head.interval});
}

/* What is known of each one's agent lies anywhere in memory: it is fetched for all of a group before the first is read. */
static void group(struct worker *w, const struct worker_packet *packets, size_t n, int64_t now_us)
{
	struct worker_state *s = w->state;
	struct reading *rd = s->group;
	size_t n_open = 0;

	for (size_t i = 0; i < n; i++) {
		counters_add(&w->counters.datagrams, 1);
		counters_add(&w->counters.bytes, packets[i].bytes.n);
		if (!open_datagram(w, &rd[n_open], &packets[i], now_us))
			continue;
		rd[n_open].ahead = account_ahead(&s->account, &rd[n_open].seen.key);
		n_open++;
	}
	for (size_t i = 0; i < n_open; i++)
		rd[i].near = account_near(&s->account, rd[i].ahead);
	for (size_t i = 0; i < n_open; i++) {
		if (!rd[i].near)
			continue;
		account_nearer(&s->account, &reading_lines(w)->agents, rd[i].near);
		sources_near(&s->sources, rd[i].near->source);
	}
	for (size_t i = 0; i < n_open; i++)
		read_datagram(w, &rd[i]);
}

void worker_batch(struct worker *w, const struct worker_packet *packets, size_t n, int64_t now_us)
{
	if (w->state->trust)
		trust_look(w->state->trust);
	for (size_t i = 0; i < n; i += READING_GROUP)
		group(w, packets + i, n - i < READING_GROUP ? n - i : READING_GROUP, now_us);
	counters_add(&w->counters.batches, 1);
	flush(w);
}

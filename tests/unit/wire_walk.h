/* SPDX-License-Identifier: Apache-2.0 */
/* Reads whatever is in a datagram to its end, as a collector would, and adds up what came: for tests and fuzzing. */
#pragma once

#include <assert.h>
#include <stdlib.h>

#include "base/hash.h"
#include "wire/packet.h"
#include "wire/print.h"
#include "wire/print_sflow.h"

enum { WALK_ROWS = 256 };

struct walk {
	unsigned ok;                  /* rows, addresses, listeners, lines */
	unsigned errors[WIRE_ERRORS]; /* by reason */
	unsigned calls;
	uint64_t row[WALK_ROWS];   /* hash of each flow row that was read */
	size_t row_end[WALK_ROWS]; /* where it ends in the datagram */
	unsigned n_rows;
};

struct walk_memory {
	union {
		struct wire_flows flows;
		struct wire_listeners listeners;
		struct wire_health health;
		struct flow_host host;
	};
	struct flow_ledger line;
};

static inline uint64_t walk_str(uint64_t h, struct str s)
{
	assert(s.n <= WIRE_STRING_MAX);
	return hash64_seed(s.p, s.n, h);
}

/* Touches all that a row gives. */
static inline uint64_t walk_row(const struct wire_flow *r)
{
	struct flow_stats stats = {0};
	const struct flow_names *n = r->names;
	uint64_t h = hash64_seed(&r->local, 16, 1);

	wire_body_add(r->present, r->body, &stats);
	h = hash64_seed(&stats, sizeof(stats), h);
	h = hash64_seed(&r->remote, 16, h);
	h = hash64_seed(r->ports, 2 * r->n_ports, h);
	h = walk_str(walk_str(walk_str(h, n->service), n->process), n->unit);
	h = walk_str(walk_str(walk_str(h, n->container), n->pod), n->via);
	return h ^ ((uint64_t)r->port << 48 | (uint64_t)r->other_port << 32 | (uint64_t)r->view << 24 | r->flags) ^
	       ((uint64_t)r->scope << 32 | r->ports_more) ^ r->protocol ^ n->quality;
}

static inline void walk_flows(struct walk *w, struct walk_memory *m, const struct wire_record *r, const void *start)
{
	enum wire_error e = wire_flows_open(&m->flows, r);
	struct wire_flow row;

	if (e) {
		w->errors[e]++;
		return;
	}
	while ((e = wire_flows_next(&m->flows, &row)) != WIRE_END) {
		w->calls++;
		if (e) {
			w->errors[e]++;
			continue;
		}
		w->ok++;
		if (w->n_rows < WALK_ROWS) {
			w->row[w->n_rows] = walk_row(&row);
			w->row_end[w->n_rows++] = (size_t)(m->flows.items.cur.p - (const uint8_t *)start);
		}
	}
}

static inline void walk_listeners(struct walk *w, struct walk_memory *m, const struct wire_record *r)
{
	enum wire_error e = wire_listeners_open(&m->listeners, r);
	struct flow_listener l;

	if (e) {
		w->errors[e]++;
		return;
	}
	while ((e = wire_listeners_next(&m->listeners, &l)) != WIRE_END) {
		w->calls++;
		if (e)
			w->errors[e]++;
		else
			w->ok += walk_str(0, l.names.service) != 0;
	}
}

static inline void walk_health(struct walk *w, struct walk_memory *m, const struct wire_record *r)
{
	enum wire_error e = wire_health_open(&m->health, r);

	if (e) {
		w->errors[e]++;
		return;
	}
	while ((e = wire_health_next(&m->health, &m->line)) != WIRE_END) {
		w->calls++;
		if (e)
			w->errors[e]++;
		else
			w->ok++;
		for (unsigned i = 0; !e && i < m->line.n_info; i++)
			(void)walk_str(0, m->line.info[i].name);
	}
}

static inline void walk_host(struct walk *w, struct walk_memory *m, const struct wire_record *r)
{
	unsigned part, parts, bad;
	struct wire_head head;
	enum wire_error e = wire_host_read(r, &head, &m->host, &part, &parts, &bad);

	if (e) {
		w->errors[e]++;
		return;
	}
	w->ok += m->host.n_addresses;
	w->errors[WIRE_VALUE] += bad;
	(void)walk_str(walk_str(0, m->host.hostname), m->host.kernel);
}

/* A record of the standard; all that can be made of a sampled packet is. */
static inline void walk_standard(struct walk *w, const struct wire_record *r)
{
	const struct sflow_struct *s = sflow_record(r->in->kind, r->format);
	enum wire_error e = s ? print_sflow_check(s, r->body) : WIRE_OK;
	struct packet p;

	w->errors[e] += e != WIRE_OK;
	(void)packet_of_header(&p, r->body);
	assert(p.payload <= p.ip_bytes);
	(void)packet_of_ipv4(&p, r->body);
	(void)packet_of_ipv6(&p, r->body);
	assert(p.payload <= p.ip_bytes);
}

static inline void walk_datagram(struct walk *w, struct walk_memory *m, const void *p, size_t n)
{
	struct wire_datagram d;
	struct wire_record r;
	enum wire_error e = wire_open(&d, p, n, 0);

	memset(w, 0, offsetof(struct walk, row));
	w->n_rows = 0;
	if (e) {
		w->errors[e]++;
		return;
	}
	while ((e = wire_next(&d, &r)) != WIRE_END) {
		w->calls++;
		assert(w->calls <= n); /* it always ends: every call consumes something */
		if (e)
			w->errors[e]++;
		else if (r.ours && r.format == WIRE_FLOWS)
			walk_flows(w, m, &r, p);
		else if (r.ours && r.format == WIRE_LISTENERS)
			walk_listeners(w, m, &r);
		else if (r.ours && r.format == WIRE_HEALTH)
			walk_health(w, m, &r);
		else if (r.ours && r.format == WIRE_HOST)
			walk_host(w, m, &r);
		else if (r.in->kind != WIRE_KIND_OTHER && !r.enterprise)
			walk_standard(w, &r);
	}
}

static inline unsigned walk_errors(const struct walk *w)
{
	unsigned n = 0;

	for (unsigned e = WIRE_END + 1; e < WIRE_ERRORS; e++)
		n += w->errors[e];
	return n;
}

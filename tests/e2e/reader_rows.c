/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of every kind in the profile for other readers.
 *
 *     reader_rows FILE [SIZE [PAD]]   datagrams to FILE: length (four bytes, big-endian) and bytes, one after the other.
 *                                     The rows to standard output, a line of JSON each
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/interop.h"
#include "wire/put.h"

#define ROWS 60

static struct wire_build record;
static struct wire_interop interop;

struct row {
	char local[IP_TEXT], remote[IP_TEXT];
	struct flow_names names;
	struct wire_flow flow;
	struct flow_stats stats;
};

static const uint64_t many[] = {0, 1, 1500, UINT32_MAX - 1ull, UINT32_MAX, UINT32_MAX + 1ull, 20ull << 30, 77777};

static void make_names(struct row *r, unsigned i)
{
	static const char *const services[] = {"web", "api", "a service with a name that is longer than most names are",
					       "cache"};

	r->names =
		(struct flow_names){.service = str_from(services[i % 4]), .process = STR("worker"), .quality = i % 4};
	if (i % 3 == 1)
		r->names.container = STR("0123456789ab");
}

static void make_stats(struct flow_stats *s, unsigned i)
{
	*s = (struct flow_stats){.rows = 1 + i % 4,
				 .opened = i,
				 .tx_bytes = many[i % 8],
				 .rx_bytes = many[i / 8 % 8],
				 .retransmitted = i % 5,
				 .lost = i % 2,
				 .jitter_us = 20 * i,
				 .queue_us = 30 * i,
				 .cwnd_segs = 100 * i,
				 .rtt_samples = i};
	s->srtt[10 + i % 9] = i;
}

static void make(struct row *r, unsigned i)
{
	bool v6 = i % 3 == 2;

	snprintf(r->local, sizeof(r->local), v6 ? "2001:db8::%x" : "10.1.0.%u", i + 1);
	snprintf(r->remote, sizeof(r->remote), v6 ? "2001:db8:1::%x" : "10.2.%u.9", i + 1);
	make_names(r, i);
	r->flow = (struct wire_flow){.port = (uint16_t)(7000 + i),
				     .view = i % 5 == 4 ? FLOW_VIEW_UNKNOWN
					     : i % 2    ? FLOW_VIEW_SERVER
							: FLOW_VIEW_CLIENT,
				     .protocol = i % 7 == 6 ? 17 : 6,
				     .names = &r->names};
	if (ip_parse(r->local, &r->flow.local) || ip_parse(r->remote, &r->flow.remote))
		abort();
	if (r->flow.view == FLOW_VIEW_UNKNOWN)
		r->flow.other_port = (uint16_t)(50000 + i);
	for (; r->flow.view != FLOW_VIEW_UNKNOWN && r->flow.n_ports < i % 3; r->flow.n_ports++)
		r->flow.ports[r->flow.n_ports] = (uint16_t)(40000 + 10 * i + r->flow.n_ports);
	r->flow.ports_more = i % 11 == 10;
	make_stats(&r->stats, i);
}

static void tell(const struct row *r)
{
	const struct wire_flow *f = &r->flow;

	printf("{\"local\":\"%s\",\"remote\":\"%s\",\"view\":\"%s\",\"protocol\":%u,\"port\":%u,\"other_port\":%u,\"ports\":[",
	       r->local, r->remote, flow_view_name(f->view), f->protocol, f->port, f->other_port);
	for (unsigned i = 0; i < f->n_ports; i++)
		printf("%s%u", i ? "," : "", f->ports[i]);
	printf("],\"ports_more\":%u,\"rows\":%" PRIu64 ",\"tx\":%" PRIu64 ",\"rx\":%" PRIu64 "", f->ports_more,
	       r->stats.rows, r->stats.tx_bytes, r->stats.rx_bytes);
	printf(",\"retransmitted\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"samples\":%" PRIu64 "", r->stats.retransmitted,
	       r->stats.lost, r->stats.rtt_samples);
	printf(",\"jitter\":%" PRIu64 ",\"cwnd\":%" PRIu64 "}\n", r->stats.jitter_us, r->stats.cwnd_segs);
}

static void put(FILE *file, struct wire_sender *s, size_t pad)
{
	uint8_t bytes[WIRE_SIZE_MAX], length[4];
	size_t n = wire_interop_close(&interop, s, 60000, pad, bytes, sizeof(bytes));

	put_u32(length, (uint32_t)n);
	if (fwrite(length, 1, 4, file) != 4 || fwrite(bytes, 1, n, file) != n)
		abort();
}

static void put_row(FILE *file, struct wire_sender *s, const struct row *row, size_t pad)
{
	for (uint32_t part = 0; part < wire_interop_parts(&row->stats); part++) {
		int r = wire_interop_add(&interop, &row->flow, &row->stats, part);

		if (r == -ENOSPC) {
			put(file, s, pad);
			wire_interop_open(&interop, &record, &interop.head, &interop.opts);
			r = wire_interop_add(&interop, &row->flow, &row->stats, part);
		}
		if (r)
			abort();
	}
}

int main(int argc, char **argv)
{
	struct wire_head head = {.interval = 1700000010,
				 .interval_s = 10,
				 .spread_ms = 8000,
				 .boot = 7,
				 .net = STR("lab"),
				 .host = STR("h1")};
	struct wire_opts opts = {.size = argc > 2 ? (uint32_t)atoi(argv[2]) : 0};
	struct wire_sender s = {.sub_agent = 8, .pool = 1000, .drops = 3};
	FILE *file = argc > 1 ? fopen(argv[1], "wb") : NULL;
	size_t pad = argc > 3 ? (size_t)atoi(argv[3]) : 0;

	if (!file || ip_parse("192.0.2.7", &s.agent))
		return 2;
	wire_interop_open(&interop, &record, &head, &opts);
	for (unsigned i = 0; i < ROWS; i++) {
		struct row row;

		make(&row, i);
		tell(&row);
		put_row(file, &s, &row, pad);
	}
	put(file, &s, pad);
	return fclose(file) ? 1 : 0;
}

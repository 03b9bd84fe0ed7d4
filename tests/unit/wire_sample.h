/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams for the tests of wire/: one of each record, with values that can be told apart. */
#pragma once

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "wire/ack.h"
#include "wire/flows.h"
#include "wire/health.h"
#include "wire/host.h"
#include "wire/listeners.h"

#define SAMPLE_INTERVAL 1700000010u

struct sample {
	uint8_t p[WIRE_SIZE_MAX];
	size_t n;
};

static const struct wire_head sample_head = {
	.interval = SAMPLE_INTERVAL,
	.interval_s = 10,
	.spread_ms = 8000,
	.boot = 0x1122334455667788,
	.net = {"lab", 3},
	.host = {"0123456789abcdef0123456789abcdef", 32},
};

static inline struct ip sample_ip(const char *text)
{
	struct ip ip;
	int r = ip_parse(text, &ip);

	assert(!r);
	return ip;
}

static inline struct wire_sender sample_sender(void)
{
	return (struct wire_sender){
		.agent = sample_ip("192.0.2.7"), .sub_agent = 8, .sequence = 41, .pool = 1000, .drops = 3};
}

/* Row i: every field or some, by i. */
static inline struct flow_stats sample_stats(unsigned i)
{
	struct flow_stats s = {.rows = 1};

	for (unsigned f = 1; f < FLOW_FIELDS; f++) {
		if (i % 3 && (f + i) % 4 == 0)
			continue;
		if (flow_fields[f].width == FLOW_HIST)
			for (unsigned b = i % 5; b < FLOW_BUCKETS - i % 7; b += 1 + i % 3)
				flow_stats_hist(&s, f)[b] = 1 + b * f + i;
		else
			*flow_stats_u64(&s, f) = 1000ull * f + i + (flow_fields[f].width == FLOW_U64 ? 5ull << 32 : 0);
	}
	return s;
}

static inline struct flow_names sample_names(unsigned i)
{
	static const char *const services[] = {"web", "api", "db \xc3\xa4", "cache"};

	return (struct flow_names){
		.service = str_from(services[i % 4]),
		.process = str_from(i % 2 ? "nginx" : "python3"),
		.unit = str_from(services[i % 4]),
		.container = str_from(i % 3 ? "0123456789ab" : ""),
		.pod = str_from(""),
		.via = str_from(i % 4 == 3 ? "10.96.0.1" : ""),
		.quality = i % 4,
	};
}

/* names must live as long as the row. */
static inline struct wire_flow sample_flow(unsigned i, bool v6, const struct flow_names *names)
{
	struct wire_flow f = {
		.local = sample_ip(v6 ? "2001:db8::1" : "10.0.0.1"),
		.remote = sample_ip(v6 ? "2001:db8::2" : "10.0.0.2"),
		.port = (uint16_t)(8000 + i),
		.other_port = i % 4 == 3 ? 4242 : 0,
		.view = i % 4,
		.protocol = 6,
		.flags = i % 4 == 3 ? FLOW_NO_ROLE | FLOW_JOINED : 0,
		.scope = i % 3 ? 0 : 4026531840u + i,
		.n_ports = i % 17,
		.ports_more = i,
		.names = names,
	};

	f.remote.b[15] = (uint8_t)i;
	for (unsigned p = 0; p < f.n_ports; p++)
		f.ports[p] = (uint16_t)(40000 + 100 * i + p);
	return f;
}

/* Rows 0, 1, 2, ... until `size` is full; returns how many. */
static inline unsigned sample_flows(struct sample *s, bool v6, uint32_t size)
{
	struct wire_build *b = malloc(sizeof(*b));
	struct wire_sender sender = sample_sender();
	struct wire_opts opts = {.size = size};
	unsigned i;

	wire_build_open(b, WIRE_FLOWS, &sample_head, &opts);
	for (i = 0;; i++) {
		struct flow_names names = sample_names(i / 4);
		struct flow_stats stats = sample_stats(i);
		struct wire_flow row = sample_flow(i, v6, &names);

		if (wire_flows_add(b, &row, &stats) < 0)
			break;
	}
	s->n = wire_build_close(b, &sender, 12345, 0, s->p, sizeof(s->p));
	free(b);
	return i;
}

static inline struct flow_host sample_host_of(unsigned n_addresses)
{
	struct flow_host h = {
		.hostname = STR("box1"),
		.kernel = STR("6.1.0-18-amd64"),
		.mode = STR("bpf"),
		.version = STR("0.1.0"),
		.n_addresses = (uint16_t)n_addresses,
	};

	for (unsigned i = 0; i < n_addresses; i++) {
		struct flow_address *a = &h.addresses[i];

		a->ip = sample_ip(i % 2 ? "2001:db8::" : "10.1.0.0");
		a->ip.b[15] = (uint8_t)i;
		a->bits = i % 2 ? 64 : 96 + 24;
		a->host_only = i % 3 == 0;
		a->netns = 4026531840u + i;
	}
	return h;
}

static inline void sample_host(struct sample *s)
{
	struct wire_build *b = malloc(sizeof(*b));
	struct wire_sender sender = sample_sender();
	struct flow_host h = sample_host_of(5);

	s->n = wire_host_put(b, &h, 0, &sample_head, NULL, &sender, 1, s->p, sizeof(s->p));
	free(b);
}

static inline struct flow_listener sample_listener(unsigned i)
{
	return (struct flow_listener){
		.netns = 4026531840u + i,
		.addr = sample_ip(i % 2 ? "::" : "0.0.0.0"),
		.port = (uint16_t)(80 + i),
		.protocol = 6,
		.alive = i % 3 != 0,
		.since = SAMPLE_INTERVAL - i,
		.drops = i ? 1ull << 33 : 0,
		.queue = i,
		.queue_max = 4096,
		.names = sample_names(i),
	};
}

static inline void sample_listeners(struct sample *s, unsigned n)
{
	struct wire_build *b = malloc(sizeof(*b));
	struct wire_sender sender = sample_sender();

	wire_build_open(b, WIRE_LISTENERS, &sample_head, NULL);
	for (unsigned i = 0; i < n; i++) {
		struct flow_listener l = sample_listener(i);
		int r = wire_listeners_add(b, &l);

		assert(r == 1);
	}
	s->n = wire_build_close(b, &sender, 1, 0, s->p, sizeof(s->p));
	free(b);
}

static inline struct flow_ledger sample_line(unsigned i)
{
	struct flow_ledger l = {
		.interval = SAMPLE_INTERVAL - 10 * i,
		.interval_s = 10,
		.rows_in = (7ull << 32) + i,
		.rows_out = 7ull << 32,
		.n_lost = 2,
		.n_info = 3,
	};

	l.lost[0] = (struct flow_count){STR("rows_full"), i};
	l.lost[1] = (struct flow_count){STR("send_error"), 0};
	l.info[0] = (struct flow_count){STR("opened_client"), 1ull << 40};
	l.info[1] = (struct flow_count){STR("cpu_busy_pm"), 999};
	l.info[2] = (struct flow_count){STR("active_opens"), i};
	return l;
}

static inline void sample_health(struct sample *s, unsigned n)
{
	struct wire_build *b = malloc(sizeof(*b));
	struct wire_sender sender = sample_sender();

	wire_build_open(b, WIRE_HEALTH, &sample_head, NULL);
	for (unsigned i = 0; i < n; i++) {
		struct flow_ledger l = sample_line(i);
		int r = wire_health_add(b, &l);

		assert(r == 1);
	}
	s->n = wire_build_close(b, &sender, 1, 0, s->p, sizeof(s->p));
	free(b);
}

static const struct wire_ack sample_ack_value = {
	.boot = 0x1122334455667788,
	.sub_agent = 8,
	.interval = SAMPLE_INTERVAL,
	.interval_s = 10,
	.datagrams = 12,
	.rows = 5ull << 32,
	.flags = WIRE_ACK_STOPPING,
};

enum { SAMPLES = 6 };

/* One of each kind. */
static inline void sample_make(struct sample *s, unsigned kind)
{
	switch (kind) {
	case 0:
		sample_flows(s, false, 4000);
		break;
	case 1:
		sample_flows(s, true, 4000);
		break;
	case 2:
		sample_host(s);
		break;
	case 3:
		sample_listeners(s, 6);
		break;
	case 4:
		sample_health(s, 5);
		break;
	default:
		wire_ack_put(&sample_ack_value, s->p);
		s->n = WIRE_ACK_SIZE;
	}
}

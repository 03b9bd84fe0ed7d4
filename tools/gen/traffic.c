/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/gen/traffic.h"

#include <math.h>

#include "tools/gen/dice.h"

#define MSS 1448
#define LIFE_S 4 /* of a connection, on average */

/* What happened between the two ends, before either says it in its own words. */
struct happened {
	uint64_t opened, refused, timeouts, resets;
	uint64_t bytes[2]; /* c2s, s2c */
	uint64_t open_ms;
	uint64_t rtt_us;
	enum fleet_sign sign;
};

static void traffic_happened(const struct fleet_edge *e, uint64_t key, uint32_t index, uint32_t seconds,
			     struct happened *h)
{
	double bytes = e->bytes_s / e->n * seconds * (0.7 + 0.6 * dice_unit(key, 4ull * index));
	double conns = e->conns_s / e->n * seconds * (0.7 + 0.6 * dice_unit(key, 4ull * index + 1));

	*h = (struct happened){.sign = e->sign};
	h->opened = (uint64_t)(conns +
			       dice_unit(key, 4ull * index + 2)); /* rounded by chance: rare ones come now and then */
	h->bytes[0] = (uint64_t)(bytes * e->c2s_share) + 100;
	h->bytes[1] = (uint64_t)(bytes * (1 - e->c2s_share)) + 200;
	h->open_ms = (uint64_t)(1000.0 * seconds * (1 + e->conns_s / e->n * LIFE_S));
	h->rtt_us = (uint64_t)(e->rtt_us * (0.9 + 0.2 * dice_unit(key, 4ull * index + 3))) + 20;
	if (e->sign == FLEET_REFUSED)
		h->refused = 3 + h->opened * 2;
	else if (e->sign == FLEET_TIMEOUT)
		h->timeouts = 2 + h->opened;
	else if (e->sign == FLEET_RESETS)
		h->resets = (h->opened + 1) / 2;
}

/* What is told by connection. */
static void traffic_conns(const struct happened *h, bool server, struct flow_stats *s)
{
	s->rows = 1;
	s->opened = h->opened;
	s->closed = h->opened;
	s->open_ms = h->open_ms;
	if (server) {
		s->reset_sent = h->resets;
	} else {
		s->attempts = h->opened + h->refused + h->timeouts;
		s->failed_refused = h->refused;
		s->failed_timeout = h->timeouts;
		s->reset_received = h->resets;
	}
	s->handshake[flow_bucket(h->rtt_us + h->rtt_us / 5)] += (uint32_t)(h->opened - h->opened / 20);
	s->handshake[flow_bucket(h->rtt_us * 4)] += (uint32_t)(h->opened / 20);
	s->turn_samples = 10;
	s->turn_self = server ? 7 : 2;
	s->turn_peer = 10 - s->turn_self;
}

/* What a sender knows of its direction. */
static void traffic_sends(const struct happened *h, bool server, uint32_t seconds, struct flow_stats *s)
{
	uint64_t n = 4 + (h->opened < 60 ? h->opened : 60), busy_most = 1000000ull * seconds;

	s->tx_bytes = h->bytes[server];
	s->rx_bytes = h->bytes[!server];
	s->tx_segs = s->tx_bytes / MSS + 1;
	s->rx_segs = s->rx_bytes / MSS + 1;
	s->retransmitted = h->sign == FLEET_RETRANSMITS ? s->tx_segs / 20 + 1 : s->tx_segs / 20000;
	s->lost = s->retransmitted;
	s->tx_segs += s->retransmitted;
	s->dsack = s->retransmitted / 50;
	s->srtt[flow_bucket(h->rtt_us)] += (uint32_t)(n - n / 4 - n / 16);
	s->srtt[flow_bucket(h->rtt_us * 3 / 2)] += (uint32_t)(n / 4);
	s->srtt[flow_bucket(h->rtt_us * (h->sign == FLEET_RETRANSMITS ? 12 : 3))] += (uint32_t)(n / 16);
	s->rtt_samples = n;
	s->jitter_us = n * h->rtt_us / 10;
	s->queue_us = n * h->rtt_us / 5;
	s->cwnd_segs = n * 24;
	s->busy_us = s->tx_bytes / 50 < busy_most / 2 ? s->tx_bytes / 50 + 1000 : busy_most / 2;
	if (h->sign == FLEET_SLOW_READER && server) { /* the client reads slowly */
		s->busy_us = busy_most * 9 / 10;
		s->rwnd_limited_us = s->busy_us * 7 / 10;
	} else {
		s->rwnd_limited_us = s->busy_us / 500;
	}
}

static uint64_t traffic_key(const struct fleet *f, const struct fleet_row *row)
{
	return dice(f->conf.seed ^ 0x7ea77c, row->pair);
}

void traffic_row(const struct fleet *f, const struct fleet_row *row, uint32_t index, uint32_t seconds,
		 struct traffic_item *ret)
{
	const struct fleet_edge *e = &f->edges[f->pairs[row->pair].edge];
	struct happened h;

	traffic_happened(e, traffic_key(f, row), index, seconds, &h);
	*ret = (struct traffic_item){.ports_more = (uint32_t)h.opened};
	traffic_conns(&h, row->server, &ret->stats);
	traffic_sends(&h, row->server, seconds, &ret->stats);
}

/* --- events */

/* P(ports >= n) = n^-PORTS_TAIL up to TRAFFIC_PORTS has the mean 3.3; events of a port are geometric with the mean 8.6 / 3.3. */
#define PORTS_TAIL 1.3001417
#define EVENTS_MEAN (12 / 1.4 / 3.3)
#define GOLDEN 0.6180339887498949
#define EPHEMERAL 32768u
#define EPHEMERALS 28232u /* net.ipv4.ip_local_port_range's default */
#define PORT_STEP 7919u   /* no divisor of that: no port twice */

/* Evenly spread over the pairs, so that a small fleet has the published mean too. */
uint32_t traffic_ports(const struct fleet *f, const struct fleet_row *row, uint32_t index)
{
	double u = row->pair * GOLDEN + dice_unit(f->conf.seed ^ 0x90475, index), n;

	u -= floor(u);
	n = u > 0 ? pow(u, -1 / PORTS_TAIL) : TRAFFIC_PORTS;
	return n < TRAFFIC_PORTS ? (uint32_t)n : TRAFFIC_PORTS;
}

static uint64_t traffic_port_key(const struct fleet *f, const struct fleet_row *row, uint32_t index, uint32_t port)
{
	return dice(dice(traffic_key(f, row), index), port);
}

uint32_t traffic_events(const struct fleet *f, const struct fleet_row *row, uint32_t index, uint32_t port)
{
	double u = dice_unit(traffic_port_key(f, row, index, port), 0);
	double n = 1 + log(u > 0 ? u : 1e-9) / log(1 - 1 / EVENTS_MEAN);

	return n < 1000 ? (uint32_t)n : 1000;
}

static uint16_t traffic_port(const struct fleet *f, const struct fleet_row *row, uint32_t index, uint32_t port)
{
	uint64_t first = dice(traffic_key(f, row) + 1, index);

	return (uint16_t)(EPHEMERAL + (first + (uint64_t)port * PORT_STEP) % EPHEMERALS);
}

/* One sample of one connection: what both ends saw is the same, each says it of its own side. */
void traffic_event(const struct fleet *f, const struct fleet_row *row, uint32_t index, uint32_t port, uint32_t event,
		   struct traffic_item *ret)
{
	const struct fleet_edge *e = &f->edges[f->pairs[row->pair].edge];
	uint64_t key = dice(traffic_port_key(f, row, index, port), event + 1);
	uint32_t c2s = 100 + dice_skewed(key, 0, 20000), s2c = 200 + dice_skewed(key, 1, 200000);
	struct flow_stats *s = &ret->stats;
	uint64_t rtt_us = (uint64_t)(e->rtt_us * (0.8 + 0.4 * dice_unit(key, 2))) + 20;

	*ret = (struct traffic_item){.n_ports = 1, .ports = {traffic_port(f, row, index, port)}};
	s->rows = 1;
	s->opened = event == 0;
	s->attempts = event == 0 && !row->server;
	s->closed = event == 0;
	s->open_ms = 1 + dice_skewed(key, 3, 4000);
	s->tx_bytes = row->server ? s2c : c2s;
	s->rx_bytes = row->server ? c2s : s2c;
	s->tx_segs = s->tx_bytes / MSS + 1;
	s->rx_segs = s->rx_bytes / MSS + 1;
	s->retransmitted = dice_unit(key, 4) < 0.01;
	s->srtt[flow_bucket(rtt_us)] = 1;
	s->jitter_us = rtt_us / 10;
	s->cwnd_segs = 10 + dice_skewed(key, 5, 90);
	s->rtt_samples = 1;
	s->busy_us = s->tx_bytes / 50 + 1;
	if (event == 0)
		s->handshake[flow_bucket(rtt_us + rtt_us / 5)] = 1;
}

uint32_t traffic_packet(const struct traffic_item *item, bool v6)
{
	return (v6 ? 60 : 40) + (uint32_t)(item->stats.tx_bytes < MSS ? item->stats.tx_bytes : MSS);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/gen/traffic.h"

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

void traffic_row(const struct fleet *f, const struct fleet_row *row, uint32_t index, uint32_t seconds,
		 struct flow_stats *ret)
{
	const struct fleet_edge *e = &f->edges[f->pairs[row->pair].edge];
	struct happened h;

	traffic_happened(e, dice(f->conf.seed ^ 0x7ea77c, row->pair), index, seconds, &h);
	*ret = (struct flow_stats){0};
	traffic_conns(&h, row->server, ret);
	traffic_sends(&h, row->server, seconds, ret);
}

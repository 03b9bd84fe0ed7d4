/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flow samples as switches and other agents send them, nothing of ours inside: a packet each, its addresses and length (0:3, 0:4),
 * its socket (0:2100, 0:2101) and what TCP knew (0:2209). With IPv4 8 of them make 1340 bytes. Source: sFlow v5 and the host and
 * TCP structures of sflow.org.
 */
#include <errno.h>

#include "tools/gen/pack.h"
#include "wire/put.h"

enum {
	SAMPLE = 40, /* format, length, 8 words */
	V4_BYTES = SAMPLE + 40 + 28 + 56,
	V6_BYTES = SAMPLE + 64 + 52 + 56,
	HEADER_V6 = 40,
	SAMPLES = 8,
	INTERFACE = 2,
	ACK_PUSH = 0x18,
};

static void standard_open(struct pack *p)
{
	p->n_sample = p->n_samples = 0;
}

static uint8_t *put_ip(uint8_t *b, const struct ip *ip, bool v6)
{
	return put_bytes(b, ip->b + (v6 ? 0 : 12), v6 ? 16 : 4);
}

/* The packet went from local to remote. */
static uint8_t *put_packet(uint8_t *b, const struct wire_flow *f, uint16_t local_port, uint16_t remote_port, bool v6,
			   uint32_t length)
{
	b = put_u32(put_u32(b, v6 ? 4 : 3), v6 ? 56 : 32);
	b = put_u32(put_u32(b, length), f->protocol);
	b = put_ip(put_ip(b, &f->local, v6), &f->remote, v6);
	b = put_u32(put_u32(b, local_port), remote_port);
	b = put_u32(put_u32(b, ACK_PUSH), 0);
	b = put_u32(put_u32(b, v6 ? 2101 : 2100), v6 ? 44 : 20);
	b = put_ip(put_ip(put_u32(b, f->protocol), &f->local, v6), &f->remote, v6);
	return put_u32(put_u32(b, local_port), remote_port);
}

static uint32_t standard_rtt_us(const struct traffic_item *item)
{
	return item->stats.rtt_samples ? (uint32_t)(item->stats.jitter_us * 10 / item->stats.rtt_samples) : 0;
}

static uint8_t *put_tcp(uint8_t *b, const struct traffic_item *item)
{
	uint32_t rtt_us = standard_rtt_us(item);
	const uint32_t words[] = {2,           1448,
				  1448,        0,
				  0,           (uint32_t)item->stats.retransmitted,
				  1500,        rtt_us,
				  rtt_us / 10, (uint32_t)item->stats.cwnd_segs,
				  3,           rtt_us};

	b = put_u32(put_u32(b, 2209), 48);
	for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++)
		b = put_u32(b, words[i]);
	return b;
}

uint16_t standard_port(const struct traffic_item *item)
{
	return item->n_ports ? item->ports[0] : 40000;
}

static int standard_add(struct pack *p, const struct pack_row *row)
{
	bool v6 = row->row->v6, server = row->row->server;
	uint32_t bytes = v6 ? V6_BYTES : V4_BYTES;
	uint16_t ephemeral = standard_port(row->item), port = row->flow.port;
	uint8_t *b = p->sample + p->n_sample;

	if (p->n_samples == SAMPLES || HEADER_V6 + p->n_sample + bytes > p->opts.size)
		return -ENOSPC;
	b = put_u32(put_u32(b, 1), bytes - 8);
	b = put_u32(put_u32(b, 0), INTERFACE);
	b = put_u32(put_u32(put_u32(b, p->opts.rate), 0), 0);
	b = put_u32(put_u32(b, server ? INTERFACE : 0x3fffffff), server ? 0x3fffffff : INTERFACE);
	b = put_u32(b, 3);
	b = put_packet(b, &row->flow, server ? port : ephemeral, server ? ephemeral : port, v6,
		       traffic_packet(row->item, v6));
	b = put_tcp(b, row->item);
	p->n_sample += bytes;
	p->n_samples++;
	return 0;
}

static void standard_close(struct pack *p)
{
	const struct ip *agent = &p->fleet->hosts[p->host].ip;
	bool v6 = !ip_is_v4(agent);
	uint8_t *begin = pack_room(p, HEADER_V6 + p->n_sample), *b = begin;
	uint32_t at;

	if (!begin)
		return;
	b = put_ip(put_u32(put_u32(b, 5), v6 ? 2 : 1), agent, v6);
	b = put_u32(put_u32(put_u32(b, 0), 0), 0);
	b = put_u32(b, p->n_samples);
	at = (uint32_t)(b - begin);
	b = put_bytes(b, p->sample, p->n_sample);
	for (uint32_t end = at + p->n_sample; at < end; at += 8 + cursor_load32(begin + at + 4))
		pack_spot(p, &(struct pack_spot){.sample = (uint16_t)(at + 8), .rows = p->opts.rate});
	pack_done(p, (size_t)(b - begin));
}

/* A packet sent by the end the agent is on, scaled by the rate; the round trip is a reading and is not. */
static void standard_read(const struct pack *p, const struct fleet_row *row, struct traffic_item *item)
{
	uint32_t rtt_us = standard_rtt_us(item), cwnd = (uint32_t)item->stats.cwnd_segs;
	struct flow_stats *s = &item->stats;
	uint64_t payload = traffic_packet(item, row->v6) - (row->v6 ? 60 : 40);

	*s = (struct flow_stats){.rows = 1, .tx_bytes = payload * p->opts.rate, .tx_segs = payload ? p->opts.rate : 0};
	if (!rtt_us)
		return;
	s->srtt[flow_bucket(rtt_us)] = 1;
	s->jitter_us = rtt_us / 10;
	s->cwnd_segs = cwnd;
	s->rtt_samples = 1;
}

const struct pack_profile pack_standard = {"standard",   false,          standard_open,
					   standard_add, standard_close, standard_read};

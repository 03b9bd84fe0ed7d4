/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a sample to a row.
 *
 *     flow sample (0:1, 0:3)    one packet in `sampling_rate`          -> one row, view network, flags sampled, no_role
 *       0:1 sampled header      Ethernet, VLANs, IP, TCP ...            who, ports, payload: taken first
 *       0:3, 0:4                the same as fields                      taken when there is no header, or none of IP
 *       2100, 2101              the socket it was sampled at            taken when there is neither; says which end is here
 *       0:2                     its length, for want of a better
 *       2209                    that socket's tcp_info                  one sample of round-trip time
 *     counter sample (0:2, 0:4), discarded packet (0:5)                 counted; they carry no traffic
 *
 * The row's sums:
 *
 *     rows    1. What the ledger balances is samples, not packets.
 *     bytes   payload x rate. payload is what is behind the TCP, UDP, SCTP or ICMP header (of other protocols, behind IP's), so
 *             that it can be compared with what hosts count. From the header all lengths are exact. 0:3 and 0:4 give the length of the
 *             whole packet: the least its headers can be is taken off, so TCP's options count as payload, 12 bytes a segment mostly.
 *             0:2 gives the frame's: 14 bytes of Ethernet less besides.
 *     segs    rate; 0 for a TCP segment without payload: hosts do not count those either.
 *     rtt     srtt, jitter, queue, cwnd of 2209 as one sample of the end the agent is on, not scaled: it is a reading, not
 *             a share of traffic. They stay in the messages and the archive; a stored edge has host-only fields in the hosts' views
 *             alone. 2209's retransmits are the socket's whole life's and lost, unacked are levels: no sums, not taken.
 *
 * Interval: the one in which the datagram came (its arrival in the kernel), for samples carry no time; sFlow agents send within
 * a second. Role: nobody saw who connected, so both ports are in the key, bounded by the fold table's max_roleless, and
 * the graph decides by the listeners. Ends: the one the agent is on comes first when 2100 or 2209 tell (it measured), else the
 * smaller (address, port), so that both directions are one row. Net: the collector's first, for sFlow names none.
 *
 * Invariants
 *   1  flow samples read = rows + samples_no_ip + samples_broken + samples_unknown. Each of these is a counter.
 *   2  A datagram with any record of ours in it is an agent's: what stands beside it is for other collectors and is no row.
 *   3  Interface numbers are not looked at: 0x3fffffff, the device itself, is traffic like any other.
 *   4  rate 0 is taken as 1 and counted.
 *
 * Two agents on one path both sample what passes: the view adds up what its observers saw. Sample each path once (ingress only),
 * or read it as share and trend. Drops: sources.h.
 */
#include "collector/network.h"

#include <assert.h>

#include "wire/put.h"
#include "wire/sflow.h"

enum {
	HEADER = 1,
	ETHERNET = 2,
	IPV4 = 3,
	IPV6 = 4,
	SOCKET4 = 2100,
	SOCKET6 = 2101,
	TCP_INFO = 2209,
	ETHERNET_BYTES = 14,
	TCP = 6,
};
enum { RECEIVED = 1, SENT = 2 }; /* 2209's direction */

static_assert(FLOW_F_rows < FLOW_F_tx_bytes && FLOW_F_tx_bytes < FLOW_F_rx_bytes && FLOW_F_rx_bytes < FLOW_F_tx_segs &&
		      FLOW_F_tx_segs < FLOW_F_rx_segs && FLOW_F_rx_segs < FLOW_F_srtt &&
		      FLOW_F_srtt < FLOW_F_jitter_us && FLOW_F_jitter_us < FLOW_F_queue_us &&
		      FLOW_F_queue_us < FLOW_F_cwnd_segs && FLOW_F_cwnd_segs < FLOW_F_rtt_samples,
	      "a body's values stand in the table's order");

void network_begin(struct network *n, const struct network_from *from)
{
	static const struct flow_names nobody = {.quality = FLOW_OWNER_UNKNOWN};
	uint32_t net;

	assert(!n->named || n->fold == from->fold);
	n->fold = from->fold;
	n->counters = from->counters;
	n->sources = from->sources;
	n->lines = from->lines;
	n->at_s = from->at_s;
	n->source = (struct slots_key){.agent = from->agent, .sub_agent = from->sub_agent, .foreign = 1};
	n->source_slot = from->source_slot;
	n->source_line = SLOTS_NONE;
	n->interval = from->interval;
	if (!n->named)
		n->shed = fold_string(n->fold, from->net, &net) < 0 ||
			  fold_names(n->fold, net, 0, &nobody, &n->names) < 0;
	n->named = true;
	n->open = false;
	n->rows = 0;
}

void network_flush(struct network *n)
{
	if (n->n_waiting)
		fold_flush(n->fold);
	n->n_waiting = 0;
	n->named = false;
}

/* --- the records of a sample */

static bool read_socket(struct network *n, struct str body, unsigned ip_bytes)
{
	const uint8_t *p = (const uint8_t *)body.p;

	if (body.n < 4 + 2 * ip_bytes + 8)
		return false;
	n->socket.known = true;
	n->socket.protocol = (uint8_t)cursor_load32(p);
	if (ip_bytes == 4) {
		n->socket.local = ip_from_v4(p + 4);
		n->socket.remote = ip_from_v4(p + 8);
	} else {
		memcpy(n->socket.local.b, p + 4, 16);
		memcpy(n->socket.remote.b, p + 20, 16);
	}
	p += 4 + 2 * (size_t)ip_bytes;
	n->socket.local_port = (uint16_t)cursor_load32(p);
	n->socket.remote_port = (uint16_t)cursor_load32(p + 4);
	return true;
}

static bool read_tcp_info(struct network *n, struct str body)
{
	const uint8_t *p = (const uint8_t *)body.p;

	if (body.n < 12 * 4)
		return false;
	n->tcp.known = true;
	n->tcp.direction = cursor_load32(p);
	n->tcp.rtt_us = cursor_load32(p + 7 * 4);
	n->tcp.rtt_var_us = cursor_load32(p + 8 * 4);
	n->tcp.cwnd = cursor_load32(p + 9 * 4);
	n->tcp.min_rtt_us = cursor_load32(p + 11 * 4);
	return true;
}

/* A record that names the packet: of those that can be used the one of the highest rank is, in whatever order they stand. */
static void take_packet(struct network *n, unsigned rank, enum packet_error (*read)(struct packet *, struct str),
			struct str body)
{
	struct packet better;

	if (!n->packet_rank || n->packet_error) {
		n->packet_rank = rank;
		n->packet_error = read(&n->packet, body);
	} else if (rank > n->packet_rank && !read(&better, body)) {
		n->packet_rank = rank;
		n->packet = better;
	}
}

static enum wire_error take_record(struct network *n, const struct wire_record *r)
{
	bool whole = true;

	if (r->enterprise) {
		counters_add(&n->counters->foreign, 1);
		return WIRE_OK;
	}
	switch (r->format) {
	case HEADER:
		take_packet(n, 2, packet_of_header, r->body);
		break;
	case IPV4:
		take_packet(n, 1, packet_of_ipv4, r->body);
		break;
	case IPV6:
		take_packet(n, 1, packet_of_ipv6, r->body);
		break;
	case ETHERNET:
		whole = r->body.n >= 4;
		n->frame_bytes = whole ? cursor_load32((const uint8_t *)r->body.p) : 0;
		break;
	case SOCKET4:
		whole = read_socket(n, r->body, 4);
		break;
	case SOCKET6:
		whole = read_socket(n, r->body, 16);
		break;
	case TCP_INFO:
		whole = read_tcp_info(n, r->body);
		break;
	default:
		counters_add(&n->counters->foreign, !sflow_record(WIRE_KIND_FLOW, r->format));
	}
	return whole ? WIRE_OK : WIRE_SHORT;
}

/* --- the row */

/* The socket's own, where nothing shows the packet. */
static void packet_of_socket(struct network *n)
{
	struct packet *p = &n->packet;
	bool received = n->tcp.known && n->tcp.direction == RECEIVED;

	*p = (struct packet){.src = received ? n->socket.remote : n->socket.local,
			     .dst = received ? n->socket.local : n->socket.remote,
			     .src_port = received ? n->socket.remote_port : n->socket.local_port,
			     .dst_port = received ? n->socket.local_port : n->socket.remote_port,
			     .protocol = n->socket.protocol,
			     .has_ports = true};
	p->ip_bytes = n->frame_bytes > ETHERNET_BYTES ? n->frame_bytes - ETHERNET_BYTES : 0;
	p->payload = packet_least_payload(p);
	n->packet_error = PACKET_OK;
	n->packet_rank = 3;
}

static bool at_socket(const struct network *n, const struct ip *ip, uint16_t port)
{
	return n->socket.known && ip_eq(ip, &n->socket.local) && (!n->packet.has_ports || port == n->socket.local_port);
}

/* Is the sender the end the agent is on? *ret_known: something said so. */
static bool sender_is_local(const struct network *n, bool *ret_known)
{
	const struct packet *p = &n->packet;

	*ret_known = true;
	if (n->tcp.known && (n->tcp.direction == SENT || n->tcp.direction == RECEIVED))
		return n->tcp.direction == SENT;
	if (at_socket(n, &p->src, p->src_port))
		return true;
	if (at_socket(n, &p->dst, p->dst_port))
		return false;
	*ret_known = false;
	return false;
}

static bool sender_first(const struct packet *p)
{
	int order = memcmp(&p->src, &p->dst, sizeof(p->src));

	return order ? order < 0 : p->src_port <= p->dst_port;
}

/* One sample of the round trip of the row's first end. */
static uint8_t *put_rtt(const struct network *n, uint8_t *p, uint64_t *present)
{
	uint32_t queue = n->tcp.rtt_us > n->tcp.min_rtt_us ? n->tcp.rtt_us - n->tcp.min_rtt_us : 0;

	*present |= 1ull << FLOW_F_srtt | 1ull << FLOW_F_jitter_us | 1ull << FLOW_F_queue_us |
		    1ull << FLOW_F_cwnd_segs | 1ull << FLOW_F_rtt_samples;
	p = put_u32(put_u32(p, flow_bucket(n->tcp.rtt_us) << 16 | 1), 1);
	return put_u32(put_u64(put_u64(put_u64(p, n->tcp.rtt_var_us), queue), n->tcp.cwnd), 1);
}

static void add_row(struct network *n, uint32_t rate)
{
	const struct packet *k = &n->packet;
	struct fold_item *it;
	uint8_t *body = n->body[n->n_waiting], *p = body;
	bool known, sent = sender_is_local(n, &known), first = known ? sent : sender_first(k), whole;
	uint32_t segs = k->protocol == TCP && !k->payload ? 0 : rate;
	uint64_t bytes = (uint64_t)k->payload * rate, present = 1ull << FLOW_F_rows;

	p = put_u32(p, 1);
	if (bytes) {
		present |= 1ull << (first ? FLOW_F_tx_bytes : FLOW_F_rx_bytes);
		p = put_u64(p, bytes);
	}
	if (segs) {
		present |= 1ull << (first ? FLOW_F_tx_segs : FLOW_F_rx_segs);
		p = put_u32(p, segs);
	}
	if (known && n->tcp.known && n->tcp.rtt_us)
		p = put_rtt(n, p, &present);
	assert(p <= body + NETWORK_BODY);
	whole = fold_values(n->fold, present, (struct str){(char *)body, (size_t)(p - body)});
	assert(whole);
	it = fold_item(n->fold);
	fold_item_ends(it, first ? &k->src : &k->dst, first ? &k->dst : &k->src);
	it->key.port = first ? k->src_port : k->dst_port;
	it->key.other_port = first ? k->dst_port : k->src_port;
	it->key.protocol = k->protocol;
	it->key.view = FLOW_VIEW_NETWORK;
	it->key.interval = n->interval;
	it->key.names = n->names;
	it->flags = FLOW_SAMPLED | FLOW_NO_ROLE;
	it->n_ports = 0;
	it->ports_more = 0;
	fold_push(n->fold);
	if (++n->n_waiting == NETWORK_BATCH)
		network_flush(n);
}

/* All of the sample's records are read. */
static void finish(struct network *n, const struct wire_sample *s)
{
	n->open = false;
	if ((!n->packet_rank || n->packet_error) && n->socket.known)
		packet_of_socket(n);
	if (!n->packet_rank) {
		counters_add(&n->counters->samples_unknown, 1);
		return;
	}
	if (n->packet_error) {
		counters_add(n->packet_error == PACKET_OTHER ? &n->counters->samples_no_ip
							     : &n->counters->samples_broken,
			     1);
		return;
	}
	counters_add(&n->counters->rows, 1);
	counters_add(&n->counters->sampled_rows, 1);
	counters_add(&n->counters->sampled_rate_0, !s->sampling_rate);
	n->rows++;
	if (n->shed)
		fold_shed(n->fold, n->interval, FOLD_LOST_NAMES, 1);
	else
		add_row(n, s->sampling_rate ? s->sampling_rate : 1);
}

/* --- samples */

static void begin_sample(struct network *n, const struct wire_sample *s)
{
	uint64_t source = (uint64_t)s->source_class << 32 | s->source_index;

	n->open = true;
	n->packet_rank = 0;
	n->packet_error = PACKET_OK;
	n->frame_bytes = 0;
	n->socket.known = n->tcp.known = false;
	if (n->source_line == SLOTS_NONE || n->source.boot != source) {
		n->source.boot = source;
		n->source_line = sources_take(n->sources, n->lines, &n->source, n->at_s, n->source_slot);
	}
	if (n->source_line == SLOTS_NONE)
		counters_add(&n->counters->sources_full, 1);
	else
		sources_sample(n->lines, n->source_line, s->sequence, s->drops);
}

/* The next sample. WIRE_OK: a flow sample was begun, or another passed by. */
static enum wire_error next_sample(struct network *n, struct wire_datagram *d)
{
	const struct wire_sample *s;
	enum wire_error e = wire_sample_next(d, &s);

	if (e)
		return e;
	switch (s->kind) {
	case WIRE_KIND_FLOW:
		begin_sample(n, s);
		break;
	case WIRE_KIND_COUNTERS:
		counters_add(&n->counters->counter_samples, 1);
		break;
	case WIRE_KIND_DISCARD:
		counters_add(&n->counters->discarded_packets, 1);
		break;
	default:
		counters_add(&n->counters->foreign, 1);
	}
	return WIRE_OK;
}

enum wire_error network_next(struct network *n, struct wire_datagram *d)
{
	struct wire_record r;
	enum wire_error e;

	for (;;) {
		while (n->open) {
			e = wire_record_next(d, &r);
			if (e == WIRE_END)
				finish(n, &d->in);
			else if (!e)
				e = take_record(n, &r);
			if (e && e != WIRE_END)
				return e;
		}
		e = next_sample(n, d);
		if (e)
			return e;
	}
}

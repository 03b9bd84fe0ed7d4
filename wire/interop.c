/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The profile `interop`: what a row says, said twice. Once in the words of the standard, for goflow2, sflowtool, pmacct and whoever
 * reads sFlow; once in our record, whole.
 *
 *     flow sample     one per row and direction that had bytes (a row without any: one of 0 bytes)
 *       0:3, 0:4      sampled_ipv4/6: who sent to whom, length = payload bytes of the interval
 *       ours          the row; in the first sample of its part only
 *       2100, 2101    the socket: which of both ends is here
 *       2209          TCP: direction and what the interval knew of the round trip
 *
 * 1. Sampling rate is 1 and one sample is one direction's sum, so bytes x rate is true. There is no count of packets in 0:3: who
 *    counts samples as packets counts intervals.
 * 2. A row stands in one record of ours, once. The sample of its other direction has none and is in the same datagram, so a reader of
 *    ours takes our records and passes the standard's by (collector/network.c, invariant 2), and a reader of the
 *    standard's does the opposite.
 * 3. More than 2^32 - 1 bytes in a direction become parts: each has its samples and its own record with just those bytes. The first
 *    carries all else and the row's `rows`; the others have none, so that the ledger balances (as in flows.c, 3).
 * 4. sample_pool after a sample: rows whose record it and those before it carried. A reader that lost a datagram knows the rows from
 *    the next one's numbers, as with the other profile. `drops` is the same in all.
 * 5. An ephemeral port is named when the row has just one; 0 when several connections are summed: none of them had all the bytes.
 * 6. 2209: rtt is the median of the interval, rttvar, cwnd the mean of its samples, min_rtt that median less the mean queue; lost and
 *    retrans are of this interval (host-sflow sends the socket's whole life's). What is not known is 0.
 * 7. When not even an empty datagram holds a part with 2100, 2101 and 2209, these are left out of it; our record has all they say.
 *
 * Cost: a row takes 600 to 700 bytes where the packed one takes 160 to 280 (skyfall-gen's rows): a head and strings per row, and 164 bytes
 * a direction, are what it takes to be readable sample by sample.
 */
#include "wire/interop.h"

#include <assert.h>
#include <errno.h>

#include "wire/auth.h"
#include "wire/put.h"
#include "wire/stamp.h"

enum {
	HEADER_BYTES = 40, /* with an IPv6 agent address */
	SAMPLE_HEAD = 40,  /* format, length, 8 words */
	RECORD_HEAD = 8,   /* format, length */
	THIS_HOST = 2 << 24 | 1,
	TCP = 6,
	/* the standard's records */
	IPV4 = 3,
	IPV6 = 4,
	SOCKET4 = 2100,
	SOCKET6 = 2101,
	TCP_INFO = 2209,
	TCP_INFO_WORDS = 12,
	RECEIVED = 1, /* 2209's direction */
	SENT = 2,
};

/* One sample to be written. */
struct side {
	const struct wire_flow *row;
	const struct flow_stats *stats;  /* of the whole row */
	const struct wire_build *record; /* NULL: it stands in the other one */
	bool v6, sent, whole;            /* whole: with 2100, 2101, 2209 */
	uint32_t bytes, rows;
};

static uint32_t size_of(const struct wire_opts *opts)
{
	uint32_t size = opts->size ? opts->size : WIRE_SIZE;

	size = size < WIRE_SIZE_MIN ? WIRE_SIZE_MIN : size > WIRE_SIZE_MAX ? WIRE_SIZE_MAX : size;
	return size & ~3u;
}

void wire_interop_open(struct wire_interop *x, struct wire_build *record, const struct wire_head *head,
		       const struct wire_opts *opts)
{
	x->record = record;
	x->head = *head;
	x->opts = opts ? *opts : (struct wire_opts){0};
	x->opts.size = size_of(&x->opts);
	x->rows = 0;
	x->n_samples = x->n = x->last = 0;
}

/* Bytes of a direction that are in this part. */
static uint32_t bytes_of(uint64_t all, uint32_t part)
{
	uint64_t before = (uint64_t)part * UINT32_MAX, left = all > before ? all - before : 0;

	return left > UINT32_MAX ? UINT32_MAX : (uint32_t)left;
}

static uint64_t parts_of(const struct flow_stats *stats)
{
	uint64_t most = flow_more(stats->tx_bytes, stats->rx_bytes);

	return most > UINT32_MAX ? (most - 1) / UINT32_MAX + 1 : 1;
}

uint32_t wire_interop_parts(const struct flow_stats *stats)
{
	uint64_t parts = parts_of(stats);

	return parts > WIRE_INTEROP_PARTS ? 1 : (uint32_t)parts;
}

/* --- the standard's records */

static uint8_t *put_ip(uint8_t *p, const struct ip *ip, bool v6)
{
	return put_bytes(p, ip->b + (v6 ? 0 : 12), v6 ? 16 : 4);
}

static uint16_t local_port(const struct wire_flow *f)
{
	if (f->view == FLOW_VIEW_CLIENT)
		return f->n_ports == 1 && !f->ports_more ? f->ports[0] : 0;
	return f->port;
}

static uint16_t remote_port(const struct wire_flow *f)
{
	if (f->view == FLOW_VIEW_CLIENT)
		return f->port;
	if (f->view == FLOW_VIEW_SERVER)
		return f->n_ports == 1 && !f->ports_more ? f->ports[0] : 0;
	return f->other_port;
}

static uint8_t *put_sampled(uint8_t *p, const struct side *s)
{
	const struct wire_flow *f = s->row;

	p = put_u32(put_u32(p, s->v6 ? IPV6 : IPV4), s->v6 ? 56 : 32);
	p = put_u32(put_u32(p, s->bytes), f->protocol);
	p = put_ip(put_ip(p, s->sent ? &f->local : &f->remote, s->v6), s->sent ? &f->remote : &f->local, s->v6);
	p = put_u32(p, s->sent ? local_port(f) : remote_port(f));
	p = put_u32(p, s->sent ? remote_port(f) : local_port(f));
	return put_u32(put_u32(p, 0), 0); /* TCP flags, type of service: not known */
}

static uint8_t *put_socket(uint8_t *p, const struct side *s)
{
	const struct wire_flow *f = s->row;

	p = put_u32(put_u32(p, s->v6 ? SOCKET6 : SOCKET4), s->v6 ? 44 : 20);
	p = put_ip(put_ip(put_u32(p, f->protocol), &f->local, s->v6), &f->remote, s->v6);
	return put_u32(put_u32(p, local_port(f)), remote_port(f));
}

static uint32_t word(uint64_t v)
{
	return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

static uint8_t *put_tcp_info(uint8_t *p, const struct side *s)
{
	const struct flow_stats *t = s->stats;
	uint64_t n = t->rtt_samples ? t->rtt_samples : 1;
	uint32_t rtt = word((uint64_t)flow_hist_quantile(t->srtt, 0.5)), queue = word(t->queue_us / n);
	const uint32_t words[TCP_INFO_WORDS] = {
		s->sent ? SENT : RECEIVED,
		0, /* segment sizes and, behind the losses, the path's: not measured */
		0,
		0, /* unacked */
		word(t->lost),
		word(t->retransmitted),
		0,
		rtt,
		word(t->jitter_us / n),
		word(t->cwnd_segs / n),
		0, /* reordering */
		rtt > queue ? rtt - queue : 0,
	};

	p = put_u32(put_u32(p, TCP_INFO), sizeof(words));
	for (unsigned i = 0; i < TCP_INFO_WORDS; i++)
		p = put_u32(p, words[i]);
	return p;
}

/* --- samples */

static size_t side_bytes(const struct side *s)
{
	size_t n = SAMPLE_HEAD + RECORD_HEAD + (s->v6 ? 56 : 32);

	if (s->record)
		n += wire_build_record_size(s->record);
	if (s->whole)
		n += RECORD_HEAD + (s->v6 ? 44 : 20);
	if (s->whole && s->row->protocol == TCP)
		n += RECORD_HEAD + TCP_INFO_WORDS * 4;
	return n;
}

static void put_side(struct wire_interop *x, const struct side *s)
{
	uint8_t *begin = x->samples + x->n, *p = begin;
	bool tcp = s->whole && s->row->protocol == TCP;
	size_t n = side_bytes(s);

	x->rows += s->rows;
	p = put_u32(put_u32(p, 1), (uint32_t)n - 8);
	p = put_u32(put_u32(p, ++x->n_samples), THIS_HOST);
	p = put_u32(put_u32(put_u32(p, 1), (uint32_t)x->rows),
		    0); /* rate; pool and drops from 0 on: stamped at the end */
	p = put_u32(put_u32(p, s->sent ? WIRE_PORT_INTERNAL : 0), s->sent ? 0 : WIRE_PORT_INTERNAL);
	p = put_u32(p, 1u + (s->record != NULL) + s->whole + tcp);
	p = put_sampled(p, s);
	if (s->record)
		p = wire_build_record_put(s->record, p);
	if (s->whole)
		p = put_socket(p, s);
	if (tcp)
		p = put_tcp_info(p, s);
	assert(p == begin + n);
	x->last = x->n;
	x->n += n;
}

/* What the part's record says. */
static struct flow_stats part_stats(const struct flow_stats *all, uint32_t part)
{
	struct flow_stats s = {0};

	if (!part)
		s = *all;
	s.tx_bytes = bytes_of(all->tx_bytes, part);
	s.rx_bytes = bytes_of(all->rx_bytes, part);
	return s;
}

static bool fits(const struct wire_interop *x, size_t n)
{
	size_t all = HEADER_BYTES + x->n + n + (x->opts.auth ? WIRE_AUTH_RECORD : 0);

	/* As in wire_build_item(): it must be possible to pad it to the bound. */
	return all == x->opts.size || all + RECORD_HEAD <= x->opts.size;
}

/* The row alone in a record of ours. */
static int build_record(struct wire_interop *x, const struct wire_flow *row, const struct flow_stats *s, uint32_t part)
{
	struct wire_opts opts = x->opts;
	struct wire_flow f = *row;
	int r;

	opts.size = WIRE_SIZE_MAX;
	if (part) {
		f.n_ports = 0;
		f.ports_more = 0;
	}
	wire_build_open(x->record, WIRE_FLOWS, &x->head, &opts);
	r = wire_flows_add(x->record, &f, s);
	return r < 0 ? r : 0;
}

int wire_interop_add(struct wire_interop *x, const struct wire_flow *row, const struct flow_stats *stats, uint32_t part)
{
	struct flow_stats own = part_stats(stats, part);
	struct side side[2] = {
		{.row = row, .stats = stats, .bytes = (uint32_t)own.tx_bytes, .sent = true, .whole = true},
		{.row = row, .stats = stats, .bytes = (uint32_t)own.rx_bytes, .whole = true}};
	unsigned first = own.rx_bytes && !own.tx_bytes, end = own.rx_bytes ? 2 : 1, i;
	size_t n = 0;
	int r;

	assert(part < wire_interop_parts(stats));
	if (parts_of(stats) > WIRE_INTEROP_PARTS)
		return -ERANGE;
	r = build_record(x, row, &own, part);
	if (r < 0)
		return r;
	side[first].record = x->record;
	side[first].rows = (uint32_t)own.rows;
	for (i = first; i < end; i++) {
		side[i].v6 = x->record->family == 6;
		n += side_bytes(&side[i]);
	}
	if (!fits(x, n) && x->n_samples)
		return -ENOSPC;
	if (!fits(x, n)) {
		n = 0;
		for (i = first; i < end; i++) {
			side[i].whole = false;
			n += side_bytes(&side[i]);
		}
		if (!fits(x, n))
			return -EMSGSIZE;
	}
	for (i = first; i < end; i++)
		put_side(x, &side[i]);
	return 0;
}

/* Makes the last sample longer by a record that nobody reads. */
static void pad(struct wire_interop *x, size_t n)
{
	uint8_t *sample = x->samples + x->last, *p = x->samples + x->n;
	uint32_t enterprise = x->opts.enterprise ? x->opts.enterprise : WIRE_ENTERPRISE;

	put_u32(sample + 4, cursor_load32(sample + 4) + (uint32_t)n);
	put_u32(sample + SAMPLE_HEAD - 4, cursor_load32(sample + SAMPLE_HEAD - 4) + 1);
	p = put_u32(put_u32(p, enterprise << 12 | WIRE_PAD), (uint32_t)n - RECORD_HEAD);
	memset(p, 0, n - RECORD_HEAD);
	x->n += n;
}

size_t wire_interop_close(struct wire_interop *x, struct wire_sender *s, uint32_t uptime_ms, size_t pad_to, void *dst,
			  size_t cap)
{
	size_t n = HEADER_BYTES - (ip_is_v4(&s->agent) ? 12 : 0) + x->n + (x->opts.auth ? WIRE_AUTH_RECORD : 0);
	bool v4 = ip_is_v4(&s->agent);
	uint8_t *p = dst;

	if (!x->n_samples || n > cap || pad_to > cap)
		return 0;
	if (pad_to >= n + RECORD_HEAD) {
		pad(x, pad_to - n);
		n = pad_to;
	}
	p = put_u32(put_u32(p, 5), v4 ? 1 : 2);
	p = put_bytes(p, s->agent.b + (v4 ? 12 : 0), v4 ? 4 : 16);
	p = put_u32(put_u32(put_u32(p, 0), 0), 0); /* stamped below */
	p = put_u32(p, x->n_samples);
	p = put_bytes(p, x->samples, x->n);
	if (x->opts.auth)
		p = (uint8_t *)dst + wire_auth_add(dst, (size_t)(p - (uint8_t *)dst),
						   x->opts.enterprise ? x->opts.enterprise : WIRE_ENTERPRISE);
	assert(p == (uint8_t *)dst + n);
	wire_stamp(dst, n, x->rows, s, uptime_ms);
	return n;
}

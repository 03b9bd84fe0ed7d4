/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The fold: adding to the row of this interval. */
#pragma once

#include "agent/bpf/fold.bpf.h"
#include "agent/bpf/maps.bpf.h"

/* Keeps a bounded index bounded in the verifier's eyes: the compiler must not move the test. */
#define BOUND(i, max) asm volatile("if %0 < %1 goto +1; %0 = %1;" : "+r"(i) : "i"(max))

/* The row of `key` in the map in use, made if it is new. NULL: no room, counted. */
static __always_inline struct sky_row_value *row_get(const struct sky_row_key *key)
{
	struct sky_row_value *row;
	__u32 zero = 0;
	void *map = bpf_map_lookup_elem(&rows, &zero);
	long err;

	if (!map)
		return NULL;
	row = bpf_map_lookup_elem(map, key);
	if (row)
		return row;
	err = put(map, key, &empty_row, BPF_NOEXIST, SKY_SITE_ROWS);
	if (!err)
		__sync_fetch_and_add(&counters.rows_made, 1);
	return bpf_map_lookup_elem(map, key);
}

/* flow/stats.h: edges 2^k and 1.5 x 2^k, [0] below 8 us, the last from 2^24 us. */
static __always_inline __u64 bucket(__u64 us)
{
	__u64 k = 0, v = us;

	if (us < 8)
		return 0;
	if (us >= 1 << 24)
		return SKY_BUCKETS - 1;
	if (v >= 1 << 16) {
		v >>= 16;
		k += 16;
	}
	if (v >= 1 << 8) {
		v >>= 8;
		k += 8;
	}
	if (v >= 1 << 4) {
		v >>= 4;
		k += 4;
	}
	if (v >= 1 << 2) {
		v >>= 2;
		k += 2;
	}
	if (v >= 1 << 1)
		k += 1;
	return 2 * k - 5 + ((us >> (k - 1)) & 1);
}

static __always_inline void hist_add(__u32 *hist, __u64 us)
{
	__u64 i = bucket(us);

	BOUND(i, SKY_BUCKETS - 1);
	__sync_fetch_and_add(&hist[i], 1);
}

/* What is known of a connection before it ends: that it was tried, established, and how. */
static __always_inline void row_first(struct sky_row_value *row, const struct sky_sock *e)
{
	if (e->key.flags & SKY_FLAG_JOINED)
		return;
	if (e->key.role == SKY_ROLE_CLIENT)
		ADD(row->attempts, 1);
	if (e->phase != SKY_OPEN)
		return;
	ADD(row->opened, 1);
	if (e->first.handshake_us)
		hist_add(row->handshake, e->first.handshake_us);
	if (e->first.srtt_us)
		hist_add(row->srtt, e->first.srtt_us);
}

/* All a connection did, whole life. Its sample at establishment and, if `rtt_ok`, its last one. min_rtt is ~0 while
 * there is none. */
static __always_inline void row_totals(struct sky_row_value *row, const struct sky_sock *e, const struct sky_final *fin)
{
	const struct sky_totals *f = &fin->totals;
	bool last = fin->rtt_ok && f->srtt_us;
	__u64 us = us_per_jiffy;

	ADD(row->tx_bytes, f->tx);
	ADD(row->rx_bytes, f->rx);
	ADD(row->tx_undelivered, f->undelivered);
	ADD(row->tx_segs, f->tx_segs);
	ADD(row->rx_segs, f->rx_segs);
	ADD(row->retransmitted, f->retransmitted);
	ADD(row->lost, f->lost);
	ADD(row->dsack, f->dsack);
	ADD(row->delivered_ce, f->delivered_ce);
	if (last)
		hist_add(row->srtt, f->srtt_us);
	ADD(row->jitter_us, e->first.mdev_us + (last ? f->mdev_us : 0));
	if (last && f->min_rtt_us != ~0U && f->srtt_us > f->min_rtt_us)
		ADD(row->queue_us, f->srtt_us - f->min_rtt_us);
	ADD(row->cwnd_segs, e->first.cwnd + (last ? f->cwnd : 0));
	ADD(row->rtt_samples, !!e->first.srtt_us + last);
	ADD(row->busy_us, f->busy * us);
	ADD(row->rwnd_limited_us, f->rwnd * us);
	ADD(row->sndbuf_limited_us, f->sndbuf * us);
}

/* The sum of all tells user space of one that was overwritten (fold_port(), agent_row_drained()). Once the list is full it is
 * worth nothing, and the line is left to be read by all CPUs. */
static __always_inline void row_port(struct sky_row_value *row, __u16 port)
{
	if (!row->ports[SKY_PORTS - 1])
		ADD(row->ports_seen, port);
	fold_port(row->ports, port);
}

static __always_inline void row_end(struct sky_row_value *row, __u32 end)
{
	ADD(row->closed, 1);
	if (end == SKY_END_RESET_RECEIVED)
		ADD(row->reset_received, 1);
	else if (end == SKY_END_RESET_SENT)
		ADD(row->reset_sent, 1);
	else if (end == SKY_END_TIMED_OUT)
		ADD(row->timed_out, 1);
}

static __always_inline void row_failed(struct sky_row_value *row, __u32 end)
{
	if (end == SKY_FAILED_REFUSED)
		ADD(row->failed_refused, 1);
	else if (end == SKY_FAILED_TIMEOUT)
		ADD(row->failed_timeout, 1);
	else if (end == SKY_FAILED_UNREACHABLE)
		ADD(row->failed_unreachable, 1);
	else if (end == SKY_FAILED_NO_PORT)
		ADD(row->failed_no_port, 1);
	else if (end == SKY_FAILED_ABANDONED)
		ADD(row->failed_abandoned, 1);
	else
		ADD(row->failed_other, 1);
}

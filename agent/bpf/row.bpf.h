/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The fold: adding to the row of this interval. */
#pragma once

#include "agent/bpf/maps.bpf.h"

/* Keeps a bounded index bounded in the verifier's eyes: the compiler must not move the test. */
#define BOUND(i, max) asm volatile("if %0 < %1 goto +1; %0 = %1;" : "+r"(i) : "i"(max))

#define ADD(field, n)                                         \
	do {                                                  \
		__u64 n_ = (n);                               \
		if (n_)                                       \
			__sync_fetch_and_add(&(field), n_);   \
	} while (0)

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

/* One round-trip sample. min_rtt is ~0 while there is none. */
static __always_inline void row_rtt(struct sky_row_value *row, const struct sky_totals *f)
{
	if (!f->srtt_us)
		return;
	hist_add(row->srtt, f->srtt_us);
	ADD(row->jitter_us, f->mdev_us);
	if (f->min_rtt_us != ~0U && f->srtt_us > f->min_rtt_us)
		ADD(row->queue_us, f->srtt_us - f->min_rtt_us);
	ADD(row->cwnd_segs, f->cwnd);
	ADD(row->rtt_samples, 1);
}

/* All a connection did, whole life. */
static __always_inline void row_totals(struct sky_row_value *row, const struct sky_totals *f)
{
	__u64 us = us_per_jiffy;

	ADD(row->tx_bytes, f->tx);
	ADD(row->rx_bytes, f->rx);
	ADD(row->tx_segs, f->tx_segs);
	ADD(row->rx_segs, f->rx_segs);
	ADD(row->retransmitted, f->retransmitted);
	ADD(row->lost, f->lost);
	ADD(row->dsack, f->dsack);
	ADD(row->delivered_ce, f->delivered_ce);
	ADD(row->busy_us, f->busy * us);
	ADD(row->rwnd_limited_us, f->rwnd * us);
	ADD(row->sndbuf_limited_us, f->sndbuf * us);
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

/* Lists an ephemeral port. Two CPUs may write one place: then one port is counted and not listed. */
static __always_inline void row_port(struct sky_row_value *row, __u16 port)
{
	ADD(row->ports_seen, 1);
	if (row->ports[SKY_PORTS - 1])
		return;
#pragma unroll
	for (int i = 0; i < SKY_PORTS; i++) {
		if (row->ports[i] == port)
			return;
		if (!row->ports[i]) {
			row->ports[i] = port;
			return;
		}
	}
}

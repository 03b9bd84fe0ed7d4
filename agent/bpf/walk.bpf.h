/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The walker: reads up to SKY_SLICE open sockets whose addresses user space lists in walk_data. Run by
 * BPF_PROG_RUN, so one run is the longest piece without preemption (0.1 ms). The address of a socket that is
 * gone is safe to read (probe_read) and gives garbage; the comparisons after the reads tell.
 */
#pragma once

#include "agent/bpf/entry.bpf.h"
#include "agent/bpf/sock.bpf.h"

/* The socket at `sk` is still the one of the entry, established or closing. */
static __always_inline bool walk_same(struct sock *sk, const struct sky_sock *e)
{
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);
	struct tuple t;

	return state != TCP_CLOSE && state != TCP_LISTEN && state != TCP_SYN_SENT && sock_tuple(sk, &t, false) &&
	       BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP && t.netns == e->key.netns && t.lport == e->lport &&
	       t.rport == e->rport && addr_eq(t.remote, e->key.remote) && addr_eq(t.local, e->key.local);
}

/* The socket at `sk` is still the one of the entry, connecting. */
static __always_inline bool walk_connecting(struct sock *sk, const struct sky_sock *e)
{
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);
	struct tuple t;

	return (state == TCP_SYN_SENT || state == TCP_SYN_RECV) && sock_tuple(sk, &t, false) && t.rport == e->rport &&
	       t.netns == e->key.netns && addr_eq(t.remote, e->key.remote);
}

/* The hook runs before the state is stored: an established socket whose entry does not know it was missed. */
static __always_inline void walk_promote(struct sock *sk, struct sky_sock *e)
{
	struct tuple t;

	if (BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_ESTABLISHED || e->phase != SKY_CONNECTING ||
	    !sock_tuple(sk, &t, false) || t.rport != e->rport || t.netns != e->key.netns ||
	    !addr_eq(t.remote, e->key.remote))
		return;
	e->lport = t.lport;
	e->phase = SKY_OPEN;
	__sync_fetch_and_add(&counters.recovered, 1);
}

/* The locked add is a full barrier: CLOSE sees the mark, or we see `turn`. */
static __always_inline void walk_mark(struct sky_sock *e, __u64 id)
{
	*(volatile __u32 *)&e->walked = sky_walk_mark(id);
	__sync_fetch_and_add(&walk_marks, 1);
}

/* The entry is not, or no longer, what was asked about: somebody else counts that. `turn` is read first: a place given to
 * another socket lost its id before it lived again. */
static __always_inline bool walk_gone(const struct sky_sock *e, __u64 id)
{
	return !(*(volatile const __u32 *)&e->turn & SKY_LIVE) || *(volatile const __u64 *)&e->id != id;
}

static __always_inline void walk_totals(struct tcp_sock *tp, struct sky_totals *f, __u32 role)
{
	__u32 sent = BPF_CORE_READ(tp, lsndtime), received = BPF_CORE_READ(tp, inet_conn.icsk_ack.lrcvtime);

	totals_rtt(tp, f, false);
	totals_read(tp, f, role, 0, false);
	f->turn = !f->rx_segs ? -1 : !f->tx_segs ? 1 : (__s32)(received - sent);
}

/* The entry outlived its socket. A CLOSE may be under way, so it is removed only when user space says it waited. */
static __always_inline int walk_dead(struct sky_answer *a, const struct sky_ask *q)
{
	__u64 at = q->sk;

	a->status = SKY_DEAD;
	if (q->how & SKY_ASK_END && !entry_remove(at))
		a->status = SKY_DELETED;
	return 0;
}

/* A global function: verified once, not once for each of the 256 turns of the loop. */
__noinline int walk_one(__u32 i)
{
	struct sky_answer *a;
	struct sky_ask *q;
	struct sky_sock *e;
	struct tcp_sock *tp;
	__u64 at, segs;
	bool alive;

	if (i >= SKY_SLICE)
		return 0;
	q = &walk_data.ask[i];
	a = &walk_data.answer[i];
	a->id = q->id;
	a->status = SKY_NONE;
	at = q->sk;
	tp = (struct tcp_sock *)(unsigned long)at;
	e = bpf_map_lookup_elem(&socks, &at);
	if (!e || e->id != q->id)
		return 0;
	if (!q->id) {
		a->status = entry_sweep(at, e) ? SKY_DELETED : SKY_NONE;
		return 0;
	}
	if (e->phase != SKY_OPEN) {
		walk_mark(e, q->id);
		walk_promote((struct sock *)tp, e);
		alive = e->phase == SKY_OPEN || walk_connecting((struct sock *)tp, e);
		if (walk_gone(e, q->id))
			return 0;
		if (!alive)
			return walk_dead(a, q);
		a->status = SKY_ATTEMPT;
		return 0;
	}
	segs = (__u32)(BPF_CORE_READ(tp, segs_in) + BPF_CORE_READ(tp, segs_out));
	if (segs == e->seen && !q->how && BPF_CORE_READ((struct sock *)tp, __sk_common.skc_state) != TCP_CLOSE) {
		a->status = SKY_UNCHANGED;
		return 0;
	}
	walk_mark(e, q->id);
	walk_totals(tp, &a->totals, e->key.role);
	a->totals.segs = segs;
	if (walk_gone(e, q->id))
		return 0;
	alive = walk_same((struct sock *)tp, e);
	if (walk_gone(e, q->id))
		return 0;
	if (!alive)
		return walk_dead(a, q);
	e->seen = segs;
	a->status = SKY_TOTALS;
	return 0;
}

SEC("raw_tp")
int walk(void *ctx)
{
	__u32 n = walk_data.n;

	for (__u32 i = 0; i < SKY_SLICE; i++) {
		if (i >= n)
			break;
		walk_one(i);
	}
	return 0;
}

/* Two clocks at one moment: user space finds the length of a jiffy with it. */
SEC("raw_tp")
int tick(void *ctx)
{
	tick_jiffies = bpf_jiffies64();
	tick_ns = bpf_ktime_get_ns();
	return 0;
}

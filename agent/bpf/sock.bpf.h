/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reading a socket: who it is, whose it is, and what it did. */
#pragma once

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "agent/bpf/compat.bpf.h"
#include "agent/bpf/event.h"

struct tuple {
	__u8 local[16], remote[16];
	__u32 netns;
	__u16 lport, rport; /* host order */
};

static __always_inline void addr_v4(__u8 to[16], __u32 addr)
{
	__u32 *w = (__u32 *)to;

	w[0] = 0;
	w[1] = 0;
	w[2] = bpf_htonl(0xffff);
	w[3] = addr;
}

static __always_inline bool addr_eq(const __u8 a[16], const __u8 b[16])
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;

	return x[0] == y[0] && x[1] == y[1];
}

static __always_inline __u32 sock_netns(struct sock *sk, bool typed)
{
	struct net *net = READ(typed, sk, __sk_common.skc_net.net);

	return READ(typed, net, ns.inum);
}

/* False: not an IP socket. Writes addresses, namespace and ports as they are now. */
static __always_inline bool sock_tuple(struct sock *sk, struct tuple *t, bool typed)
{
	__u16 family = READ(typed, sk, __sk_common.skc_family);

	if (family == AF_INET) {
		addr_v4(t->local, READ(typed, sk, __sk_common.skc_rcv_saddr));
		addr_v4(t->remote, READ(typed, sk, __sk_common.skc_daddr));
	} else if (family == AF_INET6) {
		READ16(typed, t->local, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
		READ16(typed, t->remote, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
	} else {
		return false;
	}
	t->netns = sock_netns(sk, typed);
	t->lport = READ(typed, sk, __sk_common.skc_num);
	t->rport = bpf_ntohs(READ(typed, sk, __sk_common.skc_dport));
	return true;
}

/* The process `task` belongs to. A thread's own name says little: io_uring's workers, thread pools. */
static __always_inline void owner_task(struct sky_owner *o, struct task_struct *task, __u32 *tgid, bool typed)
{
	struct task_struct *leader = READ(typed, task, group_leader);

	*tgid = READ(typed, task, tgid);
	READ16(typed, o->comm, leader, comm);
	if (READ(typed, task, flags) & PF_KTHREAD)
		o->flags |= SKY_OWNER_KERNEL;
}

/* The cgroup is the socket's, never the current task's. In the root cgroup (and where only v1 is in use)
 * it tells nothing, so there the process becomes part of the key. */
static __always_inline void owner_cgroup(struct sky_owner *o, struct sock *sk, __u32 tgid, bool typed)
{
	o->cgroup = compat_cgroup(sk, typed);
	o->tgid = o->cgroup <= 1 ? tgid : 0;
}

/* Busy, receiver-limited and send-buffer-limited time in jiffies: the kernel keeps the three apart and adds a
 * period only when it ends, so the running one is added here. */
static __always_inline void totals_chrono(struct tcp_sock *tp, struct sky_totals *f, bool typed)
{
	__u32 stat[3], type, run;

	if (typed) {
		type = BPF_CORE_READ_BITFIELD(tp, chrono_type);
		stat[0] = tp->chrono_stat[0];
		stat[1] = tp->chrono_stat[1];
		stat[2] = tp->chrono_stat[2];
	} else {
		type = BPF_CORE_READ_BITFIELD_PROBED(tp, chrono_type);
		bpf_core_read(stat, sizeof(stat), &tp->chrono_stat);
	}
	run = (__u32)bpf_jiffies64() - READ(typed, tp, chrono_start);
	f->rwnd = stat[1] + (type == 2 ? run : 0);
	f->sndbuf = stat[2] + (type == 3 ? run : 0);
	f->busy = stat[0] + (type == 1 ? run : 0) + f->rwnd + f->sndbuf;
}

/* Round trip and window as they are now. */
static __always_inline void totals_rtt(struct tcp_sock *tp, struct sky_totals *f, bool typed)
{
	f->srtt_us = READ(typed, tp, srtt_us) >> 3;
	f->mdev_us = READ(typed, tp, mdev_us) >> 2;
	f->min_rtt_us = READ(typed, tp, rtt_min.s[0].v);
	f->cwnd = READ(typed, tp, snd_cwnd);
}

/*
 * What the socket did since it was made. `state` is its state; 0: read it (the walker: nobody holds the lock).
 * The order of the reads matters: a walker that races with the stack must only ever see too little.
 *   bytes_acked, snd_una, snd_nxt, write_seq, state: an ACK or a FIN in between makes tx smaller;
 *   bytes_received first, the flag that its FIN is in it last.
 * Of direct loads the compiler makes what order it likes: the hook's socket is locked, the walker's are `ordered` (unordered, clang read
 * snd_nxt before snd_una: data sent and acknowledged in between would have been 4 GB).
 */
static __always_inline void totals_order(bool ordered)
{
	if (ordered)
		asm volatile("" ::: "memory");
}

static __always_inline void totals_read(struct tcp_sock *tp, struct sky_totals *f, __u32 role, __u32 state, bool typed,
					bool ordered)
{
	struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	__u64 received = READ(typed, tp, bytes_received), acked = READ(typed, tp, bytes_acked);
	__u32 una, nxt, end;
	bool fin;

	totals_order(ordered);
	una = READ(typed, tp, snd_una);
	totals_order(ordered);
	nxt = READ(typed, tp, snd_nxt);
	totals_order(ordered);
	end = READ(typed, tp, write_seq);
	totals_order(ordered);
	if (!state)
		state = READ(typed, sk, __sk_common.skc_state);
	fin = nxt == end && (state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 || state == TCP_CLOSING ||
			     state == TCP_LAST_ACK || state == TCP_TIME_WAIT);
	f->tx = acked + (__u32)(nxt - una) - (role == SKY_ROLE_CLIENT) - fin;
	f->undelivered = (__u32)(nxt - una) - (fin && una != end);
	f->tx_segs = READ(typed, tp, data_segs_out);
	f->rx_segs = READ(typed, tp, data_segs_in);
	f->retransmitted = READ(typed, tp, total_retrans);
	f->lost = READ(typed, tp, lost);
	f->dsack = READ(typed, tp, dsack_dups);
	f->delivered_ce = READ(typed, tp, delivered_ce);
	totals_chrono(tp, f, typed);
	f->rx = received - !!(READ(typed, sk, __sk_common.skc_flags) & SOCK_DONE_BIT);
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include "agent/bpf/kernel.h"

#include "agent/bpf/adopt.bpf.h"
#include "agent/bpf/dial.bpf.h"
#include "agent/bpf/owner.bpf.h"
#include "agent/bpf/row.bpf.h"
#include "agent/bpf/walk.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline __u64 new_id(__u64 now)
{
	return now << 12 | bpf_get_smp_processor_id();
}

/* Milliseconds from one moment to another as ticks of the clock that lie between: whatever the cuts, the parts
 * of a connection add up to the whole, and over many short ones the mean is right. */
static __always_inline __u64 ms_between(__u64 from_ns, __u64 to_ns)
{
	return to_ns / 1000000 - from_ns / 1000000;
}

static __always_inline void on_listen(struct sock *sk, bool typed)
{
	struct sky_owner o = {};
	__u32 tgid;

	owner_current(&o, sk, &tgid, typed);
	o.tgid = tgid; /* children decide by their own cgroup whether it belongs into their key */
	listener_add(sk, &o, typed);
}

/* A CLOSE reached neither program: what the connection did since its last walk is lost, that it ended is not. */
static __always_inline void replace(struct sky_sock *e)
{
	struct sky_final f = {.at_ns = bpf_ktime_get_ns(), .end = SKY_END_UNSEEN};
	struct sky_row_value *row;

	if (e->phase != SKY_OPEN)
		return;
	__sync_fetch_and_add(&counters.replaced, 1);
	__sync_fetch_and_add(&e->dead, 1);
	if (e->walked) {
		put(&closed, &e->id, &f, BPF_ANY, SKY_SITE_CLOSED);
		return;
	}
	row = row_get(&e->key);
	if (row)
		row_end(row, SKY_END_UNSEEN);
}

static __always_inline void on_syn_sent(struct sock *sk, bool typed)
{
	__u64 at = (__u64)(unsigned long)sk, now;
	struct sky_sock fresh = {}, *e = bpf_map_lookup_elem(&socks, &at);
	struct sky_row_value *row;
	struct tuple t;

	if (!sock_tuple(sk, &t, typed))
		return;
	if (e && e->phase == SKY_CONNECTING && e->rport == t.rport && addr_eq(e->key.remote, t.remote))
		return; /* the other program was here */
	dial_done();
	if (!netns_watched(t.netns))
		return;
	if (e)
		replace(e);
	now = bpf_ktime_get_ns();
	fresh.id = new_id(now);
	fresh.since_ns = now;
	fresh.phase = SKY_CONNECTING;
	owner_current(&fresh.key.owner, sk, &fresh.tgid, typed);
	__builtin_memcpy(fresh.key.local, t.local, sizeof(t.local));
	__builtin_memcpy(fresh.key.remote, t.remote, sizeof(t.remote));
	fresh.key.netns = t.netns;
	fresh.key.service_port = t.rport;
	fresh.key.protocol = IPPROTO_TCP;
	fresh.key.role = SKY_ROLE_CLIENT;
	fresh.rport = t.rport;
	put(&socks, &at, &fresh, BPF_ANY, SKY_SITE_SOCKS);
	row = row_get(&fresh.key);
	if (row) {
		ADD(row->attempts, 1);
		row->tgid = fresh.tgid;
	}
}

/* Established: counted, with its handshake and first round-trip sample. */
static __always_inline void open_row(const struct sky_sock *e, struct tcp_sock *tp, __u64 handshake_us, bool typed)
{
	struct sky_row_value *row = row_get(&e->key);
	struct sky_totals f = {};

	if (!row)
		return;
	ADD(row->opened, 1);
	totals_rtt(tp, &f, typed);
	if (e->key.role == SKY_ROLE_SERVER)
		handshake_us = f.srtt_us;
	if (handshake_us)
		hist_add(row->handshake, handshake_us);
	row_rtt(row, &f);
	row_port(row, e->key.role == SKY_ROLE_CLIENT ? e->lport : e->rport);
	if (e->tgid)
		row->tgid = e->tgid;
}

static __always_inline void on_established(struct sock *sk, struct tcp_sock *tp, int old, bool typed)
{
	__u64 at = (__u64)(unsigned long)sk, now = bpf_ktime_get_ns();
	struct sky_sock fresh = {}, *e = bpf_map_lookup_elem(&socks, &at);
	struct tuple t;

	if (e && e->phase == SKY_CONNECTING && (old == TCP_SYN_SENT || old == TCP_SYN_RECV)) {
		__u64 syn = e->since_ns;

		e->lport = READ(typed, sk, __sk_common.skc_num);
		e->since_ns = now;
		open_row(e, tp, syn ? (now - syn) / 1000 ?: 1 : 0, typed);
		asm volatile("" ::: "memory");
		e->phase = SKY_OPEN; /* last: before it, no walk and no other program takes the entry for open */
		return;
	}
	if (!sock_tuple(sk, &t, typed))
		return;
	if (e && e->phase == SKY_OPEN && e->lport == t.lport && e->rport == t.rport && e->key.netns == t.netns &&
	    addr_eq(e->key.remote, t.remote) && addr_eq(e->key.local, t.local))
		return; /* the other program was here */
	if (!netns_watched(t.netns))
		return;
	if (e)
		replace(e);
	fresh.id = new_id(now);
	fresh.since_ns = now;
	fresh.phase = SKY_OPEN;
	if (old == TCP_SYN_SENT) { /* its SYN_SENT was missed; `current` is a stranger by now */
		fresh.key.role = SKY_ROLE_CLIENT;
		fresh.key.service_port = t.rport;
		owner_cgroup(&fresh.key.owner, sk, 0, typed);
	} else {
		fresh.key.role = SKY_ROLE_SERVER;
		fresh.key.service_port = t.lport;
		owner_child(&fresh.key.owner, sk, &t, &fresh.tgid, typed);
	}
	__builtin_memcpy(fresh.key.local, t.local, sizeof(t.local));
	__builtin_memcpy(fresh.key.remote, t.remote, sizeof(t.remote));
	fresh.key.netns = t.netns;
	fresh.key.protocol = IPPROTO_TCP;
	fresh.lport = t.lport;
	fresh.rport = t.rport;
	put(&socks, &at, &fresh, BPF_ANY, SKY_SITE_SOCKS);
	open_row(&fresh, tp, 0, typed);
}

/* An attempt that never became a connection. */
static __always_inline void on_failed(const struct sky_sock *e, struct sock *sk, struct tcp_sock *tp, bool typed)
{
	struct sky_row_value *row = row_get(&e->key);
	int err = READ(typed, sk, sk_err);

	if (!row)
		return;
	if (err == ECONNREFUSED)
		ADD(row->failed_refused, 1);
	else if (err == ETIMEDOUT)
		ADD(row->failed_timeout, 1);
	else if (err == EHOSTUNREACH || err == ENETUNREACH)
		ADD(row->failed_unreachable, 1);
	else if (err)
		ADD(row->failed_other, 1);
	else if (!READ(typed, sk, sk_shutdown) && !READ(typed, tp, segs_out))
		ADD(row->failed_no_port, 1);
	else
		ADD(row->failed_abandoned, 1);
	ADD(row->retransmitted, READ(typed, tp, total_retrans));
	ADD(row->lost, READ(typed, tp, lost));
}

static __always_inline __u32 end_of(struct sock *sk, int old, bool typed)
{
	int err = READ(typed, sk, sk_err);

	if (err == ECONNRESET || err == EPIPE)
		return SKY_END_RESET_RECEIVED;
	if (err == ECONNABORTED)
		return SKY_END_RESET_SENT;
	if (err)
		return SKY_END_TIMED_OUT; /* ETIMEDOUT, or what ICMP said meanwhile */
	if (old == TCP_ESTABLISHED || old == TCP_CLOSE_WAIT || old == TCP_FIN_WAIT1)
		return SKY_END_RESET_SENT;
	return SKY_END_NORMAL;
}

static __always_inline void on_close(struct sock *sk, struct tcp_sock *tp, int old, bool typed)
{
	__u64 at = (__u64)(unsigned long)sk;
	struct sky_sock *e = bpf_map_lookup_elem(&socks, &at);
	struct sky_row_value *row;
	struct sky_final f = {};
	__u64 walked;

	if (!e)
		return; /* the other program was here, or it was never known */
	if (e->phase != SKY_OPEN) {
		on_failed(e, sk, tp, typed);
		bpf_map_delete_elem(&socks, &at);
		return;
	}
	totals_read(tp, &f.totals, e->key.role, old, typed);
	f.end = end_of(sk, old, typed);
	/* The one who closes first has its last sample spoilt by the delayed ACK of its FIN. */
	f.rtt_ok = f.totals.tx_segs && old != TCP_FIN_WAIT2 && old != TCP_CLOSING;
	if (f.rtt_ok)
		totals_rtt(tp, &f.totals, typed);
	f.at_ns = bpf_ktime_get_ns();
	__sync_fetch_and_add(&e->dead, 1); /* a full barrier: the walker sees it, or we see `walked` */
	walked = *(volatile __u64 *)&e->walked;
	if (walked && !put(&closed, &e->id, &f, BPF_ANY, SKY_SITE_CLOSED)) {
		__sync_fetch_and_add(&counters.closed_made, 1);
		goto out;
	}
	row = row_get(&e->key);
	if (!row)
		goto out;
	row_end(row, f.end);
	if (!walked) {
		row_totals(row, &f.totals);
		ADD(row->tx_undelivered, f.totals.undelivered);
		ADD(row->open_ms, ms_between(e->since_ns, f.at_ns));
		row_rtt(row, &f.totals);
	}
out:
	bpf_map_delete_elem(&socks, &at);
}

static __always_inline int on_state(struct sock *sk, int old, int new, bool typed)
{
	struct tcp_sock *tp;

	if (new != TCP_SYN_SENT && new != TCP_ESTABLISHED && new != TCP_CLOSE && new != TCP_LISTEN &&
	    !(old == TCP_SYN_RECV && new == TCP_FIN_WAIT1))
		return 0;
	if (READ(typed, sk, sk_protocol) != IPPROTO_TCP) /* MPTCP, SCTP pass here too and are no tcp_sock */
		return 0;
	if (new == TCP_SYN_SENT) {
		on_syn_sent(sk, typed);
		return 0;
	}
	if (new == TCP_LISTEN) {
		on_listen(sk, typed);
		return 0;
	}
	if (old == TCP_LISTEN && new == TCP_CLOSE) {
		listener_remove((__u64)(unsigned long)sk);
		return 0;
	}
	tp = typed ? bpf_skc_to_tcp_sock(sk) : (struct tcp_sock *)sk;
	if (!tp)
		return 0;
	if (new == TCP_CLOSE)
		on_close(sk, tp, old, typed);
	else
		on_established(sk, tp, old, typed);
	return 0;
}

/*
 * The same code as two programs. User space makes both tp_btf where the kernel has BTF (then ctx holds a typed
 * pointer) and raw_tp elsewhere; their arguments lie the same way.
 */
SEC("raw_tp/inet_sock_set_state")
int state_a(__u64 *ctx)
{
	return on_state((struct sock *)(unsigned long)ctx[0], (int)ctx[1], (int)ctx[2], hook_typed);
}

SEC("raw_tp/inet_sock_set_state")
int state_b(__u64 *ctx)
{
	return on_state((struct sock *)(unsigned long)ctx[0], (int)ctx[1], (int)ctx[2], hook_typed);
}

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

/* An entry has ended as `f` says: added to its row whole, or, if a walk may have counted a part, left to user space. */
static __always_inline void finish(struct sky_sock *e, const struct sky_final *f)
{
	struct sky_row_value *row;
	__u64 walked;

	__sync_fetch_and_add(&e->dead, 1); /* a full barrier: the walker sees it, or we see `walked` */
	walked = *(volatile __u64 *)&e->walked;
	if (walked && !put(&closed, &e->id, f, BPF_ANY, SKY_SITE_CLOSED)) {
		__sync_fetch_and_add(&counters.closed_made, 1);
		return;
	}
	row = row_get(&e->key);
	if (!row)
		return;
	if (!walked)
		row_first(row, e);
	if (e->phase != SKY_OPEN) {
		row_failed(row, f->end);
		ADD(row->retransmitted, f->totals.retransmitted);
		ADD(row->lost, f->totals.lost);
	} else {
		row_end(row, f->end);
		if (!walked) {
			row_totals(row, e, f);
			ADD(row->open_ms, ms_between(e->since_ns, f->at_ns));
			row_port(row, e->key.role == SKY_ROLE_CLIENT ? e->lport : e->rport);
		}
	}
	row_hint(row, e->tgid);
}

/* Another socket lies where this entry's was: its CLOSE reached neither program. That it ended is not lost, what it did
 * since its last walk is. Seldom, so not inline. */
static __noinline int replace(struct sky_sock *e)
{
	struct sky_final f = {.since_ns = e->since_ns, .at_ns = bpf_ktime_get_ns()};

	f.end = e->phase == SKY_OPEN ? SKY_END_UNSEEN : SKY_FAILED_OTHER;
	f.first = e->first;
	__sync_fetch_and_add(&counters.replaced, 1);
	finish(e, &f);
	return 0;
}

/* Makes an entry. -EEXIST: one is there, `ret_there`. */
static __always_inline long entry_new(__u64 at, const struct sky_sock *fresh, struct sky_sock **ret_there)
{
	long err = put(&socks, &at, fresh, BPF_NOEXIST, SKY_SITE_SOCKS);

	*ret_there = err == -EEXIST ? bpf_map_lookup_elem(&socks, &at) : NULL;
	return err;
}

static __always_inline void on_syn_sent(struct sock *sk, bool typed, bool second)
{
	__u64 at = (__u64)(unsigned long)sk, now = bpf_ktime_get_ns();
	struct sky_sock fresh = {}, *e;
	struct tuple t;

	if (!sock_tuple(sk, &t, typed))
		return;
	dial_done();
	if (!netns_watched(t.netns))
		return;
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
	entry_new(at, &fresh, &e);
	if (!e || (second && e->phase == SKY_CONNECTING && e->rport == t.rport && addr_eq(e->key.remote, t.remote)))
		return; /* made, or the other program was here */
	replace(e);
	put(&socks, &at, &fresh, BPF_ANY, SKY_SITE_SOCKS);
}

/* Established: its handshake and first round-trip sample are kept until a walk or its CLOSE counts them. */
static __always_inline void first_read(struct sky_first *first, struct tcp_sock *tp, __u64 handshake_us, bool typed)
{
	first->srtt_us = READ(typed, tp, srtt_us) >> 3;
	if (first->srtt_us) {
		first->mdev_us = READ(typed, tp, mdev_us) >> 2;
		first->cwnd = READ(typed, tp, snd_cwnd);
	}
	first->handshake_us = handshake_us ?: first->srtt_us; /* a server's is its first round trip */
}

static __always_inline bool entry_same(const struct sky_sock *e, const struct tuple *t)
{
	return e->phase == SKY_OPEN && e->lport == t->lport && e->rport == t->rport && e->key.netns == t->netns &&
	       addr_eq(e->key.remote, t->remote) && addr_eq(e->key.local, t->local);
}

static __always_inline void on_connected(struct sock *sk, struct tcp_sock *tp, struct sky_sock *e, bool typed)
{
	__u64 syn = e->since_ns, now = bpf_ktime_get_ns();

	e->lport = READ(typed, sk, __sk_common.skc_num);
	e->since_ns = now;
	first_read(&e->first, tp, syn ? (now - syn) / 1000 ?: 1 : 0, typed);
	asm volatile("" ::: "memory");
	e->phase = SKY_OPEN; /* last: before it, no walk and no other program takes the entry for open */
}

/* An established socket as softirq finds it: `current` is a stranger, so a client's owner is its cgroup only. */
static __always_inline void entry_fill(struct sky_sock *e, struct sock *sk, const struct tuple *t, bool client, bool typed)
{
	e->phase = SKY_OPEN;
	if (client) {
		e->key.role = SKY_ROLE_CLIENT;
		e->key.service_port = t->rport;
		owner_cgroup(&e->key.owner, sk, 0, typed);
	} else {
		e->key.role = SKY_ROLE_SERVER;
		e->key.service_port = t->lport;
		owner_child(&e->key.owner, sk, t, &e->tgid, typed);
	}
	__builtin_memcpy(e->key.local, t->local, sizeof(t->local));
	__builtin_memcpy(e->key.remote, t->remote, sizeof(t->remote));
	e->key.netns = t->netns;
	e->key.protocol = IPPROTO_TCP;
	e->lport = t->lport;
	e->rport = t->rport;
}

/* A child, or a client whose SYN_SENT was missed. */
static __always_inline void on_established(struct sock *sk, struct tcp_sock *tp, int old, bool typed, bool second)
{
	__u64 at = (__u64)(unsigned long)sk, now = bpf_ktime_get_ns();
	struct sky_sock fresh = {}, *e;
	struct tuple t;

	if (!sock_tuple(sk, &t, typed) || !netns_watched(t.netns))
		return;
	fresh.id = new_id(now);
	fresh.since_ns = now;
	entry_fill(&fresh, sk, &t, old == TCP_SYN_SENT, typed);
	first_read(&fresh.first, tp, 0, typed);
	entry_new(at, &fresh, &e);
	if (!e || (second && entry_same(e, &t)))
		return; /* made, or the other program was here */
	if (e->phase == SKY_CONNECTING && e->rport == t.rport && addr_eq(e->key.remote, t.remote)) {
		on_connected(sk, tp, e, typed); /* both ends sent a SYN: it stays a client */
		return;
	}
	replace(e);
	put(&socks, &at, &fresh, BPF_ANY, SKY_SITE_SOCKS);
}

static __always_inline __u32 failure_of(struct sock *sk, struct tcp_sock *tp, bool typed)
{
	int err = READ(typed, sk, sk_err);

	if (err == ECONNREFUSED)
		return SKY_FAILED_REFUSED;
	if (err == ETIMEDOUT)
		return SKY_FAILED_TIMEOUT;
	if (err == EHOSTUNREACH || err == ENETUNREACH)
		return SKY_FAILED_UNREACHABLE;
	if (err)
		return SKY_FAILED_OTHER;
	if (!READ(typed, sk, sk_shutdown) && !READ(typed, tp, segs_out))
		return SKY_FAILED_NO_PORT;
	return SKY_FAILED_ABANDONED;
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

static __always_inline void on_close(struct sock *sk, struct tcp_sock *tp, struct sky_sock *e, int old, bool typed)
{
	__u64 at = (__u64)(unsigned long)sk;
	struct sky_final f = {.since_ns = e->since_ns, .at_ns = bpf_ktime_get_ns()};

	if (e->phase == SKY_CONNECTING && old != TCP_SYN_SENT && old != TCP_SYN_RECV) {
		__sync_fetch_and_add(&counters.recovered, 1); /* its ESTABLISHED reached neither program */
		e->lport = bpf_ntohs(READ(typed, tp, inet_conn.icsk_inet.inet_sport));
		e->phase = SKY_OPEN;
	}
	if (e->phase != SKY_OPEN) {
		f.end = failure_of(sk, tp, typed);
		f.totals.retransmitted = READ(typed, tp, total_retrans);
		f.totals.lost = READ(typed, tp, lost);
	} else {
		totals_read(tp, &f.totals, e->key.role, old, typed);
		f.first = e->first;
		f.end = end_of(sk, old, typed);
		/* The one who closes first has its last sample spoilt by the delayed ACK of its FIN. */
		f.rtt_ok = f.totals.tx_segs && old != TCP_FIN_WAIT2 && old != TCP_CLOSING;
		if (f.rtt_ok)
			totals_rtt(tp, &f.totals, typed);
	}
	finish(e, &f);
	bpf_map_delete_elem(&socks, &at);
}

static __always_inline struct tcp_sock *to_tcp(struct sock *sk, bool typed)
{
	return typed ? bpf_skc_to_tcp_sock(sk) : (struct tcp_sock *)sk;
}

/* The end of a connection that has no entry: its ESTABLISHED reached neither program, or the table was full. The socket
 * still has its totals, so it is counted whole; what is lost is how long it was open. */
static __always_inline void on_unknown(struct sock *sk, struct tcp_sock *tp, int old, bool typed)
{
	struct sky_sock e = {};
	struct tuple t;

	if (!sock_tuple(sk, &t, typed) || !netns_watched(t.netns))
		return;
	t.lport = bpf_ntohs(READ(typed, tp, inet_conn.icsk_inet.inet_sport)); /* skc_num is 0 by now */
	e.since_ns = bpf_ktime_get_ns();
	entry_fill(&e, sk, &t, !READ(typed, sk, sk_max_ack_backlog), typed);
	__sync_fetch_and_add(&counters.recovered, 1);
	on_close(sk, tp, &e, old, typed);
}

static __always_inline void on_end(struct sock *sk, int old, bool typed, bool second)
{
	__u64 at = (__u64)(unsigned long)sk;
	struct sky_sock *e = bpf_map_lookup_elem(&socks, &at);
	struct tcp_sock *tp;

	if (!e && (second || !adopted || old == TCP_SYN_SENT || old == TCP_SYN_RECV || old == TCP_CLOSE))
		return; /* the other program was here, it is older than us, or it was no connection yet */
	tp = to_tcp(sk, typed);
	if (!tp)
		return;
	if (e)
		on_close(sk, tp, e, old, typed);
	else
		on_unknown(sk, tp, old, typed);
}

static __always_inline void on_begin(struct sock *sk, int old, bool typed, bool second)
{
	__u64 at = (__u64)(unsigned long)sk;
	struct sky_sock *e = old == TCP_SYN_SENT ? bpf_map_lookup_elem(&socks, &at) : NULL;
	struct tcp_sock *tp = to_tcp(sk, typed);

	if (!tp)
		return;
	if (e && e->phase == SKY_CONNECTING)
		on_connected(sk, tp, e, typed);
	else
		on_established(sk, tp, old, typed, second);
}

/* Program A notes what it is about to do, B passes over just that, once. See invariant 6 at the top. */
static __always_inline bool handled_already(__u64 sk, __u64 what, bool second)
{
	struct sky_handled *h = &handled[bpf_get_smp_processor_id() & (SKY_CPUS - 1)];

	if (!second) {
		h->sk = sk;
		h->what = what;
		return false;
	}
	if (h->sk != sk || h->what != what)
		return false;
	h->sk = 0;
	return true;
}

static __always_inline int on_state(struct sock *sk, int old, int new, bool typed, bool second)
{
	if (new != TCP_SYN_SENT && new != TCP_ESTABLISHED && new != TCP_CLOSE && new != TCP_LISTEN &&
	    !(old == TCP_SYN_RECV && new == TCP_FIN_WAIT1))
		return 0;
	if (handled_already((__u64)(unsigned long)sk, (__u64)old << 8 | new, second))
		return 0;
	if (READ(typed, sk, sk_protocol) != IPPROTO_TCP) /* MPTCP, SCTP pass here too and are no tcp_sock */
		return 0;
	if (new == TCP_SYN_SENT)
		on_syn_sent(sk, typed, second);
	else if (new == TCP_LISTEN)
		on_listen(sk, typed);
	else if (old == TCP_LISTEN && new == TCP_CLOSE)
		listener_remove((__u64)(unsigned long)sk);
	else if (new == TCP_CLOSE)
		on_end(sk, old, typed, second);
	else
		on_begin(sk, old, typed, second);
	return 0;
}

/*
 * The same code as two programs. User space makes both tp_btf where the kernel has BTF (then ctx holds a typed
 * pointer) and raw_tp elsewhere; their arguments lie the same way.
 */
SEC("raw_tp/inet_sock_set_state")
int state_a(__u64 *ctx)
{
	return on_state((struct sock *)(unsigned long)ctx[0], (int)ctx[1], (int)ctx[2], hook_typed, false);
}

SEC("raw_tp/inet_sock_set_state")
int state_b(__u64 *ctx)
{
	return on_state((struct sock *)(unsigned long)ctx[0], (int)ctx[1], (int)ctx[2], hook_typed, true);
}

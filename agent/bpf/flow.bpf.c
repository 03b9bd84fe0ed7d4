// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The hook: every TCP connection of the host, counted once, to the byte.
 *
 * inet_sock_set_state stands inside tcp_set_state() and fires before the new state is stored. Four transitions matter:
 *
 *     -> SYN_SENT     an entry in `socks`: id, row key (owner, addresses, port, role), phase CONNECTING
 *     -> ESTABLISHED  a client's entry becomes OPEN; a child gets its entry (its owner: agent/bpf/owner.bpf.h)
 *     -> CLOSE        the socket's own totals, whole life, are added to the row of the interval; the entry is left free
 *     -> LISTEN       the listener's address and owner, for its children; its CLOSE takes them back
 *
 * A connection that lived between two walks costs one look-up of its row. Open ones are read by the walker
 * (agent/bpf/walk.bpf.h), whose other half in user space (agent/walk.c) keeps what was last reported by id and adds the
 * difference: the kernel keeps no last values. Attempts, openings, handshakes and the first round trip travel the same
 * two ways: they wait in the entry until its CLOSE or a walk counts them.
 *
 * Rows lie in two hash maps under a map of maps; user space swaps them and drains the old one when the swap returns, that
 * is when no running program can write it any more (agent/drain.c).
 *
 * Invariants
 *  1. Exactly one side counts an entry. CLOSE ends its `turn`, then reads `walked`; the walker sets `walked`, then reads
 *     `turn`; both stores are locked adds, full barriers on x86 (a plain STADD on arm64 before 5.12 is not: a window of
 *     nanoseconds). If CLOSE saw `walked`, the end goes to `closed` under the entry's id and user space counts the rest;
 *     else the walker sees the end and gives no answer. A `walked` that nobody answered diverts the end, and loses nothing:
 *     it names the id asked about, so one that comes late is none of the next socket's, of which user space knows nothing.
 *  2. An id is never used twice (time of birth and CPU, entry_id()); an address of a socket is, at once. So whatever was read of a
 *     socket without its lock is compared afterwards: id, tuple, namespace, protocol, state.
 *  3. `id` is stored last and taken away first: an entry that has one is complete, one without is free, for the next socket
 *     at that address to write over (agent/bpf/entry.bpf.h). From CONNECTING to OPEN, `phase` is stored last.
 *  4. Totals only grow, and an unlocked read errs downwards (agent/bpf/sock.bpf.h): the next read heals it.
 *  5. What a program does is idempotent for a socket and an event, because it is attached more than once: from 6.1 on the kernel
 *     passes over a tracing program that interrupts itself on a CPU (softirq driven by an interrupt, while the hook runs
 *     for a process). Two programs have two recursion counters: when one is busy the other runs. Deeper nesting does not
 *     exist. 1.4 % of connections were wrong with one program and real interrupts.
 *     From 7 on the hook may be preempted too, and a preempted program is as busy, for all that runs on its CPU meanwhile:
 *     there it is attached four times. What finds all busy is passed over; the less likely the more there are.
 *  6. B passes over what A has just done. A notes (socket, transition) at its start, in a place of the CPU; the last program
 *     takes the note away when it matches. While A is busy the note is that of the event it is busy with, and no socket makes the same
 *     transition twice at once, so a match means that A did it; no match means only a look-up more. The converse serves
 *     too: an entry that A finds at a beginning is a left-over, only B may take it for A's work.
 *  7. open_ms counts ticks of the millisecond clock: the parts of a connection (cut by user space at interval ends, for moved
 *     and idle ones alike, and here at CLOSE for those never walked) add up to the whole, and short ones are right on average.
 *
 * What is lost, and where it is counted
 *  - `socks` full, or its place just being removed (fail[SOCKS]): the connection is still counted whole at its CLOSE
 *    (`recovered`), without owner process and open time.
 *  - rows full: the connection's counts (fail[ROWS]). User space drains at three quarters, so a burst of more than a quarter
 *    of the places in new rows within its look-around. `closed` full: what was done since the last walk (fail[CLOSED]).
 *  - an event that reaches no program: a lost beginning is made up for at the end (`recovered`); a lost CLOSE shows when the
 *    address is used again (`replaced`) or to a walk (user space: `finalised`). It happens on kernels that pass over
 *    programs by process: one was met (6.18, a sandbox) that skips, uncounted, every tracing program while `current` is in
 *    process 1, so that softirq over that process went unseen: the whole of a loss of 0.15 % that two CPUs of steered
 *    packets had shown. The kernel's own ActiveOpens and PassiveOpens are the truth from outside (agent/opens.c).
 *  - the agent's end: open connections' last part of an interval, and connections in `socks`. Nothing is kept for a restart.
 *
 * Why not something else: an exchange of last values by walker and CLOSE was tried, with and without a lock word, and was
 * wrong in some runs of 200,000 connections; a ring buffer makes user space pay for each connection; kprobes and classic
 * tracepoints are skipped whenever any other such program runs; storage on the socket costs an allocation a connection.
 * No fetching atomics, exchange, ring buffer or bpf_for_each here: one object loads from 5.10 on.
 */
#include "agent/bpf/kernel.h"

#include "agent/bpf/adopt.bpf.h"
#include "agent/bpf/dial.bpf.h"
#include "agent/bpf/entry.bpf.h"
#include "agent/bpf/nat.bpf.h"
#include "agent/bpf/owner.bpf.h"
#include "agent/bpf/row.bpf.h"
#include "agent/bpf/walk.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

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

	__sync_fetch_and_add(&e->turn, SKY_LIVE); /* a full barrier: the walker sees it, or we see `walked` */
	walked = entry_walked(e);
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
	fold_hint(&row->tgid, e->tgid);
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

/* The agent steps back: of new connections only one in 2^sample is followed, the others pass without an entry, at their end
 * too. A draw a connection: a client's at its SYN, a child's when it is established. Should the second program draw once
 * more (its note was overwritten in between, see handled_already()), the share is a millionth too large. */
static __always_inline bool sampled_out(bool draw)
{
	__u32 shift = guest.sample;

	return shift && (!draw || bpf_get_prandom_u32() & ((1U << (shift & 31)) - 1));
}

/* The place for a new entry: `e` is what was found there. NULL: none to be had, counted; or not in the sample. */
static __always_inline struct sky_sock *place(__u64 at, struct sky_sock *e, bool draw)
{
	if (e && e->id) {
		replace(e);
		entry_remove(at);
		e = NULL;
	}
	if (sampled_out(draw))
		return NULL;
	if (!e)
		e = entry_make(at);
	return e && entry_take(at, e) ? e : NULL;
}

static __always_inline void entry_tuple(struct sky_sock *e, const struct tuple *t, bool client)
{
	__builtin_memcpy(e->key.local, t->local, sizeof(t->local));
	__builtin_memcpy(e->key.remote, t->remote, sizeof(t->remote));
	e->key.netns = t->netns;
	e->key.service_port = client ? t->rport : t->lport;
	e->key.other_port = 0;
	e->key.protocol = IPPROTO_TCP;
	e->key.role = client ? SKY_ROLE_CLIENT : SKY_ROLE_SERVER;
	e->key.sample = (__u8)guest.sample;
	e->key.flags = e->key.sample ? SKY_FLAG_SAMPLED : 0;
	e->rport = t->rport;
}

static __always_inline void on_syn_sent(struct sock *sk, bool typed, bool second)
{
	__u64 at = (__u64)(unsigned long)sk, now = bpf_ktime_get_ns();
	struct sky_sock *e;
	struct tuple t;

	if (!sock_tuple(sk, &t, typed))
		return;
	dial_done();
	if (!netns_watched(t.netns))
		return;
	e = bpf_map_lookup_elem(&socks, &at);
	if (second && e && e->id && e->phase == SKY_CONNECTING && e->rport == t.rport &&
	    addr_eq(e->key.remote, t.remote))
		return; /* the other program was here */
	e = place(at, e, true);
	if (!e)
		return;
	e->key.owner.flags = 0;
	owner_current(&e->key.owner, sk, &e->tgid, typed);
	entry_tuple(e, &t, true);
	e->lport = 0;
	e->since_ns = now;
	e->first = (struct sky_first){};
	e->phase = SKY_CONNECTING;
	entry_give(e, entry_id(now));
}

/* Established: its handshake and first round-trip sample are kept until a walk or its CLOSE counts them. */
static __always_inline void first_read(struct sky_first *first, struct tcp_sock *tp, __u64 handshake_us, bool typed)
{
	first->srtt_us = READ(typed, tp, srtt_us) >> 3;
	first->mdev_us = first->srtt_us ? READ(typed, tp, mdev_us) >> 2 : 0;
	first->cwnd = first->srtt_us ? READ(typed, tp, snd_cwnd) : 0;
	first->handshake_us = handshake_us ?: first->srtt_us; /* a server's is its first round trip */
}

static __always_inline bool entry_same(const struct sky_sock *e, const struct tuple *t)
{
	return e->phase == SKY_OPEN && e->lport == t->lport && e->rport == t->rport && e->key.netns == t->netns &&
	       addr_eq(e->key.remote, t->remote) && addr_eq(e->key.local, t->local);
}

static __always_inline void on_connected(struct sock *sk, struct tcp_sock *tp, struct sky_sock *e, bool typed)
{
	__u64 syn = e->since_ns, now = compat_packet_ns(tp, syn, typed);

	e->lport = READ(typed, sk, __sk_common.skc_num);
	e->since_ns = now;
	first_read(&e->first, tp, syn ? (now - syn) / 1000 ?: 1 : 0, typed);
	nat_split(&e->key, e->key.remote, e->lport);
	ORDER();
	e->phase = SKY_OPEN; /* last: before it, no walk and no other program takes the entry for open */
}

/* An established socket as softirq finds it: `current` is a stranger, so a client's owner is its cgroup only. */
static __always_inline void entry_fill(struct sky_sock *e, struct sock *sk, const struct tuple *t, bool client,
				       bool typed)
{
	struct sky_owner *o = &e->key.owner;

	o->flags = 0;
	__builtin_memset(o->comm, 0, sizeof(o->comm));
	e->tgid = 0;
	if (client)
		owner_cgroup(o, sk, 0, typed);
	else
		owner_child(o, sk, t, &e->tgid, typed);
	entry_tuple(e, t, client);
	e->lport = t->lport;
	e->phase = SKY_OPEN;
	nat_split(&e->key, client ? e->key.remote : e->key.local, client ? t->lport : t->rport);
}

/* A child, or a client whose SYN_SENT was missed. `e` is what is at its address. */
static __always_inline void on_established(struct sock *sk, struct tcp_sock *tp, struct sky_sock *e, int old,
					   bool typed, bool second)
{
	__u64 at = (__u64)(unsigned long)sk, now = compat_packet_ns(tp, 0, typed);
	struct tuple t;

	if (!sock_tuple(sk, &t, typed) || !netns_watched(t.netns))
		return;
	if (e && e->id && second && entry_same(e, &t))
		return; /* the other program was here */
	if (e && e->id && e->phase == SKY_CONNECTING && e->rport == t.rport && addr_eq(e->key.remote, t.remote)) {
		on_connected(sk, tp, e, typed); /* both ends sent a SYN: it stays a client */
		return;
	}
	e = place(at, e, old != TCP_SYN_SENT);
	if (!e)
		return;
	entry_fill(e, sk, &t, old == TCP_SYN_SENT, typed);
	e->since_ns = now;
	first_read(&e->first, tp, 0, typed);
	entry_give(e, entry_id(now));
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

/* A connection's last moment. LAST_ACK and CLOSING are left by a packet or a timer, FIN_WAIT2 with the peer's FIN in by that
 * FIN; whatever a program's call may end reads the clock. */
static __always_inline __u64 closed_ns(struct sock *sk, struct tcp_sock *tp, int old, __u64 since, bool typed)
{
	if (old == TCP_LAST_ACK || old == TCP_CLOSING ||
	    (old == TCP_FIN_WAIT2 && READ(typed, sk, __sk_common.skc_flags) & SOCK_DONE_BIT))
		return compat_packet_ns(tp, since, typed);
	return bpf_ktime_get_ns();
}

static __always_inline void on_close(struct sock *sk, struct tcp_sock *tp, struct sky_sock *e, int old, bool typed)
{
	struct sky_final f = {.since_ns = e->since_ns};

	f.at_ns = closed_ns(sk, tp, old, f.since_ns, typed);
	if (e->phase == SKY_CONNECTING) {
		__u16 lport = bpf_ntohs(READ(typed, tp, inet_conn.icsk_inet.inet_sport));

		nat_split(&e->key, e->key.remote, lport);
		if (old != TCP_SYN_SENT && old != TCP_SYN_RECV) {
			__sync_fetch_and_add(&counters.recovered, 1); /* its ESTABLISHED reached neither program */
			e->lport = lport;
			e->phase = SKY_OPEN;
		}
	}
	if (e->phase != SKY_OPEN) {
		f.end = failure_of(sk, tp, typed);
		f.totals.retransmitted = READ(typed, tp, total_retrans);
		f.totals.lost = READ(typed, tp, lost);
	} else {
		totals_read(tp, &f.totals, e->key.role, old, typed, false);
		f.first = e->first;
		f.end = end_of(sk, old, typed);
		/* The one who closes first has its last sample spoilt by the delayed ACK of its FIN. */
		f.rtt_ok = f.totals.tx_segs && old != TCP_FIN_WAIT2 && old != TCP_CLOSING;
		if (f.rtt_ok)
			totals_rtt(tp, &f.totals, typed);
	}
	finish(e, &f);
}

static __always_inline struct tcp_sock *to_tcp(struct sock *sk, bool typed)
{
	return typed ? bpf_skc_to_tcp_sock(sk) : (struct tcp_sock *)sk;
}

/* The entry that a connection without one would have had. Not inline: its own data need not lie on the stack of the whole
 * hook, which with that of replace() must stay within 512 bytes (before 6.13; lengths rounded up to 32 each). */
static __noinline int unknown_fill(struct sock *sk, struct tcp_sock *tp, struct sky_sock *e)
{
	struct tuple t;

	if (!sock_tuple(sk, &t, hook_typed) || !netns_watched(t.netns))
		return -1;
	t.lport = bpf_ntohs(READ(hook_typed, tp, inet_conn.icsk_inet.inet_sport)); /* skc_num is 0 by now */
	e->since_ns = bpf_ktime_get_ns();
	entry_fill(e, sk, &t, !READ(hook_typed, sk, sk_max_ack_backlog), hook_typed);
	return 0;
}

/* The end of a connection that has no entry: its ESTABLISHED reached neither program, or the table was full. The socket
 * still has its totals, so it is counted whole; what is lost is how long it was open. */
static __always_inline void on_unknown(struct sock *sk, struct tcp_sock *tp, int old, bool typed)
{
	struct sky_sock e = {};

	if (unknown_fill(sk, tp, &e))
		return;
	__sync_fetch_and_add(&counters.recovered, 1);
	on_close(sk, tp, &e, old, typed);
}

/* The end of an attempt that has no entry: its SYN_SENT reached no program. The mark of its connect call is left over and
 * counts it, as if it had failed before (agent/bpf/dial.bpf.h). */
static __noinline int on_uncaused(struct sock *sk)
{
	if (adopted && !guest.sample && netns_watched(sock_netns(sk, hook_typed)))
		__sync_fetch_and_add(&counters.uncaused, 1);
	return 0;
}

static __always_inline void on_end(struct sock *sk, int old, bool typed, bool second)
{
	__u64 at = (__u64)(unsigned long)sk;
	struct sky_sock *e = bpf_map_lookup_elem(&socks, &at);
	struct tcp_sock *tp;

	if (e && !e->id)
		e = NULL;
	if (e && e->rport != bpf_ntohs(READ(typed, sk, __sk_common.skc_dport))) { /* a left-over of the socket before */
		replace(e);
		entry_remove(at);
		e = NULL;
	}
	if (!e && old == TCP_SYN_SENT && !second)
		on_uncaused(sk);
	if (!e && (second || !adopted || old == TCP_SYN_SENT || old == TCP_SYN_RECV || old == TCP_CLOSE))
		return; /* the other program was here, it is older than us, or it was no connection yet */
	tp = to_tcp(sk, typed);
	if (!tp)
		return;
	if (e) {
		on_close(sk, tp, e, old, typed);
		entry_leave(at, e);
		return;
	}
	on_unknown(sk, tp, old, typed);
}

static __always_inline void on_begin(struct sock *sk, int old, bool typed, bool second)
{
	__u64 at = (__u64)(unsigned long)sk;
	struct sky_sock *e = bpf_map_lookup_elem(&socks, &at);
	struct tcp_sock *tp = to_tcp(sk, typed);

	if (!tp)
		return;
	if (e && e->id && e->phase == SKY_CONNECTING && old == TCP_SYN_SENT)
		on_connected(sk, tp, e, typed);
	else
		on_established(sk, tp, e, old, typed, second);
}

/* Program A notes what it is about to do, the others pass over just that, once. See invariant 6 at the top. */
static __always_inline bool handled_already(__u64 sk, __u64 what, __u32 copy)
{
	struct sky_handled *h = &handled[bpf_get_smp_processor_id() & (SKY_CPUS - 1)];

	if (!copy) {
		h->sk = sk;
		h->what = what;
		return false;
	}
	if (h->sk != sk || h->what != what)
		return false;
	if (copy == hook_last)
		h->sk = 0;
	return true;
}

/* Half of all runs end at the first comparison, most of B's at the second: nothing is read before them. */
static __always_inline int on_state(struct sock *sk, int old, int next, __u32 copy)
{
	bool typed, second = copy > 0;

	if (guest.bypass)
		return 0;
	if (next != TCP_SYN_SENT && next != TCP_ESTABLISHED && next != TCP_CLOSE && next != TCP_LISTEN &&
	    !(old == TCP_SYN_RECV && next == TCP_FIN_WAIT1))
		return 0;
	if (handled_already((__u64)(unsigned long)sk, (__u64)old << 8 | next, copy))
		return 0;
	typed = hook_typed;
	if (READ(typed, sk, sk_protocol) != IPPROTO_TCP) /* MPTCP, SCTP pass here too and are no tcp_sock */
		return 0;
	if (next == TCP_SYN_SENT)
		on_syn_sent(sk, typed, second);
	else if (next == TCP_LISTEN)
		on_listen(sk, typed);
	else if (old == TCP_LISTEN && next == TCP_CLOSE)
		listener_remove((__u64)(unsigned long)sk);
	else if (next == TCP_CLOSE)
		on_end(sk, old, typed, second);
	else
		on_begin(sk, old, typed, second);
	return 0;
}

/*
 * The same code as several programs. User space makes both tp_btf where the kernel has BTF (then ctx holds a typed
 * pointer) and raw_tp elsewhere; their arguments lie the same way.
 */
SEC("raw_tp/inet_sock_set_state")
int state_a(__u64 *ctx)
{
	return on_state((struct sock *)(unsigned long)ctx[0], (int)ctx[1], (int)ctx[2], 0);
}

SEC("raw_tp/inet_sock_set_state")
int state_b(__u64 *ctx)
{
	return on_state((struct sock *)(unsigned long)ctx[0], (int)ctx[1], (int)ctx[2], 1);
}

/* Where the hook may be preempted (invariant 5). */
SEC("raw_tp/inet_sock_set_state")
int state_c(__u64 *ctx)
{
	return on_state((struct sock *)(unsigned long)ctx[0], (int)ctx[1], (int)ctx[2], 2);
}

SEC("raw_tp/inet_sock_set_state")
int state_d(__u64 *ctx)
{
	return on_state((struct sock *)(unsigned long)ctx[0], (int)ctx[1], (int)ctx[2], 3);
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The walker: reads up to SKY_SLICE open sockets whose addresses user space lists in walk_data. Run by
 * BPF_PROG_RUN, so one run is the longest piece without preemption (0.1 ms). The address of a socket that is
 * gone is safe to read (probe_read) and gives garbage; the comparisons after the reads tell.
 */
#pragma once

#include "agent/bpf/entry.bpf.h"
#include "agent/bpf/sock.bpf.h"

/* bpf_rdonly_cast(), from 6.2 on: an address read like a typed pointer, a load and 0 where nothing can be read, instead of a
 * helper. User space puts the function's id in (agent/cast.c): an extern would need the kernel's own BTF even where it is not used. */
static void *(*const walk_as)(const void *at, __u32 type) = (void *)SKY_CALL_CAST;

/* The socket at `sk` is still the one of the entry, established or closing. */
static __always_inline bool walk_same(struct sock *sk, const struct sky_sock *e, bool typed)
{
	__u8 state = READ(typed, sk, __sk_common.skc_state);
	struct tuple t;

	return state != TCP_CLOSE && state != TCP_LISTEN && state != TCP_SYN_SENT && sock_tuple(sk, &t, typed) &&
	       READ(typed, sk, sk_protocol) == IPPROTO_TCP && t.netns == e->key.netns && t.lport == e->lport &&
	       t.rport == e->rport && addr_eq(t.remote, e->key.remote) && addr_eq(t.local, e->key.local);
}

/* The socket at `sk` is still the one of the entry, connecting. */
static __always_inline bool walk_connecting(struct sock *sk, const struct sky_sock *e, bool typed)
{
	__u8 state = READ(typed, sk, __sk_common.skc_state);
	struct tuple t;

	return (state == TCP_SYN_SENT || state == TCP_SYN_RECV) && sock_tuple(sk, &t, typed) && t.rport == e->rport &&
	       t.netns == e->key.netns && addr_eq(t.remote, e->key.remote);
}

/* The hook runs before the state is stored: an established socket whose entry does not know it was missed. */
static __always_inline void walk_promote(struct sock *sk, struct sky_sock *e, bool typed)
{
	struct tuple t;

	if (READ(typed, sk, __sk_common.skc_state) != TCP_ESTABLISHED || e->phase != SKY_CONNECTING ||
	    !sock_tuple(sk, &t, typed) || t.rport != e->rport || t.netns != e->key.netns ||
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

static __always_inline void walk_totals(struct tcp_sock *tp, struct sky_totals *f, __u32 role, bool typed)
{
	__u32 sent = READ(typed, tp, lsndtime), received = READ(typed, tp, inet_conn.icsk_ack.lrcvtime);

	totals_rtt(tp, f, typed);
	totals_read(tp, f, role, 0, typed, true);
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

/* The entry as it is, `phase` first: OPEN has all of OPEN. Worth something only if walk_gone() says no afterwards. */
static __always_inline __u8 walk_copy(struct sky_sock *f, const struct sky_sock *e)
{
	__u8 phase = *(volatile const __u8 *)&e->phase;

	ORDER();
	__builtin_memcpy(f, e, sizeof(*f));
	ORDER();
	f->phase = phase;
	return phase;
}

/* A place user space has no socket of. The id of who is there; 0: nobody, said in the answer. */
static __always_inline __u64 walk_who(struct sky_answer *a, const struct sky_ask *q, struct sky_sock *e)
{
	__u64 id, at = q->sk;

	if (q->how & SKY_ASK_NEW && e->told == sky_told_mark(at))
		return 0;
	e->told = sky_told_mark(at);
	id = *(volatile __u64 *)&e->id;
	if (!id)
		a->status = q->how & SKY_ASK_SWEEP && entry_sweep(at, e) ? SKY_DELETED : SKY_FREE;
	return id;
}

/* Not yet established. */
static __always_inline int walk_attempt(struct sky_answer *a, const struct sky_ask *q, struct sky_sock *e, __u64 id,
					struct sock *sk, bool typed)
{
	bool alive;

	walk_promote(sk, e, typed);
	alive = e->phase == SKY_OPEN || walk_connecting(sk, e, typed);
	ORDER();
	if (walk_gone(e, id))
		return 0;
	if (!alive)
		return walk_dead(a, q);
	a->status = SKY_ATTEMPT;
	return 0;
}

/* No segment moved: so it is, if it is still the same. An attempt is told by its id alone, it ends in other ways. */
static __always_inline int walk_looked(struct sky_answer *a, const struct sky_sock *e, __u64 id, struct sock *sk,
				       bool typed)
{
	bool alive = *(volatile const __u8 *)&e->phase != SKY_OPEN || walk_same(sk, e, typed);

	ORDER();
	if (!walk_gone(e, id))
		a->status = alive ? SKY_UNCHANGED : SKY_DEAD;
	return 0;
}

static __always_inline int walk_socket(__u32 i, bool typed)
{
	struct sky_answer *a;
	struct sky_ask *q;
	struct sky_sock *e, *f;
	struct tcp_sock *tp;
	struct sock *sk;
	__u8 phase = SKY_OPEN;
	__u64 at, id;
	__u32 segs;
	bool alive, idle;

	if (i >= SKY_SLICE)
		return 0;
	q = &walk_data.ask[i];
	a = &walk_data.answer[i];
	f = &walk_data.found[i];
	id = q->id;
	at = q->sk;
	a->id = id;
	a->status = SKY_NONE;
	a->found = 0;
	if (typed)
		tp = walk_as((void *)(unsigned long)at, bpf_core_type_id_kernel(struct tcp_sock));
	else
		tp = (struct tcp_sock *)(unsigned long)at;
	sk = &tp->inet_conn.icsk_inet.sk;
	segs = READ(typed, tp, segs_in) + READ(typed, tp, segs_out);
	idle = segs == q->segs && READ(typed, sk, __sk_common.skc_state) != TCP_CLOSE;
	if (idle && !q->how) {
		a->status = SKY_UNCHANGED;
		return 0;
	}
	e = bpf_map_lookup_elem(&socks, &at);
	if (!e)
		return 0;
	if (q->how & SKY_ASK_WHO)
		id = walk_who(a, q, e);
	else if (q->how & SKY_ASK_OWNER)
		id = *(volatile __u64 *)&e->id;
	if (!id)
		return 0;
	if (*(volatile __u64 *)&e->id != id) {
		a->status = q->how & SKY_ASK_WHO ? SKY_FREE : SKY_NONE; /* left just now: the place is still one */
		return 0;
	}
	if (q->how & (SKY_ASK_FORCE | SKY_ASK_WHO | SKY_ASK_OWNER)) {
		phase = walk_copy(f, e);
		if (walk_gone(e, id)) {
			a->status = q->how & SKY_ASK_WHO ? SKY_FREE : SKY_NONE;
			return 0;
		}
		a->id = id;
		a->found = 1;
		if (q->how & SKY_ASK_OWNER) {
			a->status = SKY_OWNED;
			return 0;
		}
	} else if (idle && !(q->how & SKY_ASK_END)) {
		return walk_looked(a, e, id, sk, typed);
	}
	walk_mark(e, id);
	if (a->found)
		f->key.owner =
			e->key.owner; /* it may have been accepted meanwhile, and that not told: there was no mark */
	if (phase != SKY_OPEN)
		return walk_attempt(a, q, e, id, sk, typed);
	walk_totals(tp, &a->totals, e->key.role, typed);
	a->totals.segs = segs;
	ORDER(); /* typed reads are the compiler's to order: what is compared is read after what is counted */
	if (walk_gone(e, id))
		return 0;
	alive = walk_same(sk, e, typed);
	ORDER();
	if (walk_gone(e, id))
		return 0;
	if (!alive)
		return walk_dead(a, q);
	a->status = SKY_TOTALS;
	return 0;
}

/* Global functions: verified once, not once for each of the 256 turns of the loop. */
__noinline int walk_one(__u32 i)
{
	return walk_socket(i, false);
}

__noinline int walk_one_cast(__u32 i)
{
	return walk_socket(i, true);
}

static __always_inline int walk_slice(int (*one)(__u32 i))
{
	__u32 n = walk_data.n;

	for (__u32 i = 0; i < SKY_SLICE; i++) {
		if (i >= n)
			break;
		one(i);
	}
	return 0;
}

SEC("raw_tp")
int walk(void *ctx)
{
	return walk_slice(walk_one);
}

/* The same with typed pointers. */
SEC("cast")
int walk_cast(void *ctx)
{
	return walk_slice(walk_one_cast);
}

/* Two clocks at one moment: user space finds the length of a jiffy with it. */
SEC("raw_tp")
int tick(void *ctx)
{
	tick_jiffies = bpf_jiffies64();
	tick_ns = bpf_ktime_get_ns();
	return 0;
}

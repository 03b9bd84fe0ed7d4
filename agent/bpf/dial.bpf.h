/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Attempts that fail before the SYN (no route, blackhole, prohibited) make no state change, so the hook never
 * sees them. cgroup/connect4 and 6 see each connect call of TCP just before; the SYN_SENT of the same thread
 * clears the mark. A mark still set at the next connect of that thread, or after DIAL_NS (user space,
 * agent/drain.c), was such a failure.
 *
 * A thread's mark lies in a place found by its number, without a look-up: of all that connection makers run here, two
 * look-ups and a reading of the clock were the half. So the moment is in jiffies, too.
 *
 *  - A place is written by who holds it (`busy` was 0: a locked add, then a look) and found no mark of another thread in
 *    it. Who cannot have it puts the mark into the map `dials`, which is empty else, and not asked while it is.
 *  - A thread's next connect settles what the map holds of it before anything else, so a mark there is of its last call.
 *  - Who counts a mark left over: its thread, while it is younger than DIAL_OWN_US; user space, past twice that, if it can
 *    exchange the mark, which is different each time, for none. In between nobody: then the thread's next one goes
 *    to the map. In the map it is the one that removed the entry: here that is delete (0 for one caller only), there
 *    lookup-and-delete (one step from 5.14 on; two before, with a window of a microsecond in which a mark just
 *    overwritten could be counted twice).
 */
#pragma once

#include "agent/bpf/entry.bpf.h"
#include "agent/bpf/owner.bpf.h"
#include "agent/bpf/row.bpf.h"
#include "agent/bpf/sock.bpf.h"

#define DIAL_OWN_US 100000

static __always_inline void dial_failed(const struct sky_row_key *key, __u32 tgid)
{
	struct sky_row_value *row = row_get(key);

	if (!row)
		return;
	ADD(row->attempts, 1);
	ADD(row->failed_no_route, 1);
	fold_hint(&row->tgid, tgid);
}

static __always_inline struct sky_dial_place *dial_place(__u64 thread)
{
	return &dial_places[thread & (SKY_DIALS - 1)];
}

/* Takes the thread's mark out of the map; true: there was one. `failed`: it is left over from its last call. */
static __always_inline bool dial_take(__u64 thread, bool failed)
{
	struct sky_dial *d, was;

	if (counters.dials_made <= 0)
		return false;
	d = bpf_map_lookup_elem(&dials, &thread);
	if (!d)
		return false;
	was = *d;
	if (bpf_map_delete_elem(&dials, &thread))
		return true;
	__sync_fetch_and_add(&counters.dials_made, -1);
	if (failed)
		dial_failed(&was.key, was.tgid);
	return true;
}

/* SYN_SENT: the connect call of this thread got as far as the hook. */
static __always_inline void dial_done(void)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct sky_dial_place *p = dial_place(thread);

	if (!dial_take(thread, false) && p->thread == thread && p->dial.pending)
		p->dial.pending = 0;
}

/* A connect call: whose, when, where to. */
struct dial {
	struct sock *sk;
	const __u8 *remote;
	__u64 thread, now;
	__u32 netns;
	__u16 port;
	bool v4;
};

static __always_inline void dial_fill(struct sky_dial *d, const struct dial *call, bool typed)
{
	d->key.owner.flags = 0;
	owner_current(&d->key.owner, call->sk, &d->tgid, typed);
	__builtin_memcpy(d->key.remote, call->remote, sizeof(d->key.remote));
	__builtin_memset(d->key.local, 0, sizeof(d->key.local));
	if (call->v4)
		addr_v4(d->key.local, 0);
	d->key.netns = call->netns;
	d->key.service_port = call->port;
	d->key.other_port = 0;
	d->key.protocol = IPPROTO_TCP;
	d->key.role = SKY_ROLE_CLIENT;
	d->key.flags = 0;
	d->key.sample = 0;
	d->key.via = 0;
	d->at = call->now;
}

/* Writes the mark into the place. False: it is not to be had. */
static __always_inline bool dial_put(struct sky_dial_place *p, const struct dial *call, bool typed)
{
	bool mine = true;

	__sync_fetch_and_add(&p->busy, 1);
	if (*(volatile __u32 *)&p->busy != 1) {
		mine = false;
	} else if (p->dial.pending) {
		mine = p->thread == call->thread && (call->now - p->dial.at) * us_per_jiffy < DIAL_OWN_US;
		if (mine) {
			dial_failed(&p->dial.key, p->dial.tgid);
			p->dial.pending = 0;
		}
	}
	if (mine) {
		p->thread = call->thread;
		dial_fill(&p->dial, call, typed);
		ORDER();
		p->dial.pending = sky_dial_mark(call->now);
	}
	__sync_fetch_and_add(&p->busy, -1);
	return mine;
}

static __always_inline void dial_mark(struct sock *sk, __u16 port, const __u8 remote[16], bool v4, bool typed)
{
	struct dial call = {.sk = sk, .remote = remote, .port = port, .v4 = v4};
	struct sky_dial fresh = {};

	call.netns = sock_netns(sk, typed);
	if (!netns_watched(call.netns))
		return;
	call.thread = bpf_get_current_pid_tgid();
	call.now = bpf_jiffies64();
	dial_take(call.thread, true);
	if (dial_put(dial_place(call.thread), &call, typed))
		return;
	dial_fill(&fresh, &call, typed);
	fresh.pending = sky_dial_mark(call.now);
	if (!put(&dials, &call.thread, &fresh, BPF_NOEXIST, SKY_SITE_DIALS))
		__sync_fetch_and_add(&counters.dials_made, 1);
}

static __always_inline void dial_begin(struct bpf_sock_addr *ctx, const __u8 remote[16], bool v4)
{
	__u16 port = bpf_ntohs(ctx->user_port);
	struct sock *sk = NULL;
	struct tcp_sock *tp;
	__u64 at;

	if (dial_typed) {
		tp = bpf_skc_to_tcp_sock((void *)(unsigned long)ctx->sk);
		if (tp)
			dial_mark(&tp->inet_conn.icsk_inet.sk, port, remote, v4, true);
		return;
	}
	/* ctx->sk is a pointer on which the verifier allows no arithmetic; a copy made by a helper is a number. */
	at = (__u64)(unsigned long)ctx->sk;
	bpf_probe_read_kernel(&sk, sizeof(sk), &at);
	dial_mark(sk, port, remote, v4, false);
}

SEC("cgroup/connect4")
int dial_v4(struct bpf_sock_addr *ctx)
{
	__u8 remote[16] __attribute__((aligned(8)));

	if (ctx->protocol == IPPROTO_TCP && !guest.bypass) {
		addr_v4(remote, ctx->user_ip4);
		dial_begin(ctx, remote, true);
	}
	return 1;
}

SEC("cgroup/connect6")
int dial_v6(struct bpf_sock_addr *ctx)
{
	__u32 remote[4] __attribute__((aligned(8)));

	if (ctx->protocol == IPPROTO_TCP && !guest.bypass) {
		remote[0] = ctx->user_ip6[0];
		remote[1] = ctx->user_ip6[1];
		remote[2] = ctx->user_ip6[2];
		remote[3] = ctx->user_ip6[3];
		dial_begin(ctx, (__u8 *)remote, !(remote[0] | remote[1]) && remote[2] == bpf_htonl(0xffff));
	}
	return 1;
}

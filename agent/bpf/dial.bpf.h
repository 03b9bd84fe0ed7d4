/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Attempts that fail before the SYN (no route, blackhole, prohibited) make no state change, so the hook never
 * sees them. cgroup/connect4 and 6 see each connect call of TCP just before; the SYN_SENT of the same thread
 * clears the mark. A mark still set at the next connect of that thread, or after DIAL_NS (user space,
 * agent/drain.c), was such a failure.
 *
 * Who counts it: the one that removed the entry. Here that is delete (0 for one caller only), there
 * lookup-and-delete (one step from 5.14 on; two before, with a window of a microsecond in which a mark just
 * overwritten could be counted twice). An entry without a mark is reused in place, which is cheaper than an
 * insert and a delete for each connection; programs that make a thread for each connection would fill the
 * map, so past half of it the entry goes with the mark.
 */
#pragma once

#include "agent/bpf/owner.bpf.h"
#include "agent/bpf/row.bpf.h"
#include "agent/bpf/sock.bpf.h"

static __always_inline void dial_failed(const struct sky_row_key *key, __u32 tgid)
{
	struct sky_row_value *row = row_get(key);

	if (!row)
		return;
	ADD(row->attempts, 1);
	ADD(row->failed_no_route, 1);
	row_hint(row, tgid);
}

/* SYN_SENT: the connect call of this thread got as far as the hook. */
static __always_inline void dial_done(void)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct sky_dial *d = bpf_map_lookup_elem(&dials, &thread);

	if (!d)
		return;
	d->pending = 0;
	if (counters.dials_made > dials_max / 2)
		bpf_map_delete_elem(&dials, &thread);
}

static __always_inline void dial_mark(struct sock *sk, __u16 port, const __u8 remote[16], bool v4, bool typed)
{
	struct sky_dial fresh = {.at_ns = bpf_ktime_get_ns(), .pending = 1}, *d;
	__u64 thread = bpf_get_current_pid_tgid();

	fresh.key.netns = sock_netns(sk, typed);
	if (!netns_watched(fresh.key.netns))
		return;
	d = bpf_map_lookup_elem(&dials, &thread);
	if (d && d->pending) {
		struct sky_dial failed = *d;

		if (!bpf_map_delete_elem(&dials, &thread))
			dial_failed(&failed.key, failed.tgid);
		d = NULL;
	}
	owner_current(&fresh.key.owner, sk, &fresh.tgid, typed);
	__builtin_memcpy(fresh.key.remote, remote, sizeof(fresh.key.remote));
	if (v4)
		addr_v4(fresh.key.local, 0);
	fresh.key.service_port = port;
	fresh.key.protocol = IPPROTO_TCP;
	fresh.key.role = SKY_ROLE_CLIENT;
	if (d) {
		*d = fresh;
		return;
	}
	if (!put(&dials, &thread, &fresh, BPF_ANY, SKY_SITE_DIALS))
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

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * UDP: sockets that connect, until they are released; and, if asked for, every datagram.
 *
 * The kernel keeps no sums of a UDP socket, so something must be done for each datagram. What does it is a pair of
 * cgroup_skb programs at the root of the v2 hierarchy: the kernel runs them for each packet a socket of the host sends
 * (behind the firewall and NAT, before it is cut into fragments) and each that reaches a socket, with the socket at hand.
 * A segmented send (UDP_SEGMENT) is one such packet, a reassembled one too: datagrams = payload over gso_size. Nothing of
 * it needs kernel types, return probes or fentry; it runs in softirq and for io_uring alike and is never passed over: it
 * is no tracing program. One mechanism from 5.10 to now, on this and that distribution.
 *
 *     sock_create    a socket is made: its owner is the caller (bytes only)
 *     connect4/6     it gets a peer; what it had with a former one ends
 *     egress/ingress a datagram (bytes only)
 *     sock_release   the last descriptor is closed: what is not in a row yet is added, the entry goes
 *     walk           run by user space at the end of an interval: what open ones did is added
 *
 * A datagram between a connected socket and its peer is added to the socket's entry, any other one to the row of its
 * two addresses. Rows are keyed as TCP's are and folded in user space with them; they lie in two maps that are swapped.
 *
 * Invariants
 *  1. A program here never changes what a packet or a call does: every way out returns 1.
 *  2. An entry's `now` only grows; `last`, `until_ns`, `told` change under its lock, by whoever adds the difference to a row.
 *     So release and walk may meet: each takes what the other has not. Release sets `cookie` to 0 under that lock: a place
 *     reused at once is told by its cookie.
 *  3. A socket's address is only read, never trusted: what was read counts if the cookie found there is the entry's.
 *  4. A socket adds at most `max_peers` rows an interval; all further peers are one row with the address zero, "others".
 *     Sums are whole, whoever they were with.
 *  5. The client is who connected or whose port the kernel chose. A program that chose its port is the server, unless
 *     ports or who spoke first say otherwise (role_of()). Both ends come to the same: they know the same ports.
 *
 * What it does not see: a datagram dropped after the hook at the sender (queueing discipline, device), which counts as sent;
 * one dropped after it at the receiver (its buffer is full: the listener's `drops`), which counts as received; sockets of
 * the kernel (WireGuard, VXLAN); UDP-Lite; raw sockets and XDP; what is sent through IPsec (its packet is no UDP any more) and, twice,
 * through a VRF with a queueing discipline. A socket whose addresses are translated in its own namespace has two rows
 * here, one sent to the address on the wire, one received from the address that was dialled: user space puts them
 * together (agent/nat.c, invariant 5). A connected one that has sent nothing has no translation: its row stays on the
 * address dialled, flagged.
 *
 * Why not: kprobes or fentry on udp_sendmsg and skb_consume_udp count what programs read, not what arrived, and cost
 * less per datagram, but need kernel types and functions with changing arguments, and are skipped when they nest;
 * raw tracepoints sock_send_length/sock_recv_length (6.3) have no peer; iterating over sockets finds no sums there.
 * Storage on the socket cannot be walked by user space without a typed iterator.
 */
#include "agent/bpf/kernel.h"

#include "agent/bpf/udp_entry.bpf.h"
#include "agent/bpf/udp_packet.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("cgroup/sock_create")
int udp_create(struct bpf_sock *ctx)
{
	if (ctx->protocol == IPPROTO_UDP && !bypass)
		entry_make(bpf_get_socket_cookie(ctx), plain(ctx), true);
	return 1;
}

SEC("cgroup/sock_release")
int udp_release(struct bpf_sock *ctx)
{
	struct sky_udp_sock *e;
	bool connected = false;
	__u64 cookie;

	if (ctx->protocol != IPPROTO_UDP || bypass)
		return 1;
	cookie = bpf_get_socket_cookie(ctx);
	e = bpf_map_lookup_elem(&udp_socks, &cookie);
	if (!e)
		return 1;
	if (e->dialled && !e->ignored) {
		e->sk = (__u64)(unsigned long)plain(ctx);
		look_bound(e);
		look_tuple(e, cookie, &connected);
		if (connected || e->told || e->now.tx_segs != e->last.tx_segs || e->now.rx_segs != e->last.rx_segs)
			fold(e, cookie, bpf_ktime_get_ns(), true, true);
	}
	bpf_map_delete_elem(&udp_socks, &cookie);
	return 1;
}

static __always_inline void connecting(struct bpf_sock_addr *ctx, const __u8 remote[16])
{
	struct sock *sk = plain((void *)(unsigned long)ctx->sk);
	__u64 cookie = bpf_get_socket_cookie(ctx), now = bpf_ktime_get_ns();
	struct sky_udp_sock *e = bpf_map_lookup_elem(&udp_socks, &cookie);
	bool connected = false;

	if (!e)
		e = entry_make(cookie, sk, true);
	if (!e || e->ignored)
		return;
	e->sk = (__u64)(unsigned long)sk;
	look_bound(e);
	if (e->dialled) {
		look_tuple(e, cookie, &connected);
		fold(e, cookie, now, true, false);
	}
	bpf_spin_lock(&e->lock);
	__builtin_memcpy(e->remote, remote, 16);
	e->rport = bpf_ntohs(ctx->user_port);
	__builtin_memset(e->local, 0, 16);
	e->lport = 0;
	e->told = e->joined = 0;
	e->dialled = 1;
	e->dialled_ns = e->until_ns = now;
	bpf_spin_unlock(&e->lock);
	e->vague = 0;
	entry_owner(e, sk);
}

SEC("cgroup/connect4")
int udp_connect4(struct bpf_sock_addr *ctx)
{
	__u8 remote[16] __attribute__((aligned(8)));

	if (ctx->protocol == IPPROTO_UDP && !bypass) {
		addr_v4(remote, ctx->user_ip4);
		connecting(ctx, remote);
	}
	return 1;
}

SEC("cgroup/connect6")
int udp_connect6(struct bpf_sock_addr *ctx)
{
	__u32 remote[4] __attribute__((aligned(8)));

	if (ctx->protocol == IPPROTO_UDP && !bypass) {
		remote[0] = ctx->user_ip6[0];
		remote[1] = ctx->user_ip6[1];
		remote[2] = ctx->user_ip6[2];
		remote[3] = ctx->user_ip6[3];
		connecting(ctx, (__u8 *)remote);
	}
	return 1;
}

/* Of each 64th run the time is taken: what this costs is known without the kernel's statistics. */
static __always_inline void packet(struct __sk_buff *skb, bool out)
{
	__u32 cpu = bpf_get_smp_processor_id() & (SKY_CPUS - 1);
	struct bpf_sock *sk = skb->sk;
	__u64 began = 0;

	if (cost[cpu].runs++ % SKY_UDP_SAMPLE == 0)
		began = bpf_ktime_get_ns();
	if (sk)
		sk = bpf_sk_fullsock(sk);
	if (sk && sk->protocol == IPPROTO_UDP)
		count(skb, sk, out);
	if (began) {
		cost[cpu].sampled_ns += bpf_ktime_get_ns() - began;
		cost[cpu].sampled++;
	}
}

SEC("cgroup_skb/egress")
int udp_egress(struct __sk_buff *skb)
{
	packet(skb, true);
	return 1;
}

SEC("cgroup_skb/ingress")
int udp_ingress(struct __sk_buff *skb)
{
	packet(skb, false);
	return 1;
}

/* One socket at the end of an interval. A function of its own: the verifier looks at it once. */
__attribute__((noinline)) int walk_one(__u64 cookie, __u64 cut_ns)
{
	struct sky_udp_sock *e = bpf_map_lookup_elem(&udp_socks, &cookie);
	bool connected = false;

	if (!e || e->ignored)
		return 0;
	look_bound(e);
	if (!look_tuple(e, cookie, &connected)) {
		ADD(counters.ended, 1);
		fold(e, cookie, cut_ns, true, true);
		bpf_map_delete_elem(&udp_socks, &cookie);
		return 0;
	}
	if (!e->dialled)
		return 0;
	if (connected)
		fold(e, cookie, cut_ns, false, false);
	else if (cut_ns > e->dialled_ns + DIAL_NS) /* the call failed, or it was disconnected */
		fold(e, cookie, cut_ns, true, false);
	return 0;
}

/* Run by user space (BPF_PROG_RUN): a type that may take locks and read the kernel's memory, and is attached nowhere. */
SEC("classifier")
int udp_walk(struct __sk_buff *skb)
{
	for (__u32 i = 0; i < SKY_SLICE; i++) {
		if (i >= ask.n)
			break;
		walk_one(ask.cookie[i], ask.cut_ns);
	}
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* One datagram: its headers, its row. */
#pragma once

#include "agent/bpf/udp_entry.bpf.h"

/* What a datagram's headers say, in this end's words. */
struct datagram {
	__u8 local[16], remote[16];
	__u16 lport, rport;
	__u32 bytes, segs;
};

static __always_inline bool ports_read(struct __sk_buff *skb, __u32 at, bool out, struct datagram *d)
{
	__u16 ports[2];

	if (bpf_skb_load_bytes(skb, at, ports, sizeof(ports)))
		return false;
	d->lport = bpf_ntohs(out ? ports[0] : ports[1]);
	d->rport = bpf_ntohs(out ? ports[1] : ports[0]);
	at += 8;
	if (skb->len < at)
		return false;
	d->bytes = skb->len - at;
	d->segs = skb->gso_size && d->bytes ? (d->bytes + skb->gso_size - 1) / skb->gso_size : 1;
	return true;
}

static __always_inline bool read_v4(struct __sk_buff *skb, bool out, struct datagram *d)
{
	__u8 h[20] __attribute__((aligned(8)));
	__u32 from, to;

	if (bpf_skb_load_bytes(skb, 0, h, sizeof(h)) || h[9] != IPPROTO_UDP)
		return false;
	from = *(__u32 *)(h + 12);
	to = *(__u32 *)(h + 16);
	addr_v4(d->local, out ? from : to);
	addr_v4(d->remote, out ? to : from);
	return ports_read(skb, (h[0] & 15) * 4, out, d);
}

static __always_inline bool read_v6(struct __sk_buff *skb, bool out, struct datagram *d)
{
	__u8 h[40] __attribute__((aligned(8))), ext[2], next;
	__u32 at = 40;

	if (bpf_skb_load_bytes(skb, 0, h, sizeof(h)))
		return false;
	__builtin_memcpy(out ? d->local : d->remote, h + 8, 16);
	__builtin_memcpy(out ? d->remote : d->local, h + 24, 16);
	next = h[6];
	for (int i = 0; i < 4 && next != IPPROTO_UDP; i++) { /* hop-by-hop, routing, destination options */
		if (next != 0 && next != 43 && next != 60)
			return false;
		if (bpf_skb_load_bytes(skb, at, ext, sizeof(ext)))
			return false;
		next = ext[0];
		at += ext[1] * 8 + 8;
	}
	return next == IPPROTO_UDP && ports_read(skb, at, out, d);
}

/* The row of e's socket and this peer; that of "others" if it has too many. NULL: no room. */
static __always_inline struct sky_udp_row *row_peer(struct sky_udp_sock *e, const struct datagram *d, bool v4)
{
	struct sky_row_key k = {};
	struct sky_udp_row *row;
	void *map = row_map();

	if (!map)
		return NULL;
	key_fill(&k, e, false, d->lport, d->rport);
	__builtin_memcpy(k.local, d->local, 16);
	__builtin_memcpy(k.remote, d->remote, 16);
	key_split(&k, d->lport, d->rport);
	row = bpf_map_lookup_elem(map, &k);
	if (row)
		return row;
	if (e->epoch != epoch) {
		e->epoch = epoch;
		e->peers = 0;
	}
	if (e->peers < max_peers) {
		__sync_fetch_and_add(&e->peers, 1);
		return row_make(map, &k);
	}
	ADD(counters.others, d->segs);
	__builtin_memset(k.remote, 0, 16);
	if (v4)
		addr_v4(k.remote, 0);
	k.other_port = 0;
	if (k.role == SKY_ROLE_CLIENT && !given_out(k.service_port))
		k.service_port = d->rport;
	row = bpf_map_lookup_elem(map, &k);
	return row ? row : row_make(map, &k);
}

static __always_inline void add(struct sky_udp_sums *s, const struct datagram *d, bool out)
{
	if (out) {
		ADD(s->tx_bytes, d->bytes);
		ADD(s->tx_segs, d->segs);
	} else {
		ADD(s->rx_bytes, d->bytes);
		ADD(s->rx_segs, d->segs);
	}
}

static __always_inline void lost_datagram(const struct datagram *d)
{
	ADD(counters.lost_segs, d->segs);
	ADD(counters.lost_bytes, d->bytes);
}

static __always_inline void count(struct __sk_buff *skb, struct bpf_sock *full, bool out)
{
	bool v4 = skb->protocol == bpf_htons(ETH_P_IP);
	__u64 cookie = bpf_get_socket_cookie(skb);
	struct sky_udp_sock *e = bpf_map_lookup_elem(&udp_socks, &cookie);
	struct sky_udp_row *row;
	struct datagram d = {};

	if (!e) {
		e = entry_make(cookie, plain(full), false);
		if (e)
			ADD(counters.late, 1);
	}
	if (e && e->ignored)
		return;
	if (!(v4 ? read_v4(skb, out, &d) : read_v6(skb, out, &d))) {
		ADD(counters.unread, 1);
		return;
	}
	if (!e) { /* no place for its socket */
		if (netns_watched(sock_netns(plain(full), false)))
			lost_datagram(&d);
		return;
	}
	if (!e->sk)
		e->sk = (__u64)(unsigned long)plain(full);
	look_bound(e);
	if (!e->spoke)
		e->spoke = out ? SKY_SENT : SKY_RECEIVED;
	if (out && e->vague) {
		e->vague = 0;
		entry_owner(e, (struct sock *)(unsigned long)e->sk);
	}
	if (e->dialled && e->rport == d.rport && addr_eq(e->remote, d.remote)) {
		if (!e->lport) {
			__builtin_memcpy(e->local, d.local, 16);
			e->lport = d.lport;
		}
		add(&e->now, &d, out);
		return;
	}
	row = row_peer(e, &d, v4);
	if (!row) {
		lost_datagram(&d);
		return;
	}
	add(&row->sums, &d, out);
	row_hints(row, role_of(e, false, d.lport, d.rport) == SKY_ROLE_CLIENT ? d.lport : d.rport, e->tgid);
}

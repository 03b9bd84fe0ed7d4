/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* UDP's maps, its sockets' entries, and how what they did gets into rows. agent/bpf/udp.bpf.c describes the whole. */
#pragma once

/* From the UAPI, as kernel.h does. */
struct bpf_spin_lock {
	__u32 val;
};

struct bpf_sock {
	__u32 bound_dev_if, family, type, protocol, mark, priority;
	__u32 src_ip4, src_ip6[4], src_port;
	__u32 dst_port, dst_ip4, dst_ip6[4];
	__u32 state;
	__s32 rx_queue_mapping;
};

struct __sk_buff {
	__u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority;
	__u32 ingress_ifindex, ifindex, tc_index, cb[5], hash, tc_classid, data, data_end, napi_id;
	__u32 family, remote_ip4, local_ip4, remote_ip6[4], local_ip6[4], remote_port, local_port;
	__u32 data_meta;
	__u64 flow_keys __attribute__((aligned(8)));
	__u64 tstamp;
	__u32 wire_len, gso_segs;
	struct bpf_sock *sk __attribute__((aligned(8)));
	__u32 gso_size;
};

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "agent/bpf/fold.bpf.h"
#include "agent/bpf/sock.bpf.h"
#include "agent/bpf/udp.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct sky_udp_sock);
} udp_socks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_HASH);
			__uint(max_entries, 1024);
			__type(key, struct sky_row_key);
			__type(value, struct sky_udp_row);
		});
} udp_rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} watched SEC(".maps");

const volatile __u32 watch_some = 0;
const volatile __u32 max_peers = 256;
const volatile __u32 port_low = 32768, port_high = 60999; /* ports the kernel gives out */

struct sky_udp_counters counters = {};
struct sky_udp_cost cost[SKY_CPUS] = {};
struct sky_udp_ask ask SEC(".data.ask") = {};
__u32 epoch = 0;  /* counts intervals */
__u32 bypass = 0; /* user space has stepped back: nothing is looked at */

#include "agent/bpf/nat.bpf.h"

static const struct sky_udp_row empty_row = {};
const struct sky_row_key key_type = {}; /* only so that the object's types hold it */

#define IPPROTO_UDP 17
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define SOCK_BINDPORT_LOCK 8  /* sk_userlocks: bind() was given a port */
#define DIAL_NS 1000000000ULL /* a connect call is over in this time */

struct sock___udp {
	struct {
		struct {
			__s64 counter;
		} skc_cookie;
	} __sk_common;
	__u8 sk_userlocks : 4;
} __attribute__((preserve_access_index));

/* A context or a socket of the verifier's types as what it is: a pointer to the kernel's socket, without a type. */
static __always_inline struct sock *plain(const void *typed)
{
	__u64 at = (__u64)(unsigned long)typed;
	struct sock *sk = NULL;

	bpf_probe_read_kernel(&sk, sizeof(sk), &at);
	return sk;
}

/* Whether its program chose its port: asked once, when it connects or by its first datagram. */
static __always_inline void look_bound(struct sky_udp_sock *e)
{
	struct sock___udp *sk = (void *)(unsigned long)e->sk;

	if (e->looked || !sk)
		return;
	e->bound = !!(BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) & SOCK_BINDPORT_LOCK);
	e->looked = 1;
}

static __always_inline bool given_out(__u16 port)
{
	return port >= port_low && port <= port_high;
}

static __always_inline __u8 role_of(const struct sky_udp_sock *e, bool dialled, __u16 lport, __u16 rport)
{
	return sky_udp_role(e, dialled, lport, rport, given_out(lport), given_out(rport));
}

/* The key of what e's socket has with a peer; its addresses are left to the caller. */
static __always_inline void key_fill(struct sky_row_key *k, const struct sky_udp_sock *e, bool dialled, __u16 lport,
				     __u16 rport)
{
	k->owner = e->owner;
	k->netns = e->netns;
	k->protocol = IPPROTO_UDP;
	k->role = role_of(e, dialled, lport, rport);
	k->service_port = k->role == SKY_ROLE_CLIENT ? rport : lport;
	k->other_port = k->role == SKY_ROLE_UNKNOWN ? rport : 0;
	k->flags = e->joined ? SKY_FLAG_JOINED : 0;
}

/* An ephemeral port is all that tells where one of a listed address went. */
static __always_inline void key_split(struct sky_row_key *k, __u16 lport, __u16 rport)
{
	if (k->role == SKY_ROLE_CLIENT)
		nat_split(k, k->remote, lport);
	else if (k->role == SKY_ROLE_SERVER)
		nat_split(k, k->local, rport);
}

static __always_inline void row_hints(struct sky_udp_row *row, __u16 port, __u32 tgid)
{
	if (fold_port(row->ports, port))
		__sync_fetch_and_add(&row->listed, 1);
	fold_hint(&row->tgid, tgid);
}

static __always_inline struct sky_udp_row *row_make(void *map, const struct sky_row_key *k)
{
	long err = bpf_map_update_elem(map, k, &empty_row, BPF_NOEXIST);

	if (err == -EBUSY)
		err = bpf_map_update_elem(map, k, &empty_row, BPF_NOEXIST);
	if (err && err != -EEXIST)
		ADD(counters.rows_full, 1);
	else if (!err)
		ADD(counters.rows_made, 1);
	return bpf_map_lookup_elem(map, k);
}

static __always_inline void *row_map(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&udp_rows, &zero);
}

static __always_inline void row_sums(struct sky_udp_row *row, const struct sky_udp_sums *d)
{
	ADD(row->sums.tx_bytes, d->tx_bytes);
	ADD(row->sums.rx_bytes, d->rx_bytes);
	ADD(row->sums.tx_segs, d->tx_segs);
	ADD(row->sums.rx_segs, d->rx_segs);
}

static __always_inline void lost_sums(const struct sky_udp_sums *d)
{
	ADD(counters.lost_segs, d->tx_segs + d->rx_segs);
	ADD(counters.lost_bytes, d->tx_bytes + d->rx_bytes);
}

/* Adds to a row what a connected socket did with its peer since it was last looked at. `end`: that peer is its peer no
 * more. `gone`: nor is there a socket. */
static __always_inline void fold(struct sky_udp_sock *e, __u64 cookie, __u64 at_ns, bool end, bool gone)
{
	struct sky_udp_sums d = {};
	struct sky_row_key k = {};
	struct sky_udp_row *row;
	__u64 from = 0;
	bool first = false, dialled = false, mine;
	void *map;

	bpf_spin_lock(&e->lock);
	mine = e->cookie == cookie;
	if (mine && gone)
		e->cookie = 0;
	if (mine && e->dialled) {
		dialled = true;
		first = !e->told;
		from = e->until_ns;
		e->told = 1;
		if (at_ns > from)
			e->until_ns = at_ns;
		d.tx_bytes = e->now.tx_bytes - e->last.tx_bytes;
		d.rx_bytes = e->now.rx_bytes - e->last.rx_bytes;
		d.tx_segs = e->now.tx_segs - e->last.tx_segs;
		d.rx_segs = e->now.rx_segs - e->last.rx_segs;
		e->last.tx_bytes += d.tx_bytes;
		e->last.rx_bytes += d.rx_bytes;
		e->last.tx_segs += d.tx_segs;
		e->last.rx_segs += d.rx_segs;
		if (end)
			e->dialled = 0;
	}
	bpf_spin_unlock(&e->lock);
	if (!dialled)
		return;
	key_fill(&k, e, true, e->lport, e->rport);
	__builtin_memcpy(k.local, e->local, 16);
	__builtin_memcpy(k.remote, e->remote, 16);
	key_split(&k, e->lport, e->rport);
	map = row_map();
	row = map ? bpf_map_lookup_elem(map, &k) : NULL;
	if (!row && map)
		row = row_make(map, &k);
	if (!row) {
		lost_sums(&d);
		return;
	}
	ADD(row->opened, first && !e->joined);
	ADD(row->closed, end);
	if (at_ns > from)
		ADD(row->open_ms, at_ns / 1000000 - from / 1000000);
	row_sums(row, &d);
	row_hints(row, k.role == SKY_ROLE_CLIENT ? e->lport : e->rport, e->tgid);
}

/* Takes over where the socket really is. False: its memory is another's by now. `connected`: it has a peer. */
static __always_inline bool look_tuple(struct sky_udp_sock *e, __u64 cookie, bool *connected)
{
	struct sock *sk = (void *)(unsigned long)e->sk;
	struct sock___udp *own = (void *)sk;
	struct tuple t = {};

	*connected = true;
	if (!sk) /* adopted: its tuple is what the kernel's list said */
		return true;
	if (!sock_tuple(sk, &t, false))
		return false;
	*connected = BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_ESTABLISHED;
	if ((__u64)BPF_CORE_READ(own, __sk_common.skc_cookie.counter) != cookie)
		return false;
	if (!*connected)
		return true;
	if (t.rport == e->rport && addr_eq(t.remote, e->remote)) {
		__builtin_memcpy(e->local, t.local, 16);
		e->lport = t.lport;
	}
	return true;
}

static __always_inline bool netns_watched(__u32 netns)
{
	return !watch_some || bpf_map_lookup_elem(&watched, &netns);
}

static __always_inline void entry_owner(struct sky_udp_sock *e, struct sock *sk)
{
	owner_task(&e->owner, (struct task_struct *)bpf_get_current_task(), &e->tgid, false);
	owner_cgroup(&e->owner, sk, e->tgid, false);
}

/* An entry for a socket that has none. `process`: we are in its owner's context. */
static __always_inline struct sky_udp_sock *entry_make(__u64 cookie, struct sock *sk, bool process)
{
	struct sky_udp_sock fresh = {};

	fresh.cookie = cookie;
	fresh.sk = (__u64)(unsigned long)sk;
	fresh.netns = sock_netns(sk, false);
	fresh.ignored = !netns_watched(fresh.netns);
	if (process) {
		entry_owner(&fresh, sk);
	} else {
		fresh.vague = 1;
		fresh.owner.flags = SKY_OWNER_SCAN;
		owner_cgroup(&fresh.owner, sk, 0, false);
	}
	if (bpf_map_update_elem(&udp_socks, &cookie, &fresh, BPF_NOEXIST) == -E2BIG)
		ADD(counters.socks_full, 1);
	return bpf_map_lookup_elem(&udp_socks, &cookie);
}

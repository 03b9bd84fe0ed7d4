/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Listening addresses and their owners. A child is born in softirq, where `current` is a stranger: its process
 * is the one that called listen() on its address. Most ports have one listener on any address, so the port's
 * own entry (local zero) answers at once; only where `specific` says that addresses are told apart is the
 * exact entry asked. SO_REUSEPORT groups and prefork servers: any listener of the group gives the same name.
 */
#pragma once

#include "agent/bpf/maps.bpf.h"
#include "agent/bpf/sock.bpf.h"

static __always_inline bool netns_watched(__u32 netns)
{
	return !watch_some || bpf_map_lookup_elem(&watched, &netns);
}

static __always_inline bool addr_any(const __u8 a[16])
{
	const __u32 *w = (const __u32 *)a;

	return !(w[0] | w[1] | w[3]) && (!w[2] || w[2] == bpf_htonl(0xffff));
}

static __noinline int listener_count(const struct sky_listener_key *k, const struct sky_owner *o, bool take,
				     bool specific)
{
	struct sky_listener fresh = {.owner = *o, .count = 1, .specific = specific}, *e;

	e = bpf_map_lookup_elem(&listeners, k);
	if (!e) {
		if (put(&listeners, k, &fresh, BPF_NOEXIST, SKY_SITE_LISTENERS) != -EEXIST)
			return 0;
		e = bpf_map_lookup_elem(&listeners, k);
		if (!e)
			return 0;
	}
	if (take || e->count <= 0)
		e->owner = *o;
	__sync_fetch_and_add(&e->count, 1);
	if (specific)
		__sync_fetch_and_add(&e->specific, 1);
	return 0;
}

static __always_inline void listener_discount(const struct sky_listener_key *k, bool specific)
{
	struct sky_listener *e = bpf_map_lookup_elem(&listeners, k);

	if (!e)
		return;
	__sync_fetch_and_add(&e->count, -1);
	if (specific)
		__sync_fetch_and_add(&e->specific, -1);
}

/* The one of two twins whose delete succeeds takes the counts back. */
static __noinline int listener_remove(__u64 sk)
{
	struct sky_listener_key *found = bpf_map_lookup_elem(&listening, &sk), k;
	bool specific;

	if (!found)
		return 0;
	k = *found;
	if (bpf_map_delete_elem(&listening, &sk))
		return 0;
	specific = !addr_any(k.local);
	if (specific)
		listener_discount(&k, false);
	__builtin_memset(k.local, 0, sizeof(k.local));
	listener_discount(&k, specific);
	return 0;
}

static __always_inline bool listener_same(const struct sky_listener_key *a, const struct sky_listener_key *b)
{
	return a->netns == b->netns && a->port == b->port && addr_eq(a->local, b->local);
}

/* Idempotent: only the run whose insert succeeds counts. */
static __always_inline void listener_add(struct sock *sk, const struct sky_owner *o, bool typed)
{
	struct sky_listener_key k = {}, *old;
	__u64 at = (__u64)(unsigned long)sk;
	struct tuple t;
	bool specific;

	if (!sock_tuple(sk, &t, typed) || !netns_watched(t.netns))
		return;
	k.netns = t.netns;
	k.port = t.lport;
	__builtin_memcpy(k.local, t.local, sizeof(k.local));
	old = bpf_map_lookup_elem(&listening, &at);
	if (old) {
		if (listener_same(old, &k))
			return;
		listener_remove(at); /* another socket was here and its end was missed */
	}
	if (put(&listening, &at, &k, BPF_NOEXIST, SKY_SITE_LISTENERS))
		return;
	specific = !addr_any(k.local);
	if (specific)
		listener_count(&k, o, true, false);
	__builtin_memset(k.local, 0, sizeof(k.local));
	listener_count(&k, o, !specific, specific);
}

/* The owner of a listener whose end would not be seen: its port has an entry that counts none. It goes when it stays so. */
static __always_inline void listener_foretell(struct sock *sk, const struct sky_owner *o)
{
	struct sky_listener fresh = {.owner = *o};
	struct sky_listener_key k = {};
	struct tuple t;

	if (!sock_tuple(sk, &t, false) || !netns_watched(t.netns))
		return;
	k.netns = t.netns;
	k.port = t.lport;
	put(&listeners, &k, &fresh, BPF_NOEXIST, SKY_SITE_LISTENERS);
}

/* The listener a child of (netns, local, port) came from, or NULL. */
static __always_inline struct sky_listener *listener_find(__u32 netns, __u16 port, const __u8 local[16])
{
	struct sky_listener_key k = {.netns = netns, .port = port};
	struct sky_listener *e = bpf_map_lookup_elem(&listeners, &k), *exact;

	if (!e || e->specific <= 0)
		return e;
	__builtin_memcpy(k.local, local, sizeof(k.local));
	exact = bpf_map_lookup_elem(&listeners, &k);
	return exact && exact->count > 0 ? exact : e;
}

/* Owner of a child: its own cgroup (inherited from the listener's creator), its listener's process. */
static __always_inline void owner_child(struct sky_owner *o, struct sock *sk, const struct tuple *t, __u32 *tgid,
					bool typed)
{
	struct sky_listener *l = listener_find(t->netns, t->lport, t->local);

	*tgid = 0;
	o->flags = SKY_OWNER_INHERITED;
	if (l) {
		__builtin_memcpy(o->comm, l->owner.comm, sizeof(o->comm));
		o->flags |= l->owner.flags;
		*tgid = l->owner.tgid;
	}
	owner_cgroup(o, sk, *tgid, typed);
}

/* Owner of what `current` just made: it is the caller's own context. */
static __always_inline void owner_current(struct sky_owner *o, struct sock *sk, __u32 *tgid, bool typed)
{
	if (compat_typed_task(typed))
		owner_task(o, bpf_get_current_task_btf(), tgid, true);
	else
		owner_task(o, (struct task_struct *)bpf_get_current_task(), tgid, false);
	owner_cgroup(o, sk, *tgid, typed);
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Entries of `socks`, and how they come and go.
 *
 * An insert and a delete for each connection were the dearest thing the hook did. The kernel gives out the memory of a
 * socket that ended again at once, so an entry is left in its place when its socket ends, free (id 0), and the next socket
 * at that address writes over it. The kernel's pages of sockets wander all the same: a storm of 60,000 meets 2,600 addresses.
 * So user space has free places removed when half of socks_keep is in use, and past socks_keep an entry goes at its end.
 *
 *  - A free place is written by the hook only, and only for the socket whose event it is in: the socket's lock orders them.
 *  - Who would take it adds SKY_LIVE to `turn`, who would remove it adds 1, then each looks for the other: one word and locked
 *    adds, so not both go on, and what is written is never another key's. When neither goes on, the place is removed and the
 *    connection has no entry: fail[SOCKS][BUSY], and it is counted whole at its CLOSE.
 *  - What is not free and should be, the entry of a socket whose CLOSE was missed, is removed and made anew.
 *  - id is taken away before anything else of the entry changes and given last. Who found id N before and after reading the
 *    rest has read N's; user space copies the id first, and what it asks about is compared again (agent/bpf/walk.bpf.h).
 */
#pragma once

#include "agent/bpf/log.bpf.h"
#include "agent/bpf/maps.bpf.h"

#define ORDER() asm volatile("" ::: "memory") /* of stores: x86 keeps it, the compiler would not */

/* A new place, free. NULL: no room, counted; or adopted at this moment, which is an entry as good. */
static __always_inline struct sky_sock *entry_make(__u64 at)
{
	struct sky_sock *e;

	if (!put(&socks, &at, &empty_sock, BPF_NOEXIST, SKY_SITE_SOCKS)) {
		__sync_fetch_and_add(&counters.socks_made, 1);
		log_line(at, 0);
	}
	e = bpf_map_lookup_elem(&socks, &at);
	return e && !e->id ? e : NULL;
}

static __always_inline long entry_remove(__u64 at)
{
	long err = bpf_map_delete_elem(&socks, &at);

	if (!err)
		__sync_fetch_and_add(&counters.socks_made, -1);
	return err;
}

/* The place is this socket's, unless it is being removed. */
static __always_inline bool entry_take(__u64 at, struct sky_sock *e)
{
	__sync_fetch_and_add(&e->turn, SKY_LIVE);
	if (!(*(volatile __u32 *)&e->turn & SKY_LEAVING))
		return true;
	entry_remove(at);
	count_failure(SKY_SITE_SOCKS, -EBUSY);
	return false;
}

static __always_inline __u64 entry_id(__u64 now)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return sky_id(&handled[cpu & (SKY_CPUS - 1)], now, cpu);
}

/* Filled: from now on it is there for others. */
static __always_inline void entry_give(struct sky_sock *e, __u64 id)
{
	e->walked = 0;
	ORDER();
	e->id = id;
}

/* 1 if a walk asked about it, else 0. Reckoned, not compared: the verifier of 5.10 then learns from the first test of it what
 * comes of the later ones, and without that goes through the hook for minutes. */
static __always_inline __u64 entry_walked(const struct sky_sock *e)
{
	__u64 other = *(volatile const __u32 *)&e->walked ^ sky_walk_mark(e->id);

	asm volatile("" : "+r"(other));
	other = (other - 1) >> 63;
	asm volatile("" : "+r"(other));
	return other;
}

/* Its socket ended, and that is counted. */
static __always_inline void entry_leave(__u64 at, struct sky_sock *e)
{
	if (counters.socks_made > socks_keep || *(volatile __u32 *)&e->turn & SKY_LEAVING) {
		entry_remove(at);
		return;
	}
	ORDER();
	e->id = 0;
	ORDER();
}

/* Removes a place that is free. */
static __always_inline bool entry_sweep(__u64 at, struct sky_sock *e)
{
	volatile struct sky_sock *now = e;

	if (now->turn & SKY_LIVE || now->id)
		return false;
	__sync_fetch_and_add(&e->turn, 1);
	return !(now->turn & SKY_LIVE) && !now->id && !entry_remove(at);
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Entries of `socks`, and how they come and go.
 *
 * An insert and a delete for each connection were the dearest thing the hook did. The kernel gives out the memory of a
 * socket that ended again at once, so an entry is left in its place when its socket ends, free (id 0), and the next socket
 * at that address writes over it. Past socks_keep places the entry goes instead: addresses that do not come back never hold
 * more than that part of the map.
 *
 *  - Only the hook writes an entry that is free, and only for the socket whose event it is in: the socket's lock orders them.
 *  - Nobody but the hook removes a free entry (the walker removes what still has the id it asked for; adopting iterators only
 *    at the address of a socket that lives). So the place cannot go to another key while it is written. What is not free
 *    and should be, the entry of a socket whose CLOSE was missed, is removed and made anew.
 *  - id is taken away before anything else of the entry changes and given last. Who found id N before and after reading the
 *    rest has read N's; user space copies the id first, and what it asks about is compared again (agent/bpf/walk.bpf.h).
 */
#pragma once

#include "agent/bpf/maps.bpf.h"

#define ORDER() asm volatile("" ::: "memory") /* of stores: x86 keeps it, the compiler would not */

/* A new place, free. NULL: no room, counted. */
static __always_inline struct sky_sock *entry_make(__u64 at)
{
	if (!put(&socks, &at, &empty_sock, BPF_NOEXIST, SKY_SITE_SOCKS))
		__sync_fetch_and_add(&counters.socks_made, 1);
	return bpf_map_lookup_elem(&socks, &at);
}

static __always_inline long entry_remove(__u64 at)
{
	long err = bpf_map_delete_elem(&socks, &at);

	if (!err)
		__sync_fetch_and_add(&counters.socks_made, -1);
	return err;
}

/* Filled: from now on it is there for others. */
static __always_inline void entry_give(struct sky_sock *e, __u64 id)
{
	e->seen = 0;
	e->walked = 0;
	e->dead = 0;
	ORDER();
	e->id = id;
}

/* Its socket ended, and that is counted. */
static __always_inline void entry_leave(__u64 at, struct sky_sock *e)
{
	if (counters.socks_made > socks_keep) {
		entry_remove(at);
		return;
	}
	ORDER();
	e->id = 0;
	ORDER();
}

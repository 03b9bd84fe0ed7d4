/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Addresses behind which several others stand (agent/nat.c lists them): each connection to one has a row of its own, found by
 * its ephemeral port, so that user space can put it where it went and add up what went to one place. Bounded: past
 * nat_rows_max rows since the last drain they are summed as all others are, and user space flags what it cannot tell apart.
 * Included where `counters` with its rows_made is known, TCP's or UDP's.
 */
#pragma once

#include <bpf/bpf_helpers.h>

#include "agent/bpf/event.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SKY_NAT_ENDS);
	__type(key, struct sky_address); /* a client's remote, a server's local */
	__type(value, __u32);
} nat_ends SEC(".maps");

const volatile __u32 nat_rows_max = 0;
__u32 nat_listed = 0; /* addresses in the map; 0: not looked at */

static __always_inline void nat_split(struct sky_row_key *key, const void *address, __u16 port)
{
	if (nat_listed && counters.rows_made < nat_rows_max && bpf_map_lookup_elem(&nat_ends, address))
		key->other_port = port;
}

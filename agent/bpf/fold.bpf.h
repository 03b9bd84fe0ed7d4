/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What adds to a row, TCP's or UDP's. */
#pragma once

#include "agent/bpf/event.h"

#define ADD(field, n)                                       \
	do {                                                \
		__u64 n_ = (n);                             \
		if (n_)                                     \
			__sync_fetch_and_add(&(field), n_); \
	} while (0)

/* Lists an ephemeral port while there is room. Two CPUs may write one place: then one port is not listed. How many there
 * were is `opened`: user space sets ports_seen (agent/rows.c, agent/udp.c). True: it took a place. */
static __always_inline bool fold_port(__u16 ports[SKY_PORTS], __u16 port)
{
	if (ports[SKY_PORTS - 1])
		return false;
#pragma unroll
	for (int i = 0; i < SKY_PORTS; i++) {
		if (ports[i] == port)
			return false;
		if (!ports[i]) {
			ports[i] = port;
			return true;
		}
	}
	return false;
}

/* A process of the row's owner. A plain store would make the line travel between CPUs for nothing. */
static __always_inline void fold_hint(__u32 *row, __u32 tgid)
{
	if (tgid && *row != tgid)
		*row = tgid;
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The log: how user space learns which addresses `socks` has without listing it (agent/places.c reads it). One line for each place
 * made, none for a connection that finds a place; so it is written seldom, and a CPU's ring is overrun only while the table
 * is so full that places go with their sockets. User space sees that by `n`, and lists the table.
 *
 * A program that is interrupted here by another one (softirq, from 7 on preemption) may share its line. Each adds to `n` once,
 * so the one whose store may have hit another's finds `n` farther than it left it, and counts `torn`: user space lists the table then
 * too. (A fetching add would do without, but came with 5.12.)
 *
 * Line and `n` may be seen in the other order where stores have none (arm64: this add is no barrier). So a line says which turn of
 * the ring wrote it, and one that is not there yet counts as lost.
 */
#pragma once

#include <bpf/bpf_helpers.h>

#include "agent/bpf/event.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* rings, set by user space */
	__type(key, __u32);
	__type(value, struct sky_log);
} news SEC(".maps");

/* Its stack is not the hook's. Not global: `at` may be a typed pointer, and the verifier lets such have numbers only. */
static __noinline int log_line(__u64 at, __u64 what)
{
	__u32 ring = bpf_get_smp_processor_id() & (SKY_LOG_RINGS - 1);
	struct sky_log *l = bpf_map_lookup_elem(&news, &ring);
	__u64 n, line = 0;

	if (!l)
		return 0;
	bpf_probe_read_kernel(&line, sizeof(line), &at); /* by a helper: a number, and no pointer any more */
	n = *(volatile __u64 *)&l->n;
	l->line[n & (SKY_LOG_LINES - 1)] = line | what | sky_log_lap(n);
	__sync_fetch_and_add(&l->n, 1);
	if (*(volatile __u64 *)&l->n != n + 1)
		__sync_fetch_and_add(&l->torn, 1);
	return 0;
}

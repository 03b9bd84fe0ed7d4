/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Every difference between kernels that the code must know, each with the test that finds it out. */
#pragma once

#include <bpf/bpf_core_read.h>

/* The socket's own v2 cgroup. Before 5.15 (8520e224f547, "bpf, cgroups: Fix cgroup v2 fallback") the field is a
 * word that net_cls and net_prio share: with a low bit set it is no pointer. 0 = unknown. */
static __always_inline __u64 compat_cgroup(struct sock *sk)
{
	struct cgroup *cgroup;

	if (bpf_core_field_exists(struct sock_cgroup_data, cgroup)) {
		cgroup = BPF_CORE_READ(sk, sk_cgrp_data.cgroup);
	} else {
		struct sock_cgroup_data___old *old = (void *)__builtin_preserve_access_index(&sk->sk_cgrp_data);
		__u64 val = BPF_CORE_READ(old, val);

		if (val & 3)
			return 0;
		cgroup = (struct cgroup *)(unsigned long)val;
	}
	return BPF_CORE_READ(cgroup, kn, id);
}

/* Differences that are no field but a behaviour are tried by user space and come in as read-only data or map
 * flags (agent/load.c): whether a raw_tp program is skipped when it interrupts itself (6.1+, so that it takes
 * two), whether hash maps may allocate in a tracing program (6.1+), which iterators exist. */

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Every difference between kernels that the code must know, each with the test that finds it out. */
#pragma once

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/*
 * Reading the kernel's memory. A program attached through BTF (tp_btf) gets typed pointers, and the verifier lets it
 * load from them directly (1 ns); from a bare address it takes a helper (6 to 30 ns each, forty a connection). The
 * code is one: `typed` says how, and being constant in each program, leaves one of the two.
 */
#define READ(typed, p, field)                                                \
	({                                                                   \
		typeof((p)->field) v_;                                       \
		if (typed)                                                   \
			v_ = (p)->field;                                     \
		else                                                         \
			bpf_core_read((void *)&v_, sizeof(v_), &(p)->field); \
		v_;                                                          \
	})

/* The same for an array of 16 bytes. */
#define READ16(typed, to, p, field)                                    \
	do {                                                           \
		if (typed) {                                           \
			((__u64 *)(to))[0] = ((__u64 *)(p)->field)[0]; \
			((__u64 *)(to))[1] = ((__u64 *)(p)->field)[1]; \
		} else {                                               \
			bpf_core_read(to, 16, &(p)->field);            \
		}                                                      \
	} while (0)

enum bpf_func_id___task { BPF_FUNC_get_current_task_btf___task = 158 };

/* bpf_get_current_task_btf came with 5.11: typed pointers to a task before that there are none. */
static __always_inline bool compat_typed_task(bool typed)
{
	return typed && bpf_core_enum_value_exists(enum bpf_func_id___task, BPF_FUNC_get_current_task_btf___task);
}

/* The socket's own v2 cgroup. Before 5.15 (8520e224f547, "bpf, cgroups: Fix cgroup v2 fallback") the field is a
 * word that net_cls and net_prio share: with a low bit set it is no pointer. 0 = unknown. */
static __always_inline __u64 compat_cgroup(struct sock *sk, bool typed)
{
	struct sock_cgroup_data___old *old = (void *)__builtin_preserve_access_index(&sk->sk_cgrp_data);
	struct kernfs_node *kn;
	struct cgroup *cgroup;
	__u64 val;

	if (bpf_core_field_exists(struct sock_cgroup_data, cgroup)) {
		cgroup = READ(typed, sk, sk_cgrp_data.cgroup);
		kn = READ(typed, cgroup, kn);
		return READ(typed, kn, id);
	}
	val = BPF_CORE_READ(old, val);
	if (val & 3)
		return 0;
	cgroup = (struct cgroup *)(unsigned long)val;
	return BPF_CORE_READ(cgroup, kn, id);
}

/*
 * The moment at which the stack took up the packet it is working on, without reading the clock again (45 ns where that
 * is dear). tcp_rcv_state_process(), tcp_rcv_established() and the timers store the clock of bpf_ktime_get_ns() there
 * before anything else (tcp_mstamp_refresh(), 4.20 on); calls of a program do not. So it is asked only in a transition
 * that nothing but a packet makes, and `since` is what it cannot be before: older than that, it is of an earlier packet.
 */
static __always_inline __u64 compat_packet_ns(struct tcp_sock *tp, __u64 since, bool typed)
{
	__u64 at = 0;

	if (bpf_core_field_exists(tp->tcp_clock_cache))
		at = READ(typed, tp, tcp_clock_cache);
	return at > since ? at : bpf_ktime_get_ns();
}

/* Differences that are no field but a behaviour are tried by user space and come in as read-only data or map
 * flags (agent/load.c): whether typed pointers are to be had, whether a raw_tp program is skipped when it
 * interrupts itself (6.1+, so that it takes two), whether hash maps may allocate in a tracing program (6.1+). */

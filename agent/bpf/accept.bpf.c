// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Who accepted. A child's entry has the cgroup and the process of its listener (agent/bpf/owner.bpf.h): right as long as
 * who listens also serves. It is wrong when init made the listener and handed it over (socket activation), when its
 * maker moved to another cgroup, or when several programs share it. The one who calls accept() is known for sure, in
 * security_sock_graft(child, socket): it joins the child to the new descriptor, in the acceptor's own context.
 *
 *  - It is called with the child's lock held (inet_accept(), and so io_uring's accept and kernel_accept()), after the
 *    child was established: its entry is there, and no CLOSE is under way on another CPU. The walker reads without that
 *    lock: it may see half of one owner and half of the other, once: who accepted tells it of an entry it has read (SKY_LOG_OWNER).
 *  - What ends before it is accepted keeps its listener's owner, `inherited`; so does a child of TCP fast open, which is
 *    accepted before it is established.
 *  - A kernel thread accepts for somebody else (io_uring before 5.12) unless it listens itself: then nothing is changed.
 *  - A connection that is passed on after accept() stays with who accepted it.
 *
 * Why not the return of inet_csk_accept(): it comes before the child's lock is taken, so before its ESTABLISHED now and then,
 * and its entry could be written by two at once; a return probe also has a bound on how many threads may wait in accept().
 *
 * An object of its own: where neither way to attach exists, the hook does not miss it.
 */
#include "agent/bpf/kernel.h"

#include "agent/bpf/log.bpf.h"
#include "agent/bpf/sock.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The map of agent/bpf/flow.bpf.c; user space puts it in its place. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct sky_sock);
} socks SEC(".maps");

__u64 refined = 0; /* entries that got their acceptor */

#define ORDER() asm volatile("" ::: "memory")

static __always_inline int grafted(struct sock *sk, bool typed)
{
	__u64 at = (__u64)(unsigned long)sk;
	struct sky_owner o = {};
	struct sky_sock *e;
	__u32 tgid;

	if (READ(typed, sk, sk_protocol) != IPPROTO_TCP)
		return 0;
	e = bpf_map_lookup_elem(&socks, &at);
	if (!e || !e->id || e->phase != SKY_OPEN || e->key.role != SKY_ROLE_SERVER ||
	    e->rport != bpf_ntohs(READ(typed, sk, __sk_common.skc_dport)))
		return 0;
	if (compat_typed_task(typed))
		owner_task(&o, bpf_get_current_task_btf(), &tgid, true);
	else
		owner_task(&o, (struct task_struct *)bpf_get_current_task(), &tgid, false);
	if (o.flags & SKY_OWNER_KERNEL && !(e->key.owner.flags & SKY_OWNER_KERNEL))
		return 0;
	o.cgroup = bpf_get_current_cgroup_id();
	o.tgid = o.cgroup <= 1 ? tgid : 0;
	e->key.owner.cgroup = o.cgroup;
	e->key.owner.tgid = o.tgid;
	__builtin_memcpy(e->key.owner.comm, o.comm, sizeof(o.comm));
	e->tgid = tgid;
	ORDER();
	e->key.owner.flags = o.flags;
	__sync_fetch_and_add(&refined, 1); /* a full barrier: the walker sees the owner, or we see its mark */
	if (*(volatile __u32 *)&e->walked == sky_walk_mark(e->id))
		log_line(at, SKY_LOG_OWNER);
	return 0;
}

SEC("fentry/security_sock_graft")
int graft_fentry(__u64 *ctx)
{
	return grafted((struct sock *)(unsigned long)ctx[0], true);
}

/* The first argument of a function, by architecture: whichever the kernel's own pt_regs has. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct pt_regs___x86 {
	unsigned long di;
};
struct pt_regs___arm64 {
	unsigned long regs[31];
};
#pragma clang attribute pop

SEC("kprobe/security_sock_graft")
int graft_kprobe(void *ctx)
{
	struct sock *sk = NULL;
	__u32 at;

	if (bpf_core_field_exists(struct pt_regs___x86, di))
		at = bpf_core_field_offset(struct pt_regs___x86, di);
	else if (bpf_core_field_exists(struct pt_regs___arm64, regs))
		at = bpf_core_field_offset(struct pt_regs___arm64, regs);
	else
		return 0;
	/* by a helper: the compiler would make one load of two, at an offset the verifier does not know */
	bpf_probe_read_kernel(&sk, sizeof(sk), (char *)ctx + at);
	return sk ? grafted(sk, false) : 0;
}

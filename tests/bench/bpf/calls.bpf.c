/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the agent is compared with: a probe that traces each send and receive call, as many agents do. The call's descriptor
 * is kept from its entry to its exit; there the bytes it returned are added to its connection, by process and descriptor.
 * Whose descriptor is met for the first time is looked at once: a TCP socket with its tuple, or something else (kept too,
 * so that reading files costs no more than that). A close tells the connection's sums to user space.
 */
#include "agent/bpf/kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "tests/bench/bpf/calls.h"

#define BPF_MAP_TYPE_RINGBUF 27

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};
struct files_struct {
	struct fdtable *fdt;
};
struct task_struct___files {
	struct files_struct *files;
};
#pragma clang attribute pop

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64); /* thread */
	__type(value, __u32);
} under_way SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct call_key);
	__type(value, struct call_conn);
} conns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} ended SEC(".maps");

/* Layout of the trace events syscalls/sys_enter_* and sys_exit_*. */
struct enter {
	__u64 common;
	__s64 nr;
	__u64 args[6];
};
struct leave {
	__u64 common;
	__s64 nr, ret;
};

static __always_inline int call_begin(const struct enter *ctx)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u32 fd = (__u32)ctx->args[0];

	bpf_map_update_elem(&under_way, &thread, &fd, BPF_ANY);
	return 0;
}

static __noinline void conn_look(struct call_conn *c, __u32 fd)
{
	struct task_struct___files *task = (void *)(unsigned long)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file *file = NULL;
	struct socket *socket;
	struct sock *sk;

	if (fd >= BPF_CORE_READ(table, max_fds))
		return;
	bpf_probe_read_kernel(&file, sizeof(file), BPF_CORE_READ(table, fd) + fd);
	if (!file || BPF_CORE_READ(file, f_inode, i_sb, s_magic) != SOCKFS_MAGIC)
		return;
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	if (BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return;
	c->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	c->lport = BPF_CORE_READ(sk, __sk_common.skc_num);
	c->rport = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (c->family == AF_INET) {
		BPF_CORE_READ_INTO(&c->local, sk, __sk_common.skc_rcv_saddr);
		BPF_CORE_READ_INTO(&c->remote, sk, __sk_common.skc_daddr);
	} else if (c->family == AF_INET6) {
		bpf_core_read(c->local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_core_read(c->remote, 16, &sk->__sk_common.skc_v6_daddr);
	} else {
		c->family = 0;
	}
}

static __always_inline int call_end(const struct leave *ctx, bool sends)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u32 *fd = bpf_map_lookup_elem(&under_way, &thread);
	struct call_key key = {.tgid = (__u32)(thread >> 32)};
	struct call_conn *c;

	if (!fd)
		return 0;
	key.fd = *fd;
	bpf_map_delete_elem(&under_way, &thread);
	if (ctx->ret <= 0)
		return 0;
	c = bpf_map_lookup_elem(&conns, &key);
	if (!c) {
		struct call_conn new = {};

		conn_look(&new, key.fd);
		bpf_map_update_elem(&conns, &key, &new, BPF_NOEXIST);
		c = bpf_map_lookup_elem(&conns, &key);
	}
	if (!c || !c->family)
		return 0;
	__sync_fetch_and_add(sends ? &c->sent : &c->received, (__u64)ctx->ret);
	__sync_fetch_and_add(sends ? &c->sends : &c->receives, 1);
	return 0;
}

#define TRACED(call, sends)                             \
	SEC("tracepoint/syscalls/sys_enter_" #call)     \
	int calls_enter_##call(const struct enter *ctx) \
	{                                               \
		return call_begin(ctx);                 \
	}                                               \
	SEC("tracepoint/syscalls/sys_exit_" #call)      \
	int calls_exit_##call(const struct leave *ctx)  \
	{                                               \
		return call_end(ctx, sends);            \
	}

TRACED(sendto, true)
TRACED(sendmsg, true)
TRACED(write, true)
TRACED(recvfrom, false)
TRACED(recvmsg, false)
TRACED(read, false)

SEC("tracepoint/syscalls/sys_enter_close")
int calls_close(const struct enter *ctx)
{
	struct call_key key = {(__u32)(bpf_get_current_pid_tgid() >> 32), (__u32)ctx->args[0]};
	struct call_conn *c = bpf_map_lookup_elem(&conns, &key);

	if (!c)
		return 0;
	if (c->family)
		bpf_ringbuf_output(&ended, c, sizeof(*c), 0);
	bpf_map_delete_elem(&conns, &key);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

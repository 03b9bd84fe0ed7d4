/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Sockets older than the agent. Owners of listeners are read before the hook is attached, for the first children; all
 * else after it, so that whatever happens meanwhile is seen. An
 * entry made here never replaces one of the hook's (NOEXIST), is `walked` from the start (its CLOSE goes to
 * user space) and its totals of this moment are written out: user space starts from them, so only what
 * happens from now on is counted. iter/task_file knows the owner and sees all network namespaces; iter/tcp
 * runs inside one and finds what has no descriptor (accept queue, orphans, MPTCP's subflows).
 *
 * The kernel goes on within one read() until there is as much as was asked for, a line; most descriptors are no socket, and
 * looking for listeners writes none at all. So an empty line is written now and then: a read() ends, whoever wants the CPU has it
 * (before 5.11 the kernel does not let go in between), and a pass is many short pieces on a host of any size.
 */
#pragma once

#include "agent/bpf/entry.bpf.h"
#include "agent/bpf/owner.bpf.h"

#define ADOPT_PIECE 256 /* objects looked at between two lines, at most */

static const struct sky_adopted adopt_nothing = {};
__u32 adopt_looked = 0;

static __always_inline void adopt_pause(struct seq_file *seq)
{
	if (++adopt_looked % ADOPT_PIECE == 0)
		bpf_seq_write(seq, &adopt_nothing, sizeof(adopt_nothing));
}

/* Law L4: what a listener left behind, else whether anybody listens on its port, else nobody knows. */
static __always_inline __u32 adopt_role(struct sock *sk, const struct tuple *t)
{
	struct sky_listener *l;

	if (BPF_CORE_READ(sk, sk_max_ack_backlog))
		return SKY_ROLE_SERVER;
	l = listener_find(t->netns, t->lport, t->local);
	return l && l->count > 0 ? SKY_ROLE_UNKNOWN : SKY_ROLE_CLIENT;
}

static __always_inline bool adopt_fill(struct sky_sock *e, struct sock *sk, struct task_struct *task)
{
	struct sky_owner *o = &e->key.owner;
	struct tuple t;

	if (!sock_tuple(sk, &t, false) || !netns_watched(t.netns))
		return false;
	e->key.role = e->phase == SKY_CONNECTING ? SKY_ROLE_CLIENT : adopt_role(sk, &t);
	if (task) {
		owner_task(o, task, &e->tgid, false);
		owner_cgroup(o, sk, e->tgid, false);
	} else if (e->key.role == SKY_ROLE_SERVER) {
		owner_child(o, sk, &t, &e->tgid, false);
	} else {
		owner_cgroup(o, sk, 0, false);
	}
	o->flags |= SKY_OWNER_SCAN;
	__builtin_memcpy(e->key.local, t.local, sizeof(t.local));
	__builtin_memcpy(e->key.remote, t.remote, sizeof(t.remote));
	e->key.netns = t.netns;
	e->key.service_port = e->key.role == SKY_ROLE_CLIENT ? t.rport : t.lport;
	e->key.other_port = e->key.role == SKY_ROLE_UNKNOWN ? t.rport : 0;
	e->key.protocol = IPPROTO_TCP;
	e->key.flags = SKY_FLAG_JOINED;
	e->lport = t.lport;
	e->rport = t.rport;
	return true;
}

static __always_inline void adopt_connection(struct sock *sk, struct task_struct *task, __u8 state,
					     struct seq_file *seq)
{
	struct sky_adopted line = {};
	struct sky_sock *there;
	__u64 at = (__u64)(unsigned long)sk, now = bpf_ktime_get_ns();

	line.sock.id = entry_id(now);
	line.sock.walked = sky_walk_mark(line.sock.id);
	line.sock.turn = SKY_LIVE;
	line.sock.phase = state == TCP_SYN_SENT ? SKY_CONNECTING : SKY_OPEN;
	if (line.sock.phase == SKY_OPEN)
		line.sock.since_ns = now;
	if (!adopt_fill(&line.sock, sk, task))
		return;
	if (line.sock.phase == SKY_OPEN)
		totals_read((struct tcp_sock *)sk, &line.totals, line.sock.key.role, 0, false, false);
	there = bpf_map_lookup_elem(&socks, &at);
	if (there && !there->id) /* left by another socket: this one's beginning was missed */
		entry_remove(at);
	if (put(&socks, &at, &line.sock, BPF_NOEXIST, SKY_SITE_SOCKS))
		return;
	__sync_fetch_and_add(&counters.socks_made, 1);
	log_line(at, 0);
	if (BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_CLOSE) {
		entry_remove(at);
		return;
	}
	if (line.sock.phase == SKY_OPEN)
		bpf_seq_write(seq, &line, sizeof(line));
}

static __always_inline void adopt_sock(struct sock *sk, struct task_struct *task, struct seq_file *seq)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);
	struct sky_owner o = {};
	__u32 tgid = 0;

	if (family != AF_INET && family != AF_INET6)
		return;
	if (state == TCP_SYN_RECV || state == TCP_TIME_WAIT || state == TCP_CLOSE || state > TCP_CLOSING)
		return;
	if (BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return;
	if ((state == TCP_LISTEN) != (adopt_pass != SKY_ADOPT_OPEN))
		return;
	if (state != TCP_LISTEN) {
		adopt_connection(sk, task, state, seq);
		return;
	}
	if (task)
		owner_task(&o, task, &tgid, false);
	o.cgroup = compat_cgroup(sk, false);
	o.tgid = tgid;
	o.flags |= SKY_OWNER_SCAN;
	if (adopt_pass == SKY_ADOPT_OWNERS)
		listener_foretell(sk, &o);
	else
		listener_add(sk, &o, false);
}

SEC("iter/task_file")
int adopt_files(struct bpf_iter__task_file *ctx)
{
	struct file *file = NULL;
	struct task_struct *task = NULL;
	struct socket *sock;

	bpf_probe_read_kernel(&file, sizeof(file), &ctx->file);
	bpf_probe_read_kernel(&task, sizeof(task), &ctx->task);
	if (!file || !task)
		return 0;
	adopt_pause(ctx->meta->seq);
	if (BPF_CORE_READ(file, f_inode, i_sb, s_magic) != SOCKFS_MAGIC)
		return 0;
	sock = BPF_CORE_READ(file, private_data);
	adopt_sock(BPF_CORE_READ(sock, sk), task, ctx->meta->seq);
	return 0;
}

SEC("iter/tcp")
int adopt_tcp(struct bpf_iter__tcp *ctx)
{
	struct sock *sk = NULL;

	bpf_probe_read_kernel(&sk, sizeof(sk), &ctx->sk_common);
	if (!sk)
		return 0;
	adopt_pause(ctx->meta->seq);
	adopt_sock(sk, NULL, ctx->meta->seq);
	return 0;
}

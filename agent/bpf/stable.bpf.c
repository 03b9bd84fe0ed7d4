// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The hook of the mode `stable`: for kernels about whose structures nothing is known.
 *
 * It reads classic tracepoints only, each field where the kernel's own description of the event says it lies; no struct of
 * the kernel is read and there is no relocation in this object, so it loads with no BTF of the kernel at all. It tells what
 * no dump of sock_diag knows: who connected, when, how long the handshake took, how it ended. What was
 * said meanwhile (bytes, segments, round trips) the kernel sends itself when a socket is destroyed; both parts carry the socket's
 * cookie, by which user space joins them (agent/source_stable.c).
 *
 *     sock:inet_sock_set_state    -> SYN_SENT, ESTABLISHED, LISTEN, CLOSE: an entry in `socks`, by the socket's address
 *     tcp:tcp_destroy_sock        address and cookie at once: the entry goes to `ended`, by cookie
 *     tcp:tcp_receive_reset       the peer reset it (a refused attempt is one)
 *     tcp:tcp_send_reset          we did
 *     sock:inet_sk_error_report   the error a connection ended with (5.14); before its CLOSE, from 6.10 on after it
 *
 * The kernel runs no program of this kind while any BPF program but a raw one, or a call on a map, runs on the same CPU
 * (bpf_prog_active): softirq that interrupts such a one goes unseen, and from 7 on, where programs may be preempted, whatever
 * runs there meanwhile: 6 connections of 100 in a machine of translated code. Programs on *raw* tracepoints are passed over
 * only when they themselves run. They are given the socket's address and its states, and read nothing: who, when, how it
 * ended is known from them, not with whom. So both are here, attached to the same events. Each does what the other has
 * not done yet, in either order: the entry is made by who comes first, the classic ones add addresses and ports
 * (STABLE_UNNAMED until then). The raw ones are attached as often as the hook of flow.bpf.c is, for its reasons.
 *
 * Was the peer's FIN counted in the bytes received? Known by the state it left, but for FIN_WAIT2: there it was if the program
 * still held the socket (shutdown() and a FIN later), and if not, when there is one thing unread in it. So it is told whether a
 * socket was destroyed in the same go as it was closed: same CPU, same thread, at once.
 *
 * Lost: an event that reached neither kind. A beginning missed: STABLE_PARTIAL; a CLOSE: STABLE_CLOSELESS. A destruction only
 * raw programs saw (STABLE_GONE) has no cookie: user space joins it by addresses and ports. All missed: the kernel's message
 * is alone. ActiveOpens and PassiveOpens tell how many (agent/opens.c).
 */
#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include "agent/bpf/event.h"
#include "agent/bpf/stable.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
/* Between a CLOSE and the destruction that follows lies 1 us, and whatever interrupts it: an interrupt, another machine on the
 * same CPU. A program that reads of the peer's FIN and closes comes this soon after only where the FIN interrupted itself. */
#define AT_ONCE_NS 1000000
/* Later than that, but not this much, it may be one or the other: STABLE_LATER. */
#define LATER_NS 50000000
/* An entry that began this short a time ago and has not ended is of the same event: a program that comes after another waits
 * for interrupts and other programs only; no socket at its address has begun since without any program seeing the former's end.
 * One without a name is of the same event however late it is: the classic program comes last, unless another tool had one
 * before us. */
#define SAME_NS 50000000

/* UAPI since the tracepoint carries them. */
enum { ESTABLISHED = 1, SYN_SENT, SYN_RECV, FIN_WAIT1, CLOSE = 7, LISTEN = 10 };

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64); /* address of the socket */
	__type(value, struct stable_sock);
} socks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64); /* cookie, or id with the highest bit set */
	__type(value, struct stable_sock);
} ended SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64); /* address of the socket */
	__type(value, struct stable_listener);
} listening SEC(".maps");

/* What happened last on this CPU. */
struct last {
	__u64 closed, at_ns, thread;
	__u32 error;
	__u16 sport, dport; /* of the error */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct last);
} last SEC(".maps");

const volatile struct stable_offsets at = {};
const volatile __u32 raw_last = 0; /* of the raw programs a, b, c, d: up to which they are attached */
struct sky_handled handled[SKY_CPUS] = {};
struct stable_counters counters = {};
__u32 bypass = 0; /* user space has stepped back: nothing is looked at */
static const struct stable_sock empty_sock = {};

#define FIELD(to, offset) bpf_probe_read_kernel(&(to), sizeof(to), (const char *)ctx + ((offset)&0xff))

/* Program a notes what it is about to do, the others pass over just that, once: as agent/bpf/flow.bpf.c, invariant 6. */
static __always_inline bool handled_already(__u64 sk, __u64 what, __u32 copy)
{
	struct sky_handled *h = &handled[bpf_get_smp_processor_id() & (SKY_CPUS - 1)];

	if (!copy) {
		h->sk = sk;
		h->what = what;
		return false;
	}
	if (h->sk != sk || h->what != what)
		return false;
	if (copy == raw_last)
		h->sk = 0;
	return true;
}

static __always_inline struct last *last_here(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&last, &zero);
}

/* Nothing more comes of it: user space may have it. */
static __always_inline void give(struct stable_sock *e)
{
	__u64 key = e->cookie ?: e->id | 1ULL << 63;

	if (bpf_map_update_elem(&ended, &key, e, BPF_ANY))
		__sync_fetch_and_add(&counters.ended_full, 1);
}

/* The entry of a socket that begins; what is there is of one whose end was missed, or of this one's earlier attempt. */
static __always_inline struct stable_sock *fresh(__u64 sk, __u64 now)
{
	struct stable_sock *e = bpf_map_lookup_elem(&socks, &sk);
	__u32 cpu = bpf_get_smp_processor_id();

	if (e) {
		if (!(e->flags & STABLE_ENDED)) {
			e->flags |= STABLE_ENDED | STABLE_CLOSELESS;
			e->at_ns = now;
			__sync_fetch_and_add(&counters.replaced, 1);
		}
		give(e);
	}
	if (bpf_map_update_elem(&socks, &sk, &empty_sock, BPF_ANY)) {
		__sync_fetch_and_add(&counters.socks_full, 1);
		return NULL;
	}
	e = bpf_map_lookup_elem(&socks, &sk);
	if (e)
		e->id = sky_id(&handled[cpu & (SKY_CPUS - 1)], now, cpu);
	return e;
}

static __always_inline void addresses(void *ctx, __u8 local[16], __u8 remote[16])
{
	__u16 family = 0;
	__u32 v4[2] = {};
	__u32 *l = (__u32 *)local, *r = (__u32 *)remote;

	FIELD(family, at.state.family);
	if (family == AF_INET6) {
		bpf_probe_read_kernel(local, 16, (const char *)ctx + (at.state.saddr_v6 & 0xff));
		bpf_probe_read_kernel(remote, 16, (const char *)ctx + (at.state.daddr_v6 & 0xff));
		return;
	}
	FIELD(v4[0], at.state.saddr);
	FIELD(v4[1], at.state.daddr);
	l[0] = l[1] = r[0] = r[1] = 0;
	l[2] = r[2] = bpf_htonl(0xffff);
	l[3] = v4[0];
	r[3] = v4[1];
}

static __always_inline void ports(void *ctx, __u16 *sport, __u16 *dport)
{
	FIELD(*sport, at.state.sport);
	FIELD(*dport, at.state.dport);
}

static __always_inline void tuple(void *ctx, struct stable_sock *e)
{
	addresses(ctx, e->local, e->remote);
	ports(ctx, &e->lport, &e->rport);
}

static __always_inline void on_listen(void *ctx, __u64 sk)
{
	struct stable_listener l = {};
	__u8 remote[16];
	__u16 dport;

	addresses(ctx, l.local, remote);
	ports(ctx, &l.port, &dport);
	l.tgid = bpf_get_current_pid_tgid() >> 32;
	l.cgroup = bpf_get_current_cgroup_id();
	bpf_get_current_comm(l.comm, sizeof(l.comm));
	if (bpf_map_update_elem(&listening, &sk, &l, BPF_ANY))
		__sync_fetch_and_add(&counters.listening_full, 1);
}

static __always_inline void on_unlisten(__u64 sk)
{
	struct stable_listener *l = bpf_map_lookup_elem(&listening, &sk);

	if (l)
		l->gone_ns = bpf_ktime_get_ns();
}

/* The entry is of the event at hand: a program was here before. since: when its phase began. */
static __always_inline bool same(const struct stable_sock *e, __u8 phase, __u64 since, __u64 now)
{
	return e && !(e->flags & STABLE_ENDED) && e->phase == phase &&
	       (e->flags & STABLE_UNNAMED || now - since < SAME_NS);
}

/* What any program does with an event; NULL: nothing is to be done any more, or there is no place. */
static __always_inline struct stable_sock *syn_sent(__u64 sk)
{
	__u64 now = bpf_ktime_get_ns();
	struct stable_sock *e = bpf_map_lookup_elem(&socks, &sk);

	if (same(e, STABLE_CONNECTING, e ? e->syn_ns : 0, now))
		return e;
	e = fresh(sk, now);
	if (!e)
		return NULL;
	e->flags = STABLE_UNNAMED;
	e->syn_ns = now;
	e->phase = STABLE_CONNECTING;
	e->role = SKY_ROLE_CLIENT;
	e->tgid = bpf_get_current_pid_tgid() >> 32;
	e->cgroup = bpf_get_current_cgroup_id();
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	return e;
}

static __always_inline struct stable_sock *opened(__u64 sk, int old, __u64 now)
{
	struct stable_sock *e = fresh(sk, now);

	if (!e)
		return NULL;
	e->flags = STABLE_UNNAMED | (old == SYN_SENT ? STABLE_PARTIAL : 0);
	e->role = old == SYN_SENT ? SKY_ROLE_CLIENT : SKY_ROLE_SERVER;
	e->since_ns = now;
	e->phase = STABLE_OPEN;
	return e;
}

/* dport: 0 when it is not known. */
static __always_inline struct stable_sock *established(__u64 sk, int old, __u16 dport)
{
	__u64 now = bpf_ktime_get_ns();
	struct stable_sock *e = bpf_map_lookup_elem(&socks, &sk);
	bool other = e && e->rport && dport && e->rport != dport; /* than the one whose entry this was */

	if (!other && same(e, STABLE_OPEN, e ? e->since_ns : 0, now))
		return e;
	if (other || !e || e->flags & STABLE_ENDED || e->phase != STABLE_CONNECTING)
		return opened(sk, old, now);
	e->flags |= STABLE_UNNAMED; /* a client's port */
	e->since_ns = now;
	e->phase = STABLE_OPEN;
	return e;
}

static __always_inline struct stable_sock *closed(__u64 sk, int old)
{
	struct stable_sock *e = bpf_map_lookup_elem(&socks, &sk);
	__u64 now = bpf_ktime_get_ns();
	struct last *l = last_here();

	if (e && e->flags & STABLE_ENDED && e->old == old)
		return e;
	if (!e || e->flags & STABLE_ENDED) {
		if (old == CLOSE || old == SYN_RECV)
			return NULL;
		e = fresh(sk, now);
		if (!e)
			return NULL;
		e->flags = STABLE_PARTIAL | STABLE_UNNAMED;
		e->role = old == SYN_SENT ? SKY_ROLE_CLIENT : SKY_ROLE_UNKNOWN;
		e->phase = old == SYN_SENT ? STABLE_CONNECTING : STABLE_OPEN;
	}
	if (e->phase == STABLE_CONNECTING && old != SYN_SENT && old != SYN_RECV) {
		e->phase = STABLE_OPEN; /* its ESTABLISHED reached no program */
		e->flags |= STABLE_PARTIAL;
	}
	e->old = (__u8)old;
	e->at_ns = now;
	e->flags |= STABLE_ENDED;
	if (l) {
		if (l->error && !(e->flags & STABLE_UNNAMED) && l->sport == e->lport && l->dport == e->rport)
			e->error = (__u16)l->error;
		l->closed = sk;
		l->at_ns = now;
		l->thread = bpf_get_current_pid_tgid();
	}
	return e;
}

/* What only the classic ones know. */
static __always_inline void named(void *ctx, struct stable_sock *e)
{
	if (!e || !(e->flags & STABLE_UNNAMED))
		return;
	tuple(ctx, e);
	e->flags &= ~STABLE_UNNAMED;
}

static __always_inline void on_close(void *ctx, __u64 sk, int old)
{
	struct stable_sock *e = closed(sk, old);
	struct last *l = last_here();
	__u16 sport = 0, dport = 0;

	named(ctx, e);
	if (!e)
		return;
	ports(ctx, &sport, &dport);
	if (!sport)
		e->flags |= STABLE_NO_PORT;
	else
		e->lport = sport;
	if (!l)
		return;
	if (l->error && l->sport == sport && l->dport == dport)
		e->error = (__u16)l->error;
	l->error = 0;
}

static __always_inline bool matters(int old, int next)
{
	return next == SYN_SENT || next == ESTABLISHED || next == CLOSE || next == LISTEN ||
	       (old == SYN_RECV && next == FIN_WAIT1);
}

SEC("tracepoint/sock/inet_sock_set_state")
int on_state(void *ctx)
{
	__u16 protocol = 0, sport = 0, dport = 0;
	int old = 0, next = 0;
	__u64 sk = 0;

	if (bypass)
		return 0;
	FIELD(next, at.state.newstate);
	FIELD(old, at.state.oldstate);
	if (!matters(old, next))
		return 0;
	FIELD(protocol, at.state.protocol);
	if (at.state.protocol_size == 1)
		protocol &= 0xff; /* before 5.6; little endian hosts, as all that this is built for */
	FIELD(sk, at.state.skaddr);
	if (protocol != IPPROTO_TCP) { /* MPTCP, SCTP: the raw programs could not know */
		bpf_map_delete_elem(&socks, &sk);
		return 0;
	}
	if (next == SYN_SENT) {
		named(ctx, syn_sent(sk));
	} else if (next == LISTEN) {
		on_listen(ctx, sk);
	} else if (old == LISTEN && next == CLOSE) {
		on_unlisten(sk);
	} else if (next == CLOSE) {
		on_close(ctx, sk, old);
	} else {
		ports(ctx, &sport, &dport);
		named(ctx, established(sk, old, dport));
	}
	return 0;
}

/* The same event for a raw program. A listener's is left to the classic one: a dump shows what that does not. */
static __always_inline int raw_state(__u64 *ctx, unsigned copy)
{
	__u64 sk = ctx[0];
	int old = (int)ctx[1], next = (int)ctx[2];

	if (bypass || !matters(old, next) || next == LISTEN || old == LISTEN)
		return 0;
	if (handled_already(sk, (__u64)old << 8 | next, copy))
		return 0;
	if (next == SYN_SENT)
		syn_sent(sk);
	else if (next == CLOSE)
		closed(sk, old);
	else
		established(sk, old, 0);
	return 0;
}

#define RAW_STATE(name, copy)                \
	SEC("raw_tp/inet_sock_set_state")    \
	int name(__u64 *ctx)                 \
	{                                    \
		return raw_state(ctx, copy); \
	}

RAW_STATE(state_a, 0)
RAW_STATE(state_b, 1)
RAW_STATE(state_c, 2)
RAW_STATE(state_d, 3)

static __always_inline struct stable_sock *gone(__u64 sk)
{
	struct stable_sock *e = bpf_map_lookup_elem(&socks, &sk);
	__u64 now = bpf_ktime_get_ns();
	struct last *l = last_here();

	if (!e || e->flags & STABLE_GONE)
		return e;
	e->flags |= STABLE_GONE;
	e->gone_ns = now;
	if (!(e->flags & STABLE_ENDED)) {
		e->flags |= STABLE_ENDED | STABLE_CLOSELESS;
		e->at_ns = now;
		__sync_fetch_and_add(&counters.replaced, 1);
	} else if (l && l->closed == sk && l->thread == bpf_get_current_pid_tgid() && now - l->at_ns < LATER_NS) {
		e->flags |= now - l->at_ns < AT_ONCE_NS ? STABLE_AT_ONCE : STABLE_LATER;
	}
	return e;
}

SEC("tracepoint/tcp/tcp_destroy_sock")
int on_destroy(void *ctx)
{
	struct stable_sock *e;
	__u64 sk = 0;

	if (bypass)
		return 0;
	FIELD(sk, at.destroy.skaddr);
	e = gone(sk);
	if (!e)
		return 0;
	FIELD(e->cookie, at.destroy.cookie);
	give(e);
	bpf_map_delete_elem(&socks, &sk);
	return 0;
}

#define RAW_DESTROY(name)              \
	SEC("raw_tp/tcp_destroy_sock") \
	int name(__u64 *ctx)           \
	{                              \
		if (!bypass)           \
			gone(ctx[0]);  \
		return 0;              \
	}

RAW_DESTROY(destroy_a)
RAW_DESTROY(destroy_b)
RAW_DESTROY(destroy_c)
RAW_DESTROY(destroy_d)

static __always_inline int mark(__u64 sk, __u16 flag)
{
	struct stable_sock *e = bpf_map_lookup_elem(&socks, &sk);

	if (e)
		e->flags |= flag;
	return 0;
}

SEC("tracepoint/tcp/tcp_receive_reset")
int on_reset_in(void *ctx)
{
	__u64 sk = 0;

	if (bypass)
		return 0;
	FIELD(sk, at.reset_in.skaddr);
	return mark(sk, STABLE_RESET_IN);
}

SEC("tracepoint/tcp/tcp_send_reset")
int on_reset_out(void *ctx)
{
	__u64 sk = 0;

	if (bypass)
		return 0;
	FIELD(sk, at.reset_out.skaddr);
	return mark(sk, STABLE_RESET_OUT);
}

#define RAW_MARK(name, event, flag)                     \
	SEC("raw_tp/" event)                            \
	int name(__u64 *ctx)                            \
	{                                               \
		return bypass ? 0 : mark(ctx[0], flag); \
	}

RAW_MARK(reset_in_a, "tcp_receive_reset", STABLE_RESET_IN)
RAW_MARK(reset_in_b, "tcp_receive_reset", STABLE_RESET_IN)
RAW_MARK(reset_in_c, "tcp_receive_reset", STABLE_RESET_IN)
RAW_MARK(reset_in_d, "tcp_receive_reset", STABLE_RESET_IN)
RAW_MARK(reset_out_a, "tcp_send_reset", STABLE_RESET_OUT)
RAW_MARK(reset_out_b, "tcp_send_reset", STABLE_RESET_OUT)
RAW_MARK(reset_out_c, "tcp_send_reset", STABLE_RESET_OUT)
RAW_MARK(reset_out_d, "tcp_send_reset", STABLE_RESET_OUT)

SEC("tracepoint/sock/inet_sk_error_report")
int on_error(void *ctx)
{
	struct stable_sock *e;
	__u16 sport = 0, dport = 0;
	struct last *l;
	int error = 0;

	if (bypass)
		return 0;
	l = last_here();
	FIELD(error, at.error.error);
	FIELD(sport, at.error.sport);
	FIELD(dport, at.error.dport);
	if (!l)
		return 0;
	e = bpf_map_lookup_elem(&socks, &l->closed);
	if (e && e->flags & STABLE_ENDED && e->rport == dport && e->lport == sport && !e->error) {
		e->error = (__u16)error;
		return 0;
	}
	l->error = (__u32)error;
	l->sport = sport;
	l->dport = dport;
	return 0;
}

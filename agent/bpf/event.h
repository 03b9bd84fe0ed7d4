/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the kernel side and the agent both know: keys and values of the maps. Compiled by clang for
 * BPF and by cc; never leaves the host. Explicit padding, no holes: keys are compared as bytes.
 */
#pragma once

#ifndef __bpf__
#include <assert.h>
#include <linux/types.h>
#endif

#define SKY_BUCKETS 44 /* flow/stats.h FLOW_BUCKETS, proved equal in agent/rows.c */
#define SKY_PORTS 16   /* ephemeral ports a row lists; more are counted */
#define SKY_COMM 16
#define SKY_NAT_ENDS 1024     /* addresses to which each connection has a row (agent/bpf/nat.bpf.h) */
#define SKY_SLICE 256         /* sockets one run of the walker reads */
#define SKY_CALL_CAST 0x7ca57 /* no helper of this number exists: agent/cast.c */

struct sky_address {
	__u8 b[16];
};

enum sky_role { SKY_ROLE_UNKNOWN, SKY_ROLE_CLIENT, SKY_ROLE_SERVER };

/* Who owns a socket. tgid is set only where the cgroup says nothing (root cgroup, cgroup v1 hosts):
 * there the process is all there is to name it by. */
struct sky_owner {
	__u64 cgroup; /* v2 cgroup id of the socket; 0 unknown */
	__u32 tgid;
	__u32 flags;         /* SKY_OWNER_* */
	char comm[SKY_COMM]; /* of the thread group's leader */
};

#define SKY_OWNER_KERNEL 1    /* a kernel thread's socket */
#define SKY_OWNER_SCAN 2      /* found by a scan of descriptors, not seen when made */
#define SKY_OWNER_INHERITED 4 /* a child: its listener's owner */

/* A row of one interval: one end's view of all connections of one service between two addresses. */
struct sky_row_key {
	struct sky_owner owner;
	__u8 local[16]; /* IPv4 as ::ffff:a.b.c.d */
	__u8 remote[16];
	__u32 netns;
	__u16 service_port; /* client: remote, server: local, unknown role: local */
	__u16 other_port; /* unknown role: remote; one connection's row (agent/bpf/nat.bpf.h): its ephemeral port; else 0 */
	__u8 protocol; /* IPPROTO_* */
	__u8 role;     /* enum sky_role */
	__u8 flags;    /* FLOW_* of flow/key.h */
	__u8 sample;   /* one of 2^sample connections is in the row; user space multiplies (agent/rows.c) */
	__u32 via;     /* user space only: agent/nat.h */
};

#define SKY_FLAG_JOINED 1 /* FLOW_JOINED and FLOW_SAMPLED, proved equal in agent/rows.c */
#define SKY_FLAG_SAMPLED 2

/* The fields of flow/fields.def in the layout of struct flow_stats, then what is not a sum. */
struct sky_row_value {
#define SKY_MEMBER_U32(name) __u64 name;
#define SKY_MEMBER_U64(name) __u64 name;
#define SKY_MEMBER_HIST(name) __u32 name[SKY_BUCKETS];
#define FIELD(name, width, dir, column, unit, seen, meaning) SKY_MEMBER_##width(name)
#include "flow/fields.def"
#undef FIELD
	__u32 ports_seen;       /* ephemeral ports met, listed or not; in the kernel their sum (agent_row_drained()) */
	__u32 tgid;             /* some process of this row: a hint for its name */
	__u16 ports[SKY_PORTS]; /* 0 = free place */
	__u64 pad[2];           /* see SKY_ELEMENT below */
};

enum sky_phase { SKY_CONNECTING = 1, SKY_OPEN };

/* sky_sock.turn: each begin and each end of a socket adds SKY_LIVE, so that bit says whether one lives; who is about to remove
 * the place adds 1. */
#define SKY_LIVE 0x100
#define SKY_LEAVING 0xff

/* Names an id among those a place holds within two seconds (the low bits of its time); never 0. */
static inline __u32 sky_walk_mark(__u64 id)
{
	return (__u32)(id >> 11) | 1;
}

/* Names the address of a socket; never 0. */
static inline __u32 sky_told_mark(__u64 at)
{
	return (__u32)(at >> 5) | 1;
}

/* What was measured when a connection was established. 0: no sample. */
struct sky_first {
	__u32 handshake_us;
	__u32 srtt_us, mdev_us, cwnd;
};

/* A socket in the map `socks`, keyed by its address. The place of one that ended is kept, free, for the next socket at that
 * address, while the map holds few (agent/bpf/entry.bpf.h). */
struct sky_sock {
	__u64 id;               /* unique for ever: entry_id(); 0: the place is free */
	struct sky_row_key key; /* the row it belongs to */
	__u64 since_ns;         /* CONNECTING: the SYN; OPEN: established. Clock that never steps; 0 unknown */
	__u32 walked;           /* sky_walk_mark() of its id: user space may have counted a part of it */
	__u32 turn;             /* SKY_LIVE, SKY_LEAVING; only ever added to */
	struct sky_first first;
	__u32 told;         /* sky_told_mark() of its address: user space knows of the place */
	__u32 tgid;         /* hint */
	__u16 lport, rport; /* host order; lport 0 while CONNECTING */
	__u8 phase;         /* enum sky_phase */
	__u8 pad[3];
};

/* What a socket did since it was made (segs and above), and how it is now (below). */
struct sky_totals {
	__u64 tx, rx; /* payload bytes */
	__u32 tx_segs, rx_segs, retransmitted, lost, dsack, delivered_ce;
	__u32 busy, rwnd, sndbuf; /* jiffies; busy is the total */
	__u32 segs;
	__u32 srtt_us, mdev_us, min_rtt_us, cwnd;
	__s32 turn;        /* > 0: received last, < 0: sent last, 0: unknown */
	__u32 undelivered; /* sent and not acknowledged */
};

/* How a connection ended, or an attempt failed. */
enum sky_end {
	SKY_END_NORMAL,
	SKY_END_RESET_RECEIVED,
	SKY_END_RESET_SENT,
	SKY_END_TIMED_OUT,
	SKY_END_UNSEEN,
	SKY_FAILED_REFUSED,
	SKY_FAILED_TIMEOUT,
	SKY_FAILED_UNREACHABLE,
	SKY_FAILED_NO_PORT,
	SKY_FAILED_ABANDONED,
	SKY_FAILED_OTHER,
};

/* A connection or attempt that ended after a walk had seen it: map `closed`, keyed by id. */
struct sky_final {
	struct sky_totals totals; /* not set with SKY_END_UNSEEN */
	struct sky_first first;
	__u64 since_ns, at_ns; /* established, ended */
	__u32 end;             /* enum sky_end */
	__u32 rtt_ok;          /* its srtt is worth a sample */
};

/* One question to the walker and its answer. */
struct sky_ask {
	__u64 sk, id; /* id 0 with SKY_ASK_WHO and SKY_ASK_OWNER: whoever is there */
	__u32 segs;   /* segs_in + segs_out when it was last read */
	__u32 how;    /* SKY_ASK_*; 0: the socket alone is looked at, if no segment moved */
};

#define SKY_ASK_LOOK 1   /* even if no segment moved: is entry and socket still what was asked about */
#define SKY_ASK_FORCE 2  /* answer with entry and totals even so */
#define SKY_ASK_END 4    /* it was found dead before: delete it if it still is */
#define SKY_ASK_WHO 8    /* as FORCE, of whoever is there */
#define SKY_ASK_NEW 16   /* with WHO: no answer if user space was told of the place before */
#define SKY_ASK_SWEEP 32 /* with WHO: remove the place if it is free */
#define SKY_ASK_OWNER 64 /* the entry only */

enum sky_status {
	SKY_NONE,      /* gone, or its CLOSE is under way: `closed` or a row has it */
	SKY_ATTEMPT,   /* still connecting */
	SKY_UNCHANGED, /* alive, no segment moved since the last walk */
	SKY_TOTALS,
	SKY_DEAD,    /* still in the map, but the socket is another one or closed */
	SKY_DELETED, /* it was that, and is no longer in the map */
	SKY_FREE,    /* WHO: nobody */
	SKY_OWNED,   /* OWNER: `found` has it */
};

struct sky_answer {
	__u64 id;
	__u32 status; /* enum sky_status */
	__u32 found;  /* sky_walk.found has the entry as it was */
	struct sky_totals totals;
};

struct sky_walk {
	__u64 n;
	struct sky_ask ask[SKY_SLICE];
	struct sky_answer answer[SKY_SLICE];
	struct sky_sock found[SKY_SLICE];
};

/* What one CPU tells user space about `socks`: addresses of new places, and of entries whose owner changed after a walk had read
 * it (SKY_LOG_OWNER). A ring; user space remembers up to where it read. */
#define SKY_LOG_LINES 4096
#define SKY_LOG_RINGS 64 /* CPUs beyond so many share one: a line two write at once is torn */
#define SKY_LOG_OWNER 1
#define SKY_LOG_LAP 6 /* addresses of sockets are multiples of eight */
struct sky_log {
	__u64 n;    /* lines ever written */
	__u64 torn; /* grows when an interruption may have cost a line */
	__u64 pad[6];
	__u64 line[SKY_LOG_LINES];
};

/* Goes into line n: which turn of the ring wrote it. */
static inline __u64 sky_log_lap(__u64 n)
{
	return (n / SKY_LOG_LINES + 1) << 1 & SKY_LOG_LAP;
}

/* Passes of the adopting iterators, in this order. */
enum sky_adopt {
	SKY_ADOPT_OWNERS,    /* before the hook is attached: who listens, so that its first child has an owner */
	SKY_ADOPT_LISTENERS, /* after: each listener counted, so that its end takes it back */
	SKY_ADOPT_OPEN,      /* everything else */
};

/* One line of the adopting iterators. */
struct sky_adopted {
	struct sky_sock sock;
	struct sky_totals totals;
};

struct sky_listener_key {
	__u32 netns;
	__u16 port; /* host order */
	__u16 pad;
	__u8 local[16]; /* zero: the port's entry, any address */
};

/* A listening address. The entry of the port tells how many of its listeners have an address of their own. */
struct sky_listener {
	struct sky_owner owner;
	__s64 count; /* sockets; user space removes an entry that stayed at 0 */
	__s64 specific;
};

/* A connect call that has not become a SYN yet. */
struct sky_dial {
	struct sky_row_key key;
	__u64 at; /* jiffies */
	__u32 tgid;
	__u32 pending; /* sky_dial_mark(); 0: none, or it became one */
};

/* Places of marks, by the lowest bits of a thread's number; the map `dials`, by thread, holds what finds none there. */
#define SKY_DIALS 512
struct sky_dial_place {
	struct sky_dial dial;
	__u64 thread; /* tgid << 32 | tid */
	__u32 busy;   /* programs that write, or would */
	__u32 pad[5]; /* whole cache lines */
};

static inline __u32 sky_dial_mark(__u64 at)
{
	return (__u32)at | 1;
}

/* Call sites of map updates, and how they failed. */
enum sky_site { SKY_SITE_SOCKS, SKY_SITE_ROWS, SKY_SITE_CLOSED, SKY_SITE_LISTENERS, SKY_SITE_DIALS, SKY_SITES };
enum sky_fail { SKY_FAIL_FULL, SKY_FAIL_NOMEM, SKY_FAIL_BUSY, SKY_FAIL_OTHER, SKY_FAILS };

/* What program A handles on this CPU: B need not look again (agent/bpf/flow.bpf.c, invariant 6). A cache line each. */
#define SKY_CPUS 64
struct sky_handled {
	__u64 sk;
	__u64 what;
	__u64 born; /* the time in the last id given here */
	__u64 pad[5];
};

/* The id of a socket that is born: time << 12 | cpu, and later than the last one given on this CPU: a host whose clock was found
 * wanting counts ticks of 1 to 10 ms (clocksource jiffies), and more than one socket is born in each. */
static inline __u64 sky_id(struct sky_handled *here, __u64 now, __u32 cpu)
{
	if (now <= here->born)
		now = here->born + 1;
	here->born = now;
	return now << 12 | cpu;
}

/* How far the agent stepped back (agent/budget.h). Written by user space only; a page of its own, so that reading it is
 * cheap. */
struct sky_guest {
	__u32 bypass; /* the programs that applications run return at once */
	__u32 sample; /* of new connections one in 2^sample gets an entry */
};

struct sky_counters {
	__u64 fail[SKY_SITES][SKY_FAILS];
	__u64 replaced;   /* open entries overwritten: a CLOSE that reached no program */
	__u64 recovered;  /* connections whose ESTABLISHED reached no program, counted all the same */
	__u64 uncaused;   /* attempts that failed and whose SYN_SENT reached no program: counted, as failed before it */
	__s64 socks_made; /* places in `socks` by the kernel's count, free ones too */
	__u64 rows_made;  /* in the map in use; user space sets it to 0 at a swap */
	__s64 dials_made; /* entries in `dials` */
	__u64 closed_made; /* entries of `closed` made since user space drained it */
};

_Static_assert(sizeof(struct sky_owner) == 32, "owner");
_Static_assert(sizeof(struct sky_row_key) == 80, "row key");
_Static_assert(sizeof(struct sky_sock) == 136, "sock");
_Static_assert(sizeof(struct sky_totals) == 80, "totals");
_Static_assert(sizeof(struct sky_final) == 120, "final");
_Static_assert(sizeof(struct sky_answer) == 96, "answer");
_Static_assert(sizeof(struct sky_listener_key) == 24, "listener key");
_Static_assert(sizeof(struct sky_listener) == 48, "listener");
_Static_assert(sizeof(struct sky_dial) == 96, "dial");
_Static_assert(sizeof(struct sky_dial_place) == 128, "dial place");
/* An element of a hash map is these bytes of the kernel's, the key, the value, side by side from a page's start. Whole
 * cache lines each, and a row's sums begin on one: two CPUs that add to neighbours, or one that looks for a key while
 * another adds, do not disturb each other. */
#define SKY_ELEMENT 48
_Static_assert((SKY_ELEMENT + sizeof(struct sky_row_key)) % 64 == 0, "row key");
_Static_assert(sizeof(struct sky_row_value) % 64 == 0, "row value");
_Static_assert((SKY_ELEMENT + sizeof(__u64) + sizeof(struct sky_sock)) % 64 == 0, "sock");

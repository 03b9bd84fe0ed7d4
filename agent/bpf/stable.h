/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the mode `stable` shares between its kernel side (agent/bpf/stable.bpf.c) and the agent. */
#pragma once

#ifndef __bpf__
#include <assert.h>
#include <linux/types.h>
#endif

/* Where fields lie in the events, as the kernel's own description of them says (events/.../format in tracefs). */
struct stable_offsets {
	struct {
		__u16 skaddr, oldstate, newstate, sport, dport, family, protocol, protocol_size, saddr, daddr, saddr_v6,
			daddr_v6;
	} state;
	struct {
		__u16 skaddr, cookie;
	} destroy;
	struct {
		__u16 skaddr;
	} reset_in, reset_out;
	struct {
		__u16 error, sport, dport;
	} error;
};

#define STABLE_COPIES 4 /* of the programs on raw tracepoints; user space attaches as many as the kernel needs */

enum stable_phase { STABLE_CONNECTING = 1, STABLE_OPEN };

#define STABLE_ENDED 1
#define STABLE_RESET_IN 2
#define STABLE_RESET_OUT 4
#define STABLE_AT_ONCE 8    /* destroyed in the same go as it was closed: it was an orphan */
#define STABLE_NO_PORT 16   /* it never had a local port */
#define STABLE_PARTIAL 32   /* its beginning was not seen */
#define STABLE_CLOSELESS 64 /* its CLOSE was not seen: `old` is unknown */
#define STABLE_UNNAMED 128  /* addresses and ports are not known, or of the SYN only: no classic tracepoint told them */
#define STABLE_LATER 512    /* destroyed by the thread in which it was closed, but not at once */
#define STABLE_GONE 256     /* destroyed, by which cookie no classic tracepoint told */

/* A socket between connect or birth and its end. */
struct stable_sock {
	__u64 id;                      /* sky_id() */
	__u64 cookie;                  /* known at its end; 0: not even then */
	__u64 syn_ns, since_ns, at_ns; /* SYN, established, closed; clock that never steps, 0 unknown */
	__u64 gone_ns;                 /* destroyed, which may be long after; 0: not yet, or unseen */
	__u64 cgroup;                  /* of the process that connected; 0 for a child */
	__u8 local[16], remote[16];    /* IPv4 as ::ffff:a.b.c.d */
	char comm[16];                 /* of the thread that connected */
	__u32 tgid;
	__u16 lport, rport; /* host order */
	__u16 error;        /* why it ended, as sk_error_report told; 0: nothing was told */
	__u16 flags;
	__u8 phase, role; /* enum stable_phase, enum sky_role */
	__u8 old;         /* state from which it went to CLOSE */
	__u8 pad;
};

struct stable_listener {
	__u64 cgroup;
	__u64 gone_ns; /* 0: still there */
	__u8 local[16];
	char comm[16];
	__u32 tgid;
	__u16 port;
	__u16 pad;
};

struct stable_counters {
	__u64 socks_full, ended_full, listening_full;
	__u64 replaced; /* sockets whose end reached no program */
};

_Static_assert(sizeof(struct stable_sock) == 120, "sock");
_Static_assert(sizeof(struct stable_listener) == 56, "listener");

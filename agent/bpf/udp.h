/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What both sides of UDP's kernel part know (agent/bpf/udp.bpf.c): keys and values of its maps. Never leaves the host. */
#pragma once

#ifndef __bpf__
#include <linux/bpf.h>
#endif

#include "agent/bpf/event.h"

/* Who sent the first datagram of a socket. */
enum sky_spoke { SKY_SILENT, SKY_SENT, SKY_RECEIVED };

/* Datagrams and bytes, this end's words. Only ever added to. */
struct sky_udp_sums {
	__u64 tx_bytes, rx_bytes, tx_segs, rx_segs;
};

/* A socket, keyed by its cookie: unique in this boot, never used again. */
struct sky_udp_sock {
	__u64 cookie;              /* 0: it has ended, nobody may count it any more */
	struct bpf_spin_lock lock; /* of what follows down to `last`; `now` is added to without it */
	__u32 netns;
	__u64 sk; /* its address; 0 unknown (adopted): then the tuple below is all there is */
	struct sky_owner owner;
	__u8 local[16], remote[16]; /* connected to `remote`; local is zero until known */
	__u16 lport, rport;
	__u8 dialled; /* connect was called: `remote` says where to */
	__u8 told;    /* its opening is in a row */
	__u8 bound;   /* its program chose the port */
	__u8 spoke;   /* enum sky_spoke */
	__u8 vague;   /* no process known yet: the next that sends is the owner */
	__u8 ignored; /* not in a watched namespace */
	__u8 joined;  /* older than the agent */
	__u8 looked;  /* `bound` is known */
	__u32 tgid;   /* hint */
	__u32 epoch;  /* interval of `peers` */
	__u32 peers;  /* rows it made in that interval */
	__u32 pad;
	__u64 dialled_ns;              /* when connect was called */
	__u64 until_ns;                /* its time is in rows up to here */
	struct sky_udp_sums now, last; /* with its peer: all, and what is in rows */
};

/* Who serves in a conversation of a socket (agent/bpf/udp.bpf.c, invariant 5). dialled: with the peer it is connected to.
 * lgiven, rgiven: the port is one of those the kernel gives out. */
static inline __u8 sky_udp_role(const struct sky_udp_sock *e, _Bool dialled, __u16 lport, __u16 rport, _Bool lgiven,
				_Bool rgiven)
{
	if (!e->bound) /* only who was asked first can be found on a port that nobody chose */
		return e->spoke == SKY_RECEIVED && !dialled ? SKY_ROLE_SERVER : SKY_ROLE_CLIENT;
	if (!lgiven && rgiven)
		return SKY_ROLE_SERVER;
	if (lgiven && !rgiven) /* a resolver's random port, or a server up there with a client that chose its own */
		return e->spoke == SKY_RECEIVED ? SKY_ROLE_SERVER : SKY_ROLE_CLIENT;
	if (lgiven)
		return e->spoke == SKY_SENT || (dialled && e->spoke != SKY_RECEIVED) ? SKY_ROLE_CLIENT
										     : SKY_ROLE_SERVER;
	if (lport == rport) /* two of a kind */
		return SKY_ROLE_UNKNOWN;
	return lport < rport ? SKY_ROLE_SERVER : SKY_ROLE_CLIENT;
}

/* A row, keyed by struct sky_row_key. */
struct sky_udp_row {
	struct sky_udp_sums sums;
	__u64 opened, closed, open_ms;
	__u32 tgid;
	__u16 ports[SKY_PORTS];
	__u32 listed; /* ports put into `ports`: more than there are when two CPUs wrote one place */
	__u8 pad[32]; /* see SKY_ELEMENT */
};

struct sky_udp_ask {
	__u64 n, cut_ns;
	__u64 cookie[SKY_SLICE];
};

/* What the packet programs cost on a CPU: all runs, and the time of each 64th. A cache line each. */
#define SKY_UDP_SAMPLE 64
struct sky_udp_cost {
	__u64 runs, sampled, sampled_ns;
	__u64 pad[5];
};

struct sky_udp_counters {
	__u64 socks_full;            /* times a socket found no place: nothing of it is known, its datagrams are lost */
	__u64 rows_full;             /* times a row found no place */
	__u64 lost_segs, lost_bytes; /* datagrams that are in no row for want of a place */
	__u64 others;                /* datagrams under "others": their socket had too many peers */
	__u64 unread;                /* datagrams whose headers could not be read */
	__u64 late;                  /* sockets first seen by a packet: their making was missed */
	__u64 ended;                 /* found gone by a walk: their release was missed */
	__u64 rows_made;             /* in the map in use; user space sets it to 0 at a swap */
};

_Static_assert((SKY_ELEMENT + sizeof(struct sky_row_key) + sizeof(struct sky_udp_row)) % 64 == 0, "udp row");
_Static_assert(sizeof(struct sky_udp_sock) % 8 == 0, "udp sock");

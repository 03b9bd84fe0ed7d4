/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the kernel side and the agent both know: keys and values of the maps. Compiled by clang for
 * BPF and by cc; never leaves the host. Explicit padding, no holes: keys are compared as bytes.
 */
#pragma once

#ifndef __bpf__
#include <linux/types.h>
#endif

#define SKY_BUCKETS 44 /* flow/stats.h FLOW_BUCKETS, proved equal in agent/rows.c */
#define SKY_PORTS 16   /* ephemeral ports a row lists; more are counted */
#define SKY_COMM 16

enum sky_role { SKY_ROLE_UNKNOWN, SKY_ROLE_CLIENT, SKY_ROLE_SERVER };

/* Who owns a socket. tgid is set only where the cgroup says nothing (root cgroup, cgroup v1 hosts):
 * there the process is all there is to name it by. */
struct sky_owner {
	__u64 cgroup; /* v2 cgroup id of the socket; 0 unknown */
	__u32 tgid;
	__u32 flags; /* SKY_OWNER_* */
	char comm[SKY_COMM]; /* of the thread group's leader */
};

#define SKY_OWNER_KERNEL 1 /* a kernel thread's socket */
#define SKY_OWNER_SCAN 2   /* found by a scan of descriptors, not seen when made */
#define SKY_OWNER_INHERITED 4 /* a child: its listener's owner */

/* A row of one interval: one end's view of all connections of one service between two addresses. */
struct sky_row_key {
	struct sky_owner owner;
	__u8 local[16]; /* IPv4 as ::ffff:a.b.c.d */
	__u8 remote[16];
	__u32 netns;
	__u16 service_port; /* client: remote, server: local, unknown role: local */
	__u16 other_port;   /* unknown role: remote; else 0 */
	__u8 protocol;      /* IPPROTO_* */
	__u8 role;          /* enum sky_role */
	__u8 flags;         /* FLOW_FLAG_* of flow/key.h */
	__u8 pad[5];
};

/* The fields of flow/fields.def in the layout of struct flow_stats, then what is not a sum. */
struct sky_row_value {
#define SKY_MEMBER_U32(name) __u64 name;
#define SKY_MEMBER_U64(name) __u64 name;
#define SKY_MEMBER_HIST(name) __u32 name[SKY_BUCKETS];
#define FIELD(name, width, dir, column, unit, seen, meaning) SKY_MEMBER_##width(name)
#include "flow/fields.def"
#undef FIELD
	__u32 ports_seen;        /* ephemeral ports met, listed or not */
	__u32 tgid;              /* some process of this row: a hint for its name */
	__u16 ports[SKY_PORTS];  /* 0 = free place */
};

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What agent/bpf/cgroup.bpf.c tells the agent: control groups of the v2 hierarchy that come and go. */
#pragma once

#ifndef __bpf__
#include <linux/types.h>
#endif

#define CGROUP_PATH 1024 /* the kernel's own bound for the path in the event (TRACE_CGROUP_PATH_LEN), NUL included */
#define CGROUP_RING (256 * 1024) /* bytes of records that wait for the agent */

/* Where fields lie in the events, as the kernel's own description of them says. */
struct cgroup_offsets {
	__u16 root, id, id_size, path;
};

/* A record has only as many bytes as its path needs. */
struct cgroup_event {
	__u64 id;
	__u32 len; /* of the path; 0: it is gone */
	__u32 pad;
	char path[CGROUP_PATH];
};

struct cgroup_counters {
	__u64 made, gone;
	__u64 full; /* records for which there was no room */
	__u64 cut;  /* made, with a path the kernel cut */
	__u64 ns;   /* time of all runs */
};

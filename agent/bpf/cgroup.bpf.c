// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Ids and paths of control groups as they are made. A unit that lives for a moment (a job, a container of a test) is gone
 * before anybody reads the tree, and the id in its connections' rows would say nothing.
 *
 *     cgroup:cgroup_mkdir   v2: a record with id and path (from the hierarchy's own root, whatever is mounted)
 *     cgroup:cgroup_rmdir   v2: one with the id, so that the agent knows for how long a name must be kept
 *
 * Classic tracepoints: no struct of the kernel is read, so this loads in every mode. Both fire with cgroup_mutex held, so
 * one after the other, in the order in which things happened; the ring keeps it.
 *
 *  - Hierarchy 0 is the v2 one: the kernel sets it up before any other. The others' ids are no socket's.
 *  - The id is 4 bytes in kernels before 5.17 (and before fixes of 5.10 and 5.15): its lower half. The upper one is 0 until
 *    2^31 directories were made.
 *  - A path of more than 1,023 bytes comes cut, its end is what names: it is counted and left to the walk over the tree.
 *
 * Lost: what finds the ring full is counted, and the agent reads the tree. The kernel passes over programs of this kind while
 * another one, or a call on a map, runs on the same CPU. Nobody makes a cgroup from within one, but from 7 on whoever is there
 * may be preempted by somebody who does: the kernel counts it (recursion_misses), so it is treated as what finds the ring full.
 */
#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

#include "agent/bpf/cgroup.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, CGROUP_RING);
} events SEC(".maps");

/* A record does not fit onto the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cgroup_event);
} scratch SEC(".maps");

const volatile struct cgroup_offsets at = {};
struct cgroup_counters counters = {};

#define FIELD(to, offset) bpf_probe_read_kernel(&(to), sizeof(to), (const char *)ctx + ((offset)&0xff))
#define HEAD __builtin_offsetof(struct cgroup_event, path)

/* False: a group of another hierarchy. */
static __always_inline _Bool head(const void *ctx, struct cgroup_event *e)
{
	__u32 root = 1, low = 0;

	FIELD(root, at.root);
	if (root)
		return 0;
	if (at.id_size == 4) {
		FIELD(low, at.id);
		e->id = low;
	} else {
		FIELD(e->id, at.id);
	}
	e->len = e->pad = 0;
	return 1;
}

static __always_inline void tell(const struct cgroup_event *e, __u64 size)
{
	if (bpf_ringbuf_output((void *)&events, (void *)e, size, BPF_RB_NO_WAKEUP))
		__sync_fetch_and_add(&counters.full, 1);
}

SEC("tp/cgroup_mkdir")
int on_made(void *ctx)
{
	__u64 begin = bpf_ktime_get_ns();
	struct cgroup_event *e;
	__u32 zero = 0, loc = 0;
	__u64 len;

	e = bpf_map_lookup_elem(&scratch, &zero);
	if (!e || !head(ctx, e))
		return 0;
	__sync_fetch_and_add(&counters.made, 1);
	FIELD(loc, at.path); /* length and place of the text: it has a NUL at its end */
	len = loc >> 16;
	if (len < 2)
		return 0;
	if (len >= CGROUP_PATH) {
		__sync_fetch_and_add(&counters.cut, 1);
		return 0;
	}
	len = (len - 1) & (CGROUP_PATH - 1);
	bpf_probe_read_kernel(e->path, len, (const char *)ctx + (loc & 0xffff));
	e->len = len;
	tell(e, HEAD + len);
	__sync_fetch_and_add(&counters.ns, bpf_ktime_get_ns() - begin);
	return 0;
}

SEC("tp/cgroup_rmdir")
int on_gone(void *ctx)
{
	__u64 begin = bpf_ktime_get_ns();
	struct cgroup_event *e;
	__u32 zero = 0;

	e = bpf_map_lookup_elem(&scratch, &zero);
	if (!e || !head(ctx, e))
		return 0;
	__sync_fetch_and_add(&counters.gone, 1);
	tell(e, HEAD);
	__sync_fetch_and_add(&counters.ns, bpf_ktime_get_ns() - begin);
	return 0;
}

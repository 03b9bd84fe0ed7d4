/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The maps and the data shared with user space. Sizes are set by user space before loading (agent/load.c). */
#pragma once

#include <bpf/bpf_helpers.h>

#include "agent/bpf/event.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64); /* address of the socket */
	__type(value, struct sky_sock);
} socks SEC(".maps");

/* Rows: two inner maps, the one in the slot is written, the other drained. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_HASH);
			__uint(max_entries, 1024);
			__type(key, struct sky_row_key);
			__type(value, struct sky_row_value);
		});
} rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64); /* id */
	__type(value, struct sky_final);
} closed SEC(".maps");

/* Listening sockets, and what their children need of them by address. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct sky_listener_key);
} listening SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct sky_listener_key);
	__type(value, struct sky_listener);
} listeners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64); /* thread: tgid << 32 | tid */
	__type(value, struct sky_dial);
} dials SEC(".maps");

/* Network namespaces to watch; asked only when watch_some is set. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} watched SEC(".maps");

const volatile __u32 watch_some = 0;
const volatile __u32 socks_keep = 256;  /* `socks` keeps free places while it holds no more than these */
const volatile __u32 hook_last = 0;     /* of the programs a, b, c, d: up to which the hook is attached */
const volatile bool hook_typed = false; /* the hook is attached through BTF: its pointers are typed */
const volatile bool dial_typed = false; /* the watchers of connect calls may use typed pointers */

struct sky_handled handled[SKY_CPUS] = {};
struct sky_counters counters = {};
struct sky_dial_place dial_places[SKY_DIALS] SEC(".data.dials") = {};
struct sky_walk walk_data SEC(".data.walk") = {};
__u64 walk_marks SEC(".data.walk") = 0; /* what the walker set of `walked` */
struct sky_guest guest SEC(".data.guest") = {};
__u32 us_per_jiffy = 0;              /* measured by user space before attaching */
__u32 adopted = 0;                   /* everything older than the agent has an entry: what has none is ours */
__u32 adopt_pass = 0;                /* enum sky_adopt */
__u64 tick_jiffies = 0, tick_ns = 0; /* what the program `tick` read */

static const struct sky_row_value empty_row = {};
static const struct sky_sock empty_sock = {};

static __always_inline void count_failure(enum sky_site site, long err)
{
	enum sky_fail f = err == -E2BIG    ? SKY_FAIL_FULL
			  : err == -ENOMEM ? SKY_FAIL_NOMEM
			  : err == -EBUSY  ? SKY_FAIL_BUSY
					   : SKY_FAIL_OTHER;

	__sync_fetch_and_add(&counters.fail[site][f], 1);
}

/* Update with one more try on -EBUSY (5.11-6.6: an interrupt hit a bucket being locked) and a counter per site
 * and errno. -EEXIST is an answer, not a failure. */
static __always_inline long put(void *map, const void *key, const void *value, __u64 flags, enum sky_site site)
{
	long err = bpf_map_update_elem(map, key, value, flags);

	if (err == -EBUSY)
		err = bpf_map_update_elem(map, key, value, flags);
	if (err && err != -EEXIST)
		count_failure(site, err);
	return err;
}

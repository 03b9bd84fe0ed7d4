/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel side as one object: opened, sized, loaded, then attached. What could not be had is told by `why`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/bpf/event.h"
#include "agent/btf.h"

struct bpf_program;
struct flow; /* the skeleton: agent/bpf/flow.bpf.c */
struct nat;

struct load_opts {
	const uint32_t *netns; /* to watch; all when n_netns is 0 */
	size_t n_netns;
	uint32_t max_rows, max_socks;
	const struct btf_choice *btf; /* NULL: the kernel's own BTF */
};

#define LOAD_COPIES 4

struct load {
	struct flow *skel;
	int inner[2];    /* the two row maps */
	unsigned active; /* which of them the kernel writes */
	uint32_t max_rows, max_socks, max_closed, max_dials;
	uint32_t socks_keep; /* places up to which free ones are kept */
	char btf[BTF_PATH];  /* the file its structs are known by; "": the kernel's own */
	bool typed;          /* the hook is attached through BTF */
	int cast;            /* the walker reads through typed pointers: by this function of the kernel's BTF; 0: no */
	unsigned
		copies; /* of the hook, attached: 1; 2 where a program that interrupts itself is skipped; 4: also preempted */
	bool on_demand; /* hash maps allocate when used */
	bool dial;      /* connect calls are watched */
	bool adopt;     /* iterators are there */
	bool pop;       /* lookup-and-delete of one element (5.14) */
	unsigned hz;
	struct sky_counters *counters; /* the kernel's, live */
	struct sky_walk *walk;
	struct nat *nat; /* what is known of translated addresses; NULL: nothing */
};

/* Opens, sizes and loads; nothing runs before load_attach(). On failure `why` says in one line what and what to do. */
int load_open(struct load *ret, const struct load_opts *opts, char *why, size_t why_len);
int load_attach(struct load *l, char *why, size_t why_len);
void load_close(struct load *l);

/* The kernel's two clocks at one moment. -errno */
int load_clock(const struct load *l, uint64_t *ret_jiffies, uint64_t *ret_ns);

/* How many copies of a program this kernel needs, so that one runs though another is busy: 1, 2 or 4. */
unsigned load_copies(void);

/* Copy `i` of the hook; the first `copies` run. */
struct bpf_program *load_hook(const struct load *l, unsigned i);

/* From now on each connection to this address (a client's remote, a server's local) has a row of its own; `l` is a struct
 * load. -errno */
int load_list(void *l, const uint8_t address[16]);

/* Bytes of all maps: at most (every place used), and as the kernel says now. */
size_t load_map_bytes(const struct load *l, size_t *ret_most);

/* The root of the v2 hierarchy, mounted or not, as a descriptor. -errno */
int load_cgroup2(void);

/* The root of a file system that need not be mounted: its mount is never attached to a path. A descriptor or -errno. */
int load_unmounted(const char *type);

struct bpf_object;

/* Run time and number of runs of all programs (0 unless kernel statistics are on), and runs the kernel passed over. */
void load_stats(const struct bpf_object *obj, uint64_t *ret_ns, uint64_t *ret_runs, uint64_t *ret_missed);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What /proc says about the processes that own connections, remembered for a while: a row often
 * outlives its process. Bounded; the least recently used goes first.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define PROCS_PATH 512 /* bytes of a cgroup path kept */
#define PROCS_NEW 256  /* new processes read in one look */

struct procs_one {
	uint32_t pid;
	bool alive;     /* when looked at last */
	uint64_t start; /* clock ticks after boot: tells a pid's users apart */
	char comm[16];
	char service[256]; /* SKYFALL_SERVICE of its environment; "" none, or not readable */
	char cgroup
		[PROCS_PATH]; /* its v2 path; where that says nothing, the one of the systemd or a controller hierarchy; "" unknown */
	bool v2; /* cgroup is the path in the v2 hierarchy, and not its root */
	/* inside: */
	bool young;       /* it had just begun when it was read: an exec may have changed its environment since */
	uint64_t environ; /* where that lies, another place after each exec; 0 not known */
	uint64_t used, epoch;
	uint64_t placed; /* epoch in which the cgroup was read; 0 never */
};

struct procs;

/* root: "/proc". -ENOMEM */
int procs_new(struct procs **ret, const char *root, size_t max);
void procs_free(struct procs *p);

/* A new interval: each process is looked at again when asked for, once. */
void procs_begin(struct procs *p);

/* The process, or NULL: never seen alive. `comm` (16 bytes, may be NULL) is what the kernel called it: another name there means an
 * exec or another process, and it is read anew. Lives until the next call. */
const struct procs_one *procs_get(struct procs *p, uint32_t pid, const char *comm);

/* Reads the cgroup of a process anew: it may have been moved, or was not read yet (it is at once only on hosts with v1
 * hierarchies, where it may be all that names a process when that is gone). At most once an interval. */
void procs_moved(struct procs *p, uint32_t pid);

/* Reads processes that appeared since the last call, at most PROCS_NEW of them, and those of the call before once more. */
void procs_watch(struct procs *p);

/* Parses /proc/PID/stat: comm and start time. -EBADMSG; -ESRCH: it has ended and waits for its parent. */
int procs_stat(struct str text, char ret_comm[16], uint64_t *ret_start);

/* Where the environment lies, from the same text; 0 it does not say. */
uint64_t procs_environ(struct str text);

/* The path worth naming by in /proc/PID/cgroup: v2 ("0::/x") unless it is the root; then name=systemd; then
 * any v1 controller with a path. n 0: only roots. Points into `text`. */
struct str procs_cgroup(struct str text, bool *ret_v2); /* ret_v2: it is the v2 one */

/* The value of SKYFALL_SERVICE in an environment block; n 0: not set. */
struct str procs_service(struct str block);

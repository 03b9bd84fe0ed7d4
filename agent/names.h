/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who owns a row, in words. From the cgroup's path and the process:
 *
 *     service   SKYFALL_SERVICE of the process; else the rules file; else the pod's owner; else the container;
 *               else the unit ("foo@3.service" is foo@); else the executable
 *
 * Nothing of all that known: the service is empty and the quality unknown. A name is not an id: what is made
 * up anew at each start (sessions, systemd-run) is named by its executable. More than NAMES_SERVICES services
 * are `other`, counted.
 *
 * A process may be gone when its row is named. So new processes are looked at when they appear (names_watch());
 * one that lived for less than the time between two looks is named by what the kernel said: cgroup and executable.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/bpf/event.h"
#include "agent/rules.h"
#include "flow/key.h"

#define NAMES_SERVICES 1000           /* services of a host at one time */
#define NAMES_SERVICE_US 3600000000ll /* how long one that is not seen keeps its place */
#define NAMES_MAX 4096                /* different names in one interval */

struct births;

struct names_opts {
	const char *proc;          /* "/proc" */
	const char *cgroups;       /* mount of the v2 hierarchy; NULL: find it */
	const struct rules *rules; /* may be NULL; stays the caller's */
	struct births *births;     /* who tells of new cgroups; NULL: the tree is read. Becomes the names' */
	const char *root;          /* put before the paths of container engines' files; NULL: none */
};

struct names_counts {
	uint64_t services_full;                            /* look-ups that got `other` because of NAMES_SERVICES */
	uint64_t names_full;                               /* ... because of NAMES_MAX or memory */
	uint64_t unknown_cgroups;                          /* look-ups of cgroups that nobody knows */
	uint64_t cgroups_made, cgroups_missed, cgroups_ns; /* agent/births.h: made; not told; what telling took */
};

struct names;

/* -ENOMEM; opts->births is freed then as well */
int names_new(struct names **ret, const struct names_opts *opts);
void names_free(struct names *n);

/* Other rules from now on (NULL: none); the former ones are not looked at any more. Before names_begin(). */
void names_rules(struct names *n, const struct rules *rules);

/* A new interval: indices and strings of the former one end here. now_us: a clock that never steps. */
void names_begin(struct names *n, int64_t now_us);

/* Looks for processes and cgroups that are new since the last call. */
void names_watch(struct names *n, int64_t now_us);

/* Index of the owner's names. tgid: some process of the row, if its key names none. */
uint32_t names_of(struct names *n, const struct sky_owner *owner, uint32_t tgid);

/* Index of the names of a process that holds a socket; cgroup: the socket's, 0 unknown. */
uint32_t names_of_pid(struct names *n, uint32_t pid, uint64_t cgroup);

/* Where a process lives, against the cgroup of a socket. comm: what it is called; untouched when it is gone. */
enum names_where { NAMES_GONE, NAMES_HERE, NAMES_ELSEWHERE };
enum names_where names_where(struct names *n, uint32_t pid, uint64_t cgroup, char comm[SKY_COMM]);

/* Index of the same names and the address dialled. */
uint32_t names_via(struct names *n, uint32_t index, struct str via);

const struct flow_names *names_at(const struct names *n, uint32_t index);
uint32_t names_count(const struct names *n);
void names_counts(const struct names *n, struct names_counts *ret);

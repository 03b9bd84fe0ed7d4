/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups of the v2 hierarchy as they are made and removed, told by the kernel (agent/bpf/cgroup.bpf.c). Needs 5.8 and
 * no BTF of the kernel. Optional: without it the tree is read. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct births;

struct births_counts {
	uint64_t made, gone;
	/* made or removed without being told: no room, a path of more than 1,023 bytes, an event passed over (which the kernel
	 * counts from 6.7 on) */
	uint64_t missed;
	uint64_t cost_ns; /* what those who made them spent in it */
};

/* -errno: `why` says in one line what is missing. */
int births_open(struct births **ret, char *why, size_t why_len);
void births_free(struct births *b); /* NULL is fine */

/* Calls fn for each since the last call, in their order. path: from the root of the hierarchy, lives for the call; n 0: the
 * cgroup is gone. */
void births_read(struct births *b, void (*fn)(void *arg, uint64_t id, struct str path), void *arg);

/* Since it was opened. */
void births_counts(const struct births *b, struct births_counts *ret);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that are new, without a look at all of them: pids are given in turn, so they lie between the pid made last now
 * and then; and a folder of procfs can be read from a pid on, in which threads are not listed. Where a pid lies in that folder is
 * the kernel's own business: it is learnt from what the folder says of itself, and where that makes no sense all is read.
 */
#pragma once

#include <stdint.h>

struct pids {
	int fd;       /* of the folder; -1 */
	int64_t skew; /* from a pid to its place in the folder; -1 not known */
};

/* root: "/proc". -errno; pids_deinit() is fine then. */
int pids_init(struct pids *p, const char *root);
void pids_deinit(struct pids *p);

/* The pid made last, threads included; 0 not known. */
uint32_t pids_last(const struct pids *p);

/* Calls fn for each process with a pid after `from`, up to `to`; from > to: they went round. fn ends it with another value
 * than 0, which is returned. -errno */
int pids_between(const struct pids *p, uint32_t from, uint32_t to, int (*fn)(void *arg, uint32_t pid), void *arg);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which process holds a socket: a walk over /proc/PID/fd. Of several the first found, but not init if there is another:
 * init makes sockets and hands them over (socket activation), and keeps them open. Dear on hosts with many descriptors, so
 * it is done in slices, only while some inode is asked for, and remembers what it did not find.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fdscan;

/* -ENOMEM. max: inodes asked for at one time. */
int fdscan_new(struct fdscan **ret, const char *root, size_t max);
void fdscan_free(struct fdscan *f);

/* The pid that holds `inode`, if a walk has found it; 0: not known. Then it is asked for, and a later fdscan_step() may find it.
 * Not found by a whole walk: asked for again after a minute. */
uint32_t fdscan_pid(struct fdscan *f, uint32_t inode, int64_t now_us);

/* The same, but 0 as well while only one who makes sockets for others is known to hold it (process 1, systemd): then it is
 * looked for again, after waits that double up to a minute. */
uint32_t fdscan_better(struct fdscan *f, uint32_t inode, int64_t now_us);

/* The process that was found is no more: the inode is looked for again. */
void fdscan_gone(struct fdscan *f, uint32_t inode, int64_t now_us);

/* Looks at up to `fds` descriptors. False: there is nothing (more) to look for now. */
bool fdscan_step(struct fdscan *f, size_t fds, int64_t now_us);

/* Forgets an inode: its socket is gone. */
void fdscan_forget(struct fdscan *f, uint32_t inode);

/* "socket:[4711]" -> 4711; 0: something else. */
uint32_t fdscan_inode(const char *link);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent can still do once it measures: a list of system calls, everything else is refused with EPERM. Reading
 * files, sending over sockets of the families it needs, using BPF objects it has, entering network namespaces, threads.
 * Not: opening a file for writing or changing one, starting a program, other socket families, loading BPF programs,
 * tracing, mounting. So everything that loads or attaches is done before.
 *
 * Refused and not killed: a call nobody thought of (a C library's newer one) costs a feature, not the agent.
 */
#pragma once

/* For the calling thread and all it starts; with no-new-privileges, so it needs none. -errno; -ENOSYS: no seccomp here. */
int fence_up(void);

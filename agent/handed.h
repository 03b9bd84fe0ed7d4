/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners that were handed over. A row of accepted connections has the owner of their listener: who made it. That is
 * another than who serves, when
 *
 *  - init made it and started the service with it (socket activation): its process is init's, and
 *    its cgroup too; so is, in a user's session, that of `systemd --user`;
 *  - its maker was moved to another cgroup since (runtimes that start in their parent's), or ended after another
 *    took it over.
 *
 * The kernel tells who accepts where it can be asked (agent/bpf/accept.bpf.c); such rows are `exact` and left alone, unless
 * it is init itself that accepts, for one process a connection. For all others the process that holds the listener's
 * descriptor is looked for (agent/fdscan.c) and becomes the owner, quality `scan`. Nobody found: the row keeps its owner.
 *
 * What it cannot know: of several services that hold one listener it takes the first; what is passed on after
 * accept() stays with who accepted.
 */
#pragma once

#include "agent/listen.h"
#include "agent/names.h"
#include "agent/rows.h"

/* Corrects the rows of an interval, after listen_look() and names_begin(). Returns how many got another owner. */
size_t handed_rows(struct agent_rows *rows, struct listen *listen, struct names *names);

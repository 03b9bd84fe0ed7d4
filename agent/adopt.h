/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets older than the agent, found by iterators (agent/bpf/adopt.bpf.h). */
#pragma once

#include "agent/load.h"
#include "agent/walk.h"

/* Before the hook is attached: who listens. -errno when the iterator does not work. */
int adopt_owners(struct load *l);

/* After it. Listeners first (roles and owners of the others depend on them), then connections. ret_n: how many were taken over.
 * A namespace that cannot be entered is passed over. -errno when the iterators do not work at all. */
int adopt_run(struct load *l, struct walk *w, const uint32_t *netns, size_t n_netns, uint64_t *ret_n);

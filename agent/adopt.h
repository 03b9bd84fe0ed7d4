/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets older than the agent, found by iterators (agent/bpf/adopt.bpf.h). */
#pragma once

#include "agent/load.h"
#include "agent/walk.h"

struct adopt_told {
	uint64_t taken;    /* connections taken over */
	uint64_t piece_us; /* CPU of the longest read of an iterator: what it may keep from whoever wants that CPU */
};

/* Before the hook is attached: who listens. -errno when the iterator does not work. Adds to ret. */
int adopt_owners(struct load *l, struct adopt_told *ret);

/* After it. Listeners first (roles and owners of the others depend on them), then connections. Adds to ret.
 * A namespace that cannot be entered is passed over. -errno when the iterators do not work at all. */
int adopt_run(struct load *l, struct walk *w, const uint32_t *netns, size_t n_netns, struct adopt_told *ret);

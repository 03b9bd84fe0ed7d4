/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the hook steps back and comes again (agent/budget.h says when). All in the measuring thread, between collects.
 *
 * Sampling: a connection that is not in the sample has no entry and is passed over at its end; one that is carries its
 * share in its key, whatever the share is later. So `adopted` (what has no entry is ours, and is counted whole at its end)
 * is off meanwhile, and before it is on again everything open is adopted like what is older than the agent.
 *
 * Bypass: what begins and ends meanwhile is not known to us, so an entry may be that of a socket whose address another
 * has by now. The first collect after the flag is up has waited for all programs that run: then the tables are emptied, and
 * coming back is starting anew: hook first, then adopting. Between the two a connection is what it was before: either all
 * of its sums are counted once, or none, and the kernel's own count of openings says how many were missed.
 */
#pragma once

#include "agent/adopt.h"
#include "agent/budget.h"
#include "agent/walk.h"

struct ease {
	uint8_t walk_every, sample;
	bool bypass;
	bool empty_due; /* bypass began: the next collect empties the tables */
	unsigned walks; /* intervals since the last walk */
	struct adopt_told adopted;
};

void ease_init(struct ease *e);

/* The step in force from now on. netns: as in source_opts. -errno of an adoption that failed. */
int ease_to(struct ease *e, const struct budget_step *step, struct load *l, struct walk *w, const uint32_t *netns,
	    size_t n_netns);

/* Once an interval: true when open connections are read in it. */
bool ease_walk_due(struct ease *e);

/* An interval was drained: no program is still writing for a flag that was set before it. */
void ease_collected(struct ease *e, struct load *l, struct walk *w);

/* SPDX-License-Identifier: Apache-2.0 */
/* Emptying the kernel's maps: rows by swapping the two inner maps, marks of connect calls, listeners nobody uses. */
#pragma once

#include <pthread.h>

#include "agent/load.h"
#include "agent/rows.h"

/* A swap under way. The new map is used at once; that no program writes the old one any more is known when the call
 * returns, up to seconds later on a busy host: so it has a thread of its own. */
struct drain {
	struct load *load;
	pthread_t thread;
	int64_t began_us;
	int r;
};

struct drain_counts {
	uint64_t lost_user; /* rows that found no room in `rows` */
	uint64_t used;      /* gauge: rows in the map drained last */
};

int drain_begin(struct drain *d, struct load *l);

/* Waits for the swap and adds the old map's rows to `rows`. */
int drain_end(struct drain *d, struct agent_rows *rows, struct drain_counts *counts);

/* The map in use is 3/4 full. */
bool drain_needed(const struct load *l);

/* Connect calls that never became a SYN: attempts failed without a route. */
int drain_dials(struct load *l, struct agent_rows *rows, struct drain_counts *counts);

/* Removes addresses on which nobody listens any more. */
int drain_listeners(struct load *l);

/* SPDX-License-Identifier: Apache-2.0 */
/* The two stages as the window engine knows them: tables of functions, and what those work on. */
#pragma once

#include "graph/hosts.h"
#include "graph/names.h"
#include "graph/window.h"
#include "policy/inventory.h"

#define PAIR_LATE_MAX_S NAMES_KEEP_S /* rows later than this find no names any more: late_unjoined */
#define PAIR_ENDS NAMES_ENDS         /* services told apart at one end of a conversation; the rest are "other" */

/* What the pair stage's functions get. */
struct pair {
	struct bus *bus;
	const struct hosts *hosts;
	const struct inventory *inv; /* NULL: none */
	struct names *names;
	void (*refresh)(void *arg); /* brings `hosts` up to date before names are looked up; NULL: it is */
	void *refresh_arg;
	/* rows and messages of the batch in each partition of partials and of pairs */
	struct pair_count {
		uint64_t rows, messages;
	} * partials, *pairs;
};

/* hosts and inv stay the caller's. -ENOMEM. */
int pair_init(struct pair *p, struct bus *bus, const struct hosts *hosts, const struct inventory *inv);
void pair_deinit(struct pair *p);

extern const struct window_stage pair_stage; /* arg: struct pair * */
extern const struct window_stage edge_stage; /* arg: struct bus * */

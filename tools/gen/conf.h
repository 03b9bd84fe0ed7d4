/* SPDX-License-Identifier: Apache-2.0 */
/* The options of skyfall-gen, and what the rest of it is told by them. */
#pragma once

#include "base/opt.h"
#include "tools/gen/load.h"

#define CONF_PAST_AFTER 3 /* intervals */
#define CONF_PAST 8       /* a collector takes what is at most 12 intervals late (collector/clock.h) */

struct conf {
	/* as given */
	uint64_t hosts, services, edges, zones, seed, keys, intervals, past, late, rate, rows, threads, sockets,
		sampling, size;
	uint32_t interval_ms, spread_ms, for_ms;
	const char *collector, *truth, *truth_rows, *inventory, *net, *start, *profile, *ipv6, *loss, *duplicate,
		*reorder, *key_file, *forged, *replayed, *altered;
	bool odd_names, events, flat_out, gso, spray, man, quiet, json;
	/* worked out */
	bool load;      /* round and round, not in real time */
	uint32_t first; /* begin of the first interval in real time */
	struct fleet_conf fleet;
	struct load_opts opts;
};

extern const struct conf conf_defaults;
extern const struct opt_command conf_command;

/* Works out what follows from the options; looks up the collector's name. 0, or the exit code after saying what is wrong. */
int conf_check(struct conf *c);

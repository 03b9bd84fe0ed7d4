/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who the ends of closed conversations were, as their own agents said, for 10 minutes: a row of one end that comes late,
 * or an interval apart from the other's because two clocks differ, still finds the other end's name.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "flow/key.h"

#define NAMES_KEEP_S 600
#define NAMES_ENDS 64     /* services kept of one end */
#define NAMES_MAX 2000000 /* conversations; past it new ones are not kept */

struct names;

/* One service at one end; bytes: its weight among several. */
struct names_end {
	struct str service;
	uint64_t bytes;
};

struct names_ends {
	unsigned n_clients, n_servers;
	struct names_end clients[NAMES_ENDS], servers[NAMES_ENDS]; /* sorted by service */
};

int names_new(struct names **ret);
void names_free(struct names *n);

/* Keeps what is known of a conversation in `interval`. An end without services keeps what was known before. `partition`:
 * of the flows it came from. Does nothing when there is no memory: names are a help, not a sum. */
void names_keep(struct names *n, unsigned partition, const struct flow_conv *conv, uint64_t hash, uint32_t interval,
		const struct names_ends *ends);

/* False: not known within 10 minutes around `interval`. Strings live until the next names_keep() or names_expire(). */
bool names_find(const struct names *n, const struct flow_conv *conv, uint64_t hash, uint32_t interval,
		struct names_ends *ret);

/* Forgets a partition's, or what is older than 10 minutes before `interval` (a piece a call). */
void names_forget(struct names *n, unsigned partition);
void names_expire(struct names *n, uint32_t interval);

uint64_t names_count(const struct names *n);

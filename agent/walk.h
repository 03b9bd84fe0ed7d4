/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's half of the walker: which sockets are open, what of each was already reported. The kernel keeps no
 * last values (agent/bpf/flow.bpf.c says why); here they are, by id, one thread.
 */
#pragma once

#include "agent/load.h"
#include "agent/rows.h"

struct walk;

/* What a walk found, running totals. */
struct walk_counts {
	uint64_t finalised;   /* entries whose CLOSE was never seen, ended by a walk */
	uint64_t lost_user;   /* ends that found no room in `rows` */
	uint64_t lost_full;   /* open sockets not followed: the table was full. Their CLOSE still counts them whole */
	uint64_t unknown;     /* ends of ids nobody knows */
	uint64_t fin_guessed; /* bytes received a walk had read too early, each a FIN, and could not take back */
	uint64_t clamped;     /* bytes sent, likewise */
	uint64_t cpu_us;
	uint64_t piece_us; /* gauge: CPU of the longest run of the kernel's half in the last walk */
	uint64_t open;     /* gauge */
};

/* -ENOMEM. Memory grows with the connections open, about 200 bytes each. */
int walk_new(struct walk **ret, uint32_t max_socks);
void walk_free(struct walk *w);

/* A socket adopted: from `totals` on it is ours. */
void walk_adopt(struct walk *w, const struct sky_sock *sock, const struct sky_totals *totals);

/* Everything followed is forgotten: its entries are gone. */
void walk_forget(struct walk *w);

/* Reads all open sockets and adds what is new to `rows`, then drains `closed`. open_ms is counted up to cut_ns. */
int walk_run(struct walk *w, struct load *l, int64_t cut_ns, struct agent_rows *rows);

/* Drains only `closed`: between walks, when it fills. */
int walk_closed(struct walk *w, struct load *l, struct agent_rows *rows);

/* The rows of an interval are all there, those of ended connections too: call it before they are used. What a walk read too
 * early in an interval before has been taken from them; a row that has not that many bytes has 0, counted. */
void walk_settle(struct walk *w, struct agent_rows *rows);

const struct walk_counts *walk_counts(struct walk *w);

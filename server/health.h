/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does everything add up? The ledger of all roles over a range of closed intervals, as a chain of hops from the kernel to
 * the files (law L7). Pure: lines in, hops out.
 */
#pragma once

#include "flow/msg.h"

#define HEALTH_INTERVALS_MAX 20 /* named per hop */
#define HEALTH_LOSSES 48        /* different reasons per hop */
#define HEALTH_CLUES 32         /* to what became of datagrams */

enum health_hop {
	HEALTH_KERNEL,    /* connections: what the kernels opened -> what agents counted */
	HEALTH_AGENT,     /* rows drained -> sent */
	HEALTH_NETWORK,   /* sent -> received by collectors */
	HEALTH_COLLECTOR, /* received -> put on the bus */
	HEALTH_BUS,       /* ... -> read by the pair stage */
	HEALTH_PAIR,
	HEALTH_GRAPH_BUS, /* ... -> read by the edge stage */
	HEALTH_EDGE,
	HEALTH_STORE_BUS, /* ... -> read by the server */
	HEALTH_STORE,     /* ... -> written */
	HEALTH_STORED,    /* ... -> found in the files */
	HEALTH_HOPS
};

const char *health_hop_name(enum health_hop h);

struct health_loss {
	char name[48];
	uint64_t n;
};

struct health_report {
	uint64_t in, out, lost_total;
	int64_t missing; /* in - out - lost; below zero: more came out than is known to have gone in */
	bool adds_up;
	unsigned instances; /* that wrote a line */
	struct health_loss lost[HEALTH_LOSSES];
	unsigned n_lost;
	/* HEALTH_NETWORK: what collectors know of datagrams that are missing or were refused; most first. "on_the_way" is worked
	 * out, see 5 in health.c. Datagrams, not rows: what was refused was not read. */
	struct health_loss clues[HEALTH_CLUES];
	unsigned n_clues;
	uint64_t refused; /* datagrams, records and rows, of these clues; not copies */
	struct {
		uint32_t interval;
		int64_t missing;
	} intervals[HEALTH_INTERVALS_MAX]; /* where it does not add up, oldest first; rows only */
	unsigned n_intervals;
};

struct health;

int health_new(struct health **ret);
void health_free(struct health *h);

/* A line of any role. kernel: its numbers about the kernel count (false for an agent without the hook). -ENOMEM. */
int health_line(struct health *h, const struct flow_ledger *l, bool kernel);

/* What the files hold: sum(rows) over the same range, and connections that failed before the kernel counted them. */
void health_stored(struct health *h, uint64_t rows, uint64_t before_syn);

/* The chain. Returns the first hop that does not add up, HEALTH_HOPS if all do. */
enum health_hop health_chain(struct health *h, struct health_report ret[HEALTH_HOPS]);

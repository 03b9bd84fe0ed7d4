/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents, a collector and a graph in one thread without a socket or a clock: datagrams are made by wire/, folded by
 * collector/worker.c, published by collector/publish.c, joined and summed by graph/, all at the times the script says.
 */
#pragma once

#include "flow/msg.h"
#include "wire/flows.h"

#define WORLD_AGENTS 16

struct world;

struct world_opts {
	uint16_t interval_s;
	uint32_t spread_ms, grace_ms;
	int64_t start_us;
	unsigned partitions;
};

/* Ends the program with a sentence when anything of it fails. */
struct world *world_new(const struct world_opts *opts);
void world_free(struct world *w);

/* An agent called `name` (its host id) that sends from `address`. Its number. */
unsigned world_agent(struct world *w, const char *name, const struct ip *address, uint64_t boot, const char *net);

/* The agent begins again: another boot id, all its counts at 0. */
void world_restart(struct world *w, unsigned agent, uint64_t boot);

/* A row for the next datagram of the agent. Copies. */
void world_row(struct world *w, unsigned agent, const struct wire_flow *row, const struct flow_stats *stats);

enum world_fate { WORLD_ARRIVES, WORLD_TWICE, WORLD_LOST };

/* The agent sends its rows as of `interval` at at_us (collector's clock). */
void world_send(struct world *w, unsigned agent, uint32_t interval, int64_t at_us, enum world_fate fate);

/* A host or listener record of the agent. */
void world_host(struct world *w, unsigned agent, const struct flow_host *h, uint32_t interval, int64_t at_us);
void world_listener(struct world *w, unsigned agent, const struct flow_listener *l, uint32_t interval, int64_t at_us);

/* Bytes that somebody sends. */
void world_bytes(struct world *w, const struct ip *from, const void *p, size_t n, int64_t at_us);

/* The collector's process stands still: what is sent meanwhile comes to its socket then and is read at until_us. */
void world_stall(struct world *w, int64_t from_us, int64_t until_us);

/* Lets time pass until at_us: publishes, joins, sums. Never backwards. */
void world_until(struct world *w, int64_t at_us);

/* Sum over the revisions of an edge of one interval (0: of all). False: no such row. Strings of ret point into w. */
bool world_edge(struct world *w, const struct flow_edge_name *name, uint32_t interval, struct flow_edge *ret,
		unsigned *ret_rows);

/* How many edge rows (revisions counted) came out. */
size_t world_edges(const struct world *w);

/* The newest ledger lines of a role for an interval, added up. False: none. */
bool world_ledger(struct world *w, struct str role, uint32_t interval, struct flow_ledger *ret);

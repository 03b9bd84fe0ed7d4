/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The graph role: skyfall.flows and skyfall.hosts in; skyfall.partials, edges, pairs and ledger out. Two threads of
 * its own, one for the pair stage (joins both views of each conversation, names both ends), one for the edge stage
 * (sums partials). Both are graph/window.c: exactly once, whatever dies when.
 *
 * Several graphs of one bus share the partitions (groups "graph-pair" and "graph-edge").
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "bus/bus.h"
#include "policy/inventory.h"

struct graph;

struct graph_opts {
	struct bus *bus;             /* outlives the graph */
	const struct inventory *inv; /* NULL: none; outlives the graph */
	const char *instance;        /* in ledger lines; copied */
	uint64_t boot;               /* of this instance: its start time, us; in ledger lines */
	size_t max_entries; /* conversations, ends and edges a stage holds before it stops reading; 0: 1,000,000 */
	bool flush_on_stop; /* graph_stop() closes what is open: for a bus that ends with the process */
};

/* -EINVAL, -ENOMEM, or what the bus says. Joins the groups at once, so nothing produced after it is missed. */
int graph_new(struct graph **ret, const struct graph_opts *opts);
int graph_start(struct graph *g);
/* Works off what the bus holds (at most 5 s), then ends and joins the threads. */
void graph_stop(struct graph *g);
void graph_free(struct graph *g); /* NULL is fine; stops first */

/* Another inventory from the next closing on; it is the graph's now. Any thread. */
void graph_inventory(struct graph *g, struct inventory *inv);

/* Of one stage. Counters since start, over all its partitions. */
struct graph_stage_stats {
	uint64_t rows_in, rows_out;  /* sum(rows) of what was committed */
	uint64_t messages;           /* read, markers included */
	uint64_t late_rows;          /* came after their interval had closed; made a further revision */
	uint64_t lost_late_unjoined; /* rows too late to be joined */
	uint64_t lost_poison; /* rows in messages nobody could read (one a message where the count is unreadable) */
	uint64_t lost_in_bus; /* rows announced by markers that never came */
	uint64_t unannounced; /* rows no marker announced: their producer died before it could */
	uint64_t commits, aborts, busy; /* transactions; busy: put off because the bus was full */
	uint64_t forced;                /* intervals closed because too much was open */
	uint64_t silent_closes;         /* intervals closed by the wall clock: all producers silent */
	uint64_t lag;                   /* messages not yet read, now */
	uint32_t watermark;             /* oldest "last closed interval" over the partitions; 0: none closed yet */
	uint32_t open_intervals;        /* now, the most in one partition */
	uint32_t producers_live, producers_silent;
	uint32_t partitions; /* assigned now */
	uint64_t entries;    /* conversations, ends and edges in memory now */
};

struct graph_stats {
	struct graph_stage_stats pair, edge;
	uint64_t hosts, listeners; /* records known */
	uint64_t hosts_bad;        /* messages of the hosts topic nobody could read, or no room for */
};

void graph_stats(struct graph *g, struct graph_stats *ret);

/* Appends the same as Prometheus text (skyfall_graph_...). */
void graph_metrics(struct graph *g, struct buf *b);

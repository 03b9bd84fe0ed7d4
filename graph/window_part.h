/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the window engine: window.c reads and decides, window_commit.c writes. */
#pragma once

#include "graph/ledger.h"
#include "graph/producers.h"
#include "graph/window.h"

#define WINDOW_READ 256       /* messages a round */
#define WINDOW_OPEN 64        /* intervals open in a partition, and late ones waiting, before they are pressed on */
#define WINDOW_POISON 256     /* messages for the dead-letter topic waiting */
#define WINDOW_RETRY_US 50000 /* until a full bus is asked again */

struct window_poison {
	struct window_poison *next;
	size_t n;
	char value[];
};

struct window_part {
	unsigned partition;
	struct producers producers;
	struct bucket *buckets; /* ascending */
	unsigned n_open, n_late;
	int64_t pos;       /* next to read: all below is in memory, committed, or skipped */
	int64_t h;         /* H of the last commit */
	uint64_t epoch;    /* R of the last restore */
	uint32_t closed;   /* W */
	uint32_t close_to; /* > closed: to be closed */
	uint16_t interval_s;
	bool due;              /* something is to be committed */
	bool broken;           /* to be restored before anything else */
	bool skip;             /* restored: what is left of the round is read again */
	int64_t retry_at;      /* us: not before */
	int64_t pending_since; /* us: late rows or poison wait for a commit; 0: none */
	int64_t marker_at;     /* us: when the last marker was read, or the restore */
	struct window_poison *poison, **last_poison;
	unsigned n_poison;
	struct ledger_line told; /* rows and numbers that belong to no bucket, for the next line */
};

struct window {
	struct window_opts opts;
	struct bus_reader *reader;
	struct bus_producer *producer;
	struct window_part **parts; /* [n_parts], NULL: not ours */
	unsigned n_parts;
	size_t entries;
	int64_t now;
	int err;   /* from inside a callback of the bus */
	bool idle; /* the last read found nothing */
	struct ledger ledger;
	struct graph_stage_stats stats;
	struct bus_msg msgs[WINDOW_READ];
	struct flow_msg msg;
	struct flow_ledger line;
	struct buf buf;
};

/* Puts the partition where its group has committed: the one routine for start, rebalance and abort. On failure the
 * partition is left broken and is tried again. */
int window_restore(struct window *w, struct window_part *part);

/* Forgets what is in memory. */
void window_part_clear(struct window *w, struct window_part *part);
void window_part_clear_poison(struct window_part *part);

/* Writes out what is due, if it is time (never below H). 0 also when the bus was full (it stays due); other errors:
 * restored. */
int window_commit(struct window *w, struct window_part *part);

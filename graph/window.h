/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The window engine: reads one topic, collects rows by interval, and when an interval closes hands it to its stage, whose
 * output travels with the new position in one transaction. How and why: the essay in window.c.
 *
 * Used by one thread. Time is an argument: us since 1970.
 */
#pragma once

#include "bus/bus.h"
#include "flow/msg.h"
#include "graph/bucket.h"
#include "graph/graph.h"

struct window;

/* What one transaction carries. */
struct window_batch {
	struct window *window;
	unsigned partition;
	uint64_t revision; /* H * 4096 + partition */
	uint64_t epoch;    /* R of the last restore of this partition */
	uint32_t closed;   /* W after it: last closed interval; 0: none yet */
	uint16_t interval_s;
	struct bucket **buckets; /* ascending; those up to `closed`, late ones included */
	size_t n;
};

/* A stage. Functions return 0 or -errno. */
struct window_stage {
	const char *role; /* in the ledger: "pair", "edge" */
	enum bus_topic input;
	enum flow_msg_type type; /* of its rows; markers come too, anything else is poison */
	uint32_t late_max_s;     /* rows this much older than the last closed interval are lost (late); 0: never */
	/* What every row has. -EBADMSG: poison. */
	int (*when)(const struct flow_msg *m, uint32_t *ret_interval, uint16_t *ret_interval_s, uint64_t *ret_rows);
	/* Adds a row to its interval. Copies what it keeps. -EBADMSG: poison, nothing added. */
	int (*fold)(void *arg, struct bucket *b, const struct flow_msg *m);
	/* Writes out buckets through window_put(), sets rows_out of each. May be called again with the same buckets (and
	 * more rows in them) when the bus was full. */
	int (*emit)(void *arg, struct window_batch *batch);
	/* The batch is committed; its buckets are freed next. May be NULL. */
	void (*committed)(void *arg, const struct window_batch *batch);
	/* The partition goes to somebody else: forget what belongs to it. Not after a failed commit: what committed() was told
	 * holds. May be NULL. */
	void (*forget)(void *arg, unsigned partition);
};

struct window_opts {
	struct bus *bus;
	const struct window_stage *stage;
	void *arg; /* of the stage's functions */
	const char *group;
	const char *instance;
	uint64_t boot;      /* in ledger lines; grows by one after a failed commit */
	size_t max_entries; /* in memory before it stops reading */
	const char *expect; /* producers known from the start are called "<expect>/0" .. "<expect>/<n_expect - 1>" */
	unsigned n_expect;
};

/* Joins the group. */
int window_new(struct window **ret, const struct window_opts *opts);
void window_free(struct window *w); /* what is not committed is read again by the next */

/* One round: reads up to some hundred messages (waits at most timeout_ms for the first), closes what can be closed.
 * Messages read; -EAGAIN: nothing read, the bus is full and so is the memory: come back in a while; other errors: of the
 * bus, come back likewise (what was in doubt is restored first). */
int window_step(struct window *w, int64_t now_us, int timeout_ms);

/* True when all that was readable has been read and nothing that is closed waits to be committed. */
bool window_drained(const struct window *w);

/* Closes every interval that is open, whoever is still live. */
int window_flush(struct window *w, int64_t now_us);

/* For emit(): encodes and produces inside the batch's transaction. */
int window_put(struct window_batch *batch, enum bus_topic t, unsigned partition, const void *key, size_t key_len,
	       enum flow_msg_type type, const void *record);

void window_stats(const struct window *w, struct graph_stage_stats *ret);

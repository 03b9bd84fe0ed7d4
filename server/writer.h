/* SPDX-License-Identifier: Apache-2.0 */
/* From the bus into the store: one thread. */
#pragma once

#include "bus/bus.h"
#include "server/totals.h"
#include "store/store.h"

struct writer;

struct writer_opts {
	struct bus *bus;
	struct store *store; /* this thread is its one writer */
	const char *instance;
	uint16_t interval_s;
	uint64_t boot; /* start time, us */
	struct totals *totals;
	/* After each batch with edges or lines of agents: their intervals. By the writer's thread; NULL: nobody asks. */
	void (*stored)(void *arg, uint32_t oldest, uint32_t newest);
	void *arg;
};

struct writer_stats {
	uint64_t edges, pairs, hosts, listeners, ledgers;
	uint64_t batches, retries, poison, dead_failed;
	struct store_stats store;
	char error[256]; /* of the store, while it lasts */
};

/* Joins the group at once: nothing produced after it is missed. */
int writer_new(struct writer **ret, const struct writer_opts *opts);
int writer_start(struct writer *w);
/* Writes what is on the bus, at most 5 s, and joins. */
void writer_stop(struct writer *w);
void writer_free(struct writer *w);
void writer_stats(struct writer *w, struct writer_stats *ret);

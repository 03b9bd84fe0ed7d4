/* SPDX-License-Identifier: Apache-2.0 */
/* Inside load_*.c: a load and its threads. */
#pragma once

#include <pthread.h>

#include "tools/gen/agent.h"
#include "tools/gen/load.h"

#define LOAD_AGAIN UINT32_MAX /* tag of what goes a second time, and of what has no rows */

/* How often a datagram went in an interval. */
struct load_times {
	uint32_t sent, unsent, twice;
};

struct load_interval {
	uint32_t interval;
	struct load_times *times; /* by datagram; NULL: nobody asked */
};

struct load_thread {
	struct load *load;
	pthread_t thread;
	bool started;
	uint32_t nth;
	struct line *line;
	struct pack *pack;
	uint32_t *order;            /* datagrams as they are sent; NULL: as they stand */
	struct counts counts, seen; /* seen: copied for others now and then */
	pthread_mutex_t lock;       /* of seen */
	struct load_interval *intervals;
	uint32_t n_intervals;
	uint64_t *rows, *failed; /* by host, of the interval at work */
	uint32_t interval;
	uint32_t held;                      /* waits for its agent's next one; UINT32_MAX none */
	int64_t start_us, begin_us, end_us; /* of the agents; of rows */
	/* hosts' ledger lines of the interval before: said bit by bit */
	struct {
		uint32_t interval, host; /* host: the next one to speak */
		uint64_t *rows, *failed;
	} before;
	int64_t slip_us; /* by which the rate's schedule was put off */
	int err;
	struct agent agent;
	struct foe foe;
};

struct load {
	const struct fleet *fleet;
	struct truth *truth;
	struct load_opts opts;
	uint32_t base; /* interval that the values are of */
	int64_t made_us, end_us;
	bool stop;
	uint32_t running;            /* threads that send */
	struct wire_sender *senders; /* by host */
	struct load_thread threads[LOAD_THREADS];
};

/* Starts one of these in each thread; waits for them. load_join(): the first error. */
void load_each(struct load *l, void *(*fn)(void *arg));
int load_join(struct load *l);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the receive threads learned about agents between two swaps: acks go out, losses are added up, refusals are
 * logged, the spread is learned. Part of the publishing thread.
 */
#pragma once

#include <pthread.h>

#include "collector/ledger.h"
#include "collector/publish.h"

struct period {
	const struct publish_opts *opts;
	struct counters_publish *counters; /* the publishing thread's */
	struct counters_publish counters_before;
	struct counters_rx rx_before;
	struct tally tally;
	struct sources_tally sources;
	struct trust_reader *trust; /* NULL: acks are not signed */
	uint64_t agents;            /* heard in the last period; any thread may read it */
	uint32_t spread_ms;         /* the longest any agent said in the last period that had one */
	struct {
		int64_t logged_s;
		uint64_t n;
	} refused[COLLECTOR_REJECTS];
	/* The newest of each reason, for any thread: behind the lock. */
	pthread_mutex_t samples_lock;
	struct period_sample {
		struct worker_refused is;
		int64_t at_s; /* 0: none */
	} samples[COLLECTOR_REJECTS];
};

/* opts and counters are kept. -ENOMEM. */
int period_init(struct period *p, const struct publish_opts *opts, struct counters_publish *counters);
void period_deinit(struct period *p);

/* A line of Prometheus text for each reason that refused something: who sent the newest such datagram, and how it begins.
 * Any thread. */
void period_samples(struct period *p, struct buf *b);

/* All threads have swapped their lines: uses and empties them. `interval` has just ended; stopping: every agent
 * heard lately is told that we stop. */
void period_take(struct period *p, uint32_t interval, bool stopping, int64_t now_us, struct ledger_info *ret);

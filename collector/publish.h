/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From filled tables to the bus: closes intervals, writes rows, markers and ledger lines, answers agents. One
 * thread; never blocks; see publish.c. Time is an argument.
 */
#pragma once

#include "bus/bus.h"
#include "collector/ledger.h"
#include "collector/worker.h"

struct publish_opts {
	struct bus *bus;
	uint16_t interval_s; /* of the agents */
	uint16_t fold_s;     /* of rows, markers and our ledger lines: a multiple of it; 0: the same */
	uint32_t spread_ms, grace_ms;
	const char *instance;
	int64_t start_us; /* wall clock at start: also the boot id */
	uint32_t max_agents;
	bool no_ack;
	struct trust *trust; /* with room for a reader: signs acks; NULL: they are not signed */
	struct worker *const *workers;
	unsigned n_workers;
	/* Tells the receive threads that a swap is wanted; NULL: they look by themselves. */
	void (*wake)(void *arg);
	/* Sends an ack. False: it could not be sent. */
	bool (*send)(void *arg, const struct account_peer *to, const void *p, size_t n);
	void *arg;
};

struct publish;

int publish_new(struct publish **ret, const struct publish_opts *opts);
void publish_free(struct publish *p); /* NULL is fine */

/* Does what is due at now_us (wall clock) and returns when to call again at the latest. */
int64_t publish_step(struct publish *p, int64_t now_us);

/* Tells the agents that we stop, and goes on as before: what they still send is folded. May be called again, for those that
 * did not hear it. publish_told(): how often that was done; any thread. */
void publish_leave(struct publish *p);
unsigned publish_told(const struct publish *p);

/* From now on: closes the open interval at once, writes all without pacing, tells the agents. */
void publish_stop(struct publish *p);
bool publish_done(const struct publish *p); /* after publish_stop(): all is written */
/* Ends without the rest: its rows are counted as lost. */
void publish_give_up(struct publish *p);

/* For any thread. */
const struct counters_publish *publish_counters(const struct publish *p);
uint32_t publish_closed(const struct publish *p);       /* newest one of rows with all its markers written */
uint64_t publish_agents(const struct publish *p);       /* heard in the last period */
uint64_t publish_fill_pm(const struct publish *p);      /* fullest table in the last period */
void publish_samples(struct publish *p, struct buf *b); /* of what was refused, as metrics */

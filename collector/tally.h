/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was lost on the way, per (agent, sub-agent): the lines of all threads merged. Because any socket may receive
 * any agent, a gap in one thread's numbers means nothing; the smallest and greatest number of all threads and the
 * set of what came between them do. See tally.c.
 */
#pragma once

#include "collector/account.h"

#define TALLY_PARTS 128 /* lines of one agent and period that are merged; more are taken as they are */

/* Sums over the agents, of one period. lost - found, summed over all periods, is what is missing now. */
struct tally_sums {
	uint64_t agents;          /* (agent, sub-agent) pairs heard */
	uint64_t datagrams, rows; /* accepted */
	uint64_t late, duplicates, old;
	uint64_t lost_datagrams, found_datagrams; /* an agent's gaps grew; shrank, as late ones filled them */
	uint64_t lost_rows, found_rows;           /* likewise of sample_pool; ours only */
	uint64_t doubled_datagrams, doubled_rows; /* of those accepted: folded before by another thread */
	uint64_t unset;       /* datagrams taken for distinct unseen, for want of room in the sets */
	uint64_t restarts;    /* another boot id, or count, of an agent known */
	uint64_t agent_drops; /* rows that agents say they lost themselves */
	uint64_t unknown;     /* lines without room here: no losses known of them */
};

struct tally_agent {
	uint64_t boot;
	uint32_t first, last, pool_first, pool_last, drops;
	uint32_t uptime_ms, at_ms;        /* at `last`; of the newest line */
	uint64_t expected, expected_rows; /* since `first` */
	uint64_t datagrams, rows;         /* distinct */
	uint64_t lost, lost_rows;         /* as reported so far */
	struct seen_known seen;
	/* The life before this one: what comes of it fills its gaps and begins nothing. */
	struct tally_former {
		uint64_t boot;
		uint64_t lost, lost_rows;
	} former;
	bool known, drops_known, reported;
	bool begun; /* so long ago that nothing from before `first` can come any more; the numbers may wrap */
	/* of the open period, for the ack */
	uint64_t period_datagrams, period_rows;
	uint32_t interval;
	uint32_t period;
	uint32_t next, next_of; /* its oldest line, as in account_line */
	struct account_peer peer;
};

struct tally {
	struct slots slots;
	struct tally_agent *agents;
	uint32_t period;
	int64_t start_us; /* wall clock: agents younger than this sent all they ever sent to us */
	/* of the open period */
	struct account_lines **lines;
	uint32_t n_lines, max_lines;
	struct seen_part parts[TALLY_PARTS];
};

/* -ENOMEM, -EINVAL. */
int tally_init(struct tally *t, uint32_t max_agents, uint32_t threads, int64_t start_us);
void tally_deinit(struct tally *t);

/* Begins a period: tally_add() once for the lines of every thread, then tally_close() for each line. */
void tally_begin(struct tally *t);
void tally_add(struct tally *t, struct account_lines *lines, int64_t now_us, struct tally_sums *sums);

/* Merges what all threads saw of the line's agent and reports what is missing. Returns the agent the first time it is met in
 * this period, else NULL: who is to get an ack. Valid until the next tally_add(). */
const struct tally_agent *tally_close(struct tally *t, const struct account_line *line, int64_t now_us,
				      struct tally_sums *sums);

/* The agent in slot `slot` (0 .. t->slots.n - 1) when it was heard at or after since_s, else NULL; its sub-agent id. */
const struct tally_agent *tally_agent(const struct tally *t, uint32_t slot, int64_t since_s, uint32_t *ret_sub_agent);

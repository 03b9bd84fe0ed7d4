/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which datagrams of an agent came: a sliding window of sequence numbers per (agent, sub-agent, boot) and
 * thread, and a line per agent and swap that says what this thread saw. The lines of all threads are merged by
 * collector/tally.h into what was lost. See account.c.
 */
#pragma once

#include "collector/clock.h"
#include "collector/slots.h"

#define ACCOUNT_WINDOW 256 /* sequence numbers remembered behind the newest */
#define ACCOUNT_JUMP 65536 /* without a boot id a greater step is no loss but another count: a restart */

enum account_verdict {
	ACCOUNT_NEW,       /* fold it */
	ACCOUNT_LATE,      /* overtaken by a later one: fold it */
	ACCOUNT_DUPLICATE, /* seen before: do not fold */
	ACCOUNT_OLD,       /* behind the window, nobody can say whether it is a duplicate: do not fold */
	ACCOUNT_FULL,      /* no room for another agent: fold it, its losses are not known */
};

/* Where a datagram came from and where it was sent to: what an ack needs. */
struct account_peer {
	struct ip ip, local; /* local zero: not known */
	uint16_t port;
	uint32_t ifindex;
};

/* What one thread saw of one (agent, sub-agent, boot, generation) between two swaps. */
struct account_line {
	struct slots_key key;
	struct account_peer peer; /* of the newest datagram */
	uint32_t generation;      /* restarts seen without a boot id */
	uint32_t first, last;     /* smallest and greatest sequence number accepted */
	uint32_t pool_first;      /* the agent's running rows before `first` */
	uint32_t pool_last;       /* and at `last` */
	uint32_t uptime_ms;       /* at `last` */
	uint32_t drops;           /* the agent's own count of rows lost, at `last` */
	uint32_t interval;        /* of the newest record, as the agent named it */
	uint64_t datagrams;       /* accepted: new and late */
	uint64_t rows;            /* sum(rows) in them */
	uint64_t late, duplicates, old;
};

/* Lines of one period; handed over as a whole at the swap. */
struct account_lines {
	uint32_t max, n;
	uint32_t serial; /* of the period */
	struct account_line *line;
};

/* One agent as one thread knows it. */
struct account_track {
	uint64_t seen[ACCOUNT_WINDOW / 64]; /* bit i: top - i was seen */
	uint32_t top, uptime_ms, generation;
	uint32_t line, serial; /* its line in the period `serial` */
	struct clock_agent *clock;
};

struct account {
	struct slots slots;
	struct account_track *tracks;
	struct slots
		clock_slots; /* by (agent, boot): an agent that comes back has another sub-agent id, but that clock */
	struct clock_agent *clocks;
	struct clock_agent nobody; /* for one that found no room there */
};

/* -ENOMEM, -EINVAL. */
int account_init(struct account *a, uint32_t max_agents);
void account_deinit(struct account *a);

int account_lines_init(struct account_lines *l, uint32_t max);
void account_lines_deinit(struct account_lines *l);
/* Begins another period; serial: another number than any period before, not 0. */
void account_lines_begin(struct account_lines *l, uint32_t serial);

/* What the head of a datagram says. */
struct account_seen {
	struct slots_key key;
	struct account_peer peer;
	uint32_t sequence, uptime_ms;
};

/*
 * Notes a datagram. *ret_track, *ret_line: of its agent, NULL when ACCOUNT_FULL; valid until the next call. For NEW
 * and LATE call account_rows() when its rows are known.
 */
enum account_verdict account_datagram(struct account *a, struct account_lines *l, const struct account_seen *s,
				      int64_t now_s, struct account_track **ret_track, struct account_line **ret_line);

/* pool, drops: of its sample; interval 0: it held nothing of ours. */
void account_rows(struct account_line *line, uint32_t sequence, uint32_t uptime_ms, uint32_t pool, uint32_t drops,
		  uint64_t rows, uint32_t interval);

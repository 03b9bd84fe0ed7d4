/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which datagrams of an agent came: a sliding window of sequence numbers per (agent, sub-agent, boot) and
 * thread, and a line per agent and swap that says what this thread saw. The lines of all threads are merged by
 * collector/tally.h into what was lost. See account.c.
 */
#pragma once

#include "collector/clock.h"
#include "collector/seen.h"
#include "collector/slots.h"

#define ACCOUNT_WINDOW SEEN_WINDOW
#define ACCOUNT_JUMP 65536  /* a greater step is believed only when a second datagram says it too */
#define ACCOUNT_UPTIME 1000 /* ms an uptime must have fallen for a restart: more than datagrams overtake each other */

enum account_verdict {
	ACCOUNT_NEW,       /* fold it */
	ACCOUNT_LATE,      /* overtaken by a later one: fold it */
	ACCOUNT_DUPLICATE, /* seen before: do not fold */
	ACCOUNT_OLD,       /* behind the window, nobody can say whether it is a duplicate, or astray: do not fold */
	ACCOUNT_FULL,      /* no room for another agent: fold it, its losses are not known */
};

/* Where a datagram came from and where it was sent to: what an ack needs. */
struct account_peer {
	struct ip ip, local; /* local zero: not known */
	uint16_t port;
	uint32_t ifindex;
};

/* What one thread saw of one (agent, sub-agent, boot) between two swaps; without a boot id, between two restarts. */
struct account_line {
	struct slots_key key;
	struct account_peer peer; /* of the newest datagram */
	uint32_t first, last;     /* smallest and greatest sequence number accepted */
	uint32_t pool_first;      /* the agent's running rows before `first` */
	uint32_t pool_last;       /* and at `last` */
	uint32_t uptime_ms;       /* at `last` */
	uint32_t at_ms;           /* arrival of the datagram accepted last, wall clock cut to 32 bits */
	uint32_t drops;           /* the agent's own count of rows lost, at `last` */
	uint32_t interval;        /* of the newest record, as the agent named it */
	uint64_t rows;            /* sum(rows) in what was accepted */
	uint32_t datagrams;       /* accepted: new and late */
	uint32_t unplaced;        /* of them: no pool could be read, first and last do not speak of them */
	uint32_t late, duplicates, old;
	uint32_t set;   /* the numbers accepted */
	uint32_t unset; /* how many found no room there */
	/* of who merges: the agent's next line in the order of arrival; 0 none */
	uint32_t next; /* 1 + line */
	uint32_t next_of;
};

/* Lines of one period; handed over as a whole at the swap. */
struct account_lines {
	uint32_t max, n;
	uint32_t serial; /* of the period */
	struct account_line *line;
	struct seen_sets sets;
};

/* One agent as one thread knows it. */
struct account_track {
	struct seen seen;               /* behind top */
	uint32_t top, uptime_ms, at_ms; /* the greatest number, and what came with it */
	uint32_t line, serial;          /* its line in the period `serial` */
	uint32_t strays;                /* datagrams in a row that were far from top */
	uint32_t clock;                 /* its slot among the clocks; SLOTS_NONE */
	uint32_t source;                /* and that of its last sample's source: of who reads its samples */
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
/* Empties it: of the two that are swapped, only the one being filled takes much memory. By whoever merged it. */
void account_lines_clear(struct account_lines *l);
/* Begins another period; serial: another number than any period before, not 0. */
void account_lines_begin(struct account_lines *l, uint32_t serial);

/* What the head of a datagram says. */
struct account_seen {
	struct slots_key key;
	struct account_peer peer;
	uint32_t sequence, uptime_ms;
	int64_t at_us; /* arrival, wall clock */
};

/*
 * Notes a datagram. *ret_track, *ret_line: of its agent, NULL when ACCOUNT_FULL; valid until the next call. For NEW
 * and LATE call account_rows() when its rows are known.
 */
enum account_verdict account_datagram(struct account *a, struct account_lines *l, const struct account_seen *s,
				      struct account_track **ret_track, struct account_line **ret_line);

/* Its agent's clock; ACCOUNT_FULL (track NULL): one that knows nothing. */
struct clock_agent *account_clock(struct account *a, const struct account_track *track);

/*
 * For who knows what several datagrams' heads say before it notes them: account_ahead() for all, account_near() for all with
 * what that returned, account_nearer() for all; then account_datagram() waits for less memory. NULL: the agent is not known.
 */
const uint32_t *account_ahead(const struct account *a, const struct slots_key *key);
const struct account_track *account_near(const struct account *a, const uint32_t *ahead);
void account_nearer(const struct account *a, const struct account_lines *l, const struct account_track *near);

/* What a datagram held when it was read. */
struct account_read {
	uint64_t rows;     /* sum(rows) */
	bool placed;       /* pool and drops are known */
	uint32_t pool;     /* running rows up to its end, of its sample */
	uint32_t drops;    /* likewise */
	uint32_t interval; /* 0: it held nothing of ours */
};

void account_rows(struct account_lines *l, struct account_line *line, const struct account_seen *s,
		  const struct account_read *read);

/* True: a datagram without boot id, of this uptime and arrival, is of another life than one of those before it. */
bool account_restarted(uint32_t uptime_ms, uint32_t at_ms, uint32_t before_uptime_ms, uint32_t before_at_ms);

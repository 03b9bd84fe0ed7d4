/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The collector role: sFlow datagrams of many agents in, folded rows and markers on the bus out.
 *
 *     socket -> rx_mmsg -> worker (decode, account, clock) -> fold        one thread per socket, sharing nothing
 *                                                              | swap at interval end + spread + grace
 *                                                           publish -> bus, acks                     one thread
 *
 * Thread safety: collector_metrics() and collector_stats() from any thread; the others from one.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/ip.h"
#include "base/opt.h"
#include "bus/bus.h"
#include "collector/steer.h"
#include "collector/trust.h"

#define COLLECTOR_PORT 6343  /* sFlow's port (IANA) */
#define COLLECTOR_THREADS 64 /* most receive threads */

struct collector_opts {
	struct ip listen;    /* zero address "::": both families */
	uint16_t port;       /* 0: any free one, see collector_port() */
	unsigned threads;    /* receive threads; 0: one per CPU */
	uint16_t interval_s; /* the fleet's one length; datagrams of another are refused and counted */
	uint16_t fold_s; /* length of rows, markers and ledger lines: a multiple of it that divides 60 s; 0: the same */
	uint32_t spread_ms;      /* until datagrams say what it is */
	uint32_t grace_ms;       /* 0: a tenth of the interval, at least 100 ms */
	const char *instance;    /* names this collector in markers and ledger; NULL: the host's name */
	struct trust_opts trust; /* who is believed, which address spaces are taken */
	uint32_t enterprise;     /* of our sFlow records; 0: 32473 */
	uint32_t
		max_rows; /* bound on a thread's folded rows, all open intervals; 0.5 KiB each, when used, 1.1 at most */
	uint32_t max_agents; /* (agent, sub-agent) pairs a thread follows */
	uint64_t rcvbuf;     /* bytes asked for each socket's receive queue; 0: 8 MiB, doubled when datagrams are
			       * dropped, up to 128 MiB */
	enum steer steer;    /* which socket gets a datagram, when there are several threads */
	bool no_ack;         /* one-way networks: never answer agents */
	struct bus *bus;     /* used until collector_free() */
};

extern const struct collector_opts collector_defaults;

struct collector;

/* Binds the sockets, allocates all tables. -EADDRINUSE, -EACCES, -ENOMEM, -EINVAL with a sentence in `why`: what is
 * wrong and what to do. */
int collector_new(struct collector **ret, const struct collector_opts *opts, char *why, size_t why_len);

/* Starts the threads. Datagrams that came since collector_new() wait in the sockets. -errno. */
int collector_start(struct collector *c);

/* Who is believed and what is taken from now on; files are read again. No datagram is lost. -EINVAL, -errno with a sentence in `why`: all stays as it
 * was. */
int collector_trust(struct collector *c, const struct trust_opts *opts, char *why, size_t why_len);

/* Tells all agents that it stops, goes on receiving until they heard it (0.1 s of silence, at most 1 s), reads what the sockets
 * still hold, publishes every open interval with its markers, joins. Who has another collector to go to loses nothing.
 * Bounded: a bus that stays full for 5 s loses the rest, counted. */
void collector_stop(struct collector *c);

/* Stops when running. NULL is fine. */
void collector_free(struct collector *c);

uint16_t collector_port(const struct collector *c);

/* Totals since start. */
struct collector_stats {
	uint64_t datagrams;    /* received by all threads */
	uint64_t rows_in;      /* sum(rows) of the rows read */
	uint64_t rows_out;     /* sum(rows) put on the bus */
	uint64_t rows_lost;    /* shed or left behind: rows_in = rows_out + rows_lost when stopped */
	uint64_t messages;     /* folded rows put on the bus */
	uint64_t rejected;     /* datagrams, records and rows that could not be used */
	uint64_t kernel_drops; /* datagrams the sockets had no room for */
	uint64_t agents;       /* (agent, sub-agent) pairs heard in the last closed interval */
	uint32_t closed;       /* newest interval whose markers are written; 0: none yet */
};

void collector_stats(struct collector *c, struct collector_stats *ret);

/* Every counter as Prometheus text lines, "skyfall_collector_...". */
void collector_metrics(struct collector *c, struct buf *b);

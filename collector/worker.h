/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything of one receive thread but its socket: datagrams in, filled tables out. No clock, no socket, no log; time
 * comes with each batch.
 *
 * Two pairs of buffers are swapped with the publishing thread: `lines` at every interval (what agents are told and
 * what was lost), `pane` (rows and records) whenever the former one is published.
 */
#pragma once

#include "base/opt.h"
#include "collector/account.h"
#include "collector/counters.h"
#include "collector/fold.h"
#include "collector/records.h"
#include "collector/sources.h"
#include "collector/swap.h"
#include "collector/trust.h"

struct worker_opts {
	struct fold_opts fold;
	uint32_t max_agents;
	uint32_t interval_s; /* of the agents */
	uint32_t fold_s;     /* of the rows: a multiple of it; 0: the same */
	uint32_t enterprise; /* 0: WIRE_ENTERPRISE */
	size_t record_bytes; /* of waiting host, listener and ledger messages */
	struct trust *trust; /* with room for a reader; NULL: every datagram is believed, and every net */
};

struct worker_packet {
	struct str bytes;
	struct account_peer peer;
	int64_t at_us; /* arrival in this host's kernel, wall clock; 0: not known, it is when the batch was read */
	bool truncated;
};

/* A refused datagram, to show in the log: the newest per reason. */
struct worker_refused {
	uint32_t n; /* in this period */
	struct ip from;
	uint8_t head[32]; /* its first bytes */
	uint8_t n_head;
};

struct worker_lines {
	struct account_lines agents;
	struct sources_lines sources; /* of standard sFlow */
	uint32_t spread_ms;           /* the longest that an agent said; 0: none */
	struct worker_refused refused[COLLECTOR_REJECTS];
};

struct worker_pane {
	struct fold *fold;
	struct records records;
};

struct worker {
	struct swap lines_swap, pane_swap;
	struct worker_lines lines[2];
	struct worker_pane pane[2];
	struct counters_rx counters;
	/* inside, of the receive thread: */
	struct worker_state *state;
};

/* -ENOMEM, -EINVAL. */
int worker_new(struct worker **ret, const struct worker_opts *opts);
void worker_free(struct worker *w);

/* Folds a batch that was read at now_us (wall clock). */
void worker_batch(struct worker *w, const struct worker_packet *packets, size_t n, int64_t now_us);

/* Swaps what the publishing thread asked for. Between batches. True: something was swapped. */
bool worker_poll(struct worker *w);

/* The publishing thread gives an emptied buffer back this way. */
void worker_lines_clear(struct worker_lines *l);
void worker_pane_clear(struct worker_pane *p);

/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the publishing thread: its state, and the steps by which closed tables reach the bus (collector/publish.c). */
#pragma once

#include "collector/period.h"

/* See publish.c. */
enum phase { PHASE_IDLE, PHASE_SWAP, PHASE_RECORDS, PHASE_ROWS, PHASE_MARKERS, PHASE_LEDGER, PHASE_CLEAR, PHASES };

struct phase_part {
	uint64_t rows, messages; /* since the former marker */
};

struct publish {
	struct publish_opts opts; /* period keeps a pointer to it */
	struct bus_producer *producer;
	int64_t len_us, spread_us, grace_us;
	uint32_t next;      /* interval of the agents to be closed next */
	uint32_t next_rows; /* of rows */
	uint32_t lines_of;  /* interval whose lines were asked for */
	bool lines_asked, stopping, last_asked, done;
	bool leaving, tell, telling; /* agents are told that we stop: in every ack; now; by the lines asked for */
	unsigned told;
	/* the tables being written */
	enum phase phase;
	uint32_t closing; /* their newest interval */
	uint32_t pending; /* an interval that ended meanwhile; 0: none */
	bool is_pending;
	int64_t rows_start_us, rows_end_us;
	uint64_t n_rows, n_sent;
	unsigned worker;
	uint32_t row;
	size_t record_at;
	uint32_t marking; /* interval whose markers are being written */
	unsigned partition, n_partitions;
	struct phase_part *parts;
	struct buf message;
	struct flow_row encode;
	struct flow_ledger encode_ledger;
	struct ledger ledger;
	struct period period;
	/* numbers */
	struct counters_publish counters;
	uint64_t fill_pm;
	uint32_t closed;
	int64_t bus_error_logged_s;
};

/* What phase `p->phase` can do now: 1 it is done, 0 call again after phase_again_us(). */
int phase_run(struct publish *p, int64_t now_us);
int64_t phase_again_us(enum phase phase);

/* Adds what the threads counted in a table to the ledger lines of its intervals. */
void phase_take_counts(struct publish *p, const struct fold *f);

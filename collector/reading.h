/* SPDX-License-Identifier: Apache-2.0 */
/* Inside worker.c and said.c: what a receive thread knows, and the datagram it is reading. */
#pragma once

#include "collector/network.h"
#include "collector/worker.h"
#include "wire/flows.h"
#include "wire/health.h"
#include "wire/host.h"
#include "wire/listeners.h"

#define READING_GROUP 16 /* datagrams whose agents are looked for together */

/* What one datagram is being read with. */
struct reading {
	const struct worker_packet *packet;
	int64_t at_us; /* arrival */
	struct wire_datagram datagram;
	bool ours;             /* a record of ours is in it */
	struct wire_head head; /* of the first of those; zero when there is none that can be read */
	struct trust_verdict trust;
	union { /* what was fetched for it */
		const uint32_t *ahead;
		const struct account_track *near;
	};
	struct account_track *track; /* NULL: not followed */
	int64_t shift;
	uint64_t rows;     /* sum(rows) so far */
	uint32_t interval; /* of the rows of the open flows record */
	struct account_seen seen;
	bool placed; /* by a sample of ours, that told these: */
	uint32_t pool, drops;
};

struct worker_state {
	struct worker_opts opts;
	struct account account;
	struct sources sources;
	struct network network;
	struct records_parts *parts;
	struct trust_reader *trust; /* NULL: every datagram is believed */
	uint32_t serial;
	struct reading group[READING_GROUP];
	/* of the open flows record -> what waits in the pane's table */
	struct {
		uint32_t scope; /* of the row before */
		uint32_t id, batch;
		bool known;
	} names[WIRE_NAMES];
	struct {
		uint32_t wire, id;
	} scope; /* of the row before */
	uint32_t net;
	union {
		struct wire_flows flows;
		struct wire_listeners listeners;
		struct wire_health health;
	};
	union {
		struct flow_host host;
		struct flow_listener listener;
		struct flow_ledger ledger;
	};
};

static inline struct worker_lines *reading_lines(struct worker *w)
{
	return &w->lines[swap_active(&w->lines_swap)];
}

static inline struct worker_pane *reading_pane(struct worker *w)
{
	return &w->pane[swap_active(&w->pane_swap)];
}

/* Counts and remembers what cannot be used: one of enum collector_reject. */
void reading_refuse(struct worker *w, unsigned reason, const struct worker_packet *p);

/* False: the record is not for us, counted. */
bool reading_accepted(struct worker *w, const struct worker_packet *p, const struct wire_head *h);

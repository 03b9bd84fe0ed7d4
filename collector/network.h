/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standard sFlow, of switches and of hosts with another agent than ours: its samples become rows of the view `network`
 * (see network.c). Part of a receive thread, as collector/worker.h: no clock, no socket, no log.
 */
#pragma once

#include "collector/counters.h"
#include "collector/fold.h"
#include "collector/sources.h"
#include "wire/packet.h"

#define NETWORK_BATCH 64 /* rows whose values are kept until they are folded */
#define NETWORK_BODY 64  /* bytes of values of a row */

struct network {
	/* of the datagram: network_begin() */
	struct fold *fold;
	struct counters_rx *counters;
	struct sources *sources;
	struct sources_lines *lines;
	int64_t at_s;
	struct slots_key source; /* its agent; then the source of the last sample */
	uint32_t *source_slot;
	uint32_t source_line;
	uint32_t interval, names;
	bool named; /* names are looked up, and good until network_flush() */
	bool shed;  /* no room for the net's name: nothing can be folded */
	bool open;  /* a sample is being read */
	uint64_t rows;
	/* rows that wait to be folded */
	size_t n_waiting;
	uint8_t body[NETWORK_BATCH][NETWORK_BODY];
	/* the open sample */
	struct packet packet;
	enum packet_error packet_error;
	unsigned packet_rank; /* 0: none yet */
	uint32_t frame_bytes; /* of a sampled_ethernet; 0: none */
	struct {
		bool known;
		struct ip local, remote;
		uint16_t local_port, remote_port;
		uint8_t protocol;
	} socket;
	struct {
		bool known;
		uint32_t direction, rtt_us, rtt_var_us, cwnd, min_rtt_us;
	} tcp;
};

/* Where and when a datagram came, and what counts it. */
struct network_from {
	struct fold *fold;
	struct counters_rx *counters;
	struct sources *sources;
	struct sources_lines *lines;
	struct ip agent;
	uint32_t sub_agent;
	uint32_t *source_slot; /* of the agent's last sample, for the next ones */
	struct str net;        /* of all its rows: standard sFlow does not say */
	uint32_t interval;     /* in which it came, by the collector's clock */
	int64_t at_s;
};

/* Before the first network_next() of a datagram that was opened. */
void network_begin(struct network *n, const struct network_from *from);

/*
 * Reads on in *d, rows are made and counted on the way (n->rows). WIRE_END: all is read. Else why something was lost; call
 * again. Rows may wait until network_flush().
 */
enum wire_error network_next(struct network *n, struct wire_datagram *d);

/* Folds what waits: before the fold table is handed over, before another one is used, and before the net may be another. */
void network_flush(struct network *n);

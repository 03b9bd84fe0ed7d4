/* SPDX-License-Identifier: Apache-2.0 */
/* The `flows` record: what one host measured of its conversations in one interval. */
#pragma once

#include "flow/msg.h"
#include "wire/body.h"
#include "wire/build.h"
#include "wire/tables.h"

/* A row in the words of the end that measured. local is that end. */
struct wire_flow {
	struct ip local, remote;
	uint16_t port;       /* service port; FLOW_VIEW_UNKNOWN: the local port */
	uint16_t other_port; /* FLOW_VIEW_UNKNOWN: the remote port, else 0 */
	uint8_t view;        /* enum flow_view: what `local` is */
	uint8_t protocol;
	uint16_t flags; /* enum flow_flag */
	uint32_t
		scope; /* 0: the addresses are global; 1: they exist on this host only; else in this network namespace (inode) only */
	uint8_t n_ports;
	uint16_t ports[FLOW_PORTS]; /* ephemeral ports of the client end */
	uint32_t ports_more;
	const struct flow_names *names;
	uint32_t names_index; /* reading: same index = same names within this record. Writing: not looked at */
	/* reading: the values, checked: pass them to wire_body_add(). Writing: not looked at */
	uint64_t present;
	struct str body;
};

/*
 * Adds a row. Returns how many wire rows it became: 1, or more when a counter of 32 bits on the wire is
 * larger than that (the rest travels in rows with rows = 0). Nothing is changed on failure:
 * -ENOSPC   this datagram is full, or holds rows of the other family: close it, open the next, add again
 * -EMSGSIZE does not fit into an empty datagram either
 * -ERANGE   a counter is above WIRE_SPLIT times 2^32
 */
int wire_flows_add(struct wire_build *b, const struct wire_flow *row, const struct flow_stats *stats);

#define WIRE_SPLIT 16 /* rows that one row may become */

/* A flows record being read. Big (~60 KiB): one per thread, reused; nothing in it needs to be cleared. */
struct wire_flows {
	struct wire_head head;
	uint32_t family;           /* 4 or 6 */
	uint32_t n_rows;           /* as the record says */
	struct wire_tables tables; /* tables.names[row.names_index], tables.n_names of them */
	/* inside: */
	struct wire_items items;
};

/* Reads head and tables of record `r` (ours, WIRE_FLOWS). Not WIRE_OK: the whole record is lost. */
enum wire_error wire_flows_open(struct wire_flows *f, const struct wire_record *r);

/* A row where it stands, its words taken apart and nothing copied: what a collector's hot path needs. */
struct wire_flow_raw {
	const uint8_t *local, *remote; /* 4 bytes each, or 16: as the family says */
	uint16_t port, other_port, flags;
	uint8_t view, protocol, n_ports;
	uint32_t scope, names_index, ports_more;
	const uint8_t *ports; /* two bytes each, big-endian */
	uint64_t present;
	struct str body; /* not checked: wire_body_check(), or what knows more */
};

/* As wire_flows_next(), but for the body. */
enum wire_error wire_flows_next_raw(struct wire_flows *f, struct wire_flow_raw *row);

/*
 * The next row; row->names points into *f. WIRE_OK, WIRE_END, else the reason why one row (WIRE_STRING,
 * WIRE_TEXT, WIRE_NAME, WIRE_BODY, WIRE_VALUE) or this and all that follow (WIRE_SHORT; then WIRE_END comes) are lost.
 */
enum wire_error wire_flows_next(struct wire_flows *f, struct wire_flow *row);

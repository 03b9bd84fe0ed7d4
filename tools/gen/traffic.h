/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two ends of a pair measure in an interval: pure functions of fleet, pair and interval. Either as an agent that folds in
 * the kernel says it, a row a pair and end; or as events of single connections, not folded yet, in the proportions that were
 * published of a large fleet: 12 events to 1.4 conversations, that is 8.6, over 3.3 ephemeral ports, both skewed.
 */
#pragma once

#include "flow/msg.h"
#include "tools/gen/fleet.h"

#define TRAFFIC_PORTS 256 /* most ephemeral ports of a pair in an interval */

/* What goes into one row on the wire. */
struct traffic_item {
	struct flow_stats stats;
	uint16_t ports[FLOW_PORTS];
	uint8_t n_ports;
	uint32_t ports_more;
};

/* index: the interval's number, counted from 1970 in intervals; seconds: its length. */
void traffic_row(const struct fleet *f, const struct fleet_row *row, uint32_t index, uint32_t seconds,
		 struct traffic_item *ret);

/* Ephemeral ports the row's pair has in the interval, 1 .. TRAFFIC_PORTS; each interval others. */
uint32_t traffic_ports(const struct fleet *f, const struct fleet_row *row, uint32_t index);

/* Events of the `port`-th of them: 1 or more. */
uint32_t traffic_events(const struct fleet *f, const struct fleet_row *row, uint32_t index, uint32_t port);

/* The `event`-th of the `port`-th. */
void traffic_event(const struct fleet *f, const struct fleet_row *row, uint32_t index, uint32_t port, uint32_t event,
		   struct traffic_item *ret);

/* Length of the IP packet that stands for the item in a sample: headers of 20 or 40 and 20 bytes, and at most a segment. */
uint32_t traffic_packet(const struct traffic_item *item, bool v6);

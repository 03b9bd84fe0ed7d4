/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `health` record: ledger lines of the agent (law L7), each with its losses by reason and further numbers
 * by name. An agent repeats a line until it was acknowledged, so a line outlives an outage of the collector.
 */
#pragma once

#include "wire/build.h"
#include "wire/tables.h"

/*
 * Adds a line; role "agent", instance and boot come from the head. 1, or as wire_flows_add(): -ENOSPC, -EMSGSIZE.
 * A line must not be split: a reader takes the second half for the line. One that fits no datagram of this bound is
 * shortened here: infos are left out from the end until it does, and the info "infos_left_out" says how many. So put those
 * first that matter most. Rows and losses are never left out; -EMSGSIZE means that even they do not fit: count it.
 */
int wire_health_add(struct wire_build *b, const struct flow_ledger *line);

/* A health record being read. */
struct wire_health {
	struct wire_head head;
	uint32_t n_lines;
	/* inside: */
	struct wire_tables tables;
	struct wire_items items;
};

enum wire_error wire_health_open(struct wire_health *h, const struct wire_record *r);

/* The next line; role is "agent", instance the head's host, boot the head's. Losses and infos past the bounds of
 * struct flow_ledger are left out. Errors as wire_flows_next(). */
enum wire_error wire_health_next(struct wire_health *h, struct flow_ledger *ret);

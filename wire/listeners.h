/* SPDX-License-Identifier: Apache-2.0 */
/* The `listeners` record: listening ports of a host, as rows. Those with alive = 0 are gone. */
#pragma once

#include "wire/build.h"
#include "wire/tables.h"

/* Adds a listener; net, host and interval come from the head. 1, or as wire_flows_add(): -ENOSPC, -EMSGSIZE. */
int wire_listeners_add(struct wire_build *b, const struct flow_listener *l);

/* A listeners record being read. Big (~60 KiB): one per thread. */
struct wire_listeners {
	struct wire_head head;
	uint32_t n_rows;
	/* inside: */
	struct wire_tables tables;
	struct wire_items items;
};

enum wire_error wire_listeners_open(struct wire_listeners *l, const struct wire_record *r);

/* The next one, net, host and interval from the head. Errors as wire_flows_next(). */
enum wire_error wire_listeners_next(struct wire_listeners *l, struct flow_listener *ret);

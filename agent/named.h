/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the kernel's rows to the rows that are sent: named, and merged where nothing but the kernel's key
 * (process ids, cgroups, namespaces) told them apart. Merged in place, by sorting: no second table.
 */
#pragma once

#include "agent/locals.h"
#include "agent/names.h"
#include "agent/nat.h"
#include "agent/rows.h"
#include "wire/flows.h"

#define NAMED_PORTS 64 /* server ports of the ephemeral range that a service may have before they fold to port 0 */

struct named_ref {
	struct agent_row *row; /* holds the sum */
	uint32_t names;
	uint32_t scope;
};

struct named {
	struct named_ref *v; /* sorted by family, names, conversation */
	size_t n, cap;
	uint16_t port_low, port_high; /* the ephemeral range */
	uint64_t ports_folded;        /* rows whose port became 0 */
	struct named_ports *ports;
	const struct nat *nat; /* what key.via means; NULL after named_init() */
};

/* port_low .. port_high: net.ipv4.ip_local_port_range. -ENOMEM */
int named_init(struct named *out, uint16_t port_low, uint16_t port_high);
void named_deinit(struct named *out);

/* Fills out->v with the rows of one interval; `rows` and `names` must not change until they are used. now_us never
 * steps. -ENOMEM */
int named_fold(struct named *out, struct agent_rows *rows, struct names *names, const struct locals *locals,
	       int64_t now_us);

/* The row in the words of the wire. */
void named_flow(const struct named_ref *ref, const struct names *names, struct wire_flow *ret);

/* Its sums. */
static inline const struct flow_stats *named_stats(const struct named_ref *ref)
{
	return (const struct flow_stats *)&ref->row->val;
}

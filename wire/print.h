/* SPDX-License-Identifier: Apache-2.0 */
/* A datagram for people (text) and for programs (a JSON object a line). */
#pragma once

#include "base/buf.h"
#include "wire/flows.h"
#include "wire/health.h"
#include "wire/host.h"
#include "wire/listeners.h"

/* Memory for one datagram; big: one per thread. */
struct wire_print {
	uint32_t enterprise; /* 0: WIRE_ENTERPRISE */
	bool json;
	union {
		struct wire_flows flows;
		struct wire_listeners listeners;
		struct wire_health health;
	};
	union {
		struct flow_host host;
		struct flow_ledger line;
	};
};

/* Appends the n bytes at p as text or as JSON lines, acks too. What cannot be read is named by its reason in its
 * place. Returns how many such places there were. */
unsigned wire_print(struct wire_print *w, const void *p, size_t n, struct buf *out);

/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent says beside its rows: its host, who listens there, its ledger line. */
#pragma once

#include "tools/gen/fleet.h"
#include "wire/build.h"

/* What the host's ledger line says of its rows. */
struct agent_line {
	uint64_t rows, failed; /* failed: could not be sent */
	uint64_t attempts, client, server, closed, open_ms;
};

/* Memory to work with. Large: one per thread. */
struct agent {
	const struct fleet *fleet;
	uint32_t uptime_ms;
	struct wire_sender *sender; /* of the host at work */
	uint32_t host;
	struct wire_head head;
	void (*send)(void *arg, const void *p, size_t n); /* takes the bytes before it returns */
	void *arg;
	/* inside: */
	struct wire_build build;
	uint8_t bytes[WIRE_SIZE_MAX];
	struct flow_host record;
};

/* For the host, head, sender and uptime that stand in `a`. */
void agent_introduce(struct agent *a);
void agent_health(struct agent *a, const struct agent_line *line);

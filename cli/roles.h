/* SPDX-License-Identifier: Apache-2.0 */
/* All roles of `skyfall run` in this process, on the memory bus. Started from the store to the socket, stopped
 * the other way round, so that what one hands on the next one still takes. */
#pragma once

#include <stdint.h>

#include "collector/collector.h"
#include "graph/graph.h"
#include "server/server.h"

struct roles_opts {
	const char *data, *listen, *web_root, *sflow, *inventory; /* web_root: folder, inventory: file; NULL none */
	const char *inventory_text;                               /* YAML instead of a file; NULL none */
	uint32_t interval_ms, spread_ms;
	struct collector_opts collector; /* of receiving: threads, steering, trust, fold */
};

struct roles {
	struct bus *bus;
	struct inventory *inventory;
	struct collector *collector;
	struct graph *graph;
	struct server *server;
	char instance[128];
	char sflow_address[64]; /* where an agent on this host sends to */
};

/* -errno with one sentence in `why`; then nothing runs and nothing is held. */
int roles_start(struct roles *r, const struct roles_opts *opts, char *why, size_t why_len);

/* Reads the files again: keys, lists, inventory. -errno with a sentence in `why`: all stay as they were. */
int roles_reload(struct roles *r, const struct roles_opts *opts, char *why, size_t why_len);

/* Stops collector and graph: everything received is then on its way into the store. The API still answers. */
void roles_drain(struct roles *r);

/* Stops the rest and frees. */
void roles_stop(struct roles *r);

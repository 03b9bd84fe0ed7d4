/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGHUP: options file and rules are read again. A mistake leaves all as it was. In force at once: collectors, spread; from the
 * next interval on: interval, rules, budget, networks of this host only. Anything else waits for the next start, and that is said.
 */
#pragma once

#include "agent/conf.h"
#include "agent/cycle.h"
#include "agent/outbox.h"

#define RELOAD_LIVE 3 /* waiting, in force, no longer in force */

struct reload {
	const struct conf *first; /* of the start: lives as long as the agent */
	int argc;
	char **argv;
	struct cycle *cycle;   /* NULL: nothing runs yet */
	struct outbox *outbox; /* NULL: rows are printed */
	struct conf *live[RELOAD_LIVE];
	const struct conf *newest; /* of these; NULL: first */
};

/* In the loop's thread; arg: the struct reload. */
void reload_now(void *arg);

/* After cycle and outbox are gone. */
void reload_deinit(struct reload *r);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGHUP: options file and rules are read again. A mistake leaves all as it was. In force at once: collectors, spread; from the
 * next interval on: interval, rules, budget, networks of this host only. Anything else waits for the next start, and that is said.
 *
 * Names of collectors that are new are looked up first, in a thread: a resolver may take half a minute, and what is in force
 * goes on meanwhile. A later SIGHUP replaces what waits; one that needs no look-up is in force at once.
 */
#pragma once

#include "agent/conf.h"
#include "agent/cycle.h"
#include "agent/outbox.h"
#include "agent/resolve.h"

#define RELOAD_LIVE 3 /* waiting, in force, no longer in force */

struct reload {
	const struct conf *first; /* of the start: lives as long as the agent */
	int argc;
	char **argv;
	struct loop *loop;
	struct cycle *cycle;   /* NULL: nothing runs yet */
	struct outbox *outbox; /* NULL: rows are printed */
	struct conf *live[RELOAD_LIVE];
	const struct conf *newest; /* of these; NULL: first */
	struct resolve *resolve;   /* NULL: no name was new yet */
	struct conf *asked;        /* waits for addresses of names; NULL none */
	bool other;                /* the look-up under way is for what waited before */
};

/* In the loop's thread; arg: the struct reload. */
void reload_now(void *arg);

/* After cycle and outbox are gone, before the loop. */
void reload_deinit(struct reload *r);

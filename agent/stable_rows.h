/* SPDX-License-Identifier: Apache-2.0 */
/* What the mode `stable` is told of a connection, made into rows: its destruction, an end that came without that, a place in a
 * dump. agent/source_stable.c describes the whole. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/conns.h"
#include "agent/diag.h"
#include "agent/nat.h"
#include "agent/netns.h"
#include "agent/rows.h"
#include "agent/source.h"
#include "agent/stable.h"
#include "agent/stable_live.h"
#include "agent/stable_owner.h"

struct stable_rows {
	struct stable *hook;
	struct conns *conns; /* by cookie: what dumps saw */
	struct stable_owners *owners;
	struct stable_live *live;
	const struct netns_set *ns;
	bool all_netns;  /* none was named: all are watched */
	struct nat *nat; /* what is known of translated addresses; may be NULL */
	struct source_counts *counts;
	/* of the look under way */
	struct agent_rows *rows; /* NULL: the first, which only remembers */
	uint32_t round;          /* counts dumps */
	uint32_t inum;           /* namespace of the dump */
	int64_t now_us;          /* the cut; never steps */
	bool first;              /* what is open is older than we are */
	int64_t told_us;         /* translations of connections established before are known */
	/* The kernel's messages whose cookie the hook does not know; they wait for the end of the look. */
	struct stable_late *late;
	size_t n_late, max_late;
	uint64_t
		n_hurried; /* messages of connections for which there was no room there, told without the hook's part */
};

void stable_rows_deinit(struct stable_rows *s);

/* Makes them known: before each look. */
void stable_rows_begin(struct stable_rows *s);

/* Near the end of a look: messages that wait get the hook's part by addresses and ports; 0, or -errno of the hook's tables. After
 * stable_ended(): those that have none are told without, and so are the hook's destroyed ones that got none (a refused attempt's
 * knows no port). */
int stable_rows_join(struct stable_rows *s);
void stable_rows_alone(struct stable_rows *s);

/* Nobody looks any more: what is open then, and messages that wait, are never told. */
void stable_rows_forget(struct stable_rows *s);

/* Each with a struct stable_rows; always 0. For destroys_read(), stable_ended(), diag_dump(). */
int stable_rows_destroyed(void *rows, uint32_t netns, const struct diag_sock *d);
int stable_rows_left(void *rows, uint64_t key, const void *value);
int stable_rows_open(void *rows, const struct diag_sock *d);

/* After a dump: connections whose end neither part told, because the message was dropped and the event passed over. */
void stable_rows_sweep(struct stable_rows *s);

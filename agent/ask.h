/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to the kernel's half of the walk, SKY_SLICE at a time, and what follows from the answers. agent/walk.c says whom
 * to ask, and why nothing is lost. */
#pragma once

#include <stdbool.h>

#include "agent/conns.h"
#include "agent/load.h"
#include "agent/tally.h"
#include "agent/walk.h"

#define ASK_TURNS 16 /* walks in which every connection is looked up, and the table listed */

struct places;

struct ask {
	struct conns *conns;   /* who is followed */
	struct places *places; /* where somebody else may be */
	struct tally tally;
	struct walk_counts counts;
	uint32_t round;               /* this walk */
	bool whole;                   /* an address may have been lost: list the table */
	bool fresh;                   /* the slice asks for connections that may be new */
	size_t n;                     /* questions waiting */
	struct conn *conn[SKY_SLICE]; /* of whom; NULL: whoever is there */
};

/* From now on the connection of this entry is followed. NULL: no room, counted. */
struct conn *ask_follow(struct ask *w, const struct sky_sock *s);
/* No longer; its address is one to be asked about. */
void ask_drop(struct ask *w, struct conn *c);
/* Who is there is asked in a later walk. */
void ask_later(struct ask *w, uint64_t at);

/* Each puts a question; a full slice is asked and answered. ask_rest(): what waits is. -errno */
int ask_conn(struct ask *w, struct load *l, struct conn *c, size_t place);
/* how: SKY_ASK_NEW, SKY_ASK_SWEEP. What could not be followed is not asked about: its CLOSE counts it whole. */
int ask_place(struct ask *w, struct load *l, uint64_t at, uint32_t how);
int ask_owner(struct ask *w, struct load *l, uint64_t at);
int ask_rest(struct ask *w, struct load *l);

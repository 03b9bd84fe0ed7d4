/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted of a followed connection: from each reading of its totals the difference to the one before, and its
 * beginning and end once, into its row of this interval. */
#pragma once

#include <stdbool.h>

#include "agent/conns.h"
#include "agent/rows.h"

struct nat;

struct tally {
	struct agent_rows *rows;
	struct nat *nat;         /* NULL: nothing is translated */
	uint64_t now_ms, cut_ms; /* open_ms is counted up to the cut */
	uint32_t us_per_jiffy;
	uint64_t lost;        /* ends that found no room in `rows` */
	bool owing;           /* some row's bytes are below 0 for now: tally_settle() */
	uint64_t fin_guessed; /* bytes received read too early, each a FIN, that could not be taken back */
	uint64_t clamped;     /* bytes sent, likewise */
};

/* Adopted: what it did so far is not ours. */
void tally_keep(struct conn *c, const struct sky_totals *t);

/* Connecting, or established since its entry was read. */
void tally_trying(struct tally *w, struct conn *c);

/* Established and alive; `t`: what it did so far, NULL when nothing moved. `first` is used once. */
void tally_alive(struct tally *w, struct conn *c, const struct sky_first *first, const struct sky_totals *t);

/* Its CLOSE is under way, or reached no program. That it was tried and established is known and counted at once. */
void tally_dead(struct tally *w, struct conn *c, const struct sky_first *first);

/* Its CLOSE reached no program: it ended when it was last seen alive, and what it did since is lost. */
void tally_unseen(struct tally *w, struct conn *c, const struct sky_first *first);

/* All of an interval is in `rows`: what is below 0 there is 0, and counted. */
void tally_settle(struct tally *w);

/* It ended as `f` says. */
void tally_end(struct tally *w, struct conn *c, const struct sky_final *f);

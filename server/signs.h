/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signs: facts of an edge that stand out. A share that passed a threshold, and a sentence; no verdict: why it is so is
 * not asked here. Pure: sums in, signs out.
 */
#pragma once

#include "flow/msg.h"

#define SIGNS_MAX 18 /* rows of the table */
#define SIGN_TEXT 160

enum sign_severity { SIGN_NONE, SIGN_LOOK, SIGN_SERIOUS };

struct sign {
	const char *name;   /* "refused", "retransmits", ...: the table in signs.c */
	uint8_t severity;   /* SIGN_LOOK: worth a look; SIGN_SERIOUS */
	const char *side;   /* "c2s", "s2c": of the direction, or the end that sends in it; "" of the whole */
	uint64_t count, of; /* attempts, connections, segments, us */
	double share;       /* count / of, 0..1 */
	char text[SIGN_TEXT];
};

/* The signs of the sums of `seconds` seconds, worst first: by severity, share, count, name, side.
 * Returns how many. */
unsigned signs_of(const struct flow_edge *e, uint32_t seconds, struct sign ret[SIGNS_MAX]);

/* <0 when a is worse than b: the order of signs_of(), a total one. For qsort as well. */
int signs_compare(const void *a, const void *b);

/* The i-th name of a sign, in the table's order without repeats; NULL after the last. For docs and tests. */
const char *signs_name(unsigned i);

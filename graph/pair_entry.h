/* SPDX-License-Identifier: Apache-2.0 */
/* What the pair stage keeps of a conversation in a bucket, shared by pair.c (fold, settle) and pair_join.c (write out). */
#pragma once

#include "graph/stages.h"

/* All rows of one view and one service. */
struct pair_end {
	struct pair_end *next;
	uint8_t view;
	bool no_role; /* not settled; client and server of the conversation are just two ends */
	struct str service, via;
	uint32_t flags;
	struct flow_stats stats;
};

struct pair_entry {
	struct bucket_entry base;
	struct flow_conv conv;
	struct pair_end *ends;
};

/* Writes the edges of bucket `b` into the batch, sets b->rows_out. */
int pair_join(struct pair *p, struct window_batch *batch, struct bucket *b);

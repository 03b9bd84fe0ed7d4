/* SPDX-License-Identifier: Apache-2.0 */
/* What the live stream shows of one interval: at most FRAME_EDGES edges as JSON texts, and sums over all of them. Two
 * frames make a delta. Pure: rows in, text out. */
#pragma once

#include "base/buf.h"
#include "store/query.h"

#define FRAME_EDGES 500

struct frame;

/* rows: the edges of one interval, best by bytes first, with no limit; those with signs come before those without.
 * hosts: how many reported. -ENOMEM. */
int frame_new(struct frame **ret, const struct store_rows *rows, uint32_t interval, uint16_t interval_s,
	      uint32_t hosts);
void frame_free(struct frame *f);

/* {interval, interval_s, edges, hosts, totals} */
void frame_snapshot(const struct frame *f, struct buf *b);
/* {interval, interval_s, add, update, remove, hosts, totals}: makes `was` to `f`. An edge whose text is the same is in
 * neither. was NULL: everything is added. */
void frame_delta(const struct frame *was, const struct frame *f, struct buf *b);

/* SPDX-License-Identifier: Apache-2.0 */
/* A fleet in real time: each interval every host sends what it measured, evenly over the spread, as agents do. One thread. */
#pragma once

#include "tools/gen/counts.h"
#include "tools/gen/fate.h"
#include "tools/gen/foe.h"
#include "tools/gen/line.h"
#include "tools/gen/pack.h"
#include "tools/gen/truth.h"

struct emit_opts {
	struct pack_opts pack;
	struct line_opts line;
	struct fate fate;
	struct foe_opts foes;
	bool spray;          /* each datagram from any socket */
	uint32_t late_index; /* of the interval from which on the last edge is there; 0: from the first */
};

struct emit;

/* truth may be NULL. -errno. */
int emit_new(struct emit **ret, const struct fleet *f, struct truth *truth, const struct emit_opts *opts);
void emit_free(struct emit *e);

/* Sends everything of the interval that begins at `interval`, evenly from from_us (wall clock) on over the spread, and writes the
 * truth of it. Hosts say who they are and who listens when `introduce`. -ENOMEM, -EIO (truth). */
int emit_interval(struct emit *e, uint32_t interval, int64_t from_us, bool introduce);

const struct counts *emit_counts(struct emit *e);

/* SPDX-License-Identifier: Apache-2.0 */
/* Where a partition begins again: the other end of what window_commit.c writes. The essay is in window.c. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "graph/window_part.h"

void window_part_clear_poison(struct window_part *part)
{
	while (part->poison) {
		struct window_poison *p = part->poison;

		part->poison = p->next;
		free(p);
	}
	part->last_poison = &part->poison;
	part->n_poison = 0;
}

void window_part_clear(struct window *w, struct window_part *part)
{
	while (part->buckets) {
		struct bucket *b = part->buckets;

		part->buckets = b->next;
		w->entries -= b->held;
		bucket_free(b);
	}
	window_part_clear_poison(part);
	producers_deinit(&part->producers);
	*part = (struct window_part){.partition = part->partition, .last_poison = &part->poison};
}

static int window_expect(struct window *w, struct window_part *part)
{
	char name[64];
	int r = 0;

	for (unsigned i = 0; i < w->opts.n_expect && r == 0; i++) {
		snprintf(name, sizeof(name), "%s/%u", w->opts.expect, i);
		r = producers_expect(&part->producers, str_from(name));
	}
	return r;
}

int window_restore(struct window *w, struct window_part *part)
{
	enum bus_topic t = w->opts.stage->input;
	int64_t h = 0, balance = 0, end;
	struct bus_position at;
	uint32_t closed = 0;
	int r;

	window_part_clear(w, part);
	part->skip = part->broken = true;
	part->marker_at = w->now;
	r = bus_committed(w->reader, t, part->partition, &at);
	if (r < 0)
		return r;
	if (at.offset >= 0) {
		if (sscanf(at.metadata, "1 %" SCNd64 " %" SCNu32 " %" SCNd64, &h, &closed, &balance) < 2)
			return -EBADMSG; /* somebody else's group */
	} else {
		r = bus_bounds(w->opts.bus, t, part->partition, &at.offset, &end);
		if (r < 0)
			return r;
		producers_init(&part->producers, 0, true);
	}
	if (h > 0)
		producers_init(&part->producers, balance, false);
	r = bus_seek(w->reader, t, part->partition, at.offset);
	if (r < 0)
		return r;
	part->pos = at.offset;
	part->epoch = (uint64_t)at.offset;
	part->h = h;
	part->closed = part->close_to = closed;
	r = window_expect(w, part);
	part->broken = r < 0;
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Rows as samples that others read, our record among them: the agents' other profile (wire/interop.c). */
#include <errno.h>

#include "tools/gen/pack.h"
#include "wire/put.h"

enum { SAMPLE = 40 /* format, length, 8 words */ };

static void interop_open(struct pack *p)
{
	const struct wire_opts opts = {.size = p->opts.size, .auth = p->fleet->keys};

	wire_interop_open(&p->interop, &p->build, &p->head, &opts);
}

static int interop_add(struct pack *p, const struct pack_row *row)
{
	/* More bytes than a sample can say are in no fleet here, so that an item is in one datagram. */
	if (wire_interop_parts(&row->item->stats) > 1)
		return -ERANGE;
	return wire_interop_add(&p->interop, &row->flow, &row->item->stats, 0);
}

/* Of the sample at `at`, whose running count of rows was `pool` before: what stamping has to know. Returns the count behind it. */
static uint32_t interop_spot(struct pack *p, const uint8_t *begin, uint32_t at, uint32_t pool)
{
	uint32_t end = at + 8 + cursor_load32(begin + at + 4), after = cursor_load32(begin + at + 20);
	struct pack_spot spot = {.sample = (uint16_t)(at + 8), .rows = after - pool};

	for (at += SAMPLE; at < end; at += 8 + cursor_load32(begin + at + 4))
		if (cursor_load32(begin + at) == (WIRE_ENTERPRISE << 12 | WIRE_FLOWS))
			spot.interval = (uint16_t)(at + 12);
	pack_spot(p, &spot);
	return after;
}

static void interop_close(struct pack *p)
{
	struct wire_sender s = {.agent = p->fleet->hosts[p->host].ip};
	uint8_t *dst = pack_room(p, WIRE_SIZE_MAX);
	uint32_t at = ip_is_v4(&s.agent) ? 28 : 40, pool = 0;
	size_t n;

	if (!dst)
		return;
	n = wire_interop_close(&p->interop, &s, 0, p->opts.equal ? p->interop.opts.size : 0, dst, WIRE_SIZE_MAX);
	for (; at < n; at += 8 + cursor_load32(dst + at + 4))
		pool = interop_spot(p, dst, at, pool);
	pack_done(p, n);
}

const struct pack_profile pack_interop = {"interop", true, interop_open, interop_add, interop_close, NULL};

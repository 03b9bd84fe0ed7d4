/* SPDX-License-Identifier: Apache-2.0 */
/* What was sent, in sums. */
#pragma once

#include <stdint.h>

/* Datagrams, and what they held: rows are sum(rows) in ours, packets in standard ones. */
struct counts_of {
	uint64_t datagrams, rows;
};

struct counts {
	struct counts_of made;              /* with rows: sent + lost + failed */
	struct counts_of sent;              /* each once */
	struct counts_of lost;              /* on purpose, never given to the kernel */
	struct counts_of failed;            /* the kernel did not take them */
	struct counts_of twice;             /* of the sent: a second time, beside */
	struct counts_of late;              /* of the sent: overtaken by the agent's next one */
	uint64_t forged, replayed, altered; /* datagrams beside, of no host */
	uint64_t others;                    /* host, listener and health datagrams */
	uint64_t bytes;                     /* of all that went */
	uint64_t keys, tuples; /* rows to fold into, and their ephemeral ports, over all intervals; 0 when not known */
	uint64_t calls;        /* of sendmmsg() */
	int64_t behind_us;     /* the most that a datagram went after it was due */
};

static inline void counts_put(struct counts_of *to, uint64_t rows)
{
	to->datagrams++;
	to->rows += rows;
}

/* Every number is a sum but the last. */
static inline void counts_add(struct counts *to, const struct counts *from)
{
	int64_t behind_us = to->behind_us > from->behind_us ? to->behind_us : from->behind_us;

	for (unsigned i = 0; i < sizeof(*to) / 8; i++)
		((uint64_t *)to)[i] += ((const uint64_t *)from)[i];
	to->behind_us = behind_us;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/stamp.h"

#include <assert.h>

#include "wire/put.h"

enum { FLOW_SAMPLE = 1 }; /* those of counters are not counted */

/* The next flow sample's body from *p on, which moves behind it; NULL: no more. */
static uint8_t *next_sample(uint8_t **p, const uint8_t *end)
{
	while (end - *p >= 8) {
		uint32_t format = cursor_load32(*p), len = cursor_load32(*p + 4);
		uint8_t *body = *p + 8;

		assert(len <= (size_t)(end - body) && len >= 20);
		*p = body + len;
		if (format == FLOW_SAMPLE)
			return body;
	}
	return NULL;
}

void wire_stamp(void *datagram, size_t n, uint64_t rows, struct wire_sender *s, uint32_t uptime_ms)
{
	bool v4 = ip_is_v4(&s->agent);
	uint8_t *p = datagram, *end = p + n, *at, *sample;
	uint32_t pool = 0, i = 0;

	assert(n >= (v4 ? 28u : 40u) && cursor_load32(p + 4) == (v4 ? 1u : 2u));
	s->sequence++;
	s->pool += (uint32_t)rows;
	p = put_bytes(p + 8, s->agent.b + (v4 ? 12 : 0), v4 ? 4 : 16);
	p = put_u32(p, s->sub_agent);
	p = put_u32(p, s->sequence);
	p = put_u32(p, uptime_ms) + 4; /* past the count of samples */
	for (at = p; (sample = next_sample(&at, end));)
		pool = cursor_load32(sample + 12);
	for (at = p; (sample = next_sample(&at, end)); i++) {
		s->more += i > 0;
		put_u32(sample, s->sequence + s->more);
		put_u32(sample + 12, s->pool - (pool - cursor_load32(sample + 12)));
		put_u32(sample + 16, s->drops);
	}
}

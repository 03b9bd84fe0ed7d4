/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/stamp.h"

#include <assert.h>

#include "wire/put.h"

void wire_stamp(void *datagram, size_t n, uint64_t rows, struct wire_sender *s, uint32_t uptime_ms)
{
	bool v4 = ip_is_v4(&s->agent);
	uint8_t *p = datagram, *end = p + n;

	assert(n >= (v4 ? 28u : 40u) && cursor_load32(p + 4) == (v4 ? 1u : 2u));
	s->sequence++;
	s->pool += (uint32_t)rows;
	p = put_bytes(p + 8, s->agent.b + (v4 ? 12 : 0), v4 ? 4 : 16);
	p = put_u32(p, s->sub_agent);
	p = put_u32(p, s->sequence);
	p = put_u32(p, uptime_ms) + 4; /* past the count of samples */
	while (end - p >= 8) {
		uint32_t format = cursor_load32(p), len = cursor_load32(p + 4);

		p += 8;
		assert(len <= (size_t)(end - p) && len >= 20);
		if (format == 1) { /* a flow sample; those of counters are not counted */
			put_u32(p, s->sequence);
			put_u32(p + 12, s->pool);
			put_u32(p + 16, s->drops);
		}
		p += len;
	}
}

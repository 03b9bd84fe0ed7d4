/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/ack.h"

#include <assert.h>

#include "wire/put.h"

void wire_ack_put(const struct wire_ack *a, uint8_t dst[WIRE_ACK_SIZE])
{
	uint8_t *p = dst;

	p = put_u32(p, WIRE_ACK_MAGIC);
	p = put_u32(p, WIRE_VERSION_RECORD);
	p = put_u64(p, a->boot);
	p = put_u32(p, a->sub_agent);
	p = put_u32(p, a->interval);
	p = put_u32(p, a->interval_s);
	p = put_u32(p, a->datagrams);
	p = put_u64(p, a->rows);
	p = put_u32(p, a->flags);
	p = put_u32(p, 0); /* no signature */
	assert(p - dst == WIRE_ACK_SIZE);
}

enum wire_error wire_ack_read(const void *p, size_t n, struct wire_ack *ret)
{
	struct cursor c = cursor_over((struct str){p, n});
	uint32_t magic = cursor_u32(&c), version = cursor_u32(&c);
	struct wire_ack a;

	if (!c.err && (magic != WIRE_ACK_MAGIC || version != WIRE_VERSION_RECORD))
		return WIRE_VERSION;
	a.boot = cursor_u64(&c);
	a.sub_agent = cursor_u32(&c);
	a.interval = cursor_u32(&c);
	a.interval_s = cursor_u32(&c);
	a.datagrams = cursor_u32(&c);
	a.rows = cursor_u64(&c);
	a.flags = cursor_u32(&c);
	cursor_opaque(&c);
	if (c.err)
		return WIRE_SHORT;
	*ret = a;
	return WIRE_OK;
}

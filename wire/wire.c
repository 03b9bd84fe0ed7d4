/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The datagram.
 *
 *     header    version 5, agent address, sub-agent id, sequence, uptime ms, samples
 *     sample    format 0:1 (flow), length
 *                 sequence, source, rate 1, sample_pool, drops, input, output, records
 *       record    format <enterprise>:1..5, length, one of our records (flows.c, host.c, listeners.c, health.c)
 *       record    format <enterprise>:14, length, zeros: padding, where a run of equal sizes is sent
 *       record    format <enterprise>:15: the signature; reserved
 *     sample    format 0:2 (counters), with a host record only: host_descr and host_adapters, standard
 *
 * 1. One flow sample of ours a datagram, one record of ours in it. An unknown *sample* type makes the usual collectors
 *    throw the datagram away, an unknown *record* none of them (they pass it by its length): hence a record.
 * 2. All lengths are multiples of 4: some readers do not round up.
 * 3. sample_pool = sum(rows) this (agent, sub-agent) has sent, this datagram included; drops = rows it lost before
 *    sending. So for two datagrams a, b in sequence: rows lost between = b.pool - a.pool - rows of b (mod 2^32).
 * 4. A record stands alone (law L6): it says whose it is, of which interval, and carries its own names.
 * 5. Every loop of the reader is bounded by bytes: whatever a count says, each round consumes some or ends it.
 *
 * Lost datagram: its rows of one interval. Broken bytes: the smallest thing with a length around it (a row, a record,
 * a sample); what stands beside it is kept. Bits flipped inside a value cannot be seen here: UDP's checksum, and later the
 * signature, are for that.
 *
 * Why not templates (IPFIX, NetFlow 9): a reader would need what an earlier datagram brought. Why not a sample a row:
 * 60 to 90 bytes of frame around each; packing is the largest lever on the collector's cost.
 */
#include "wire/wire.h"

#include <assert.h>

enum { SFLOW_VERSION = 5, ADDRESS_V4 = 1, ADDRESS_V6 = 2 };
enum {
	SAMPLE_FLOW = 1,
	SAMPLE_COUNTERS = 2,
	SAMPLE_FLOW_EXPANDED = 3,
	SAMPLE_COUNTERS_EXPANDED = 4,
	SAMPLE_DISCARD = 5,
};

const char *wire_error_name(enum wire_error e)
{
	static const char *const names[WIRE_ERRORS] = {
		[WIRE_OK] = "ok",           [WIRE_END] = "end",           [WIRE_SHORT] = "short",
		[WIRE_VERSION] = "version", [WIRE_LENGTH] = "length",     [WIRE_COUNT] = "count",
		[WIRE_STRING] = "string",   [WIRE_TEXT] = "text",         [WIRE_NAME] = "name",
		[WIRE_FAMILY] = "family",   [WIRE_INTERVAL] = "interval", [WIRE_BODY] = "body",
		[WIRE_VALUE] = "value",
	};

	assert(e < WIRE_ERRORS);
	return names[e];
}

enum wire_error wire_address(struct cursor *c, struct ip *ret)
{
	uint32_t type = cursor_u32(c);
	size_t n = type == ADDRESS_V4 ? 4 : type == ADDRESS_V6 ? 16 : 0;
	const uint8_t *p;

	if (c->err)
		return WIRE_SHORT;
	if (type > ADDRESS_V6)
		return WIRE_FAMILY;
	p = cursor_take(c, n);
	if (!p)
		return WIRE_SHORT;
	if (n == 4)
		*ret = ip_from_v4(p);
	else if (n == 16)
		memcpy(ret->b, p, 16);
	else
		*ret = (struct ip){0};
	return WIRE_OK;
}

enum wire_error wire_open(struct wire_datagram *d, const void *p, size_t n, uint32_t enterprise)
{
	struct cursor c = cursor_over((struct str){p, n});
	enum wire_error e;
	uint32_t version = cursor_u32(&c);

	if (c.err)
		return WIRE_SHORT;
	if (version != SFLOW_VERSION)
		return WIRE_VERSION;
	e = wire_address(&c, &d->agent);
	if (e)
		return e;
	d->sub_agent = cursor_u32(&c);
	d->sequence = cursor_u32(&c);
	d->uptime_ms = cursor_u32(&c);
	d->n_samples = cursor_u32(&c);
	if (c.err)
		return WIRE_SHORT;
	d->enterprise = enterprise ? enterprise : WIRE_ENTERPRISE;
	d->samples_left = d->n_samples;
	d->records_left = 0;
	d->cut = false;
	d->cur = c;
	d->sample = (struct cursor){0};
	return WIRE_OK;
}

/* Format, length and the bytes of a sample or record, cut to what there is. False: not even that. */
static bool next_part(struct cursor *c, uint32_t *ret_enterprise, uint32_t *ret_format, struct str *ret_body,
		      bool *ret_cut)
{
	uint32_t format = cursor_u32(c), n = cursor_u32(c);
	size_t room = ((size_t)n + 3) & ~(size_t)3;

	if (c->err)
		return false;
	*ret_cut = room > cursor_left(c);
	if (*ret_cut)
		room = n = cursor_left(c);
	*ret_enterprise = format >> 12;
	*ret_format = format & 0xfff;
	*ret_body = (struct str){(const char *)cursor_take(c, room), n};
	return true;
}

/* The words before the records of a sample; `wide` ones are two in the expanded forms. */
static bool read_sample_head(struct cursor *c, struct wire_sample *s)
{
	bool wide = s->format > 2; /* 0:5 has no compact form */
	bool flow = s->kind == WIRE_KIND_FLOW, discard = s->kind == WIRE_KIND_DISCARD;
	uint32_t v;

	s->sequence = cursor_u32(c);
	v = cursor_u32(c);
	s->source_class = wide ? v : v >> 24;
	s->source_index = wide ? cursor_u32(c) : v & 0xffffff;
	if (flow) {
		s->sampling_rate = cursor_u32(c);
		s->pool = cursor_u32(c);
	}
	if (flow || discard)
		s->drops = cursor_u32(c);
	if (discard) {
		s->input = cursor_u32(c);
		s->output = cursor_u32(c);
		s->reason = cursor_u32(c);
	} else if (flow) {
		v = cursor_u32(c);
		s->input_format = wide ? v : v >> 30;
		s->input = wide ? cursor_u32(c) : v & WIRE_PORT_INTERNAL;
		v = cursor_u32(c);
		s->output_format = wide ? v : v >> 30;
		s->output = wide ? cursor_u32(c) : v & WIRE_PORT_INTERNAL;
	}
	s->n_records = cursor_u32(c);
	return !c->err;
}

enum wire_error wire_sample_next(struct wire_datagram *d, const struct wire_sample **ret)
{
	static const uint8_t kinds[] = {
		[SAMPLE_FLOW] = WIRE_KIND_FLOW,         [SAMPLE_FLOW_EXPANDED] = WIRE_KIND_FLOW,
		[SAMPLE_COUNTERS] = WIRE_KIND_COUNTERS, [SAMPLE_COUNTERS_EXPANDED] = WIRE_KIND_COUNTERS,
		[SAMPLE_DISCARD] = WIRE_KIND_DISCARD,
	};
	bool at_end = !cursor_left(&d->cur);
	struct wire_sample *s = &d->in;

	d->records_left = 0;
	d->sample = (struct cursor){0};
	if (!d->samples_left) {
		d->cur.p = d->cur.end;
		return at_end ? WIRE_END : WIRE_LENGTH;
	}
	d->samples_left--;
	*s = (struct wire_sample){0};
	if (d->cut || !next_part(&d->cur, &s->enterprise, &s->format, &s->body, &d->cut)) {
		d->samples_left = 0;
		return at_end && !d->cut ? WIRE_COUNT : WIRE_SHORT;
	}
	if (!s->enterprise && s->format < sizeof(kinds))
		s->kind = kinds[s->format];
	*ret = s;
	if (s->kind != WIRE_KIND_OTHER) {
		struct cursor c = cursor_over(s->body);
		bool whole = read_sample_head(&c, s);

		if (d->cut)
			d->samples_left = whole; /* said once more after its records have been read */
		if (!whole)
			return WIRE_SHORT;
		d->records_left = s->n_records;
		d->sample = c;
		return WIRE_OK;
	}
	if (d->cut) {
		d->samples_left = 0;
		return WIRE_SHORT;
	}
	return WIRE_OK;
}

static enum wire_error next_record(struct wire_datagram *d, struct wire_record *ret)
{
	bool cut, at_end = !cursor_left(&d->sample), flow = d->in.kind == WIRE_KIND_FLOW;

	d->records_left--;
	*ret = (struct wire_record){.kind = d->in.kind};
	if (flow) {
		ret->sample_sequence = d->in.sequence;
		ret->sampling_rate = d->in.sampling_rate;
		ret->sample_pool = d->in.pool;
	}
	ret->drops = d->in.drops;
	if (!next_part(&d->sample, &ret->enterprise, &ret->format, &ret->body, &cut)) {
		d->records_left = 0;
		d->sample.p = d->sample.end;
		return at_end && !d->cut ? WIRE_COUNT : WIRE_SHORT;
	}
	ret->ours = flow && ret->enterprise == d->enterprise;
	if (cut) {
		/* The datagram ended here, or this length is wrong: nothing after it can be found. What is in it, and
		 * where it breaks off, is for the reader of our records to say. */
		d->records_left = 0;
		if (!ret->ours)
			return WIRE_LENGTH;
	}
	return WIRE_OK;
}

enum wire_error wire_record_next(struct wire_datagram *d, struct wire_record *ret)
{
	while (d->records_left) {
		enum wire_error e = next_record(d, ret);

		if (e || !ret->ours || ret->format != WIRE_PAD)
			return e;
	}
	if (!cursor_left(&d->sample))
		return WIRE_END;
	d->sample = (struct cursor){0};
	return WIRE_LENGTH; /* more bytes than the records that are counted */
}

enum wire_error wire_next(struct wire_datagram *d, struct wire_record *ret)
{
	const struct wire_sample *s;
	enum wire_error e;

	for (;;) {
		e = wire_record_next(d, ret);
		if (e != WIRE_END)
			return e;
		e = wire_sample_next(d, &s);
		if (e)
			return e;
		if (s->kind != WIRE_KIND_OTHER)
			continue;
		*ret = (struct wire_record){
			.sample_only = true, .enterprise = s->enterprise, .format = s->format, .body = s->body};
		return WIRE_OK;
	}
}

bool wire_has_ours(const struct wire_datagram *datagram)
{
	struct wire_datagram d = *datagram;
	const struct wire_sample *s;
	struct wire_record r;
	enum wire_error e;

	while ((e = wire_sample_next(&d, &s)) != WIRE_END) {
		if (e || s->kind != WIRE_KIND_FLOW)
			continue;
		while ((e = wire_record_next(&d, &r)) != WIRE_END)
			if (!e && r.ours)
				return true;
	}
	return false;
}

size_t wire_extent(const void *p, size_t n)
{
	struct wire_datagram d;
	uint32_t enterprise, format;
	struct str body;
	bool cut;

	if (wire_open(&d, p, n, 0))
		return n;
	for (; d.samples_left; d.samples_left--)
		if (!next_part(&d.cur, &enterprise, &format, &body, &cut) || cut)
			return n;
	return d.cur.p - (const uint8_t *)p;
}

enum wire_error wire_text_read(struct cursor *c, struct str *ret)
{
	*ret = cursor_opaque(c);
	if (c->err)
		return WIRE_SHORT;
	if (ret->n > WIRE_STRING_MAX)
		return WIRE_STRING;
	return wire_text_ok(*ret) ? WIRE_OK : WIRE_TEXT;
}

enum wire_error wire_head_read(struct cursor *c, struct wire_head *ret)
{
	uint32_t version = cursor_u32(c);
	enum wire_error e;

	if (c->err)
		return WIRE_SHORT;
	if (version != WIRE_VERSION_RECORD)
		return WIRE_VERSION;
	ret->interval = cursor_u32(c);
	ret->interval_s = cursor_u32(c);
	ret->spread_ms = cursor_u32(c);
	ret->boot = cursor_u64(c);
	e = wire_text_read(c, &ret->net);
	if (e)
		return e;
	e = wire_text_read(c, &ret->host);
	if (e)
		return e;
	if (!ret->interval_s || ret->interval_s > 60 || 60 % ret->interval_s || ret->interval % ret->interval_s)
		return WIRE_INTERVAL;
	return WIRE_OK;
}

enum wire_error wire_items_lost(struct wire_items *it, enum wire_error why)
{
	it->left = 0;
	it->cur.p = it->cur.end;
	return why;
}

enum wire_error wire_items_next(struct wire_items *it)
{
	if (!it->left)
		return cursor_left(&it->cur) ? wire_items_lost(it, WIRE_LENGTH) : WIRE_END;
	if (!cursor_left(&it->cur))
		return wire_items_lost(it, WIRE_COUNT);
	it->left--;
	return WIRE_OK;
}

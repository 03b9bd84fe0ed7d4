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
enum { FLOW_WORDS = 7, FLOW_WORDS_EXPANDED = 10 }; /* of a flow sample's head before the count of records */

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
static inline bool next_part(struct cursor *c, uint32_t *ret_enterprise, uint32_t *ret_format, struct str *ret_body,
			     bool *ret_cut)
{
	const uint8_t *p = cursor_take(c, 8);
	size_t n, room, left;

	if (!p)
		return false;
	*ret_enterprise = cursor_load32(p) >> 12;
	*ret_format = cursor_load32(p) & 0xfff;
	n = cursor_load32(p + 4);
	room = (n + 3) & ~(size_t)3;
	left = (size_t)(c->end - c->p);
	*ret_cut = room > left;
	if (*ret_cut)
		room = n = left;
	*ret_body = (struct str){(const char *)c->p, n};
	c->p += room;
	return true;
}

static inline uint32_t next_word(const uint8_t **p)
{
	uint32_t v = cursor_load32(*p);

	*p += 4;
	return v;
}

/* An interface: two words in the expanded forms. */
static inline uint32_t next_port(const uint8_t **p, bool wide, uint32_t *ret_format)
{
	uint32_t v = next_word(p);

	*ret_format = wide ? v : v >> 30;
	return wide ? next_word(p) : v & WIRE_PORT_INTERNAL;
}

/* The words before the records of a sample. */
static inline bool read_sample_head(struct cursor *c, struct wire_sample *s)
{
	static const uint8_t words[WIRE_KINDS][2] = {
		[WIRE_KIND_FLOW] = {8, 11}, [WIRE_KIND_COUNTERS] = {3, 4}, [WIRE_KIND_DISCARD] = {8, 8}};
	bool wide = s->format > 2, flow = s->kind == WIRE_KIND_FLOW; /* 0:5 has no compact form */
	const uint8_t *p = cursor_take(c, words[s->kind][wide] * 4u);
	uint32_t source;

	if (!p)
		return false;
	s->sequence = next_word(&p);
	source = next_word(&p);
	s->source_class = wide ? source : source >> 24;
	s->source_index = wide ? next_word(&p) : source & 0xffffff;
	if (flow) {
		s->sampling_rate = next_word(&p);
		s->pool = next_word(&p);
		s->drops = next_word(&p);
		s->input = next_port(&p, wide, &s->input_format);
		s->output = next_port(&p, wide, &s->output_format);
	} else if (s->kind == WIRE_KIND_DISCARD) {
		s->drops = next_word(&p);
		s->input = next_word(&p);
		s->output = next_word(&p);
		s->reason = next_word(&p);
	}
	s->n_records = next_word(&p);
	return true;
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

static inline enum wire_error next_record(struct wire_datagram *d, struct wire_record *ret)
{
	const struct wire_sample *s = &d->in;
	bool cut, at_end = !cursor_left(&d->sample), flow = s->kind == WIRE_KIND_FLOW;

	d->records_left--;
	ret->in = s;
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

/* Padding, and the signature, which is about the datagram and not in what it says. */
static inline bool passed(const struct wire_datagram *d, uint32_t enterprise, uint32_t format)
{
	return enterprise == d->enterprise && (format == WIRE_PAD || format == WIRE_AUTH);
}

enum wire_error wire_record_next(struct wire_datagram *d, struct wire_record *ret)
{
	while (d->records_left) {
		enum wire_error e = next_record(d, ret);

		if (e || !passed(d, ret->enterprise, ret->format))
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
		*ret = (struct wire_record){.enterprise = s->enterprise, .format = s->format, .body = s->body, .in = s};
		return WIRE_OK;
	}
}

/* Looked at for every datagram before its records are: so only their lengths are. */
bool wire_has_ours(const struct wire_datagram *d)
{
	struct cursor samples = d->cur;
	uint32_t left = d->samples_left, enterprise, format;
	struct str body;
	bool cut = false;

	while (left-- && !cut && next_part(&samples, &enterprise, &format, &body, &cut)) {
		struct cursor records = cursor_over(body);
		uint32_t n;

		if (enterprise || (format != SAMPLE_FLOW && format != SAMPLE_FLOW_EXPANDED))
			continue;
		cursor_take(&records, format == SAMPLE_FLOW ? FLOW_WORDS * 4 : FLOW_WORDS_EXPANDED * 4);
		for (n = cursor_u32(&records); n; n--) {
			bool ends;

			if (!next_part(&records, &enterprise, &format, &body, &ends))
				break;
			if (enterprise == d->enterprise && !passed(d, enterprise, format))
				return true;
		}
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

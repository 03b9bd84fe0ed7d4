/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/print_sflow.h"

#include <inttypes.h>
#include <math.h>

#include "wire/packet.h"

enum { TEXT_MAX = 1024, DEEPEST = 3 };

static const struct out nowhere; /* only reading */

/* Without blanks: in quotes for JSON only. */
static void put_word(const struct out *o, struct str s)
{
	if (o->json)
		out_text(o, s);
	else
		buf_str(o->b, s);
}

static void put_hex(const struct out *o, struct str s, const char *between)
{
	const char *quote = o->json ? "\"" : "";

	buf_printf(o->b, "%s", quote);
	for (size_t i = 0; i < s.n; i++)
		buf_printf(o->b, "%s%02x", i ? between : "", (uint8_t)s.p[i]);
	buf_printf(o->b, "%s", quote);
}

static void put_text(const struct out *o, struct str s)
{
	char text[TEXT_MAX];
	size_t n = wire_text_clean(s, text, sizeof(text));

	out_text(o, (struct str){text, n});
}

static void put_value(const struct out *o, enum sflow_type type, const struct sflow_value *v)
{
	char ip[IP_TEXT];

	switch (type) {
	case SFLOW_U32:
	case SFLOW_U64:
		buf_printf(o->b, "%" PRIu64, v->n);
		break;
	case SFLOW_FLOAT:
		if (isfinite(v->f))
			buf_printf(o->b, "%.9g", (double)v->f);
		else
			out_text(o, STR("not a number")); /* JSON has no word for it */
		break;
	case SFLOW_MAC:
		put_hex(o, v->bytes, ":");
		break;
	case SFLOW_IPV4:
	case SFLOW_IPV6:
	case SFLOW_ADDRESS:
		put_word(o, str_from(ip_format(&v->ip, ip)));
		break;
	case SFLOW_TEXT:
		put_text(o, v->bytes);
		break;
	case SFLOW_BYTES:
	case SFLOW_UUID:
		put_hex(o, v->bytes, "");
		break;
	case SFLOW_LIST:
		break;
	}
}

static enum wire_error put_fields(const struct out *o, const struct sflow_struct *s, struct cursor *c, unsigned depth);

/* Each element takes 4 bytes at least, so it ends with the bytes whatever the count says. */
static enum wire_error put_list(const struct out *o, const struct sflow_struct *of, struct cursor *c, uint64_t n,
				unsigned depth)
{
	bool bare = !of->fields[0].name;
	enum wire_error e = n > cursor_left(c) / 4 ? WIRE_COUNT : WIRE_OK;

	if (o->b)
		buf_char(o->b, '[');
	for (uint64_t i = 0; i < n && !e; i++) {
		if (o->b && i)
			buf_char(o->b, ',');
		if (o->b && !bare)
			buf_char(o->b, '{');
		e = put_fields(o, of, c, depth + 1);
		if (o->b && !bare)
			buf_char(o->b, '}');
	}
	if (o->b)
		buf_char(o->b, ']');
	return e;
}

/* A field's name, in a list's element without the comma before the first. */
static void put_key(const struct out *o, const char *name, bool first)
{
	if (!first) {
		out_key(o, str_from(name));
		return;
	}
	put_word(o, str_from(name));
	buf_char(o->b, o->json ? ':' : '=');
}

static enum wire_error put_fields(const struct out *o, const struct sflow_struct *s, struct cursor *c, unsigned depth)
{
	for (unsigned i = 0; i < s->n; i++) {
		const struct sflow_field *f = &s->fields[i];
		struct sflow_value v = {0};
		enum wire_error e = WIRE_OK;

		if (!depth && i >= s->n_old && !cursor_left(c))
			return WIRE_OK;
		if (!sflow_value(c, f->type, &v))
			return WIRE_SHORT;
		if (o->b && f->name)
			put_key(o, f->name, depth && !i);
		if (f->type == SFLOW_LIST)
			e = depth < DEEPEST ? put_list(o, f->of, c, v.n, depth) : WIRE_COUNT;
		else if (o->b)
			put_value(o, f->type, &v);
		if (e)
			return e;
	}
	return WIRE_OK;
}

static void put_packet(const struct out *o, struct str body)
{
	struct packet p;
	enum packet_error e = packet_of_header(&p, body);

	if (p.n_vlans) {
		out_key(o, STR("packet_vlans"));
		buf_char(o->b, '[');
		for (unsigned i = 0; i < p.n_vlans && i < PACKET_VLANS; i++)
			buf_printf(o->b, "%s%u", i ? "," : "", p.vlan[i] & 0xfff);
		buf_char(o->b, ']');
	}
	if (e) {
		out_str(o, "packet_error", str_from(packet_error_name(e)));
		return;
	}
	out_ip(o, "packet_src", &p.src);
	out_ip(o, "packet_dst", &p.dst);
	out_u64(o, "packet_protocol", p.protocol);
	if (p.has_ports) {
		out_u64(o, "packet_src_port", p.src_port);
		out_u64(o, "packet_dst_port", p.dst_port);
	}
	out_u64(o, "packet_tos", p.tos);
	out_u64(o, "packet_tcp_flags", p.tcp_flags);
	out_u64(o, "packet_fragment", p.fragment);
	out_u64(o, "packet_later_fragment", p.later_fragment);
	out_u64(o, "packet_bytes", p.ip_bytes);
	out_u64(o, "packet_payload", p.payload);
}

void print_sflow_sample(const struct out *o, const struct wire_sample *s)
{
	out_u64(o, "sample_sequence", s->sequence);
	out_u64(o, "source_class", s->source_class);
	out_u64(o, "source_index", s->source_index);
	if (s->kind == WIRE_KIND_FLOW) {
		out_u64(o, "sampling_rate", s->sampling_rate);
		out_u64(o, "sample_pool", s->pool);
	}
	if (s->kind == WIRE_KIND_FLOW || s->kind == WIRE_KIND_DISCARD) {
		out_u64(o, "drops", s->drops);
		out_u64(o, "input_format", s->input_format);
		out_u64(o, "input", s->input);
		out_u64(o, "output_format", s->output_format);
		out_u64(o, "output", s->output);
	}
	if (s->kind == WIRE_KIND_DISCARD)
		out_u64(o, "reason", s->reason);
	out_u64(o, "records", s->n_records);
}

enum wire_error print_sflow_record(const struct out *o, const struct sflow_struct *s, struct str body)
{
	struct cursor c = cursor_over(body);
	enum wire_error e = print_sflow_check(s, body);

	if (e) { /* half a list would be no JSON */
		out_u64(o, "bytes", body.n);
		return e;
	}
	(void)put_fields(o, s, &c, 0);
	if (s == sflow_record(WIRE_KIND_FLOW, 1))
		put_packet(o, body);
	if (cursor_left(&c))
		out_u64(o, "more_bytes", cursor_left(&c));
	return WIRE_OK;
}

enum wire_error print_sflow_check(const struct sflow_struct *s, struct str body)
{
	struct cursor c = cursor_over(body);

	return put_fields(&nowhere, s, &c, 0);
}

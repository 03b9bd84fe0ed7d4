/* SPDX-License-Identifier: Apache-2.0 */
/* A message as a JSON object, for people and tests: members as the schema names them, statistics that are 0 left out. */
#include <inttypes.h>

#include "flow/schema.h"

static void json_text(struct buf *b, struct str s)
{
	buf_char(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < ' ' || c == 0x7f)
			buf_printf(b, "\\u%04x", c);
		else if (c == '"' || c == '\\')
			buf_printf(b, "\\%c", c);
		else
			buf_char(b, (char)c);
	}
	buf_char(b, '"');
}

static void json_ip(struct buf *b, const struct ip *ip)
{
	char text[IP_TEXT];

	json_text(b, str_from(ip_format(ip, text)));
}

/* What is too large for most readers' numbers (an edge's id) is text. */
static void json_u64(struct buf *b, uint64_t v)
{
	buf_printf(b, v > INT64_MAX ? "\"%" PRIu64 "\"" : "%" PRIu64, v);
}

static uint64_t json_load(const void *p, size_t size)
{
	return size == 1   ? *(const uint8_t *)p
	       : size == 2 ? *(const uint16_t *)p
	       : size == 4 ? *(const uint32_t *)p
			   : *(const uint64_t *)p;
}

static void json_hist(struct buf *b, const uint32_t hist[FLOW_BUCKETS])
{
	const char *comma = "";

	buf_char(b, '{');
	for (unsigned i = 0; i < FLOW_BUCKETS; i++) {
		if (!hist[i])
			continue;
		buf_printf(b, "%s\"%u\":%" PRIu32, comma, i, hist[i]);
		comma = ",";
	}
	buf_char(b, '}');
}

/* Of a row (view FLOW_VIEWS) by the field's own name, of an edge by its column. */
static void json_stats(struct buf *b, const struct flow_stats *s, unsigned view)
{
	uint64_t present = flow_stats_present(s);
	char column[64];

	for (unsigned f = 0; f < FLOW_FIELDS; f++) {
		const char *name = view == FLOW_VIEWS ? flow_fields[f].name : flow_column(f, view, column);

		if (!(present >> f & 1) || !name)
			continue;
		buf_printf(b, ",\"%s\":", name);
		if (flow_fields[f].width == FLOW_HIST)
			json_hist(b, flow_stats_hist_get(s, f));
		else
			json_u64(b, flow_stats_get(s, f));
	}
}

static void json_items(struct buf *b, const struct schema_member *m, const char *record)
{
	size_t n = json_load(record + m->count_offset, m->size);
	const void *p = record + m->offset;

	buf_char(b, m->kind == COUNTS ? '{' : '[');
	for (size_t i = 0; i < n && i < m->max; i++) {
		if (i)
			buf_char(b, ',');
		if (m->kind == PORTS) {
			buf_printf(b, "%u", ((const uint16_t *)p)[i]);
		} else if (m->kind == COUNTS) {
			json_text(b, ((const struct flow_count *)p)[i].name);
			buf_char(b, ':');
			json_u64(b, ((const struct flow_count *)p)[i].n);
		} else {
			json_ip(b, &((const struct flow_address *)p)[i].ip);
		}
	}
	buf_char(b, m->kind == COUNTS ? '}' : ']');
}

static void json_member(struct buf *b, const struct schema_member *m, const char *record)
{
	const void *p = record + m->offset;

	if (m->kind == STATS) {
		json_stats(b, p, m->max);
		return;
	}
	buf_printf(b, ",\"%s\":", m->name);
	if (m->kind == INT)
		json_u64(b, json_load(p, m->size));
	else if (m->kind == STRING)
		json_text(b, *(const struct str *)p);
	else if (m->kind == IP)
		json_ip(b, p);
	else
		json_items(b, m, record);
}

void flow_msg_json(struct buf *b, const struct flow_msg *msg)
{
	buf_printf(b, "{\"type\":\"%s\"", flow_msg_name(msg->type));
	for (const struct schema_member *m = schema_records[msg->type].members; m->name; m++)
		json_member(b, m, (const char *)&msg->row); /* all members of the union start there */
	buf_char(b, '}');
}

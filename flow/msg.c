/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages as tables. Each record is a list of members: name in the schema, kind, place in the struct.
 * The schema, the encoder and the decoder walk the same list, so they cannot disagree; a field added to
 * fields.def is in all three.
 *
 * Kinds and their Avro types:
 *   INT        any unsigned integer          long (a u64 is stored as the signed number of the same bits)
 *   STRING     struct str                    string
 *   IP         struct ip                     fixed(16), "skyfall.Ip"
 *   PORTS      u16[FLOW_PORTS] + n_ports     array of long
 *   ADDRESSES  struct flow_address[] + count array of record "skyfall.Address"
 *   COUNTS     struct flow_count[] + count   map of long
 *   STATS      struct flow_stats             one member a field: long, or array of long for a histogram, from
 *                                            bucket 0 on, zeros at the end left out
 * A flow row's statistics have the names of fields.def; an edge's the column names (flow_column()).
 */
#include "flow/msg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>

#include "base/table.h"
#include "flow/avrobin.h"

enum msg_kind { INT, STRING, IP, PORTS, ADDRESSES, COUNTS, STATS };

struct msg_member {
	const char *name;
	enum msg_kind kind;
	uint16_t offset, size; /* of the member */
	uint16_t count_offset; /* PORTS, ADDRESSES, COUNTS: of the number of items */
	uint16_t max;          /* of items; STATS: the view, FLOW_VIEWS = plain names */
	const char *doc;
};

#define M(record, member, name, kind, doc)                                                                   \
	{                                                                                                    \
		name, kind, offsetof(struct record, member), sizeof(((struct record *)0)->member), 0, 0, doc \
	}
#define MN(record, member, count, name, kind, max, doc)                                           \
	{                                                                                         \
		name, kind, offsetof(struct record, member), sizeof(((struct record *)0)->count), \
			offsetof(struct record, count), max, doc                                  \
	}
#define MS(record, member, view, doc)                                       \
	{                                                                   \
		"", STATS, offsetof(struct record, member), 0, 0, view, doc \
	}
#define END                                 \
	{                                   \
		NULL, INT, 0, 0, 0, 0, NULL \
	}

#define NAMES(record)                                                                           \
	M(record, names.service, "service", STRING, "service of the end that measured"),        \
		M(record, names.process, "process", STRING, "executable"),                      \
		M(record, names.unit, "unit", STRING, "systemd unit"),                          \
		M(record, names.container, "container", STRING, "container id, 12 hex digits"), \
		M(record, names.pod, "pod", STRING, "pod"),                                     \
		M(record, names.via, "via", STRING, "address dialled, where it differs"),       \
		M(record, names.quality, "owner_quality", INT, "0 exact, 1 inherited, 2 scan, 3 unknown")

#define WHEN(record)                                                                 \
	M(record, interval, "interval", INT, "start of the interval, s since 1970"), \
		M(record, interval_s, "interval_s", INT, "its length, s")

static const struct msg_member row_members[] = {
	WHEN(flow_row),
	M(flow_row, view, "view", INT, "0 client, 1 server, 2 network, 3 unknown"),
	M(flow_row, flags, "flags", INT, "bits: joined_in_progress, sampled, clock, nat_unsplit, split, no_role"),
	M(flow_row, conv.net, "net", STRING, "address space"),
	M(flow_row, conv.scope, "scope", STRING, "the host on which the addresses exist, empty when they are global"),
	M(flow_row, conv.protocol, "protocol", INT, "IP protocol number"),
	M(flow_row, conv.client, "client", IP, "address, IPv4 as ::ffff:a.b.c.d"),
	M(flow_row, conv.server, "server", IP, "address, IPv4 as ::ffff:a.b.c.d"),
	M(flow_row, conv.port, "port", INT, "service port"),
	M(flow_row, conv.other_port, "other_port", INT, "the peer's port where the role is unknown"),
	NAMES(flow_row),
	MN(flow_row, ports, n_ports, "ports", PORTS, FLOW_PORTS, "ephemeral ports"),
	M(flow_row, ports_more, "ports_more", INT, "ephemeral ports not listed"),
	MS(flow_row, stats, FLOW_VIEWS, NULL),
	END,
};

static const struct msg_member marker_members[] = {
	M(flow_marker, producer, "producer", STRING, "who has written all it has"),
	M(flow_marker, boot, "boot", INT, "its start, or epoch"),
	WHEN(flow_marker),
	M(flow_marker, rows, "rows", INT, "sum(rows) written to this partition since its former marker"),
	M(flow_marker, messages, "messages", INT, "messages likewise"),
	END,
};

#define EDGE_NAME                                                                                                \
	WHEN(flow_edge), M(flow_edge, id, "edge", INT, "XXH3-64 of the edge's name"),                            \
		M(flow_edge, revision, "revision", INT, "rows of one interval with different revisions add"),    \
		M(flow_edge, name.net, "net", STRING, "address space"),                                          \
		M(flow_edge, name.client_service, "client_service", STRING, ""),                                 \
		M(flow_edge, name.client_zone, "client_zone", STRING, ""),                                       \
		M(flow_edge, name.server_service, "server_service", STRING, ""),                                 \
		M(flow_edge, name.server_zone, "server_zone", STRING, ""),                                       \
		M(flow_edge, name.protocol, "protocol", INT, "IP protocol number"),                              \
		M(flow_edge, name.port, "port", INT, "service port"),                                            \
		M(flow_edge, observed, "observed", INT, "bits: client, server, network"),                        \
		M(flow_edge, client_rungs, "client_rungs", INT, "bits: agent, listener, host, inventory, none"), \
		M(flow_edge, server_rungs, "server_rungs", INT, "bits: agent, listener, host, inventory, none"), \
		M(flow_edge, flags, "flags", INT,                                                                \
		  "bits: joined_in_progress, sampled, clock, nat_unsplit, split, no_role"),                      \
		M(flow_edge, via, "via", STRING, "address dialled, where it differs")

#define EDGE_STATS                                                             \
	MS(flow_edge, view[FLOW_VIEW_CLIENT], FLOW_VIEW_CLIENT, NULL),         \
		MS(flow_edge, view[FLOW_VIEW_SERVER], FLOW_VIEW_SERVER, NULL), \
		MS(flow_edge, view[FLOW_VIEW_NETWORK], FLOW_VIEW_NETWORK, NULL)

static const struct msg_member edge_members[] = {EDGE_NAME, EDGE_STATS, END};

static const struct msg_member pair_members[] = {
	EDGE_NAME,
	M(flow_edge, client, "client", IP, "address, IPv4 as ::ffff:a.b.c.d"),
	M(flow_edge, server, "server", IP, "address, IPv4 as ::ffff:a.b.c.d"),
	M(flow_edge, scope, "scope", STRING, "the host on which the addresses exist, empty when they are global"),
	EDGE_STATS,
	END,
};

static const struct msg_member host_members[] = {
	M(flow_host, net, "net", STRING, "address space"),
	M(flow_host, id, "host", STRING, "machine-id, or what the agent was told"),
	M(flow_host, hostname, "hostname", STRING, ""),
	M(flow_host, kernel, "kernel", STRING, "release"),
	M(flow_host, mode, "mode", STRING, "how the agent reads the kernel"),
	M(flow_host, version, "version", STRING, "of the agent"),
	M(flow_host, agent, "agent", IP, "source of its datagrams"),
	M(flow_host, boot, "boot", INT, "start of the agent"),
	WHEN(flow_host),
	MN(flow_host, addresses, n_addresses, "addresses", ADDRESSES, FLOW_ADDRESSES, "the host's own"),
	END,
};

static const struct msg_member listener_members[] = {
	M(flow_listener, net, "net", STRING, "address space"),
	M(flow_listener, host, "host", STRING, ""),
	M(flow_listener, netns, "netns", INT, "network namespace, inode number"),
	M(flow_listener, addr, "address", IP, "zero: any"),
	M(flow_listener, port, "port", INT, ""),
	M(flow_listener, protocol, "protocol", INT, ""),
	M(flow_listener, alive, "alive", INT, "0: gone"),
	M(flow_listener, interval, "interval", INT, "when this was said"),
	M(flow_listener, since, "since", INT, "first seen"),
	M(flow_listener, drops, "drops", INT, "connections dropped since the former record"),
	M(flow_listener, queue, "queue", INT, "accept queue"),
	M(flow_listener, queue_max, "queue_max", INT, "its bound"),
	NAMES(flow_listener),
	END,
};

static const struct msg_member ledger_members[] = {
	WHEN(flow_ledger),
	M(flow_ledger, role, "role", STRING, ""),
	M(flow_ledger, instance, "instance", STRING, ""),
	M(flow_ledger, boot, "boot", INT, "start of the instance"),
	M(flow_ledger, rows_in, "rows_in", INT, "sum(rows) received"),
	M(flow_ledger, rows_out, "rows_out", INT, "sum(rows) handed on"),
	MN(flow_ledger, lost, n_lost, "lost", COUNTS, FLOW_LOSSES, "sum(rows) lost, by reason"),
	MN(flow_ledger, info, n_info, "info", COUNTS, FLOW_INFOS, "other numbers of the instance"),
	END,
};

static const struct msg_record {
	const char *name;
	const struct msg_member *members;
	size_t size; /* of the struct */
} msg_records[FLOW_MSG_TYPES] = {
	[FLOW_MSG_ROW] = {"Flow", row_members, sizeof(struct flow_row)},
	[FLOW_MSG_MARKER] = {"Marker", marker_members, sizeof(struct flow_marker)},
	[FLOW_MSG_EDGE] = {"Edge", edge_members, sizeof(struct flow_edge)},
	[FLOW_MSG_PAIR] = {"Pair", pair_members, sizeof(struct flow_edge)},
	[FLOW_MSG_HOST] = {"Host", host_members, sizeof(struct flow_host)},
	[FLOW_MSG_LISTENER] = {"Listener", listener_members, sizeof(struct flow_listener)},
	[FLOW_MSG_LEDGER] = {"Ledger", ledger_members, sizeof(struct flow_ledger)},
};

const char *flow_msg_name(enum flow_msg_type type)
{
	return msg_records[type].name;
}

/* --- integers of any width */

static uint64_t msg_load(const void *p, size_t size)
{
	switch (size) {
	case 1:
		return *(const uint8_t *)p;
	case 2:
		return *(const uint16_t *)p;
	case 4:
		return *(const uint32_t *)p;
	default:
		return *(const uint64_t *)p;
	}
}

/* False when v does not fit: bytes from outside. */
static bool msg_store(void *p, size_t size, uint64_t v)
{
	switch (size) {
	case 1:
		*(uint8_t *)p = (uint8_t)v;
		return v <= UINT8_MAX;
	case 2:
		*(uint16_t *)p = (uint16_t)v;
		return v <= UINT16_MAX;
	case 4:
		*(uint32_t *)p = (uint32_t)v;
		return v <= UINT32_MAX;
	default:
		*(uint64_t *)p = v;
		return true;
	}
}

/* --- encode */

/* The network view has only what a sample shows. */
static bool msg_has(unsigned field, unsigned view)
{
	return view != FLOW_VIEW_NETWORK || flow_fields[field].seen == FLOW_ALL;
}

static void encode_stats(struct buf *b, const struct flow_stats *s, unsigned view)
{
	unsigned f, i, n;

	for (f = 0; f < FLOW_FIELDS; f++) {
		const uint32_t *hist = flow_stats_hist_get(s, f);

		if (!msg_has(f, view))
			continue;
		if (flow_fields[f].width != FLOW_HIST) {
			avrobin_put_long(b, (int64_t)flow_stats_get(s, f));
			continue;
		}
		for (n = FLOW_BUCKETS; n && !hist[n - 1]; n--)
			;
		if (n)
			avrobin_put_long(b, n);
		for (i = 0; i < n; i++)
			avrobin_put_long(b, hist[i]);
		avrobin_put_long(b, 0);
	}
}

static void encode_items(struct buf *b, const struct msg_member *m, const char *record)
{
	size_t i, n = msg_load(record + m->count_offset, m->size);
	const void *p = record + m->offset;

	if (n > m->max)
		n = m->max;
	if (n)
		avrobin_put_long(b, (int64_t)n);
	for (i = 0; i < n; i++) {
		const struct flow_address *a = (const struct flow_address *)p + i;
		const struct flow_count *c = (const struct flow_count *)p + i;

		if (m->kind == PORTS) {
			avrobin_put_long(b, ((const uint16_t *)p)[i]);
		} else if (m->kind == COUNTS) {
			avrobin_put_bytes(b, c->name.p, c->name.n);
			avrobin_put_long(b, (int64_t)c->n);
		} else {
			buf_put(b, a->ip.b, 16);
			avrobin_put_long(b, a->bits);
			avrobin_put_long(b, a->host_only);
			avrobin_put_long(b, a->netns);
		}
	}
	avrobin_put_long(b, 0);
}

static void encode_member(struct buf *b, const struct msg_member *m, const char *record)
{
	const void *p = record + m->offset;

	switch (m->kind) {
	case INT:
		avrobin_put_long(b, (int64_t)msg_load(p, m->size));
		break;
	case STRING:
		avrobin_put_bytes(b, ((const struct str *)p)->p, ((const struct str *)p)->n);
		break;
	case IP:
		buf_put(b, p, 16);
		break;
	case STATS:
		encode_stats(b, p, m->max);
		break;
	default:
		encode_items(b, m, record);
	}
}

/* --- decode */

static void decode_stats(struct avrobin_cursor *c, struct flow_stats *s, unsigned view)
{
	unsigned f, i;
	size_t n;

	for (f = 0; f < FLOW_FIELDS; f++) {
		uint32_t *hist = flow_stats_hist(s, f);

		if (!msg_has(f, view))
			continue;
		if (flow_fields[f].width != FLOW_HIST) {
			*flow_stats_u64(s, f) = (uint64_t)avrobin_long(c);
			continue;
		}
		for (i = 0; (n = avrobin_block(c, FLOW_BUCKETS - i)) > 0;)
			for (; n; n--)
				if (!msg_store(&hist[i++], sizeof(hist[0]), (uint64_t)avrobin_long(c)))
					c->err = true;
	}
}

static void decode_item(struct avrobin_cursor *c, enum msg_kind kind, void *items, size_t i)
{
	struct flow_address *a = (struct flow_address *)items + i;
	struct flow_count *n = (struct flow_count *)items + i;
	const void *ip;

	if (kind == PORTS) {
		c->err |= !msg_store((uint16_t *)items + i, 2, (uint64_t)avrobin_long(c));
	} else if (kind == COUNTS) {
		n->name = avrobin_bytes(c);
		n->n = (uint64_t)avrobin_long(c);
	} else {
		ip = avrobin_fixed(c, 16);
		if (ip)
			memcpy(a->ip.b, ip, 16);
		c->err |= !msg_store(&a->bits, 1, (uint64_t)avrobin_long(c));
		c->err |= !msg_store(&a->host_only, 1, (uint64_t)avrobin_long(c));
		c->err |= !msg_store(&a->netns, 4, (uint64_t)avrobin_long(c));
	}
}

static void decode_items(struct avrobin_cursor *c, const struct msg_member *m, char *record)
{
	size_t i = 0, n;

	while ((n = avrobin_block(c, m->max - i)) > 0)
		for (; n && !c->err; n--)
			decode_item(c, m->kind, record + m->offset, i++);
	(void)msg_store(record + m->count_offset, m->size, i);
}

static void decode_member(struct avrobin_cursor *c, const struct msg_member *m, char *record)
{
	void *p = record + m->offset;
	const void *ip;

	switch (m->kind) {
	case INT:
		c->err |= !msg_store(p, m->size, (uint64_t)avrobin_long(c));
		break;
	case STRING:
		*(struct str *)p = avrobin_bytes(c);
		break;
	case IP:
		ip = avrobin_fixed(c, 16);
		if (ip)
			memcpy(p, ip, 16);
		break;
	case STATS:
		decode_stats(c, p, m->max);
		break;
	default:
		decode_items(c, m, record);
	}
}

/* --- schema */

static void schema_doc(struct buf *b, bool doc, const char *text)
{
	if (doc && text && *text)
		buf_printf(b, ",\"doc\":\"%s\"", text);
}

static void schema_stats(struct buf *b, unsigned view, bool doc)
{
	char name[64];
	unsigned f;

	for (f = 0; f < FLOW_FIELDS; f++) {
		bool hist = flow_fields[f].width == FLOW_HIST;

		if (view != FLOW_VIEWS && !flow_column(f, view, name))
			continue;
		buf_printf(b, ",{\"name\":\"%s\",\"type\":%s", view == FLOW_VIEWS ? flow_fields[f].name : name,
			   hist ? "{\"type\":\"array\",\"items\":\"long\"}" : "\"long\"");
		schema_doc(b, doc, flow_fields[f].meaning);
		if (doc)
			buf_printf(b, ",\"default\":%s", hist ? "[]" : "0");
		buf_char(b, '}');
	}
}

static const char *schema_type(enum msg_kind kind, bool first_ip)
{
	switch (kind) {
	case INT:
		return "\"long\"";
	case STRING:
		return "\"string\"";
	case IP:
		return first_ip ? "{\"name\":\"skyfall.Ip\",\"type\":\"fixed\",\"size\":16}" : "\"skyfall.Ip\"";
	case PORTS:
		return "{\"type\":\"array\",\"items\":\"long\"}";
	case COUNTS:
		return "{\"type\":\"map\",\"values\":\"long\"}";
	default:
		return "{\"type\":\"array\",\"items\":{\"name\":\"skyfall.Address\",\"type\":\"record\",\"fields\":["
		       "{\"name\":\"ip\",\"type\":\"skyfall.Ip\"},{\"name\":\"bits\",\"type\":\"long\"},"
		       "{\"name\":\"host_only\",\"type\":\"long\"},{\"name\":\"netns\",\"type\":\"long\"}]}}";
	}
}

void flow_msg_schema(struct buf *b, enum flow_msg_type type, bool doc)
{
	const struct msg_member *m;
	bool first_ip = true;

	buf_printf(b, "{\"name\":\"skyfall.%s\",\"type\":\"record\",\"fields\":[", msg_records[type].name);
	for (m = msg_records[type].members; m->name; m++) {
		if (m->kind == STATS) {
			schema_stats(b, m->max, doc);
			continue;
		}
		buf_printf(b, "%s{\"name\":\"%s\",\"type\":%s", m == msg_records[type].members ? "" : ",", m->name,
			   schema_type(m->kind, first_ip));
		first_ip = first_ip && m->kind != IP;
		schema_doc(b, doc, m->doc);
		buf_char(b, '}');
	}
	buf_printf(b, "]}");
	(void)buf_text(b);
}

/* Fingerprints never change within a program: worked out once, then only read. */
static pthread_once_t msg_once = PTHREAD_ONCE_INIT;
static uint64_t msg_fingerprints[FLOW_MSG_TYPES];

static void msg_fingerprint_all(void)
{
	struct buf b;
	unsigned t;

	buf_init(&b, 0);
	for (t = 0; t < FLOW_MSG_TYPES; t++) {
		buf_clear(&b);
		flow_msg_schema(&b, t, false);
		msg_fingerprints[t] = avrobin_fingerprint(b.p, b.n);
	}
	buf_deinit(&b);
}

void flow_msg_encode(struct buf *b, enum flow_msg_type type, const void *record)
{
	const struct msg_member *m;

	pthread_once(&msg_once, msg_fingerprint_all);
	avrobin_put_header(b, msg_fingerprints[type]);
	for (m = msg_records[type].members; m->name; m++)
		encode_member(b, m, record);
}

static int msg_type(struct avrobin_cursor *c, enum flow_msg_type *ret)
{
	const uint8_t *h = avrobin_fixed(c, AVROBIN_HEADER);
	uint64_t fp = 0;
	unsigned i;

	pthread_once(&msg_once, msg_fingerprint_all);
	if (!h || h[0] != 0xc3 || h[1] != 0x01)
		return -EBADMSG;
	for (i = 0; i < 8; i++)
		fp |= (uint64_t)h[2 + i] << (8 * i);
	for (i = 0; i < FLOW_MSG_TYPES; i++) {
		if (msg_fingerprints[i] == fp) {
			*ret = i;
			return 0;
		}
	}
	return -EBADMSG;
}

int flow_msg_decode(const void *p, size_t n, struct flow_msg *ret)
{
	struct avrobin_cursor c = {p, (const uint8_t *)p + n, false};
	const struct msg_member *m;
	int r;

	r = msg_type(&c, &ret->type);
	if (r < 0)
		return r;
	memset(&ret->row, 0, msg_records[ret->type].size);
	for (m = msg_records[ret->type].members; m->name && !c.err; m++)
		decode_member(&c, m, (char *)&ret->row); /* all members of the union start there */
	return c.err || c.p != c.end ? -EBADMSG : 0;
}

/* --- compaction keys */

static void msg_key(struct buf *b, const char *what, struct str net, struct str host)
{
	buf_printf(b, "%s", what);
	buf_char(b, '\0');
	buf_str(b, net);
	buf_char(b, '\0');
	buf_str(b, host);
}

void flow_host_key(struct buf *b, const struct flow_host *h)
{
	msg_key(b, "host", h->net, h->id);
}

void flow_listener_key(struct buf *b, const struct flow_listener *l)
{
	uint32_t netns = htonl(l->netns);
	uint16_t port = htons(l->port);

	msg_key(b, "listener", l->net, l->host);
	buf_char(b, '\0');
	buf_put(b, &netns, sizeof(netns));
	buf_put(b, l->addr.b, 16);
	buf_char(b, (char)l->protocol);
	buf_put(b, &port, sizeof(port));
}

uint64_t flow_edge_rows(const struct flow_edge *e)
{
	uint64_t rows = 0;

	for (unsigned v = 0; v < FLOW_VIEWS; v++)
		rows += e->view[v].rows;
	return rows;
}

uint64_t flow_count_get(const struct flow_count *c, unsigned n, const char *name)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (str_eq(c[i].name, str_from(name)))
			return c[i].n;
	return 0;
}

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
#include "flow/schema.h"

#include <pthread.h>
#include <stddef.h>

#include "flow/avrobin.h"

#define M(record, member, name, kind, doc)                                                                          \
	{                                                                                                           \
		name, kind, offsetof(struct record, member), sizeof(((struct record *)0)->member), 0, 0, doc, false \
	}
#define MN(record, member, count, name, kind, max, doc)                                           \
	{                                                                                         \
		name, kind, offsetof(struct record, member), sizeof(((struct record *)0)->count), \
			offsetof(struct record, count), max, doc, false                           \
	}
#define MS(record, member, view, doc)                                              \
	{                                                                          \
		"", STATS, offsetof(struct record, member), 0, 0, view, doc, false \
	}
#define END                                        \
	{                                          \
		NULL, INT, 0, 0, 0, 0, NULL, false \
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

static const struct schema_member row_members[] = {
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

static const struct schema_member marker_members[] = {
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

static const struct schema_member edge_members[] = {EDGE_NAME, EDGE_STATS, END};

static const struct schema_member pair_members[] = {
	EDGE_NAME,
	M(flow_edge, client, "client", IP, "address, IPv4 as ::ffff:a.b.c.d"),
	M(flow_edge, server, "server", IP, "address, IPv4 as ::ffff:a.b.c.d"),
	M(flow_edge, scope, "scope", STRING, "the host on which the addresses exist, empty when they are global"),
	EDGE_STATS,
	END,
};

static const struct schema_member host_members[] = {
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

static const struct schema_member listener_members[] = {
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

static const struct schema_member ledger_members[] = {
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

const struct schema_record schema_records[FLOW_MSG_TYPES] = {
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
	return schema_records[type].name;
}

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

static const char *schema_type(enum schema_kind kind, bool first_ip)
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
	const struct schema_member *m;
	bool first_ip = true;

	buf_printf(b, "{\"name\":\"skyfall.%s\",\"type\":\"record\",\"fields\":[", schema_records[type].name);
	for (m = schema_records[type].members; m->name; m++) {
		if (m->kind == STATS) {
			schema_stats(b, m->max, doc);
			continue;
		}
		buf_printf(b, "%s{\"name\":\"%s\",\"type\":%s", m == schema_records[type].members ? "" : ",", m->name,
			   schema_type(m->kind, first_ip));
		first_ip = first_ip && m->kind != IP;
		schema_doc(b, doc, m->doc);
		buf_char(b, '}');
	}
	buf_printf(b, "]}");
	(void)buf_text(b);
}

/* Fingerprints never change within a program: worked out once, then only read. */
static pthread_once_t schema_once = PTHREAD_ONCE_INIT;
static uint64_t schema_fingerprints[FLOW_MSG_TYPES];

static void schema_fingerprint_all(void)
{
	struct buf b;
	unsigned t;

	buf_init(&b, 0);
	for (t = 0; t < FLOW_MSG_TYPES; t++) {
		buf_clear(&b);
		flow_msg_schema(&b, t, false);
		schema_fingerprints[t] = avrobin_fingerprint(b.p, b.n);
	}
	buf_deinit(&b);
}

uint64_t schema_fingerprint(enum flow_msg_type type)
{
	pthread_once(&schema_once, schema_fingerprint_all);
	return schema_fingerprints[type];
}

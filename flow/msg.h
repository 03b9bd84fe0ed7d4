/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages that travel between roles. One table per record (flow/schema.c) gives its Avro schema,
 * its encoder and its decoder. On the bus every message is Avro binary with the single-object header
 * (Avro 1.11 specification, "Single-object encoding"): C3 01, then the CRC-64-AVRO fingerprint of the
 * schema, little-endian.
 *
 * Decoded strings point into the message: they live as long as it does.
 */
#pragma once

#include "base/buf.h"
#include "flow/key.h"
#include "flow/stats.h"

#define FLOW_PORTS 16      /* ephemeral ports listed in a row */
#define FLOW_LOSSES 24     /* reasons in a ledger line */
#define FLOW_INFOS 64      /* further numbers in a ledger line */
#define FLOW_ADDRESSES 256 /* addresses of a host record */

/* A folded row on skyfall.flows: one conversation as one end named and measured it, one interval. */
struct flow_row {
	uint32_t interval;   /* its start, s since 1970, a multiple of interval_s */
	uint16_t interval_s; /* its length */
	uint8_t view;        /* enum flow_view */
	uint32_t flags;
	struct flow_conv conv;
	struct flow_names names;
	uint16_t ports[FLOW_PORTS]; /* ephemeral ports of the client end */
	uint8_t n_ports;
	uint32_t ports_more; /* how many more there were */
	struct flow_stats stats;
};

/* "All I have for this interval is written": from each producer to every partition (DESIGN 5). */
struct flow_marker {
	struct str producer; /* collector instance, or "flows/<partition>" in partials */
	uint64_t boot;       /* of the producer; the epoch (R) in partials */
	uint32_t interval;
	uint16_t interval_s;
	uint64_t rows;     /* sum(rows) written to this partition since its former marker */
	uint64_t messages; /* likewise */
};

/* One row of skyfall.partials and skyfall.edges (addresses zero) or of skyfall.pairs. */
struct flow_edge {
	uint32_t interval;
	uint16_t interval_s;
	uint64_t id;       /* flow_edge_id(&name) */
	uint64_t revision; /* 0 in partials */
	struct flow_edge_name name;
	uint8_t observed;     /* bits 1 << enum flow_view */
	uint8_t client_rungs; /* bits 1 << enum flow_rung: how the name was found */
	uint8_t server_rungs;
	uint32_t flags;
	struct str via;           /* address dialled where it differs; the first known */
	struct ip client, server; /* pairs only, else zero */
	struct str scope;         /* pairs only */
	struct flow_stats view[FLOW_VIEWS];
};

struct flow_address {
	struct ip ip;
	uint8_t bits;      /* prefix length in the 16-byte form (IPv4: 96 + n) */
	uint8_t host_only; /* exists on this host only */
	uint32_t netns;
};

/* A host, on skyfall.hosts (key: "host", net, id). */
struct flow_host {
	struct str net, id;                         /* machine-id, or what --host-id said */
	struct str hostname, kernel, mode, version; /* mode: "bpf", "sock_diag" */
	struct ip agent;                            /* source address of its datagrams */
	uint64_t boot;                              /* of the agent */
	uint32_t interval;                          /* when it was said */
	uint16_t interval_s;
	uint16_t n_addresses;
	struct flow_address addresses[FLOW_ADDRESSES];
};

/* A listening port, on skyfall.hosts (key: "listener", net, id, netns, address, port). */
struct flow_listener {
	struct str net, host;
	uint32_t netns;
	struct ip addr; /* zero: any address (:: for both families, 0.0.0.0 mapped for IPv4 only) */
	uint16_t port;
	uint8_t protocol;
	uint8_t alive;
	uint32_t interval;         /* when it was said */
	uint32_t since;            /* first seen */
	uint64_t drops;            /* connections dropped since the former record (sk_drops) */
	uint32_t queue, queue_max; /* accept queue now, its bound */
	struct flow_names names;
};

struct flow_count {
	struct str name;
	uint64_t n;
};

/* A ledger line (law L7), on skyfall.ledger (key: role, instance). For one interval of one instance:
 * rows_in = rows_out + sum(lost). Written again it replaces its former self. */
struct flow_ledger {
	uint32_t interval;
	uint16_t interval_s;
	struct str role;     /* "agent", "collector", "pair", "edge", "store" */
	struct str instance; /* host id, or host:pid-like name of the instance */
	uint64_t boot;
	uint64_t rows_in, rows_out;
	uint8_t n_lost, n_info;
	struct flow_count lost[FLOW_LOSSES]; /* reason -> rows */
	struct flow_count info[FLOW_INFOS];  /* whatever else the role knows: costs, gauges, kernel's own counts */
};

enum flow_msg_type {
	FLOW_MSG_ROW,
	FLOW_MSG_MARKER,
	FLOW_MSG_EDGE,
	FLOW_MSG_PAIR,
	FLOW_MSG_HOST,
	FLOW_MSG_LISTENER,
	FLOW_MSG_LEDGER,
	FLOW_MSG_TYPES
};

/* Any message, decoded. Large (~20 KiB): one per thread, not on a deep stack. */
struct flow_msg {
	enum flow_msg_type type;
	union {
		struct flow_row row;
		struct flow_marker marker;
		struct flow_edge edge; /* FLOW_MSG_EDGE and FLOW_MSG_PAIR */
		struct flow_host host;
		struct flow_listener listener;
		struct flow_ledger ledger;
	};
};

/* Appends header and body of `record` (the struct of that type) to `b`. The error is in b->err. */
void flow_msg_encode(struct buf *b, enum flow_msg_type type, const void *record);

/* -EBADMSG: too short, broken body, bytes left over; -ENOKEY: of another schema than ours (flow/resolve.h). ret is unspecified
 * then. */
int flow_msg_decode(const void *p, size_t n, struct flow_msg *ret);

/* Appends `msg` as a JSON object on one line, without its end: members as the schema names them, histograms as {bucket: n}, of
 * statistics those that are not 0. The error is in b->err. */
void flow_msg_json(struct buf *b, const struct flow_msg *msg);

/* The Avro schema of a type as JSON text (parsing canonical form, plus "doc"s when `doc`), NUL-terminated in b. */
void flow_msg_schema(struct buf *b, enum flow_msg_type type, bool doc);

const char *flow_msg_name(enum flow_msg_type type); /* "Flow", "Marker", "Edge", "Pair", "Host", "Listener", "Ledger" */

/* Compaction key of a host or listener message: appended to b. */
void flow_host_key(struct buf *b, const struct flow_host *h);
void flow_listener_key(struct buf *b, const struct flow_listener *l);

uint64_t flow_edge_rows(const struct flow_edge *e); /* sum(rows) over its views: what the ledger balances */

/* The number called `name`, 0 when absent. */
uint64_t flow_count_get(const struct flow_count *c, unsigned n, const char *name);

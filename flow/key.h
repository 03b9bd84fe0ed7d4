/* SPDX-License-Identifier: Apache-2.0 */
/* What identifies a conversation, a name and an edge; the hashes that partition and join them. */
#pragma once

#include <stdint.h>

#include "base/ip.h"
#include "base/str.h"

/* Who saw it (law L5). A row of FLOW_VIEW_UNKNOWN carries both ports and is never joined (law L4). */
enum flow_view { FLOW_VIEW_CLIENT, FLOW_VIEW_SERVER, FLOW_VIEW_NETWORK, FLOW_VIEWS, FLOW_VIEW_UNKNOWN = FLOW_VIEWS };

/* Bits of `flags`; OR-ed when rows merge. The first byte of them fits the kernel's key. */
enum flow_flag {
	FLOW_JOINED = 1 << 0,      /* connections older than the agent are in it */
	FLOW_SAMPLED = 1 << 1,     /* scaled up from a sample */
	FLOW_CLOCK = 1 << 2,       /* moved by whole intervals: the host's clock is off */
	FLOW_NAT_UNSPLIT = 1 << 3, /* several back ends behind one dialled address */
	FLOW_SPLIT = 1 << 4,       /* a server's view divided among several clients' services */
	FLOW_NO_ROLE = 1 << 5,     /* nobody knows who connected: client and server are just the two ends */
};

/* How sure the owner is (agent): part of the names. */
enum flow_quality { FLOW_OWNER_EXACT, FLOW_OWNER_INHERITED, FLOW_OWNER_SCAN, FLOW_OWNER_UNKNOWN };

/* Which rung named an endpoint (graph). Kept as bits 1 << rung, OR-ed. */
enum flow_rung { FLOW_RUNG_VIEW, FLOW_RUNG_LISTENER, FLOW_RUNG_HOST, FLOW_RUNG_INVENTORY, FLOW_RUNG_NONE };

#define FLOW_NAME_MAX 255 /* bytes of one name; longer ones are cut where they are made */

/* The names of the end that measured. `via`: the address it dialled, where that differs from the wire's. */
struct flow_names {
	struct str service, process, unit, container, pod, via;
	uint8_t quality; /* enum flow_quality */
};

/* A conversation: all connections to one service port between two addresses. Without a role, client is the
 * end that measured, port its port and other_port the peer's. */
struct flow_conv {
	struct str net;   /* address space the addresses belong to; "" the default */
	struct str scope; /* "" global; else the one host (and namespace) on which the addresses exist */
	struct ip client, server;
	uint16_t port, other_port;
	uint8_t protocol;
};

/* hash(net, protocol, unordered address pair): the partition key of skyfall.flows. Both views of a
 * conversation, and rows without a role, give the same. Scope is not in it: it follows the addresses. */
uint64_t flow_conv_partition(const struct flow_conv *c);

/* Hash and equality of the whole conversation: the join key of the pair stage (port in, other_port in). */
uint64_t flow_conv_hash(const struct flow_conv *c);
bool flow_conv_eq(const struct flow_conv *a, const struct flow_conv *b);

uint64_t flow_names_hash(const struct flow_names *n);
bool flow_names_eq(const struct flow_names *a, const struct flow_names *b);

/* What an edge is called: its id is the hash of just this (law L8). */
struct flow_edge_name {
	struct str net, client_service, client_zone, server_service, server_zone;
	uint16_t port;
	uint8_t protocol;
};

/* XXH3-64 of the canonical tuple: each string as u16 length (big-endian) + bytes in the order of the struct,
 * then protocol (u8), port (u16 big-endian). Strings over FLOW_NAME_MAX are cut. */
uint64_t flow_edge_id(const struct flow_edge_name *e);

const char *flow_view_name(enum flow_view v);                   /* "client", "server", "network", "unknown" */
const char *flow_protocol_name(uint8_t protocol, char text[8]); /* "tcp", "udp", else its number */

/* Flags as words joined by ',' ("" for none). */
const char *flow_flags_text(uint32_t flags, char text[96]);
/* Bits 1 << view as "client", "server", "both", "network", "client+network", ... */
const char *flow_observed_text(uint32_t views, char text[48]);
const char *flow_rung_name(enum flow_rung r);       /* "agent", "listener", "host", "inventory", "none" */
const char *flow_quality_name(enum flow_quality q); /* "exact", "inherited", "scan", "unknown" */

/* "client_c2s_bytes", "server_opened": the stored column of field f in a view. NULL when that view cannot have it
 * (a host-only field in the network view). dst is at least 64 bytes. */
const char *flow_column(unsigned field, enum flow_view v, char dst[64]);

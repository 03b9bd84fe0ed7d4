/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/key.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/table.h"
#include "flow/stats.h"

/* Bytes to be hashed, put together on the stack: every key has a known bound. */
struct key_bytes {
	uint8_t b[8 * (2 + FLOW_NAME_MAX) + 64];
	size_t n;
};

static void key_put(struct key_bytes *k, const void *p, size_t n)
{
	memcpy(k->b + k->n, p, n);
	k->n += n;
}

static void key_u16(struct key_bytes *k, uint16_t v)
{
	k->b[k->n++] = (uint8_t)(v >> 8);
	k->b[k->n++] = (uint8_t)v;
}

static void key_str(struct key_bytes *k, struct str s)
{
	size_t n = s.n < FLOW_NAME_MAX ? s.n : FLOW_NAME_MAX;

	key_u16(k, (uint16_t)n);
	if (n)
		key_put(k, s.p, n);
}

uint64_t flow_conv_partition(const struct flow_conv *c)
{
	bool swap = memcmp(c->client.b, c->server.b, 16) > 0;
	struct key_bytes k = {.n = 0};

	key_str(&k, c->net);
	k.b[k.n++] = c->protocol;
	key_put(&k, swap ? c->server.b : c->client.b, 16);
	key_put(&k, swap ? c->client.b : c->server.b, 16);
	return hash64(k.b, k.n);
}

uint64_t flow_conv_hash(const struct flow_conv *c)
{
	struct key_bytes k = {.n = 0};

	key_str(&k, c->net);
	key_str(&k, c->scope);
	k.b[k.n++] = c->protocol;
	key_put(&k, c->client.b, 16);
	key_put(&k, c->server.b, 16);
	key_u16(&k, c->port);
	key_u16(&k, c->other_port);
	return hash64(k.b, k.n);
}

bool flow_conv_eq(const struct flow_conv *a, const struct flow_conv *b)
{
	return a->port == b->port && a->other_port == b->other_port && a->protocol == b->protocol &&
	       ip_eq(&a->client, &b->client) && ip_eq(&a->server, &b->server) && str_eq(a->net, b->net) &&
	       str_eq(a->scope, b->scope);
}

uint64_t flow_names_hash(const struct flow_names *n)
{
	const struct str parts[] = {n->service, n->process, n->unit, n->container, n->pod, n->via};
	struct key_bytes k = {.n = 0};
	size_t i;

	for (i = 0; i < ARRAY_LEN(parts); i++)
		key_str(&k, parts[i]);
	k.b[k.n++] = n->quality;
	return hash64(k.b, k.n);
}

bool flow_names_eq(const struct flow_names *a, const struct flow_names *b)
{
	return a->quality == b->quality && str_eq(a->service, b->service) && str_eq(a->process, b->process) &&
	       str_eq(a->unit, b->unit) && str_eq(a->container, b->container) && str_eq(a->pod, b->pod) &&
	       str_eq(a->via, b->via);
}

uint64_t flow_edge_id(const struct flow_edge_name *e)
{
	struct key_bytes k = {.n = 0};

	key_str(&k, e->net);
	key_str(&k, e->client_service);
	key_str(&k, e->client_zone);
	key_str(&k, e->server_service);
	key_str(&k, e->server_zone);
	k.b[k.n++] = e->protocol;
	key_u16(&k, e->port);
	return hash64(k.b, k.n);
}

static const char *key_word(const char *const *words, size_t n, size_t i)
{
	return i < n ? words[i] : "unknown";
}

const char *flow_view_name(enum flow_view v)
{
	static const char *const words[] = {"client", "server", "network", "unknown"};

	return key_word(words, ARRAY_LEN(words), v);
}

const char *flow_rung_name(enum flow_rung r)
{
	static const char *const words[] = {"agent", "listener", "host", "inventory", "none"};

	return key_word(words, ARRAY_LEN(words), r);
}

const char *flow_quality_name(enum flow_quality q)
{
	static const char *const words[] = {"exact", "inherited", "scan", "unknown"};

	return key_word(words, ARRAY_LEN(words), q);
}

const char *flow_protocol_name(uint8_t protocol, char text[8])
{
	switch (protocol) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	}
	snprintf(text, 8, "%u", protocol);
	return text;
}

const char *flow_flags_text(uint32_t flags, char text[96])
{
	static const char *const words[] = {"joined_in_progress", "sampled", "clock",
					    "nat_unsplit",        "split",   "no_role"};
	size_t i, n = 0;

	text[0] = '\0';
	for (i = 0; i < ARRAY_LEN(words); i++)
		if (flags & 1u << i)
			n += (size_t)snprintf(text + n, 96 - n, "%s%s", n ? "," : "", words[i]);
	return text;
}

const char *flow_observed_text(uint32_t views, char text[48])
{
	static const char *const ends[] = {"", "client", "server", "both"};
	const char *network = views & 1u << FLOW_VIEW_NETWORK ? "network" : "";
	const char *end = ends[views & 3];

	snprintf(text, 48, "%s%s%s", end, *end && *network ? "+" : "", network);
	return text;
}

/* Which way a field of the measuring end points, for each view (law L5). */
static const char *const key_way[FLOW_VIEWS][3] = {
	[FLOW_VIEW_CLIENT] = {[FLOW_CONN] = "", [FLOW_TX] = "c2s_", [FLOW_RX] = "s2c_"},
	[FLOW_VIEW_SERVER] = {[FLOW_CONN] = "", [FLOW_TX] = "s2c_", [FLOW_RX] = "c2s_"},
	[FLOW_VIEW_NETWORK] = {[FLOW_CONN] = "", [FLOW_TX] = "c2s_", [FLOW_RX] = "s2c_"},
};

const char *flow_column(unsigned field, enum flow_view v, char dst[64])
{
	const struct flow_field_info *f = &flow_fields[field];

	if (v == FLOW_VIEW_NETWORK && f->seen != FLOW_ALL)
		return NULL;
	snprintf(dst, 64, "%s_%s%s", flow_view_name(v), key_way[v][f->dir], f->column);
	return dst;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of rows and connections, put under the tuple on the wire. The rules are those of agent/nat.c. */
#include <netinet/in.h>
#include <string.h>

#include "agent/nat.h"
#include "agent/nat_where.h"
#include "flow/key.h"

static bool nat_can(const struct nat *n, const struct sky_row_key *key)
{
	return n && (key->role == SKY_ROLE_CLIENT || key->role == SKY_ROLE_SERVER) &&
	       (key->protocol == IPPROTO_TCP || key->protocol == IPPROTO_UDP);
}

/* False: no place for its address. */
static bool key_translate(struct nat *n, struct sky_row_key *key, const struct nat_place *at)
{
	const struct nat_tuple *own = &at->own, *wire = &at->wire;
	bool client = key->role == SKY_ROLE_CLIENT;
	uint32_t via = 0;

	if (own->dport != wire->dport || !ip_eq(&own->dst, &wire->dst)) {
		via = client ? nat_address(n, &own->dst, own->dport) : nat_address(n, &wire->dst, wire->dport);
		if (!via)
			return false;
	}
	key->via = via;
	memcpy(client ? key->local : key->remote, wire->src.b, 16);
	memcpy(client ? key->remote : key->local, client ? wire->dst.b : own->dst.b, 16);
	key->service_port = client ? wire->dport : own->dport;
	nat_counting(n)->translated++;
	return true;
}

static void key_unsplit(struct nat *n, struct sky_row_key *key)
{
	key->flags |= FLOW_NAT_UNSPLIT;
	nat_counting(n)->unsplit++;
	nat_list(n, key);
}

bool nat_conn(struct nat *n, struct sky_row_key *key, uint16_t *port, bool live)
{
	enum nat_found found;
	struct nat_place at;

	if (!nat_can(n, key))
		return false;
	key->other_port = 0;
	found = nat_where(n, key, *port, live, &at);
	if (found == NAT_NONE)
		return false;
	if (found == NAT_ONE && key_translate(n, key, &at))
		*port = at.wire.sport;
	else
		key_unsplit(n, key);
	return true;
}

static bool ends_eq(const struct nat_tuple *a, const struct nat_tuple *b)
{
	return a->dport == b->dport && ip_eq(&a->src, &b->src) && ip_eq(&a->dst, &b->dst);
}

/* A row's tuple, without the ephemeral port. */
static struct nat_tuple row_tuple(const struct sky_row_key *key)
{
	bool client = key->role == SKY_ROLE_CLIENT;
	struct nat_tuple t = {.dport = key->service_port, .protocol = key->protocol};

	memcpy(t.src.b, client ? key->local : key->remote, 16);
	memcpy(t.dst.b, client ? key->remote : key->local, 16);
	return t;
}

/* Where the ports of a row go. */
struct row_ports {
	enum nat_found found; /* what holds for all of them */
	bool stays;           /* all go where the row is, whatever they dialled */
	struct nat_place at;
	uint16_t wire[SKY_PORTS];
};

static void row_ports(struct nat *n, const struct sky_row_key *key, const struct sky_row_value *val, unsigned count,
		      struct row_ports *ret)
{
	const struct nat_tuple row = row_tuple(key);
	enum nat_found found;
	struct nat_place at;

	*ret = (struct row_ports){.found = NAT_NONE, .stays = true};
	for (unsigned i = 0; i < count; i++) {
		found = nat_where(n, key, val->ports[i], false, &at);
		ret->stays &= found != NAT_SEVERAL && ends_eq(&at.wire, &row);
		if (i > 0 && (found != ret->found || (found == NAT_ONE && (!ends_eq(&at.wire, &ret->at.wire) ||
									   !ends_eq(&at.own, &ret->at.own)))))
			found = NAT_SEVERAL;
		ret->found = ret->found == NAT_SEVERAL ? NAT_SEVERAL : found;
		ret->at = at;
		ret->wire[i] = at.wire.sport;
	}
}

/* All connections of the row are listed by port: none failed, none is over the bound, no port was there twice. One may have
 * been tried for in an earlier interval, and counted then. */
static bool row_complete(const struct sky_row_key *key, const struct sky_row_value *val, unsigned count)
{
	return count == val->ports_seen &&
	       (key->role != SKY_ROLE_CLIENT || key->protocol == IPPROTO_UDP || val->attempts <= val->opened);
}

/* A row of one connection, or of one port's datagrams. */
static void row_single(struct nat *n, struct sky_row_key *key, struct sky_row_value *val)
{
	uint16_t port = key->other_port;

	if (!nat_conn(n, key, &port, false) && key->protocol == IPPROTO_UDP && nat_known(n, key))
		key_unsplit(n, key); /* it has sent nothing yet: nobody chose where it goes */
	if (val->ports[0])
		val->ports[0] = port;
}

void nat_row(struct nat *n, struct sky_row_key *key, struct sky_row_value *val)
{
	struct row_ports ports;
	unsigned count = 0;
	bool complete;

	if (!nat_can(n, key))
		return;
	if (key->other_port) {
		row_single(n, key, val);
		return;
	}
	while (count < SKY_PORTS && val->ports[count])
		count++;
	complete = row_complete(key, val, count);
	row_ports(n, key, val, count, &ports);
	if (ports.found == NAT_ONE && complete && key_translate(n, key, &ports.at))
		memcpy(val->ports, ports.wire, count * sizeof(*ports.wire));
	else if (!ports.stays || (!complete && nat_known(n, key)))
		key_unsplit(n, key);
}

void nat_attempt(struct nat *n, struct sky_row_key *key)
{
	if (!nat_can(n, key))
		return;
	key->other_port = 0;
	if (nat_known(n, key))
		key_unsplit(n, key);
}

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
static bool key_translate(struct nat *n, struct sky_row_key *key, const struct nat_tuple *t)
{
	bool client = key->role == SKY_ROLE_CLIENT;
	struct ip dst;
	bool other;
	uint32_t via = 0;

	memcpy(dst.b, client ? key->remote : key->local, 16);
	other = key->service_port != t->dport || !ip_eq(&dst, &t->dst);
	if (other)
		via = client ? nat_place(n, &dst, key->service_port) : nat_place(n, &t->dst, t->dport);
	if (other && !via)
		return false;
	key->via = via;
	if (client) {
		memcpy(key->local, t->src.b, 16);
		memcpy(key->remote, t->dst.b, 16);
		key->service_port = t->dport;
	} else {
		memcpy(key->remote, t->src.b, 16);
	}
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
	struct nat_tuple t;

	if (!nat_can(n, key))
		return false;
	key->other_port = 0;
	found = nat_where(n, key, *port, live, &t);
	if (found == NAT_NONE)
		return false;
	if (found == NAT_ONE && key_translate(n, key, &t))
		*port = t.sport;
	else
		key_unsplit(n, key);
	return true;
}

/* Each listed port of a row looked up: where all go, or that they do not. */
static enum nat_found row_ports(const struct nat *n, const struct sky_row_key *key, const struct sky_row_value *val,
				unsigned count, struct nat_tuple *ret, uint16_t ports[SKY_PORTS])
{
	enum nat_found all = NAT_NONE, found;
	struct nat_tuple t;

	for (unsigned i = 0; i < count; i++) {
		found = nat_where(n, key, val->ports[i], false, &t);
		if (found == NAT_SEVERAL || (i > 0 && found != all))
			return NAT_SEVERAL;
		all = found;
		if (found == NAT_NONE)
			continue;
		if (i > 0 && (!ip_eq(&ret->src, &t.src) || !ip_eq(&ret->dst, &t.dst) || ret->dport != t.dport))
			return NAT_SEVERAL;
		*ret = t;
		ports[i] = t.sport;
	}
	return all;
}

/* All connections of the row are listed by port: none failed, none is over the bound, no port was there twice. */
static bool row_complete(const struct sky_row_key *key, const struct sky_row_value *val, unsigned count)
{
	return count == val->ports_seen && (key->role != SKY_ROLE_CLIENT || val->attempts == val->opened);
}

void nat_row(struct nat *n, struct sky_row_key *key, struct sky_row_value *val)
{
	uint16_t ports[SKY_PORTS], port = key->other_port;
	enum nat_found found;
	struct nat_tuple t;
	unsigned count = 0;
	bool complete;

	if (!nat_can(n, key))
		return;
	if (port) { /* made by connection */
		(void)nat_conn(n, key, &port, false);
		if (val->ports[0])
			val->ports[0] = port;
		return;
	}
	while (count < SKY_PORTS && val->ports[count])
		count++;
	complete = row_complete(key, val, count);
	found = row_ports(n, key, val, count, &t, ports);
	if (found == NAT_NONE && (complete || !nat_known(n, key)))
		return;
	if (found == NAT_ONE && complete && key_translate(n, key, &t))
		memcpy(val->ports, ports, count * sizeof(*ports));
	else
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

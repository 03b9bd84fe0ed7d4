/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/named.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define NAMED_OWNERS 1024 /* services and servers whose ephemeral ports are watched */
#define NAMED_FORGET_US 3600000000ll

static_assert(offsetof(struct sky_row_value, ports_seen) == sizeof(struct flow_stats),
	      "the kernel's row begins with flow_stats");

/* Who has many ports: a service that serves on them, or an address that is dialled on them. */
struct named_ports {
	uint64_t hash; /* 0: free */
	int64_t seen_us;
	bool folds;
	uint8_t n;
	uint16_t ports[NAMED_PORTS];
};

int named_init(struct named *out, uint16_t port_low, uint16_t port_high)
{
	*out = (struct named){.port_low = port_low, .port_high = port_high};
	out->ports = calloc(NAMED_OWNERS, sizeof(*out->ports));
	return out->ports ? 0 : -ENOMEM;
}

void named_deinit(struct named *out)
{
	free(out->v);
	free(out->ports);
	*out = (struct named){0};
}

static struct named_ports *named_owner(struct named *out, uint64_t hash, int64_t now_us)
{
	struct named_ports *place = NULL;
	size_t i;

	for (i = 0; i < 16; i++) {
		struct named_ports *p = &out->ports[(hash + i) % NAMED_OWNERS];

		if (p->hash == hash)
			return p;
		if (!place && (!p->hash || now_us - p->seen_us > NAMED_FORGET_US))
			place = p;
	}
	if (place)
		*place = (struct named_ports){.hash = hash};
	return place;
}

/* A service on more ports of the ephemeral range than a person wants to see stands at port 0. The dialling side cannot know
 * the service: there it is the address that has many ports. */
static void named_port(struct named *out, struct sky_row_key *k, const struct flow_names *names, int64_t now_us)
{
	struct named_ports *p;
	uint64_t hash;
	unsigned i;

	if (k->role == SKY_ROLE_UNKNOWN || k->service_port < out->port_low || k->service_port > out->port_high)
		return;
	hash = k->role == SKY_ROLE_SERVER ? hash64(names->service.p, names->service.n) : hash64_seed(k->remote, 16, 1);
	p = named_owner(out, hash | 1, now_us);
	if (!p)
		return;
	p->seen_us = now_us;
	for (i = 0; i < p->n && p->ports[i] != k->service_port; i++)
		;
	if (i == p->n && p->n < NAMED_PORTS)
		p->ports[p->n++] = k->service_port;
	else if (i == p->n)
		p->folds = true;
	if (p->folds) {
		k->service_port = 0;
		out->ports_folded++;
	}
}

static int named_compare(const void *pa, const void *pb)
{
	const struct named_ref *a = pa, *b = pb;
	const struct sky_row_key *x = &a->row->key, *y = &b->row->key;
	bool v4x = ip_is_v4((const struct ip *)x->local), v4y = ip_is_v4((const struct ip *)y->local);
	int r;

	if (v4x != v4y)
		return v4x ? -1 : 1;
	if (a->names != b->names)
		return a->names < b->names ? -1 : 1;
	r = memcmp(x->local, y->local, 16);
	if (r == 0)
		r = memcmp(x->remote, y->remote, 16);
	if (r == 0)
		r = (x->service_port > y->service_port) - (x->service_port < y->service_port);
	if (r == 0)
		r = (x->other_port > y->other_port) - (x->other_port < y->other_port);
	if (r == 0)
		r = x->protocol - y->protocol;
	if (r == 0)
		r = x->role - y->role;
	return r ? r : (a->scope > b->scope) - (a->scope < b->scope);
}

static void named_merge(struct agent_row *to, const struct agent_row *from)
{
	uint32_t seen = to->val.ports_seen + from->val.ports_seen;
	unsigned i;

	flow_stats_add((struct flow_stats *)&to->val, (const struct flow_stats *)&from->val);
	for (i = 0; i < SKY_PORTS && from->val.ports[i]; i++)
		agent_row_port(&to->val, from->val.ports[i]);
	to->val.ports_seen = seen;
	to->key.flags |= from->key.flags;
}

/* How its owner is known, as sums: rows of several qualities add up on an edge. */
static void named_quality(struct sky_row_value *v, uint8_t quality)
{
	v->owner_inherited = quality == FLOW_OWNER_INHERITED ? v->rows : 0;
	v->owner_scan = quality == FLOW_OWNER_SCAN ? v->rows : 0;
	v->owner_unknown = quality == FLOW_OWNER_UNKNOWN ? v->rows : 0;
}

/* A translated row: the client's says what it dialled, the server's goes under the address the outside dialled. */
static uint32_t named_via(const struct named *out, struct sky_row_key *k, struct names *names, uint32_t index)
{
	char text[IP_TEXT + 16], address[IP_TEXT];
	uint16_t port;
	struct ip ip;

	if (!nat_via(out->nat, k->via, &ip, &port))
		return index;
	if (k->role == SKY_ROLE_SERVER) {
		memcpy(k->local, ip.b, 16);
		k->service_port = port;
		return index;
	}
	snprintf(text, sizeof(text), ip_is_v4(&ip) ? "%s:%u" : "[%s]:%u", ip_format(&ip, address), port);
	return names_via(names, index, str_from(text));
}

int named_fold(struct named *out, struct agent_rows *rows, struct names *names, const struct locals *locals,
	       int64_t now_us)
{
	size_t n = agent_rows_count(rows), i, kept = 0;
	struct named_ref *v;

	out->n = 0;
	if (n > out->cap) {
		v = reallocarray(out->v, n, sizeof(*v));
		if (!v)
			return -ENOMEM;
		out->v = v;
		out->cap = n;
	}
	for (i = 0; i < n; i++) {
		struct agent_row *row = agent_rows_at(rows, i);
		struct named_ref *ref = &out->v[i];

		ref->row = row;
		ref->names = names_of(names, &row->key.owner, row->val.tgid);
		ref->names = named_via(out, &row->key, names, ref->names);
		ref->scope = locals_scope_pair(locals, (const struct ip *)row->key.local,
					       (const struct ip *)row->key.remote, row->key.netns);
		named_port(out, &row->key, names_at(names, ref->names), now_us);
		named_quality(&row->val, names_at(names, ref->names)->quality);
	}
	qsort(out->v, n, sizeof(*out->v), named_compare);
	for (i = 0; i < n; i++) {
		if (kept && named_compare(&out->v[kept - 1], &out->v[i]) == 0)
			named_merge(out->v[kept - 1].row, out->v[i].row);
		else
			out->v[kept++] = out->v[i];
	}
	out->n = kept;
	return 0;
}

void named_flow(const struct named_ref *ref, const struct names *names, struct wire_flow *ret)
{
	static const uint8_t views[] = {
		[SKY_ROLE_UNKNOWN] = FLOW_VIEW_UNKNOWN,
		[SKY_ROLE_CLIENT] = FLOW_VIEW_CLIENT,
		[SKY_ROLE_SERVER] = FLOW_VIEW_SERVER,
	};
	const struct sky_row_key *k = &ref->row->key;
	const struct sky_row_value *v = &ref->row->val;
	unsigned i;

	*ret = (struct wire_flow){
		.port = k->service_port,
		.other_port = k->other_port,
		.protocol = k->protocol,
		.scope = ref->scope,
		.view = k->role < sizeof(views) ? views[k->role] : FLOW_VIEW_UNKNOWN,
		.flags = k->flags,
		.names = names_at(names, ref->names),
	};
	if (ret->view == FLOW_VIEW_UNKNOWN)
		ret->flags |= FLOW_NO_ROLE;
	memcpy(ret->local.b, k->local, 16);
	memcpy(ret->remote.b, k->remote, 16);
	for (i = 0; i < SKY_PORTS && ret->n_ports < FLOW_PORTS; i++)
		if (v->ports[i])
			ret->ports[ret->n_ports++] = v->ports[i];
	ret->ports_more = v->ports_seen > ret->n_ports ? v->ports_seen - ret->n_ports : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/locals.h"

#include <errno.h>

int locals_add(struct locals *l, const char *cidr)
{
	int r;

	if (l->n == LOCALS_MAX)
		return -ENOSPC;
	r = ip_parse_prefix(cidr, &l->v[l->n].prefix, &l->v[l->n].bits);
	if (r == 0)
		l->v[l->n++].inside = false;
	return r;
}

int locals_route(struct locals *l, const char *cidr)
{
	int r;

	if (l->n_routed == LOCALS_ROUTED)
		return -ENOSPC;
	r = ip_parse_prefix(cidr, &l->routed[l->n_routed].prefix, &l->routed[l->n_routed].bits);
	l->n_routed += r == 0;
	return r;
}

void locals_bridge(struct locals *l, const struct ip *ip, unsigned bits, bool inside)
{
	size_t i;

	for (i = 0; i < l->n_routed; i++)
		if (ip_in_prefix(ip, &l->routed[i].prefix, l->routed[i].bits))
			return;
	for (i = 0; i < l->n; i++)
		if (l->v[i].bits <= bits && ip_in_prefix(ip, &l->v[i].prefix, l->v[i].bits) && l->v[i].inside <= inside)
			return;
	if (l->n == LOCALS_MAX) {
		l->full++;
		return;
	}
	l->v[l->n].prefix = *ip;
	l->v[l->n].bits = bits;
	l->v[l->n++].inside = inside;
}

uint32_t locals_scope(const struct locals *l, const struct ip *ip, uint32_t netns)
{
	size_t i;

	if (ip_is_loopback(ip))
		return netns;
	if (ip_is_link_local(ip))
		return 1;
	for (i = 0; i < l->n; i++)
		if (!l->v[i].inside && ip_in_prefix(ip, &l->v[i].prefix, l->v[i].bits))
			return 1;
	return 0;
}

uint32_t locals_scope_pair(const struct locals *l, const struct ip *a, const struct ip *b, uint32_t netns)
{
	uint32_t x = locals_scope(l, a, netns), y = locals_scope(l, b, netns);
	size_t i;

	for (i = 0; x == 0 && y == 0 && i < l->n; i++)
		if (l->v[i].inside && ip_in_prefix(a, &l->v[i].prefix, l->v[i].bits) &&
		    ip_in_prefix(b, &l->v[i].prefix, l->v[i].bits))
			return 1;
	return x > y ? x : y; /* inode numbers of namespaces are above 1 */
}

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
		l->n++;
	return r;
}

uint32_t locals_scope(const struct locals *l, const struct ip *ip, uint32_t netns)
{
	size_t i;

	if (ip_is_loopback(ip))
		return netns;
	if (ip_is_link_local(ip))
		return 1;
	for (i = 0; i < l->n; i++)
		if (ip_in_prefix(ip, &l->v[i].prefix, l->v[i].bits))
			return 1;
	return 0;
}

uint32_t locals_scope_pair(const struct locals *l, const struct ip *a, const struct ip *b, uint32_t netns)
{
	uint32_t x = locals_scope(l, a, netns), y = locals_scope(l, b, netns);

	return x > y ? x : y; /* inode numbers of namespaces are above 1 */
}

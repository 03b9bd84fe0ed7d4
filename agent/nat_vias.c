/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/nat_vias.h"

#include "base/hash.h"

uint32_t nat_vias_add(struct nat_vias *a, const struct ip *ip, uint16_t port)
{
	size_t i = hash64_seed(ip->b, 16, port) & (NAT_VIAS * 2 - 1);
	uint32_t at;

	for (; a->index[i]; i = (i + 1) & (NAT_VIAS * 2 - 1)) {
		at = a->index[i] - 1;
		if (a->v[at].port == port && ip_eq(&a->v[at].ip, ip))
			return a->index[i];
	}
	if (a->n == NAT_VIAS)
		return 0;
	a->v[a->n].ip = *ip;
	a->v[a->n].port = port;
	return a->index[i] = ++a->n;
}

bool nat_vias_get(const struct nat_vias *a, uint32_t via, struct ip *ret, uint16_t *ret_port)
{
	if (!via || via > a->n)
		return false;
	*ret = a->v[via - 1].ip;
	*ret_port = a->v[via - 1].port;
	return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/name_end.h"

#include <stdio.h>

struct str name_end(const struct hosts *hosts, const struct inventory *inv, const struct hosts_where *at,
		    uint8_t protocol, uint16_t port, enum flow_rung *ret_rung, char text[NAME_END_TEXT])
{
	const struct inventory_network *network;
	char unknown[INVENTORY_TEXT];
	struct str name;

	if (ip_is_zero(&at->ip)) { /* an agent's sum over addresses that have no row of their own */
		*ret_rung = FLOW_RUNG_NONE;
		return STR(NAME_END_OTHERS);
	}
	if (port && hosts_listener(hosts, at, protocol, port, &name)) {
		*ret_rung = FLOW_RUNG_LISTENER;
		return name;
	}
	if (hosts_name(hosts, at, &name)) {
		*ret_rung = FLOW_RUNG_HOST;
		snprintf(text, NAME_END_TEXT, "host:%.*s", STR_FMT(name));
		return str_from(text);
	}
	network = inventory_find(inv, at->net, &at->ip);
	if (network && network->owner[0]) {
		*ret_rung = FLOW_RUNG_INVENTORY;
		return str_from(network->owner);
	}
	*ret_rung = FLOW_RUNG_NONE;
	return str_from(str_copy(text, NAME_END_TEXT, str_from(inventory_unknown(&at->ip, at->net, unknown))));
}

struct str name_zone(const struct inventory *inv, struct str net, const struct ip *ip)
{
	const struct inventory_network *network = inventory_find(inv, net, ip);

	return network ? str_from(network->zone) : STR("");
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What an end of a conversation is called when its own agent has not said it (DESIGN 6, Names). */
#pragma once

#include "graph/hosts.h"
#include "policy/inventory.h"

#define NAME_END_TEXT (FLOW_NAME_MAX + 1)
#define NAME_END_OTHERS "others" /* the address zero: all peers an agent keeps no row of (UDP) */

/* port 0: not a server, no listener is looked for. The answer points to the tables or to `text`. */
struct str name_end(const struct hosts *hosts, const struct inventory *inv, const struct hosts_where *at,
		    uint8_t protocol, uint16_t port, enum flow_rung *ret_rung, char text[NAME_END_TEXT]);

/* Zone of an address, "" where the inventory has none. */
struct str name_zone(const struct inventory *inv, struct str net, const struct ip *ip);

/* SPDX-License-Identifier: Apache-2.0 */
/* What agent/nat_rows.c asks of the table of translations (agent/nat.c). */
#pragma once

#include "agent/nat.h"

enum nat_found { NAT_NONE, NAT_ONE, NAT_SEVERAL };

/* A connection as its socket has it, and where it went (a client's) or came from (a server's): client to server both. */
struct nat_place {
	struct nat_tuple own, wire;
};

/* Of the connection of `key` with ephemeral port `port`. NAT_NONE: *ret is what the key says. NAT_SEVERAL: it is not certain. */
enum nat_found nat_where(struct nat *n, const struct sky_row_key *key, uint16_t port, bool live, struct nat_place *ret);

/* Something was translated at the service's end of this key. */
bool nat_known(struct nat *n, const struct sky_row_key *key);

/* Rows there should be made by connection. */
void nat_list(struct nat *n, const struct sky_row_key *key);

/* The number of an address, from 1, made if it is new; 0: none left, counted. */
uint32_t nat_address(struct nat *n, const struct ip *ip, uint16_t port);

struct nat_counts *nat_counting(struct nat *n);

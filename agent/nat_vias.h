/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses that were dialled, numbered: a row's key has room for a number (sky_row_key.via). Never taken back. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"

#define NAT_VIAS 16384 /* dialled addresses with a place of their own */

/* Begins zeroed. */
struct nat_vias {
	struct {
		struct ip ip;
		uint16_t port;
	} v[NAT_VIAS];
	uint32_t index[NAT_VIAS * 2]; /* of v, + 1 */
	uint32_t n;
};

/* Its number, from 1, made if it is new; 0: none left. */
uint32_t nat_vias_add(struct nat_vias *a, const struct ip *ip, uint16_t port);

/* False: there is no such number. */
bool nat_vias_get(const struct nat_vias *a, uint32_t via, struct ip *ret, uint16_t *ret_port);

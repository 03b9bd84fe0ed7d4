/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* The ports the kernel gives out in this network namespace (net.ipv4.ip_local_port_range); its default where that cannot
 * be read. */
void ports_given_out(uint16_t *ret_low, uint16_t *ret_high);

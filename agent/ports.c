/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ports.h"

#include <stdio.h>

void ports_given_out(uint16_t *ret_low, uint16_t *ret_high)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	unsigned a = 0, b = 0;

	*ret_low = 32768;
	*ret_high = 60999;
	if (f && fscanf(f, "%u %u", &a, &b) == 2 && a > 0 && a <= b && b < 65536) {
		*ret_low = (uint16_t)a;
		*ret_high = (uint16_t)b;
	}
	if (f)
		fclose(f);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/receive.h"

#include <errno.h>
#include <stdio.h>

int receive_check(struct receive_conf *c, uint32_t interval_ms, struct collector_opts *co, char *why, size_t why_len)
{
	if (!c->fold_ms)
		c->fold_ms = interval_ms;
	if (c->fold_ms % interval_ms || 60000 % c->fold_ms) {
		snprintf(why, why_len, "--fold must be a multiple of the interval of %u s and a part of 60s",
			 interval_ms / 1000);
		return -EINVAL;
	}
	c->trust.rate = (uint32_t)c->agent_rate;
	co->trust = c->trust;
	co->threads = (unsigned)c->threads;
	if (c->steer)
		co->steer = steer_from(c->steer);
	co->interval_s = (uint16_t)(interval_ms / 1000);
	co->fold_s = (uint16_t)(c->fold_ms / 1000);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to datagrams with rows on a bad way: decided by seed, agent and sequence number alone. */
#pragma once

#include "tools/gen/dice.h"

struct fate {
	uint64_t seed;
	double lost, twice, held; /* shares */
};

enum fate_is { FATE_WELL, FATE_LOST, FATE_TWICE, FATE_HELD /* until the agent's next one has gone */ };

static inline enum fate_is fate_of(const struct fate *f, uint32_t agent, uint32_t sequence)
{
	double u;

	if (f->lost + f->twice + f->held <= 0)
		return FATE_WELL;
	u = dice_unit(dice(f->seed ^ 0xfa7e, agent), sequence);
	if (u < f->lost)
		return FATE_LOST;
	u -= f->lost;
	return u < f->twice ? FATE_TWICE : u < f->twice + f->held ? FATE_HELD : FATE_WELL;
}

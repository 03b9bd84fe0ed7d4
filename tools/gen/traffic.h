/* SPDX-License-Identifier: Apache-2.0 */
/* What the two ends of a pair measure in an interval: a pure function of fleet, pair and interval. */
#pragma once

#include "flow/stats.h"
#include "tools/gen/fleet.h"

/* The sums of one row. index: the interval's number, counted from 1970 in intervals; seconds: its length. */
void traffic_row(const struct fleet *f, const struct fleet_row *row, uint32_t index, uint32_t seconds,
		 struct flow_stats *ret);

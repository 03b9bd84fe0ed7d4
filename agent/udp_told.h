/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/udp.h"
#include "flow/msg.h"

/* What UDP counted since `former` goes into the health line, rows without a place as a loss; `former` becomes now. */
void udp_told(struct flow_ledger *line, const struct udp *u, struct udp_counts *former);

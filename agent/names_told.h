/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/health.h"
#include "agent/names.h"

/* What naming counted since `former`, which becomes what it says now. */
void names_told(struct flow_ledger *line, const struct names *names, struct names_counts *former);

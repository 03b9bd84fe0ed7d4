/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of translated addresses in the ledger's line of an interval. */
#pragma once

#include "agent/nat_ct.h"
#include "flow/msg.h"

struct nat_told {
	struct nat_counts nat;
	struct nat_ct_counts ct;
};

/* former: what was told last, zeroed before the first time. nat NULL: nothing. */
void nat_told(struct flow_ledger *line, const struct nat *nat, const struct nat_ct *ct, struct nat_told *former);

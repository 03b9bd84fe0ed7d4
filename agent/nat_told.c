/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/nat_told.h"

#include "agent/health.h"

void nat_told(struct flow_ledger *line, const struct nat *nat, const struct nat_ct *ct, struct nat_told *former)
{
	struct nat_told now;

	if (!nat)
		return;
	now = (struct nat_told){*nat_counts(nat), ct->counts};
	health_count(line, "nat_entries", now.nat.entries - former->nat.entries);
	health_count(line, "nat_translated", now.nat.translated - former->nat.translated);
	health_count(line, "nat_unsplit", now.nat.unsplit - former->nat.unsplit);
	health_count(line, "nat_full", now.nat.full - former->nat.full);
	health_count(line, "nat_early", now.nat.early - former->nat.early);
	health_count(line, "nat_overflows", now.ct.overflows - former->ct.overflows);
	health_count(line, "nat_skipped", now.ct.skipped - former->ct.skipped);
	health_count(line, "nat_bad", now.ct.bad - former->ct.bad);
	health_count(line, "nat_dumps_failed", now.ct.dumps_failed - former->ct.dumps_failed);
	health_count(line, "nat_denied", now.ct.denied);
	health_count(line, "nat_silent", now.ct.silent);
	*former = now;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/names_told.h"

void names_told(struct flow_ledger *line, const struct names *names, struct names_counts *former)
{
	struct names_counts now;

	names_counts(names, &now);
	health_count(line, "names_full", now.names_full - former->names_full);
	health_count(line, "services_full", now.services_full - former->services_full);
	health_count(line, "cgroups_made", now.cgroups_made - former->cgroups_made);
	health_count(line, "cgroups_missed", now.cgroups_missed - former->cgroups_missed);
	health_count(line, "cgroups_unknown", now.unknown_cgroups - former->unknown_cgroups);
	*former = now;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/udp_told.h"

#include "agent/health.h"
#include "base/table.h"

static const struct {
	const char *name;
	size_t offset;
} udp_told_names[] = {
	{"udp_socks_full", offsetof(struct udp_counts, socks_full)},
	{"udp_lost_datagrams", offsetof(struct udp_counts, lost_segs)},
	{"udp_lost_bytes", offsetof(struct udp_counts, lost_bytes)},
	{"udp_others", offsetof(struct udp_counts, others)},
	{"udp_unread", offsetof(struct udp_counts, unread)},
	{"udp_late", offsetof(struct udp_counts, late)},
	{"udp_ended", offsetof(struct udp_counts, ended)},
	{"udp_adopted", offsetof(struct udp_counts, adopted)},
	{"udp_packets", offsetof(struct udp_counts, packets)},
	{"udp_ns", offsetof(struct udp_counts, cost_ns)},
};

void udp_told(struct flow_ledger *line, const struct udp *u, struct udp_counts *former)
{
	struct udp_counts now;
	uint64_t lost;

	if (!u)
		return;
	udp_counts(u, &now);
	for (size_t i = 0; i < ARRAY_LEN(udp_told_names); i++) {
		size_t at = udp_told_names[i].offset;

		health_count(line, udp_told_names[i].name,
			     *(const uint64_t *)((const char *)&now + at) -
				     *(const uint64_t *)((const char *)former + at));
	}
	lost = now.lost_rows_user - former->lost_rows_user;
	line->rows_in += lost;
	health_lost(line, "rows_user_full", lost);
	*former = now;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/stats.h"

#define U32 FLOW_U32
#define U64 FLOW_U64
#define HIST FLOW_HIST
#define CONN FLOW_CONN
#define TX FLOW_TX
#define RX FLOW_RX
#define HOST FLOW_HOST
#define ALL FLOW_ALL
const struct flow_field_info flow_fields[FLOW_FIELDS] = {
#define FIELD(name, width, dir, column, unit, seen, meaning) \
	{#name, #column, #unit, meaning, width, dir, seen, offsetof(struct flow_stats, name)},
#include "flow/fields.def"
#undef FIELD
};

_Static_assert(FLOW_FIELDS <= 64, "`present` has 64 bits");

const struct flow_failure flow_failures[FLOW_FAILURES] = {
	{FLOW_F_failed_refused, "refused"},
	{FLOW_F_failed_timeout, "timeout"},
	{FLOW_F_failed_unreachable, "unreachable"},
	{FLOW_F_failed_no_port, "no_port"},
	{FLOW_F_failed_abandoned, "abandoned"},
	{FLOW_F_failed_no_route, "no_route"},
	{FLOW_F_failed_other, "other"},
};

uint64_t flow_stats_failed(const struct flow_stats *s)
{
	uint64_t n = 0;
	unsigned i;

	for (i = 0; i < FLOW_FAILURES; i++)
		n += flow_stats_get(s, flow_failures[i].field);
	return n;
}

void flow_stats_add(struct flow_stats *a, const struct flow_stats *b)
{
	unsigned f, i;

	for (f = 0; f < FLOW_FIELDS; f++) {
		uint32_t *to;
		const uint32_t *from;

		if (flow_fields[f].width != FLOW_HIST) {
			*flow_stats_u64(a, f) += flow_stats_get(b, f);
			continue;
		}
		to = flow_stats_hist(a, f);
		from = flow_stats_hist_get(b, f);
		for (i = 0; i < FLOW_BUCKETS; i++)
			to[i] = to[i] + from[i] < to[i] ? UINT32_MAX : to[i] + from[i];
	}
}

uint64_t flow_stats_present(const struct flow_stats *s)
{
	uint64_t present = 0;
	unsigned f, i;

	for (f = 0; f < FLOW_FIELDS; f++) {
		bool any = false;

		if (flow_fields[f].width == FLOW_HIST)
			for (i = 0; i < FLOW_BUCKETS; i++)
				any |= flow_stats_hist_get(s, f)[i] != 0;
		else
			any = flow_stats_get(s, f) != 0;
		present |= (uint64_t)any << f;
	}
	return present;
}

bool flow_stats_empty(const struct flow_stats *s)
{
	return flow_stats_present(s) == 0;
}

/* Bucket edges above 8 us are 2^k (even step) and 1.5 x 2^k: two a doubling, from bucket 1 = [8, 12). */
unsigned flow_bucket(uint64_t us)
{
	unsigned k, i;

	if (us < 8)
		return 0;
	k = 63u - (unsigned)__builtin_clzll(us);
	i = 1 + (k - 3) * 2 + (unsigned)(us >> (k - 1) & 1);
	return i < FLOW_BUCKETS ? i : FLOW_BUCKETS - 1;
}

uint64_t flow_bucket_floor(unsigned i)
{
	uint64_t base;

	if (i == 0)
		return 0;
	base = 8ull << (i - 1) / 2;
	return (i - 1) % 2 ? base + base / 2 : base;
}

uint64_t flow_hist_count(const uint32_t hist[FLOW_BUCKETS])
{
	uint64_t n = 0;
	unsigned i;

	for (i = 0; i < FLOW_BUCKETS; i++)
		n += hist[i];
	return n;
}

double flow_hist_quantile(const uint32_t hist[FLOW_BUCKETS], double p)
{
	double want = p * (double)flow_hist_count(hist), seen = 0;
	unsigned i;

	for (i = 0; i < FLOW_BUCKETS; i++) {
		double floor = (double)flow_bucket_floor(i);
		double ceil = i + 1 < FLOW_BUCKETS ? (double)flow_bucket_floor(i + 1) : floor;

		if (hist[i] && seen + hist[i] >= want)
			return floor + (ceil - floor) * (want - seen) / hist[i];
		seen += hist[i];
	}
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/counters.h"

#include <assert.h>
#include <stddef.h>

#include "base/table.h"

static_assert(sizeof(struct counters_rx) % 8 == 0 && sizeof(struct counters_publish) % 8 == 0, "only u64 inside");

struct counter_info {
	const char *name, *help;
};

#define INFO(name, help) {#name, help},
static const struct counter_info rx_infos[] = {COLLECTOR_RX_COUNTERS(INFO)};
static const struct counter_info publish_infos[] = {COLLECTOR_PUBLISH_COUNTERS(INFO)};

/* Those of ours; the wire's own are named by wire_error_name(). */
static const struct counter_info rejects[] = {
	{"interval_length", "an interval length other than this fleet's"},
	{"net", "a net that is not collected here"},
	{"truncated", "longer than the receive buffer"},
	{"ledger", "a ledger line of an impossible interval"},
	{"host", "a host record in too many parts"},
	{"agent", "an agent that the allow list does not have"},
	{"unsigned", "not signed, and it has to be"},
	{"signature", "a signature that is not the agent's, or bytes changed on the way"},
	{"replayed", "signed, and seen before or too long ago to tell"},
	{"stale", "signed, of an agent not known yet whose clock is more than 5 minutes off, or recorded earlier"},
	{"rate", "more than one agent may send (--agent-rate)"},
	{"trust_full", "signed, past the table of agents: --agents bounds it"},
};

static_assert(ARRAY_LEN(rejects) == COLLECTOR_REJECTS - WIRE_ERRORS, "a name for every reason");

static void sum(uint64_t *to, const uint64_t *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] += __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

void counters_sum_rx(struct counters_rx *to, const struct counters_rx *c)
{
	sum((uint64_t *)to, (const uint64_t *)c, sizeof(*c) / 8);
}

void counters_sum_publish(struct counters_publish *to, const struct counters_publish *c)
{
	sum((uint64_t *)to, (const uint64_t *)c, sizeof(*c) / 8);
}

const char *counters_reject_name(unsigned reject)
{
	assert(reject < COLLECTOR_REJECTS);
	return reject < WIRE_ERRORS ? wire_error_name(reject) : rejects[reject - WIRE_ERRORS].name;
}

const char *counters_reject_text(unsigned reject)
{
	assert(reject < COLLECTOR_REJECTS);
	return reject < WIRE_ERRORS ? "cannot be read" : rejects[reject - WIRE_ERRORS].help;
}

static void metric(struct buf *b, const struct counter_info *info, uint64_t v)
{
	buf_printf(b,
		   "# HELP skyfall_collector_%s_total %s\n# TYPE skyfall_collector_%s_total counter\n"
		   "skyfall_collector_%s_total %llu\n",
		   info->name, info->help, info->name, info->name, (unsigned long long)v);
}

void counters_metrics_rx(const struct counters_rx *c, struct buf *b)
{
	for (size_t i = 0; i < ARRAY_LEN(rx_infos); i++)
		metric(b, &rx_infos[i], ((const uint64_t *)c)[i]);
	buf_printf(b, "# HELP skyfall_collector_rejected_total datagrams, records and rows refused, by reason\n"
		      "# TYPE skyfall_collector_rejected_total counter\n");
	for (unsigned i = WIRE_END + 1; i < COLLECTOR_REJECTS; i++)
		buf_printf(b, "skyfall_collector_rejected_total{reason=\"%s\"} %llu\n", counters_reject_name(i),
			   (unsigned long long)c->rejected[i]);
}

void counters_metrics_publish(const struct counters_publish *c, struct buf *b)
{
	for (size_t i = 0; i < ARRAY_LEN(publish_infos); i++)
		metric(b, &publish_infos[i], ((const uint64_t *)c)[i]);
}

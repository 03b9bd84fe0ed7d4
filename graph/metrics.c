/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/graph.h"

#include <inttypes.h>

#include "base/table.h"

enum metric_width { U32, U64 };

/* One row a metric of a stage. */
static const struct metric {
	const char *name, *type, *help;
	size_t offset; /* in struct graph_stage_stats */
	enum metric_width width;
} metrics[] = {
#define M(member, width, name, type, help)                                          \
	{                                                                           \
		name, type, help, offsetof(struct graph_stage_stats, member), width \
	}
	M(rows_in, U64, "rows_in_total", "counter", "Rows read and committed."),
	M(rows_out, U64, "rows_out_total", "counter", "Rows in what was written."),
	M(messages, U64, "messages_total", "counter", "Messages read, those read again included."),
	M(late_rows, U64, "late_rows_total", "counter", "Rows that came after their interval had closed."),
	M(lost_late_unjoined, U64, "lost_late_unjoined_total", "counter", "Rows too late to be joined."),
	M(lost_poison, U64, "lost_poison_total", "counter", "Rows in messages nobody could read."),
	M(lost_in_bus, U64, "lost_in_bus_total", "counter", "Rows announced by markers that never came."),
	M(unannounced, U64, "unannounced_rows_total", "counter", "Rows whose producer died before its marker."),
	M(commits, U64, "commits_total", "counter", "Transactions committed."),
	M(aborts, U64, "aborts_total", "counter", "Transactions that failed; their rows were read again."),
	M(busy, U64, "busy_total", "counter", "Transactions put off because the bus was full."),
	M(forced, U64, "forced_closes_total", "counter", "Intervals closed because too much was open."),
	M(silent_closes, U64, "silent_closes_total", "counter", "Intervals closed by the clock, all producers silent."),
	M(lag, U64, "lag_messages", "gauge", "Messages not yet read."),
	M(watermark, U32, "watermark_seconds", "gauge", "Start of the last interval closed in every partition."),
	M(open_intervals, U32, "open_intervals", "gauge", "Open intervals, the most in one partition."),
	M(producers_live, U32, "producers_live", "gauge", "Producers awaited, the most in one partition."),
	M(producers_silent, U32, "producers_silent", "gauge", "Producers no longer awaited, likewise."),
	M(partitions, U32, "partitions", "gauge", "Partitions assigned."),
	M(entries, U64, "entries", "gauge", "Conversations or edges in memory."),
#undef M
};

static uint64_t metric_value(const struct metric *m, const struct graph_stage_stats *s)
{
	const char *p = (const char *)s + m->offset;

	return m->width == U32 ? *(const uint32_t *)(const void *)p : *(const uint64_t *)(const void *)p;
}

void graph_metrics(struct graph *g, struct buf *b)
{
	struct graph_stats s;

	graph_stats(g, &s);
	for (size_t i = 0; i < ARRAY_LEN(metrics); i++) {
		const struct metric *m = &metrics[i];

		buf_printf(b, "# HELP skyfall_graph_%s %s\n# TYPE skyfall_graph_%s %s\n", m->name, m->help, m->name,
			   m->type);
		buf_printf(b, "skyfall_graph_%s{stage=\"pair\"} %" PRIu64 "\n", m->name, metric_value(m, &s.pair));
		buf_printf(b, "skyfall_graph_%s{stage=\"edge\"} %" PRIu64 "\n", m->name, metric_value(m, &s.edge));
	}
	buf_printf(b,
		   "# HELP skyfall_graph_hosts Host records known.\n# TYPE skyfall_graph_hosts gauge\n"
		   "skyfall_graph_hosts %" PRIu64 "\n",
		   s.hosts);
	buf_printf(b,
		   "# HELP skyfall_graph_listeners Listener records known.\n# TYPE skyfall_graph_listeners gauge\n"
		   "skyfall_graph_listeners %" PRIu64 "\n",
		   s.listeners);
	buf_printf(
		b,
		"# HELP skyfall_graph_hosts_bad_total Messages of the hosts topic nobody could read, or no room for.\n"
		"# TYPE skyfall_graph_hosts_bad_total counter\nskyfall_graph_hosts_bad_total %" PRIu64 "\n",
		s.hosts_bad);
}

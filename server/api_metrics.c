/* SPDX-License-Identifier: Apache-2.0 */
/* /metrics */
#include "base/table.h"
#include "server/api.h"
#include "server/totals.h"
#include "server/views.h"

static void metrics_own(struct api *a, struct buf *b)
{
	struct bus_stats bus = {0};
	struct writer_stats w = {0};
	struct server_stats s;
	struct live_stats live;
	size_t i;

	server_stats(a->s, &s);
	live_stats(a->s->live, &live);
	if (a->s->writer)
		writer_stats(a->s->writer, &w);
	if (a->s->opts.bus)
		bus_stats(a->s->opts.bus, &bus);
	const struct {
		const char *name, *type, *help;
		uint64_t n;
	} rows[] = {
		{"stream_clients", "gauge", "clients of /api/v1/stream", live.clients},
		{"stream_opened_total", "counter", "clients that came", live.opened},
		{"stream_refused_total", "counter", "clients refused because there were too many", live.refused},
		{"stream_cut_total", "counter", "clients cut because they were too far behind or took nothing",
		 live.cut + http_stuck(a->req->http)},
		{"stream_events_total", "counter", "changes made for the stream", live.events},
		{"stream_event_bytes_total", "counter", "their bytes, each once", live.event_bytes},
		{"stream_sent_bytes_total", "counter", "bytes for clients", live.sent_bytes},
		{"map_views_bytes", "gauge", "memory of the former pictures of the map", views_bytes(a->s->views)},
		{"stream_failed_total", "counter", "questions of the stream the store could not answer", live.failed},
		{"store_edges_total", "counter", "edge rows written, those that were there already included", w.edges},
		{"store_pairs_total", "counter", "pair rows written, likewise", w.pairs},
		{"store_ledgers_total", "counter", "ledger lines written", w.ledgers},
		{"store_hosts_total", "counter", "host records written", w.hosts},
		{"store_listeners_total", "counter", "listener records written", w.listeners},
		{"store_batches_total", "counter", "batches written", w.batches},
		{"store_retries_total", "counter", "writes that failed and were tried again", w.retries},
		{"store_poison_total", "counter", "messages nobody could read", w.poison},
		{"store_dead_failed_total", "counter", "of these, not even put aside", w.dead_failed},
		{"store_duplicates_total", "counter", "rows that were there already", w.store.duplicates},
		{"store_too_old_rows_total", "counter", "sum(rows) refused because their day was removed by age",
		 w.store.too_old},
		{"store_pairs_folded_total", "counter", "pair rows above the cap, summed in `other`", w.store.folded},
		{"store_rolled_total", "counter", "buckets rolled up", w.store.rolled},
		{"store_removed_files_total", "counter", "day files or partitions removed by age", w.store.removed},
		{"store_sent_again_total", "counter", "statements sent again to a store that did not answer",
		 w.store.retries},
		{"store_refused_total", "counter", "statements the store's server answered with an error",
		 w.store.refused},
		{"store_spooled_total", "counter", "batches put on disk while the store was away", w.store.spooled},
		{"store_spool_bytes", "gauge", "bytes of them that wait there", w.store.spool_bytes},
		{"store_spool_failed_total", "counter", "times the spool could not be written or read",
		 w.store.spool_errors},
		{"store_spool_full_total", "counter", "batches that found no room in the spool", w.store.spool_full},
		{"store_newest_seconds", "gauge", "newest interval stored, seconds since 1970", s.newest},
		{"http_requests_total", "counter", "requests answered", s.requests},
		{"http_errors_total", "counter", "of these, with a status of 400 or more", s.errors},
		{"bus_bytes", "gauge", "bytes kept on the bus", bus.bytes},
		{"bus_messages", "gauge", "messages kept on the bus", bus.messages},
		{"bus_refused_total", "counter", "produce calls answered with full", bus.refused},
		{"bus_evicted_total", "counter", "host and listener records that had to make room", bus.evicted},
	};

	for (i = 0; i < ARRAY_LEN(rows); i++)
		buf_printf(b, "# HELP skyfall_%s %s\n# TYPE skyfall_%s %s\nskyfall_%s %llu\n", rows[i].name,
			   rows[i].help, rows[i].name, rows[i].type, rows[i].name, (unsigned long long)rows[i].n);
}

int api_metrics(struct api *a)
{
	struct buf *b = &a->reply->body;

	a->reply->type = "text/plain; version=0.0.4; charset=utf-8";
	buf_printf(b, "# HELP skyfall_info version of this program\n# TYPE skyfall_info gauge\n"
		      "skyfall_info{version=\"" SKYFALL_VERSION "\"} 1\n");
	metrics_own(a, b);
	totals_write(a->s->totals, b);
	for (unsigned i = 0; i < a->s->n_metrics; i++)
		a->s->metrics[i].fn(a->s->metrics[i].arg, b);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Every counter of the collector, by name: one line here makes the member, the metric and its help. */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "wire/wire.h"

/* Written by one receive thread. */
#define COLLECTOR_RX_COUNTERS(X)                                                                \
	X(batches, "receive calls that brought something")                                      \
	X(datagrams, "datagrams received")                                                      \
	X(bytes, "bytes in them")                                                               \
	X(swaps, "times a receive thread went over to its other tables")                        \
	X(swap_stall_ns, "nanoseconds this kept it from its socket")                            \
	X(kernel_drops, "datagrams, or runs glued together, the sockets had no room for")       \
	X(signed_datagrams, "datagrams with a good signature")                                  \
	X(signed_late_key, "of them: by another fleet key than the first")                      \
	X(duplicates, "datagrams seen before, not folded")                                      \
	X(late_datagrams, "datagrams overtaken by later ones, folded")                          \
	X(old_datagrams, "datagrams too far behind to tell from duplicates, not folded")        \
	X(agents_full, "datagrams of agents past the table of agents, folded but not followed") \
	X(clock_moved, "datagrams moved by whole intervals, their host's clock is off")         \
	X(rows, "sum(rows) read")                                                               \
	X(flow_rows, "rows read as they stand in datagrams")                                    \
	X(refused_rows, "sum(rows) in refused records")                                         \
	X(foreign, "records and samples of others, passed over")                                \
	X(sampled_rows, "flow samples of standard sFlow that became rows of the network view")  \
	X(sampled_rate_0, "of them: sampling rate 0, taken as 1")                               \
	X(samples_no_ip, "flow samples of packets without IP, no row")                          \
	X(samples_broken, "flow samples of packets cut or broken before their addresses")       \
	X(samples_unknown, "flow samples without a record that names a packet")                 \
	X(counter_samples, "counter samples, passed over")                                      \
	X(discarded_packets, "samples of packets a device threw away, passed over")             \
	X(sources_full, "flow samples of sources past the table of agents, drops not followed") \
	X(host_incomplete, "host records given up because a part never came")                   \
	X(records_full, "host, listener and ledger messages dropped for want of room")

/* Written by the publishing thread. */
#define COLLECTOR_PUBLISH_COUNTERS(X)                                                       \
	X(rows_out, "sum(rows) put on the bus")                                             \
	X(rows_lost, "sum(rows) shed, or left behind at the stop")                          \
	X(messages, "folded rows put on the bus")                                           \
	X(records, "host, listener and ledger messages put on the bus")                     \
	X(records_lost, "host, listener and ledger messages left behind at the stop")       \
	X(markers, "markers put on the bus")                                                \
	X(late_rows, "sum(rows) of intervals whose markers were written before")            \
	X(bus_full, "times the bus had no room and the message was offered again")          \
	X(bus_errors, "messages the bus refused for another reason, lost")                  \
	X(swaps_held, "intervals folded on because the former ones were not published yet") \
	X(acks, "acknowledgements sent")                                                    \
	X(ack_errors, "acknowledgements that could not be sent")                            \
	X(lost_network_datagrams, "gaps in the agents' sequence numbers")                   \
	X(found_network_datagrams, "gaps that filled later")                                \
	X(lost_network_rows, "rows in these gaps (sample_pool)")                            \
	X(found_network_rows, "rows in gaps that filled later")                             \
	X(doubled_datagrams, "duplicates at another thread than the first, folded")         \
	X(doubled_rows, "rows in them")                                                     \
	X(unmerged_datagrams, "datagrams not compared between threads, for want of room")   \
	X(agent_drops, "rows the agents say they lost themselves")                          \
	X(sampler_drops, "samples that sFlow agents say they had no room for")              \
	X(restarts, "agents that began to count anew")

/* Why a datagram, record or row was refused: the wire's reasons (enum wire_error), then ours. */
enum collector_reject {
	COLLECTOR_REJECT_WIRE, /* + enum wire_error */
	COLLECTOR_REJECT_INTERVAL_LENGTH = COLLECTOR_REJECT_WIRE + WIRE_ERRORS,
	COLLECTOR_REJECT_NET,
	COLLECTOR_REJECT_TRUNCATED,
	COLLECTOR_REJECT_LEDGER,
	COLLECTOR_REJECT_HOST,
	COLLECTOR_REJECT_AGENT,
	COLLECTOR_REJECT_UNSIGNED,
	COLLECTOR_REJECT_SIGNATURE,
	COLLECTOR_REJECT_REPLAYED,
	COLLECTOR_REJECT_STALE,
	COLLECTOR_REJECT_RATE,
	COLLECTOR_REJECT_TRUST_FULL,
	COLLECTOR_REJECTS
};

#define COLLECTOR_COUNTER_MEMBER(name, help) uint64_t name;

/* One writer each; any thread may read with counters_sum_*(). */
struct counters_rx {
	COLLECTOR_RX_COUNTERS(COLLECTOR_COUNTER_MEMBER)
	uint64_t rejected[COLLECTOR_REJECTS];
};

struct counters_publish {
	COLLECTOR_PUBLISH_COUNTERS(COLLECTOR_COUNTER_MEMBER)
};

/* c += n, seen whole by readers. Only the owning thread calls it. */
static inline void counters_add(uint64_t *c, uint64_t n)
{
	__atomic_store_n(c, *c + n, __ATOMIC_RELAXED);
}

/* *sum += a copy of *c. */
void counters_sum_rx(struct counters_rx *sum, const struct counters_rx *c);
void counters_sum_publish(struct counters_publish *sum, const struct counters_publish *c);

const char *counters_reject_name(unsigned reject); /* "short", "interval_length", ... */
const char *counters_reject_text(unsigned reject); /* what it means, for a log line */

/* "skyfall_collector_..." lines with HELP and TYPE. */
void counters_metrics_rx(const struct counters_rx *c, struct buf *b);
void counters_metrics_publish(const struct counters_publish *c, struct buf *b);

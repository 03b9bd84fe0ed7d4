/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A collector without sockets, threads and clock: decode, fold and publish on the memory bus, driven by the test's own
 * time. For test_collector.c.
 */
#pragma once

#include "bus/bus.h"
#include "collector/publish.h"
#include "wire/ack.h"
#include "wire/flows.h"

#define RIG_THREADS 8

struct rig_opts {
	uint32_t interval_s, spread_ms, grace_ms;
	uint32_t fold_s; /* of rows; 0: the same as interval_s */
	int64_t start_us;
	unsigned threads, partitions;
	size_t bus_bytes;
	const char *slow_group;    /* a reader group of flows that never commits: the bus fills up. NULL: none */
	struct worker_opts worker; /* zero members: roomy */
};

struct rig_ack {
	int64_t at_us;
	struct account_peer to;
	struct wire_ack ack;
};

struct rig_message {
	enum bus_topic topic;
	unsigned partition;
	size_t n;
	char *bytes; /* the value; NULL: a tombstone */
};

struct rig {
	struct rig_opts opts;
	int64_t now_us, step_us; /* step_us: when publish wants to run next */
	int64_t at_us;           /* when what rig_datagram() brings came to the kernel; 0: now */
	struct bus *bus;
	struct bus_reader *reader, *slow;
	struct worker *workers[RIG_THREADS];
	struct publish *publish;
	struct rig_ack *acks;
	size_t n_acks;
	struct rig_message *messages; /* of flows, hosts and ledger, in the order they were written to each partition */
	size_t n_messages;
};

/* Ends the test program when something cannot be made. */
void rig_open(struct rig *r, const struct rig_opts *opts);
void rig_close(struct rig *r);

/* Lets time pass until t_us; all that is due by then is done. */
void rig_until(struct rig *r, int64_t t_us);

/* A datagram comes to `thread` now. */
void rig_datagram(struct rig *r, unsigned thread, const struct account_peer *from, const void *p, size_t n);

/* The collector stops now, with at most patience_us for a full bus. */
void rig_stop(struct rig *r, int64_t patience_us);

/* Commits what the slow group has read of flows so far: the bus has room again. */
void rig_drain(struct rig *r);

/* Decodes message i into *ret. */
void rig_decode(const struct rig *r, size_t i, struct flow_msg *ret);

/* Sum of all threads' counters. */
struct counters_rx rig_counters(const struct rig *r);

/* One that sends. */
struct rig_agent {
	struct wire_sender sender;
	struct wire_head head;
	struct account_peer peer;
	int64_t start_us;
	struct wire_build *build;
};

/* Address, host id and boot id; net "", sub-agent 0. */
void rig_agent_open(struct rig_agent *a, const struct rig *r, const char *ip, const char *host, uint64_t boot);
void rig_agent_close(struct rig_agent *a);

/* A datagram with these rows of `interval`, made at now_us; its bytes. All must fit. */
size_t rig_agent_flows(struct rig_agent *a, uint32_t interval, const struct wire_flow *rows,
		       const struct flow_stats *stats, size_t n, int64_t now_us, uint8_t dst[WIRE_SIZE_MAX]);
/* Closes what was opened in a->build. */
size_t rig_agent_finish(struct rig_agent *a, int64_t now_us, uint8_t dst[WIRE_SIZE_MAX]);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus between roles: topics of partitions of messages with offsets. memory.c keeps it inside one
 * process, kafka.c between machines.
 *
 * Thread safety: a bus is shared; a producer or reader belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum bus_topic {
	BUS_FLOWS,    /* folded rows, markers                key: flow_conv_partition() */
	BUS_PARTIALS, /* pair stage -> edge stage, markers   key: edge id */
	BUS_EDGES,    /* one row per (interval, edge, revision) */
	BUS_PAIRS,    /* host to host, under their edge, markers */
	BUS_HOSTS,    /* hosts, listeners; compacted by key */
	BUS_LEDGER,
	BUS_SECURITY,
	BUS_DEAD, /* messages nobody could read */
	BUS_TOPICS
};

const char *bus_topic_name(enum bus_topic t); /* "skyfall.flows", ... */

struct buf;
struct bus;
struct bus_producer;
struct bus_reader;

struct bus_memory_opts {
	unsigned partitions; /* of flows, partials, edges, pairs; the others have one */
	size_t max_bytes; /* kept in all, a share for each topic; a full topic refuses (-EAGAIN) until its groups commit */
	int64_t start_us; /* first offset of every partition: the start time, so offsets grow over restarts */
};

/* -EINVAL (no or more than 4096 partitions, no bytes, negative time), -ENOMEM. */
int bus_memory_open(struct bus **ret, const struct bus_memory_opts *opts);

struct bus_kafka_opts {
	const char *brokers; /* "HOST:PORT[,HOST:PORT ...]" */
	const char *
		config; /* file of settings, "key = value" a line: librdkafka's, and ours (bus/kafka_conf.c); NULL: none */
};

/* Looks the topics up: they must be there (bus/topics.h makes them). With one sentence in `why`: -EINVAL a setting,
 * -ENOENT a topic is missing, -EREMCHG partition counts that do not fit each other, -EACCES refused, -ETIMEDOUT nobody
 * answers, -ENOSYS built without Kafka, -ENOMEM. */
int bus_kafka_open(struct bus **ret, const struct bus_kafka_opts *opts, char *why, size_t why_len);

void bus_close(struct bus *bus); /* after its producers and readers */

/* The newest sentence about why a call failed or messages do not move; "" when there is none, as always in memory. To be
 * asked every few seconds, from any thread: Kafka's producers keep what they have to tell until then. */
void bus_why(struct bus *bus, char *text, size_t size);

unsigned bus_partitions(struct bus *bus, enum bus_topic t);
/* Partition of a 64-bit key: the same for every producer (jump-free: key % partitions). */
unsigned bus_partition(struct bus *bus, enum bus_topic t, uint64_t key);

struct bus_msg {
	enum bus_topic topic;
	unsigned partition;
	int64_t offset;
	const void *key;
	size_t key_len;
	const void *value; /* NULL: a tombstone (compacted topic) */
	size_t value_len;
};

/* Where a group is in one partition: next offset to restore from, and what it wanted to remember with it. */
struct bus_position {
	enum bus_topic topic;
	unsigned partition;
	int64_t offset;     /* -1: nothing committed */
	char metadata[128]; /* "" or text, e.g. "1 H W" */
};

/* --- producing. A producer with an id writes in transactions only: between begin and commit nothing is visible to
 * readers. Of two with the same id in different processes the later one fences off the other (-ESTALE). One without (NULL)
 * has no transactions: what it writes is visible soon. */
int bus_producer_open(struct bus_producer **ret, struct bus *bus, const char *id);
/* Aborts what is open; else what was taken is delivered first (10 s at most, then counted as lost). */
void bus_producer_close(struct bus_producer *p);

/* -EINVAL: no id, or a transaction is open. Kafka: waits for the broker when the last transaction went wrong. */
int bus_begin(struct bus_producer *p);
/* Copies key and value. -EAGAIN: the bus is full, nothing was taken; the caller folds on and offers it again. Never waits
 * outside a transaction (inside: Kafka up to a second, for room). In memory a topic no group reads never refuses: its
 * oldest go; likewise a compacted one. A compacted topic (BUS_HOSTS) needs a key; only there value may be NULL. -EINVAL,
 * -ENOMEM, -EMSGSIZE; -ESTALE: fenced off. */
int bus_produce(struct bus_producer *p, enum bus_topic t, unsigned partition, const void *key, size_t key_len,
		const void *value, size_t value_len);
/* Makes everything since begin visible and commits `pos` for the group of `reader` in one step.
 * reader may be NULL with n 0. -EAGAIN: full; abort or try again. After any other error the transaction is over.
 * -ESTALE: nothing was written: a partition is no longer this reader's, or somebody fenced this producer off. Else
 * (Kafka only) it may have been committed or not: bus_committed() tells. */
int bus_commit(struct bus_producer *p, struct bus_reader *reader, const struct bus_position *pos, size_t n);
int bus_abort(struct bus_producer *p);

/* --- reading */
struct bus_events {
	/* Partitions came or went (called inside bus_read, by the reader's thread). revoked: stop using them; until it
	 * returns they are still this reader's to commit for, unless it was thought dead (-ESTALE then). Not called by
	 * bus_reader_close(). */
	void (*assigned)(void *arg, enum bus_topic t, unsigned partition);
	void (*revoked)(void *arg, enum bus_topic t, unsigned partition);
	void *arg;
};

/* group NULL: reads every partition from its beginning, commits nothing, hinders no retention.
 * A new assignment starts at the committed offset, else at the oldest message there was when the group came. */
int bus_reader_open(struct bus_reader **ret, struct bus *bus, const char *group, const enum bus_topic *topics,
		    size_t n_topics, const struct bus_events *events);
void bus_reader_close(struct bus_reader *r);

/* Up to `max` messages, waiting at most timeout_ms for the first. Count >= 0 (0: none came). Messages live until the
 * next bus_read() of this reader. -EREMCHG: partitions were added to a topic: keys no longer meet where they did. */
int bus_read(struct bus_reader *r, struct bus_msg *msgs, size_t max, int timeout_ms);

/* What the group has committed there (offset -1: nothing). */
int bus_committed(struct bus_reader *r, enum bus_topic t, unsigned partition, struct bus_position *ret);

/* The next bus_read() gives that partition from `offset` on (or from the oldest kept). Also inside `assigned`. */
int bus_seek(struct bus_reader *r, enum bus_topic t, unsigned partition, int64_t offset);

/* Commits without a transaction (readers that write idempotent rows elsewhere). */
int bus_commit_positions(struct bus_reader *r, const struct bus_position *pos, size_t n);

/* True when all that was in the reader's partitions when it was opened has been read. */
bool bus_caught_up(struct bus_reader *r);

/* Offset after the newest visible message, and the oldest kept. */
int bus_bounds(struct bus *bus, enum bus_topic t, unsigned partition, int64_t *ret_oldest, int64_t *ret_end);

struct bus_stats {
	uint64_t bytes, messages,
		refused;  /* kept now (Kafka: not yet taken by a broker); produce calls answered -EAGAIN */
	uint64_t evicted; /* records of a compacted topic that had to make room */
	uint64_t lost;    /* messages taken and never delivered; Kafka only */
	uint64_t expired; /* offsets a reader wanted and retention had removed; Kafka only */
};

void bus_stats(struct bus *bus, struct bus_stats *ret);

/* Appends what this bus alone counts as Prometheus text (skyfall_bus_kafka_...); memory: nothing. */
void bus_metrics(struct bus *bus, struct buf *b);

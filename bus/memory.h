/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the memory bus, shared by memory.c (topics, producers) and memory_reader.c (groups, readers). */
#pragma once

#include <pthread.h>

#include "bus/log.h"
#include "bus/ops.h"

struct memory_reader;

struct memory_topic {
	size_t budget; /* bytes groups may still need */
	size_t staged; /* in open transactions */
	unsigned n;
	struct log *logs; /* [n] */
};

struct memory_member {
	int64_t committed; /* -1: nothing */
	int64_t start;     /* where a first reader begins: the oldest when the group came */
	char metadata[128];
	struct memory_reader *owner;  /* reads it now */
	struct memory_reader *target; /* shall read it */
};

struct memory_group {
	struct memory_group *next;
	char *name;
	struct memory_member *parts[BUS_TOPICS]; /* [partitions], NULL: never subscribed */
};

/* One partition as a reader sees it. */
struct memory_slot {
	enum bus_topic topic;
	unsigned partition;
	struct memory_member *member; /* NULL without a group */
	int64_t pos;                  /* next to read */
	int64_t end_at_open;
	bool assigned;
};

struct memory_reader {
	struct bus_reader base;
	struct memory_reader *next;
	struct memory_group *group; /* NULL: none */
	struct bus_events events;
	struct memory_slot *slots;
	size_t n_slots, turn;
	uint32_t topics;     /* bits 1 << topic */
	pthread_cond_t more; /* messages of them came, or partitions moved */
	bool waiting;
	struct log_record **held; /* what the last bus_read() gave */
	size_t n_held, cap_held;
};

struct memory_bus {
	struct bus base;
	pthread_mutex_t lock;
	struct memory_topic topics[BUS_TOPICS];
	struct memory_group *groups;
	struct memory_reader *readers; /* in the order they came */
	uint64_t refused, evicted;
};

extern const struct bus_ops memory_ops;

static inline struct memory_bus *memory_of(struct bus *bus)
{
	return (struct memory_bus *)bus;
}

/* With the lock held: wakes readers that wait for one of these topics (bits 1 << topic). */
void memory_wake(struct memory_bus *m, uint32_t topics);
/* With the lock held: what groups (and, compacted, readers) no longer need goes. */
void memory_retain(struct memory_bus *m, enum bus_topic t, unsigned partition);
/* With the lock held: -ESTALE when a position is not the reader's to commit; else they are committed. */
int memory_commit_positions(struct memory_bus *m, struct memory_reader *r, const struct bus_position *pos, size_t n);

int memory_reader_open(struct bus_reader **ret, struct bus *bus, const char *group, const enum bus_topic *topics,
		       size_t n_topics, const struct bus_events *events);
void memory_reader_close(struct bus_reader *base);
int memory_read(struct bus_reader *base, struct bus_msg *msgs, size_t max, int timeout_ms);
int memory_committed(struct bus_reader *base, enum bus_topic t, unsigned partition, struct bus_position *ret);
int memory_seek(struct bus_reader *base, enum bus_topic t, unsigned partition, int64_t offset);
int memory_reader_commit(struct bus_reader *base, const struct bus_position *pos, size_t n);
bool memory_caught_up(struct bus_reader *base);

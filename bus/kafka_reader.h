/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of a reader of the Kafka bus: kafka_reader.c reads, kafka_position.c knows where it is. */
#pragma once

#include "bus/kafka.h"

/* One partition of a topic that is read. What is _Atomic other threads look at (kafka_reader_bounds()). */
struct kafka_slot {
	enum bus_topic topic;
	unsigned partition;
	_Atomic bool assigned;
	bool moved;
	bool ended;                      /* an end-of-partition event came since it was assigned */
	int64_t pos;                     /* next to give */
	int64_t end_at_open;             /* INT64_MAX: not known, `ended` decides */
	_Atomic int64_t oldest;          /* when it was assigned; -1: not known */
	_Atomic int64_t eof, before_eof; /* nothing visible between these; -1: not known. before_eof is set first */
};

struct kafka_reader {
	struct bus_reader base;
	struct kafka_client client;
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;
	bool group, joined, closing;
	struct bus_events events;
	struct kafka_slot *slots;
	size_t n_slots, first[BUS_TOPICS];                /* of a topic: its slots stand together */
	unsigned n[BUS_TOPICS];                           /* 0: not read */
	const rd_kafka_topic_partition_list_t *assigning; /* with committed positions, while `assigned` is told */
	const rd_kafka_topic_t *rkt[BUS_TOPICS];          /* as messages name it */
	rd_kafka_message_t **held;                        /* what the last kafka_read() gave */
	size_t n_held, cap_held;
	int err;
};

static inline struct kafka_reader *reader_of(struct bus_reader *r)
{
	return (struct kafka_reader *)r;
}

static inline struct kafka_bus *reader_bus(struct kafka_reader *r)
{
	return kafka_of(r->base.bus);
}

static inline struct kafka_slot *reader_slot(struct kafka_reader *r, enum bus_topic t, unsigned partition)
{
	return t < BUS_TOPICS && partition < r->n[t] ? &r->slots[r->first[t] + partition] : NULL;
}

/* What is read next of that partition is s->pos. */
int kafka_slot_seek(struct kafka_reader *r, struct kafka_slot *s);

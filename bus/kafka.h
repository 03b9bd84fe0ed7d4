/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the Kafka bus: kafka.c (topics, bounds), kafka_producer.c, kafka_reader.c, kafka_conf.c, kafka_stats.c. */
#pragma once

#include <librdkafka/rdkafka.h>
#include <pthread.h>

#include "bus/kafka_conf.h"
#include "bus/ops.h"

#define KAFKA_WAIT_MS 8000 /* for a broker's answer */
#define KAFKA_CLOSE_MS 10000
#define KAFKA_NUMBERS 24 /* rows of the table in kafka_stats.c, at most */

struct kafka_reader;

/* One handle of librdkafka, as its callbacks see it. */
struct kafka_client {
	struct kafka_client *next;
	struct kafka_bus *bus;
	struct kafka_reader *reader;    /* NULL: a producer */
	rd_kafka_t *rk;                 /* a producer's, while kafka_hear() may poll it */
	char name[96];                  /* "producer store", "reader graph-pair" */
	uint64_t now[KAFKA_NUMBERS];    /* last statistics of this handle */
	uint64_t before[KAFKA_NUMBERS]; /* of the handles it had before; counters only */
};

struct kafka_bus {
	struct bus base;
	struct kafka_conf conf;
	char *brokers;
	rd_kafka_t *admin;
	unsigned n[BUS_TOPICS];
	char names[BUS_TOPICS][KAFKA_NAME];
	pthread_mutex_t hearing;      /* taken before `lock`: no producer's handle goes while it is polled */
	pthread_mutex_t lock;         /* of all that follows, and of the numbers in clients */
	struct kafka_client *clients; /* changed with both held */
	struct kafka_client own;      /* of `admin` */
	char why[512];
	uint64_t refused, lost, expired;
};

static inline struct kafka_bus *kafka_of(struct bus *bus)
{
	return (struct kafka_bus *)bus;
}

/* --- kafka.c */
void kafka_say(struct kafka_bus *k, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void kafka_count(struct kafka_bus *k, uint64_t *counter, uint64_t n);
/* -errno of what a broker or librdkafka says. */
int kafka_errno(rd_kafka_resp_err_t err);
/* A handle with our callbacks; says why not. `extra`: {key, value} pairs of this handle alone, ends with NULL. */
int kafka_handle(struct kafka_bus *k, struct kafka_client *c, enum kafka_kind kind, const char *const (*extra)[2],
		 rd_kafka_t **ret);
void kafka_client_add(struct kafka_bus *k, struct kafka_client *c);
void kafka_client_remove(struct kafka_bus *k, struct kafka_client *c);
/* kafka_hear() polls that handle from now on; NULL: none any more. */
void kafka_client_handle(struct kafka_bus *k, struct kafka_client *c, rd_kafka_t *rk);
/* Takes what librdkafka has to say of the producers, else it would be kept for ever where nobody produces. */
void kafka_hear(struct kafka_bus *k);
/* The positions as librdkafka wants them; NULL: no memory. */
rd_kafka_topic_partition_list_t *kafka_list(struct kafka_bus *k, const struct bus_position *pos, size_t n);

/* --- kafka_stats.c: librdkafka's statistics (JSON) into c->now. With the bus's lock held. */
void kafka_stats_read(struct kafka_client *c, const char *json, size_t n);
void kafka_stats_renew(struct kafka_client *c); /* the handle is replaced by another */
/* Messages and bytes in the queues of all producers. With the lock held. */
void kafka_stats_queued(const struct kafka_bus *k, uint64_t *ret_messages, uint64_t *ret_bytes);
void kafka_metrics(struct bus *bus, struct buf *b);

/* --- kafka_producer.c */
int kafka_producer_open(struct bus_producer **ret, struct bus *bus, const char *id);
void kafka_producer_close(struct bus_producer *base);
int kafka_begin(struct bus_producer *base);
int kafka_produce(struct bus_producer *base, enum bus_topic t, unsigned partition, const void *key, size_t key_len,
		  const void *value, size_t value_len);
int kafka_commit(struct bus_producer *base, struct bus_reader *reader, const struct bus_position *pos, size_t n);
int kafka_abort(struct bus_producer *base);

/* --- kafka_reader.c */
void kafka_reader_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *list,
			    void *opaque);
int kafka_reader_open(struct bus_reader **ret, struct bus *bus, const char *group, const enum bus_topic *topics,
		      size_t n_topics, const struct bus_events *events);
void kafka_reader_close(struct bus_reader *base);
int kafka_read(struct bus_reader *base, struct bus_msg *msgs, size_t max, int timeout_ms);
int kafka_committed(struct bus_reader *base, enum bus_topic t, unsigned partition, struct bus_position *ret);
int kafka_seek(struct bus_reader *base, enum bus_topic t, unsigned partition, int64_t offset);
int kafka_reader_commit(struct bus_reader *base, const struct bus_position *pos, size_t n);
bool kafka_caught_up(struct bus_reader *base);
/* 0 when all positions are this reader's to commit, else -EINVAL, -ESTALE. */
int kafka_reader_owns(struct bus_reader *base, const struct bus_position *pos, size_t n);
rd_kafka_t *kafka_reader_handle(struct bus_reader *base);
/* Bounds as this reader saw them lately; false: it does not know. From any thread, with the bus's lock held. */
bool kafka_reader_bounds(struct kafka_reader *r, enum bus_topic t, unsigned partition, int64_t *ret_oldest,
			 int64_t *ret_end);

/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of the Kafka bus: our defaults, then those of a file. */
#pragma once

#include <librdkafka/rdkafka.h>
#include <stddef.h>

#include "bus/bus.h"

#define KAFKA_NAME 128 /* of a topic, with its prefix */
#define KAFKA_PREFIX 64

enum kafka_kind {
	KAFKA_ADMIN,    /* asks for metadata, makes topics */
	KAFKA_PLAIN,    /* producer: idempotent */
	KAFKA_TXN,      /* producer: transactional */
	KAFKA_CONSUMER, /* reader */
};

struct kafka_setting {
	char *key, *value;
	unsigned line;
};

struct kafka_conf {
	char *path;
	char prefix[KAFKA_PREFIX]; /* before the names of topics, groups, transactional ids: "" */
	struct kafka_setting *v;   /* librdkafka's */
	size_t n;
};

/* path NULL: nothing but defaults. -EINVAL with "path:line: what is wrong", -errno: it cannot be read. */
int kafka_conf_load(struct kafka_conf *ret, const char *path, char *why, size_t why_len);
void kafka_conf_deinit(struct kafka_conf *c);

/* -EINVAL with a sentence when librdkafka refuses a value. */
int kafka_conf_make(const struct kafka_conf *c, enum kafka_kind kind, const char *brokers, rd_kafka_conf_t **ret,
		    char *why, size_t why_len);

/* The name of a topic on the brokers. */
void kafka_conf_topic(const struct kafka_conf *c, enum bus_topic t, char name[KAFKA_NAME]);

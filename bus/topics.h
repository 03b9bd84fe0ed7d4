/* SPDX-License-Identifier: Apache-2.0 */
/* The topics of a Kafka bus: made as the roles need them, and looked over. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct topics_opts {
	const char *brokers, *config; /* as for bus_kafka_open() */
	unsigned partitions;          /* of flows, partials, edges, pairs; 0: as they are, 12 where none is there */
	unsigned replication;         /* 0: as they are; new ones 3, or as many as there are brokers */
	bool create;                  /* makes what is missing, unless something that is there is wrong */
};

/* Calls `say` with a line a topic. 0: all are there and as they should be; > 0: so many are not; -errno with a sentence in
 * `why`. Never changes a topic that is there. -ENOSYS: built without Kafka. */
int topics_look(const struct topics_opts *opts, void (*say)(void *arg, bool good, const char *line), void *arg,
		char *why, size_t why_len);

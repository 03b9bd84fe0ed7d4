/* SPDX-License-Identifier: Apache-2.0 */
/* What an implementation of the bus fills in. Meanings and errors: bus/bus.h. Callers of the bus never need this. */
#pragma once

#include "bus/bus.h"

struct bus_ops {
	void (*close)(struct bus *bus);
	unsigned (*partitions)(struct bus *bus, enum bus_topic t);
	int (*bounds)(struct bus *bus, enum bus_topic t, unsigned partition, int64_t *ret_oldest, int64_t *ret_end);
	void (*stats)(struct bus *bus, struct bus_stats *ret);
	void (*why)(struct bus *bus, char *text, size_t size); /* NULL: never says anything */
	void (*metrics)(struct bus *bus, struct buf *b);       /* NULL: none */

	int (*producer_open)(struct bus_producer **ret, struct bus *bus, const char *id);
	void (*producer_close)(struct bus_producer *p);
	int (*begin)(struct bus_producer *p);
	int (*produce)(struct bus_producer *p, enum bus_topic t, unsigned partition, const void *key, size_t key_len,
		       const void *value, size_t value_len);
	int (*commit)(struct bus_producer *p, struct bus_reader *reader, const struct bus_position *pos, size_t n);
	int (*abort)(struct bus_producer *p);

	int (*reader_open)(struct bus_reader **ret, struct bus *bus, const char *group, const enum bus_topic *topics,
			   size_t n_topics, const struct bus_events *events);
	void (*reader_close)(struct bus_reader *r);
	int (*read)(struct bus_reader *r, struct bus_msg *msgs, size_t max, int timeout_ms);
	int (*committed)(struct bus_reader *r, enum bus_topic t, unsigned partition, struct bus_position *ret);
	int (*seek)(struct bus_reader *r, enum bus_topic t, unsigned partition, int64_t offset);
	int (*commit_positions)(struct bus_reader *r, const struct bus_position *pos, size_t n);
	bool (*caught_up)(struct bus_reader *r);
};

/* First members of an implementation's own structs. */
struct bus {
	const struct bus_ops *ops;
};

struct bus_producer {
	struct bus *bus;
};

struct bus_reader {
	struct bus *bus;
};

/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of every bus: names, the partition of a key, and the way to the implementation. */
#include "bus/bus.h"

#include <assert.h>
#include <errno.h>

#include "base/table.h"
#include "bus/ops.h"

static const char *const topic_names[BUS_TOPICS] = {
	[BUS_FLOWS] = "skyfall.flows",       [BUS_PARTIALS] = "skyfall.partials", [BUS_EDGES] = "skyfall.edges",
	[BUS_PAIRS] = "skyfall.pairs",       [BUS_HOSTS] = "skyfall.hosts",       [BUS_LEDGER] = "skyfall.ledger",
	[BUS_SECURITY] = "skyfall.security", [BUS_DEAD] = "skyfall.dead",
};

const char *bus_topic_name(enum bus_topic t)
{
	return t < ARRAY_LEN(topic_names) ? topic_names[t] : "";
}

void bus_close(struct bus *bus)
{
	if (bus)
		bus->ops->close(bus);
}

unsigned bus_partitions(struct bus *bus, enum bus_topic t)
{
	return bus->ops->partitions(bus, t);
}

unsigned bus_partition(struct bus *bus, enum bus_topic t, uint64_t key)
{
	return (unsigned)(key % bus->ops->partitions(bus, t));
}

int bus_bounds(struct bus *bus, enum bus_topic t, unsigned partition, int64_t *ret_oldest, int64_t *ret_end)
{
	return bus->ops->bounds(bus, t, partition, ret_oldest, ret_end);
}

void bus_stats(struct bus *bus, struct bus_stats *ret)
{
	bus->ops->stats(bus, ret);
}

void bus_why(struct bus *bus, char *text, size_t size)
{
	text[0] = '\0';
	if (bus->ops->why)
		bus->ops->why(bus, text, size);
}

void bus_metrics(struct bus *bus, struct buf *b)
{
	if (bus->ops->metrics)
		bus->ops->metrics(bus, b);
}

int bus_producer_open(struct bus_producer **ret, struct bus *bus, const char *id)
{
	return bus->ops->producer_open(ret, bus, id);
}

void bus_producer_close(struct bus_producer *p)
{
	if (p)
		p->bus->ops->producer_close(p);
}

int bus_begin(struct bus_producer *p)
{
	return p->bus->ops->begin(p);
}

int bus_produce(struct bus_producer *p, enum bus_topic t, unsigned partition, const void *key, size_t key_len,
		const void *value, size_t value_len)
{
	if (t >= BUS_TOPICS || partition >= bus_partitions(p->bus, t))
		return -EINVAL;
	return p->bus->ops->produce(p, t, partition, key, key_len, value, value_len);
}

int bus_commit(struct bus_producer *p, struct bus_reader *reader, const struct bus_position *pos, size_t n)
{
	assert(reader || n == 0);
	return p->bus->ops->commit(p, reader, pos, n);
}

int bus_abort(struct bus_producer *p)
{
	return p->bus->ops->abort(p);
}

int bus_reader_open(struct bus_reader **ret, struct bus *bus, const char *group, const enum bus_topic *topics,
		    size_t n_topics, const struct bus_events *events)
{
	return bus->ops->reader_open(ret, bus, group, topics, n_topics, events);
}

void bus_reader_close(struct bus_reader *r)
{
	if (r)
		r->bus->ops->reader_close(r);
}

int bus_read(struct bus_reader *r, struct bus_msg *msgs, size_t max, int timeout_ms)
{
	return r->bus->ops->read(r, msgs, max, timeout_ms);
}

int bus_committed(struct bus_reader *r, enum bus_topic t, unsigned partition, struct bus_position *ret)
{
	return r->bus->ops->committed(r, t, partition, ret);
}

int bus_seek(struct bus_reader *r, enum bus_topic t, unsigned partition, int64_t offset)
{
	return r->bus->ops->seek(r, t, partition, offset);
}

int bus_commit_positions(struct bus_reader *r, const struct bus_position *pos, size_t n)
{
	return r->bus->ops->commit_positions(r, pos, n);
}

bool bus_caught_up(struct bus_reader *r)
{
	return r->bus->ops->caught_up(r);
}

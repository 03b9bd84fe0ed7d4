/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus inside one process: a mutex, a condition variable a reader, and a log (bus/log.c) per partition.
 *
 *   topic  budget (share of max_bytes)  logs: partition 0 .. n-1
 *   log    [ history | still needed by a group ............ ]
 *            oldest    floor = least committed offset         next
 *
 * Invariants
 *   1. Offsets of a partition are dense and begin at start_us, so they grow over restarts of the process.
 *   2. A transaction is a list of records in its producer until the commit appends all of it under one lock, together
 *      with the positions: readers see all or nothing, and a position is never ahead of or behind its output.
 *   3. Room for a staged record is reserved when it is produced: a commit cannot fail for want of memory.
 *   4. A record is dropped when every group of its topic has committed past it, but for 1/8 of the budget, kept for
 *      groups yet to come. A topic without a group keeps what fits and drops the oldest, and never refuses. Nor does a
 *      compacted one, whose records stay until replaced: the longest not said again go, counted (`evicted`). Refusing
 *      would stop its producer for ever.
 *   5. Each topic has its own budget. With one for all, flows could fill the bus, the graph could then not write, so
 *      not commit, so never free the flows. Roles read one topic and write later ones: with budgets the chain always
 *      moves at its end.
 *   6. A producer's own staged bytes do not count against it: a transaction larger than what is left (bounded by the
 *      producer's memory, not by ours) goes through once readers have drained the topic, instead of never.
 *   7. Only the owner of a partition commits for its group (-ESTALE else): a reader that lost a partition and does not
 *      know yet can write nothing.
 *
 * A crash loses everything: the store is what lasts on one machine, and agents' rows of the running intervals go with the
 * process. Not kept on disk on purpose: whoever needs a log that survives runs Kafka.
 */
#include "bus/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Percent of max_bytes. */
static const uint8_t shares[BUS_TOPICS] = {
	[BUS_FLOWS] = 45, [BUS_PARTIALS] = 15, [BUS_EDGES] = 10,   [BUS_PAIRS] = 15,
	[BUS_HOSTS] = 5,  [BUS_LEDGER] = 5,    [BUS_SECURITY] = 3, [BUS_DEAD] = 2,
};

#define PARTITIONED (1u << BUS_FLOWS | 1u << BUS_PARTIALS | 1u << BUS_EDGES | 1u << BUS_PAIRS)
#define MAX_PARTITIONS 4096 /* a revision has 12 bits for it (DESIGN 6) */

struct memory_producer {
	struct bus_producer base;
	bool transactional, open; /* open: between begin and commit */
	struct log_record *first, **last;
	size_t staged[BUS_TOPICS];
};

static struct memory_producer *producer_of(struct bus_producer *p)
{
	return (struct memory_producer *)p;
}

static void memory_close(struct bus *bus)
{
	struct memory_bus *m = memory_of(bus);

	for (unsigned t = 0; t < BUS_TOPICS; t++) {
		for (unsigned p = 0; m->topics[t].logs && p < m->topics[t].n; p++)
			log_deinit(&m->topics[t].logs[p]);
		free(m->topics[t].logs);
	}
	while (m->groups) {
		struct memory_group *g = m->groups;

		m->groups = g->next;
		for (unsigned t = 0; t < BUS_TOPICS; t++)
			free(g->parts[t]);
		free(g->name);
		free(g);
	}
	pthread_mutex_destroy(&m->lock);
	free(m);
}

int bus_memory_open(struct bus **ret, const struct bus_memory_opts *opts)
{
	struct memory_bus *m;

	if (opts->partitions == 0 || opts->partitions > MAX_PARTITIONS || opts->max_bytes == 0 || opts->start_us < 0)
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->base.ops = &memory_ops;
	pthread_mutex_init(&m->lock, NULL);
	for (unsigned t = 0; t < BUS_TOPICS; t++) {
		struct memory_topic *topic = &m->topics[t];

		topic->n = PARTITIONED & 1u << t ? opts->partitions : 1;
		topic->budget = opts->max_bytes / 100 * shares[t] + opts->max_bytes % 100 * shares[t] / 100;
		topic->logs = calloc(topic->n, sizeof(*topic->logs));
		if (!topic->logs) {
			memory_close(&m->base);
			return -ENOMEM;
		}
		for (unsigned p = 0; p < topic->n; p++)
			log_init(&topic->logs[p], opts->start_us, t == BUS_HOSTS);
	}
	*ret = &m->base;
	return 0;
}

static unsigned memory_partitions(struct bus *bus, enum bus_topic t)
{
	return t < BUS_TOPICS ? memory_of(bus)->topics[t].n : 0;
}

static int memory_bounds(struct bus *bus, enum bus_topic t, unsigned partition, int64_t *ret_oldest, int64_t *ret_end)
{
	struct memory_bus *m = memory_of(bus);

	if (t >= BUS_TOPICS || partition >= m->topics[t].n)
		return -EINVAL;
	pthread_mutex_lock(&m->lock);
	*ret_oldest = log_oldest(&m->topics[t].logs[partition]);
	*ret_end = m->topics[t].logs[partition].next;
	pthread_mutex_unlock(&m->lock);
	return 0;
}

static void memory_stats(struct bus *bus, struct bus_stats *ret)
{
	struct memory_bus *m = memory_of(bus);

	pthread_mutex_lock(&m->lock);
	*ret = (struct bus_stats){.refused = m->refused, .evicted = m->evicted};
	for (unsigned t = 0; t < BUS_TOPICS; t++) {
		for (unsigned p = 0; p < m->topics[t].n; p++) {
			const struct log *log = &m->topics[t].logs[p];

			ret->bytes += log->bytes;
			ret->messages += log->count - log->holes;
		}
	}
	pthread_mutex_unlock(&m->lock);
}

void memory_retain(struct memory_bus *m, enum bus_topic t, unsigned partition)
{
	struct log *log = &m->topics[t].logs[partition];
	size_t history = m->topics[t].budget / m->topics[t].n;
	int64_t floor = log->next;

	if (log->compacted) {
		for (struct memory_reader *r = m->readers; r; r = r->next) {
			for (size_t i = 0; i < r->n_slots; i++) {
				if (r->slots[i].topic == t && r->slots[i].partition == partition &&
				    r->slots[i].pos < floor)
					floor = r->slots[i].pos;
			}
		}
		log_drop_tombstones(log, floor);
		return;
	}
	for (struct memory_group *g = m->groups; g; g = g->next) {
		const struct memory_member *part = g->parts[t] ? &g->parts[t][partition] : NULL;
		int64_t need = !part ? INT64_MAX : part->committed >= 0 ? part->committed : part->start;

		if (part)
			history = m->topics[t].budget / m->topics[t].n / 8;
		if (need < floor)
			floor = need;
	}
	log_set_floor(log, floor, history);
}

/* Bytes of a topic that somebody still needs. */
static size_t memory_needed(const struct memory_topic *topic)
{
	size_t n = 0;

	for (unsigned p = 0; p < topic->n; p++)
		n += topic->logs[p].bytes - topic->logs[p].spent;
	return n;
}

static int memory_producer_open(struct bus_producer **ret, struct bus *bus, const char *id)
{
	struct memory_producer *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->base.bus = bus;
	p->transactional = id; /* one process: nobody to fence off */
	p->last = &p->first;
	*ret = &p->base;
	return 0;
}

/* With the lock held. */
static void producer_drop(struct memory_bus *m, struct memory_producer *p)
{
	while (p->first) {
		struct log_record *rec = p->first;

		p->first = rec->next_key;
		log_unreserve(&m->topics[rec->topic].logs[rec->partition], 1);
		log_record_unref(rec);
	}
	p->last = &p->first;
	for (unsigned t = 0; t < BUS_TOPICS; t++) {
		m->topics[t].staged -= p->staged[t];
		p->staged[t] = 0;
	}
	p->open = false;
}

static int memory_abort(struct bus_producer *base)
{
	struct memory_bus *m = memory_of(base->bus);

	if (!producer_of(base)->open)
		return -EINVAL;
	pthread_mutex_lock(&m->lock);
	producer_drop(m, producer_of(base));
	pthread_mutex_unlock(&m->lock);
	return 0;
}

static void memory_producer_close(struct bus_producer *base)
{
	(void)memory_abort(base);
	free(base);
}

static int memory_begin(struct bus_producer *base)
{
	if (producer_of(base)->open || !producer_of(base)->transactional)
		return -EINVAL;
	producer_of(base)->open = true;
	return 0;
}

/* With the lock held: room for the record, or why not. */
static int producer_admit(struct memory_bus *m, const struct memory_producer *p, const struct log_record *rec)
{
	struct memory_topic *topic = &m->topics[rec->topic];
	struct log *log = &topic->logs[rec->partition];
	size_t used;

	memory_retain(m, (enum bus_topic)rec->topic, rec->partition);
	while (log->compacted && log->bytes && log->bytes + topic->staged + log_record_bytes(rec) > topic->budget) {
		log_drop_oldest(log);
		m->evicted++;
	}
	used = log->compacted ? 0 : memory_needed(topic) + topic->staged - p->staged[rec->topic];
	if (used && used + (p->open ? 0 : log_record_bytes(rec)) > topic->budget) {
		m->refused++;
		return -EAGAIN;
	}
	return log_reserve(log, 1);
}

static int memory_produce(struct bus_producer *base, enum bus_topic t, unsigned partition, const void *key,
			  size_t key_len, const void *value, size_t value_len)
{
	struct memory_bus *m = memory_of(base->bus);
	struct memory_producer *p = producer_of(base);
	struct log_record *rec;
	int r;

	if (p->transactional != p->open)
		return -EINVAL;
	if (m->topics[t].logs[0].compacted ? key_len == 0 : value == NULL)
		return -EINVAL;
	rec = log_record_new(t, partition, key, key_len, value, value_len);
	if (!rec)
		return -ENOMEM;
	pthread_mutex_lock(&m->lock);
	r = producer_admit(m, p, rec);
	if (r == 0 && p->open) {
		*p->last = rec;
		p->last = &rec->next_key;
		p->staged[t] += log_record_bytes(rec);
		m->topics[t].staged += log_record_bytes(rec);
	} else if (r == 0) {
		log_append(&m->topics[t].logs[partition], rec);
		memory_wake(m, 1u << t);
	}
	pthread_mutex_unlock(&m->lock);
	if (r < 0)
		log_record_unref(rec);
	return r;
}

static int memory_commit(struct bus_producer *base, struct bus_reader *reader, const struct bus_position *pos, size_t n)
{
	struct memory_bus *m = memory_of(base->bus);
	struct memory_producer *p = producer_of(base);
	uint32_t topics = 0;
	int r;

	if (!p->open)
		return -EINVAL;
	pthread_mutex_lock(&m->lock);
	r = memory_commit_positions(m, (struct memory_reader *)reader, pos, n);
	while (r == 0 && p->first) {
		struct log_record *rec = p->first;

		p->first = rec->next_key;
		topics |= 1u << rec->topic;
		log_append(&m->topics[rec->topic].logs[rec->partition], rec);
	}
	producer_drop(m, p);
	memory_wake(m, topics);
	pthread_mutex_unlock(&m->lock);
	return r;
}

const struct bus_ops memory_ops = {
	.close = memory_close,
	.partitions = memory_partitions,
	.bounds = memory_bounds,
	.stats = memory_stats,
	.producer_open = memory_producer_open,
	.producer_close = memory_producer_close,
	.begin = memory_begin,
	.produce = memory_produce,
	.commit = memory_commit,
	.abort = memory_abort,
	.reader_open = memory_reader_open,
	.reader_close = memory_reader_close,
	.read = memory_read,
	.committed = memory_committed,
	.seek = memory_seek,
	.commit_positions = memory_reader_commit,
	.caught_up = memory_caught_up,
};

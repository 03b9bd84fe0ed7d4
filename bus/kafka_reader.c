/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers of the Kafka bus. A group's partitions come and go cooperatively (only those that move stop); librdkafka calls
 * kafka_reader_rebalance() from inside kafka_read(), in the reader's thread, and there the owner's events are told.
 *
 * Offsets have holes: marks of transactions, and what compaction took. So where a partition ends is known by librdkafka's
 * end-of-partition event (`eof`), not by the last message. After an event at E with the last message before M, nothing
 * visible lies in [M, E).
 *
 * A batch may hold messages fetched before partitions moved in the middle of it. Those of a partition that moved are
 * dropped, and it is read again from where it begins (`moved`): rare, so the cost does not matter.
 */
#include "bus/kafka_reader.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

#define EVERY_PARTITION "skyfall-no-group" /* librdkafka wants a name; nothing is ever committed under it */

static struct kafka_slot *slot_named(struct kafka_reader *r, const char *topic, int32_t partition)
{
	for (unsigned t = 0; t < BUS_TOPICS; t++) {
		if (r->n[t] && strcmp(reader_bus(r)->names[t], topic) == 0)
			return partition >= 0 ? reader_slot(r, (enum bus_topic)t, (unsigned)partition) : NULL;
	}
	return NULL;
}

/* --- partitions come and go */

/* The oldest and the end of a partition. A broker may need a moment before it leads what is new to it. */
static rd_kafka_resp_err_t slot_ask(struct kafka_reader *r, const struct kafka_slot *s, int timeout_ms,
				    int64_t *ret_low, int64_t *ret_high)
{
	const struct timespec step = {.tv_nsec = 20000000};
	int64_t until = clock_mono_us() + (int64_t)timeout_ms * 1000;

	for (;;) {
		rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(
			r->rk, reader_bus(r)->names[s->topic], (int32_t)s->partition, ret_low, ret_high, timeout_ms);

		if ((err != RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION &&
		     err != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE && err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) ||
		    clock_mono_us() > until)
			return err;
		nanosleep(&step, NULL);
	}
}

/* Where the partition stands now and where it is read from. false: the broker did not say. */
static bool slot_begin(struct kafka_reader *r, struct kafka_slot *s, int64_t committed, int timeout_ms)
{
	struct kafka_bus *k = reader_bus(r);
	int64_t low, high;
	rd_kafka_resp_err_t err = slot_ask(r, s, timeout_ms, &low, &high);

	s->eof = s->before_eof = s->oldest = -1;
	s->end_at_open = INT64_MAX;
	s->ended = false;
	s->pos = committed;
	if (err) {
		kafka_say(k, "%s: bounds of %s/%u: %s", r->client.name, k->names[s->topic], s->partition,
			  rd_kafka_err2str(err));
		return false;
	}
	s->oldest = low;
	s->end_at_open = high;
	if (committed >= 0 && committed < low) {
		kafka_count(k, &k->expired, (uint64_t)(low - committed));
		kafka_say(k, "%s: %s/%u: retention removed offsets %lld to %lld before they were read", r->client.name,
			  k->names[s->topic], s->partition, (long long)committed, (long long)low - 1);
	}
	if (committed < low && committed != RD_KAFKA_OFFSET_STORED)
		s->pos = low;
	return true;
}

/* Sets where each begins, tells the owner, who may seek. */
static void reader_assigned(struct kafka_reader *r, rd_kafka_topic_partition_list_t *list)
{
	struct kafka_bus *k = reader_bus(r);
	rd_kafka_resp_err_t err =
		r->group ? rd_kafka_committed(r->rk, list, KAFKA_WAIT_MS) : RD_KAFKA_RESP_ERR_NO_ERROR;
	int timeout = 2000;

	if (err)
		kafka_say(k, "%s: committed positions: %s", r->client.name, rd_kafka_err2str(err));
	r->assigning = list;
	for (int i = 0; i < list->cnt; i++) {
		rd_kafka_topic_partition_t *p = &list->elems[i];
		struct kafka_slot *s = slot_named(r, p->topic, p->partition);
		int64_t from = p->offset >= 0 ? p->offset : RD_KAFKA_OFFSET_BEGINNING;

		if (!s) { /* taken, as the group wants it, and never read */
			r->err = -EREMCHG;
			kafka_say(k, "%s: partition %d was added to %s: keys no longer meet where they did",
				  r->client.name, p->partition, p->topic);
			continue;
		}
		p->err = err ? err : p->err; /* not known: librdkafka finds out */
		if (!slot_begin(r, s, p->err ? RD_KAFKA_OFFSET_STORED : from, timeout))
			timeout = 100; /* that broker is away: its others too */
		s->assigned = s->moved = true;
		if (r->events.assigned)
			r->events.assigned(r->events.arg, s->topic, s->partition);
	}
	r->assigning = NULL;
	for (int i = 0; i < list->cnt; i++) {
		const struct kafka_slot *s = slot_named(r, list->elems[i].topic, list->elems[i].partition);

		list->elems[i].offset = s ? s->pos : RD_KAFKA_OFFSET_END;
		list->elems[i].err = RD_KAFKA_RESP_ERR_NO_ERROR;
	}
	r->joined = true;
}

static void reader_revoked(struct kafka_reader *r, const rd_kafka_topic_partition_list_t *list)
{
	bool lost = rd_kafka_assignment_lost(r->rk);

	for (int i = 0; i < list->cnt; i++) {
		struct kafka_slot *s = slot_named(r, list->elems[i].topic, list->elems[i].partition);

		if (!s || !s->assigned)
			continue;
		if (lost)
			s->assigned = false;
		if (r->events.revoked && !r->closing)
			r->events.revoked(r->events.arg, s->topic, s->partition);
		s->assigned = false;
		s->moved = true;
	}
}

void kafka_reader_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *list,
			    void *opaque)
{
	struct kafka_reader *r = ((struct kafka_client *)opaque)->reader;
	rd_kafka_error_t *error;

	if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
		if (!r->closing)
			reader_assigned(r, list);
		error = rd_kafka_incremental_assign(rk, list);
	} else {
		reader_revoked(r, list);
		error = rd_kafka_incremental_unassign(rk, list);
	}
	if (error) {
		kafka_say(reader_bus(r), "%s: %s", r->client.name, rd_kafka_error_string(error));
		rd_kafka_error_destroy(error);
	}
}

/* --- opening */

static int reader_slots(struct kafka_reader *r, const enum bus_topic *topics, size_t n_topics)
{
	for (size_t i = 0; i < n_topics; i++) {
		if (topics[i] >= BUS_TOPICS)
			return -EINVAL;
		r->n[topics[i]] = reader_bus(r)->n[topics[i]];
	}
	for (unsigned t = 0; t < BUS_TOPICS; t++) {
		r->first[t] = r->n_slots;
		r->n_slots += r->n[t];
	}
	r->slots = calloc(r->n_slots ? r->n_slots : 1, sizeof(*r->slots));
	if (!r->slots)
		return -ENOMEM;
	for (unsigned t = 0; t < BUS_TOPICS; t++) {
		for (unsigned p = 0; p < r->n[t]; p++)
			r->slots[r->first[t] + p] = (struct kafka_slot){
				.topic = (enum bus_topic)t, .partition = p, .oldest = -1, .eof = -1, .before_eof = -1};
	}
	return 0;
}

static int reader_subscribe(struct kafka_reader *r)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)r->n_slots);
	rd_kafka_resp_err_t err;

	for (size_t i = 0; i < r->n_slots; i++) {
		const struct kafka_slot *s = &r->slots[i];

		if (!r->group)
			rd_kafka_topic_partition_list_add(list, reader_bus(r)->names[s->topic], (int32_t)s->partition);
		else if (s->partition == 0)
			rd_kafka_topic_partition_list_add(list, reader_bus(r)->names[s->topic], RD_KAFKA_PARTITION_UA);
	}
	if (!r->group) {
		reader_assigned(r, list);
		for (size_t i = 0; i < r->n_slots; i++)
			r->slots[i].moved = false;
	}
	if (r->group) {
		err = rd_kafka_subscribe(r->rk, list);
	} else {
		rd_kafka_error_t *error = rd_kafka_incremental_assign(r->rk, list);

		err = rd_kafka_error_code(error);
		rd_kafka_error_destroy(error);
	}
	rd_kafka_topic_partition_list_destroy(list);
	if (err)
		kafka_say(reader_bus(r), "%s: %s", r->client.name, rd_kafka_err2str(err));
	return kafka_errno(err);
}

int kafka_reader_open(struct bus_reader **ret, struct bus *bus, const char *group, const enum bus_topic *topics,
		      size_t n_topics, const struct bus_events *events)
{
	struct kafka_bus *k = kafka_of(bus);
	struct kafka_reader *r = calloc(1, sizeof(*r));
	char name[KAFKA_PREFIX + 128];
	const char *const extra[][2] = {{"group.id", name}, {NULL, NULL}};
	int err;

	if (!r)
		return -ENOMEM;
	r->base.bus = bus;
	r->client.bus = k;
	r->client.reader = r;
	r->group = group;
	r->events = events ? *events : (struct bus_events){0};
	snprintf(r->client.name, sizeof(r->client.name), "reader %s", group ? group : "of all");
	snprintf(name, sizeof(name), "%s%s", k->conf.prefix, group ? group : EVERY_PARTITION);
	err = reader_slots(r, topics, n_topics);
	if (err == 0)
		err = kafka_handle(k, &r->client, KAFKA_CONSUMER, extra, &r->rk);
	if (err == 0) {
		(void)rd_kafka_poll_set_consumer(r->rk);
		r->queue = rd_kafka_queue_get_consumer(r->rk);
		kafka_client_add(k, &r->client);
		err = reader_subscribe(r);
	}
	if (err < 0) {
		kafka_reader_close(&r->base);
		return err;
	}
	*ret = &r->base;
	return 0;
}

static void reader_release(struct kafka_reader *r)
{
	for (size_t i = 0; i < r->n_held; i++)
		rd_kafka_message_destroy(r->held[i]);
	r->n_held = 0;
}

void kafka_reader_close(struct bus_reader *base)
{
	struct kafka_reader *r = reader_of(base);

	kafka_client_remove(reader_bus(r), &r->client);
	reader_release(r);
	r->closing = true;
	if (r->queue)
		rd_kafka_queue_destroy(r->queue);
	if (r->rk) {
		(void)rd_kafka_consumer_close(r->rk);
		rd_kafka_destroy(r->rk);
	}
	free(r->slots);
	free(r->held);
	free(r);
}

/* --- reading */

static struct kafka_slot *message_slot(struct kafka_reader *r, const rd_kafka_message_t *m)
{
	const char *name;

	if (m->partition < 0)
		return NULL;
	for (unsigned t = 0; t < BUS_TOPICS; t++) {
		if (m->rkt && r->rkt[t] == m->rkt)
			return reader_slot(r, (enum bus_topic)t, (unsigned)m->partition);
	}
	if (!m->rkt)
		return NULL;
	name = rd_kafka_topic_name(m->rkt);
	for (unsigned t = 0; t < BUS_TOPICS; t++) {
		if (r->n[t] && strcmp(reader_bus(r)->names[t], name) == 0) {
			r->rkt[t] = m->rkt;
			return reader_slot(r, (enum bus_topic)t, (unsigned)m->partition);
		}
	}
	return NULL;
}

int kafka_slot_seek(struct kafka_reader *r, struct kafka_slot *s)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_t *p =
		rd_kafka_topic_partition_list_add(list, reader_bus(r)->names[s->topic], (int32_t)s->partition);
	rd_kafka_error_t *error;
	int err = 0;

	p->offset = s->pos;
	error = rd_kafka_seek_partitions(r->rk, list, KAFKA_WAIT_MS);
	if (error) {
		err = kafka_errno(rd_kafka_error_code(error));
		kafka_say(reader_bus(r), "%s: seek: %s", r->client.name, rd_kafka_error_string(error));
		rd_kafka_error_destroy(error);
	} else if (p->err) {
		err = kafka_errno(p->err);
		kafka_say(reader_bus(r), "%s: seek: %s", r->client.name, rd_kafka_err2str(p->err));
	}
	rd_kafka_topic_partition_list_destroy(list);
	return err;
}

/* Retention has removed what was to be read next: on from the oldest there is, counted. librdkafka has stopped the
 * partition, so that no seek helps: it is taken anew. */
static void slot_expired(struct kafka_reader *r, struct kafka_slot *s)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_t *p =
		rd_kafka_topic_partition_list_add(list, reader_bus(r)->names[s->topic], (int32_t)s->partition);
	rd_kafka_error_t *error;

	if (!slot_begin(r, s, s->pos >= 0 ? s->pos : RD_KAFKA_OFFSET_BEGINNING, KAFKA_WAIT_MS))
		s->pos = RD_KAFKA_OFFSET_BEGINNING;
	p->offset = s->pos;
	error = rd_kafka_incremental_unassign(r->rk, list);
	if (!error)
		error = rd_kafka_incremental_assign(r->rk, list);
	if (error) {
		kafka_say(reader_bus(r), "%s: %s", r->client.name, rd_kafka_error_string(error));
		rd_kafka_error_destroy(error);
		r->err = -EIO;
	}
	rd_kafka_topic_partition_list_destroy(list);
}

static void reader_event(struct kafka_reader *r, struct kafka_slot *s, const rd_kafka_message_t *m)
{
	switch (m->err) {
	case RD_KAFKA_RESP_ERR__PARTITION_EOF:
		if (!s || !s->assigned)
			break;
		s->ended = true;
		s->before_eof = s->pos >= 0 ? s->pos : m->offset;
		s->eof = m->offset;
		break;
	case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
	case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
		if (s && s->assigned)
			slot_expired(r, s);
		break;
	default:
		kafka_say(reader_bus(r), "%s: %s", r->client.name, rd_kafka_message_errstr(m));
		if (m->err == RD_KAFKA_RESP_ERR__FATAL || kafka_errno(m->err) == -EACCES)
			r->err = kafka_errno(m->err);
	}
}

/* From what librdkafka gave to what the caller gets. */
static size_t reader_give(struct kafka_reader *r, struct bus_msg *msgs)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_held; i++) {
		const rd_kafka_message_t *m = r->held[i];
		struct kafka_slot *s = message_slot(r, m);

		if (m->err) {
			reader_event(r, s, m);
			continue;
		}
		if (!s || !s->assigned || s->moved)
			continue;
		s->pos = m->offset + 1;
		msgs[n++] = (struct bus_msg){.topic = s->topic,
					     .partition = s->partition,
					     .offset = m->offset,
					     .key = m->key,
					     .key_len = m->key_len,
					     .value = m->payload,
					     .value_len = m->len};
	}
	return n;
}

/* Partitions that moved while the batch was taken begin once more, for what of them was in it. */
static void reader_moved(struct kafka_reader *r)
{
	for (size_t i = 0; i < r->n_slots; i++) {
		struct kafka_slot *s = &r->slots[i];
		bool fetched = false;

		if (!s->moved)
			continue;
		s->moved = false;
		for (size_t k = 0; k < r->n_held && !fetched && s->assigned; k++)
			fetched = !r->held[k]->err && message_slot(r, r->held[k]) == s;
		if (fetched && kafka_slot_seek(r, s) < 0)
			r->err = -EIO;
	}
}

/* One batch of whatever is there; 0 messages is an answer. */
static ssize_t reader_batch(struct kafka_reader *r, struct bus_msg *msgs, size_t max, int timeout_ms)
{
	ssize_t n = rd_kafka_consume_batch_queue(r->queue, 0, r->held, max);
	size_t given;

	if (n == 0 && timeout_ms > 0) {
		n = rd_kafka_consume_batch_queue(r->queue, timeout_ms, r->held, 1);
		if (n == 1 && max > 1) {
			ssize_t more = rd_kafka_consume_batch_queue(r->queue, 0, r->held + 1, max - 1);

			n += more > 0 ? more : 0;
		}
	}
	if (n < 0)
		return kafka_errno(rd_kafka_last_error());
	r->n_held = (size_t)n;
	given = reader_give(r, msgs);
	reader_moved(r);
	return (ssize_t)given;
}

int kafka_read(struct bus_reader *base, struct bus_msg *msgs, size_t max, int timeout_ms)
{
	struct kafka_reader *r = reader_of(base);
	int64_t until = clock_mono_us() + (int64_t)timeout_ms * 1000, left;
	ssize_t n;

	if (max > r->cap_held) {
		rd_kafka_message_t **held;

		reader_release(r);
		held = realloc(r->held, max * sizeof(rd_kafka_message_t *));
		if (!held)
			return -ENOMEM;
		r->held = held;
		r->cap_held = max;
	}
	do {
		reader_release(r);
		left = until - clock_mono_us();
		n = reader_batch(r, msgs, max, left > 0 ? (int)((left + 999) / 1000) : 0);
	} while (n == 0 && r->err == 0 && clock_mono_us() < until);
	if (n <= 0 && r->err < 0) {
		n = r->err;
		r->err = r->err == -EREMCHG ? r->err : 0; /* that one stays */
	}
	return (int)n;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Producers of the Kafka bus. What one writes is copied into librdkafka's queue of the partition; librdkafka's threads batch,
 * compress and send it. What librdkafka tells is heard while the owner produces, begins or commits, and in kafka_hear().
 */
#include "bus/kafka.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLL_EVERY 512 /* messages between two looks at what failed */
#define ROOM_MS 1000   /* inside a transaction: waits so long for room */

struct kafka_producer {
	struct bus_producer base;
	struct kafka_client client;
	rd_kafka_t *rk; /* NULL: to be made anew */
	rd_kafka_topic_t *topics[BUS_TOPICS];
	char *id;      /* transactional, with the prefix; NULL: plain */
	bool open;     /* between begin and commit */
	bool in_doubt; /* the handle is no good any more */
	bool ready;    /* transactions may begin */
	unsigned since_poll;
};

static struct kafka_producer *producer_of(struct bus_producer *p)
{
	return (struct kafka_producer *)p;
}

static struct kafka_bus *producer_bus(struct kafka_producer *p)
{
	return kafka_of(p->base.bus);
}

static void producer_drop(struct kafka_producer *p)
{
	kafka_client_handle(producer_bus(p), &p->client, NULL);
	for (unsigned t = 0; t < BUS_TOPICS; t++) {
		if (p->topics[t])
			rd_kafka_topic_destroy(p->topics[t]);
		p->topics[t] = NULL;
	}
	if (p->rk)
		rd_kafka_destroy(p->rk);
	p->rk = NULL;
	p->in_doubt = false;
}

static int producer_make(struct kafka_producer *p)
{
	const char *const txn[][2] = {{"transactional.id", p->id}, {NULL, NULL}};
	struct kafka_bus *k = producer_bus(p);
	int r = kafka_handle(k, &p->client, p->id ? KAFKA_TXN : KAFKA_PLAIN, p->id ? txn : NULL, &p->rk);

	for (unsigned t = 0; t < BUS_TOPICS && r == 0; t++) {
		p->topics[t] = rd_kafka_topic_new(p->rk, k->names[t], NULL);
		r = p->topics[t] ? 0 : -ENOMEM;
	}
	if (r == 0)
		kafka_client_handle(k, &p->client, p->rk);
	return r;
}

/* Says what a call of the transaction interface answered, and frees it. */
static int producer_failed(struct kafka_producer *p, const char *what, rd_kafka_error_t *error)
{
	int r;

	if (!error)
		return 0;
	r = kafka_errno(rd_kafka_error_code(error));
	if (rd_kafka_fatal_error(p->rk, NULL, 0))
		p->in_doubt = true;
	if (r == -EIO && rd_kafka_fatal_error(p->rk, NULL, 0))
		r = kafka_errno(rd_kafka_fatal_error(p->rk, NULL, 0));
	kafka_say(producer_bus(p), "%s: %s: %s", p->client.name, what, rd_kafka_error_string(error));
	rd_kafka_error_destroy(error);
	return r;
}

int kafka_producer_open(struct bus_producer **ret, struct bus *bus, const char *id)
{
	struct kafka_bus *k = kafka_of(bus);
	struct kafka_producer *p = calloc(1, sizeof(*p));
	int r = -ENOMEM;

	if (!p)
		return -ENOMEM;
	p->base.bus = bus;
	p->client.bus = k;
	snprintf(p->client.name, sizeof(p->client.name), "producer%s%s", id ? " " : "", id ? id : "");
	if (id && asprintf(&p->id, "%s%s", k->conf.prefix, id) < 0) {
		free(p);
		return -ENOMEM;
	}
	kafka_client_add(k, &p->client);
	r = producer_make(p);
	if (r < 0) {
		kafka_producer_close(&p->base);
		return r;
	}
	*ret = &p->base;
	return 0;
}

void kafka_producer_close(struct bus_producer *base)
{
	struct kafka_producer *p = producer_of(base);
	struct kafka_bus *k = producer_bus(p);

	(void)kafka_abort(base);
	if (p->rk && !p->id && rd_kafka_flush(p->rk, KAFKA_CLOSE_MS)) {
		int n = rd_kafka_outq_len(p->rk);

		kafka_count(k, &k->lost, (uint64_t)n);
		kafka_say(k, "%s: closed with %d messages that no broker took", p->client.name, n);
		rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	}
	producer_drop(p);
	kafka_client_remove(k, &p->client);
	free(p->id);
	free(p);
}

/* Another handle in place of one that is no good any more; what it had not delivered is lost. */
static int producer_renew(struct kafka_producer *p)
{
	struct kafka_bus *k = producer_bus(p);

	if (p->rk && !p->id)
		kafka_count(k, &k->lost, (uint64_t)rd_kafka_outq_len(p->rk));
	producer_drop(p);
	pthread_mutex_lock(&k->lock);
	kafka_stats_renew(&p->client);
	pthread_mutex_unlock(&k->lock);
	return producer_make(p);
}

/* A handle that may begin transactions: whoever had the id before is fenced off, and what it left open ended. */
static int producer_ready(struct kafka_producer *p)
{
	int r = p->in_doubt ? producer_renew(p) : 0;

	if (r == 0)
		r = producer_failed(p, "no transactions yet", rd_kafka_init_transactions(p->rk, KAFKA_WAIT_MS));
	p->in_doubt = r < 0;
	p->ready = r == 0;
	return r;
}

int kafka_begin(struct bus_producer *base)
{
	struct kafka_producer *p = producer_of(base);
	int r;

	if (!p->id || p->open)
		return -EINVAL;
	if (!p->ready || p->in_doubt) {
		r = producer_ready(p);
		if (r < 0)
			return r;
	}
	(void)rd_kafka_poll(p->rk, 0);
	r = producer_failed(p, "begin", rd_kafka_begin_transaction(p->rk));
	p->in_doubt |= r < 0;
	p->open = r == 0;
	return r;
}

/* What produce answered at last. */
static int produce_failed(struct kafka_producer *p, rd_kafka_resp_err_t err)
{
	struct kafka_bus *k = producer_bus(p);

	(void)rd_kafka_poll(p->rk, 0);
	if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
		kafka_count(k, &k->refused, 1);
		return -EAGAIN;
	}
	if (err == RD_KAFKA_RESP_ERR__FATAL) {
		err = rd_kafka_fatal_error(p->rk, NULL, 0);
		p->in_doubt = true;
	}
	kafka_say(k, "%s: %s", p->client.name, rd_kafka_err2str(err));
	return kafka_errno(err);
}

int kafka_produce(struct bus_producer *base, enum bus_topic t, unsigned partition, const void *key, size_t key_len,
		  const void *value, size_t value_len)
{
	struct kafka_producer *p = producer_of(base);
	rd_kafka_resp_err_t err;
	int waited = 0, r;

	if ((p->id && !p->open) || (t == BUS_HOSTS ? key_len == 0 : value == NULL))
		return -EINVAL;
	if (!p->id && p->in_doubt && (r = producer_renew(p)) < 0)
		return r;
	for (;;) {
		if (rd_kafka_produce(p->topics[t], (int32_t)partition, RD_KAFKA_MSG_F_COPY, (void *)(uintptr_t)value,
				     value_len, key, key_len, NULL) == 0)
			break;
		err = rd_kafka_last_error();
		if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL || !p->open || waited >= ROOM_MS)
			return produce_failed(p, err);
		(void)rd_kafka_poll(p->rk, 10);
		waited += 10;
	}
	if (++p->since_poll >= POLL_EVERY) {
		p->since_poll = 0;
		(void)rd_kafka_poll(p->rk, 0);
	}
	return 0;
}

/* -errno: the broker did not end it; whoever has the id next does. */
static int producer_abort(struct kafka_producer *p)
{
	int r = producer_failed(p, "abort", rd_kafka_abort_transaction(p->rk, KAFKA_WAIT_MS));

	p->open = false;
	p->in_doubt |= r < 0;
	return r;
}

/* Why it failed: of the answers to two calls the one that says most. */
static int producer_give_up(struct kafka_producer *p, int r)
{
	return producer_abort(p) == -ESTALE ? -ESTALE : r;
}

/* The positions become part of the transaction. */
static int commit_positions(struct kafka_producer *p, struct bus_reader *reader, const struct bus_position *pos,
			    size_t n)
{
	rd_kafka_consumer_group_metadata_t *group;
	rd_kafka_topic_partition_list_t *list;
	int r = kafka_reader_owns(reader, pos, n);

	if (r < 0)
		return r;
	list = kafka_list(producer_bus(p), pos, n);
	group = rd_kafka_consumer_group_metadata(kafka_reader_handle(reader));
	if (list && group)
		r = producer_failed(p, "positions",
				    rd_kafka_send_offsets_to_transaction(p->rk, list, group, KAFKA_WAIT_MS));
	else
		r = -ENOMEM;
	if (list)
		rd_kafka_topic_partition_list_destroy(list);
	if (group)
		rd_kafka_consumer_group_metadata_destroy(group);
	return r;
}

int kafka_commit(struct bus_producer *base, struct bus_reader *reader, const struct bus_position *pos, size_t n)
{
	struct kafka_producer *p = producer_of(base);
	rd_kafka_error_t *error;
	bool abort;
	int r = 0;

	if (!p->open)
		return -EINVAL;
	if (n)
		r = commit_positions(p, reader, pos, n);
	if (r < 0) /* before the point of no return */
		return producer_give_up(p, r);
	error = rd_kafka_commit_transaction(p->rk, KAFKA_WAIT_MS);
	if (!error) {
		p->open = false;
		return 0;
	}
	abort = rd_kafka_error_txn_requires_abort(error);
	r = producer_failed(p, "commit", error);
	if (abort)
		return producer_give_up(p, r);
	p->open = false;
	p->in_doubt = true; /* no answer in time, or fatal */
	return r == -EAGAIN ? -EIO : r;
}

int kafka_abort(struct bus_producer *base)
{
	if (!producer_of(base)->open)
		return -EINVAL;
	(void)producer_abort(producer_of(base));
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus between machines: Kafka through librdkafka. Topics of bus.h are topics there, groups are consumer groups,
 * transactions are transactions, a position is a committed offset with its metadata.
 *
 *   bus       one handle for questions (metadata, bounds)        kafka.c
 *   producer  a handle each: idempotent, or transactional        kafka_producer.c
 *   reader    a handle each: consumer group, or all partitions   kafka_reader.c
 *   settings  defaults, then a file                              kafka_conf.c
 *
 * Invariants
 *   1. Partitions are chosen here (key % partitions) and never by librdkafka: both views of a conversation meet because
 *      every producer computes alike. So the count of a topic's partitions is read once, when the bus is opened, and a
 *      partition beyond it is an error (-EREMCHG), not more room.
 *   2. Flows, partials, edges and pairs have equally many partitions, the other topics one.
 *   3. A transaction's output and its positions are committed in one step, under the generation of the reader's group: who
 *      has lost a partition and does not know yet commits nothing (-ESTALE).
 *   4. A transaction whose end is not known (no answer, fenced off, a fatal error) costs the handle: the next begin makes
 *      another one under the same id. The broker then ends what was open, so a position asked for afterwards is the truth.
 *   5. Produce never waits outside a transaction. Memory is bounded by queue.buffering.max.kbytes of each producer and
 *      queued.max.messages.kbytes of each reader's partitions.
 *   6. A reader begins at the committed offset or at the oldest message. Where retention has removed what it wanted, the
 *      gap is counted (`expired`) before it goes on.
 *
 * Lost on a crash: of a producer without transactions what its broker had not acknowledged; of a transactional one what was
 * not committed, which its successor makes again. Lost while brokers are away: nothing until the queue is full; then
 * produce says so and the collector folds on.
 *
 * Why a handle each, not one shared: a transaction belongs to a handle, and a group member is one.
 */
#include "bus/kafka.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTITIONED (1u << BUS_FLOWS | 1u << BUS_PARTIALS | 1u << BUS_EDGES | 1u << BUS_PAIRS)

static const struct bus_ops kafka_ops;

void kafka_say(struct kafka_bus *k, const char *fmt, ...)
{
	va_list args;

	pthread_mutex_lock(&k->lock);
	va_start(args, fmt);
	vsnprintf(k->why, sizeof(k->why), fmt, args);
	va_end(args);
	pthread_mutex_unlock(&k->lock);
}

void kafka_count(struct kafka_bus *k, uint64_t *counter, uint64_t n)
{
	pthread_mutex_lock(&k->lock);
	*counter += n;
	pthread_mutex_unlock(&k->lock);
}

int kafka_errno(rd_kafka_resp_err_t err)
{
	switch (err) {
	case RD_KAFKA_RESP_ERR_NO_ERROR:
		return 0;
	case RD_KAFKA_RESP_ERR__QUEUE_FULL:
		return -EAGAIN;
	case RD_KAFKA_RESP_ERR__FENCED:
	case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
	case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
	case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
	case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
	case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
	case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
	case RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST:
		return -ESTALE;
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
	case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
	case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
		return -ENOENT;
	case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
		return -EMSGSIZE;
	case RD_KAFKA_RESP_ERR__AUTHENTICATION:
	case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
		return -EACCES;
	case RD_KAFKA_RESP_ERR__TIMED_OUT:
	case RD_KAFKA_RESP_ERR__TRANSPORT:
	case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
	case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
		return -ETIMEDOUT;
	default:
		return -EIO;
	}
}

/* --- callbacks, some in librdkafka's own threads */

static void client_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	struct kafka_client *c = opaque;

	(void)rk;
	kafka_say(c->bus, "%s: %s: %s", c->name, rd_kafka_err2str((rd_kafka_resp_err_t)err), reason);
}

static void client_log(const rd_kafka_t *rk, int level, const char *fac, const char *text)
{
	struct kafka_client *c = rd_kafka_opaque(rk);

	(void)fac;
	if (level <= 3 && c)
		kafka_say(c->bus, "%s: %s", c->name, text);
}

static int client_stats(rd_kafka_t *rk, char *json, size_t n, void *opaque)
{
	struct kafka_client *c = opaque;

	(void)rk;
	pthread_mutex_lock(&c->bus->lock);
	kafka_stats_read(c, json, n);
	pthread_mutex_unlock(&c->bus->lock);
	return 0; /* librdkafka frees it */
}

/* Only of messages that failed. */
static void client_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct kafka_client *c = opaque;

	(void)rk;
	if (!m->err || m->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE || m->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
		return; /* aborted by us */
	kafka_count(c->bus, &c->bus->lost, 1);
	kafka_say(c->bus, "%s: not delivered: %s", c->name, rd_kafka_err2str(m->err));
}

int kafka_handle(struct kafka_bus *k, struct kafka_client *c, enum kafka_kind kind, const char *const (*extra)[2],
		 rd_kafka_t **ret)
{
	rd_kafka_conf_t *conf;
	rd_kafka_t *rk;
	char why[384];
	int r = kafka_conf_make(&k->conf, kind, k->brokers, &conf, why, sizeof(why));

	for (; r == 0 && extra && (*extra)[0]; extra++) {
		if (rd_kafka_conf_set(conf, (*extra)[0], (*extra)[1], why, sizeof(why)) != RD_KAFKA_CONF_OK)
			r = -EINVAL;
	}
	if (r < 0) {
		kafka_say(k, "%s", why);
		return r;
	}
	rd_kafka_conf_set_opaque(conf, c);
	rd_kafka_conf_set_error_cb(conf, client_error);
	rd_kafka_conf_set_log_cb(conf, client_log);
	rd_kafka_conf_set_stats_cb(conf, client_stats);
	if (kind == KAFKA_CONSUMER)
		rd_kafka_conf_set_rebalance_cb(conf, kafka_reader_rebalance);
	else
		rd_kafka_conf_set_dr_msg_cb(conf, client_delivery);
	rk = rd_kafka_new(kind == KAFKA_CONSUMER ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	if (!rk) {
		rd_kafka_conf_destroy(conf);
		kafka_say(k, "%s", why);
		return -EINVAL;
	}
	*ret = rk;
	return 0;
}

void kafka_client_add(struct kafka_bus *k, struct kafka_client *c)
{
	pthread_mutex_lock(&k->hearing);
	pthread_mutex_lock(&k->lock);
	c->next = k->clients;
	k->clients = c;
	pthread_mutex_unlock(&k->lock);
	pthread_mutex_unlock(&k->hearing);
}

void kafka_client_remove(struct kafka_bus *k, struct kafka_client *c)
{
	struct kafka_client **at;

	pthread_mutex_lock(&k->hearing);
	pthread_mutex_lock(&k->lock);
	for (at = &k->clients; *at && *at != c; at = &(*at)->next)
		;
	if (*at)
		*at = c->next;
	pthread_mutex_unlock(&k->lock);
	pthread_mutex_unlock(&k->hearing);
}

void kafka_client_handle(struct kafka_bus *k, struct kafka_client *c, rd_kafka_t *rk)
{
	pthread_mutex_lock(&k->hearing);
	c->rk = rk;
	pthread_mutex_unlock(&k->hearing);
}

void kafka_hear(struct kafka_bus *k)
{
	pthread_mutex_lock(&k->hearing);
	if (k->admin)
		(void)rd_kafka_poll(k->admin, 0);
	for (struct kafka_client *c = k->clients; c; c = c->next) {
		if (c->rk)
			(void)rd_kafka_poll(c->rk, 0);
	}
	pthread_mutex_unlock(&k->hearing);
}

rd_kafka_topic_partition_list_t *kafka_list(struct kafka_bus *k, const struct bus_position *pos, size_t n)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)n);

	for (size_t i = 0; i < n; i++) {
		rd_kafka_topic_partition_t *p =
			rd_kafka_topic_partition_list_add(list, k->names[pos[i].topic], (int32_t)pos[i].partition);

		p->offset = pos[i].offset;
		if (!pos[i].metadata[0])
			continue;
		p->metadata = strndup(pos[i].metadata, sizeof(pos[i].metadata) - 1); /* freed with the list */
		if (!p->metadata) {
			rd_kafka_topic_partition_list_destroy(list);
			return NULL;
		}
		p->metadata_size = strlen(p->metadata);
	}
	return list;
}

/* --- opening */

/* -errno with the reason why the topic's partitions will not do. */
static int topic_count(struct kafka_bus *k, enum bus_topic t, const struct rd_kafka_metadata_topic *m, char *why,
		       size_t why_len)
{
	unsigned want = PARTITIONED & 1u << t ? k->n[BUS_FLOWS] : 1;

	if (!m || m->err || m->partition_cnt <= 0) {
		snprintf(why, why_len, "topic %s: %s; `skyfall topics --create` makes the topics", k->names[t],
			 rd_kafka_err2str(m && m->err ? m->err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART));
		return m && m->err ? kafka_errno(m->err) : -ENOENT;
	}
	k->n[t] = (unsigned)m->partition_cnt;
	if (t == BUS_FLOWS && k->n[t] <= 4096) /* a revision has 12 bits for it */
		return 0;
	if (t != BUS_FLOWS && k->n[t] == want)
		return 0;
	snprintf(why, why_len, "topic %s has %u partitions, not %u: what belongs together would not meet", k->names[t],
		 k->n[t], t == BUS_FLOWS ? 4096 : want);
	return -EREMCHG;
}

static const struct rd_kafka_metadata_topic *topic_find(const struct rd_kafka_metadata *m, const char *name)
{
	for (int i = 0; i < m->topic_cnt; i++) {
		if (strcmp(m->topics[i].topic, name) == 0)
			return &m->topics[i];
	}
	return NULL;
}

static int kafka_topics(struct kafka_bus *k, char *why, size_t why_len)
{
	const struct rd_kafka_metadata *m;
	rd_kafka_resp_err_t err = rd_kafka_metadata(k->admin, 1, NULL, &m, KAFKA_WAIT_MS);
	int r = 0;

	if (err) {
		char said[400];

		bus_why(&k->base, said, sizeof(said));
		snprintf(why, why_len, "no broker answers at %s: %s", k->brokers,
			 said[0] ? said : rd_kafka_err2str(err));
		r = strstr(said, "uthenticat") ? -EACCES : kafka_errno(err);
		return r;
	}
	for (unsigned t = 0; t < BUS_TOPICS && r == 0; t++)
		r = topic_count(k, (enum bus_topic)t, topic_find(m, k->names[t]), why, why_len);
	rd_kafka_metadata_destroy(m);
	return r;
}

static void kafka_close(struct bus *bus)
{
	struct kafka_bus *k = kafka_of(bus);

	if (k->admin)
		rd_kafka_destroy(k->admin);
	kafka_conf_deinit(&k->conf);
	pthread_mutex_destroy(&k->lock);
	pthread_mutex_destroy(&k->hearing);
	free(k->brokers);
	free(k);
}

int bus_kafka_open(struct bus **ret, const struct bus_kafka_opts *opts, char *why, size_t why_len)
{
	struct kafka_bus *k = calloc(1, sizeof(*k));
	int r;

	snprintf(why, why_len, "out of memory");
	if (!k)
		return -ENOMEM;
	k->base.ops = &kafka_ops;
	pthread_mutex_init(&k->hearing, NULL);
	pthread_mutex_init(&k->lock, NULL);
	k->own = (struct kafka_client){.bus = k, .name = "bus"};
	k->brokers = strdup(opts->brokers);
	r = k->brokers ? kafka_conf_load(&k->conf, opts->config, why, why_len) : -ENOMEM;
	for (unsigned t = 0; t < BUS_TOPICS; t++)
		kafka_conf_topic(&k->conf, (enum bus_topic)t, k->names[t]);
	if (r == 0) {
		r = kafka_handle(k, &k->own, KAFKA_ADMIN, NULL, &k->admin);
		snprintf(why, why_len, "%s", k->why);
	}
	if (r == 0)
		r = kafka_topics(k, why, why_len);
	if (r < 0) {
		kafka_close(&k->base);
		return r;
	}
	k->why[0] = '\0';
	*ret = &k->base;
	return 0;
}

/* --- questions */

static unsigned kafka_partitions(struct bus *bus, enum bus_topic t)
{
	return t < BUS_TOPICS ? kafka_of(bus)->n[t] : 0;
}

/* Who reads that partition knows without asking. */
static bool kafka_bounds_known(struct kafka_bus *k, enum bus_topic t, unsigned partition, int64_t *ret_oldest,
			       int64_t *ret_end)
{
	bool known = false;

	pthread_mutex_lock(&k->lock);
	for (struct kafka_client *c = k->clients; c && !known; c = c->next)
		known = c->reader && kafka_reader_bounds(c->reader, t, partition, ret_oldest, ret_end);
	pthread_mutex_unlock(&k->lock);
	return known;
}

static int kafka_bounds(struct bus *bus, enum bus_topic t, unsigned partition, int64_t *ret_oldest, int64_t *ret_end)
{
	struct kafka_bus *k = kafka_of(bus);
	rd_kafka_resp_err_t err;
	int64_t low, high;

	if (t >= BUS_TOPICS || partition >= k->n[t])
		return -EINVAL;
	if (kafka_bounds_known(k, t, partition, ret_oldest, ret_end))
		return 0;
	err = rd_kafka_query_watermark_offsets(k->admin, k->names[t], (int32_t)partition, &low, &high, KAFKA_WAIT_MS);
	if (err) {
		kafka_say(k, "bounds of %s/%u: %s", k->names[t], partition, rd_kafka_err2str(err));
		return kafka_errno(err);
	}
	*ret_oldest = low;
	*ret_end = high;
	return 0;
}

static void kafka_bus_stats(struct bus *bus, struct bus_stats *ret)
{
	struct kafka_bus *k = kafka_of(bus);

	pthread_mutex_lock(&k->lock);
	*ret = (struct bus_stats){.refused = k->refused, .lost = k->lost, .expired = k->expired};
	kafka_stats_queued(k, &ret->messages, &ret->bytes);
	pthread_mutex_unlock(&k->lock);
}

static void kafka_why(struct bus *bus, char *text, size_t size)
{
	struct kafka_bus *k = kafka_of(bus);

	kafka_hear(k);
	pthread_mutex_lock(&k->lock);
	snprintf(text, size, "%s", k->why);
	pthread_mutex_unlock(&k->lock);
}

static const struct bus_ops kafka_ops = {
	.close = kafka_close,
	.partitions = kafka_partitions,
	.bounds = kafka_bounds,
	.stats = kafka_bus_stats,
	.why = kafka_why,
	.metrics = kafka_metrics,
	.producer_open = kafka_producer_open,
	.producer_close = kafka_producer_close,
	.begin = kafka_begin,
	.produce = kafka_produce,
	.commit = kafka_commit,
	.abort = kafka_abort,
	.reader_open = kafka_reader_open,
	.reader_close = kafka_reader_close,
	.read = kafka_read,
	.committed = kafka_committed,
	.seek = kafka_seek,
	.commit_positions = kafka_reader_commit,
	.caught_up = kafka_caught_up,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* What librdkafka says of itself every few seconds (its STATISTICS.md), as counters. */
#include <jansson.h>
#include <string.h>

#include "base/buf.h"
#include "base/table.h"
#include "bus/kafka.h"

enum where { TOP, BROKERS, BROKERS_MAX, LAG };

static const struct {
	const char *name; /* skyfall_bus_kafka_<name> */
	const char *path, *path2;
	enum where
		where; /* TOP: a member; BROKERS: summed over brokers; _MAX: the greatest; LAG: summed over partitions */
	bool counter;
	const char *help;
} rows[] = {
	{"queued_messages", "msg_cnt", NULL, TOP, false, "messages in the producer's queue"},
	{"queued_bytes", "msg_size", NULL, TOP, false, "their bytes"},
	{"replies_waiting", "replyq", NULL, TOP, false, "events the program has not taken"},
	{"produced_messages_total", "txmsgs", NULL, TOP, true, "messages sent to brokers"},
	{"produced_bytes_total", "txmsg_bytes", NULL, TOP, true, "their bytes before compression"},
	{"consumed_messages_total", "rxmsgs", NULL, TOP, true, "messages received from brokers"},
	{"consumed_bytes_total", "rxmsg_bytes", NULL, TOP, true, "their bytes"},
	{"requests_total", "tx", NULL, TOP, true, "requests to brokers"},
	{"sent_bytes_total", "tx_bytes", NULL, TOP, true, "bytes to brokers"},
	{"received_bytes_total", "rx_bytes", NULL, TOP, true, "bytes from brokers"},
	{"rebalances_total", "cgrp", "rebalance_cnt", TOP, true, "times partitions were handed out anew"},
	{"partitions", "cgrp", "assignment_size", TOP, false, "partitions assigned by the group"},
	{"lag_messages", "consumer_lag", NULL, LAG, false, "offsets between what was read and the end"},
	{"errors_total", "txerrs", NULL, BROKERS, true, "requests that failed"},
	{"retries_total", "txretries", NULL, BROKERS, true, "requests tried again"},
	{"timeouts_total", "req_timeouts", NULL, BROKERS, true, "requests nobody answered in time"},
	{"connects_total", "connects", NULL, BROKERS, true, "connection attempts"},
	{"disconnects_total", "disconnects", NULL, BROKERS, true, "connections lost or closed"},
	{"waiting_requests", "waitresp_cnt", NULL, BROKERS, false, "requests brokers have not answered yet"},
	{"queue_p99_us", "int_latency", "p99", BROKERS_MAX, false, "from produce to a request, us"},
	{"outbuf_p99_us", "outbuf_latency", "p99", BROKERS_MAX, false, "from a request to the socket, us"},
	{"rtt_p99_us", "rtt", "p99", BROKERS_MAX, false, "from a request to its answer, us"},
};
_Static_assert(ARRAY_LEN(rows) <= KAFKA_NUMBERS, "room for every row");

static uint64_t number(json_t *o, const char *path, const char *path2)
{
	json_t *v = json_object_get(o, path);
	json_int_t n;

	if (path2)
		v = json_object_get(v, path2);
	n = json_integer_value(v);
	return n > 0 ? (uint64_t)n : 0;
}

static uint64_t over_brokers(json_t *root, size_t row)
{
	uint64_t sum = 0, most = 0;
	const char *name;
	json_t *broker;

	json_object_foreach(json_object_get(root, "brokers"), name, broker)
	{
		uint64_t n = number(broker, rows[row].path, rows[row].path2);

		sum += n;
		most = n > most ? n : most;
	}
	return rows[row].where == BROKERS ? sum : most;
}

static uint64_t over_partitions(json_t *root, size_t row)
{
	json_t *topic, *partition;
	const char *name, *id;
	uint64_t sum = 0;

	json_object_foreach(json_object_get(root, "topics"), name, topic)
	{
		json_object_foreach(json_object_get(topic, "partitions"), id, partition) sum +=
			number(partition, rows[row].path, NULL);
	}
	return sum;
}

void kafka_stats_read(struct kafka_client *c, const char *json, size_t n)
{
	json_t *root = json_loadb(json, n, 0, NULL);

	for (size_t i = 0; root && i < ARRAY_LEN(rows); i++) {
		if (rows[i].where == TOP)
			c->now[i] = number(root, rows[i].path, rows[i].path2);
		else
			c->now[i] = rows[i].where == LAG ? over_partitions(root, i) : over_brokers(root, i);
	}
	json_decref(root);
}

void kafka_stats_renew(struct kafka_client *c)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].counter)
			c->before[i] += c->now[i];
		c->now[i] = 0;
	}
}

void kafka_stats_queued(const struct kafka_bus *k, uint64_t *ret_messages, uint64_t *ret_bytes)
{
	*ret_messages = *ret_bytes = 0;
	for (const struct kafka_client *c = k->clients; c; c = c->next) {
		*ret_messages += c->now[0];
		*ret_bytes += c->now[1];
	}
}

static void metric(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP skyfall_bus_kafka_%s %s\n# TYPE skyfall_bus_kafka_%s %s\n", name, help, name, type);
}

void kafka_metrics(struct bus *bus, struct buf *b)
{
	struct kafka_bus *k = kafka_of(bus);

	kafka_hear(k);
	pthread_mutex_lock(&k->lock);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		metric(b, rows[i].name, rows[i].counter ? "counter" : "gauge", rows[i].help);
		for (const struct kafka_client *c = k->clients; c; c = c->next)
			buf_printf(b, "skyfall_bus_kafka_%s{client=\"%s\"} %llu\n", rows[i].name, c->name,
				   (unsigned long long)(c->before[i] + c->now[i]));
	}
	metric(b, "refused_total", "counter", "produce calls answered with full");
	buf_printf(b, "skyfall_bus_kafka_refused_total %llu\n", (unsigned long long)k->refused);
	metric(b, "lost_total", "counter", "messages taken and never delivered");
	buf_printf(b, "skyfall_bus_kafka_lost_total %llu\n", (unsigned long long)k->lost);
	metric(b, "expired_total", "counter", "offsets a reader wanted and retention had removed");
	buf_printf(b, "skyfall_bus_kafka_expired_total %llu\n", (unsigned long long)k->expired);
	pthread_mutex_unlock(&k->lock);
}

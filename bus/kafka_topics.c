/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topics as DESIGN wants them. How long each keeps messages follows from who reads it: flows and partials only as long as
 * a graph may be away, edges and pairs as long as the store may be, the rest for people. A topic that is there is never
 * changed: with another count of partitions a conversation's two views would meet in different ones before and after.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/table.h"
#include "bus/kafka_conf.h"
#include "bus/topics.h"

#define PARTITIONS 12
#define REPLICATION 3
#define WAIT_MS 15000
#define HOUR_MS 3600000ll

static const struct {
	bool partitioned, compacted;
	int64_t retention_ms, least_ms; /* when made; below that --check complains */
} wanted[BUS_TOPICS] = {
	[BUS_FLOWS] = {true, false, 6 * HOUR_MS, HOUR_MS},
	[BUS_PARTIALS] = {true, false, 6 * HOUR_MS, HOUR_MS},
	[BUS_EDGES] = {true, false, 72 * HOUR_MS, HOUR_MS},
	[BUS_PAIRS] = {true, false, 24 * HOUR_MS, HOUR_MS},
	[BUS_HOSTS] = {false, true, 0, 0},
	[BUS_LEDGER] = {false, false, 168 * HOUR_MS, HOUR_MS},
	[BUS_SECURITY] = {false, false, 720 * HOUR_MS, HOUR_MS},
	[BUS_DEAD] = {false, false, 168 * HOUR_MS, HOUR_MS},
};

struct look {
	const struct topics_opts *opts;
	void (*say)(void *arg, bool good, const char *line);
	void *arg;
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;
	char names[BUS_TOPICS][KAFKA_NAME];
	unsigned partitions, replication; /* of those to be made */
	bool missing[BUS_TOPICS];
	int wrong;
	char *why;
	size_t why_len;
};

static void look_say(struct look *l, bool good, enum bus_topic t, const char *text)
{
	char line[512];

	snprintf(line, sizeof(line), "%s: %s", l->names[t], text);
	l->wrong += !good;
	l->say(l->arg, good, line);
}

static int look_failed(struct look *l, const char *what, const char *said)
{
	snprintf(l->why, l->why_len, "%s: %s", what, said);
	return -EIO;
}

static const struct rd_kafka_metadata_topic *look_topic(const struct rd_kafka_metadata *m, const char *name)
{
	for (int i = 0; i < m->topic_cnt; i++) {
		if (strcmp(m->topics[i].topic, name) == 0 && !m->topics[i].err)
			return &m->topics[i];
	}
	return NULL;
}

/* What new ones get, and existing ones are held against. */
static void look_counts(struct look *l, const struct rd_kafka_metadata *m)
{
	l->partitions = l->opts->partitions;
	for (unsigned t = 0; t < BUS_TOPICS && !l->partitions; t++) {
		const struct rd_kafka_metadata_topic *topic = look_topic(m, l->names[t]);

		if (topic && wanted[t].partitioned)
			l->partitions = (unsigned)topic->partition_cnt;
	}
	if (!l->partitions)
		l->partitions = PARTITIONS;
	l->replication = l->opts->replication;
	if (!l->replication)
		l->replication = m->broker_cnt < REPLICATION ? (unsigned)m->broker_cnt : REPLICATION;
}

static const char *entry(const rd_kafka_ConfigEntry_t **entries, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), name) == 0)
			return rd_kafka_ConfigEntry_value(entries[i]) ? rd_kafka_ConfigEntry_value(entries[i]) : "";
	}
	return "";
}

/* NULL: the settings will do. */
static const char *settings_wrong(enum bus_topic t, unsigned replicas, const rd_kafka_ConfigResource_t *res, char *text,
				  size_t size)
{
	size_t n;
	const rd_kafka_ConfigEntry_t **e = rd_kafka_ConfigResource_configs(res, &n);
	const char *policy = entry(e, n, "cleanup.policy"), *retention = entry(e, n, "retention.ms"),
		   *insync = entry(e, n, "min.insync.replicas");

	if (wanted[t].compacted != (strcmp(policy, "compact") == 0)) {
		snprintf(text, size, "cleanup.policy is %s, must be %s", policy,
			 wanted[t].compacted ? "compact" : "delete");
		return text;
	}
	if (!wanted[t].compacted && atoll(retention) >= 0 && atoll(retention) < wanted[t].least_ms) {
		snprintf(text, size, "retention.ms is %s: less than an hour, a reader that was away would miss some",
			 retention);
		return text;
	}
	if (replicas >= 3 && atoi(insync) < 2) {
		snprintf(text, size,
			 "min.insync.replicas is %s: a broker's disk could take acknowledged messages with it", insync);
		return text;
	}
	return NULL;
}

/* Settings of one topic from the brokers. */
static int look_settings(struct look *l, enum bus_topic t, unsigned replicas, const char **ret_wrong, char *text,
			 size_t size)
{
	rd_kafka_ConfigResource_t *res = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, l->names[t]);
	const rd_kafka_ConfigResource_t **got;
	rd_kafka_event_t *event;
	size_t n = 0;
	int r = 0;

	rd_kafka_DescribeConfigs(l->rk, &res, 1, NULL, l->queue);
	rd_kafka_ConfigResource_destroy(res);
	event = rd_kafka_queue_poll(l->queue, WAIT_MS);
	if (!event)
		return look_failed(l, l->names[t], "nobody answers what its settings are");
	if (rd_kafka_event_error(event)) {
		r = look_failed(l, l->names[t], rd_kafka_event_error_string(event));
	} else {
		got = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &n);
		if (n == 1 && !rd_kafka_ConfigResource_error(got[0]))
			*ret_wrong = settings_wrong(t, replicas, got[0], text, size);
		else
			r = look_failed(l, l->names[t],
					n ? rd_kafka_ConfigResource_error_string(got[0]) : "no settings");
	}
	rd_kafka_event_destroy(event);
	return r;
}

static int look_at(struct look *l, enum bus_topic t, const struct rd_kafka_metadata_topic *m)
{
	unsigned want = wanted[t].partitioned ? l->partitions : 1, have = (unsigned)m->partition_cnt;
	unsigned replicas = have ? (unsigned)m->partitions[0].replica_cnt : 0;
	const char *wrong = NULL;
	char text[256];
	int r = 0;

	if (have != want) {
		snprintf(
			text, sizeof(text),
			"%u partitions, must be %u: what belongs together would no longer meet. Refused: another count needs "
			"another prefix, or a stop and the topics deleted",
			have, want);
		wrong = text;
	} else if (l->opts->replication && replicas != l->opts->replication) {
		snprintf(text, sizeof(text), "%u replicas, not %u", replicas, l->opts->replication);
		wrong = text;
	} else {
		r = look_settings(l, t, replicas, &wrong, text, sizeof(text));
	}
	if (r < 0)
		return r;
	if (!wrong)
		snprintf(text, sizeof(text), "%u partition%s, %u replica%s", have, have == 1 ? "" : "s", replicas,
			 replicas == 1 ? "" : "s");
	look_say(l, !wrong, t, text);
	return 0;
}

static rd_kafka_NewTopic_t *topic_new(const struct look *l, enum bus_topic t, char *why, size_t why_len)
{
	rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(l->names[t], wanted[t].partitioned ? (int)l->partitions : 1,
							   (int)l->replication, why, why_len);
	char ms[32];

	if (!topic)
		return NULL;
	snprintf(ms, sizeof(ms), "%lld", (long long)wanted[t].retention_ms);
	rd_kafka_NewTopic_set_config(topic, "cleanup.policy", wanted[t].compacted ? "compact" : "delete");
	if (!wanted[t].compacted)
		rd_kafka_NewTopic_set_config(topic, "retention.ms", ms);
	rd_kafka_NewTopic_set_config(topic, "min.insync.replicas", l->replication >= 3 ? "2" : "1");
	rd_kafka_NewTopic_set_config(topic, "message.timestamp.type", "CreateTime");
	return topic;
}

/* What the brokers said to each. */
static int create_result(struct look *l, rd_kafka_event_t *event)
{
	const rd_kafka_topic_result_t **got;
	size_t n;

	if (!event)
		return look_failed(l, "topics", "nobody answers");
	if (rd_kafka_event_error(event))
		return look_failed(l, "topics", rd_kafka_event_error_string(event));
	got = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
	for (size_t i = 0; i < n; i++) {
		for (unsigned t = 0; t < BUS_TOPICS; t++) {
			char text[256];

			if (strcmp(l->names[t], rd_kafka_topic_result_name(got[i])) != 0)
				continue;
			if (rd_kafka_topic_result_error(got[i]))
				snprintf(text, sizeof(text), "not made: %s",
					 rd_kafka_topic_result_error_string(got[i]));
			else
				snprintf(text, sizeof(text), "made: %u partition%s, %u replica%s",
					 wanted[t].partitioned ? l->partitions : 1,
					 wanted[t].partitioned && l->partitions > 1 ? "s" : "", l->replication,
					 l->replication == 1 ? "" : "s");
			look_say(l, !rd_kafka_topic_result_error(got[i]), (enum bus_topic)t, text);
		}
	}
	return 0;
}

static bool made_all(struct look *l)
{
	const struct rd_kafka_metadata *m;
	bool all = true;

	if (rd_kafka_metadata(l->rk, 1, NULL, &m, WAIT_MS))
		return false;
	for (unsigned t = 0; t < BUS_TOPICS; t++) {
		const struct rd_kafka_metadata_topic *topic = look_topic(m, l->names[t]);

		all = all && topic && topic->partition_cnt > 0;
		for (int i = 0; all && i < topic->partition_cnt; i++)
			all = topic->partitions[i].leader >= 0;
	}
	rd_kafka_metadata_destroy(m);
	return all;
}

/* The controller has made them; the brokers hear of it a little later. */
static int look_made(struct look *l)
{
	const struct timespec step = {.tv_nsec = 50000000};
	int64_t until = clock_mono_us() + WAIT_MS * 1000;

	while (!made_all(l)) {
		if (clock_mono_us() > until)
			return look_failed(l, "topics", "made, but some partition has no leader yet");
		nanosleep(&step, NULL);
	}
	return 0;
}

static int look_create(struct look *l)
{
	rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(l->rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	rd_kafka_NewTopic_t *topics[BUS_TOPICS];
	rd_kafka_event_t *event;
	size_t n = 0;
	char text[256];
	int r = 0;

	/* The answer comes when all brokers know of them. */
	(void)rd_kafka_AdminOptions_set_operation_timeout(options, WAIT_MS, text, sizeof(text));
	for (unsigned t = 0; t < BUS_TOPICS && r == 0; t++) {
		if (!l->missing[t])
			continue;
		topics[n] = topic_new(l, (enum bus_topic)t, text, sizeof(text));
		if (topics[n])
			n++;
		else
			r = look_failed(l, l->names[t], text);
	}
	if (n && r == 0) {
		rd_kafka_CreateTopics(l->rk, topics, n, options, l->queue);
		event = rd_kafka_queue_poll(l->queue, 2 * WAIT_MS);
		r = create_result(l, event);
		if (event)
			rd_kafka_event_destroy(event);
	}
	rd_kafka_NewTopic_destroy_array(topics, n);
	rd_kafka_AdminOptions_destroy(options);
	return r;
}

static int look_all(struct look *l)
{
	const struct rd_kafka_metadata *m;
	rd_kafka_resp_err_t err = rd_kafka_metadata(l->rk, 1, NULL, &m, WAIT_MS);
	int r = 0;

	if (err)
		return look_failed(l, l->opts->brokers, rd_kafka_err2str(err));
	look_counts(l, m);
	for (unsigned t = 0; t < BUS_TOPICS && r == 0; t++) {
		const struct rd_kafka_metadata_topic *topic = look_topic(m, l->names[t]);

		l->missing[t] = !topic;
		if (topic)
			r = look_at(l, (enum bus_topic)t, topic);
		else if (!l->opts->create)
			look_say(l, false, (enum bus_topic)t, "missing");
	}
	rd_kafka_metadata_destroy(m);
	if (r == 0 && l->opts->create && l->wrong == 0)
		r = look_create(l);
	if (r == 0 && l->opts->create && l->wrong == 0)
		r = look_made(l);
	return r < 0 ? r : l->wrong;
}

int topics_look(const struct topics_opts *opts, void (*say)(void *arg, bool good, const char *line), void *arg,
		char *why, size_t why_len)
{
	struct look l = {.opts = opts, .say = say, .arg = arg, .why = why, .why_len = why_len};
	struct kafka_conf settings = {0};
	rd_kafka_conf_t *conf;
	int r = kafka_conf_load(&settings, opts->config, why, why_len);

	if (r < 0)
		return r;
	for (unsigned t = 0; t < BUS_TOPICS; t++)
		kafka_conf_topic(&settings, (enum bus_topic)t, l.names[t]);
	r = kafka_conf_make(&settings, KAFKA_ADMIN, opts->brokers, &conf, why, why_len);
	if (r < 0)
		goto out;
	(void)rd_kafka_conf_set(conf, "log_level", "2", NULL, 0); /* what went wrong is said once, here */
	l.rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, why_len);
	if (!l.rk) {
		rd_kafka_conf_destroy(conf);
		r = -EINVAL;
		goto out;
	}
	l.queue = rd_kafka_queue_new(l.rk);
	r = look_all(&l);
	rd_kafka_queue_destroy(l.queue);
	rd_kafka_destroy(l.rk);
out:
	kafka_conf_deinit(&settings);
	return r;
}

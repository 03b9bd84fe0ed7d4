/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of settings: a line is "key = value"; empty lines and what follows a # at the start of a line or after a blank
 * are passed over. `prefix` is ours: put before the name of each topic, group and transactional id, so that several fleets, or tests, share brokers.
 * Every other key is librdkafka's (its CONFIGURATION.md), checked when the bus is opened. The keys in `kept` are
 * refused: what the bus promises rests on them.
 */
#include "bus/kafka_conf.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/table.h"

#define SETTINGS_MAX 256
#define LINE_LEN 4096

#define ALL (1u << KAFKA_ADMIN | 1u << KAFKA_PLAIN | 1u << KAFKA_TXN | 1u << KAFKA_CONSUMER)
#define PRODUCERS (1u << KAFKA_PLAIN | 1u << KAFKA_TXN)

/* What the file may change. */
static const struct {
	const char *key, *value;
	unsigned kinds;
} defaults[] = {
	{"client.id", "skyfall", ALL},
	{"statistics.interval.ms", "5000", PRODUCERS | 1u << KAFKA_CONSUMER},
	{"reconnect.backoff.max.ms", "2000", ALL}, /* a broker that comes back is used soon */
	{"socket.keepalive.enable", "true", ALL},
	{"log.connection.close", "false", ALL},
	{"linger.ms", "100", PRODUCERS}, /* librdkafka's 5 makes small batches */
	{"compression.type", "lz4", PRODUCERS},
	{"batch.size", "1000000", PRODUCERS},
	{"batch.num.messages", "100000", PRODUCERS}, /* `batch.size` decides */
	{"queue.buffering.max.messages", "2000000", PRODUCERS},
	{"queue.buffering.max.kbytes", "262144", PRODUCERS}, /* the bound on memory */
	{"message.timeout.ms", "0", 1u << KAFKA_PLAIN},      /* waits for brokers as long as there is room */
	{"transaction.timeout.ms", "5000", 1u << KAFKA_TXN}, /* a dead process's holds up readers so long */
	{"fetch.wait.max.ms", "100", 1u << KAFKA_CONSUMER},  /* the end of a partition is known so much later */
	{"session.timeout.ms", "6000", 1u << KAFKA_CONSUMER},
	{"heartbeat.interval.ms", "2000", 1u << KAFKA_CONSUMER},
	/* Above queued.min.messages a partition pauses for a second: let bytes decide. */
	{"queued.min.messages", "1000000", 1u << KAFKA_CONSUMER},
	{"queued.max.messages.kbytes", "65536", 1u << KAFKA_CONSUMER},
};

/* What it may not. */
static const struct {
	const char *key, *value; /* NULL: given by the program */
	unsigned kinds;
} kept[] = {
	{"bootstrap.servers", NULL, 0},
	{"metadata.broker.list", NULL, 0},
	{"group.id", NULL, 0},
	{"transactional.id", NULL, 0},
	{"enable.idempotence", "true", PRODUCERS},
	{"delivery.report.only.error", "true", PRODUCERS},
	{"isolation.level", "read_committed", 1u << KAFKA_CONSUMER},
	{"enable.auto.commit", "false", 1u << KAFKA_CONSUMER},
	{"enable.auto.offset.store", "false", 1u << KAFKA_CONSUMER},
	{"enable.partition.eof", "true", 1u << KAFKA_CONSUMER},
	{"auto.offset.reset", "error",
	 1u << KAFKA_CONSUMER}, /* what retention removed is counted, never skipped in silence */
	{"partition.assignment.strategy", "cooperative-sticky", 1u << KAFKA_CONSUMER},
};

/* Without blanks around; an end put into the text. */
static char *conf_trim(char *p)
{
	size_t n;

	while (isspace((unsigned char)*p))
		p++;
	n = strlen(p);
	while (n && isspace((unsigned char)p[n - 1]))
		n--;
	p[n] = '\0';
	return p;
}

static int conf_add(struct kafka_conf *c, const char *key, const char *value, unsigned line)
{
	struct kafka_setting *s;

	if (!c->v)
		c->v = calloc(SETTINGS_MAX, sizeof(*c->v));
	if (!c->v)
		return -ENOMEM;
	s = &c->v[c->n];
	*s = (struct kafka_setting){.key = strdup(key), .value = strdup(value), .line = line};
	c->n++;
	return s->key && s->value ? 0 : -ENOMEM;
}

static int conf_prefix(struct kafka_conf *c, const char *value)
{
	if (strlen(value) >= sizeof(c->prefix) || strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
								"0123456789._-") != strlen(value))
		return -EINVAL;
	strcpy(c->prefix, value);
	return 0;
}

static int conf_line(struct kafka_conf *c, char *text, unsigned line, char *why, size_t why_len)
{
	char *key, *value, *equals;

	for (char *p = text; *p; p++) {
		if (*p == '#' && (p == text || isspace((unsigned char)p[-1]))) {
			*p = '\0';
			break;
		}
	}
	key = conf_trim(text);
	if (!*key)
		return 0;
	equals = strchr(key, '=');
	if (!equals || equals == key) {
		snprintf(why, why_len, "%s:%u: a line is 'key = value'", c->path, line);
		return -EINVAL;
	}
	*equals = '\0';
	key = conf_trim(key);
	value = conf_trim(equals + 1);
	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		if (strcmp(kept[i].key, key) == 0) {
			snprintf(why, why_len, "%s:%u: %s is not for this file: the bus sets it itself", c->path, line,
				 key);
			return -EINVAL;
		}
	}
	if (strcmp(key, "prefix") == 0) {
		if (conf_prefix(c, value) == 0)
			return 0;
		snprintf(why, why_len, "%s:%u: prefix: letters, digits and . _ - (less than %d)", c->path, line,
			 KAFKA_PREFIX);
		return -EINVAL;
	}
	if (c->n == SETTINGS_MAX) {
		snprintf(why, why_len, "%s:%u: more than %d settings", c->path, line, SETTINGS_MAX);
		return -EINVAL;
	}
	return conf_add(c, key, value, line);
}

int kafka_conf_load(struct kafka_conf *ret, const char *path, char *why, size_t why_len)
{
	struct kafka_conf c = {0};
	char line[LINE_LEN];
	FILE *file = NULL;
	int r = 0;

	if (!path) {
		*ret = c;
		return 0;
	}
	snprintf(why, why_len, "out of memory");
	c.path = strdup(path);
	if (!c.path)
		return -ENOMEM;
	file = fopen(path, "re");
	if (!file) {
		r = -errno;
		snprintf(why, why_len, "%s: %s", path, strerror(-r));
		goto out;
	}
	for (unsigned n = 1; r == 0 && fgets(line, sizeof(line), file); n++)
		r = conf_line(&c, line, n, why, why_len);
	if (r == 0 && ferror(file)) {
		r = -EIO;
		snprintf(why, why_len, "%s: cannot be read", path);
	}
	fclose(file);
out:
	if (r < 0)
		kafka_conf_deinit(&c);
	else
		*ret = c;
	return r;
}

void kafka_conf_deinit(struct kafka_conf *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->v[i].key);
		free(c->v[i].value);
	}
	free(c->v);
	free(c->path);
	*c = (struct kafka_conf){0};
}

int kafka_conf_make(const struct kafka_conf *c, enum kafka_kind kind, const char *brokers, rd_kafka_conf_t **ret,
		    char *why, size_t why_len)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char text[384];
	bool bad;

	bad = rd_kafka_conf_set(conf, "bootstrap.servers", brokers, text, sizeof(text)) != RD_KAFKA_CONF_OK;
	for (size_t i = 0; i < ARRAY_LEN(defaults) && !bad; i++) {
		if (defaults[i].kinds & 1u << kind)
			bad = rd_kafka_conf_set(conf, defaults[i].key, defaults[i].value, text, sizeof(text)) !=
			      RD_KAFKA_CONF_OK;
	}
	for (size_t i = 0; i < ARRAY_LEN(kept) && !bad; i++) {
		if (kept[i].kinds & 1u << kind)
			bad = rd_kafka_conf_set(conf, kept[i].key, kept[i].value, text, sizeof(text)) !=
			      RD_KAFKA_CONF_OK;
	}
	if (bad)
		snprintf(why, why_len, "%s", text);
	for (size_t i = 0; i < c->n && !bad; i++) {
		bad = rd_kafka_conf_set(conf, c->v[i].key, c->v[i].value, text, sizeof(text)) != RD_KAFKA_CONF_OK;
		if (bad)
			snprintf(why, why_len, "%s:%u: %s", c->path, c->v[i].line, text);
	}
	if (bad) {
		rd_kafka_conf_destroy(conf);
		return -EINVAL;
	}
	*ret = conf;
	return 0;
}

void kafka_conf_topic(const struct kafka_conf *c, enum bus_topic t, char name[KAFKA_NAME])
{
	snprintf(name, KAFKA_NAME, "%s%s", c->prefix, bus_topic_name(t));
}

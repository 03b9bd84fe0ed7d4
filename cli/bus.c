/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bus.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define KAFKA "kafka:"

const char *bus_brokers(const char *text)
{
	if (!text || strncmp(text, KAFKA, strlen(KAFKA)) != 0 || !text[strlen(KAFKA)])
		return NULL;
	return text + strlen(KAFKA);
}

int bus_open_kafka(struct bus **ret, const char *text, const char *config, char *why, size_t why_len)
{
	const struct bus_kafka_opts opts = {.brokers = bus_brokers(text), .config = config};
	char reason[900];
	int r;

	if (!opts.brokers) {
		snprintf(why, why_len, "--bus: '%s' is no bus: kafka:HOST:PORT[,HOST:PORT ...]", text);
		return -EINVAL;
	}
	r = bus_kafka_open(ret, &opts, reason, sizeof(reason));
	if (r < 0)
		snprintf(why, why_len, "the bus: %s", reason);
	return r;
}

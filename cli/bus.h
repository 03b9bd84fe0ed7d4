/* SPDX-License-Identifier: Apache-2.0 */
/* What --bus and --bus-config say. */
#pragma once

#include <stddef.h>

#include "bus/bus.h"

/* The brokers in "kafka:HOST:PORT[,HOST:PORT ...]"; NULL: it is no such text. */
const char *bus_brokers(const char *text);

/* Opens that Kafka bus. -errno with a sentence in `why`. */
int bus_open_kafka(struct bus **ret, const char *text, const char *config, char *why, size_t why_len);

/* For OPT_STRING rows of roles. */
#define BUS_OPTION_HELP "kafka:HOST:PORT[,HOST:PORT ...]: brokers to begin with"
#define BUS_CONFIG_HELP "settings of the bus: TLS, SASL, prefix and all others of librdkafka, 'key = value' a line"

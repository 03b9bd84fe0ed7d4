/* SPDX-License-Identifier: Apache-2.0 */
/* What every bus must do: the same tests on the memory bus (tests/unit) and on a real broker (tests/servers). */
#pragma once

#include <stddef.h>

#include "bus/bus.h"

#define SUITE_WAIT_MS 20000 /* a condition must be true by then */

struct bus_implementation {
	const char *name;
	/* Another, empty one each time. max_bytes: bounds what waits inside. */
	int (*open)(struct bus **ret, unsigned partitions, size_t max_bytes);
	int quiet_ms; /* nothing is there when nothing came for so long */
};

/* Failed tests. */
int bus_suite_run(const struct bus_implementation *impl);

struct bus *suite_bus(unsigned partitions);
struct bus_producer *suite_producer(struct bus *bus, const char *id);
struct bus_reader *suite_reader(struct bus *bus, const char *group, enum bus_topic t);
int suite_put(struct bus_producer *p, enum bus_topic t, unsigned part, const char *key, const char *value);
/* Reads until n messages came (or the deadline); they must be `want`, "value " each. */
void suite_expect(struct bus_reader *r, size_t n, const char *want);
void suite_expect_nothing(struct bus_reader *r);

/* SPDX-License-Identifier: Apache-2.0 */
/* The memory bus: what every bus must do (bus_suite.c), then what is its alone: bounds in bytes, retention, first offset. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bus/bus.h"
#include "tests/unit/bus_suite.h"

#define START 1700000000000000

static int open_memory(struct bus **ret, unsigned partitions, size_t max_bytes)
{
	const struct bus_memory_opts opts = {.partitions = partitions, .max_bytes = max_bytes, .start_us = START};

	return bus_memory_open(ret, &opts);
}

/* Who comes late sees each key once. */
static void memory_compacted_at_once(void **state)
{
	struct bus *bus = suite_bus(1);
	struct bus_producer *p = suite_producer(bus, NULL);
	struct bus_reader *r;

	assert_int_equal(suite_put(p, BUS_HOSTS, 0, "a", "1"), 0);
	assert_int_equal(suite_put(p, BUS_HOSTS, 0, "b", "1"), 0);
	assert_int_equal(suite_put(p, BUS_HOSTS, 0, "a", "2"), 0);
	assert_int_equal(suite_put(p, BUS_HOSTS, 0, "b", NULL), 0);
	assert_int_equal(suite_put(p, BUS_HOSTS, 0, "c", "3"), 0);
	r = suite_reader(bus, NULL, BUS_HOSTS);
	suite_expect(r, 2, "2 3 ");
	suite_expect_nothing(r);
	bus_reader_close(r);
	bus_producer_close(p);
	bus_close(bus);
}

/* Ever new keys and a group that never reads: the longest not said again go, nobody is refused. */
static void memory_compacted_full(void **state)
{
	struct bus *bus = suite_bus(1);
	struct bus_producer *p = suite_producer(bus, NULL);
	struct bus_reader *stuck = suite_reader(bus, "store", BUS_HOSTS), *r;
	struct bus_stats s;
	struct bus_msg m;
	char key[16], value[200];
	bool kept = false;
	int n = 0;

	memset(value, 'v', sizeof(value));
	for (int i = 0; i < 5000; i++) {
		snprintf(key, sizeof(key), "%d", i);
		assert_int_equal(bus_produce(p, BUS_HOSTS, 0, key, strlen(key), value, sizeof(value)), 0);
		assert_int_equal(suite_put(p, BUS_HOSTS, 0, "again", "and again"), 0);
	}
	bus_stats(bus, &s);
	assert_true(s.bytes <= (8u << 20) / 100 * 5 + 1);
	r = suite_reader(bus, NULL, BUS_HOSTS);
	while (bus_read(r, &m, 1, 0) == 1) {
		kept |= m.key_len == 5 && memcmp(m.key, "again", 5) == 0;
		n++;
	}
	assert_true(kept);
	assert_int_equal(s.evicted + (uint64_t)n, 5001);
	assert_int_equal(s.messages, n);
	assert_int_equal(s.refused, 0);
	bus_reader_close(r);
	bus_reader_close(stuck);
	bus_producer_close(p);
	bus_close(bus);
}

static void memory_first_offset(void **state)
{
	struct bus *bus = suite_bus(3);
	struct bus_producer *p = suite_producer(bus, NULL);
	struct bus_reader *r = suite_reader(bus, NULL, BUS_PAIRS);
	struct bus_msg m;

	assert_int_equal(suite_put(p, BUS_PAIRS, 2, "", "x"), 0);
	assert_int_equal(bus_read(r, &m, 1, SUITE_WAIT_MS), 1);
	assert_int_equal(m.offset, START);
	bus_reader_close(r);
	bus_producer_close(p);
	bus_close(bus);
}

static void memory_full_and_free(void **state)
{
	static char value[1000];
	struct bus *bus = NULL;
	struct bus_producer *p;
	struct bus_reader *r;
	struct bus_msg m[1];
	struct bus_position pos = {.topic = BUS_FLOWS};
	int64_t oldest, end;
	struct bus_stats st;
	int n = 0, k;

	assert_int_equal(open_memory(&bus, 1, 100000), 0);
	p = suite_producer(bus, NULL);
	r = suite_reader(bus, "g", BUS_FLOWS);
	while (bus_produce(p, BUS_FLOWS, 0, NULL, 0, value, sizeof(value)) == 0)
		n++;
	assert_in_range(n, 35, 45); /* 45 % of the bytes */
	bus_stats(bus, &st);
	assert_int_equal(st.messages, n);
	assert_true(st.refused >= 1);
	assert_int_equal(suite_put(p, BUS_EDGES, 0, "", "others have their own"), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(bus_read(r, m, 1, SUITE_WAIT_MS), 1);
	assert_int_equal(bus_produce(p, BUS_FLOWS, 0, NULL, 0, value, sizeof(value)),
			 -EAGAIN); /* read is not committed */
	pos.offset = m[0].offset + 1;
	assert_int_equal(bus_commit_positions(r, &pos, 1), 0);
	for (k = 0; bus_produce(p, BUS_FLOWS, 0, NULL, 0, value, sizeof(value)) == 0; k++)
		;
	assert_in_range(k, 10, 11);
	assert_int_equal(bus_bounds(bus, BUS_FLOWS, 0, &oldest, &end), 0);
	assert_true(oldest > START && oldest <= pos.offset); /* a little history stays */
	assert_int_equal(end, START + n + k);
	bus_producer_close(p);
	bus_reader_close(r);
	bus_close(bus);
}

/* A transaction larger than the room left goes through once readers have drained the topic: it never waits for ever. */
static void memory_large_transaction(void **state)
{
	static char value[1000];
	struct bus *bus = NULL;
	struct bus_producer *p, *q;
	struct bus_reader *r;

	assert_int_equal(open_memory(&bus, 1, 100000), 0);
	p = suite_producer(bus, "p");
	q = suite_producer(bus, NULL);
	r = suite_reader(bus, "g", BUS_PARTIALS);
	assert_int_equal(bus_begin(p), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(bus_produce(p, BUS_PARTIALS, 0, NULL, 0, value, sizeof(value)), 0);
	assert_int_equal(suite_put(q, BUS_PARTIALS, 0, "", "x"), -EAGAIN);
	assert_int_equal(bus_commit(p, NULL, NULL, 0), 0);
	assert_int_equal(bus_begin(p), 0);
	assert_int_equal(suite_put(p, BUS_PARTIALS, 0, "", "x"), -EAGAIN);
	assert_int_equal(bus_abort(p), 0);
	bus_producer_close(p);
	bus_producer_close(q);
	bus_reader_close(r);
	bus_close(bus);
}

/* Nobody reads the dead letters: the topic keeps what fits and never refuses; a group that comes gets what is left. */
static void memory_no_group(void **state)
{
	static char value[1000];
	struct bus *bus = NULL;
	struct bus_producer *p;
	struct bus_reader *r;
	struct bus_stats st;
	struct bus_msg m;

	assert_int_equal(open_memory(&bus, 1, 1000000), 0);
	p = suite_producer(bus, NULL);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(bus_produce(p, BUS_DEAD, 0, NULL, 0, value, sizeof(value)), 0);
	bus_stats(bus, &st);
	assert_true(st.bytes <= 22000 && st.messages >= 10);
	r = suite_reader(bus, "g", BUS_DEAD);
	assert_int_equal(bus_read(r, &m, 1, SUITE_WAIT_MS), 1);
	assert_int_equal(m.offset, START + 1000 - (int64_t)st.messages);
	while (bus_produce(p, BUS_DEAD, 0, NULL, 0, value, sizeof(value)) == 0)
		;
	assert_int_equal(bus_seek(r, BUS_DEAD, 0, 0), 0);
	assert_int_equal(bus_read(r, &m, 1, SUITE_WAIT_MS), 1);
	assert_int_equal(m.offset, START + 1000 - (int64_t)st.messages); /* all of it is still there */
	bus_producer_close(p);
	bus_reader_close(r);
	bus_close(bus);
}

static void memory_bad_options(void **state)
{
	struct bus *bus = NULL;

	assert_int_equal(open_memory(&bus, 0, 100), -EINVAL);
	assert_int_equal(open_memory(&bus, 5000, 100), -EINVAL);
	assert_int_equal(open_memory(&bus, 1, 0), -EINVAL);
	assert_null(bus);
	bus_close(NULL);
	bus_reader_close(NULL);
	bus_producer_close(NULL);
	assert_string_equal(bus_topic_name(BUS_FLOWS), "skyfall.flows");
}

int main(void)
{
	static const struct bus_implementation implementation = {"memory", open_memory, 0};
	static const struct CMUnitTest memory[] = {
		cmocka_unit_test(memory_first_offset),      cmocka_unit_test(memory_full_and_free),
		cmocka_unit_test(memory_large_transaction), cmocka_unit_test(memory_no_group),
		cmocka_unit_test(memory_bad_options),       cmocka_unit_test(memory_compacted_full),
		cmocka_unit_test(memory_compacted_at_once),
	};
	int failed = bus_suite_run(&implementation);

	return failed + cmocka_run_group_tests_name("memory alone", memory, NULL, NULL);
}

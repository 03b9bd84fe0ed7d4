/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every bus must do. The suite opens its bus through `implementations`: another one (a broker) is a line there.
 * Only tests named memory_* look at what belongs to the memory bus alone: bounds in bytes, retention, first offset.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/table.h"
#include "bus/bus.h"

#define START 1700000000000000
#define WAIT_MS 5000

struct implementation {
	const char *name;
	int (*open)(struct bus **ret, unsigned partitions, size_t max_bytes);
};

static int open_memory(struct bus **ret, unsigned partitions, size_t max_bytes)
{
	const struct bus_memory_opts opts = {.partitions = partitions, .max_bytes = max_bytes, .start_us = START};

	return bus_memory_open(ret, &opts);
}

static const struct implementation implementations[] = {{"memory", open_memory}};
static const struct implementation *impl = &implementations[0];

static struct bus *open_bus(unsigned partitions)
{
	struct bus *bus = NULL;

	assert_int_equal(impl->open(&bus, partitions, 8 << 20), 0);
	return bus;
}

static struct bus_producer *open_producer(struct bus *bus)
{
	struct bus_producer *p = NULL;

	assert_int_equal(bus_producer_open(&p, bus, "test"), 0);
	return p;
}

static struct bus_reader *open_reader(struct bus *bus, const char *group, enum bus_topic t)
{
	struct bus_reader *r = NULL;

	assert_int_equal(bus_reader_open(&r, bus, group, &t, 1, NULL), 0);
	return r;
}

static int put(struct bus_producer *p, enum bus_topic t, unsigned part, const char *key, const char *value)
{
	return bus_produce(p, t, part, key, strlen(key), value, value ? strlen(value) : 0);
}

/* Reads until n messages came (or the deadline); appends "value " each to text. */
static void expect(struct bus_reader *r, size_t n, const char *want)
{
	int64_t until = clock_mono_us() + WAIT_MS * 1000;
	struct bus_msg msgs[16];
	char text[512] = "";
	size_t got = 0;

	while (got < n && clock_mono_us() < until) {
		int k = bus_read(r, msgs, n - got < 16 ? n - got : 16, 50);

		assert_true(k >= 0);
		for (int i = 0; i < k; i++)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.*s ", (int)msgs[i].value_len,
				 msgs[i].value ? (const char *)msgs[i].value : "");
		got += (size_t)k;
	}
	assert_string_equal(text, want);
}

static void expect_nothing(struct bus_reader *r)
{
	struct bus_msg msg;

	assert_int_equal(bus_read(r, &msg, 1, 0), 0);
}

static void order_and_offsets(void **state)
{
	struct bus *bus = open_bus(2);
	struct bus_producer *p = open_producer(bus);
	struct bus_reader *r = open_reader(bus, NULL, BUS_FLOWS);
	struct bus_msg msgs[8];
	int64_t last[2] = {-1, -1}, oldest, end;

	assert_int_equal(bus_partitions(bus, BUS_FLOWS), 2);
	assert_int_equal(bus_partition(bus, BUS_FLOWS, 7), 1);
	for (int i = 0; i < 6; i++) {
		char text[8];

		snprintf(text, sizeof(text), "m%d", i);
		assert_int_equal(put(p, BUS_FLOWS, (unsigned)i % 2, "k", text), 0);
	}
	for (size_t got = 0; got < 6;) {
		int n = bus_read(r, msgs, 8, WAIT_MS);

		assert_true(n > 0);
		for (int i = 0; i < n; i++) {
			assert_true(msgs[i].offset > last[msgs[i].partition]);
			last[msgs[i].partition] = msgs[i].offset;
			assert_int_equal(msgs[i].key_len, 1);
		}
		got += (size_t)n;
	}
	expect_nothing(r);
	assert_true(bus_caught_up(r));
	assert_int_equal(bus_bounds(bus, BUS_FLOWS, 1, &oldest, &end), 0);
	assert_int_equal(end, last[1] + 1);
	assert_int_equal(bus_bounds(bus, BUS_FLOWS, 2, &oldest, &end), -EINVAL);
	assert_int_equal(put(p, BUS_FLOWS, 2, "k", "x"), -EINVAL);
	bus_reader_close(r);
	bus_producer_close(p);
	bus_close(bus);
}

static void transactions(void **state)
{
	struct bus *bus = open_bus(1);
	struct bus_producer *p = open_producer(bus), *q = open_producer(bus);
	struct bus_reader *e = open_reader(bus, NULL, BUS_EDGES), *l = open_reader(bus, NULL, BUS_LEDGER);

	assert_int_equal(bus_begin(p), 0);
	assert_int_equal(put(p, BUS_EDGES, 0, "", "a"), 0);
	assert_int_equal(put(p, BUS_LEDGER, 0, "", "l"), 0);
	assert_int_equal(put(q, BUS_EDGES, 0, "", "outside"), 0);
	expect(e, 1, "outside ");
	expect_nothing(e);
	expect_nothing(l);
	assert_int_equal(bus_commit(p, NULL, NULL, 0), 0);
	expect(e, 1, "a ");
	expect(l, 1, "l ");
	assert_int_equal(bus_begin(p), 0);
	assert_int_equal(put(p, BUS_EDGES, 0, "", "gone"), 0);
	assert_int_equal(bus_abort(p), 0);
	assert_int_equal(bus_begin(p), 0);
	assert_int_equal(put(p, BUS_EDGES, 0, "", "gone too"), 0);
	bus_producer_close(p);
	assert_int_equal(put(q, BUS_EDGES, 0, "", "z"), 0);
	expect(e, 1, "z ");
	bus_producer_close(q);
	bus_reader_close(e);
	bus_reader_close(l);
	bus_close(bus);
}

static void committed_positions(void **state)
{
	struct bus *bus = open_bus(1);
	struct bus_producer *p = open_producer(bus);
	struct bus_reader *r = open_reader(bus, "g", BUS_FLOWS);
	struct bus_position pos;
	struct bus_msg m[3];

	for (const char *v = "abc"; *v; v++)
		assert_int_equal(bus_produce(p, BUS_FLOWS, 0, NULL, 0, v, 1), 0);
	assert_int_equal(bus_committed(r, BUS_FLOWS, 0, &pos), 0);
	assert_int_equal(pos.offset, -1);
	assert_int_equal(bus_read(r, m, 3, WAIT_MS), 3);
	assert_int_equal(bus_begin(p), 0);
	assert_int_equal(put(p, BUS_PARTIALS, 0, "", "out"), 0);
	pos = (struct bus_position){.topic = BUS_FLOWS, .offset = m[1].offset, .metadata = "1 22 33"};
	assert_int_equal(bus_commit(p, r, &pos, 1), 0);
	bus_reader_close(r);

	r = open_reader(bus, "g", BUS_FLOWS); /* where the former one had committed */
	expect(r, 2, "b c ");
	assert_int_equal(bus_committed(r, BUS_FLOWS, 0, &pos), 0);
	assert_string_equal(pos.metadata, "1 22 33");
	assert_int_equal(bus_seek(r, BUS_FLOWS, 0, pos.offset + 1), 0);
	expect(r, 1, "c ");
	pos.offset++;
	assert_int_equal(bus_begin(p), 0); /* an abort leaves positions alone */
	assert_int_equal(bus_abort(p), 0);
	assert_int_equal(bus_commit_positions(r, &pos, 1), 0);
	bus_reader_close(r);
	r = open_reader(bus, "g", BUS_FLOWS);
	expect(r, 1, "c ");
	bus_reader_close(r);
	r = open_reader(bus, "other", BUS_PARTIALS);
	expect(r, 1, "out ");
	bus_reader_close(r);
	bus_producer_close(p);
	bus_close(bus);
}

struct seen {
	struct bus_reader *r;
	unsigned have; /* bits 1 << partition */
	unsigned came, went;
};

static void seen_assigned(void *arg, enum bus_topic t, unsigned partition)
{
	struct seen *s = arg;

	assert_int_equal(t, BUS_FLOWS);
	assert_false(s->have & 1u << partition);
	s->have |= 1u << partition;
	s->came++;
}

static void seen_revoked(void *arg, enum bus_topic t, unsigned partition)
{
	struct seen *s = arg;

	assert_true(s->have & 1u << partition);
	s->have &= ~(1u << partition);
	s->went++;
}

static void seen_open(struct seen *s, struct bus *bus)
{
	const struct bus_events ev = {seen_assigned, seen_revoked, s};
	enum bus_topic t = BUS_FLOWS;

	*s = (struct seen){0};
	assert_int_equal(bus_reader_open(&s->r, bus, "g", &t, 1, &ev), 0);
}

static void group_shares_partitions(void **state)
{
	struct bus *bus = open_bus(4);
	struct bus_producer *p = open_producer(bus);
	struct seen a, b;
	struct bus_msg m[8];
	struct bus_position pos = {.topic = BUS_FLOWS, .partition = 1};
	int64_t until = clock_mono_us() + WAIT_MS * 1000;
	unsigned lost;

	seen_open(&a, bus);
	while (a.have != 0xf && clock_mono_us() < until)
		assert_int_equal(bus_read(a.r, m, 8, 1), 0);
	assert_int_equal(a.have, 0xf);
	seen_open(&b, bus);
	while ((a.have | b.have << 8) == 0xf || (a.have ^ b.have) != 0xf) {
		assert_true(clock_mono_us() < until);
		assert_int_equal(a.have & b.have, 0);
		assert_int_equal(bus_read(a.r, m, 8, 1), 0);
		assert_int_equal(bus_read(b.r, m, 8, 1), 0);
	}
	assert_int_equal(__builtin_popcount(b.have), 2);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(put(p, BUS_FLOWS, i, "", "v"), 0);
	expect(a.r, 2, "v v ");
	expect(b.r, 2, "v v ");

	/* who lost a partition commits nothing for it, and nothing of that transaction is seen */
	lost = (unsigned)__builtin_ctz(b.have);
	pos.partition = lost;
	assert_int_equal(bus_bounds(bus, BUS_FLOWS, lost, &pos.offset, &until), 0);
	assert_int_equal(bus_begin(p), 0);
	assert_int_equal(put(p, BUS_EDGES, 0, "", "no"), 0);
	assert_int_equal(bus_commit(p, a.r, &pos, 1), -ESTALE);
	assert_int_equal(bus_commit_positions(a.r, &pos, 1), -ESTALE);
	struct bus_reader *e = open_reader(bus, NULL, BUS_EDGES);

	expect_nothing(e);
	bus_reader_close(e);

	/* one leaves: the other reads again from what was committed (nothing) */
	bus_reader_close(b.r);
	expect(a.r, 2, "v v ");
	assert_int_equal(a.have, 0xf);
	assert_int_equal(a.went, 2);
	bus_reader_close(a.r);
	bus_producer_close(p);
	bus_close(bus);
}

static void two_groups(void **state)
{
	struct bus *bus = open_bus(1);
	struct bus_producer *p = open_producer(bus);
	struct bus_reader *a = open_reader(bus, "a", BUS_EDGES), *b = open_reader(bus, "b", BUS_EDGES);

	assert_int_equal(put(p, BUS_EDGES, 0, "", "1"), 0);
	expect(a, 1, "1 ");
	expect(b, 1, "1 ");
	bus_reader_close(a);
	bus_reader_close(b);
	bus_producer_close(p);
	bus_close(bus);
}

static void compacted(void **state)
{
	struct bus *bus = open_bus(1);
	struct bus_producer *p = open_producer(bus);
	struct bus_reader *r = open_reader(bus, NULL, BUS_HOSTS), *late;
	struct bus_msg m;

	assert_int_equal(put(p, BUS_HOSTS, 0, "a", "1"), 0);
	assert_int_equal(put(p, BUS_HOSTS, 0, "b", "1"), 0);
	expect(r, 2, "1 1 ");
	assert_int_equal(put(p, BUS_HOSTS, 0, "a", "2"), 0);
	assert_int_equal(put(p, BUS_HOSTS, 0, "b", NULL), 0);
	assert_int_equal(put(p, BUS_HOSTS, 0, "c", "3"), 0);
	assert_int_equal(put(p, BUS_HOSTS, 0, "", "x"), -EINVAL);
	assert_int_equal(put(p, BUS_EDGES, 0, "k", NULL), -EINVAL);
	assert_int_equal(bus_read(r, &m, 1, WAIT_MS), 1);
	assert_memory_equal(m.value, "2", 1);
	assert_int_equal(bus_read(r, &m, 1, WAIT_MS), 1);
	assert_null(m.value); /* the tombstone */
	assert_memory_equal(m.key, "b", 1);
	expect(r, 1, "3 ");
	late = open_reader(bus, NULL, BUS_HOSTS);
	assert_false(bus_caught_up(late));
	expect(late, 2, "2 3 ");
	assert_true(bus_caught_up(late));
	bus_reader_close(late);
	bus_reader_close(r);
	bus_producer_close(p);
	bus_close(bus);
}

/* Ever new keys and a group that never reads: the longest not said again go, nobody is refused. */
static void memory_compacted_full(void **state)
{
	struct bus *bus = open_bus(1);
	struct bus_producer *p = open_producer(bus);
	struct bus_reader *stuck = open_reader(bus, "store", BUS_HOSTS), *r;
	struct bus_stats s;
	struct bus_msg m;
	char key[16], value[200];
	bool kept = false;
	int n = 0;

	memset(value, 'v', sizeof(value));
	for (int i = 0; i < 5000; i++) {
		snprintf(key, sizeof(key), "%d", i);
		assert_int_equal(bus_produce(p, BUS_HOSTS, 0, key, strlen(key), value, sizeof(value)), 0);
		assert_int_equal(put(p, BUS_HOSTS, 0, "again", "and again"), 0);
	}
	bus_stats(bus, &s);
	assert_true(s.bytes <= (8u << 20) / 100 * 5 + 1);
	r = open_reader(bus, NULL, BUS_HOSTS);
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

/* Many keys, many rounds, against a plain array. */
static void compacted_many(void **state)
{
	struct bus *bus = open_bus(1);
	struct bus_producer *p = open_producer(bus);
	struct bus_reader *r;
	int want[97] = {0}, got[97] = {0};
	struct bus_msg m[16];
	unsigned x = 1;
	int n;

	for (int i = 1; i < 5000; i++) {
		char key[8], value[16];

		x = x * 1103515245u + 12345u;
		snprintf(key, sizeof(key), "%u", x / 65536 % 97);
		snprintf(value, sizeof(value), "%d", i);
		want[x / 65536 % 97] = x / 65536 % 5 ? i : 0;
		assert_int_equal(put(p, BUS_HOSTS, 0, key, x / 65536 % 5 ? value : NULL), 0);
	}
	r = open_reader(bus, NULL, BUS_HOSTS);
	while ((n = bus_read(r, m, 16, 0)) > 0) {
		for (int i = 0; i < n; i++) {
			char key[8] = "", value[16] = "";

			memcpy(key, m[i].key, m[i].key_len);
			if (m[i].value)
				memcpy(value, m[i].value, m[i].value_len);
			got[atoi(key)] = atoi(value);
		}
	}
	assert_memory_equal(got, want, sizeof(want));
	bus_reader_close(r);
	bus_producer_close(p);
	bus_close(bus);
}

static void *late_producer(void *arg)
{
	struct bus_producer *p = open_producer(arg);

	assert_int_equal(put(p, BUS_FLOWS, 0, "", "woken"), 0);
	bus_producer_close(p);
	return NULL;
}

static void blocking_read(void **state)
{
	struct bus *bus = open_bus(1);
	struct bus_reader *r = open_reader(bus, "g", BUS_FLOWS);
	int64_t t = clock_mono_us();
	struct bus_msg m;
	pthread_t th;

	assert_int_equal(bus_read(r, &m, 1, 30), 0);
	assert_true(clock_mono_us() - t >= 29000);
	assert_int_equal(pthread_create(&th, NULL, late_producer, bus), 0);
	assert_int_equal(bus_read(r, &m, 1, WAIT_MS), 1);
	assert_memory_equal(m.value, "woken", 5);
	pthread_join(th, NULL);
	bus_reader_close(r);
	bus_close(bus);
}

#define MANY 20000

static void *many_producer(void *arg)
{
	struct bus_producer *p = open_producer(arg);

	for (uint32_t i = 0; i < MANY; i++) {
		int r;

		if (i % 100 == 0)
			assert_int_equal(bus_begin(p), 0);
		while ((r = bus_produce(p, BUS_FLOWS, i % 4, NULL, 0, &i, sizeof(i))) == -EAGAIN)
			sched_yield();
		assert_int_equal(r, 0);
		if (i % 100 == 99)
			assert_int_equal(bus_commit(p, NULL, NULL, 0), 0);
	}
	bus_producer_close(p);
	return NULL;
}

/* Two writers in transactions, a bus much smaller than what passes: each message once, transactions unbroken. */
static void threads_and_bound(void **state)
{
	struct bus *bus = NULL;
	struct bus_reader *r;
	struct bus_stats st;
	struct bus_msg m[64];
	pthread_t th[2];
	uint64_t sum = 0, count = 0;
	int64_t until = clock_mono_us() + 60 * 1000000;

	assert_int_equal(impl->open(&bus, 4, 256 << 10), 0);
	r = open_reader(bus, "g", BUS_FLOWS);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&th[i], NULL, many_producer, bus), 0);
	while (count < 2 * MANY && clock_mono_us() < until) {
		int n = bus_read(r, m, 64, 100);

		for (int i = 0; i < n; i++) {
			struct bus_position pos = {
				.topic = BUS_FLOWS, .partition = m[i].partition, .offset = m[i].offset + 1};
			uint32_t v;

			memcpy(&v, m[i].value, sizeof(v));
			sum += v;
			count++;
			assert_int_equal(bus_commit_positions(r, &pos, 1), 0);
		}
		bus_stats(bus, &st);
		assert_true(st.bytes < 512 << 10);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(th[i], NULL);
	assert_int_equal(count, 2 * MANY);
	assert_int_equal(sum, (uint64_t)MANY * (MANY - 1));
	bus_reader_close(r);
	bus_close(bus);
}

/* --- the memory bus alone */

static void memory_first_offset(void **state)
{
	struct bus *bus = open_bus(3);
	struct bus_producer *p = open_producer(bus);
	struct bus_reader *r = open_reader(bus, NULL, BUS_PAIRS);
	struct bus_msg m;

	assert_int_equal(put(p, BUS_PAIRS, 2, "", "x"), 0);
	assert_int_equal(bus_read(r, &m, 1, WAIT_MS), 1);
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
	p = open_producer(bus);
	r = open_reader(bus, "g", BUS_FLOWS);
	while (bus_produce(p, BUS_FLOWS, 0, NULL, 0, value, sizeof(value)) == 0)
		n++;
	assert_in_range(n, 35, 45); /* 45 % of the bytes */
	bus_stats(bus, &st);
	assert_int_equal(st.messages, n);
	assert_true(st.refused >= 1);
	assert_int_equal(put(p, BUS_EDGES, 0, "", "others have their own"), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(bus_read(r, m, 1, WAIT_MS), 1);
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
	p = open_producer(bus);
	q = open_producer(bus);
	r = open_reader(bus, "g", BUS_PARTIALS);
	assert_int_equal(bus_begin(p), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(bus_produce(p, BUS_PARTIALS, 0, NULL, 0, value, sizeof(value)), 0);
	assert_int_equal(put(q, BUS_PARTIALS, 0, "", "x"), -EAGAIN);
	assert_int_equal(bus_commit(p, NULL, NULL, 0), 0);
	assert_int_equal(bus_begin(p), 0);
	assert_int_equal(put(p, BUS_PARTIALS, 0, "", "x"), -EAGAIN);
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
	p = open_producer(bus);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(bus_produce(p, BUS_DEAD, 0, NULL, 0, value, sizeof(value)), 0);
	bus_stats(bus, &st);
	assert_true(st.bytes <= 22000 && st.messages >= 10);
	r = open_reader(bus, "g", BUS_DEAD);
	assert_int_equal(bus_read(r, &m, 1, WAIT_MS), 1);
	assert_int_equal(m.offset, START + 1000 - (int64_t)st.messages);
	while (bus_produce(p, BUS_DEAD, 0, NULL, 0, value, sizeof(value)) == 0)
		;
	assert_int_equal(bus_seek(r, BUS_DEAD, 0, 0), 0);
	assert_int_equal(bus_read(r, &m, 1, WAIT_MS), 1);
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
	static const struct CMUnitTest every[] = {
		cmocka_unit_test(order_and_offsets),
		cmocka_unit_test(transactions),
		cmocka_unit_test(committed_positions),
		cmocka_unit_test(group_shares_partitions),
		cmocka_unit_test(two_groups),
		cmocka_unit_test(compacted),
		cmocka_unit_test(compacted_many),
		cmocka_unit_test(blocking_read),
		cmocka_unit_test(memory_compacted_full),
		cmocka_unit_test(threads_and_bound),
	};
	static const struct CMUnitTest memory[] = {
		cmocka_unit_test(memory_first_offset),      cmocka_unit_test(memory_full_and_free),
		cmocka_unit_test(memory_large_transaction), cmocka_unit_test(memory_no_group),
		cmocka_unit_test(memory_bad_options),
	};
	int failed = 0;

	for (size_t i = 0; i < ARRAY_LEN(implementations); i++) {
		impl = &implementations[i];
		failed += cmocka_run_group_tests_name(impl->name, every, NULL, NULL);
	}
	return failed + cmocka_run_group_tests_name("memory alone", memory, NULL, NULL);
}

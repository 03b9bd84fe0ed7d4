/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/bus_suite.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

static const struct bus_implementation *impl;

struct bus *suite_bus(unsigned partitions)
{
	struct bus *bus = NULL;

	assert_int_equal(impl->open(&bus, partitions, 8 << 20), 0);
	return bus;
}

struct bus_producer *suite_producer(struct bus *bus, const char *id)
{
	struct bus_producer *p = NULL;

	assert_int_equal(bus_producer_open(&p, bus, id), 0);
	return p;
}

struct bus_reader *suite_reader(struct bus *bus, const char *group, enum bus_topic t)
{
	struct bus_reader *r = NULL;

	assert_int_equal(bus_reader_open(&r, bus, group, &t, 1, NULL), 0);
	return r;
}

int suite_put(struct bus_producer *p, enum bus_topic t, unsigned part, const char *key, const char *value)
{
	return bus_produce(p, t, part, key, strlen(key), value, value ? strlen(value) : 0);
}

void suite_expect(struct bus_reader *r, size_t n, const char *want)
{
	int64_t until = clock_mono_us() + SUITE_WAIT_MS * 1000;
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

void suite_expect_nothing(struct bus_reader *r)
{
	struct bus_msg msg;

	assert_int_equal(bus_read(r, &msg, 1, impl->quiet_ms), 0);
}

/* Reads until what was there is read: of each key the last value, "key=value " in the order of keys a, b, ... */
static void expect_last(struct bus_reader *r, const char *want)
{
	int64_t until = clock_mono_us() + SUITE_WAIT_MS * 1000;
	char last['z' + 1][16] = {{0}}, text[512] = "";
	struct bus_msg m;

	for (int n = 1; n > 0 || !bus_caught_up(r);) {
		assert_true(clock_mono_us() < until);
		n = bus_read(r, &m, 1, 50);
		assert_true(n >= 0);
		if (n == 0)
			continue;
		assert_int_equal(m.key_len, 1);
		snprintf(last[*(const uint8_t *)m.key % ('z' + 1)], 16, "%.*s", (int)m.value_len,
			 m.value ? (const char *)m.value : "");
	}
	for (int c = 'a'; c <= 'z'; c++) {
		if (last[c][0])
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%c=%s ", c, last[c]);
	}
	assert_string_equal(text, want);
}

static void order_and_offsets(void **state)
{
	struct bus *bus = suite_bus(2);
	struct bus_producer *p = suite_producer(bus, NULL);
	struct bus_reader *r = suite_reader(bus, NULL, BUS_FLOWS);
	struct bus_msg msgs[8];
	int64_t last[2] = {-1, -1}, oldest, end;

	assert_int_equal(bus_partitions(bus, BUS_FLOWS), 2);
	assert_int_equal(bus_partition(bus, BUS_FLOWS, 7), 1);
	for (int i = 0; i < 6; i++) {
		char text[8];

		snprintf(text, sizeof(text), "m%d", i);
		assert_int_equal(suite_put(p, BUS_FLOWS, (unsigned)i % 2, "k", text), 0);
	}
	for (size_t got = 0; got < 6;) {
		int n = bus_read(r, msgs, 8, SUITE_WAIT_MS);

		assert_true(n > 0);
		for (int i = 0; i < n; i++) {
			assert_true(msgs[i].offset > last[msgs[i].partition]);
			last[msgs[i].partition] = msgs[i].offset;
			assert_int_equal(msgs[i].key_len, 1);
		}
		got += (size_t)n;
	}
	suite_expect_nothing(r);
	assert_true(bus_caught_up(r));
	assert_int_equal(bus_bounds(bus, BUS_FLOWS, 1, &oldest, &end), 0);
	assert_int_equal(end, last[1] + 1);
	assert_int_equal(bus_bounds(bus, BUS_FLOWS, 2, &oldest, &end), -EINVAL);
	assert_int_equal(suite_put(p, BUS_FLOWS, 2, "k", "x"), -EINVAL);
	bus_reader_close(r);
	bus_producer_close(p);
	bus_close(bus);
}

static void transactions(void **state)
{
	struct bus *bus = suite_bus(1);
	struct bus_producer *p = suite_producer(bus, "p"), *q = suite_producer(bus, NULL);
	struct bus_reader *e = suite_reader(bus, NULL, BUS_EDGES), *l = suite_reader(bus, NULL, BUS_LEDGER);
	int64_t oldest, end;

	assert_int_equal(suite_put(p, BUS_EDGES, 0, "", "not begun"), -EINVAL);
	assert_int_equal(bus_begin(q), -EINVAL);
	assert_int_equal(bus_commit(p, NULL, NULL, 0), -EINVAL);
	assert_int_equal(suite_put(q, BUS_EDGES, 0, "", "outside"), 0);
	suite_expect(e, 1, "outside ");
	assert_int_equal(bus_begin(p), 0);
	assert_int_equal(bus_begin(p), -EINVAL);
	assert_int_equal(suite_put(p, BUS_EDGES, 0, "", "a"), 0);
	assert_int_equal(suite_put(p, BUS_LEDGER, 0, "", "l"), 0);
	suite_expect_nothing(e);
	suite_expect_nothing(l);
	assert_int_equal(bus_commit(p, NULL, NULL, 0), 0);
	suite_expect(e, 1, "a ");
	suite_expect(l, 1, "l ");
	suite_expect_nothing(e);
	assert_int_equal(bus_bounds(bus, BUS_EDGES, 0, &oldest, &end), 0);
	assert_int_equal(end, oldest + 2); /* whatever marks a transaction is no message */
	assert_int_equal(bus_begin(p), 0);
	assert_int_equal(suite_put(p, BUS_EDGES, 0, "", "gone"), 0);
	assert_int_equal(bus_abort(p), 0);
	assert_int_equal(bus_abort(p), -EINVAL);
	assert_int_equal(bus_begin(p), 0);
	assert_int_equal(suite_put(p, BUS_EDGES, 0, "", "gone too"), 0);
	bus_producer_close(p);
	assert_int_equal(suite_put(q, BUS_EDGES, 0, "", "z"), 0);
	suite_expect(e, 1, "z ");
	bus_producer_close(q);
	bus_reader_close(e);
	bus_reader_close(l);
	bus_close(bus);
}

static void committed_positions(void **state)
{
	struct bus *bus = suite_bus(1);
	struct bus_producer *p = suite_producer(bus, "p"), *q = suite_producer(bus, NULL);
	struct bus_reader *r = suite_reader(bus, "g", BUS_FLOWS);
	struct bus_position pos;
	int64_t offset[3];
	struct bus_msg m;

	for (const char *v = "abc"; *v; v++)
		assert_int_equal(bus_produce(q, BUS_FLOWS, 0, NULL, 0, v, 1), 0);
	assert_int_equal(bus_committed(r, BUS_FLOWS, 0, &pos), 0);
	assert_int_equal(pos.offset, -1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(bus_read(r, &m, 1, SUITE_WAIT_MS), 1);
		assert_int_equal(*(const char *)m.value, 'a' + i);
		offset[i] = m.offset;
	}
	assert_int_equal(bus_begin(p), 0);
	assert_int_equal(suite_put(p, BUS_PARTIALS, 0, "", "out"), 0);
	pos = (struct bus_position){.topic = BUS_FLOWS, .offset = offset[1], .metadata = "1 22 33"};
	assert_int_equal(bus_commit(p, r, &pos, 1), 0);
	bus_reader_close(r);

	r = suite_reader(bus, "g", BUS_FLOWS); /* where the former one had committed */
	suite_expect(r, 2, "b c ");
	assert_int_equal(bus_committed(r, BUS_FLOWS, 0, &pos), 0);
	assert_int_equal(pos.offset, offset[1]);
	assert_string_equal(pos.metadata, "1 22 33");
	assert_int_equal(bus_seek(r, BUS_FLOWS, 0, pos.offset + 1), 0);
	suite_expect(r, 1, "c ");
	assert_int_equal(bus_begin(p), 0); /* an abort leaves positions alone */
	pos.offset = offset[0];
	assert_int_equal(bus_abort(p), 0);
	assert_int_equal(bus_committed(r, BUS_FLOWS, 0, &pos), 0);
	assert_int_equal(pos.offset, offset[1]);
	pos = (struct bus_position){.topic = BUS_FLOWS,
				    .offset = offset[2],
				    .metadata = "1 9223372036854775807 4294967295 -9223372036854775808"};
	assert_int_equal(bus_commit_positions(r, &pos, 1), 0);
	bus_reader_close(r);
	r = suite_reader(bus, "g", BUS_FLOWS);
	suite_expect(r, 1, "c ");
	assert_int_equal(bus_committed(r, BUS_FLOWS, 0, &pos), 0);
	assert_string_equal(pos.metadata, "1 9223372036854775807 4294967295 -9223372036854775808");
	bus_reader_close(r);
	r = suite_reader(bus, "other", BUS_PARTIALS);
	suite_expect(r, 1, "out ");
	bus_reader_close(r);
	bus_producer_close(p);
	bus_producer_close(q);
	bus_close(bus);
}

struct seen {
	struct bus_reader *r;
	struct bus_producer *p; /* commits in `revoked`, when set */
	int64_t commit_at;      /* that position */
	int64_t seek_to;        /* in `assigned`; -1: nowhere */
	unsigned have;          /* bits 1 << partition */
	unsigned came, went;
};

static void seen_assigned(void *arg, enum bus_topic t, unsigned partition)
{
	struct seen *s = arg;

	assert_int_equal(t, BUS_FLOWS);
	assert_false(s->have & 1u << partition);
	s->have |= 1u << partition;
	s->came++;
	if (s->seek_to >= 0)
		assert_int_equal(bus_seek(s->r, t, partition, s->seek_to), 0);
}

static void seen_revoked(void *arg, enum bus_topic t, unsigned partition)
{
	const struct bus_position pos = {.topic = t, .partition = partition, .offset = ((struct seen *)arg)->commit_at};
	struct seen *s = arg;

	assert_true(s->have & 1u << partition);
	s->have &= ~(1u << partition);
	s->went++;
	if (!s->p)
		return;
	assert_int_equal(bus_begin(s->p), 0); /* still ours: the last chance to commit */
	assert_int_equal(bus_commit(s->p, s->r, &pos, 1), 0);
}

static void seen_open(struct seen *s, struct bus *bus)
{
	const struct bus_events ev = {seen_assigned, seen_revoked, s};
	enum bus_topic t = BUS_FLOWS;

	*s = (struct seen){.seek_to = -1};
	assert_int_equal(bus_reader_open(&s->r, bus, "g", &t, 1, &ev), 0);
}

/* Both read until partitions 0..3 are shared two and two. */
static void seen_share(struct seen *a, struct seen *b)
{
	int64_t until = clock_mono_us() + SUITE_WAIT_MS * 1000;
	struct bus_msg m[8];

	while (__builtin_popcount(a->have) != 2 || (a->have ^ b->have) != 0xf) {
		assert_true(clock_mono_us() < until);
		assert_int_equal(a->have & b->have, 0);
		assert_int_equal(bus_read(a->r, m, 8, 1), 0);
		assert_int_equal(bus_read(b->r, m, 8, 1), 0);
	}
}

static void seen_all(struct seen *a)
{
	int64_t until = clock_mono_us() + SUITE_WAIT_MS * 1000;
	struct bus_msg m[8];

	while (a->have != 0xf) {
		assert_true(clock_mono_us() < until);
		assert_int_equal(bus_read(a->r, m, 8, 1), 0);
	}
}

static void group_shares_partitions(void **state)
{
	struct bus *bus = suite_bus(4);
	struct bus_producer *p = suite_producer(bus, NULL), *txn = suite_producer(bus, "p");
	struct bus_position pos = {.topic = BUS_FLOWS};
	struct bus_reader *e;
	struct seen a, b;
	int64_t end;

	seen_open(&a, bus);
	seen_all(&a);
	seen_open(&b, bus);
	seen_share(&a, &b);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(suite_put(p, BUS_FLOWS, i, "", "v"), 0);
	suite_expect(a.r, 2, "v v ");
	suite_expect(b.r, 2, "v v ");

	/* who lost a partition commits nothing for it, and nothing of that transaction is seen */
	pos.partition = (unsigned)__builtin_ctz(b.have);
	assert_int_equal(bus_bounds(bus, BUS_FLOWS, pos.partition, &pos.offset, &end), 0);
	assert_int_equal(bus_begin(txn), 0);
	assert_int_equal(suite_put(txn, BUS_EDGES, 0, "", "no"), 0);
	assert_int_equal(bus_commit(txn, a.r, &pos, 1), -ESTALE);
	assert_int_equal(bus_commit_positions(a.r, &pos, 1), -ESTALE);
	e = suite_reader(bus, NULL, BUS_EDGES);
	suite_expect_nothing(e);
	bus_reader_close(e);

	/* one leaves: the other reads again from what was committed (nothing) */
	bus_reader_close(b.r);
	suite_expect(a.r, 2, "v v ");
	assert_int_equal(a.have, 0xf);
	assert_int_equal(a.went, 2);
	bus_reader_close(a.r);
	bus_producer_close(p);
	bus_producer_close(txn);
	bus_close(bus);
}

/* Of each of n partitions what is wanted; how they take turns is the bus's business. */
static void expect_each(struct bus_reader *r, size_t n, const char *want)
{
	int64_t until = clock_mono_us() + SUITE_WAIT_MS * 1000;
	char text[4][64] = {""};
	struct bus_msg m[8];
	size_t whole = 0;

	while (whole < n) {
		int k = bus_read(r, m, 8, 50);

		assert_true(k >= 0 && clock_mono_us() < until);
		for (int i = 0; i < k; i++) {
			char *t = text[m[i].partition];

			snprintf(t + strlen(t), sizeof(text[0]) - strlen(t), "%.*s ", (int)m[i].value_len,
				 (const char *)m[i].value);
		}
		whole = 0;
		for (size_t i = 0; i < 4; i++)
			whole += strlen(text[i]) >= strlen(want);
	}
	for (size_t i = 0; i < 4; i++) {
		if (text[i][0])
			assert_string_equal(text[i], want);
	}
}

/* What goes is committed while it goes; what comes is read from where `assigned` said. */
static void events_commit_and_seek(void **state)
{
	struct bus *bus = suite_bus(4);
	struct bus_producer *p = suite_producer(bus, NULL), *txn = suite_producer(bus, "p");
	int64_t oldest, end;
	struct seen a, b;

	for (unsigned i = 0; i < 4; i++)
		for (const char *v = "123"; *v; v++)
			assert_int_equal(bus_produce(p, BUS_FLOWS, i, NULL, 0, v, 1), 0);
	seen_open(&a, bus);
	for (int64_t until = clock_mono_us() + SUITE_WAIT_MS * 1000, n = 0; n < 12;) {
		struct bus_msg m[4];

		assert_true(clock_mono_us() < until);
		n += bus_read(a.r, m, 4, 50);
	}
	assert_int_equal(bus_bounds(bus, BUS_FLOWS, 0, &oldest, &end), 0);
	a.p = txn;
	a.commit_at = oldest + 2;
	seen_open(&b, bus);
	for (int64_t until = clock_mono_us() + SUITE_WAIT_MS * 1000, n = 0; n < 2;) {
		struct bus_msg m[4];
		int k;

		assert_true(clock_mono_us() < until);
		assert_int_equal(bus_read(a.r, m, 4, 1), 0);
		k = bus_read(b.r, m, 4, 1);
		for (int i = 0; i < k; i++)
			assert_memory_equal(m[i].value, "3", 1); /* after what a committed */
		n += k;
	}
	assert_int_equal(a.went, 2);
	bus_reader_close(b.r);
	a.p = NULL;
	a.seek_to = oldest + 1;
	expect_each(a.r, 2, "2 3 ");
	bus_reader_close(a.r);
	bus_producer_close(p);
	bus_producer_close(txn);
	bus_close(bus);
}

static void two_groups(void **state)
{
	struct bus *bus = suite_bus(1);
	struct bus_producer *p = suite_producer(bus, NULL);
	struct bus_reader *a = suite_reader(bus, "a", BUS_EDGES), *b = suite_reader(bus, "b", BUS_EDGES);

	assert_int_equal(suite_put(p, BUS_EDGES, 0, "", "1"), 0);
	suite_expect(a, 1, "1 ");
	suite_expect(b, 1, "1 ");
	bus_reader_close(a);
	bus_reader_close(b);
	bus_producer_close(p);
	bus_close(bus);
}

static void compacted(void **state)
{
	struct bus *bus = suite_bus(1);
	struct bus_producer *p = suite_producer(bus, NULL);
	struct bus_reader *r = suite_reader(bus, NULL, BUS_HOSTS), *late;
	struct bus_msg m;

	assert_int_equal(suite_put(p, BUS_HOSTS, 0, "a", "1"), 0);
	assert_int_equal(suite_put(p, BUS_HOSTS, 0, "b", "1"), 0);
	suite_expect(r, 2, "1 1 ");
	assert_int_equal(suite_put(p, BUS_HOSTS, 0, "a", "2"), 0);
	assert_int_equal(suite_put(p, BUS_HOSTS, 0, "b", NULL), 0);
	assert_int_equal(suite_put(p, BUS_HOSTS, 0, "c", "3"), 0);
	assert_int_equal(suite_put(p, BUS_HOSTS, 0, "", "x"), -EINVAL);
	assert_int_equal(suite_put(p, BUS_EDGES, 0, "k", NULL), -EINVAL);
	assert_int_equal(bus_read(r, &m, 1, SUITE_WAIT_MS), 1);
	assert_memory_equal(m.value, "2", 1);
	assert_int_equal(bus_read(r, &m, 1, SUITE_WAIT_MS), 1);
	assert_null(m.value); /* the tombstone */
	assert_memory_equal(m.key, "b", 1);
	suite_expect(r, 1, "3 ");
	late = suite_reader(bus, NULL, BUS_HOSTS);
	assert_false(bus_caught_up(late));
	expect_last(late, "a=2 c=3 ");
	assert_true(bus_caught_up(late));
	bus_reader_close(late);
	bus_reader_close(r);
	bus_producer_close(p);
	bus_close(bus);
}

/* Many keys, many rounds, against a plain array. */
static void compacted_many(void **state)
{
	struct bus *bus = suite_bus(1);
	struct bus_producer *p = suite_producer(bus, NULL);
	struct bus_reader *r;
	int want[97] = {0}, got[97] = {0}, n = 0;
	struct bus_msg m[16];
	unsigned x = 1;

	for (int i = 1; i < 5000; i++) {
		char key[8], value[16];

		x = x * 1103515245u + 12345u;
		snprintf(key, sizeof(key), "%u", x / 65536 % 97);
		snprintf(value, sizeof(value), "%d", i);
		want[x / 65536 % 97] = x / 65536 % 5 ? i : 0;
		assert_int_equal(suite_put(p, BUS_HOSTS, 0, key, x / 65536 % 5 ? value : NULL), 0);
	}
	bus_producer_close(p); /* all of it is there */
	r = suite_reader(bus, NULL, BUS_HOSTS);
	do {
		n = bus_read(r, m, 16, 50);
		for (int i = 0; i < n; i++) {
			char key[8] = "", value[16] = "";

			memcpy(key, m[i].key, m[i].key_len);
			if (m[i].value)
				memcpy(value, m[i].value, m[i].value_len);
			got[atoi(key)] = atoi(value);
		}
	} while (n > 0 || !bus_caught_up(r));
	assert_memory_equal(got, want, sizeof(want));
	bus_reader_close(r);
	bus_close(bus);
}

static void *late_producer(void *arg)
{
	struct bus_producer *p = suite_producer(arg, NULL);

	assert_int_equal(suite_put(p, BUS_FLOWS, 0, "", "woken"), 0);
	bus_producer_close(p);
	return NULL;
}

static void blocking_read(void **state)
{
	struct bus *bus = suite_bus(1);
	struct bus_reader *r = suite_reader(bus, "g", BUS_FLOWS);
	int64_t t = clock_mono_us();
	struct bus_msg m;
	pthread_t th;

	assert_int_equal(bus_read(r, &m, 1, 30), 0);
	assert_true(clock_mono_us() - t >= 29000);
	assert_int_equal(pthread_create(&th, NULL, late_producer, bus), 0);
	assert_int_equal(bus_read(r, &m, 1, SUITE_WAIT_MS), 1);
	assert_memory_equal(m.value, "woken", 5);
	pthread_join(th, NULL);
	bus_reader_close(r);
	bus_close(bus);
}

#define MANY 20000

struct many {
	struct bus *bus;
	const char *id;
};

static void *many_producer(void *arg)
{
	const struct many *many = arg;
	struct bus_producer *p = suite_producer(many->bus, many->id);

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

/* After everything read: what each partition is committed at. */
static void many_commit(struct bus_reader *r, const struct bus_msg *m, int n)
{
	struct bus_position pos[4];
	size_t n_pos = 0;

	for (int i = 0; i < n; i++) {
		size_t k = 0;

		while (k < n_pos && pos[k].partition != m[i].partition)
			k++;
		n_pos += k == n_pos;
		pos[k] = (struct bus_position){
			.topic = BUS_FLOWS, .partition = m[i].partition, .offset = m[i].offset + 1};
	}
	assert_int_equal(bus_commit_positions(r, pos, n_pos), 0);
}

/* Two writers in transactions, a bus much smaller than what passes: each message once, transactions unbroken. */
static void threads_and_bound(void **state)
{
	int64_t until = clock_mono_us() + 120 * 1000000;
	struct bus *bus = NULL;
	struct many many[2];
	struct bus_reader *r;
	struct bus_stats st;
	struct bus_msg m[64];
	pthread_t th[2];
	uint64_t sum = 0, count = 0;

	assert_int_equal(impl->open(&bus, 4, 256 << 10), 0);
	r = suite_reader(bus, "g", BUS_FLOWS);
	for (int i = 0; i < 2; i++) {
		many[i] = (struct many){bus, i ? "one" : "another"};
		assert_int_equal(pthread_create(&th[i], NULL, many_producer, &many[i]), 0);
	}
	while (count < 2 * MANY && clock_mono_us() < until) {
		int n = bus_read(r, m, 64, 100);

		for (int i = 0; i < n; i++) {
			uint32_t v;

			memcpy(&v, m[i].value, sizeof(v));
			sum += v;
			count++;
		}
		if (n > 0)
			many_commit(r, m, n);
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

int bus_suite_run(const struct bus_implementation *of)
{
	static const struct CMUnitTest every[] = {
		cmocka_unit_test(order_and_offsets),
		cmocka_unit_test(transactions),
		cmocka_unit_test(committed_positions),
		cmocka_unit_test(group_shares_partitions),
		cmocka_unit_test(events_commit_and_seek),
		cmocka_unit_test(two_groups),
		cmocka_unit_test(compacted),
		cmocka_unit_test(compacted_many),
		cmocka_unit_test(blocking_read),
		cmocka_unit_test(threads_and_bound),
	};

	impl = of;
	return cmocka_run_group_tests_name(of->name, every, NULL, NULL);
}

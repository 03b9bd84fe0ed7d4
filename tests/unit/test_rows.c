/* SPDX-License-Identifier: Apache-2.0 */
/* agent/rows.c, agent/conns.c: what user space keeps of rows and of open connections. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/conns.h"
#include "agent/rows.h"

static struct sky_row_key key_of(unsigned i)
{
	struct sky_row_key k = {.netns = i, .service_port = 80};

	return k;
}

static void rows_are_found_again(void **state)
{
	struct agent_rows *rows;
	struct sky_row_key k;
	struct agent_row *first;

	assert_int_equal(agent_rows_new(&rows, 1000), 0);
	k = key_of(0);
	first = agent_rows_get(rows, &k);
	for (unsigned i = 0; i < 1000; i++) {
		k = key_of(i);
		agent_rows_get(rows, &k)->val.tx_bytes += i + 1;
	}
	assert_int_equal(agent_rows_count(rows), 1000);
	for (unsigned i = 0; i < 1000; i++) {
		k = key_of(i);
		assert_int_equal(agent_rows_get(rows, &k)->val.tx_bytes, i + 1);
	}
	k = key_of(0);
	assert_ptr_equal(agent_rows_get(rows, &k), first);
	k = key_of(1000);
	assert_null(agent_rows_get(rows, &k));
	agent_rows_clear(rows);
	assert_int_equal(agent_rows_count(rows), 0);
	assert_int_equal(agent_rows_get(rows, &k)->val.tx_bytes, 0);
	agent_rows_free(rows);
	agent_rows_free(NULL);
}

/* Each field gets a number of its own, so a field that is forgotten or mixed up shows. */
static void adding_adds_each_field(void **state)
{
	struct sky_row_key k = key_of(1);
	struct sky_row_value v = {0}, *sum;
	struct agent_rows *rows;
	unsigned n = 1;

#define SET_U32(name) v.name = n++;
#define SET_U64(name) v.name = (1ULL << 40) + n++;
#define SET_HIST(name)               \
	v.name[n % SKY_BUCKETS] = n; \
	n++;
#define FIELD(name, width, dir, column, unit, seen, meaning) SET_##width(name)
#include "flow/fields.def"
#undef FIELD
	assert_int_equal(agent_rows_new(&rows, 1), 0);
	assert_int_equal(agent_rows_add(rows, &k, &v), 0);
	assert_int_equal(agent_rows_add(rows, &k, &v), 0);
	sum = &agent_rows_at(rows, 0)->val;
	n = 1;
#define IS_U32(name)                        \
	assert_int_equal(sum->name, 2 * n); \
	n++;
#define IS_U64(name)                                         \
	assert_int_equal(sum->name, 2 * ((1ULL << 40) + n)); \
	n++;
#define IS_HIST(name)                                        \
	assert_int_equal(sum->name[n % SKY_BUCKETS], 2 * n); \
	n++;
#define FIELD(name, width, dir, column, unit, seen, meaning) IS_##width(name)
#include "flow/fields.def"
#undef FIELD
	k = key_of(2);
	assert_int_equal(agent_rows_add(rows, &k, &v), -ENOSPC);
	agent_rows_stamp(rows);
	assert_int_equal(sum->rows, 1);
	agent_rows_free(rows);
}

static void histograms_stop_at_their_end(void **state)
{
	struct sky_row_key k = key_of(1);
	struct sky_row_value v = {0};
	struct agent_rows *rows;

	v.srtt[3] = UINT32_MAX - 1;
	assert_int_equal(agent_rows_new(&rows, 1), 0);
	agent_rows_add(rows, &k, &v);
	agent_rows_add(rows, &k, &v);
	assert_int_equal(agent_rows_at(rows, 0)->val.srtt[3], UINT32_MAX);
	agent_rows_free(rows);
}

static void ports_are_listed_once_and_all_counted(void **state)
{
	struct sky_row_value v = {0}, w = {0};
	struct sky_row_key k = key_of(1);
	struct agent_rows *rows;

	for (uint16_t p = 1; p <= 20; p++) {
		agent_row_port(&v, p);
		agent_row_port(&v, p);
	}
	assert_int_equal(v.ports_seen, 40);
	for (unsigned i = 0; i < SKY_PORTS; i++)
		assert_int_equal(v.ports[i], i + 1);
	agent_row_port(&w, 5);
	agent_row_port(&w, 99);
	assert_int_equal(agent_rows_new(&rows, 1), 0);
	agent_rows_add(rows, &k, &w);
	agent_rows_add(rows, &k, &v);
	assert_int_equal(agent_rows_at(rows, 0)->val.ports_seen, 42);
	assert_int_equal(agent_rows_at(rows, 0)->val.ports[0], 5);
	assert_int_equal(agent_rows_at(rows, 0)->val.ports[1], 99);
	assert_int_equal(agent_rows_at(rows, 0)->val.ports[2], 1);
	assert_int_equal(agent_rows_at(rows, 0)->val.ports[6], 6); /* 5 is listed already */
	agent_rows_free(rows);
}

/* As the kernel leaves a row: ports_seen is the sum of the ports of all that were opened. */
static struct sky_row_value drained(unsigned opened, unsigned listed)
{
	struct sky_row_value v = {.opened = opened};

	for (unsigned i = 0; i < opened; i++)
		v.ports_seen += 60000 + i;
	for (unsigned i = 0; i < listed; i++)
		v.ports[i] = (uint16_t)(60000 + i);
	return v;
}

static void a_port_that_was_overwritten_is_found(void **state)
{
	for (unsigned n = 1; n <= SKY_PORTS; n++) {
		struct sky_row_value whole = drained(n, n), v;

		agent_row_drained(&whole);
		assert_int_equal(whole.ports_seen, n);
		for (unsigned i = 0; i < n; i++)
			assert_int_equal(whole.ports[i], 60000 + i);
		v = drained(n, n - 1);
		agent_row_drained(&v);
		assert_memory_equal(v.ports, whole.ports, sizeof(v.ports));
		assert_int_equal(v.ports_seen, n);
	}
}

static void a_port_that_cannot_be_found_is_not_listed(void **state)
{
	struct sky_row_value v = drained(12, 10), was = v;

	agent_row_drained(&v); /* two */
	assert_memory_equal(v.ports, was.ports, sizeof(v.ports));
	assert_int_equal(v.ports_seen, 12);
	v = drained(3, 3), was = v;
	v.opened++;
	v.ports_seen += 60001; /* twice there */
	agent_row_drained(&v);
	assert_memory_equal(v.ports, was.ports, sizeof(v.ports));
	assert_int_equal(v.ports_seen, 4);
	v = drained(3, 3), was = v;
	v.opened++; /* no port at all */
	agent_row_drained(&v);
	assert_memory_equal(v.ports, was.ports, sizeof(v.ports));
	v = drained(40, SKY_PORTS), was = v;
	v.ports_seen = was.ports_seen = 5; /* they were not summed to the end */
	agent_row_drained(&v);
	assert_memory_equal(v.ports, was.ports, sizeof(v.ports));
	assert_int_equal(v.ports_seen, 40);
	v = drained(17, SKY_PORTS), was = v;
	agent_row_drained(&v);
	assert_memory_equal(v.ports, was.ports, sizeof(v.ports));
	assert_int_equal(v.tgid, 0);
	assert_int_equal(v.ports_seen, 17);
}

/* Against a plain array: adds and removals in a random order, ids in clusters as times are. */
static void conns_behave_like_an_array(void **state)
{
	enum { MAX = 300 };
	uint64_t live[MAX], next = 1;
	size_t n = 0;
	struct conns *c;

	srand(7);
	assert_int_equal(conns_new(&c, MAX), 0);
	for (unsigned step = 0; step < 200000; step++) {
		if (n < MAX && (n == 0 || rand() % 2)) {
			struct conn *conn = conns_add(c, next);

			assert_non_null(conn);
			assert_int_equal(conn->tx, 0);
			conn->tx = next * 3;
			live[n++] = next;
			next += rand() % 4 ? 4096 : 1;
		} else {
			size_t i = (size_t)rand() % n;

			conns_remove(c, conns_find(c, live[i]));
			assert_null(conns_find(c, live[i]));
			live[i] = live[--n];
		}
		assert_int_equal(conns_count(c), n);
		if (n)
			assert_int_equal(conns_find(c, live[(size_t)rand() % n])->tx % 3, 0);
		if (step % 1000)
			continue;
		for (size_t i = 0; i < n; i++)
			assert_int_equal(conns_find(c, live[i])->tx, live[i] * 3);
	}
	while (n < MAX) {
		assert_non_null(conns_add(c, next));
		live[n++] = next++;
	}
	assert_null(conns_add(c, next));
	n = 0;
	for (size_t i = 0; i < conns_places(c); i++)
		n += conns_at(c, i) != NULL;
	assert_int_equal(n, MAX);
	conns_free(c);
	conns_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_found_again),
		cmocka_unit_test(adding_adds_each_field),
		cmocka_unit_test(histograms_stop_at_their_end),
		cmocka_unit_test(ports_are_listed_once_and_all_counted),
		cmocka_unit_test(a_port_that_was_overwritten_is_found),
		cmocka_unit_test(a_port_that_cannot_be_found_is_not_listed),
		cmocka_unit_test(conns_behave_like_an_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

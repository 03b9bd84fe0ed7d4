/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/table.h"
#include "graph/split.h"

static uint64_t seed = 88172645463325252ull;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void known_splits(void **state)
{
	static const struct {
		uint64_t total, w[4], want[4];
		size_t n;
	} cases[] = {
		{100, {1, 1, 1}, {34, 33, 33}, 3}, /* equal remainders: the first */
		{10, {1, 2, 3, 4}, {1, 2, 3, 4}, 4},
		{7, {3, 3, 1}, {3, 3, 1}, 3},
		{5, {3, 3, 1}, {2, 2, 1}, 3}, /* 2.14 2.14 0.71 */
		{1, {1, 100}, {0, 1}, 2},
		{5, {0, 0, 0}, {2, 2, 1}, 3}, /* nobody has any: as if equal */
		{0, {1, 2}, {0, 0}, 2},
		{9, {0, 3}, {0, 9}, 2},
		{UINT64_MAX, {UINT64_MAX, UINT64_MAX}, {UINT64_MAX / 2 + 1, UINT64_MAX / 2}, 2},
		{UINT64_MAX, {1, UINT64_MAX, UINT64_MAX}, {1, UINT64_MAX / 2, UINT64_MAX / 2}, 3},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t got[4] = {0};

		assert_int_equal(split_number(cases[i].total, cases[i].w, cases[i].n, got), 0);
		for (size_t k = 0; k < cases[i].n; k++)
			assert_true(got[k] == cases[i].want[k]);
	}
}

/* Total kept to the unit; no part further than one from its exact share; more weight never gets less. */
static void properties(void **state)
{
	for (int round = 0; round < 20000; round++) {
		size_t n = 1 + rnd() % 40;
		uint64_t total = rnd() >> rnd() % 64, w[40], got[40], sum = 0;
		long double all = 0;

		for (size_t i = 0; i < n; i++) {
			w[i] = rnd() % 4 ? rnd() >> rnd() % 64 : 0;
			all += (long double)w[i];
		}
		assert_int_equal(split_number(total, w, n, got), 0);
		for (size_t i = 0; i < n; i++) {
			long double exact =
				all ? (long double)total * ((long double)w[i] / all) : (long double)total / n;
			long double off = (long double)got[i] - exact;

			sum += got[i];
			assert_true(off < 1.001L + exact * 1e-15L && off > -1.001L - exact * 1e-15L);
			for (size_t k = 0; k < n; k++)
				assert_false(w[i] > w[k] && got[i] < got[k]);
		}
		assert_true(sum == total);
	}
}

static void random_stats(struct flow_stats *s)
{
	memset(s, 0, sizeof(*s));
	for (unsigned f = 0; f < FLOW_FIELDS; f++) {
		if (rnd() % 3 == 0)
			continue;
		if (flow_fields[f].width != FLOW_HIST)
			*flow_stats_u64(s, f) = rnd() >> rnd() % 64;
		for (unsigned b = 0; flow_fields[f].width == FLOW_HIST && b < FLOW_BUCKETS; b++)
			flow_stats_hist(s, f)[b] = rnd() % 2 ? 0 : (uint32_t)(rnd() >> (32 + rnd() % 32));
	}
}

/* Whatever the weights: every sum and every bucket adds up. */
static void stats_add_up(void **state)
{
	for (int round = 0; round < 2000; round++) {
		struct flow_stats whole, w[9], part[9], sum = {0};
		const struct flow_stats *weights[9];
		struct flow_stats *parts[9];
		size_t n = 1 + rnd() % 9;

		random_stats(&whole);
		memset(part, 0, sizeof(part));
		for (size_t i = 0; i < n; i++) {
			random_stats(&w[i]);
			if (rnd() % 4 == 0)
				memset(&w[i], 0, sizeof(w[i]));
			weights[i] = &w[i];
			parts[i] = &part[i];
		}
		assert_int_equal(split_stats(&whole, weights, n, rnd() % 2, parts), 0);
		for (size_t i = 0; i < n; i++)
			flow_stats_add(&sum, &part[i]);
		assert_memory_equal(&sum, &whole, sizeof(sum));
	}
}

static void the_same_sum(void **state)
{
	struct flow_stats whole = {.tx_bytes = 1000,
				   .rx_bytes = 600,
				   .opened = 4,
				   .rows = 3,
				   .retransmitted = 11,
				   .handshake = {[5] = 4},
				   .srtt = {[7] = 10}};
	struct flow_stats a = {.tx_bytes = 100, .rx_bytes = 900, .opened = 3, .rows = 1, .handshake = {[5] = 1}};
	struct flow_stats b = {.tx_bytes = 500, .rx_bytes = 100, .opened = 1, .rows = 1, .handshake = {[5] = 3}};
	const struct flow_stats *weights[] = {&a, &b};
	struct flow_stats pa = {0}, pb = {0}, *parts[] = {&pa, &pb};

	assert_int_equal(split_stats(&whole, weights, 2, true, parts), 0);
	assert_int_equal(pa.tx_bytes, 900); /* what the server sent, they received */
	assert_int_equal(pa.rx_bytes, 100);
	assert_int_equal(pa.opened, 3);
	assert_int_equal(pa.rows, 2);           /* 1.5 each: the first */
	assert_int_equal(pa.retransmitted, 10); /* of what the server sent: by bytes received, 9.9 */
	assert_int_equal(pa.handshake[5], 1);
	assert_int_equal(pa.srtt[7], 9);
	assert_int_equal(pb.srtt[7], 1);

	memset(&pa, 0, sizeof(pa));
	memset(&pb, 0, sizeof(pb));
	assert_int_equal(split_stats(&whole, weights, 2, false, parts), 0); /* seen from the same end */
	assert_int_equal(pa.tx_bytes, 167);
	assert_int_equal(pa.rx_bytes, 540);
}

/* Their sum is zero, the whole's is not: bytes of that direction, else connections, else rows, else equally. */
static void fallbacks(void **state)
{
	static const struct {
		struct flow_stats a, b;
		uint64_t lost_a, closed_a;
	} cases[] = {
		{{.rx_bytes = 3}, {.rx_bytes = 1, .opened = 100}, 6, 6},
		{{.tx_bytes = 100, .opened = 1}, {.opened = 3}, 2, 8},
		{{.rows = 1}, {.rows = 1, .attempts = 1}, 0, 0},
		{{.rows = 1}, {.rows = 3}, 2, 2},
		{{.rows = 0}, {.rows = 0}, 4, 4},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct flow_stats whole = {.lost = 8, .closed = 8}, *weights[] = {&cases[i].a, &cases[i].b};
		struct flow_stats pa = {0}, pb = {0}, *parts[] = {&pa, &pb};

		assert_int_equal(split_stats(&whole, weights, 2, true, parts), 0);
		assert_int_equal(pa.lost, cases[i].lost_a);
		assert_int_equal(pb.lost, 8 - cases[i].lost_a);
		assert_int_equal(pa.closed, cases[i].closed_a);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_splits), cmocka_unit_test(properties), cmocka_unit_test(stats_add_up),
		cmocka_unit_test(the_same_sum), cmocka_unit_test(fallbacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

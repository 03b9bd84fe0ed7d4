/* SPDX-License-Identifier: Apache-2.0 */
/* A direction of skyfall-link, under a clock of our own. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tools/link/lane.h"

#define MS 1000000ll

static struct lane *lane(struct lane_conf conf)
{
	struct lane *l = NULL;

	conf.limit = conf.limit ? conf.limit : 100;
	conf.mtu = conf.mtu ? conf.mtu : 1500;
	assert_int_equal(lane_new(&l, &conf), 0);
	return l;
}

/* A packet whose first bytes are a number. */
static void put(struct lane *l, int64_t now, uint32_t number, size_t len)
{
	uint8_t packet[2000] = {0};

	memcpy(packet, &number, sizeof(number));
	lane_put(l, now, packet, len);
}

/* The number of the packet that comes out now; -1: none. */
static int64_t take(struct lane *l, int64_t now, size_t *ret_len)
{
	const void *data;
	uint32_t number;
	size_t len = lane_take(l, now, &data);

	if (!len)
		return -1;
	memcpy(&number, data, sizeof(number));
	if (ret_len)
		*ret_len = len;
	return number;
}

static void test_a_packet_leaves_when_its_delay_is_over(void **state)
{
	struct lane *l = lane((struct lane_conf){.delay_ns = 40 * MS});
	size_t len = 0;

	assert_int_equal(lane_due_ns(l), INT64_MAX);
	put(l, 1000 * MS, 7, 123);
	put(l, 1001 * MS, 8, 1500);
	assert_int_equal(lane_due_ns(l), 1040 * MS);
	assert_int_equal(take(l, 1040 * MS - 1, NULL), -1);
	assert_int_equal(take(l, 1040 * MS, &len), 7);
	assert_int_equal(len, 123);
	assert_int_equal(take(l, 1040 * MS, NULL), -1);
	assert_int_equal(take(l, 1041 * MS, &len), 8);
	assert_int_equal(len, 1500);
	assert_int_equal(lane_due_ns(l), INT64_MAX);
	lane_free(l);
}

static void test_a_slow_wire_makes_a_queue(void **state)
{
	struct lane *l = lane((struct lane_conf){.delay_ns = 10 * MS, .rate = 8000000}); /* a byte a us */

	put(l, 0, 1, 1000);
	put(l, 0, 2, 1000);
	assert_int_equal(lane_due_ns(l), 11 * MS);
	assert_int_equal(take(l, 11 * MS, NULL), 1);
	assert_int_equal(lane_due_ns(l), 12 * MS);
	assert_int_equal(take(l, 12 * MS, NULL), 2);
	put(l, 100 * MS, 3, 500); /* the wire was free meanwhile, and nothing is saved up */
	put(l, 100 * MS, 4, 500);
	assert_int_equal(lane_due_ns(l), 100 * MS + 10 * MS + 500000);
	assert_int_equal(take(l, 200 * MS, NULL), 3);
	assert_int_equal(lane_due_ns(l), 111 * MS);
	lane_free(l);
}

static void test_what_finds_no_place_is_counted(void **state)
{
	struct lane *l = lane((struct lane_conf){.delay_ns = MS, .limit = 3, .mtu = 1000});

	for (uint32_t i = 0; i < 5; i++)
		put(l, 0, i, 100);
	put(l, 0, 9, 1001);
	assert_int_equal(lane_counts(l)->full, 3);
	for (int64_t i = 0; i < 3; i++)
		assert_int_equal(take(l, MS, NULL), i);
	put(l, MS, 5, 1000); /* the ring goes round */
	assert_int_equal(take(l, 2 * MS, NULL), 5);
	assert_int_equal(lane_counts(l)->in, 7);
	assert_int_equal(lane_counts(l)->out, 4);
	assert_int_equal(lane_counts(l)->bytes_out, 1300);
	lane_free(l);
}

/* Lost packets of n, as a mask of the first 64. */
static uint64_t lost(double loss, uint64_t seed, uint32_t n, uint64_t *ret_count)
{
	struct lane *l = lane((struct lane_conf){.loss = loss, .seed = seed});
	uint64_t mask = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t before = lane_counts(l)->lost;

		put(l, i, i, 100);
		if (i < 64)
			mask |= (lane_counts(l)->lost - before) << i;
		(void)take(l, i, NULL);
	}
	*ret_count = lane_counts(l)->lost;
	assert_int_equal(lane_counts(l)->full, 0);
	lane_free(l);
	return mask;
}

static void test_the_share_that_is_lost_is_the_share_asked_for(void **state)
{
	static const double shares[] = {0.001, 0.05, 0.3, 0.9};
	const uint32_t n = 200000;
	uint64_t count;

	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		for (uint64_t seed = 0; seed < 5; seed++) {
			double off;

			lost(shares[i], seed, n, &count);
			off = (double)count - n * shares[i];
			/* five standard deviations of a binomial distribution */
			assert_true(off * off < 25 * n * shares[i] * (1 - shares[i]));
		}
	}
	lost(0, 1, 1000, &count);
	assert_int_equal(count, 0);
	lost(1, 1, 1000, &count);
	assert_int_equal(count, 1000);
}

static void test_a_seed_loses_the_same_packets(void **state)
{
	uint64_t count;
	uint64_t mask = lost(0.5, 3, 64, &count);

	assert_int_equal(lost(0.5, 3, 64, &count), mask);
	assert_int_not_equal(lost(0.5, 4, 64, &count), mask);
}

static void test_what_makes_no_sense_is_refused(void **state)
{
	static const struct lane_conf bad[] = {
		{.loss = -0.1, .limit = 1, .mtu = 1},
		{.loss = 1.1, .limit = 1, .mtu = 1},
		{.loss = NAN, .limit = 1, .mtu = 1},
		{.delay_ns = -1, .limit = 1, .mtu = 1},
		{.limit = 0, .mtu = 1},
		{.limit = 1, .mtu = 0},
	};
	struct lane *l = NULL;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(lane_new(&l, &bad[i]), -EINVAL);
	assert_null(l);
	lane_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_packet_leaves_when_its_delay_is_over),
		cmocka_unit_test(test_a_slow_wire_makes_a_queue),
		cmocka_unit_test(test_what_finds_no_place_is_counted),
		cmocka_unit_test(test_the_share_that_is_lost_is_the_share_asked_for),
		cmocka_unit_test(test_a_seed_loses_the_same_packets),
		cmocka_unit_test(test_what_makes_no_sense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "flow/stats.h"

/* The edges as DESIGN says them, listed by hand from the rule "2^k and 1.5 x 2^k". */
static void test_bucket_edges(void **state)
{
	uint64_t edge = 8;
	unsigned i;

	assert_int_equal(flow_bucket(0), 0);
	assert_int_equal(flow_bucket(7), 0);
	for (i = 1; i < FLOW_BUCKETS; i++) {
		assert_int_equal(flow_bucket(edge), i);
		assert_int_equal(flow_bucket(edge - 1), i - 1);
		assert_int_equal(flow_bucket_floor(i), edge);
		edge = i % 2 ? edge + edge / 2 : edge / 3 * 4;
	}
	assert_int_equal(flow_bucket_floor(FLOW_BUCKETS - 1), 1u << 24);
	assert_int_equal(flow_bucket(UINT64_MAX), FLOW_BUCKETS - 1);
}

static void test_add_every_field(void **state)
{
	struct flow_stats a = {0}, b = {0};
	unsigned f, i;

	for (f = 0; f < FLOW_FIELDS; f++) {
		if (flow_fields[f].width != FLOW_HIST)
			*flow_stats_u64(&b, f) = f + 1;
		else
			for (i = 0; i < FLOW_BUCKETS; i++)
				flow_stats_hist(&b, f)[i] = f + i;
	}
	flow_stats_add(&a, &b);
	assert_memory_equal(&a, &b, sizeof(a));
	flow_stats_add(&a, &b);
	assert_int_equal(a.rows, 2);
	assert_int_equal(a.srtt[3], 2 * b.srtt[3]);
	assert_true(flow_stats_present(&b) == (1ull << FLOW_FIELDS) - 1);
	assert_true(flow_stats_empty(&(struct flow_stats){0}));
}

/* Every field whose name says so, and no other, is a cause. */
static void test_failed_is_all_causes(void **state)
{
	struct flow_stats s = {0};
	uint64_t want = 0;
	unsigned f, causes = 0;

	for (f = 0; f < FLOW_FIELDS; f++) {
		if (strncmp(flow_fields[f].name, "failed_", 7) != 0)
			continue;
		*flow_stats_u64(&s, f) = 1ull << f;
		want += 1ull << f;
		assert_true(causes < FLOW_FAILURES);
		assert_int_equal(flow_failures[causes].field, f);
		assert_string_equal(flow_failures[causes++].cause, flow_fields[f].name + 7);
	}
	assert_int_equal(causes, FLOW_FAILURES);
	s.opened = 1000;
	assert_true(flow_stats_failed(&s) == want);
}

static void test_hist_saturates(void **state)
{
	struct flow_stats a = {0}, b = {0};

	a.srtt[5] = UINT32_MAX - 1;
	b.srtt[5] = 7;
	flow_stats_add(&a, &b);
	assert_true(a.srtt[5] == UINT32_MAX);
}

static void test_quantile(void **state)
{
	uint32_t hist[FLOW_BUCKETS] = {0};

	assert_true(flow_hist_quantile(hist, 0.5) == 0);
	hist[flow_bucket(100)] = 100; /* [96, 128) */
	assert_true(flow_hist_quantile(hist, 0.5) == 112);
	hist[flow_bucket(1000000)] = 1;
	assert_true(flow_hist_quantile(hist, 0.5) < 128);
	assert_true(flow_hist_quantile(hist, 0.999) > 700000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bucket_edges),
		cmocka_unit_test(test_add_every_field),
		cmocka_unit_test(test_failed_is_all_causes),
		cmocka_unit_test(test_hist_saturates),
		cmocka_unit_test(test_quantile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The steps back, under a clock of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/budget.h"

#define S 1000000ll
#define PERCENT 10000u

static int64_t now;

/* n intervals of `seconds`, each costing `percent` of a core: how often the step changed. */
static unsigned pass(struct budget *b, unsigned n, unsigned seconds, double percent)
{
	unsigned moves = 0;

	while (n--) {
		now += seconds * S;
		moves += budget_interval(b, (uint64_t)(percent * 10000 * seconds), now);
	}
	return moves;
}

static void start(struct budget *b, uint32_t able)
{
	now = 1000 * S;
	budget_init(b, 1 * PERCENT, able);
}

static void test_the_first_interval_counts_for_nothing(void **state)
{
	struct budget b;

	start(&b, BUDGET_ALL);
	assert_int_equal(pass(&b, 1, 10, 9000), 0);
	assert_int_equal(b.over, 0);
	assert_int_equal(pass(&b, 100, 10, 0.9), 0);
	assert_int_equal(b.share_ppm, 9000);
	assert_int_equal(b.step, BUDGET_FULL);
}

static void test_one_step_at_a_time(void **state)
{
	struct budget b;
	unsigned i;

	start(&b, BUDGET_ALL);
	pass(&b, 1, 10, 0);
	for (i = 1; i < BUDGET_STEPS; i++) {
		assert_int_equal(pass(&b, 2, 10, 1.1), 0);
		assert_int_equal(pass(&b, 1, 10, 1.1), 1);
		assert_int_equal(b.step, i);
	}
	assert_int_equal(pass(&b, 50, 10, 5), 0); /* there is nothing after bypass */
	assert_int_equal(b.step, BUDGET_BYPASS);
}

static void test_short_bursts_pass(void **state)
{
	struct budget b;
	unsigned i;

	start(&b, BUDGET_ALL);
	pass(&b, 1, 1, 0);
	for (i = 0; i < 20; i++) { /* of 29 s, at intervals of a second */
		assert_int_equal(pass(&b, 29, 1, 7.9), 0);
		assert_int_equal(pass(&b, 1, 1, 0.8), 0); /* neither above nor below half: it begins anew */
	}
	assert_int_equal(pass(&b, 29, 1, 7.9), 0);
	assert_int_equal(pass(&b, 1, 1, 7.9), 1);
}

static void test_far_above_is_not_waited_for(void **state)
{
	struct budget b;

	start(&b, BUDGET_ALL);
	pass(&b, 1, 1, 0);
	assert_int_equal(pass(&b, 2, 1, 8.1), 0);
	assert_int_equal(pass(&b, 1, 1, 8.1), 1);
	assert_int_equal(pass(&b, 3 * (BUDGET_STEPS - 2), 1, 8.1), BUDGET_STEPS - 2);
	assert_int_equal(b.step, BUDGET_BYPASS);
}

static void test_steps_nobody_acts_on_are_passed_over(void **state)
{
	struct budget b;

	start(&b, BUDGET_ALL & ~(1u << BUDGET_UDP_OFF));
	pass(&b, 1, 10, 0);
	assert_int_equal(pass(&b, 6, 10, 2), 2);
	assert_int_equal(b.step, BUDGET_WALK_4);
	assert_int_equal(pass(&b, 3, 10, 2), 1);
	assert_int_equal(b.step, BUDGET_SAMPLE_4);
	assert_int_equal(pass(&b, 6, 10, 0.4), 1);
	assert_int_equal(b.step, BUDGET_WALK_4);
	start(&b, 0); /* none at all */
	pass(&b, 1, 10, 0);
	assert_int_equal(pass(&b, 30, 10, 50), 0);
	assert_int_equal(b.step, BUDGET_FULL);
}

static void test_back_up_when_half_is_enough(void **state)
{
	struct budget b;

	start(&b, BUDGET_ALL);
	pass(&b, 1, 10, 0);
	pass(&b, 6, 10, 2);
	assert_int_equal(b.step, BUDGET_WALK_4);
	assert_int_equal(pass(&b, 100, 10, 0.6), 0); /* between */
	assert_int_equal(pass(&b, 5, 10, 0.4), 0);
	assert_int_equal(pass(&b, 1, 10, 0.6), 0);
	assert_int_equal(pass(&b, 5, 10, 0.4), 0);
	assert_int_equal(pass(&b, 1, 10, 0.4), 1);
	assert_int_equal(b.step, BUDGET_WALK_2);
	assert_int_equal(pass(&b, 6, 10, 0.4), 1);
	assert_int_equal(b.step, BUDGET_FULL);
	assert_int_equal(pass(&b, 100, 10, 0.1), 0);
}

/* A load that is too much only when it is measured: the tries become seldom, not none. */
static void test_relapses_make_it_patient(void **state)
{
	struct budget b;
	unsigned i, moves = 0, hour[4] = {0};

	start(&b, 1u << BUDGET_BYPASS);
	pass(&b, 1, 10, 0);
	for (i = 0; i < 4 * 360; i++) {
		bool moved = pass(&b, 1, 10, b.step == BUDGET_BYPASS ? 0.01 : 5) != 0;

		moves += moved;
		hour[i / 360] += moved;
	}
	assert_in_range(hour[0], 8, 14);
	assert_in_range(hour[3], 1, 4);
	assert_int_equal(b.patience, 64);
	/* a good while without: trust again */
	for (i = 0; i < 1000; i++)
		pass(&b, 1, 10, 0.1);
	assert_int_equal(b.step, BUDGET_FULL);
	pass(&b, 3, 10, 5);
	assert_int_equal(b.step, BUDGET_BYPASS);
	assert_int_equal(b.patience, 1);
}

static void test_no_bound_no_time(void **state)
{
	struct budget b;

	budget_init(&b, 0, BUDGET_ALL);
	now = 0;
	assert_int_equal(pass(&b, 100, 1, 300), 0);
	assert_int_equal(b.share_ppm, 3000000); /* still told */
	start(&b, BUDGET_ALL);
	pass(&b, 1, 10, 0);
	assert_int_equal(pass(&b, 100, 0, 100), 0); /* two calls at one moment: nothing to divide by */
	assert_int_equal(b.over, 0);
}

static void test_percent(void **state)
{
	static const char *const bad[] = {"",     "-1", "x",   "1x",     "1%%", "1e3",
					  "0x10", ".5", "1 %", "100001", "nan", "1.2.3"};
	uint64_t v;
	size_t i;

	assert_int_equal(budget_parse("1", &v), 0);
	assert_int_equal(v, 10000);
	assert_int_equal(budget_parse("0.5%", &v), 0);
	assert_int_equal(v, 5000);
	assert_int_equal(budget_parse("0", &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(budget_parse("0.000001", &v), 0);
	assert_int_equal(v, 1);
	assert_int_equal(budget_parse("200", &v), 0);
	assert_int_equal(v, 2000000);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_not_equal(budget_parse(bad[i], &v), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_interval_counts_for_nothing),
		cmocka_unit_test(test_one_step_at_a_time),
		cmocka_unit_test(test_short_bursts_pass),
		cmocka_unit_test(test_far_above_is_not_waited_for),
		cmocka_unit_test(test_steps_nobody_acts_on_are_passed_over),
		cmocka_unit_test(test_back_up_when_half_is_enough),
		cmocka_unit_test(test_relapses_make_it_patient),
		cmocka_unit_test(test_no_bound_no_time),
		cmocka_unit_test(test_percent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

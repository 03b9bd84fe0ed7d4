/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks of hosts: right ones are left alone however late they send, wrong ones are moved by whole intervals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "collector/clock.h"

#define L 10
#define US 1000000ll
#define T0 1700000000u

/* Agent's interval `i` counted from T0, sent when its clock (off by skew_us) shows `after_us` past the interval's end. */
static int64_t send(struct clock_agent *a, unsigned i, int64_t after_us, int64_t skew_us)
{
	uint32_t interval = T0 + L * i;

	return clock_shift(a, interval, L, (int64_t)(interval + L) * US + after_us - skew_us);
}

static void right_clocks_are_left_alone(void **state)
{
	for (int64_t skew = -19; skew <= 19; skew++) {
		struct clock_agent a __attribute__((cleanup(clock_clear))) = {0};

		for (unsigned i = 0; i < 50; i++) {
			assert_int_equal(send(&a, i, 100000, skew * US), 0);
			assert_int_equal(send(&a, i, 900000, skew * US), 0);
		}
	}
}

/* Wherever a wrong clock puts it, the moved interval is the one a right clock would have named. */
static void wrong_clocks_are_moved_whole(void **state)
{
	for (int64_t skew = -100000; skew <= 100000; skew += 777) {
		struct clock_agent a __attribute__((cleanup(clock_clear))) = {0};

		if (llabs(skew) <= 21)
			continue;
		for (unsigned i = 0; i < 20; i++) {
			int64_t now = (int64_t)(T0 + L * i + L) * US + 500000 - skew * US;
			int64_t shift = clock_shift(&a, T0 + L * i, L, now);
			int64_t end = (int64_t)clock_moved(T0 + L * i, L, shift) * US + L * US;

			assert_int_not_equal(shift, 0);
			assert_true(end <= now + L * US / 4 && end > now - L * US * 5 / 4);
		}
	}
}

/* One held-up datagram proves nothing about the clock. */
static void late_is_not_wrong(void **state)
{
	struct clock_agent a __attribute__((cleanup(clock_clear))) = {0};

	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(send(&a, i, 100000, 0), 0);
	assert_int_equal(send(&a, 1, 45 * US, 0), 0);
	assert_int_equal(send(&a, 5, 100000, 0), 0);
	/* beyond the bound on open intervals it is moved after all, alone */
	assert_int_equal(send(&a, 2, (CLOCK_LATE + 1) * L * US + 1, 0), CLOCK_LATE + 1);
	assert_int_equal(send(&a, 6, 100000, 0), 0);
}

/* Nothing may land further ahead than the bound, at once. */
static void a_jump_ahead_is_followed_at_once(void **state)
{
	struct clock_agent a __attribute__((cleanup(clock_clear))) = {0};

	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(send(&a, i, 100000, 0), 0);
	assert_int_equal(send(&a, 65, 100000, 600 * US), -60);
	assert_int_equal(send(&a, 66, 100000, 600 * US), -60);
}

/* A clock set back is followed within two windows; meanwhile nothing is older than the bound. */
static void a_jump_back_is_followed_soon(void **state)
{
	struct clock_agent a __attribute__((cleanup(clock_clear))) = {0};
	int64_t shift = 0;

	for (unsigned i = 100; i < 105; i++)
		assert_int_equal(send(&a, i, 100000, 0), 0);
	for (unsigned i = 105; i < 120; i++)
		shift = send(&a, i - 5, 100000, -50 * US);
	assert_int_equal(shift, 5);
}

/* All datagrams of an interval move alike though the lag crosses a border in its middle, and small drift does not flutter. */
static void an_interval_is_never_cut(void **state)
{
	struct clock_agent a __attribute__((cleanup(clock_clear))) = {0};

	for (unsigned i = 0; i < 200; i++) {
		int64_t skew = -30 * US - (int64_t)(i % 2) * 200000 + 100000; /* lag 29.9 s, 30.1 s, ... */
		int64_t first = send(&a, i, 0, skew);

		assert_int_equal(first, send(&a, i, 7 * US, skew));
		assert_int_equal(first, i == 0 ? 2 : first);
		if (i > 0)
			assert_int_equal(send(&a, i, 8 * US, skew), a.shift);
	}
	{
		int64_t settled = a.shift;

		for (unsigned i = 200; i < 300; i++)
			assert_int_equal(send(&a, i, 0, -30 * US - (int64_t)(i % 2) * 200000 + 100000), settled);
	}
}

static void moving_stays_in_range(void **state)
{
	assert_int_equal(clock_moved(1000, 10, 3), 1030);
	assert_int_equal(clock_moved(1000, 10, -3), 970);
	assert_int_equal(clock_moved(10, 10, -3), 0);
	assert_int_equal(clock_moved(UINT32_MAX - 5, 10, 3), UINT32_MAX);
}

static void others_learn_nothing(void **state)
{
	struct clock_agent a __attribute__((cleanup(clock_clear))) = {0};

	assert_int_equal(clock_shift_known(&a, T0, L, (int64_t)T0 * US), 0);         /* the open interval */
	assert_int_equal(clock_shift_known(&a, T0, L, (int64_t)(T0 + 100) * US), 9); /* nothing known: its own lag */
	assert_false(a.known);
	(void)send(&a, 0, 100000, -40 * US);
	assert_int_equal(clock_shift_known(&a, T0 + L, L, (int64_t)(T0 + L) * US), 4);
}

/* A line said again after the agent's clock was set right lands where its interval's rows did. */
static void a_line_follows_its_rows(void **state)
{
	struct clock_agent a __attribute__((cleanup(clock_clear))) = {0};
	uint32_t wrong = T0 + L * 10;

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(send(&a, i, 100000, -100 * US), 10);
	for (unsigned i = 13; i < 30; i++) /* set right: it names later intervals */
		assert_int_equal(send(&a, i, 100000, 0), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(clock_shift_line(&a, T0 + L * i, L, 0), 10);
	assert_int_equal(clock_shift_line(&a, T0 + L * 20, L, 7), 0);
	/* of an interval without rows: as said first; rows that come after all follow it */
	assert_int_equal(clock_shift_line(&a, wrong, L, 1), 1);
	assert_int_equal(clock_shift_line(&a, wrong, L, 0), 1);
	assert_int_equal(send(&a, 10, 2 * L * US, 0), 1);
	/* a line of long ago takes no newer one's place */
	assert_int_equal(clock_shift_line(&a, T0 + L * (29 - CLOCK_KEPT), L, 3), 3);
	assert_int_equal(clock_shift_line(&a, T0 + L * 29, L, 3), 0);
}

/* A datagram of an interval decided before moves like the others of it, whatever was decided since. */
static void late_moves_like_its_interval(void **state)
{
	struct clock_agent a __attribute__((cleanup(clock_clear))) = {0};

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(send(&a, i, 100000, -100 * US), 10);
	for (unsigned i = 13; i < 20; i++)
		assert_int_equal(send(&a, i, 100000, 0), 0);
	assert_int_equal(send(&a, 2, 10 * L * US, -100 * US), 10);
	assert_int_equal(send(&a, 20, 100000, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(right_clocks_are_left_alone),
		cmocka_unit_test(wrong_clocks_are_moved_whole),
		cmocka_unit_test(late_is_not_wrong),
		cmocka_unit_test(a_jump_ahead_is_followed_at_once),
		cmocka_unit_test(a_jump_back_is_followed_soon),
		cmocka_unit_test(an_interval_is_never_cut),
		cmocka_unit_test(moving_stays_in_range),
		cmocka_unit_test(others_learn_nothing),
		cmocka_unit_test(a_line_follows_its_rows),
		cmocka_unit_test(late_moves_like_its_interval),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

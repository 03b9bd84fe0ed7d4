/* SPDX-License-Identifier: Apache-2.0 */
/* Which collector, when: the state machine under a clock of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/send.h"

#define S 1000000ll

static const char *const three[] = {"a:6343", "b:6343", "c:6343"};

static void test_rank(void **state)
{
	unsigned first[5] = {0}, i, j, rank[5], fewer[4];
	const char *const v[] = {"c0:1", "c1:1", "c2:1", "c3:1", "c4:1"};
	char host[32];

	for (i = 0; i < 5000; i++) {
		unsigned seen = 0;

		snprintf(host, sizeof(host), "host-%u", i);
		send_rank(str_from(host), v, 5, rank);
		for (j = 0; j < 5; j++)
			seen |= 1u << rank[j];
		assert_int_equal(seen, 31); /* a permutation */
		first[rank[0]]++;
		/* without the last collector the order of the others stays: only its own hosts move */
		send_rank(str_from(host), v, 4, fewer);
		for (j = 0, seen = 0; j < 5; j++)
			if (rank[j] != 4)
				assert_int_equal(fewer[seen++], rank[j]);
	}
	for (i = 0; i < 5; i++)
		assert_in_range(first[i], 850, 1150); /* 1000 each, sigma 28 */
}

static void test_refused(void **state)
{
	struct send s;
	unsigned favourite, second;

	send_init(&s, STR("h"), three, 3, false);
	favourite = send_current(&s);
	assert_int_equal(send_sub_agent(&s, 3), 3);
	assert_true(send_refused(&s, 100 * S));
	second = send_current(&s);
	assert_int_not_equal(second, favourite);
	assert_int_equal(second, s.rank[1]);
	assert_int_equal(send_sub_agent(&s, 0), 8); /* a new id: counts begin anew */
	assert_true(send_refused(&s, 101 * S));
	assert_int_equal(send_current(&s), s.rank[2]);
	assert_int_equal(send_sub_agent(&s, 1), 17);
}

static void test_back_after_ten_minutes(void **state)
{
	struct send s;

	send_init(&s, STR("h"), three, 3, false);
	assert_false(send_interval(&s, 1 * S));
	assert_true(send_refused(&s, 100 * S));
	assert_false(send_interval(&s, 100 * S + SEND_BACK_US - 1));
	assert_true(send_interval(&s, 100 * S + SEND_BACK_US));
	assert_int_equal(send_current(&s), s.rank[0]);
	assert_int_equal(send_sub_agent(&s, 0), 16);
	/* the way back may be to the second, when the first failed later */
	assert_true(send_refused(&s, 1000 * S));
	assert_true(send_refused(&s, 1001 * S));
	assert_int_equal(send_current(&s), s.rank[2]);
	s.failed[0] = 1500 * S;
	assert_true(send_interval(&s, 1001 * S + SEND_BACK_US));
	assert_int_equal(send_current(&s), s.rank[1]);
}

static void test_silence(void **state)
{
	struct send s;
	int i;

	send_init(&s, STR("h"), three, 3, false);
	for (i = 1; i < 20; i++) { /* answered each time */
		assert_false(send_interval(&s, i * S));
		send_sent(&s);
		assert_false(send_acked(&s, false, i * S));
	}
	send_interval(&s, 20 * S);
	send_sent(&s);
	assert_false(send_interval(&s, 21 * S)); /* one missing */
	send_sent(&s);
	assert_false(send_interval(&s, 22 * S));     /* two */
	assert_false(send_acked(&s, false, 22 * S)); /* late, but it lives */
	send_sent(&s);
	assert_false(send_interval(&s, 23 * S));
	send_sent(&s);
	assert_false(send_interval(&s, 24 * S));
	send_sent(&s);
	assert_true(send_interval(&s, 25 * S)); /* three */
	assert_int_equal(send_current(&s), s.rank[1]);
	/* intervals in which nothing was sent prove nothing */
	for (i = 26; i < 40; i++)
		assert_false(send_interval(&s, i * S));
}

static void test_one_way(void **state)
{
	struct send s;
	int i;

	send_init(&s, STR("h"), three, 3, true);
	for (i = 1; i < 50; i++) {
		assert_false(send_interval(&s, i * S));
		send_sent(&s);
	}
}

static void test_stopping(void **state)
{
	struct send s;

	send_init(&s, STR("h"), three, 3, false);
	assert_true(send_acked(&s, true, 5 * S));
	assert_int_equal(send_current(&s), s.rank[1]);
}

static void test_alone(void **state)
{
	struct send s;
	int i;

	send_init(&s, STR("h"), three, 1, false);
	for (i = 0; i < 20; i++) {
		assert_false(send_refused(&s, i * S));
		send_sent(&s);
		assert_false(send_interval(&s, i * S));
		assert_false(send_acked(&s, true, i * S));
	}
	assert_int_equal(send_sub_agent(&s, 0), 0); /* the same one all the time */
}

static void test_all_down(void **state)
{
	struct send s;
	int i, moves = 0;

	send_init(&s, STR("h"), three, 3, false);
	for (i = 0; i < 600; i++) /* each interval of a second refused */
		moves += send_refused(&s, 100 * S + i * S);
	assert_in_range(moves, 50, 63); /* two at once, then each ten seconds */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rank),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_back_after_ten_minutes),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_one_way),
		cmocka_unit_test(test_stopping),
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_all_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

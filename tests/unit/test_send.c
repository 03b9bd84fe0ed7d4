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

/* A fleet: 300,000 agents over 20 collectors. Even, and when one goes only its own agents move, evenly. */
static void test_a_fleet_spreads_evenly(void **state)
{
	enum { AGENTS = 300000, COLLECTORS = 20, GONE = 7, EACH = AGENTS / COLLECTORS };
	static unsigned first[AGENTS];
	unsigned n[COLLECTORS] = {0}, taken[COLLECTORS] = {0}, rank[COLLECTORS], i, moved = 0, worst = 0;
	char text[COLLECTORS][32], host[64];
	const char *v[COLLECTORS], *fewer[COLLECTORS - 1];

	for (i = 0; i < COLLECTORS; i++) {
		snprintf(text[i], sizeof(text[i]), "collector-%u.example:6343", i);
		v[i] = text[i];
	}
	for (i = 0; i < COLLECTORS - 1; i++)
		fewer[i] = v[i < GONE ? i : i + 1];
	for (i = 0; i < AGENTS; i++) { /* machine ids: 32 hex digits */
		snprintf(host, sizeof(host), "%08x%024x", i * 2654435761u, i);
		send_rank(str_from(host), v, COLLECTORS, rank);
		first[i] = rank[0];
		n[rank[0]]++;
		send_rank(str_from(host), fewer, COLLECTORS - 1, rank);
		rank[0] += rank[0] >= GONE;
		if (rank[0] == first[i])
			continue;
		assert_int_equal(first[i], GONE);
		taken[rank[0]]++;
		moved++;
	}
	for (i = 0; i < COLLECTORS; i++) {
		unsigned off = n[i] > EACH ? n[i] - EACH : EACH - n[i];

		worst = off > worst ? off : worst;
		if (i != GONE)
			assert_in_range(taken[i], n[GONE] / 19 * 85 / 100,
					n[GONE] / 19 * 115 / 100); /* 790, sigma 27 */
	}
	print_message(
		"300000 agents, 20 collectors: the fullest or emptiest is %.2f %% off, %.2f %% move when one goes\n",
		100.0 * worst / EACH, 100.0 * moved / AGENTS);
	assert_in_range(worst, 0, EACH * 2 / 100);
	assert_int_equal(moved, n[GONE]);
}

/* Other collectors while it runs. */
static void test_reload(void **state)
{
	static const char *const four[] = {"d:6343", "c:6343", "a:6343", "b:6343"}, *const two[] = {"x:1", "y:1"};
	static const int was[] = {-1, 2, 0, 1}, none[] = {-1, -1};
	struct send s;
	unsigned favourite, now, i;

	send_init(&s, STR("h"), three, 3, false);
	favourite = send_current(&s);
	send_refused(&s, 100 * S);
	now = send_current(&s); /* the second choice of three */
	assert_false(send_reload(&s, STR("h"), four, 4, was, 101 * S));
	assert_string_equal(four[send_current(&s)], three[now]); /* stays, under the same id */
	assert_int_equal(send_sub_agent(&s, 0), 8);
	for (i = 0; i < 4; i++) /* what refused is still known to have */
		if (strcmp(four[s.rank[i]], three[favourite]) == 0)
			assert_int_equal(s.failed[i], 100 * S);
		else
			assert_int_equal(s.failed[i], INT64_MIN);
	assert_true(send_reload(&s, STR("h"), two, 2, none, 102 * S));
	assert_int_equal(s.at, 0);
	assert_int_equal(send_sub_agent(&s, 0), 16);
	assert_false(send_interval(&s, 103 * S));
}

/* A name that leads elsewhere is another process: a new id, a new chance. */
static void test_renamed(void **state)
{
	struct send s;
	unsigned favourite;

	send_init(&s, STR("h"), three, 3, false);
	favourite = send_current(&s);
	assert_true(send_renamed(&s, favourite, 1 * S));
	assert_int_equal(send_current(&s), favourite);
	assert_int_equal(send_sub_agent(&s, 0), 8);
	send_refused(&s, 2 * S);
	assert_false(send_interval(&s, 3 * S));
	assert_false(send_renamed(&s, favourite, 4 * S)); /* not the current one: nothing changes yet */
	assert_int_equal(send_sub_agent(&s, 0), 16);
	assert_true(send_interval(&s, 5 * S)); /* but it need not wait for ten minutes */
	assert_int_equal(send_current(&s), favourite);
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
		cmocka_unit_test(test_rank),     cmocka_unit_test(test_a_fleet_spreads_evenly),
		cmocka_unit_test(test_reload),   cmocka_unit_test(test_renamed),
		cmocka_unit_test(test_refused),  cmocka_unit_test(test_back_after_ten_minutes),
		cmocka_unit_test(test_silence),  cmocka_unit_test(test_one_way),
		cmocka_unit_test(test_stopping), cmocka_unit_test(test_alone),
		cmocka_unit_test(test_all_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

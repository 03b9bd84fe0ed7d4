/* SPDX-License-Identifier: Apache-2.0 */
/* Each sign below, at and above its thresholds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/signs.h"
#include "store/query.h"

#define SECONDS 100 /* so a hundredth of the range is a second */

enum of { ATTEMPTS, CLOSED, SEGS, BUSY };

static const struct {
	const char *name, *side;
	enum flow_view view;
	uint8_t field;
	enum of of;
	struct {
		uint64_t count, of;
		uint8_t severity;
	} steps[6];
} cases[] = {
	{"refused",
	 "",
	 0,
	 FLOW_F_failed_refused,
	 ATTEMPTS,
	 {{0, 100, 0}, {9, 1000, 0}, {10, 1000, 1}, {49, 100, 1}, {50, 100, 2}, {12, 12, 2}}},
	{"timed_out",
	 "",
	 0,
	 FLOW_F_failed_timeout,
	 ATTEMPTS,
	 {{0, 100, 0}, {9, 1000, 0}, {10, 1000, 1}, {49, 100, 1}, {50, 100, 2}, {1, 1, 2}}},
	{"unreachable",
	 "",
	 0,
	 FLOW_F_failed_unreachable,
	 ATTEMPTS,
	 {{0, 100, 0}, {9, 1000, 0}, {10, 1000, 1}, {49, 100, 1}, {50, 100, 2}, {1, 1, 2}}},
	{"no_local_port",
	 "",
	 0,
	 FLOW_F_failed_no_port,
	 ATTEMPTS,
	 {{0, 100, 0}, {9, 1000, 0}, {10, 1000, 1}, {49, 100, 1}, {50, 100, 2}, {1, 1, 2}}},
	{"abandoned",
	 "",
	 0,
	 FLOW_F_failed_abandoned,
	 ATTEMPTS,
	 {{1, 10, 0}, {49, 1000, 0}, {50, 1000, 1}, {49, 100, 1}, {50, 100, 2}, {2, 2, 2}}},
	{"no_route",
	 "",
	 0,
	 FLOW_F_failed_no_route,
	 ATTEMPTS,
	 {{0, 100, 0}, {9, 1000, 0}, {10, 1000, 1}, {49, 100, 1}, {50, 100, 2}, {1, 1, 2}}},
	{"failed_other",
	 "",
	 0,
	 FLOW_F_failed_other,
	 ATTEMPTS,
	 {{0, 100, 0}, {9, 1000, 0}, {10, 1000, 1}, {49, 100, 1}, {50, 100, 2}, {1, 1, 2}}},
	{"reset",
	 "c2s",
	 0,
	 FLOW_F_reset_sent,
	 CLOSED,
	 {{1, 1, 0}, {49, 1000, 0}, {50, 1000, 1}, {9, 10, 1}, {49, 100, 1}, {50, 100, 2}}},
	{"reset",
	 "s2c",
	 0,
	 FLOW_F_reset_received,
	 CLOSED,
	 {{1, 1, 0}, {49, 1000, 0}, {50, 1000, 1}, {9, 10, 1}, {49, 100, 1}, {50, 100, 2}}},
	{"reset",
	 "s2c",
	 1,
	 FLOW_F_reset_sent,
	 CLOSED,
	 {{1, 1, 0}, {49, 1000, 0}, {50, 1000, 1}, {9, 10, 1}, {49, 100, 1}, {50, 100, 2}}},
	{"cut_off",
	 "",
	 0,
	 FLOW_F_timed_out,
	 CLOSED,
	 {{0, 10, 0}, {9, 1000, 0}, {10, 1000, 1}, {1, 1, 1}, {49, 100, 1}, {50, 100, 2}}},
	{"retransmits",
	 "c2s",
	 0,
	 FLOW_F_retransmitted,
	 SEGS,
	 {{4, 10, 0}, {9, 1000, 0}, {10, 1000, 1}, {19, 100, 1}, {19, 1000, 1}, {20, 1000, 2}}},
	{"retransmits",
	 "s2c",
	 1,
	 FLOW_F_retransmitted,
	 SEGS,
	 {{4, 10, 0}, {9, 1000, 0}, {10, 1000, 1}, {19, 100, 1}, {19, 1000, 1}, {20, 1000, 2}}},
	{"slow_reader",
	 "c2s",
	 0,
	 FLOW_F_rwnd_limited_us,
	 BUSY,
	 {{0, 5000000, 0},
	  {999999, 5000000, 0},
	  {1000000, 5000000, 1},
	  {999998, 999999, 0},
	  {2499999, 5000000, 1},
	  {2500000, 5000000, 2}}},
	{"slow_reader",
	 "s2c",
	 1,
	 FLOW_F_rwnd_limited_us,
	 BUSY,
	 {{0, 5000000, 0},
	  {999999, 5000000, 0},
	  {1000000, 5000000, 1},
	  {999998, 999999, 0},
	  {2499999, 5000000, 1},
	  {2500000, 5000000, 2}}},
	{"send_buffer",
	 "c2s",
	 0,
	 FLOW_F_sndbuf_limited_us,
	 BUSY,
	 {{0, 5000000, 0},
	  {2499999, 5000000, 0},
	  {2500000, 5000000, 1},
	  {999998, 999999, 0},
	  {4999999, 5000000, 1},
	  {5000000, 5000000, 1}}},
	{"send_buffer",
	 "s2c",
	 1,
	 FLOW_F_sndbuf_limited_us,
	 BUSY,
	 {{0, 5000000, 0},
	  {2499999, 5000000, 0},
	  {2500000, 5000000, 1},
	  {999998, 999999, 0},
	  {4999999, 5000000, 1},
	  {5000000, 5000000, 1}}},
};

static void test_thresholds(void **state)
{
	static const uint8_t ofs[] = {FLOW_F_attempts, FLOW_F_closed, FLOW_F_tx_segs, FLOW_F_busy_us};

	for (size_t c = 0; c < sizeof(cases) / sizeof(*cases); c++)
		for (size_t s = 0; s < 6; s++) {
			struct flow_edge e = {.observed = 3};
			struct sign signs[SIGNS_MAX];
			unsigned n;

			*flow_stats_u64(&e.view[cases[c].view], cases[c].field) = cases[c].steps[s].count;
			*flow_stats_u64(&e.view[cases[c].view], ofs[cases[c].of]) = cases[c].steps[s].of;
			n = signs_of(&e, SECONDS, signs);
			if (n != (cases[c].steps[s].severity > 0) ||
			    (n && signs->severity != cases[c].steps[s].severity))
				print_message("%s step %zu: %u signs, severity %u\n", cases[c].name, s, n,
					      n ? signs->severity : 0);
			assert_int_equal(n, cases[c].steps[s].severity > 0);
			if (!n)
				continue;
			assert_int_equal(signs->severity, cases[c].steps[s].severity);
			assert_string_equal(signs->name, cases[c].name);
			assert_string_equal(signs->side, cases[c].side);
			assert_int_equal(signs->count, cases[c].steps[s].count);
			assert_int_equal(signs->of, cases[c].steps[s].of);
			assert_true(*signs->text != '\0' && strlen(signs->text) < SIGN_TEXT - 1);
		}
}

static void test_every_row_has_a_case(void **state)
{
	for (unsigned i = 0; signs_name(i); i++) {
		bool found = false;

		for (size_t c = 0; c < sizeof(cases) / sizeof(*cases); c++)
			found |= !strcmp(cases[c].name, signs_name(i));
		assert_true(found);
	}
}

static void sentence(const struct flow_edge *e, const char *expected)
{
	struct sign signs[SIGNS_MAX];

	assert_true(signs_of(e, SECONDS, signs) >= 1);
	assert_string_equal(signs->text, expected);
}

static void test_sentences(void **state)
{
	struct flow_edge e = {.observed = 1};
	struct flow_stats *c = &e.view[FLOW_VIEW_CLIENT];

	c->attempts = c->failed_refused = 12;
	sentence(&e, "all 12 attempts were refused: nothing listens there");
	c->attempts = 100;
	sentence(&e, "12 of 100 attempts were refused: nothing listens there");
	c->failed_refused = 1;
	sentence(&e, "1 of 100 attempts was refused: nothing listens there");
	c->attempts = 1;
	sentence(&e, "the only attempt was refused: nothing listens there");
	*c = (struct flow_stats){.retransmitted = 21, .tx_segs = 1000};
	sentence(&e, "2.1 % of the segments of the client were retransmitted (21 of 1000)");
	*c = (struct flow_stats){.rwnd_limited_us = 34000000, .busy_us = 100000000};
	sentence(&e, "for 34 % of the time the client had data to send, the server did not read fast enough");
}

/* Failures come after their attempts: in a short range there may be none of these. */
static void test_failures_without_attempts(void **state)
{
	struct flow_edge e = {.observed = 1};
	struct sign signs[SIGNS_MAX];

	e.view[FLOW_VIEW_CLIENT].failed_timeout = 3;
	e.view[FLOW_VIEW_CLIENT].opened = 1;
	assert_int_equal(signs_of(&e, 1, signs), 1);
	assert_int_equal(signs->of, 4);
}

/* Three causes, none with half; together they have. */
static void test_causes_add_up(void **state)
{
	struct flow_edge e = {.observed = 1};
	struct flow_stats *c = &e.view[FLOW_VIEW_CLIENT];
	struct sign signs[SIGNS_MAX];

	c->attempts = 100;
	c->failed_refused = 15;
	c->failed_timeout = 20;
	c->failed_no_route = 14;
	assert_int_equal(signs_of(&e, SECONDS, signs), 3);
	assert_int_equal(signs->severity, SIGN_LOOK);
	c->failed_no_route = 15;
	assert_int_equal(signs_of(&e, SECONDS, signs), 3);
	assert_string_equal(signs[0].name, "timed_out");
	assert_int_equal(signs[0].severity, SIGN_SERIOUS);
	assert_int_equal(signs[1].severity, SIGN_LOOK);
	/* As common: the order of names decides. */
	assert_string_equal(signs[1].name, "no_route");
}

/* Both ends know of the same reset: it is one. */
static void test_a_reset_is_counted_once(void **state)
{
	struct flow_edge e = {.observed = 3};
	struct sign signs[SIGNS_MAX];

	e.view[FLOW_VIEW_CLIENT].reset_received = e.view[FLOW_VIEW_SERVER].reset_sent = 30;
	e.view[FLOW_VIEW_CLIENT].closed = e.view[FLOW_VIEW_SERVER].closed = 100;
	assert_int_equal(signs_of(&e, SECONDS, signs), 1);
	assert_string_equal(signs->side, "s2c");
	assert_int_equal(signs->count, 30);
	assert_int_equal(signs->of, 100);
}

static void test_worst_first(void **state)
{
	struct flow_edge e = {.observed = 3};
	struct sign signs[SIGNS_MAX], again[SIGNS_MAX];
	unsigned n;

	for (unsigned v = 0; v < FLOW_VIEWS; v++)
		for (unsigned f = 0; f < FLOW_FIELDS; f++)
			if (flow_fields[f].width != FLOW_HIST)
				*flow_stats_u64(&e.view[v], f) = 1000000000 / (1 + f);
	n = signs_of(&e, SECONDS, signs);
	assert_true(n > 5 && n <= SIGNS_MAX);
	for (unsigned i = 1; i < n; i++)
		assert_true(signs_compare(&signs[i - 1], &signs[i]) < 0 && signs[i - 1].severity >= signs[i].severity);
	assert_int_equal(signs_of(&e, SECONDS, again), n);
	for (unsigned i = 0; i < n; i++) {
		assert_string_equal(signs[i].text, again[i].text);
		assert_true(signs[i].share > 0 && signs[i].share <= 1);
	}
}

static void test_nothing(void **state)
{
	struct flow_edge e = {0};
	struct sign signs[SIGNS_MAX];

	assert_int_equal(signs_of(&e, 0, signs), 0);
	e.view[FLOW_VIEW_NETWORK].tx_bytes = 5;
	assert_int_equal(signs_of(&e, SECONDS, signs), 0);
	/* The largest sums there are. */
	for (unsigned v = 0; v < FLOW_VIEWS; v++)
		memset(&e.view[v], 0xff, sizeof(e.view[v]));
	assert_true(signs_of(&e, UINT32_MAX, signs) <= SIGNS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_thresholds),    cmocka_unit_test(test_every_row_has_a_case),
		cmocka_unit_test(test_sentences),     cmocka_unit_test(test_failures_without_attempts),
		cmocka_unit_test(test_causes_add_up), cmocka_unit_test(test_a_reset_is_counted_once),
		cmocka_unit_test(test_worst_first),   cmocka_unit_test(test_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Cut at every length, every bit flipped, wrong versions, huge counts: counted, survived, neighbours kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/put.h"
#include "wire_sample.h"
#include "wire_walk.h"

static struct walk_memory memory;
static struct walk whole, now;

/* A copy of exactly n bytes, so that a sanitizer sees each byte read too far. */
static uint8_t *copy_of(const void *p, size_t n)
{
	uint8_t *c = malloc(n ? n : 1);

	assert_non_null(c);
	memcpy(c, p, n);
	return c;
}

static void walk_copy(struct walk *w, const uint8_t *p, size_t n)
{
	uint8_t *c = copy_of(p, n);

	walk_datagram(w, &memory, c, n);
	free(c);
}

static void test_every_length(void **state)
{
	static struct sample s;

	for (unsigned kind = 0; kind < SAMPLES - 1; kind++) {
		sample_make(&s, kind);
		walk_copy(&whole, s.p, s.n);
		assert_true(whole.ok > 3);
		assert_int_equal(walk_errors(&whole), 0);
		for (size_t n = 0; n < s.n; n++) {
			unsigned want = 0;

			walk_copy(&now, s.p, n);
			assert_true(walk_errors(&now) > 0);
			assert_true(now.ok <= whole.ok);
			if (!whole.n_rows)
				continue;
			/* each row that is all there comes, unchanged */
			while (want < whole.n_rows && whole.row_end[want] <= n)
				want++;
			assert_int_equal(now.n_rows, want);
			assert_memory_equal(now.row, whole.row, want * sizeof(now.row[0]));
		}
	}
}

/* A flipped bit ends nothing, and a row keeps its neighbours unless the bit is in what stands before all of them. */
static void test_every_bit(void **state)
{
	static struct sample s;

	for (unsigned kind = 0; kind < SAMPLES - 1; kind++) {
		sample_make(&s, kind);
		walk_copy(&whole, s.p, s.n);
		uint8_t *p = copy_of(s.p, s.n);

		for (size_t bit = 0; bit < 8 * s.n; bit++) {
			size_t at = bit / 8;

			p[at] ^= 1u << bit % 8;
			walk_datagram(&now, &memory, p, s.n);
			p[at] ^= 1u << bit % 8;
			if (!whole.n_rows || whole.row_end[0] > at)
				continue;
			/* every row before the one that holds the bit */
			for (unsigned i = 0; i < whole.n_rows && whole.row_end[i] <= at; i++) {
				assert_true(i < now.n_rows);
				assert_true(now.row[i] == whole.row[i]);
			}
		}
		free(p);
	}
}

/* Inside a row, lengths unharmed: it alone is lost or changed. */
static void test_neighbours(void **state)
{
	static struct sample s;
	enum { HEAD4 = 4 + 4 + 5 * 4 };
	unsigned lost = 0;

	sample_flows(&s, false, 4000);
	walk_copy(&whole, s.p, s.n);
	assert_true(whole.n_rows > 5);
	for (unsigned row = 1; row < whole.n_rows; row++) {
		for (size_t at = whole.row_end[row - 1]; at < whole.row_end[row - 1] + HEAD4; at++) {
			s.p[at] ^= 0x80;
			walk_copy(&now, s.p, s.n);
			s.p[at] ^= 0x80;
			unsigned gone = whole.n_rows - now.n_rows;

			assert_true(gone <= 1);
			assert_int_equal(walk_errors(&now), gone);
			lost += gone;
			for (unsigned i = 0; i < whole.n_rows; i++)
				if (i != row)
					assert_true(now.row[i - (i > row ? gone : 0)] == whole.row[i]);
		}
	}
	assert_true(lost > 0); /* views and name indexes out of range among them */
}

/* A word of a good datagram replaced: the reason that is counted, and how many rows are left. */
static void expect(const struct sample *s, size_t at, uint32_t word, enum wire_error reason, unsigned rows)
{
	uint8_t *p = copy_of(s->p, s->n);

	put_u32(p + at, word);
	walk_datagram(&now, &memory, p, s->n);
	free(p);
	assert_true(now.errors[reason] > 0);
	assert_int_equal(now.n_rows, rows);
}

static void test_reasons(void **state)
{
	static struct sample s;
	enum {
		N_SAMPLES = 24,
		SAMPLE_LENGTH = 32,
		N_RECORDS = 64,
		RECORD_LENGTH = 72,
		RECORD = 76,
		INTERVAL = RECORD + 4,
		INTERVAL_S = RECORD + 8,
		NET = RECORD + 24,
		HOST = NET + 8,
		STRINGS = HOST + 36,
		FIRST_STRING = STRINGS + 4,
	};
	unsigned n = sample_flows(&s, false, 5000);
	const uint8_t *p = s.p + STRINGS;
	size_t names, family;

	walk_copy(&whole, s.p, s.n);
	assert_int_equal(whole.n_rows, n);
	for (uint32_t i = 0, count = cursor_load32(p), at = 4;; i++) {
		names = STRINGS + at;
		if (i == count)
			break;
		at += 4 + ((cursor_load32(p + at) + 3) & ~3u);
	}
	family = names + 4 + 28 * cursor_load32(s.p + names);
	assert_int_equal(cursor_load32(s.p + family), 1);
	assert_int_equal(cursor_load32(s.p + family + 4), n);

	expect(&s, 0, 4, WIRE_VERSION, 0);
	expect(&s, 4, 3, WIRE_FAMILY, 0);
	expect(&s, N_SAMPLES, 0xffffffff, WIRE_COUNT, n);
	expect(&s, N_SAMPLES, 0, WIRE_LENGTH, 0);
	expect(&s, SAMPLE_LENGTH, 0xffffffff, WIRE_SHORT, n);
	expect(&s, SAMPLE_LENGTH, 16, WIRE_SHORT, 0);
	expect(&s, N_RECORDS, 0xffffffff, WIRE_COUNT, n);
	expect(&s, RECORD_LENGTH, cursor_load32(s.p + RECORD_LENGTH) - 4, WIRE_SHORT, n - 1);
	expect(&s, RECORD, 2, WIRE_VERSION, 0);
	expect(&s, INTERVAL, SAMPLE_INTERVAL + 1, WIRE_INTERVAL, 0);
	expect(&s, INTERVAL_S, 0, WIRE_INTERVAL, 0);
	expect(&s, INTERVAL_S, 7, WIRE_INTERVAL, 0);
	expect(&s, INTERVAL_S, 120, WIRE_INTERVAL, 0);
	expect(&s, NET, 0xffffffff, WIRE_SHORT, 0);
	expect(&s, NET, 256, WIRE_STRING, 0);
	expect(&s, NET + 4, 0x1b5b324a, WIRE_TEXT, 0);
	expect(&s, STRINGS, 0xffffffff, WIRE_COUNT, 0);
	expect(&s, STRINGS, WIRE_STRINGS, WIRE_SHORT, 0);
	expect(&s, FIRST_STRING + 4, 0x00626364, WIRE_TEXT, n - 4); /* rows of the first name, four of them */
	expect(&s, names, 0xffffffff, WIRE_COUNT, 0);
	expect(&s, names, WIRE_NAMES, WIRE_SHORT, 0);
	expect(&s, names + 4, 0xffffffff, WIRE_STRING, n - 4);
	expect(&s, names + 4 + 28, 0x7fffffff, WIRE_STRING, n - 4);
	expect(&s, family, 3, WIRE_FAMILY, 0);
	expect(&s, family + 4, 0xffffffff, WIRE_COUNT, n);
	expect(&s, family + 4, n - 1, WIRE_LENGTH, n - 1);
	expect(&s, family + 4, 0, WIRE_LENGTH, 0);

	size_t row = family + 8; /* row 0 has no ephemeral ports */
	expect(&s, row + 12, 4u << 24 | 6 << 16, WIRE_VALUE, n - 1);
	expect(&s, row + 20, 1000, WIRE_NAME, n - 1);
	expect(&s, row + 28, 0xfffffff0, WIRE_SHORT, 0);
	expect(&s, row + 36, 0, WIRE_BODY, n - 1); /* low word of present: the body is too long for what is left */
	expect(&s, row + 40, 0xfffffffc, WIRE_SHORT, 0);
}

/* Histograms cannot lead outside their buckets. */
static void test_broken_histogram(void **state)
{
	static const uint32_t bad[] = {44u << 16 | 1, 0u << 16 | 45, 0xffffffff, 43u << 16 | 2, 1u << 31};
	const uint64_t present = 1ull << FLOW_F_srtt;
	uint8_t body[4 + 4 * 64] = {0};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put_u32(body, bad[i]);
		for (size_t n = 0; n <= sizeof(body); n += 4)
			assert_int_equal(wire_body_check(present, (struct str){(char *)body, n}), WIRE_BODY);
	}
	put_u32(body, 43u << 16 | 1);
	assert_int_equal(wire_body_check(present, (struct str){(char *)body, 8}), WIRE_OK);
	assert_int_equal(wire_body_check(present, (struct str){(char *)body, 7}), WIRE_BODY);
	put_u32(body, 44u << 16);
	assert_int_equal(wire_body_check(present, (struct str){(char *)body, 4}), WIRE_OK);
}

/* Random words all over: nothing but surviving is asked. */
static void test_random(void **state)
{
	static struct sample s;
	uint64_t x = 88172645463325252ull;

	for (unsigned round = 0; round < 20000; round++) {
		sample_make(&s, round % (SAMPLES - 1));
		for (unsigned i = 0; i < 1 + round % 4; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			put_u32(s.p + x % (s.n / 4) * 4, x >> 60 ? (uint32_t)(x >> 32) % 300 : (uint32_t)(x >> 32));
		}
		walk_copy(&now, s.p, s.n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_length),     cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_neighbours),       cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_broken_histogram), cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

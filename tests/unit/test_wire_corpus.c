/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 200 datagrams: ours in both profiles, and the standard's. Each is cut at
 * every length and has every bit flipped: read, shown and folded, nothing outside is touched and what is counted adds up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "wire/interop.h"
#include "wire/put.h"
#include "wire_feed.h"
#include "wire_sample.h"

enum { DATAGRAMS = 200, STANDARD = 140, LARGEST = 2048, SHOWN = 7 };

static struct corpus {
	uint8_t p[LARGEST];
	size_t n;
} corpus[DATAGRAMS];
static unsigned n_corpus;
static struct feed feed;
static struct wire_print print;
static struct buf out;

static void add(const uint8_t *p, size_t n)
{
	assert_true(n_corpus < DATAGRAMS && n && n <= LARGEST);
	memcpy(corpus[n_corpus].p, p, n);
	corpus[n_corpus++].n = n;
}

/* Files of the standard's: length (u32, big-endian) and bytes, one after the other. Made by tests/replay/sflow_corpus.py. */
static void add_standard(void)
{
	FILE *f = fopen(CORPUS_SFLOW, "rb");
	uint8_t bytes[LARGEST], length[4];

	assert_non_null(f);
	while (fread(length, 1, 4, f) == 4) {
		size_t n = cursor_load32(length);

		assert_true(n <= LARGEST && fread(bytes, 1, n, f) == n);
		add(bytes, n);
	}
	fclose(f);
	assert_int_equal(n_corpus, STANDARD);
}

/* Rows from the i-th on in the profile for other readers, as many as fit. */
static void add_interop(unsigned i, uint32_t size)
{
	static struct wire_build record;
	static struct wire_interop x;
	struct wire_sender sender = sample_sender();
	const struct wire_opts opts = {.size = size};
	uint8_t bytes[LARGEST];
	bool v6 = i % 2, full = false;

	wire_interop_open(&x, &record, &sample_head, &opts);
	while (!full) {
		struct flow_names names = sample_names(i);
		struct flow_stats stats = sample_stats(i);
		struct wire_flow row = sample_flow(i, v6, &names);

		stats.tx_bytes = 1000 + i;
		stats.rx_bytes = i % 3 ? 5 : 0;
		full = wire_interop_add(&x, &row, &stats, 0) < 0;
		i++;
	}
	add(bytes, wire_interop_close(&x, &sender, 12345, 0, bytes, sizeof(bytes)));
}

static int load(void **state)
{
	static struct sample s;

	add_standard();
	for (unsigned i = 0; n_corpus < DATAGRAMS - 20; i++) {
		sample_flows(&s, i % 2, 800 + 16 * i);
		add(s.p, s.n);
	}
	for (unsigned i = 0; n_corpus < DATAGRAMS - 10; i++)
		add_interop(i, 1400 + 40 * i);
	sample_host(&s);
	add(s.p, s.n);
	for (unsigned i = 1; n_corpus < DATAGRAMS; i++) {
		if (i % 2)
			sample_listeners(&s, i);
		else
			sample_health(&s, i);
		add(s.p, s.n);
	}
	feed_open(&feed, NULL);
	buf_init(&out, 1 << 20);
	return 0;
}

static int unload(void **state)
{
	feed_clear(&feed);
	feed_close(&feed);
	buf_deinit(&out);
	return 0;
}

static void show(const uint8_t *p, size_t n)
{
	for (int json = 0; json < 2; json++) {
		print.json = json;
		(void)wire_print(&print, p, n, &out);
		assert_int_equal(out.err, 0);
		buf_clear(&out);
	}
}

/* Another sequence number each time, or all but the first would be seen for what they are: repetitions. */
static void number(uint8_t *p, size_t n)
{
	static uint32_t sequence;
	size_t at = n > 8 && cursor_load32(p + 4) == 2 ? 28 : 16;

	if (n >= at + 4)
		put_u32(p + at, ++sequence);
}

static void test_whole(void **state)
{
	unsigned good = 0;

	for (unsigned i = 0; i < DATAGRAMS; i++) {
		uint8_t *copy = malloc(corpus[i].n);

		assert_non_null(copy);
		memcpy(copy, corpus[i].p, corpus[i].n);
		number(copy, corpus[i].n);
		feed_datagram(&feed, copy, corpus[i].n);
		show(copy, corpus[i].n);
		good += !walk_errors(&feed.walk);
		free(copy);
	}
	assert_int_equal(good, DATAGRAMS);
	feed_clear(&feed);
	assert_true(feed.worker->counters.sampled_rows >= 40);
	assert_true(feed.rows > feed.worker->counters.sampled_rows + 40);
}

static void test_every_length(void **state)
{
	for (unsigned i = 0; i < DATAGRAMS; i++) {
		for (size_t n = 0; n < corpus[i].n; n++) {
			uint8_t *copy = malloc(n ? n : 1);

			assert_non_null(copy);
			memcpy(copy, corpus[i].p, n);
			number(copy, n);
			feed_datagram(&feed, copy, n);
			assert_true(walk_errors(&feed.walk) > 0);
			if (n % 7 == i % 7)
				show(copy, n);
			free(copy);
		}
	}
}

static void test_every_bit(void **state)
{
	unsigned flips = 0;

	for (unsigned i = 0; i < DATAGRAMS; i++) {
		size_t n = corpus[i].n;
		uint8_t *copy = malloc(n);

		assert_non_null(copy);
		memcpy(copy, corpus[i].p, n);
		for (size_t bit = 0; bit < 8 * n; bit++) {
			number(copy, n);
			copy[bit / 8] ^= 1u << bit % 8;
			feed_datagram(&feed, copy, n);
			if (++flips % SHOWN == 0)
				show(copy, n);
			copy[bit / 8] ^= 1u << bit % 8;
		}
		free(copy);
	}
	print_message("%u flips\n", flips);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_whole), cmocka_unit_test(test_every_length),
					   cmocka_unit_test(test_every_bit)};

	return cmocka_run_group_tests(tests, load, unload);
}

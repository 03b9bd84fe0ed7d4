/* SPDX-License-Identifier: Apache-2.0 */
/* Sequence windows and what is lost, against a plain record of every number that was sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector/tally.h"

#define START_US 1700000000000000ll

struct bench {
	struct account account;
	struct account_lines lines;
	uint32_t serial;
};

static void bench_init(struct bench *b, uint32_t agents)
{
	assert_int_equal(account_init(&b->account, agents), 0);
	assert_int_equal(account_lines_init(&b->lines, agents), 0);
	b->serial = 1;
	account_lines_begin(&b->lines, b->serial);
}

static void bench_deinit(struct bench *b)
{
	account_deinit(&b->account);
	account_lines_deinit(&b->lines);
}

static struct account_seen seen(unsigned agent, uint64_t boot, uint32_t sequence, uint32_t uptime_ms)
{
	return (struct account_seen){
		.key = {.agent = ip_from_v4((const uint8_t[4]){10, 0, (uint8_t)(agent >> 8), (uint8_t)agent}),
			.boot = boot},
		.sequence = sequence,
		.uptime_ms = uptime_ms,
		.at_us = START_US,
	};
}

/* A datagram of `rows` rows whose agent sent `pool` rows so far. */
static enum account_verdict arrive(struct bench *b, struct account_seen s, uint32_t pool, uint64_t rows, int64_t now_s)
{
	struct account_track *t;
	struct account_line *line;
	enum account_verdict v;

	s.at_us += now_s * 1000000;
	v = account_datagram(&b->account, &b->lines, &s, &t, &line);
	if (v == ACCOUNT_NEW || v == ACCOUNT_LATE)
		account_rows(&b->lines, line, &s, &(struct account_read){.rows = rows, .placed = true, .pool = pool});
	return v;
}

static void verdicts(void **state)
{
	struct bench b;

	bench_init(&b, 8);
	assert_int_equal(arrive(&b, seen(1, 7, 10, 0), 0, 0, 0), ACCOUNT_NEW);
	assert_int_equal(arrive(&b, seen(1, 7, 10, 0), 0, 0, 0), ACCOUNT_DUPLICATE);
	assert_int_equal(arrive(&b, seen(1, 7, 13, 0), 0, 0, 0), ACCOUNT_NEW);
	assert_int_equal(arrive(&b, seen(1, 7, 12, 0), 0, 0, 0), ACCOUNT_LATE);
	assert_int_equal(arrive(&b, seen(1, 7, 12, 0), 0, 0, 0), ACCOUNT_DUPLICATE);
	assert_int_equal(arrive(&b, seen(1, 7, 9, 0), 0, 0, 0), ACCOUNT_LATE); /* before the first seen */
	assert_int_equal(arrive(&b, seen(1, 7, 13 + ACCOUNT_WINDOW, 0), 0, 0, 0), ACCOUNT_NEW);
	assert_int_equal(arrive(&b, seen(1, 7, 13, 0), 0, 0, 0), ACCOUNT_OLD);
	assert_int_equal(arrive(&b, seen(1, 7, 14, 0), 0, 0, 0), ACCOUNT_LATE); /* the window's last */
	assert_int_equal(arrive(&b, seen(1, 8, 14, 0), 0, 0, 0), ACCOUNT_NEW);  /* another boot */
	assert_int_equal(arrive(&b, seen(2, 7, 14, 0), 0, 0, 0), ACCOUNT_NEW);
	assert_int_equal(b.lines.n, 3);
	assert_int_equal(b.lines.line[0].duplicates, 2);
	assert_int_equal(b.lines.line[0].late, 3);
	assert_int_equal(b.lines.line[0].old, 1);
	assert_int_equal(b.lines.line[0].datagrams, 6);
	bench_deinit(&b);
}

/* Every step over the wrap, and every window word's border, against an array of what was seen. */
static void windows_match_a_list(void **state)
{
	uint32_t start = UINT32_MAX - 1000;
	bool had[3000] = {false};
	uint32_t top = 0;
	struct bench b;

	bench_init(&b, 8);
	srand(5);
	had[500] = true;
	top = 500;
	assert_int_equal(arrive(&b, seen(1, 7, start + 500, 0), 0, 0, 0), ACCOUNT_NEW);
	for (unsigned i = 0; i < 200000 && top < 2700; i++) {
		uint32_t at = top + 3 - (uint32_t)rand() % 300;
		enum account_verdict v = arrive(&b, seen(1, 7, start + at, 0), 0, 0, 0), want;

		if (at > top)
			want = ACCOUNT_NEW;
		else if (top - at >= ACCOUNT_WINDOW)
			want = ACCOUNT_OLD;
		else
			want = had[at] ? ACCOUNT_DUPLICATE : ACCOUNT_LATE;
		assert_int_equal(v, want);
		if (v == ACCOUNT_NEW)
			top = at;
		if (v == ACCOUNT_NEW || v == ACCOUNT_LATE)
			had[at] = true;
	}
	assert_true(top >= 2700);
	bench_deinit(&b);
}

static void restarts_without_boot_id(void **state)
{
	struct bench b;

	bench_init(&b, 8);
	assert_int_equal(arrive(&b, seen(1, 0, 5000, 900000), 0, 0, 0), ACCOUNT_NEW);
	assert_int_equal(arrive(&b, seen(1, 0, 1, 500), 0, 0, 1), ACCOUNT_NEW); /* began anew */
	assert_int_equal(b.lines.n, 2);
	assert_int_equal(arrive(&b, seen(1, 0, 2, 600), 0, 0, 1), ACCOUNT_NEW);
	assert_int_equal(arrive(&b, seen(1, 0, 2, 600), 0, 0, 1), ACCOUNT_DUPLICATE);
	assert_int_equal(arrive(&b, seen(1, 0, 1, 600), 0, 0, 1),
			 ACCOUNT_DUPLICATE); /* uptime hardly fell: overtaken */
	assert_int_equal(b.lines.n, 2);
	/* whose first datagrams went elsewhere */
	assert_int_equal(arrive(&b, seen(3, 0, 5000, 900000), 0, 0, 0), ACCOUNT_NEW);
	assert_int_equal(arrive(&b, seen(3, 0, 4500, 4000), 0, 0, 5), ACCOUNT_NEW);
	assert_int_equal(b.lines.n, 4);
	/* held up for long, but from a life that began before the last one came */
	assert_int_equal(arrive(&b, seen(4, 0, 5000, 900000), 0, 0, 0), ACCOUNT_NEW);
	assert_int_equal(arrive(&b, seen(4, 0, 4990, 890000), 0, 0, 5), ACCOUNT_LATE);
	assert_int_equal(arrive(&b, seen(4, 0, 4000, 800000), 0, 0, 5), ACCOUNT_OLD);
	/* an uptime that wraps has not fallen */
	assert_int_equal(arrive(&b, seen(5, 0, 5000, UINT32_MAX - 100), 0, 0, 0), ACCOUNT_NEW);
	assert_int_equal(arrive(&b, seen(5, 0, 5001, 100), 0, 0, 1), ACCOUNT_NEW);
	assert_int_equal(b.lines.n, 6);
	/* a boot id decides alone: a fallen sequence is just old */
	assert_int_equal(arrive(&b, seen(2, 9, 5000, 900000), 0, 0, 0), ACCOUNT_NEW);
	assert_int_equal(arrive(&b, seen(2, 9, 1, 500), 0, 0, 1), ACCOUNT_OLD);
	bench_deinit(&b);
}

/* A number that nobody else says moves nothing; one that is said again does. */
static void one_alone_is_not_believed(void **state)
{
	static const uint32_t astray[] = {5000 + 1000000, 5000 + (1u << 31), 5000 - 100000, 5004 + ACCOUNT_JUMP};
	struct bench b;

	bench_init(&b, 8);
	assert_int_equal(arrive(&b, seen(1, 7, 5000, 0), 0, 0, 0), ACCOUNT_NEW);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(arrive(&b, seen(1, 7, astray[i], 0), 0, 0, 0), ACCOUNT_OLD);
		assert_int_equal(arrive(&b, seen(1, 7, 5001 + i, 0), 0, 0, 0), ACCOUNT_NEW);
		assert_int_equal(arrive(&b, seen(1, 7, 5001 + i, 0), 0, 0, 0), ACCOUNT_DUPLICATE);
	}
	assert_int_equal(b.lines.line[0].last, 5004);
	assert_int_equal(arrive(&b, seen(1, 7, 1000000, 0), 0, 0, 0), ACCOUNT_OLD);
	assert_int_equal(arrive(&b, seen(1, 7, 1000001, 0), 0, 0, 0), ACCOUNT_NEW);
	assert_int_equal(arrive(&b, seen(1, 7, 1000001, 0), 0, 0, 0), ACCOUNT_DUPLICATE);
	assert_int_equal(arrive(&b, seen(1, 7, 1000002, 0), 0, 0, 0), ACCOUNT_NEW);
	/* too old ones in a row, with none in order between them */
	for (uint32_t i = 0; i < 15; i++)
		assert_int_equal(arrive(&b, seen(1, 7, 990000 + i, 0), 0, 0, 0), ACCOUNT_OLD);
	assert_int_equal(arrive(&b, seen(1, 7, 1000003, 0), 0, 0, 0), ACCOUNT_NEW);
	for (uint32_t i = 0; i < 15; i++)
		assert_int_equal(arrive(&b, seen(1, 7, 990000 + i, 0), 0, 0, 0), ACCOUNT_OLD);
	assert_int_equal(arrive(&b, seen(1, 7, 990015, 0), 0, 0, 0), ACCOUNT_NEW);
	assert_int_equal(arrive(&b, seen(1, 7, 990016, 0), 0, 0, 0), ACCOUNT_NEW);
	bench_deinit(&b);
}

static void a_full_table_forgets_only_the_silent(void **state)
{
	struct bench b;
	int64_t later = SLOTS_FORGET_S + 1;

	bench_init(&b, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(arrive(&b, seen(i, 7, 1, 0), 0, 0, 0), ACCOUNT_NEW);
	assert_int_equal(arrive(&b, seen(9, 7, 1, 0), 0, 0, 10), ACCOUNT_FULL);
	account_lines_begin(&b.lines, ++b.serial);
	assert_int_equal(arrive(&b, seen(2, 7, 2, 0), 0, 0, later), ACCOUNT_NEW);
	assert_int_equal(arrive(&b, seen(9, 7, 1, 0), 0, 0, later), ACCOUNT_NEW);
	assert_int_equal(arrive(&b, seen(9, 7, 1, 0), 0, 0, later), ACCOUNT_DUPLICATE);
	assert_int_equal(arrive(&b, seen(2, 7, 2, 0), 0, 0, later), ACCOUNT_DUPLICATE); /* was heard: still known */
	bench_deinit(&b);
}

/* --- losses over threads */

#define THREADS 4
#define SENT 5000
#define FLEET 4096

struct fleet {
	struct bench threads[THREADS];
	struct tally tally;
	struct tally_sums sums;
};

static void close_period(struct fleet *f, int64_t now_us)
{
	tally_begin(&f->tally);
	for (unsigned t = 0; t < THREADS; t++)
		tally_add(&f->tally, &f->threads[t].lines, now_us, &f->sums);
	for (unsigned t = 0; t < THREADS; t++) {
		for (uint32_t i = 0; i < f->threads[t].lines.n; i++)
			(void)tally_close(&f->tally, &f->threads[t].lines.line[i], now_us, &f->sums);
		account_lines_begin(&f->threads[t].lines, ++f->threads[t].serial);
	}
}

static void fleet_init(struct fleet *f)
{
	*f = (struct fleet){0};
	for (unsigned t = 0; t < THREADS; t++)
		bench_init(&f->threads[t], FLEET);
	assert_int_equal(tally_init(&f->tally, FLEET, THREADS, START_US), 0);
}

static void fleet_deinit(struct fleet *f)
{
	for (unsigned t = 0; t < THREADS; t++)
		bench_deinit(&f->threads[t]);
	tally_deinit(&f->tally);
}

/* Random loss, reordering over the end of a period, duplicates, any thread: what is missing is exactly what was not delivered. */
static void losses_are_exact(void **state)
{
	uint64_t lost_datagrams = 0, lost_rows = 0, all_rows = 0, got = 0, duplicates = 0;
	uint32_t pool = UINT32_MAX - 20000; /* wraps */
	struct fleet f;
	struct {
		uint32_t sequence, pool, rows;
	} held = {0};

	fleet_init(&f);
	srand(11);
	for (uint32_t i = 1; i <= SENT; i++) {
		uint32_t rows = (uint32_t)rand() % 20, sequence = UINT32_MAX - 2000 + i; /* wraps */
		unsigned t = (unsigned)rand() % THREADS;
		struct account_seen s = seen(1, 7, sequence, 1u << 30); /* older than the collector */

		pool += rows;
		if (i == 1 || i == SENT || rand() % 10) {
			got += rows;
			assert_int_equal(arrive(&f.threads[t], s, pool, rows, 0), ACCOUNT_NEW);
			if (rand() % 7 == 0) {
				assert_int_equal(arrive(&f.threads[t], s, pool, rows, 0), ACCOUNT_DUPLICATE);
				duplicates++;
			}
		} else if (rand() % 2 && !held.sequence && i > 10) {
			held.sequence = sequence; /* comes later, maybe in another period */
			held.pool = pool;
			held.rows = rows;
			t = 0;
		} else {
			lost_datagrams++;
			lost_rows += rows;
		}
		all_rows += rows;
		if (held.sequence && sequence - held.sequence > 20) {
			enum account_verdict v =
				arrive(&f.threads[0], seen(1, 7, held.sequence, 1u << 30), held.pool, held.rows, 0);

			assert_true(v == ACCOUNT_LATE || v == ACCOUNT_NEW);
			got += held.rows;
			held.sequence = 0;
		}
		if (i % 97 == 0)
			close_period(&f, START_US + 1000000);
	}
	if (held.sequence) {
		(void)arrive(&f.threads[0], seen(1, 7, held.sequence, 1u << 30), held.pool, held.rows, 0);
		got += held.rows;
	}
	close_period(&f, START_US + 1000000);
	assert_int_equal(f.sums.lost_datagrams - f.sums.found_datagrams, lost_datagrams);
	assert_int_equal(f.sums.lost_rows - f.sums.found_rows, lost_rows);
	assert_int_equal(f.sums.rows, got);
	assert_int_equal(f.sums.rows + lost_rows, all_rows);
	assert_int_equal(f.sums.duplicates, duplicates);
	fleet_deinit(&f);
}

/* --- every order, every thread */

#define SPRAYED 5

struct sprayed {
	unsigned order[SPRAYED];  /* of delivery */
	unsigned thread[SPRAYED]; /* of delivery i */
	unsigned cut;             /* the period ends before this delivery */
};

/* Numbers over the wrap: 3 and 5 of seven are lost, 4 is doubled. Datagram n holds 10^n rows, so every sum tells which. */
static const struct {
	uint32_t sequence, pool, rows;
} stream[SPRAYED] = {
	{UINT32_MAX - 2, 1, 1}, {UINT32_MAX - 1, 11, 10},          {0, 1111, 1000},
	{0, 1111, 1000},        /* doubled */ {2, 111111, 100000},
};

/* One delivery of the stream, and what must come out of it by a plain list. */
static void spray(struct fleet *f, unsigned agent, const struct sprayed *s)
{
	bool had[THREADS][SPRAYED] = {0}, any[SPRAYED] = {0};
	uint64_t rows = 0, doubled = 0, duplicates = 0;

	f->sums = (struct tally_sums){0};
	for (unsigned i = 0; i < SPRAYED; i++) {
		unsigned n = s->order[i], t = s->thread[i], is = n == 3 ? 2 : n;
		enum account_verdict v;

		if (i == s->cut)
			close_period(f, START_US + 1000000);
		v = arrive(&f->threads[t], seen(agent, 7, stream[n].sequence, 1u << 30), stream[n].pool, stream[n].rows,
			   0);
		assert_int_equal(v == ACCOUNT_DUPLICATE, had[t][is]);
		duplicates += had[t][is];
		rows += had[t][is] ? 0 : stream[n].rows;
		doubled += any[is] && !had[t][is];
		had[t][is] = any[is] = true;
	}
	close_period(f, START_US + 2000000);
	assert_int_equal(f->sums.duplicates, duplicates);
	assert_int_equal(f->sums.rows, rows);
	assert_int_equal(f->sums.doubled_datagrams, doubled);
	assert_int_equal(f->sums.doubled_rows, doubled * 1000);
	assert_int_equal(f->sums.lost_datagrams - f->sums.found_datagrams, 2);
	assert_int_equal(f->sums.lost_rows - f->sums.found_rows, 100 + 10000);
	/* sent = folded + lost - doubled */
	assert_int_equal(rows + 10100 - f->sums.doubled_rows, 111111);
	assert_int_equal(f->sums.restarts + f->sums.unset, 0);
}

static void exchange(unsigned *a, unsigned *b)
{
	unsigned was = *a;

	*a = *b;
	*b = was;
}

/* The next one of all orders, by the alphabet. */
static bool next_order(unsigned *order)
{
	int i = SPRAYED - 2, k = SPRAYED - 1;

	while (i >= 0 && order[i] > order[i + 1])
		i--;
	if (i < 0)
		return false;
	while (order[k] < order[i])
		k--;
	exchange(&order[i], &order[k]);
	for (int from = i + 1, to = SPRAYED - 1; from < to; from++, to--)
		exchange(&order[from], &order[to]);
	return true;
}

/* The same stream to 1, 2 and 4 threads in every order, to every thread, with the period's end at every place. */
static void sprayed_in_every_order(void **state)
{
	unsigned agent = 0;
	struct fleet f;

	fleet_init(&f);
	for (unsigned threads = 1; threads <= THREADS; threads *= 2) {
		struct sprayed s = {.order = {0, 1, 2, 3, 4}};
		unsigned ways = 1;

		for (unsigned i = 0; i < SPRAYED; i++)
			ways *= threads;
		do {
			for (unsigned way = 0; way < ways * (SPRAYED + 1); way++) {
				unsigned left = way % ways;

				for (unsigned i = 0; i < SPRAYED; i++, left /= threads)
					s.thread[i] = left % threads;
				s.cut = way / ways;
				if (agent == FLEET) {
					fleet_deinit(&f);
					fleet_init(&f);
					agent = 0;
				}
				spray(&f, agent++, &s);
			}
		} while (next_order(s.order));
	}
	fleet_deinit(&f);
}

/* An agent without boot id restarts; any of its datagrams may go to any thread. */
static void a_restart_among_threads(void **state)
{
	static const struct {
		uint32_t sequence, uptime_ms;
		int64_t at_s;
	} said[] = {{5000, 900000, 0}, {5002, 901000, 1}, {5001, 900500, 1},
		    {1, 100, 4},       {400, 2000, 6},    {399, 1990, 7}};
	enum { SAID = 6 };
	unsigned agent = 0;
	struct fleet f;

	fleet_init(&f);
	for (unsigned way = 0; way < 4096 * (SAID + 1); way++) {
		unsigned left = way % 4096;

		if (agent == FLEET) {
			fleet_deinit(&f);
			fleet_init(&f);
			agent = 0;
		}
		f.sums = (struct tally_sums){0};
		for (unsigned i = 0; i < SAID; i++, left /= THREADS) {
			struct account_seen s = seen(agent, 0, said[i].sequence, said[i].uptime_ms);
			enum account_verdict v;

			s.key.foreign = 1;
			if (i == way / 4096)
				close_period(&f, START_US + 5000000);
			v = arrive(&f.threads[left % THREADS], s, 0, 0, said[i].at_s);
			assert_true(v == ACCOUNT_NEW || v == ACCOUNT_LATE);
		}
		close_period(&f, START_US + 10000000);
		assert_int_equal(f.sums.restarts, 1);
		assert_int_equal(f.sums.lost_datagrams - f.sums.found_datagrams, 397);
		agent++;
	}
	fleet_deinit(&f);
}

/* What the network held back of a former life is found there, and nothing begins anew. */
static void a_former_life_is_none_that_begins(void **state)
{
	struct fleet f;

	fleet_init(&f);
	assert_int_equal(arrive(&f.threads[0], seen(1, 7, 100, 1u << 30), 1000, 10, 0), ACCOUNT_NEW);
	assert_int_equal(arrive(&f.threads[1], seen(1, 7, 103, 1u << 30), 1030, 10, 0), ACCOUNT_NEW);
	assert_int_equal(arrive(&f.threads[0], seen(1, 8, 1, 100), 5, 5, 1), ACCOUNT_NEW);
	close_period(&f, START_US + 10000000);
	assert_int_equal(f.sums.lost_datagrams, 2);
	assert_int_equal(f.sums.restarts, 1);
	assert_int_equal(arrive(&f.threads[2], seen(1, 7, 101, 1u << 30), 1010, 10, 2), ACCOUNT_NEW);
	assert_int_equal(arrive(&f.threads[0], seen(1, 8, 2, 100), 10, 5, 3), ACCOUNT_NEW);
	close_period(&f, START_US + 20000000);
	assert_int_equal(f.sums.restarts, 1);
	assert_int_equal(f.sums.lost_datagrams - f.sums.found_datagrams, 1);
	assert_int_equal(f.sums.lost_rows - f.sums.found_rows, 10);
	fleet_deinit(&f);
}

/* A change of collectors is another sub-agent id, whose count begins at 1: no loss here, no restart. */
static void another_sub_agent_counts_for_itself(void **state)
{
	struct account_seen s = seen(1, 7, 1, 1u << 30);
	struct fleet f;

	fleet_init(&f);
	assert_int_equal(arrive(&f.threads[0], seen(1, 7, 4000, 1u << 30), 90000, 10, 0), ACCOUNT_NEW);
	for (unsigned i = 1; i <= 3; i++) { /* and back again */
		s.key.sub_agent = 16 * i;
		s.sequence = 1;
		assert_int_equal(arrive(&f.threads[i], s, 10, 10, 0), ACCOUNT_NEW);
		s.sequence = 3;
		assert_int_equal(arrive(&f.threads[0], s, 30, 10, 0), ACCOUNT_NEW);
		close_period(&f, START_US + 10000000 * (int64_t)i);
	}
	assert_int_equal(f.sums.restarts, 0);
	assert_int_equal(f.sums.lost_datagrams, 3);
	assert_int_equal(f.sums.lost_rows, 30);
	fleet_deinit(&f);
}

/* Its samples cannot be read, so neither pool nor rows are known: it came, it is not lost, its rows are. */
static void one_without_a_pool_is_not_missing(void **state)
{
	struct account_seen s = seen(1, 0, 102, 1u << 30);
	struct account_track *t;
	struct account_line *line;
	struct fleet f;

	fleet_init(&f);
	assert_int_equal(arrive(&f.threads[0], seen(1, 7, 101, 1u << 30), 1010, 10, 0), ACCOUNT_NEW);
	assert_int_equal(account_datagram(&f.threads[1].account, &f.threads[1].lines, &s, &t, &line), ACCOUNT_NEW);
	account_rows(&f.threads[1].lines, line, &s, &(struct account_read){0});
	close_period(&f, START_US + 10000000);
	assert_int_equal(arrive(&f.threads[0], seen(1, 7, 103, 1u << 30), 1030, 6, 0), ACCOUNT_NEW);
	close_period(&f, START_US + 20000000);
	assert_int_equal(f.sums.lost_datagrams, 0);
	assert_int_equal(f.sums.lost_rows, 14);
	assert_int_equal(f.sums.restarts, 0);
	fleet_deinit(&f);
}

/* What is late over the end of a period was reported as lost; it is then reported as found. */
static void what_fills_a_gap_is_found(void **state)
{
	struct fleet f;

	fleet_init(&f);
	assert_int_equal(arrive(&f.threads[0], seen(1, 7, 1, 100), 10, 10, 0), ACCOUNT_NEW);
	assert_int_equal(arrive(&f.threads[0], seen(1, 7, 4, 100), 40, 10, 0), ACCOUNT_NEW);
	close_period(&f, START_US + 10000000);
	assert_int_equal(f.sums.lost_datagrams, 2);
	assert_int_equal(f.sums.lost_rows, 20);
	assert_int_equal(arrive(&f.threads[2], seen(1, 7, 2, 100), 20, 10, 0), ACCOUNT_NEW); /* by another thread */
	close_period(&f, START_US + 20000000);
	assert_int_equal(f.sums.lost_datagrams, 2);
	assert_int_equal(f.sums.found_datagrams, 1);
	assert_int_equal(f.sums.found_rows, 10);
	fleet_deinit(&f);
}

/* An agent younger than the collector: its very first datagrams count as lost when they did not come. */
static void a_young_agents_beginning_is_known(void **state)
{
	struct fleet f;

	fleet_init(&f);
	assert_int_equal(arrive(&f.threads[0], seen(1, 7, 4, 5000), 40, 10, 0), ACCOUNT_NEW);
	assert_int_equal(arrive(&f.threads[1], seen(2, 7, 4, 50000), 40, 10, 0), ACCOUNT_NEW); /* older than we are */
	close_period(&f, START_US + 10000000);
	assert_int_equal(f.sums.lost_datagrams, 3);
	assert_int_equal(f.sums.lost_rows, 30);
	assert_int_equal(f.sums.agents, 2);
	fleet_deinit(&f);
}

static void a_restart_is_no_loss(void **state)
{
	struct fleet f;

	fleet_init(&f);
	assert_int_equal(arrive(&f.threads[0], seen(1, 7, 100, 1u << 30), 1000, 10, 0), ACCOUNT_NEW);
	close_period(&f, START_US + 10000000);
	assert_int_equal(arrive(&f.threads[0], seen(1, 8, 1, 100), 5, 5, 0), ACCOUNT_NEW);
	assert_int_equal(arrive(&f.threads[0], seen(1, 8, 3, 100), 15, 5, 0), ACCOUNT_NEW);
	close_period(&f, START_US + 20000000);
	assert_int_equal(f.sums.restarts, 1);
	assert_int_equal(f.sums.lost_datagrams, 1);
	assert_int_equal(f.sums.lost_rows, 5);
	fleet_deinit(&f);
}

/* One of ours that could not be read has no boot id: it came, its rows did not, and the agent goes on as before. */
static void an_unreadable_one_is_no_restart(void **state)
{
	struct fleet f;

	fleet_init(&f);
	assert_int_equal(arrive(&f.threads[0], seen(1, 7, 100, 1u << 30), 1000, 10, 0), ACCOUNT_NEW);
	close_period(&f, START_US + 10000000);
	assert_int_equal(arrive(&f.threads[0], seen(1, 7, 101, 1u << 30), 1010, 10, 0), ACCOUNT_NEW);
	assert_int_equal(arrive(&f.threads[0], seen(1, 0, 103, 1u << 30), 1024, 0, 0), ACCOUNT_NEW); /* 102 is lost */
	assert_int_equal(arrive(&f.threads[0], seen(1, 7, 104, 1u << 30), 1030, 6, 0), ACCOUNT_NEW);
	close_period(&f, START_US + 20000000);
	assert_int_equal(f.sums.restarts, 0);
	assert_int_equal(f.sums.lost_datagrams, 1);
	assert_int_equal(f.sums.lost_rows, 14); /* of 102 and 103 */
	fleet_deinit(&f);
}

/* A switch, or another program, that sends under the same address and sub-agent id is somebody else. */
static void others_count_for_themselves(void **state)
{
	struct account_seen other = seen(1, 0, 70, 1u << 30);
	struct fleet f;

	other.key.foreign = 1;
	fleet_init(&f);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(arrive(&f.threads[0], seen(1, 7, 100 + 2 * i, 1u << 30), 10 * i, 5, 0), ACCOUNT_NEW);
		assert_int_equal(arrive(&f.threads[0], other, 0, 0, 0), ACCOUNT_NEW);
		other.sequence++;
		close_period(&f, START_US + 10000000 * (int64_t)(i + 1));
	}
	assert_int_equal(f.sums.restarts, 0);
	assert_int_equal(f.sums.lost_datagrams, 2);
	assert_int_equal(f.sums.lost_rows, 10);
	fleet_deinit(&f);
}

/* An outage of any length is a loss, and a life of more than 2^32 datagrams loses none by that. */
static void great_steps_and_long_lives(void **state)
{
	uint32_t sequence = 5, pool = 0;
	uint64_t lost = 0;
	struct fleet f;

	fleet_init(&f);
	for (unsigned i = 0; i < 40; i++) {
		struct account_seen s = seen(1, 7, sequence, 1u << 30);

		/* the first one after an outage is not believed: another loss */
		if (i)
			assert_int_equal(arrive(&f.threads[0], s, pool, 3, 0), ACCOUNT_OLD);
		s.sequence++;
		assert_int_equal(arrive(&f.threads[0], s, pool + 3, 3, 0), ACCOUNT_NEW);
		close_period(&f, START_US + 10000000 * (int64_t)(i + 1));
		sequence += 1u << 28;
		pool += 7;
		lost += i < 39 ? (1u << 28) - 1 : 0;
	}
	assert_int_equal(f.sums.restarts, 0);
	assert_int_equal(f.sums.lost_datagrams - f.sums.found_datagrams, lost);
	assert_int_equal(f.sums.lost_rows - f.sums.found_rows, 39 * 4);
	fleet_deinit(&f);
}

/* An ack speaks for all threads, once. */
static void one_ack_per_agent(void **state)
{
	const struct tally_agent *a, *again;
	struct fleet f;

	fleet_init(&f);
	assert_int_equal(arrive(&f.threads[0], seen(1, 7, 1, 0), 3, 3, 0), ACCOUNT_NEW);
	assert_int_equal(arrive(&f.threads[1], seen(1, 7, 2, 0), 8, 5, 0), ACCOUNT_NEW);
	tally_begin(&f.tally);
	tally_add(&f.tally, &f.threads[0].lines, START_US, &f.sums);
	tally_add(&f.tally, &f.threads[1].lines, START_US, &f.sums);
	a = tally_close(&f.tally, &f.threads[0].lines.line[0], START_US, &f.sums);
	assert_non_null(a);
	assert_int_equal(a->period_datagrams, 2);
	assert_int_equal(a->period_rows, 8);
	again = tally_close(&f.tally, &f.threads[1].lines.line[0], START_US, &f.sums);
	assert_null(again);
	fleet_deinit(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts),
		cmocka_unit_test(windows_match_a_list),
		cmocka_unit_test(restarts_without_boot_id),
		cmocka_unit_test(one_alone_is_not_believed),
		cmocka_unit_test(a_full_table_forgets_only_the_silent),
		cmocka_unit_test(losses_are_exact),
		cmocka_unit_test(sprayed_in_every_order),
		cmocka_unit_test(a_restart_among_threads),
		cmocka_unit_test(a_former_life_is_none_that_begins),
		cmocka_unit_test(another_sub_agent_counts_for_itself),
		cmocka_unit_test(one_without_a_pool_is_not_missing),
		cmocka_unit_test(what_fills_a_gap_is_found),
		cmocka_unit_test(a_young_agents_beginning_is_known),
		cmocka_unit_test(a_restart_is_no_loss),
		cmocka_unit_test(an_unreadable_one_is_no_restart),
		cmocka_unit_test(others_count_for_themselves),
		cmocka_unit_test(great_steps_and_long_lives),
		cmocka_unit_test(one_ack_per_agent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

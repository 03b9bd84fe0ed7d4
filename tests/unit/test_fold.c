/* SPDX-License-Identifier: Apache-2.0 */
/* The fold table against a list that is searched from its beginning. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "collector/fold.h"
#include "wire/body.h"

#define KEYS 40 /* different conversations a random row may have */
#define ROWS 3000

/* What makes two rows one, beside the names. */
struct key {
	struct ip client, server;
	uint32_t interval;
	uint16_t port, other_port;
	uint8_t protocol, view;
	uint8_t zero[2];
};

/* A row as a datagram would hold it. */
struct sample {
	struct key key;
	unsigned name;
	uint16_t flags;
	uint16_t port;
	uint32_t ports_more;
	uint64_t present;
	uint8_t body[WIRE_BODY_MAX];
	size_t n;
	struct flow_stats stats;
};

/* What one key must sum to. */
struct expected {
	struct key key;
	unsigned name;
	uint32_t flags, ports_more;
	struct flow_stats stats;
	bool seen;
};

static const struct fold_opts roomy = {
	.max_rows = 1024, .max_names = 64, .max_strings = 256, .string_bytes = 8192, .max_roleless = 1024};

static uint64_t rnd_state;

static uint32_t rnd(uint32_t n)
{
	rnd_state = rnd_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(rnd_state >> 33) % n;
}

/* The even ones of IPv6. */
static struct ip any_address(unsigned i)
{
	struct ip ip = {{0xfd, 1, [7] = (uint8_t)i, [15] = (uint8_t)i}};

	return i % 2 ? ip_from_v4((const uint8_t[4]){10, 1, 0, (uint8_t)i}) : ip;
}

static struct ip address(unsigned i)
{
	return ip_from_v4((const uint8_t[4]){10, 0, (uint8_t)(i >> 8), (uint8_t)i});
}

static struct flow_names names(unsigned i)
{
	static const char *const services[] = {"web", "api", "db", "web"};
	static const char *const containers[] = {"", "0123456789ab", "", "ba9876543210"};

	return (struct flow_names){.service = str_from(services[i % 4]),
				   .container = str_from(containers[i % 4]),
				   .process = STR("proc"),
				   .quality = (uint8_t)(i % 2)};
}

static void body_of(struct sample *s)
{
	struct flow_stats left = s->stats;

	s->n = wire_body_put(&left, s->body, &s->present);
	assert_true(flow_stats_empty(&left));
}

static struct sample random_sample(void)
{
	unsigned k = rnd(KEYS);
	struct sample s = {
		.key = {.client = any_address(k % 5),
			.server = any_address(100 + k % 3),
			.interval = 1000 + 10 * (k % 4),
			.port = (uint16_t)(80 + k % 2),
			.protocol = 6,
			.view = (uint8_t)(k % 2)},
		.name = k % 4,
		.flags = (uint16_t)(1u << rnd(3)),
		.ports_more = rnd(3) ? 0 : rnd(100000),
		.port = (uint16_t)(40000 + rnd(30)),
	};

	s.stats.rows = 1 + rnd(3);
	for (unsigned f = 1; f < FLOW_FIELDS; f++) {
		if (rnd(3) == 0)
			continue;
		if (flow_fields[f].width == FLOW_HIST)
			for (unsigned n = 1 + rnd(4); n > 0; n--) /* some more than 16 bits, some far apart */
				flow_stats_hist(&s.stats, f)[rnd(FLOW_BUCKETS)] += 1 + rnd(rnd(4) ? 9 : 1 << 30);
		else
			*flow_stats_u64(&s.stats, f) =
				rnd(1 << 30) * (flow_fields[f].width == FLOW_U64 ? 1000ull << rnd(44) : 4ull);
	}
	body_of(&s);
	return s;
}

/* Names and strings are numbered in this table, then the row is offered. */
static void offer_one(struct fold *f, const struct sample *s)
{
	static uint8_t ports[ROWS][2]; /* must stay until the flush */
	static unsigned turn;
	uint8_t *port = ports[turn++ % ROWS];
	struct flow_names nm = names(s->name);
	struct fold_item *it;
	uint32_t net;

	port[0] = (uint8_t)(s->port >> 8);
	port[1] = (uint8_t)s->port;
	assert_int_equal(fold_string(f, STR("prod"), &net), 0);
	assert_true(fold_values(f, s->present, (struct str){(const char *)s->body, s->n}));
	it = fold_item(f);
	assert_int_equal(it->rows, s->stats.rows);
	fold_item_ends(it, &s->key.client, &s->key.server);
	it->key.port = s->key.port;
	it->key.other_port = s->key.other_port;
	it->key.interval = s->key.interval;
	it->key.protocol = s->key.protocol;
	it->key.view = s->key.view;
	it->flags = s->flags;
	it->n_ports = 1;
	it->ports = port;
	it->ports_more = s->ports_more;
	if (rnd(2)) { /* names that wait are the same as those looked up at once */
		fold_push_named(f, fold_wait(f, net, 0, &nm));
	} else {
		assert_int_equal(fold_names(f, net, 0, &nm, &it->key.names), 0);
		fold_push(f);
	}
}

static void offer(struct fold *f, struct sample *samples, const unsigned *order, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		offer_one(f, &samples[order ? order[i] : i]);
		if (!rnd(100))
			fold_flush(f);
	}
	fold_flush(f);
}

/* The oracle: every sample added to the first entry of its key, in a plain list. */
static size_t model(struct expected *to, const struct sample *samples, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		size_t k;

		for (k = 0; k < count; k++) {
			if (!memcmp(&to[k].key, &samples[i].key, sizeof(to[k].key)) && to[k].name == samples[i].name)
				break;
		}
		if (k == count)
			to[count++] = (struct expected){.key = samples[i].key, .name = samples[i].name};
		to[k].flags |= samples[i].flags;
		to[k].ports_more += samples[i].ports_more;
		flow_stats_add(&to[k].stats, &samples[i].stats);
	}
	return count;
}

static void check_sums(const struct fold *f, struct expected *want, size_t n)
{
	struct flow_row row;

	assert_int_equal(fold_n(f), n);
	for (uint32_t i = 0; i < fold_n(f); i++) {
		struct expected *e = NULL;

		fold_get(f, i, &row);
		for (size_t k = 0; k < n; k++) {
			struct flow_names nm = names(want[k].name);

			if (want[k].key.interval == row.interval && want[k].key.port == row.conv.port &&
			    want[k].key.view == row.view && ip_eq(&want[k].key.client, &row.conv.client) &&
			    ip_eq(&want[k].key.server, &row.conv.server) && flow_names_eq(&nm, &row.names))
				e = &want[k];
		}
		assert_non_null(e);
		assert_false(e->seen);
		e->seen = true;
		assert_memory_equal(&e->stats, &row.stats, sizeof(row.stats));
		assert_int_equal(e->flags, row.flags);
		assert_true(row.n_ports && row.ports_more >= e->ports_more);
		assert_true(str_eq(row.conv.net, STR("prod")));
	}
}

static void sums_in_any_order(void **state)
{
	struct sample *samples = calloc(ROWS, sizeof(*samples));
	struct expected *want = calloc(ROWS, sizeof(*want));
	unsigned order[ROWS];

	rnd_state = 42;
	for (unsigned i = 0; i < ROWS; i++) {
		samples[i] = random_sample();
		order[i] = i;
	}
	for (unsigned round = 0; round < 3; round++) {
		size_t n = model(want, samples, ROWS);
		struct fold *f;

		assert_int_equal(fold_new(&f, &roomy), 0);
		for (unsigned i = ROWS - 1; i > 0; i--) {
			unsigned k = rnd(i + 1), t = order[i];

			order[i] = order[k];
			order[k] = t;
		}
		offer(f, samples, order, ROWS);
		check_sums(f, want, n);
		fold_clear(f);
		assert_int_equal(fold_n(f), 0);
		memset(want, 0, ROWS * sizeof(*want));
		n = model(want, samples, ROWS);
		offer(f, samples, order, ROWS); /* a reused table is as good as a new one */
		check_sums(f, want, n);
		memset(want, 0, ROWS * sizeof(*want));
		fold_free(f);
	}
	free(samples);
	free(want);
}

static uint64_t lost(const struct fold *f, enum fold_loss why, uint64_t *ret_in)
{
	size_t n;
	const struct fold_count *c = fold_counts(f, &n);
	uint64_t sum = fold_unplaced(f)->lost[why];

	*ret_in = fold_unplaced(f)->rows_in;
	for (size_t i = 0; i < n; i++) {
		sum += c[i].lost[why];
		*ret_in += c[i].rows_in;
	}
	return sum;
}

static uint64_t folded(const struct fold *f)
{
	struct flow_row row;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < fold_n(f); i++) {
		fold_get(f, i, &row);
		sum += row.stats.rows;
	}
	return sum;
}

static void full_table_sheds_and_counts(void **state)
{
	struct fold_opts small = roomy;
	struct sample *samples = calloc(ROWS, sizeof(*samples));
	uint64_t offered = 0, in, shed;
	struct fold *f;

	rnd_state = 7;
	small.max_rows = 10;
	assert_int_equal(fold_new(&f, &small), 0);
	for (unsigned i = 0; i < ROWS; i++) {
		samples[i] = random_sample();
		offered += samples[i].stats.rows;
	}
	offer(f, samples, NULL, ROWS);
	assert_int_equal(fold_n(f), 10);
	shed = lost(f, FOLD_LOST_TABLE, &in);
	assert_true(shed > 0);
	assert_int_equal(in, offered);
	assert_int_equal(folded(f) + shed, offered);
	fold_free(f);
	free(samples);
}

/* Chunks for few rows: whole rows are shed, each counted, and none is half in. */
static void full_chunks_shed_whole_rows(void **state)
{
	struct fold_opts small = roomy;
	struct sample *samples = calloc(ROWS, sizeof(*samples));
	struct expected *want = calloc(ROWS, sizeof(*want));
	uint64_t offered = 0, in, shed;
	size_t n, added = 0;
	struct fold *f;

	rnd_state = 11;
	small.max_chunks = 200;
	assert_int_equal(fold_new(&f, &small), 0);
	for (unsigned i = 0; i < ROWS; i++) {
		uint64_t before = folded(f);

		samples[added] = random_sample();
		offered += samples[added].stats.rows;
		offer(f, &samples[added], NULL, 1);
		if (folded(f) != before)
			added++;
	}
	shed = lost(f, FOLD_LOST_TABLE, &in);
	assert_true(added > 10 && shed > 0);
	assert_int_equal(in, offered);
	assert_int_equal(folded(f) + shed, offered);
	n = model(want, samples, added);
	check_sums(f, want, n);
	assert_true(fold_fill_pm(f) > 900);
	fold_free(f);
	free(samples);
	free(want);
}

/* Counters of buckets stop at 2^32 - 1, sums wrap at 2^64, as flow_stats_add() has it. */
static void limits(void **state)
{
	struct sample s = {.key = {.protocol = 6, .interval = 10}, .stats = {.rows = UINT32_MAX}};
	struct flow_stats sum = {0};
	struct flow_row row;
	struct fold *f;

	s.stats.srtt[3] = 40000;
	s.stats.srtt[FLOW_BUCKETS - 1] = UINT32_MAX - 5;
	s.stats.handshake[0] = UINT32_MAX;
	s.stats.tx_bytes = UINT64_MAX / 3;
	s.stats.tx_undelivered = UINT64_MAX / 2 + 7;
	s.stats.turn_self = UINT32_MAX;
	s.stats.lost = 65535;
	s.ports_more = UINT32_MAX / 2;
	body_of(&s);
	assert_int_equal(fold_new(&f, &roomy), 0);
	for (unsigned i = 0; i < 7; i++) {
		offer(f, &s, NULL, 1);
		flow_stats_add(&sum, &s.stats);
	}
	fold_get(f, 0, &row);
	assert_memory_equal(&row.stats, &sum, sizeof(sum));
	assert_int_equal(row.ports_more, UINT32_MAX);
	fold_free(f);
}

/* Random `present` and bytes: the fold takes what wire_body_check() takes. */
static void bodies_are_judged_alike(void **state)
{
	struct fold *f;
	unsigned good = 0;

	rnd_state = 5;
	assert_int_equal(fold_new(&f, &roomy), 0);
	for (unsigned i = 0; i < 200000; i++) {
		struct sample s = random_sample();
		uint64_t present = s.present ^ (rnd(2) ? 0 : 1ull << rnd(64));
		size_t n = rnd(2) ? s.n : rnd((uint32_t)s.n + 8);
		uint8_t *body = malloc(n + 1); /* exactly so long: a sanitizer sees one read too far */

		memset(body, 0, n);
		memcpy(body, s.body, n < s.n ? n : s.n);
		if (n && rnd(4) == 0)
			body[rnd((uint32_t)n)] ^= (uint8_t)(1 << rnd(8));
		{
			struct str b = {(const char *)body, n};
			bool want = wire_body_check(present, b) == WIRE_OK;

			assert_int_equal(fold_values(f, present, b), want);
			good += want;
		}
		free(body);
	}
	assert_true(good > 10000 && good < 190000);
	fold_free(f);
}

static void full_names_are_refused(void **state)
{
	struct fold_opts small = roomy;
	struct flow_names a = {.service = STR("a")}, b = {.service = STR("b")};
	uint32_t id, again;
	struct fold *f;

	small.max_names = 2;
	small.string_bytes = 3;
	assert_int_equal(fold_new(&f, &small), 0);
	assert_int_equal(fold_names(f, 0, 0, &a, &id), 0);
	assert_int_equal(fold_names(f, 0, 0, &a, &again), 0);
	assert_int_equal(id, again);
	a.quality = 1;
	assert_int_equal(fold_names(f, 0, 0, &a, &again), 0);
	assert_int_not_equal(id, again);
	assert_int_equal(fold_names(f, 0, 0, &b, &id), -ENOSPC);    /* names */
	assert_int_equal(fold_string(f, STR("xyz"), &id), -ENOSPC); /* bytes: a and b are in */
	assert_int_equal(fold_string(f, STR("b"), &id), 0);
	assert_int_equal(fold_string(f, STR(""), &id), 0);
	assert_int_equal(id, 0);
	fold_shed(f, 1000, FOLD_LOST_NAMES, 5);
	fold_shed(f, 1010, FOLD_LOST_NAMES, 2);
	{
		uint64_t in, shed = lost(f, FOLD_LOST_NAMES, &in);

		assert_int_equal(shed, 7);
		assert_int_equal(in, 7);
	}
	fold_free(f);
}

/* Names that wait and find no room: their rows are lost and counted, the others are not. */
static void waiting_names_are_shed(void **state)
{
	const struct flow_names who[] = {{.service = STR("a")}, {.service = STR("b")}, {.service = STR("c")}};
	const uint8_t body[4] = {0, 0, 0, 3};
	struct fold_opts small = roomy;
	struct flow_row row;
	uint64_t in;
	struct fold *f;

	small.max_names = 2;
	assert_int_equal(fold_new(&f, &small), 0);
	for (unsigned round = 0; round < 100; round++) {
		for (unsigned i = 0; i < 3; i++) {
			struct fold_item *it;

			assert_true(fold_values(f, 1, (struct str){(const char *)body, sizeof(body)}));
			it = fold_item(f);
			fold_item_ends4(it, (const uint8_t[4]){10, 0, 0, 1}, (const uint8_t[4]){10, 0, 0, 2});
			it->key.interval = 1000;
			it->key.port = 80;
			it->key.other_port = 0;
			it->key.protocol = 6;
			it->key.view = FLOW_VIEW_CLIENT;
			it->flags = 0;
			it->n_ports = 0;
			it->ports_more = 0;
			fold_push_named(f, fold_wait(f, 0, 0, &who[i]));
		}
	}
	fold_flush(f);
	assert_int_equal(fold_n(f), 2);
	for (uint32_t i = 0; i < 2; i++) {
		fold_get(f, i, &row);
		assert_int_equal(row.stats.rows, 300);
		assert_true(str_eq(row.names.service, who[i].service));
	}
	assert_int_equal(lost(f, FOLD_LOST_NAMES, &in), 300);
	assert_int_equal(in, 900);
	fold_free(f);
}

static size_t resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*u %lu", &pages), 1);
	fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* A table for a million rows takes what its rows take, empties wholly, and again. */
static void memory_follows_use(void **state)
{
	const struct fold_opts large = {.max_rows = 1 << 20,
					.max_names = 1 << 18,
					.max_strings = 1 << 20,
					.string_bytes = 1 << 26,
					.max_roleless = 1 << 18};
	size_t before = resident_bytes();
	struct sample s = {.key = {.protocol = 6, .interval = 1000}, .stats = {.rows = 1}};
	struct fold *f;

	assert_int_equal(fold_new(&f, &large), 0);
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < 2000; i++) {
			s.key.client = address(i + round * 1000);
			body_of(&s);
			offer(f, &s, NULL, 1);
		}
		assert_int_equal(fold_n(f), 2000);
		assert_int_equal(folded(f), 2000);
		fold_clear(f);
		assert_int_equal(fold_n(f), 0);
	}
	assert_true(fold_bytes(&large) > 512u << 20);
	assert_true(resident_bytes() - before < 30u << 20);
	fold_free(f);
}

static void too_many_intervals_are_shed(void **state)
{
	struct sample s = {.key = {.protocol = 6}, .stats = {.rows = 2}};
	struct fold *f;
	uint64_t in;

	body_of(&s);
	assert_int_equal(fold_new(&f, &roomy), 0);
	for (unsigned i = 0; i < FOLD_INTERVALS + 3; i++) {
		s.key.interval = i;
		offer(f, &s, NULL, 1);
	}
	assert_int_equal(fold_n(f), FOLD_INTERVALS);
	assert_int_equal(lost(f, FOLD_LOST_INTERVALS, &in), 6);
	assert_int_equal(in, 2 * (FOLD_INTERVALS + 3));
	assert_int_equal(folded(f) + 6, in);
	fold_free(f);
}

static void ports_are_listed_then_counted(void **state)
{
	struct sample s = {.key = {.protocol = 6, .interval = 10}, .stats = {.rows = 1}};
	struct flow_row row;
	struct fold *f;

	body_of(&s);
	assert_int_equal(fold_new(&f, &roomy), 0);
	for (unsigned i = 0; i < FLOW_PORTS + 5; i++) {
		s.port = (uint16_t)(50000 + i);
		offer(f, &s, NULL, 1);
		s.port = 50000;
		offer(f, &s, NULL, 1); /* known: neither listed nor counted again */
	}
	fold_get(f, 0, &row);
	assert_int_equal(row.n_ports, FLOW_PORTS);
	assert_int_equal(row.ports_more, 5);
	for (unsigned i = 0; i < FLOW_PORTS; i++)
		assert_int_equal(row.ports[i], 50000 + i);
	fold_free(f);
}

/* Two ports a row: past the bound they share one row, and nothing is lost. */
static void roleless_rows_are_bounded(void **state)
{
	struct sample s = {.key = {.protocol = 6, .interval = 10, .view = FLOW_VIEW_UNKNOWN}, .stats = {.rows = 1}};
	struct fold_opts small = roomy;
	struct fold *f;

	body_of(&s);
	small.max_roleless = 8;
	assert_int_equal(fold_new(&f, &small), 0);
	for (unsigned i = 0; i < 100; i++) {
		s.key.port = (uint16_t)(1000 + i % 50);
		s.key.other_port = 2000;
		offer(f, &s, NULL, 1);
	}
	assert_int_equal(fold_n(f), 9);
	assert_int_equal(folded(f), 100);
	assert_int_equal(fold_roleless_merged(f), 84); /* 8 of 50 keep their ports, in both rounds */
	fold_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_in_any_order),
		cmocka_unit_test(full_table_sheds_and_counts),
		cmocka_unit_test(full_names_are_refused),
		cmocka_unit_test(waiting_names_are_shed),
		cmocka_unit_test(memory_follows_use),
		cmocka_unit_test(too_many_intervals_are_shed),
		cmocka_unit_test(ports_are_listed_then_counted),
		cmocka_unit_test(roleless_rows_are_bounded),
		cmocka_unit_test(full_chunks_shed_whole_rows),
		cmocka_unit_test(limits),
		cmocka_unit_test(bodies_are_judged_alike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

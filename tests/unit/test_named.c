/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel rows -> named rows -> datagrams: nothing is lost on the way, whatever merges. Intervals, ledger lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/batch.h"
#include "agent/cycle.h"
#include "agent/health.h"
#include "agent/print.h"
#include "wire/flows.h"

static struct names *names;
static struct agent_rows *rows;
static struct named named;
static struct locals locals;

static int set_up(void **state)
{
	struct names_opts o = {.proc = "/nowhere", .cgroups = "/nowhere"};

	locals = (struct locals){0};
	return names_new(&names, &o) || agent_rows_new(&rows, 20000) || named_init(&named, 32768, 60999);
}

static int tear_down(void **state)
{
	names_free(names);
	agent_rows_free(rows);
	named_deinit(&named);
	return 0;
}

static struct sky_row_key key_of(const char *comm, const char *local, const char *remote, uint8_t role, uint16_t port)
{
	struct sky_row_key k = {.netns = 7, .role = role, .service_port = port, .protocol = 6, .owner = {.cgroup = 1}};
	struct ip ip;

	snprintf(k.owner.comm, sizeof(k.owner.comm), "%s", comm);
	assert_int_equal(ip_parse(local, &ip), 0);
	memcpy(k.local, ip.b, 16);
	assert_int_equal(ip_parse(remote, &ip), 0);
	memcpy(k.remote, ip.b, 16);
	return k;
}

static struct sky_row_value *add(struct sky_row_key k, uint64_t tx, uint16_t port)
{
	struct agent_row *row = agent_rows_get(rows, &k);

	assert_non_null(row);
	row->val.rows = 1;
	row->val.tx_bytes += tx;
	row->val.srtt[3]++;
	agent_row_port(&row->val, port);
	return &row->val;
}

static void fold(void)
{
	names_begin(names, 1000);
	assert_int_equal(named_fold(&named, rows, names, &locals, 1000), 0);
}

static void test_how_owners_are_known_is_a_sum(void **state)
{
	static const struct {
		uint32_t flags, port;
		uint64_t inherited, scan, unknown;
	} cases[] = {{0, 81, 0, 0, 0},
		     {SKY_OWNER_INHERITED, 82, 1, 0, 0},
		     {SKY_OWNER_SCAN, 83, 0, 1, 0},
		     {SKY_OWNER_SCAN | SKY_OWNER_INHERITED, 84, 0, 1, 0}};
	struct sky_row_key k;
	size_t i;

	for (i = 0; i < 4; i++) {
		k = key_of("web", "10.0.0.1", "10.0.0.2", SKY_ROLE_SERVER, (uint16_t)cases[i].port);
		k.owner.flags = cases[i].flags;
		add(k, 1, 4001);
	}
	k = key_of("", "10.0.0.1", "10.0.0.2", SKY_ROLE_SERVER, 85);
	add(k, 1, 4001);
	k.netns = 8; /* merged with the one before: both count */
	add(k, 1, 4002);
	fold();
	assert_int_equal(named.n, 5);
	for (i = 0; i < named.n; i++) {
		const struct flow_stats *s = named_stats(&named.v[i]);
		unsigned n = named.v[i].row->key.service_port - 81u;

		assert_int_equal(s->owner_inherited, n < 4 ? cases[n].inherited : 0);
		assert_int_equal(s->owner_scan, n < 4 ? cases[n].scan : 0);
		assert_int_equal(s->owner_unknown, n < 4 ? cases[n].unknown : 2);
		assert_int_equal(s->rows, n < 4 ? 1 : 2);
	}
}

static void test_merges_what_names_do_not_tell_apart(void **state)
{
	struct sky_row_key a = key_of("web", "10.0.0.1", "10.0.0.2", SKY_ROLE_CLIENT, 80), b = a, c = a, d = a;
	struct wire_flow w;
	unsigned i;

	b.owner.tgid = 4711; /* another process, another namespace, older than the agent: the same name */
	b.netns = 8;
	b.flags = FLOW_JOINED;
	c.role = SKY_ROLE_SERVER;
	d.service_port = 81;
	for (i = 0; i < 12; i++) {
		add(a, 100, (uint16_t)(40000 + i));
		add(b, 10, (uint16_t)(41000 + i));
	}
	add(c, 1, 50000);
	add(d, 1, 50001);
	fold();
	assert_int_equal(named.n, 3);
	named_flow(&named.v[0], names, &w);
	assert_int_equal(w.view, FLOW_VIEW_CLIENT);
	assert_int_equal(w.port, 80);
	assert_int_equal(w.flags, FLOW_JOINED);
	assert_int_equal(w.scope, 0);
	assert_int_equal(named_stats(&named.v[0])->tx_bytes, 1320);
	assert_int_equal(named_stats(&named.v[0])->rows, 2);
	assert_int_equal(named_stats(&named.v[0])->srtt[3], 24);
	assert_int_equal(w.n_ports, FLOW_PORTS);
	assert_int_equal(w.n_ports + w.ports_more, 24);
	assert_true(str_eq(w.names->service, STR("web")));
}

static void test_scopes(void **state)
{
	struct sky_row_key a = key_of("w", "127.0.0.1", "127.0.0.1", SKY_ROLE_CLIENT, 80), b = a;
	struct sky_row_key c = key_of("w", "172.17.0.2", "192.0.2.1", SKY_ROLE_CLIENT, 80);
	struct sky_row_key d = key_of("w", "fe80::1", "fe80::2", SKY_ROLE_SERVER, 80);
	struct wire_flow w;

	b.netns = 9;
	assert_int_equal(locals_add(&locals, "172.17.0.0/16"), 0);
	assert_true(locals_add(&locals, "172.17.0.0/33") < 0);
	add(a, 1, 1);
	add(b, 1, 1);
	add(c, 1, 1);
	add(d, 1, 1);
	fold();
	assert_int_equal(named.n, 4); /* each namespace has its own loopback */
	named_flow(&named.v[0], names, &w);
	assert_int_equal(w.scope, 7);
	named_flow(&named.v[1], names, &w);
	assert_int_equal(w.scope, 9);
	named_flow(&named.v[2], names, &w);
	assert_int_equal(w.scope, 1);
	named_flow(&named.v[3], names, &w);
	assert_int_equal(w.scope, 1);
}

static void test_unknown_role(void **state)
{
	struct sky_row_key k = key_of("w", "10.0.0.1", "10.0.0.2", SKY_ROLE_UNKNOWN, 5000);
	struct wire_flow w;

	k.other_port = 6000;
	add(k, 1, 1);
	fold();
	named_flow(&named.v[0], names, &w);
	assert_int_equal(w.view, FLOW_VIEW_UNKNOWN);
	assert_int_equal(w.flags, FLOW_NO_ROLE);
	assert_int_equal(w.other_port, 6000);
}

static void test_many_ports_fold(void **state)
{
	unsigned i, zero = 0;
	uint64_t sum = 0;
	struct wire_flow w;

	for (i = 0; i < 100; i++)
		add(key_of("ftp", "10.0.0.1", "10.0.0.2", SKY_ROLE_SERVER, (uint16_t)(40000 + i)), 5, 1);
	add(key_of("ftp", "10.0.0.1", "10.0.0.2", SKY_ROLE_SERVER, 21), 5, 1);    /* below the range: kept */
	add(key_of("web", "10.0.0.1", "10.0.0.2", SKY_ROLE_SERVER, 40000), 5, 1); /* another service: kept */
	fold();
	for (i = 0; i < named.n; i++) {
		named_flow(&named.v[i], names, &w);
		zero += w.port == 0;
		sum += named_stats(&named.v[i])->tx_bytes;
	}
	assert_int_equal(named.n, NAMED_PORTS + 1 + 2);
	assert_int_equal(zero, 1);
	assert_int_equal(sum, 102 * 5);
	assert_int_equal(named.ports_folded, 100 - NAMED_PORTS);
}

/* Reads every datagram of a batch back and sums what is inside. */
static void read_back(const struct batch *b, uint64_t *ret_rows, uint64_t *ret_tx, unsigned *ret_n)
{
	static struct wire_flows f;
	size_t i;

	for (i = 0; i < b->n; i++) {
		struct wire_datagram d;
		struct wire_record r;
		struct wire_flow w;
		uint64_t before = *ret_rows;

		assert_in_range(b->v[i].len, 1, 1400);
		assert_int_equal(wire_open(&d, b->bytes.p + b->v[i].at, b->v[i].len, 0), WIRE_OK);
		while (wire_next(&d, &r) == WIRE_OK) {
			if (!r.ours)
				continue;
			assert_int_equal(wire_flows_open(&f, &r), WIRE_OK);
			while (wire_flows_next(&f, &w) == WIRE_OK) {
				struct flow_stats s = {0};

				wire_body_add(w.present, w.body, &s);
				*ret_rows += s.rows;
				*ret_tx += s.tx_bytes;
				(*ret_n)++;
			}
		}
		assert_int_equal(*ret_rows - before, b->v[i].rows);
	}
}

static void check_all_rows(bool interop)
{
	struct batch_head head = {.wire = {.interval = 100, .interval_s = 10, .host = STR("h")},
				  .opts = {.size = 1400},
				  .interop = interop};
	static struct wire_build build;
	uint64_t got_rows = 0, got_tx = 0, tx = 0;
	struct batch *b = batch_new();
	unsigned i, n = 0;
	char remote[32], comm[16];

	assert_int_equal(ip_parse("192.0.2.1", &head.agent), 0);
	for (i = 0; i < 3000; i++) {
		snprintf(remote, sizeof(remote), i % 5 ? "10.%u.%u.1" : "2001:db8:%x::%x", i / 250, i % 250);
		snprintf(comm, sizeof(comm), "svc%u", i % 37);
		add(key_of(comm, i % 5 ? "10.0.0.1" : "2001:db8::1", remote, SKY_ROLE_CLIENT, 80), i, (uint16_t)i);
		tx += i;
	}
	fold();
	assert_int_equal(batch_rows(b, &build, &head, &named, names), 0);
	read_back(b, &got_rows, &got_tx, &n);
	assert_int_equal(got_rows, 3000);
	assert_int_equal(b->line.rows_out, 3000);
	assert_int_equal(got_tx, tx);
	assert_int_equal(n, 3000);
	assert_int_equal(b->v[0].len, b->v[1].len); /* so many go in runs of one length */
	batch_free(b);
}

static void test_datagrams_hold_all_rows(void **state)
{
	check_all_rows(false);
}

static void test_rows_for_other_readers(void **state)
{
	check_all_rows(true);
}

static void check_above_32_bits(bool interop)
{
	struct batch_head head = {.wire = {.interval = 100, .interval_s = 10, .host = STR("h")}, .interop = interop};
	static struct wire_build build;
	struct batch *b = batch_new();
	uint64_t got_rows = 0, got_tx = 0;
	struct sky_row_value *v;
	unsigned n = 0;

	v = add(key_of("w", "10.0.0.1", "10.0.0.2", SKY_ROLE_CLIENT, 80), 1ull << 40, 1);
	v->opened = (1ull << 33) + 5;
	v = add(key_of("x", "10.0.0.1", "10.0.0.2", SKY_ROLE_CLIENT, 80), 7, 1);
	v->opened = 1ull << 40; /* too much even for many rows */
	fold();
	assert_int_equal(batch_rows(b, &build, &head, &named, names), 0);
	read_back(b, &got_rows, &got_tx, &n);
	assert_int_equal(got_rows, 1);
	assert_int_equal(got_tx, 1ull << 40);
	assert_true(n > 1);
	assert_int_equal(b->line.n_lost, 1);
	assert_true(str_eq(b->line.lost[0].name, STR("too_big")));
	assert_int_equal(b->line.lost[0].n, 1);
	batch_free(b);
}

static void test_counters_above_32_bits(void **state)
{
	check_above_32_bits(false);
}

static void test_above_32_bits_for_others(void **state)
{
	check_above_32_bits(true);
}

static void test_intervals(void **state)
{
	assert_int_equal(cycle_interval(1000000000ll * 1000000, 10, true), 1000000000);
	assert_int_equal(cycle_interval(1000000000ll * 1000000, 10, false), 999999990);
	assert_int_equal(cycle_interval(1000000009ll * 1000000 + 999999, 10, true), 1000000000);
	assert_int_equal(cycle_interval(1000000009ll * 1000000, 1, false), 1000000008);
}

static void test_ledger_lines(void **state)
{
	struct source_counts a = {.rows_out = 10, .opened_client = 5, .lost_rows_full = 2, .socks_open = 70}, z = {0};
	struct flow_ledger line = {.rows_in = 12, .rows_out = 10}, other = {.rows_in = 3, .rows_out = 1};
	uint64_t busy, steal, total;
	unsigned i, found = 0;

	health_counts(&line, &a, &z);
	assert_int_equal(line.n_lost, 1);
	assert_int_equal(line.lost[0].n, 2);
	for (i = 0; i < line.n_info; i++) {
		if (str_eq(line.info[i].name, STR("opened_client"))) {
			assert_int_equal(line.info[i].n, 5);
			found++;
		}
		if (str_eq(line.info[i].name, STR("socks_open"))) {
			assert_int_equal(line.info[i].n, 70);
			found++;
		}
	}
	assert_int_equal(found, 2);
	health_lost(&other, "rows_full", 1);
	health_lost(&other, "send_error", 1);
	health_merge(&line, &other);
	assert_int_equal(line.rows_in, 15);
	assert_int_equal(line.rows_out, 11);
	assert_int_equal(line.n_lost, 2);
	assert_int_equal(line.lost[0].n, 3);
	assert_int_equal(health_stat("cpu  10 20 30 40 50 6 7 8 9 10\ncpu0 1", &busy, &steal, &total), 0);
	assert_int_equal(busy, 10 + 20 + 30 + 6 + 7);
	assert_int_equal(steal, 8);
	assert_int_equal(total, 171);
	assert_true(health_stat("cpu 1 2 3", &busy, &steal, &total) < 0);
}

static void test_ledger_line_is_full(void **state)
{
	static char reasons[FLOW_LOSSES + 2][8];
	struct flow_ledger line = {0}, other = {0};
	uint64_t lost = 0;
	unsigned i;

	for (i = 0; i < FLOW_LOSSES + 2; i++) {
		snprintf(reasons[i], sizeof(reasons[i]), "r%u", i);
		health_lost(&line, reasons[i], 1);
	}
	health_lost(&other, reasons[0], 10);
	health_lost(&other, reasons[FLOW_LOSSES + 1], 10);
	health_merge(&line, &other);
	assert_int_equal(line.n_lost, FLOW_LOSSES);
	for (i = 0; i < FLOW_LOSSES; i++)
		lost += line.lost[i].n;
	assert_int_equal(lost, FLOW_LOSSES + 2 + 20); /* law 7 */
	assert_int_equal(line.lost[0].n, 11);
	assert_true(str_eq(line.lost[FLOW_LOSSES - 1].name, STR("untold")));
	assert_int_equal(line.lost[FLOW_LOSSES - 1].n, 3 + 10);
}

static void test_print(void **state)
{
	struct print_head head = {1700000000, 1, "", "h", 0};
	struct sky_row_value *v;
	struct buf b;

	v = add(key_of("we\"b", "10.0.0.1", "10.0.0.2", SKY_ROLE_CLIENT, 80), 42, 40001);
	v->opened = 3;
	fold();
	buf_init(&b, 0);
	print_json(&b, &head, &named, names);
	assert_string_equal(
		buf_text(&b),
		"{\"type\":\"row\",\"interval\":1700000000,\"interval_s\":1,\"host\":\"h\",\"view\":\"client\",\"protocol\":\"tcp\","
		"\"local\":\"10.0.0.1\",\"remote\":\"10.0.0.2\",\"port\":80,\"netns\":7,\"service\":\"we\\\"b\",\"process\":\"we\\\"b\","
		"\"owner\":\"exact\",\"ports\":[40001],\"ports_more\":0,\"rows\":1,\"opened\":3,\"tx_bytes\":42,\"srtt\":{\"16\":1}}\n");
	buf_clear(&b);
	print_table(&b, &head, &named, names);
	assert_non_null(strstr(buf_text(&b), ", 1 s: 1 row\n"));
	assert_non_null(strstr(buf_text(&b), "we\"b "));
	buf_deinit(&b);
}

/* On a terminal of 80 columns no line is longer, whatever addresses and names there are; what a line is about stays. */
static void test_print_narrow(void **state)
{
	static const char *const addresses[] = {"10.0.0.1", "2001:db8:1111:2222:3333:4444:5555:6666"};
	struct print_head head = {1700000000, 1, "", "h", 80};
	char text[4096], start[40], *line, *rest;
	struct buf b;

	for (unsigned i = 0; i < 4; i++) {
		add(key_of(i & 1 ? "a" : "\xc3\xbc-a-service-with-a-long-name", addresses[i / 2], addresses[i / 2],
			   SKY_ROLE_CLIENT, 8443),
		    UINT32_MAX, 40001);
		fold();
		buf_init(&b, 0);
		print_table(&b, &head, &named, names);
		snprintf(text, sizeof(text), "%s", buf_text(&b));
		buf_deinit(&b);
		assert_non_null(strstr(text, "REMOTE"));
		assert_non_null(strstr(text, " TX BYTES"));
		snprintf(start, sizeof(start), "  %.23s", addresses[i / 2]);
		assert_non_null(strstr(text, start));
		for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
			size_t n = 0;

			for (const char *p = line; *p; p++)
				n += (*p & 0xc0) != 0x80;
			assert_in_range(n, 1, 80);
		}
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_how_owners_are_known_is_a_sum),
		TEST(test_merges_what_names_do_not_tell_apart),
		TEST(test_scopes),
		TEST(test_unknown_role),
		TEST(test_many_ports_fold),
		TEST(test_datagrams_hold_all_rows),
		TEST(test_rows_for_other_readers),
		TEST(test_counters_above_32_bits),
		TEST(test_above_32_bits_for_others),
		TEST(test_intervals),
		TEST(test_ledger_lines),
		TEST(test_ledger_line_is_full),
		TEST(test_print),
		TEST(test_print_narrow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

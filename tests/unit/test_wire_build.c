/* SPDX-License-Identifier: Apache-2.0 */
/* The encoder at its limits: full datagrams, large values, padding, and what `pool` and `drops` tell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "wire/stamp.h"
#include "wire_sample.h"

static struct wire_build build;
static struct wire_flows flows;
static struct sample s;

/* The datagram's one record of ours. */
static struct wire_record only_record(struct wire_datagram *d, enum wire_format format)
{
	struct wire_record r;

	assert_int_equal(wire_open(d, s.p, s.n, 0), WIRE_OK);
	assert_int_equal(wire_next(d, &r), WIRE_OK);
	assert_true(r.ours);
	assert_int_equal(r.format, format);
	return r;
}

/* 32 bits are not enough: the sum over the rows made is exact, and `rows` is counted once. */
static void test_overflow(void **state)
{
	static const uint64_t values[] = {UINT32_MAX, UINT32_MAX + 1ull, 3ull * UINT32_MAX + 5,
					  (uint64_t)WIRE_SPLIT * UINT32_MAX};
	static const int rows[] = {1, 2, 4, WIRE_SPLIT};

	for (unsigned v = 0; v < 4; v++) {
		struct wire_sender sender = sample_sender();
		struct flow_names names = sample_names(1);
		struct wire_flow row = sample_flow(5, false, &names);
		struct flow_stats stats = sample_stats(5), got = {0};
		struct wire_opts opts = {.size = 4000};
		struct wire_datagram d;

		stats.tx_segs = values[v];
		stats.closed = 7;
		wire_build_open(&build, WIRE_FLOWS, &sample_head, &opts);
		assert_int_equal(wire_flows_add(&build, &row, &stats), rows[v]);
		s.n = wire_build_close(&build, &sender, 0, 0, s.p, sizeof(s.p));
		assert_int_equal(sender.pool, 1001);
		struct wire_record r = only_record(&d, WIRE_FLOWS);
		assert_int_equal(wire_flows_open(&flows, &r), WIRE_OK);
		assert_int_equal(flows.n_rows, rows[v]);
		for (int i = 0; i < rows[v]; i++) {
			struct wire_flow part;

			assert_int_equal(wire_flows_next(&flows, &part), WIRE_OK);
			assert_int_equal(part.n_ports, i ? 0 : row.n_ports);
			assert_int_equal(part.ports_more, i ? 0 : row.ports_more);
			assert_true(ip_eq(&part.remote, &row.remote));
			assert_int_equal(part.present & 1, !i);
			wire_body_add(part.present, part.body, &got);
		}
		assert_memory_equal(&got, &stats, sizeof(got));
	}
	struct flow_names names = sample_names(1);
	struct wire_flow row = sample_flow(5, false, &names);
	struct flow_stats stats = {.rows = 1, .opened = (uint64_t)WIRE_SPLIT * UINT32_MAX + 1};

	wire_build_open(&build, WIRE_FLOWS, &sample_head, NULL);
	assert_int_equal(wire_flows_add(&build, &row, &stats), -ERANGE);
	assert_true(wire_build_empty(&build));
}

/* What does not fit leaves the datagram as it was: the same bytes come out. */
static void test_full_changes_nothing(void **state)
{
	static struct sample before;
	struct wire_sender sender = sample_sender();
	struct flow_names names = {.service = STR("a service that is in no other row")};
	struct wire_flow row = sample_flow(1, false, &names);
	struct flow_stats stats = sample_stats(0);
	struct wire_opts opts = {.size = 3000};
	int r, n = 0;

	wire_build_open(&build, WIRE_FLOWS, &sample_head, &opts);
	while ((r = wire_flows_add(&build, &row, &stats)) == 1)
		n++;
	assert_int_equal(r, -ENOSPC);
	assert_true(n > 1);
	names.service = STR("yet another service");
	assert_int_equal(wire_flows_add(&build, &row, &stats), -ENOSPC);
	stats.tx_segs = 3ull << 32; /* several rows: none of them stays */
	assert_int_equal(wire_flows_add(&build, &row, &stats), -ENOSPC);
	before.n = wire_build_close(&build, &sender, 0, 0, before.p, sizeof(before.p));

	sender = sample_sender();
	names.service = STR("a service that is in no other row");
	stats = sample_stats(0);
	wire_build_open(&build, WIRE_FLOWS, &sample_head, &opts);
	for (int i = 0; i < n; i++) {
		struct flow_stats large = stats;

		large.tx_segs = (uint64_t)WIRE_SPLIT * UINT32_MAX; /* there is room for the first of its rows */
		if (i == n - 1)
			assert_int_equal(wire_flows_add(&build, &row, &large), -ENOSPC);
		assert_int_equal(wire_flows_add(&build, &row, &stats), 1);
	}
	s.n = wire_build_close(&build, &sender, 0, 0, s.p, sizeof(s.p));
	assert_int_equal(s.n, before.n);
	assert_memory_equal(s.p, before.p, s.n);
}

/* A ledger line that fits no datagram: rows and losses are all there, the infos that are not are counted. */
static void test_long_lines(void **state)
{
	static char name[FLOW_LOSSES + FLOW_INFOS][16];
	static struct wire_health health;
	static struct flow_ledger line, got;
	struct wire_opts opts = {.size = WIRE_SIZE_MIN};
	struct wire_sender sender = sample_sender();
	struct wire_datagram d;
	unsigned n;

	line = (struct flow_ledger){.interval = SAMPLE_INTERVAL,
				    .interval_s = 10,
				    .rows_in = 10,
				    .rows_out = 4,
				    .n_lost = 6,
				    .n_info = FLOW_INFOS};
	for (unsigned i = 0; i < FLOW_INFOS; i++) {
		snprintf(name[i], sizeof(name[i]), "name_%u", i);
		line.info[i] = (struct flow_count){str_from(name[i]), i};
		if (i < line.n_lost)
			line.lost[i] = (struct flow_count){str_from(name[i]), 1};
	}
	wire_build_open(&build, WIRE_HEALTH, &sample_head, &opts);
	assert_int_equal(wire_health_add(&build, &line), 1);
	assert_int_equal(wire_health_add(&build, &line), -ENOSPC); /* not shortened while an empty one may do */
	s.n = wire_build_close(&build, &sender, 0, 0, s.p, sizeof(s.p));
	assert_in_range(s.n, 400, WIRE_SIZE_MIN);
	struct wire_record r = only_record(&d, WIRE_HEALTH);
	assert_int_equal(wire_health_open(&health, &r), WIRE_OK);
	assert_int_equal(wire_health_next(&health, &got), WIRE_OK);
	assert_int_equal(got.rows_in, 10);
	assert_int_equal(got.n_lost, 6);
	n = got.n_info - 1u;
	assert_in_range(n, 3, FLOW_INFOS - 2);
	for (unsigned i = 0; i < n; i++)
		assert_true(str_eq(got.info[i].name, line.info[i].name) && got.info[i].n == i);
	assert_int_equal(flow_count_get(got.info, got.n_info, "infos_left_out"), FLOW_INFOS - n);
	assert_int_equal(wire_health_next(&health, &got), WIRE_END);
}

static void test_limits(void **state)
{
	static char name[6][300];
	struct wire_opts opts = {.size = 1400};
	struct flow_names names = sample_names(0), fat = {0};
	struct str *const texts[] = {&fat.service, &fat.process, &fat.unit, &fat.container, &fat.pod, &fat.via};
	struct wire_flow row = sample_flow(1, false, &names), v6 = sample_flow(1, true, &names);
	struct flow_stats stats = sample_stats(0);
	struct wire_sender sender = sample_sender();
	struct wire_datagram d;

	for (unsigned i = 0; i < 6; i++) {
		memset(name[i], 'a' + (int)i, sizeof(name[i]));
		*texts[i] = (struct str){name[i], sizeof(name[i])};
	}
	/* the other family: next datagram */
	wire_build_open(&build, WIRE_FLOWS, &sample_head, &opts);
	assert_int_equal(wire_flows_add(&build, &row, &stats), 1);
	assert_int_equal(wire_flows_add(&build, &v6, &stats), -ENOSPC);
	/* six long names fit no datagram of 1400 bytes, but a larger one; they are cut to 255 */
	wire_build_open(&build, WIRE_FLOWS, &sample_head, &opts);
	row.names = &fat;
	assert_int_equal(wire_flows_add(&build, &row, &stats), -EMSGSIZE);
	assert_true(wire_build_empty(&build));
	opts.size = 4000;
	wire_build_open(&build, WIRE_FLOWS, &sample_head, &opts);
	assert_int_equal(wire_flows_add(&build, &row, &stats), 1);
	assert_int_equal(wire_build_close(&build, &sender, 0, 0, s.p, 500), 0);
	assert_int_equal(sender.sequence, 41);
	s.n = wire_build_close(&build, &sender, 0, 0, s.p, sizeof(s.p));
	struct wire_record r = only_record(&d, WIRE_FLOWS);
	assert_int_equal(wire_flows_open(&flows, &r), WIRE_OK);
	assert_int_equal(wire_flows_next(&flows, &row), WIRE_OK);
	assert_int_equal(row.names->via.n, 255);
}

/* Any count of rows can be padded to the bound, and reads the same. */
static void test_padding(void **state)
{
	for (uint32_t size = WIRE_SIZE_MIN; size < 1500; size += 4) {
		struct wire_opts opts = {.size = size};
		struct wire_sender sender = sample_sender();
		struct wire_datagram d;
		struct wire_flow row;
		unsigned n = 0;

		wire_build_open(&build, WIRE_FLOWS, &sample_head, &opts);
		for (;; n++) {
			struct flow_names names = sample_names(n / 4);
			struct flow_stats stats = {.rows = 1, .tx_bytes = n};

			row = sample_flow(n, false, &names);
			if (wire_flows_add(&build, &row, &stats) < 0)
				break;
		}
		assert_true(n > 0);
		s.n = wire_build_close(&build, &sender, 0, size, s.p, size);
		assert_int_equal(s.n, size);
		struct wire_record r = only_record(&d, WIRE_FLOWS);
		assert_int_equal(wire_flows_open(&flows, &r), WIRE_OK);
		for (unsigned i = 0; i < n; i++)
			assert_int_equal(wire_flows_next(&flows, &row), WIRE_OK);
		assert_int_equal(wire_flows_next(&flows, &row), WIRE_END);
		assert_int_equal(wire_next(&d, &r), WIRE_END);
	}
}

/* pool and sequence say exactly how many rows a lost datagram held, and what could not be sent. */
static void test_accounting(void **state)
{
	struct wire_sender sender = {.agent = sample_ip("2001:db8::7"), .pool = UINT32_MAX - 1};
	struct flow_names names = sample_names(0);
	struct wire_flow row = sample_flow(1, false, &names);
	struct flow_stats stats = {.rows = 1, .opened = 1};
	uint32_t pools[3];

	for (unsigned i = 0; i < 3; i++) {
		struct wire_datagram d;

		wire_build_open(&build, WIRE_FLOWS, &sample_head, NULL);
		for (unsigned j = 0; j <= i; j++)
			assert_int_equal(wire_flows_add(&build, &row, &stats), 1);
		assert_true(build.rows == i + 1);
		s.n = wire_build_close(&build, &sender, 0, 0, s.p, sizeof(s.p));
		struct wire_record r = only_record(&d, WIRE_FLOWS);
		assert_int_equal(d.sequence, i + 1);
		assert_true(ip_eq(&d.agent, &sender.agent));
		pools[i] = r.in->pool;
	}
	assert_int_equal(pools[2] - pools[0] - 3, 2); /* datagram 1 lost: two rows */
	wire_sender_failed(&sender, 3);
	assert_int_equal(sender.pool, pools[1]);
	assert_int_equal(sender.drops, 3);
}

/* Stamped later, for another collector: as if made for it. */
static void test_stamp(void **state)
{
	for (unsigned kind = 0; kind < SAMPLES - 1; kind++) {
		struct wire_sender to = {
			.agent = sample_ip("198.51.100.9"), .sub_agent = 16, .sequence = 5, .pool = 70, .drops = 9};
		struct wire_datagram d;
		struct wire_record r;

		sample_make(&s, kind);
		wire_stamp(s.p, s.n, 11, &to, 777);
		assert_int_equal(wire_open(&d, s.p, s.n, 0), WIRE_OK);
		assert_true(ip_eq(&d.agent, &to.agent) && d.sub_agent == 16 && d.sequence == 6 && d.uptime_ms == 777);
		assert_int_equal(wire_next(&d, &r), WIRE_OK);
		assert_true(r.ours && r.in->pool == 81 && r.in->drops == 9 && r.in->sequence == 6);
		assert_true(to.sequence == 6 && to.pool == 81);
	}
}

/* The example of docs/wire.md, byte for byte: a change of the format shows here. */
static void test_example(void **state)
{
	struct wire_head head = {
		.interval = 1700000010, .interval_s = 10, .spread_ms = 8000, .boot = 7, .host = STR("h1")};
	struct wire_sender sender = {.agent = sample_ip("10.0.0.1"), .pool = 99};
	struct flow_names names = {.service = STR("web"), .process = STR("nginx")};
	struct flow_stats stats = {.rows = 1, .opened = 2, .tx_bytes = 5ull << 30, .rx_bytes = 300};
	struct wire_flow row = {
		.local = sample_ip("10.0.0.1"),
		.remote = sample_ip("10.0.0.2"),
		.port = 443,
		.view = FLOW_VIEW_SERVER,
		.protocol = 6,
		.n_ports = 1,
		.ports = {40000},
		.names = &names,
	};
	static uint8_t want[512];
	FILE *f = fopen(CORPUS_DATAGRAM "/example", "rb");

	stats.srtt[6] = 1;
	stats.srtt[7] = 2;
	wire_build_open(&build, WIRE_FLOWS, &head, NULL);
	assert_int_equal(wire_flows_add(&build, &row, &stats), 1);
	s.n = wire_build_close(&build, &sender, 60000, 0, s.p, sizeof(s.p));
	assert_non_null(f);
	assert_int_equal(fread(want, 1, sizeof(want), f), s.n);
	assert_memory_equal(s.p, want, s.n);
	fclose(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overflow),   cmocka_unit_test(test_full_changes_nothing),
		cmocka_unit_test(test_long_lines), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_padding),    cmocka_unit_test(test_accounting),
		cmocka_unit_test(test_stamp),      cmocka_unit_test(test_example),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

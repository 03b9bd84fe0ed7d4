/* SPDX-License-Identifier: Apache-2.0 */
/* Standard sFlow in the collector: every sample is a row or a reason, drops by source, whatever thread and order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/collector_rig.h"
#include "wire/put.h"

#define US 1000000ll
#define T0 1700000000u
#define L 10u

static const struct rig_opts two_threads = {
	.interval_s = L,
	.spread_ms = 2000,
	.grace_ms = 1000,
	.start_us = T0 * US,
	.threads = 2,
	.partitions = 1,
	.bus_bytes = 16 << 20,
};

/* A datagram in the making. */
struct making {
	uint8_t bytes[4096], *p, *sample, *records;
	uint32_t n_samples, n_records, sequence;
};

static void begin(struct making *m, uint32_t sub_agent)
{
	uint32_t sequence = m->sequence + 1;

	*m = (struct making){.sequence = sequence};
	m->p = put_u32(put_u32(put_u32(m->bytes, 5), 1), 0x0a090909);
	m->p = put_u32(put_u32(put_u32(put_u32(m->p, sub_agent), sequence), sequence * 100), 0);
}

/* A compact flow sample; its records follow, then end_sample(). */
static void begin_flow(struct making *m, uint32_t source, uint32_t sequence, uint32_t rate, uint32_t drops)
{
	m->n_samples++;
	m->n_records = 0;
	m->sample = m->p + 8;
	m->p = put_u32(put_u32(m->p, 1), 0);
	m->p = put_u32(put_u32(put_u32(m->p, sequence), source), rate);
	m->p = put_u32(put_u32(put_u32(m->p, 0), drops), 0x3fffffff);
	m->p = put_u32(m->p, 0);
	m->records = m->p;
	m->p += 4;
}

static void put_record(struct making *m, uint32_t format, const void *body, uint32_t n)
{
	m->p = put_opaque(put_u32(m->p, format), body, n);
	m->n_records++;
}

static void end_sample(struct making *m)
{
	put_u32(m->records, m->n_records);
	put_u32(m->sample - 4, (uint32_t)(m->p - m->sample));
}

static void deliver(struct making *m, struct rig *r, unsigned thread)
{
	const struct account_peer from = {.ip = ip_from_v4((const uint8_t[]){10, 9, 9, 9}), .port = 1};

	put_u32(m->bytes + 24, m->n_samples);
	rig_datagram(r, thread, &from, m->bytes, (size_t)(m->p - m->bytes));
}

/* sampled_ipv4 of a segment of TCP. */
static void put_ipv4(struct making *m, uint32_t src, uint16_t src_port, uint32_t dst, uint16_t dst_port,
		     uint32_t length)
{
	uint8_t b[32];

	put_u32(put_u32(put_u32(put_u32(b, length), 6), src), dst);
	put_u32(put_u32(put_u32(put_u32(b + 16, src_port), dst_port), 0x10), 0);
	put_record(m, 3, b, sizeof(b));
}

static void put_socket4(struct making *m, uint32_t local, uint16_t local_port, uint32_t remote, uint16_t remote_port)
{
	uint8_t b[20];

	put_u32(put_u32(put_u32(put_u32(put_u32(b, 6), local), remote), local_port), remote_port);
	put_record(m, 2100, b, sizeof(b));
}

static void put_tcp_info(struct making *m, uint32_t direction, uint32_t rtt_us, uint32_t min_rtt_us)
{
	uint8_t b[48] = {0};

	put_u32(b, direction);
	put_u32(put_u32(put_u32(b + 28, rtt_us), 17), 10); /* rttvar, cwnd */
	put_u32(b + 44, min_rtt_us);
	put_record(m, 2209, b, sizeof(b));
}

/* Rows that came out, in order; markers passed by. */
static unsigned rows_out(const struct rig *r, struct flow_row *rows, unsigned max)
{
	static struct flow_msg msg;
	unsigned n = 0;

	for (size_t i = 0; i < r->n_messages; i++) {
		if (r->messages[i].topic != BUS_FLOWS)
			continue;
		rig_decode(r, i, &msg);
		if (msg.type == FLOW_MSG_ROW && n < max)
			rows[n++] = msg.row;
	}
	return n;
}

/* Over the collector's ledger lines: of each interval the newest. */
static uint64_t info_sum(const struct rig *r, const char *name)
{
	static struct flow_msg msg;
	uint64_t sum = 0, seen = 0;

	for (size_t i = r->n_messages; i-- > 0;) {
		if (r->messages[i].topic != BUS_LEDGER)
			continue;
		rig_decode(r, i, &msg);
		if (!str_eq(msg.ledger.role, STR("collector")) || seen >> msg.ledger.interval / L % 64 & 1)
			continue;
		seen |= 1ull << msg.ledger.interval / L % 64;
		sum += flow_count_get(msg.ledger.info, msg.ledger.n_info, name);
	}
	return sum;
}

static struct making m;
static struct flow_row rows[16];

/* Both directions of a conversation are one row, by address and port; two that say their end are from that end. */
static void ends(void **state)
{
	const uint32_t low = 0x0a000001, high = 0x0a000002;
	struct rig r;

	rig_open(&r, &two_threads);
	begin(&m, 0);
	begin_flow(&m, 1, 1, 100, 0);
	put_ipv4(&m, high, 80, low, 5000, 40 + 10);
	end_sample(&m);
	begin_flow(&m, 1, 2, 100, 0);
	put_ipv4(&m, low, 5000, high, 80, 40 + 7);
	end_sample(&m);
	begin_flow(&m, 1, 3, 100, 0);
	put_ipv4(&m, low, 5000, high, 80, 40); /* an acknowledgement: a row, no segment */
	end_sample(&m);
	begin_flow(&m, 1, 4, 100, 0);
	put_ipv4(&m, low, 5000, high, 80, 40 + 1);
	put_tcp_info(&m, 1, 300, 100); /* received: the agent is at the other end */
	end_sample(&m);
	begin_flow(&m, 1, 5, 100, 0);
	put_socket4(&m, high, 80, low, 5000);
	put_ipv4(&m, high, 80, low, 5000, 40 + 3);
	put_tcp_info(&m, 0, 500, 600);
	end_sample(&m);
	deliver(&m, &r, 0);
	rig_until(&r, (T0 + 2 * L) * US);
	assert_int_equal(rows_out(&r, rows, 16), 2);
	for (unsigned i = 0; i < 2; i++) {
		const struct flow_row *f = &rows[i];
		bool at_end = !ip_eq(&f->conv.client, &(struct ip){{[10] = 255, 255, 10, 0, 0, 1}});

		assert_int_equal(f->view, FLOW_VIEW_NETWORK);
		assert_int_equal(f->flags, FLOW_SAMPLED | FLOW_NO_ROLE);
		assert_int_equal(f->interval, T0);
		assert_int_equal(f->conv.port, at_end ? 80 : 5000);
		assert_int_equal(f->conv.other_port, at_end ? 5000 : 80);
		assert_int_equal(f->stats.rows, at_end ? 2 : 3);
		assert_int_equal(f->stats.tx_bytes, at_end ? 300 : 700);
		assert_int_equal(f->stats.rx_bytes, at_end ? 100 : 1000);
		assert_int_equal(f->stats.tx_segs, 100);
		assert_int_equal(f->stats.rx_segs, 100);
		assert_int_equal(f->stats.rtt_samples, at_end ? 2 : 0);
		assert_int_equal(f->stats.srtt[flow_bucket(300)], at_end);
		assert_int_equal(f->stats.srtt[flow_bucket(500)], at_end);
		assert_int_equal(f->stats.queue_us, at_end ? 200 : 0);
		assert_int_equal(f->stats.jitter_us, at_end ? 34 : 0);
		assert_int_equal(f->stats.cwnd_segs, at_end ? 20 : 0);
	}
	rig_close(&r);
}

/* samples = rows + reasons, whatever is in them; what is broken costs its record or its sample, no more. */
static void every_sample_counts(void **state)
{
	static const uint8_t arp[] = {0, 0, 0, 1, 0, 0, 0, 64, 0, 0, 0, 4, 0, 0, 0, 16,
				      1, 2, 3, 4, 5, 6, 1, 2,  3, 4, 5, 6, 8, 6, 0, 0};
	static const uint8_t cut[] = {0, 0, 0, 1, 0, 0, 0, 64, 0, 0, 0, 4, 0, 0, 0, 4, 1, 2, 3, 4};
	uint8_t later[44] = {0};
	struct counters_rx c;
	struct rig r;

	rig_open(&r, &two_threads);
	begin(&m, 0);
	for (unsigned i = 0; i < 9; i++) {
		begin_flow(&m, i, 1, i == 8 ? 0 : 10, 0);
		if (i == 0)
			put_record(&m, 1, arp, sizeof(arp));
		else if (i == 1)
			put_record(&m, 1, cut, sizeof(cut));
		else if (i == 2)
			put_record(&m, 1001, later, 16);
		else if (i == 4)
			put_record(&m, 3, later, 20); /* too short for its fields */
		else if (i == 5)
			put_record(&m, 4 << 12 | 7, later,
				   8); /* of an enterprise: passed by, the packet stands behind it */
		else if (i == 6)
			put_record(&m, 1, arp, sizeof(arp)); /* no IP, but the socket is known */
		else if (i == 7)
			put_record(&m, 2209, later, 16); /* cut: the sample's other record is good */
		if (i == 6)
			put_socket4(&m, 1, 2, 3, 4);
		if (i == 5 || i >= 7)
			put_ipv4(&m, 1, 2, 3, 4, 100);
		end_sample(&m);
	}
	m.n_samples++; /* counters */
	m.p = put_opaque(put_u32(m.p, 2), later, 12);
	m.n_samples++; /* a discarded packet */
	m.p = put_opaque(put_u32(m.p, 5), later, 32);
	deliver(&m, &r, 0);
	c = rig_counters(&r);
	assert_int_equal(c.sampled_rows, 4);
	assert_int_equal(c.rows, 4);
	assert_int_equal(c.sampled_rate_0, 1);
	assert_int_equal(c.samples_no_ip, 1);
	assert_int_equal(c.samples_broken, 2);
	assert_int_equal(c.samples_unknown, 2);
	assert_int_equal(c.counter_samples, 1);
	assert_int_equal(c.discarded_packets, 1);
	assert_int_equal(c.foreign, 1);
	assert_int_equal(c.rejected[WIRE_SHORT], 1);
	deliver(&m, &r, 0); /* the same once more: seen before */
	assert_int_equal(rig_counters(&r).sampled_rows, 4);

	/* a sample that says more than it has, in front of a good one; bytes behind the last */
	begin(&m, 0);
	begin_flow(&m, 1, 9, 10, 0);
	put_ipv4(&m, 1, 2, 3, 4, 100);
	m.n_records++;
	end_sample(&m);
	begin_flow(&m, 1, 10, 10, 0);
	put_ipv4(&m, 1, 2, 3, 4, 100);
	m.p = put_u32(m.p, 0);
	end_sample(&m);
	begin_flow(&m, 1, 11, 10, 0);
	put_ipv4(&m, 1, 2, 3, 4, 100);
	end_sample(&m);
	m.p = put_u32(m.p, 0);
	deliver(&m, &r, 0);
	c = rig_counters(&r);
	assert_int_equal(c.sampled_rows, 7);
	assert_int_equal(c.rejected[WIRE_COUNT], 1);
	assert_int_equal(c.rejected[WIRE_LENGTH], 2);
	rig_until(&r, (T0 + 2 * L) * US);
	assert_int_equal(info_sum(&r, "sampled_rows"), 7);
	rig_close(&r);
}

/* Whatever the order: a header before the fields, what can be used before what cannot. */
static void best_record(void **state)
{
	static const uint8_t arp[] = {0, 0, 0, 1, 0, 0, 0, 64, 0, 0, 0, 4, 0, 0, 0, 16,
				      1, 2, 3, 4, 5, 6, 1, 2,  3, 4, 5, 6, 8, 6, 0, 0};
	static const uint8_t ip[] = {0, 0, 0,  11, 0, 0, 0, 50, 0, 0, 0, 0, 0, 0, 0, 28, 0x45, 0, 0, 50, 0, 0,
				     0, 0, 64, 17, 0, 0, 9, 9,  9, 1, 9, 9, 9, 2, 0, 7,  0,    8, 0, 30, 0, 0};
	struct rig r;

	rig_open(&r, &two_threads);
	begin(&m, 0);
	for (unsigned i = 0; i < 4; i++) {
		const uint8_t *header = i < 2 ? arp : ip;
		uint32_t n = i < 2 ? sizeof(arp) : sizeof(ip);

		begin_flow(&m, 1, i, 1, 0);
		if (i % 2)
			put_record(&m, 1, header, n);
		put_ipv4(&m, 0x09090901, 7, 0x09090902, 8, 40 + 100);
		if (i % 2 == 0)
			put_record(&m, 1, header, n);
		put_ipv4(&m, 0x09090901, 7, 0x09090902, 8, 40 + 1000);
		end_sample(&m);
	}
	deliver(&m, &r, 0);
	rig_until(&r, (T0 + 2 * L) * US);
	assert_int_equal(rows_out(&r, rows, 16), 2);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(rows[i].stats.tx_bytes, rows[i].conv.protocol == 17 ? 2 * 22 : 2 * 100);
	rig_close(&r);
}

/* A source's place is given to another one, which has a line of its own. */
static void sources_forgotten(void **state)
{
	const struct slots_key a = {.sub_agent = 1}, b = {.sub_agent = 2};
	uint32_t slot = SLOTS_NONE;
	struct sources_tally t;
	struct sources_lines l;
	struct sources s;

	assert_int_equal(sources_init(&s, 1), 0);
	assert_int_equal(sources_lines_init(&l, 2), 0);
	assert_int_equal(sources_tally_init(&t, 1), 0);
	assert_int_equal(sources_take(&s, &l, &a, 1000, &slot), 0);
	assert_int_equal(sources_take(&s, &l, &b, 1001, &slot), SLOTS_NONE);
	assert_int_equal(sources_take(&s, &l, &b, 1002 + SLOTS_FORGET_S, &slot), 1);
	assert_int_equal(sources_take(&s, &l, &b, 1003 + SLOTS_FORGET_S, &slot), 1);
	sources_sample(&l, 0, 7, 100);
	sources_sample(&l, 1, 7, 200);
	assert_int_equal(l.line[0].key.sub_agent, 1);
	assert_int_equal(l.line[1].drops, 200);
	assert_int_equal(sources_tally_add(&t, &l.line[0], 1000), 0);
	assert_int_equal(sources_tally_add(&t, &l.line[1], 1001), 0); /* no room: not known */
	sources_lines_begin(&l, 2);
	assert_int_equal(sources_take(&s, &l, &b, 1004 + SLOTS_FORGET_S, &slot), 0);
	sources_tally_deinit(&t);
	sources_lines_deinit(&l);
	sources_deinit(&s);
}

/* drops are a running count per source; threads see parts of it; a restart counts nothing. */
static void drops_by_source(void **state)
{
	static const struct {
		uint32_t at_s, thread, sub_agent, source, sequence, drops, sum;
	} samples[] = {
		{1, 0, 0, 1, 100, 50, 0}, /* what was before it was heard is not known */
		{2, 1, 0, 1, 101, 52, 2},           {2, 0, 0, 2, 7, 9, 2},
		{11, 0, 0, 1, 110, 60, 10},         {11, 1, 0, 1, 105, 57, 10},
		{12, 1, 0, 2, 8, 10, 11},           {12, 1, 5, 2, 8, 99, 11},
		{21, 1, 0, 1, 109, 59, 11},                                  /* of a thread that is behind */
		{31, 1, 0, 1, 111, 61, 12},         {41, 0, 0, 1, 1, 0, 12}, /* restarted */
		{41, 0, 5, 2, 9, 100, 13},          {51, 0, 0, 1, 2, 3, 16},
		{61, 0, 5, 2, 4000000000, 200, 16}, /* began anew, with a higher count */
	};
	struct rig r;
	unsigned i = 0;

	rig_open(&r, &two_threads);
	/* The restart is a fall by more than threads are behind each other. */
	for (uint32_t t = 0; t <= 70; t += 10) {
		for (; i < sizeof(samples) / sizeof(*samples) && samples[i].at_s < t + 10; i++) {
			uint32_t sequence =
				samples[i].sequence + (samples[i].source == 1 && samples[i].at_s < 40 ? 100000 : 0);

			rig_until(&r, (T0 + samples[i].at_s) * US);
			begin(&m, samples[i].sub_agent);
			begin_flow(&m, samples[i].source, sequence, 1, samples[i].drops);
			put_ipv4(&m, 1, 2, 3, 4, 100);
			end_sample(&m);
			deliver(&m, &r, samples[i].thread);
		}
		rig_until(&r, (T0 + t + 14) * US);
		if (i)
			assert_int_equal(publish_counters(r.publish)->sampler_drops, samples[i - 1].sum);
	}
	rig_close(&r);
}

/* Several sources in one datagram, by turns. */
static void sources_of_a_datagram(void **state)
{
	struct rig r;

	rig_open(&r, &two_threads);
	for (uint32_t round = 0; round < 3; round++) {
		begin(&m, 0);
		for (uint32_t i = 0; i < 6; i++) {
			begin_flow(&m, 1 + i % 2, 10 * round + i, 1, (i % 2 ? 1000 : 0) + round);
			put_ipv4(&m, 1, 2, 3, 4, 100);
			end_sample(&m);
		}
		deliver(&m, &r, 0);
		rig_until(&r, (T0 + 14 + 10 * round) * US);
		assert_int_equal(publish_counters(r.publish)->sampler_drops, 2 * round);
	}
	rig_close(&r);
}

/* Beside a record of ours the standard's are for others to read. */
static void ours_are_ours(void **state)
{
	struct flow_names names = {.service = STR("web")};
	struct wire_flow row = {.local = ip_from_v4((const uint8_t[]){10, 0, 0, 1}),
				.remote = ip_from_v4((const uint8_t[]){10, 0, 0, 2}),
				.port = 80,
				.view = FLOW_VIEW_SERVER,
				.protocol = 6,
				.names = &names};
	struct flow_stats stats = {.rows = 1, .tx_bytes = 5};
	static uint8_t ours[WIRE_SIZE_MAX];
	struct rig_agent a;
	struct rig r;
	size_t n;

	rig_open(&r, &two_threads);
	rig_agent_open(&a, &r, "10.9.9.9", "h1", 7);
	n = rig_agent_flows(&a, T0, &row, &stats, 1, r.now_us, ours);
	begin(&m, 0);
	begin_flow(&m, 1, 1, 1, 0);
	put_ipv4(&m, 1, 2, 3, 4, 100);
	end_sample(&m);
	m.n_samples++;
	m.p = put_bytes(m.p, ours + 28, n - 28);
	deliver(&m, &r, 0);
	assert_int_equal(rig_counters(&r).sampled_rows, 0);
	assert_int_equal(rig_counters(&r).rows, 1);
	rig_until(&r, (T0 + 2 * L) * US);
	assert_int_equal(rows_out(&r, rows, 16), 1);
	assert_int_equal(rows[0].view, FLOW_VIEW_SERVER);
	rig_agent_close(&a);
	rig_close(&r);
}

/* A scan of ports cannot fill the table: past the bound, rows of an address pair are one. */
static void roleless_are_bounded(void **state)
{
	struct rig_opts o = two_threads;
	struct rig r;
	uint64_t sum = 0;
	unsigned n;

	o.worker.fold = (struct fold_opts){
		.max_rows = 64, .max_names = 16, .max_strings = 16, .string_bytes = 4096, .max_roleless = 8};
	rig_open(&r, &o);
	for (unsigned i = 0; i < 100; i++) {
		begin(&m, 0);
		begin_flow(&m, 1, i, 10, 0);
		put_ipv4(&m, 1, 40000, 3, (uint16_t)(1000 + i), 41);
		end_sample(&m);
		deliver(&m, &r, 0);
	}
	rig_until(&r, (T0 + 2 * L) * US);
	n = rows_out(&r, rows, 16);
	assert_int_equal(n, 9);
	for (unsigned i = 0; i < n; i++)
		sum += rows[i].stats.tx_bytes;
	assert_int_equal(sum, 1000);
	assert_int_equal(info_sum(&r, "roleless_merged"), 92);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends),
		cmocka_unit_test(every_sample_counts),
		cmocka_unit_test(drops_by_source),
		cmocka_unit_test(best_record),
		cmocka_unit_test(sources_forgotten),
		cmocka_unit_test(sources_of_a_datagram),
		cmocka_unit_test(ours_are_ours),
		cmocka_unit_test(roleless_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

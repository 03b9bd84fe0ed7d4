/* SPDX-License-Identifier: Apache-2.0 */
/* Our encoder and decoder together: each record back as it was, foreign sFlow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/put.h"
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

static void check_flow(const struct wire_flow *got, unsigned i, bool v6)
{
	struct flow_names names = sample_names(i / 4);
	struct wire_flow want = sample_flow(i, v6, &names);
	struct flow_stats stats = {0}, want_stats = sample_stats(i);

	assert_true(ip_eq(&got->local, &want.local));
	assert_true(ip_eq(&got->remote, &want.remote));
	assert_int_equal(got->port, want.port);
	assert_int_equal(got->other_port, want.other_port);
	assert_int_equal(got->view, want.view);
	assert_int_equal(got->protocol, want.protocol);
	assert_int_equal(got->flags, want.flags);
	assert_int_equal(got->scope, want.scope);
	assert_int_equal(got->n_ports, want.n_ports);
	assert_memory_equal(got->ports, want.ports, 2 * want.n_ports);
	assert_int_equal(got->ports_more, want.ports_more);
	assert_true(flow_names_eq(got->names, &names));
	wire_body_add(got->present, got->body, &stats);
	assert_memory_equal(&stats, &want_stats, sizeof(stats));
}

static void check_round_trip(bool v6, uint32_t size)
{
	unsigned n = sample_flows(&s, v6, size);
	struct wire_datagram d;
	struct wire_record r = only_record(&d, WIRE_FLOWS);
	struct wire_flow row;

	assert_true(s.n <= size && s.n > size / 2 && s.n % 4 == 0);
	assert_int_equal(d.sub_agent, 8);
	assert_int_equal(d.sequence, 42);
	assert_int_equal(d.uptime_ms, 12345);
	assert_int_equal(r.in->pool, 1000 + n);
	assert_int_equal(r.in->drops, 3);
	assert_int_equal(wire_flows_open(&flows, &r), WIRE_OK);
	assert_int_equal(flows.head.interval, SAMPLE_INTERVAL);
	assert_int_equal(flows.head.spread_ms, 8000);
	assert_true(flows.head.boot == sample_head.boot);
	assert_true(str_eq(flows.head.net, sample_head.net));
	assert_true(str_eq(flows.head.host, sample_head.host));
	assert_int_equal(flows.family, v6 ? 6 : 4);
	assert_int_equal(flows.n_rows, n);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(wire_flows_next(&flows, &row), WIRE_OK);
		check_flow(&row, i, v6);
	}
	assert_int_equal(wire_flows_next(&flows, &row), WIRE_END);
	assert_int_equal(wire_flows_next(&flows, &row), WIRE_END);
	assert_int_equal(wire_next(&d, &r), WIRE_END);
	assert_int_equal(wire_next(&d, &r), WIRE_END);
}

static void test_round_trip(void **state)
{
	check_round_trip(false, 1400);
	check_round_trip(true, 1400);
	check_round_trip(false, WIRE_SIZE_MAX);
	check_round_trip(true, WIRE_SIZE_MAX);
}

/* Names come from /proc: whatever bytes they hold, text arrives. */
static void test_names_made_clean(void **state)
{
	static const struct {
		struct str in, out;
	} t[] = {
		{{"a\nb", 3}, {"a?b", 3}},
		{{"\x1b[2J", 4}, {"?[2J", 4}},
		{{"\xc3\xa4\xc3", 3}, {"\xc3\xa4?", 3}},
		{{"\xc2\x85", 2}, {"??", 2}},      /* C1 control */
		{{"\xed\xa0\x80", 3}, {"???", 3}}, /* surrogate */
		{{"\xc0\xaf", 2}, {"??", 2}},      /* overlong */
		{{"\xf0\x9f\x90\x9f", 4}, {"\xf0\x9f\x90\x9f", 4}},
		{{"\xf4\x90\x80\x80", 4}, {"????", 4}}, /* above U+10FFFF */
		{{"x\0y", 3}, {"x?y", 3}},
		{{"\x7f", 1}, {"?", 1}},
	};
	char out[16], long_out[20];

	for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		size_t n = wire_text_clean(t[i].in, out, sizeof(out));

		assert_true(str_eq((struct str){out, n}, t[i].out));
		assert_true(wire_text_ok((struct str){out, n}));
		assert_int_equal(wire_text_ok(t[i].in), str_eq(t[i].in, t[i].out));
	}
	assert_int_equal(wire_text_clean(STR("ab\xc3\xa4"), out, 3), 2); /* no half characters */
	/* eight at a time or one: the same judgement, whatever byte stands where, in texts of any length */
	for (unsigned n = 1; n <= 20; n++) {
		for (unsigned v = 0; v < 256 * n; v++) {
			char text[20] = "a~ b-cAZ_.09!x:y/z~ ";
			struct str all = {text, n};

			text[v / 256] = (char)v;
			bool same = wire_text_clean(all, long_out, sizeof(long_out)) == n && !memcmp(long_out, text, n);
			assert_int_equal(wire_text_ok(all), same);
		}
	}
	assert_true(wire_text_ok(STR("\xc3\xa4 is one")));
	assert_false(wire_text_ok(STR("is \xc3 none, whatever comes after")));
}

/* Bits of a newer agent: passed by the length, the rest is exact. */
static void test_unknown_fields(void **state)
{
	struct flow_stats stats = sample_stats(0), left = stats, got = {0};
	uint8_t body[WIRE_BODY_MAX + 12];
	uint64_t present;
	size_t n = wire_body_put(&left, body, &present);
	struct str all = {(const char *)body, n + 12};

	memset(body + n, 0xee, 12);
	assert_int_equal(wire_body_check(present, all), WIRE_BODY); /* nobody said that there is more */
	present |= 1ull << 63 | 1ull << FLOW_FIELDS;
	assert_int_equal(wire_body_check(present, all), WIRE_OK);
	wire_body_add(present, all, &got);
	assert_memory_equal(&got, &stats, sizeof(got));
	wire_body_add(present, all, &got);
	flow_stats_add(&stats, &stats);
	assert_memory_equal(&got, &stats, sizeof(got));
	all.n = n - 4;
	assert_int_equal(wire_body_check(present, all), WIRE_BODY);
	assert_int_equal(wire_body_check(1ull << 63, (struct str){NULL, 0}), WIRE_OK);
}

static void test_host_parts(void **state)
{
	static struct flow_host h, got;
	unsigned part, parts, bad, seen = 0;
	struct wire_sender sender = sample_sender();
	struct wire_head head;

	h = sample_host_of(FLOW_ADDRESSES);
	parts = wire_host_parts(&build, &h, &sample_head, NULL);
	assert_true(parts > 1);
	for (unsigned i = 0; i < parts; i++) {
		struct wire_datagram d;
		unsigned said;

		s.n = wire_host_put(&build, &h, i, &sample_head, NULL, &sender, 0, s.p, WIRE_SIZE);
		assert_true(s.n > 0);
		struct wire_record r = only_record(&d, WIRE_HOST);
		assert_int_equal(wire_host_read(&r, &head, &got, &part, &said, &bad), WIRE_OK);
		assert_int_equal(part, i);
		assert_int_equal(said, parts);
		assert_int_equal(bad, 0);
		assert_true(str_eq(got.id, sample_head.host) && str_eq(got.net, sample_head.net));
		assert_true(str_eq(got.hostname, h.hostname) && str_eq(got.kernel, h.kernel));
		assert_true(str_eq(got.mode, h.mode) && str_eq(got.version, h.version));
		for (unsigned a = 0; a < got.n_addresses; a++, seen++) {
			assert_true(ip_eq(&got.addresses[a].ip, &h.addresses[seen].ip));
			assert_int_equal(got.addresses[a].bits, h.addresses[seen].bits);
			assert_int_equal(got.addresses[a].host_only, h.addresses[seen].host_only);
			assert_int_equal(got.addresses[a].netns, h.addresses[seen].netns);
		}
		/* the standard record follows the first, as a sample of its own */
		assert_int_equal(wire_next(&d, &r), i ? WIRE_END : WIRE_OK);
		assert_true(i || (r.in->kind == WIRE_KIND_COUNTERS && r.format == 2000));
	}
	assert_int_equal(seen, FLOW_ADDRESSES);
}

static void test_listeners(void **state)
{
	static struct wire_listeners l;
	struct wire_datagram d;
	struct flow_listener got;

	sample_listeners(&s, 6);
	struct wire_record r = only_record(&d, WIRE_LISTENERS);
	assert_int_equal(wire_listeners_open(&l, &r), WIRE_OK);
	for (unsigned i = 0; i < 6; i++) {
		struct flow_listener want = sample_listener(i);

		assert_int_equal(wire_listeners_next(&l, &got), WIRE_OK);
		assert_true(str_eq(got.net, sample_head.net) && str_eq(got.host, sample_head.host));
		assert_true(ip_eq(&got.addr, &want.addr) && flow_names_eq(&got.names, &want.names));
		assert_true(got.netns == want.netns && got.port == want.port && got.protocol == want.protocol);
		assert_true(got.alive == want.alive && got.since == want.since && got.drops == want.drops);
		assert_true(got.queue == want.queue && got.queue_max == want.queue_max);
		assert_int_equal(got.interval, SAMPLE_INTERVAL);
	}
	assert_int_equal(wire_listeners_next(&l, &got), WIRE_END);
}

static void test_health(void **state)
{
	static struct wire_health h;
	static struct flow_ledger got;
	struct wire_datagram d;

	sample_health(&s, 5);
	struct wire_record r = only_record(&d, WIRE_HEALTH);
	assert_int_equal(wire_health_open(&h, &r), WIRE_OK);
	for (unsigned i = 0; i < 5; i++) {
		struct flow_ledger want = sample_line(i);

		assert_int_equal(wire_health_next(&h, &got), WIRE_OK);
		assert_true(str_eq(got.role, STR("agent")) && str_eq(got.instance, sample_head.host));
		assert_true(got.boot == sample_head.boot);
		assert_true(got.interval == want.interval && got.interval_s == 10);
		assert_true(got.rows_in == want.rows_in && got.rows_out == want.rows_out);
		assert_true(got.n_lost == 2 && got.n_info == 3);
		assert_true(flow_count_get(got.lost, 2, "rows_full") == i);
		assert_true(flow_count_get(got.info, 3, "opened_client") == 1ull << 40);
		assert_true(flow_count_get(got.info, 3, "cpu_busy_pm") == 999);
	}
	assert_int_equal(wire_health_next(&h, &got), WIRE_END);
}

static void test_ack(void **state)
{
	uint8_t p[WIRE_ACK_SIZE + 8] = {0};
	struct wire_ack got;

	wire_ack_put(&sample_ack_value, p);
	assert_int_equal(wire_ack_read(p, WIRE_ACK_SIZE, &got), WIRE_OK);
	assert_true(got.boot == sample_ack_value.boot && got.sub_agent == 8 && got.interval == SAMPLE_INTERVAL);
	assert_true(got.interval_s == 10 && got.datagrams == 12 && got.rows == sample_ack_value.rows);
	assert_int_equal(got.flags, WIRE_ACK_STOPPING);
	assert_int_equal(wire_ack_read(p, sizeof(p), &got), WIRE_OK);
	for (size_t n = 0; n < WIRE_ACK_SIZE; n++)
		assert_int_equal(wire_ack_read(p, n, &got), WIRE_SHORT);
	p[7]++;
	assert_int_equal(wire_ack_read(p, WIRE_ACK_SIZE, &got), WIRE_VERSION);
	/* smaller than anything it answers: an empty health record is the smallest we send */
	struct wire_sender sender = sample_sender();
	struct wire_head head = {.interval_s = 1};
	wire_build_open(&build, WIRE_HEALTH, &head, NULL);
	assert_true(wire_build_close(&build, &sender, 0, 0, s.p, sizeof(s.p)) > WIRE_ACK_SIZE);
}

/* Others' samples and records around ours, expanded too: given by number, ours is found. */
static void test_foreign_sflow(void **state)
{
	uint8_t *p = s.p;
	struct wire_datagram d;
	struct wire_record r;

	p = put_u32(put_u32(put_u32(p, 5), 1), 0x0a000001);
	p = put_u32(put_u32(put_u32(p, 0), 1), 1000);
	p = put_u32(p, 5);                             /* samples */
	p = put_u32(put_u32(p, 4300 << 12 | 1002), 8); /* an enterprise's own sample */
	p = put_u64(p, 0);
	p = put_u32(put_u32(p, 3), 44 + 3 * 8 + 6 + 2 + 4); /* expanded flow sample */
	p = put_u32(put_u32(put_u32(p, 9), 1), 1u << 30);   /* an index that the compact form has no room for */
	p = put_u32(put_u32(put_u32(p, 512), 777), 2);      /* rate, pool, drops */
	p = put_u32(put_u32(put_u32(put_u32(p, 0), 1u << 31), 2), 3);
	p = put_u32(p, 3);
	p = put_u32(put_u32(p, 1), 6); /* a sampled header of 6 bytes, filled to 8 */
	p = put_u64(p, 0xffffffffffff0000);
	p = put_u32(put_u32(p, 99 << 12 | 1), 4);
	p = put_u32(p, 0);
	p = put_u32(put_u32(p, 32473 << 12 | WIRE_PAD), 0);
	p = put_u32(put_u32(p, 1), 40);
	p = put_u32(put_u32(put_u32(p, 1), 0), 1);
	p = put_u64(p, 0);
	p = put_u32(put_u32(p, WIRE_PORT_INTERNAL), 1u << 31 | 7); /* input, output */
	p = put_u32(put_u32(put_u32(p, 1), 77 << 12 | WIRE_HOST), 0);
	p = put_u32(put_u32(p, 2), 0); /* empty counter sample */
	p = put_u32(put_u32(p, 4), 16 + 8 + 4);
	p = put_u32(put_u32(put_u32(put_u32(p, 12), 3), 100), 1);
	p = put_u32(put_u32(put_u32(p, 77 << 12 | WIRE_FLOWS), 0),
		    0); /* as counters no record of ours; a word too many */
	s.n = p - s.p;
	assert_int_equal(wire_open(&d, s.p, s.n, 77), WIRE_OK);
	assert_int_equal(d.n_samples, 5);
	assert_true(wire_has_ours(&d));
	assert_int_equal(wire_next(&d, &r), WIRE_OK);
	assert_true(r.in->kind == WIRE_KIND_OTHER && r.enterprise == 4300 && r.format == 1002 && r.body.n == 8 &&
		    !r.ours);
	assert_int_equal(wire_next(&d, &r), WIRE_OK);
	assert_true(r.in->kind == WIRE_KIND_FLOW && r.format == 1 && r.body.n == 6 && r.in->sampling_rate == 512);
	assert_true(r.in->pool == 777 && r.in->drops == 2 && r.in->sequence == 9);
	assert_true(d.in.source_class == 1 && d.in.source_index == 1u << 30 && d.in.input_format == 0);
	assert_true(d.in.input == 1u << 31 && d.in.output_format == 2 && d.in.output == 3);
	assert_int_equal(wire_next(&d, &r), WIRE_OK);
	assert_true(r.enterprise == 99 && r.body.n == 4);
	assert_int_equal(wire_next(&d, &r), WIRE_OK); /* with another number for ours, padding is just a record */
	assert_true(r.enterprise == 32473 && !r.ours);
	assert_int_equal(wire_next(&d, &r), WIRE_OK);
	assert_true(r.ours && r.format == WIRE_HOST && r.in->sampling_rate == 1);
	assert_true(d.in.input_format == 0 && d.in.input == WIRE_PORT_INTERNAL);
	assert_true(d.in.output_format == 2 && d.in.output == 7);
	assert_int_equal(wire_next(&d, &r), WIRE_SHORT); /* the counter sample without its head */
	assert_int_equal(wire_next(&d, &r), WIRE_OK);
	assert_true(!r.ours && r.in->kind == WIRE_KIND_COUNTERS && d.in.source_class == 3 && d.in.source_index == 100);
	assert_int_equal(wire_next(&d, &r), WIRE_LENGTH);
	assert_int_equal(wire_next(&d, &r), WIRE_END);
	assert_int_equal(wire_open(&d, s.p, s.n, 78), WIRE_OK);
	assert_false(wire_has_ours(&d));
}

/* Several datagrams captured as one are told apart. */
static void test_extent(void **state)
{
	static uint8_t two[2 * WIRE_SIZE_MAX];

	for (unsigned kind = 0; kind < SAMPLES - 1; kind++) {
		sample_make(&s, kind);
		memcpy(two, s.p, s.n);
		memcpy(two + s.n, s.p, s.n);
		assert_int_equal(wire_extent(two, 2 * s.n), s.n);
		assert_int_equal(wire_extent(two, s.n), s.n);
		assert_int_equal(wire_extent(two, s.n - 4), s.n - 4);
	}
	assert_int_equal(wire_extent("what is it", 10), 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_names_made_clean),
		cmocka_unit_test(test_unknown_fields),
		cmocka_unit_test(test_host_parts),
		cmocka_unit_test(test_listeners),
		cmocka_unit_test(test_health),
		cmocka_unit_test(test_ack),
		cmocka_unit_test(test_foreign_sflow),
		cmocka_unit_test(test_extent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

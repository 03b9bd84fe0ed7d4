/* SPDX-License-Identifier: Apache-2.0 */
/* Rows in the profile for other readers: both halves of each datagram are read back and must say what was put in. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/wire_sample.h"
#include "wire/interop.h"
#include "wire/stamp.h"

#define ROWS 40

/* What a reader has of one row, found by its service port. */
struct seen {
	struct flow_stats ours;
	uint64_t sent, received;
	unsigned samples, records;
};

static struct wire_build record;
static struct wire_interop x;
static struct wire_flows flows;
static struct seen seen[ROWS];
static uint8_t dst[WIRE_SIZE_MAX];
static uint32_t last_pool, last_sequence, n_samples;

static struct flow_names names_of(unsigned i)
{
	return sample_names(i / 3);
}

static struct wire_flow flow_of(unsigned i, const struct flow_names *names)
{
	struct wire_flow f = sample_flow(i, i % 5 == 2, names);

	f.view = i % 2 ? FLOW_VIEW_SERVER : FLOW_VIEW_CLIENT;
	f.flags = 0;
	f.other_port = 0;
	f.protocol = i % 7 == 3 ? 17 : 6;
	f.n_ports = i % 3;
	f.ports_more = i % 3 == 2;
	return f;
}

static struct flow_stats stats_of(unsigned i)
{
	struct flow_stats s = {
		.rows = 1 + i % 3, .opened = i, .jitter_us = 40, .rtt_samples = 4, .cwnd_segs = 44, .retransmitted = 2};

	s.srtt[12] = 4;
	s.tx_bytes = i % 4 == 1 ? 0 : 1000ull * i;
	s.rx_bytes = i % 4 == 2 ? 0 : 7000ull * i;
	if (i == 8)
		s.tx_bytes = 5ull * UINT32_MAX + 17;
	if (i == 9)
		s.rx_bytes = 2ull * UINT32_MAX;
	return s;
}

/* --- reading */

/* Returns its rows. */
static uint64_t take_ours(const struct wire_record *r)
{
	struct flow_stats part = {0};
	struct seen *to;
	struct wire_flow row;

	assert_int_equal(wire_flows_open(&flows, r), WIRE_OK);
	assert_int_equal(flows.n_rows, 1);
	assert_int_equal(wire_flows_next(&flows, &row), WIRE_OK);
	to = &seen[row.port - 8000];
	assert_true(to < seen + ROWS);
	wire_body_add(row.present, row.body, &part);
	flow_stats_add(&to->ours, &part);
	to->records++;
	assert_int_equal(wire_flows_next(&flows, &row), WIRE_END);
	return part.rows;
}

static uint32_t word_at(struct str body, unsigned i)
{
	return cursor_load32((const uint8_t *)body.p + 4 * (size_t)i);
}

static struct ip ip_at(struct str body, unsigned i, bool v6)
{
	struct ip ip;

	memcpy(&ip, body.p + 4 * (size_t)i, sizeof(ip));
	return v6 ? ip : ip_from_v4((const uint8_t *)body.p + 4 * (size_t)i);
}

/* sampled_ipv4 or 6: length, protocol, from, to, their ports, flags, type of service. Returns the protocol. */
static uint32_t check_packet(struct str body, bool v6, bool sent)
{
	unsigned n = v6 ? 4 : 1;
	uint32_t from = word_at(body, 2 + 2 * n), to = word_at(body, 3 + 2 * n);
	uint32_t service = from >= 8000 && from < 8000 + ROWS ? from : to;
	struct flow_names names = names_of(service - 8000);
	struct wire_flow f = flow_of(service - 8000, &names);
	struct ip src = ip_at(body, 2, v6), dst_ip = ip_at(body, 2 + n, v6);
	bool from_service = service == from;

	assert_int_equal(body.n, 4 * (6 + 2 * n));
	assert_true(from_service == (sent == (f.view == FLOW_VIEW_SERVER)));
	assert_true(ip_eq(&src, sent ? &f.local : &f.remote) && ip_eq(&dst_ip, sent ? &f.remote : &f.local));
	assert_int_equal(from_service ? to : from, f.n_ports == 1 && !f.ports_more ? f.ports[0] : 0);
	assert_int_equal(word_at(body, 1), f.protocol);
	seen[service - 8000].samples++;
	*(sent ? &seen[service - 8000].sent : &seen[service - 8000].received) += word_at(body, 0);
	return f.protocol;
}

static void check_sample(const struct wire_sample *s, struct wire_datagram *d)
{
	bool sent = s->input == WIRE_PORT_INTERNAL, tcp = false;
	uint64_t rows = 0;
	struct wire_record r;
	uint32_t protocol = 0;
	enum wire_error e;

	assert_int_equal(s->kind, WIRE_KIND_FLOW);
	assert_int_equal(s->sampling_rate, 1);
	assert_int_equal(s->sequence, last_sequence + 1);
	assert_true(sent == (s->output == 0) && (sent || s->output == WIRE_PORT_INTERNAL));
	last_sequence = s->sequence;
	n_samples++;
	while ((e = wire_record_next(d, &r)) == WIRE_OK) {
		if (r.ours) {
			rows = take_ours(&r);
		} else if (r.format == 3 || r.format == 4) {
			protocol = check_packet(r.body, r.format == 4, sent);
		} else if (r.format == 2209) {
			tcp = true;
			assert_int_equal(word_at(r.body, 0), sent ? 2 : 1);
			assert_int_equal(word_at(r.body, 5), 2);
			assert_int_equal(word_at(r.body, 8), 10);
			assert_int_equal(word_at(r.body, 9), 11);
		} else {
			assert_true(r.format == 2100 || r.format == 2101);
		}
	}
	assert_int_equal(e, WIRE_END);
	assert_int_equal(tcp, protocol == 6);
	assert_int_equal(s->pool - last_pool, rows);
	last_pool = s->pool;
}

static void check_datagram(size_t n, uint64_t rows)
{
	const struct wire_sample *s;
	struct wire_datagram d;
	uint32_t pool = last_pool;
	enum wire_error e;

	assert_int_equal(wire_open(&d, dst, n, 0), WIRE_OK);
	assert_true(wire_has_ours(&d));
	assert_int_equal(wire_extent(dst, n), n);
	while ((e = wire_sample_next(&d, &s)) == WIRE_OK)
		check_sample(s, &d);
	assert_int_equal(e, WIRE_END);
	assert_int_equal(last_pool - pool, rows);
}

/* --- writing */

static void send_out(struct wire_sender *s, size_t pad)
{
	uint64_t rows = x.rows;
	uint32_t was = s->pool;
	size_t n = wire_interop_close(&x, s, 5, pad, dst, sizeof(dst));

	assert_true(n > 0 && n <= x.opts.size && n % 4 == 0);
	if (pad)
		assert_true(n == pad || n > pad - 8);
	assert_int_equal(s->pool - was, rows);
	check_datagram(n, rows);
}

static void put_all(uint32_t size, bool padded)
{
	struct wire_sender s = {.agent = sample_ip(padded ? "192.0.2.7" : "2001:db8::7")};
	struct wire_opts opts = {.size = size};

	memset(seen, 0, sizeof(seen));
	last_pool = last_sequence = n_samples = 0;
	wire_interop_open(&x, &record, &sample_head, &opts);
	for (unsigned i = 0; i < ROWS; i++) {
		struct flow_names names = names_of(i);
		struct wire_flow f = flow_of(i, &names);
		struct flow_stats stats = stats_of(i);

		for (uint32_t part = 0; part < wire_interop_parts(&stats); part++) {
			int r = wire_interop_add(&x, &f, &stats, part);

			if (r == -ENOSPC) {
				send_out(&s, padded ? size : 0);
				wire_interop_open(&x, &record, &sample_head, &opts);
				r = wire_interop_add(&x, &f, &stats, part);
			}
			assert_int_equal(r, 0);
		}
	}
	send_out(&s, padded ? size : 0);
	assert_int_equal(s.sequence + s.more, n_samples);
}

static void test_both_halves(void **state)
{
	static const uint32_t sizes[] = {1000, 1400, 8972};

	for (unsigned k = 0; k < 6; k++) {
		put_all(sizes[k / 2], k % 2);
		for (unsigned i = 0; i < ROWS; i++) {
			struct flow_stats want = stats_of(i);
			unsigned parts = wire_interop_parts(&want), samples = 0;

			for (unsigned p = 0; p < parts; p++)
				samples += want.tx_bytes > (uint64_t)p * UINT32_MAX &&
							   want.rx_bytes > (uint64_t)p * UINT32_MAX
						   ? 2
						   : 1;
			assert_memory_equal(&seen[i].ours, &want, sizeof(want));
			assert_true(seen[i].sent == want.tx_bytes && seen[i].received == want.rx_bytes);
			assert_int_equal(seen[i].records, parts);
			assert_int_equal(seen[i].samples, samples);
		}
	}
}

static void test_parts(void **state)
{
	struct flow_stats s = {.tx_bytes = UINT32_MAX};

	assert_int_equal(wire_interop_parts(&s), 1);
	s.rx_bytes = 1ull + UINT32_MAX;
	assert_int_equal(wire_interop_parts(&s), 2);
	s.tx_bytes = (uint64_t)WIRE_INTEROP_PARTS * UINT32_MAX;
	assert_int_equal(wire_interop_parts(&s), WIRE_INTEROP_PARTS);
	s.tx_bytes = UINT64_MAX;
	assert_int_equal(wire_interop_parts(&s), 1);
}

/* What cannot be said is refused, and nothing of it stays behind. */
static void test_limits(void **state)
{
	struct flow_names names = sample_names(0);
	struct wire_flow f = sample_flow(0, true, &names);
	struct flow_stats s = {.rows = 1, .tx_bytes = UINT64_MAX}, small = {.rows = 1, .tx_bytes = 1, .rx_bytes = 1};
	struct wire_opts opts = {.size = WIRE_SIZE_MIN};
	struct wire_sender sender = {.agent = f.local};
	struct wire_datagram d;
	const struct wire_sample *sample;
	char text[WIRE_STRING_MAX];

	memset(text, 'x', sizeof(text));
	wire_interop_open(&x, &record, &sample_head, &opts);
	assert_int_equal(wire_interop_close(&x, &sender, 0, 0, dst, sizeof(dst)), 0);
	assert_int_equal(sender.sequence, 0);
	assert_int_equal(wire_interop_add(&x, &f, &s, 0), -ERANGE);
	s = (struct flow_stats){.rows = 1, .opened = (WIRE_SPLIT + 1ull) << 32};
	assert_int_equal(wire_interop_add(&x, &f, &s, 0), -ERANGE);
	names.process = (struct str){text, sizeof(text)};
	assert_int_equal(wire_interop_add(&x, &f, &small, 0), -EMSGSIZE);
	assert_true(!x.n && !x.n_samples && !x.rows);
	/* small enough for two samples without 2101 and 2209 only */
	names.process = (struct str){text, 20};
	assert_int_equal(wire_interop_add(&x, &f, &small, 0), 0);
	assert_int_equal(wire_interop_add(&x, &f, &small, 0), -ENOSPC);
	assert_int_equal(x.rows, 1);
	assert_int_equal(wire_interop_close(&x, &sender, 0, 0, dst, 100), 0);
	assert_int_equal(sender.sequence, 0);
	assert_int_equal(wire_open(&d, dst, wire_interop_close(&x, &sender, 0, 0, dst, sizeof(dst)), 0), WIRE_OK);
	assert_int_equal(wire_sample_next(&d, &sample), WIRE_OK);
	assert_int_equal(sample->n_records, 2);
	assert_int_equal(wire_sample_next(&d, &sample), WIRE_OK);
	assert_int_equal(sample->n_records, 1);
}

/* Stamped, and again after a send that failed: the numbers are those of the sender, each sample's in its place. */
static void test_stamp(void **state)
{
	struct flow_names names = sample_names(0);
	struct wire_flow f = sample_flow(0, false, &names);
	struct flow_stats s = {.rows = 2, .tx_bytes = 1, .rx_bytes = 1};
	struct wire_sender stand_in = {.agent = f.local};
	const uint32_t want[] = {UINT32_MAX - 1 + 2, UINT32_MAX - 1 + 2, UINT32_MAX - 1 + 4, UINT32_MAX - 1 + 4};
	size_t n;

	wire_interop_open(&x, &record, &sample_head, NULL);
	assert_int_equal(wire_interop_add(&x, &f, &s, 0), 0);
	assert_int_equal(wire_interop_add(&x, &f, &s, 0), 0);
	n = wire_interop_close(&x, &stand_in, 0, 0, dst, sizeof(dst));
	for (unsigned again = 0; again < 3; again++) {
		struct wire_sender to = {.agent = f.local,
					 .sequence = 5,
					 .more = 10,
					 .pool = UINT32_MAX - 1,
					 .drops = 9,
					 .sub_agent = 8};
		const struct wire_sample *sample;
		struct wire_datagram d;

		wire_stamp(dst, n, 4, &to, 777);
		assert_int_equal(wire_open(&d, dst, n, 0), WIRE_OK);
		assert_true(d.sequence == 6 && d.sub_agent == 8 && d.n_samples == 4);
		for (unsigned i = 0; i < 4; i++) {
			assert_int_equal(wire_sample_next(&d, &sample), WIRE_OK);
			assert_int_equal(sample->sequence, 16 + i);
			assert_int_equal(sample->pool, want[i]);
			assert_int_equal(sample->drops, 9);
		}
		assert_true(to.sequence == 6 && to.more == 13 && to.pool == UINT32_MAX - 1 + 4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_halves),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_stamp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

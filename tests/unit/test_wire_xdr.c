/* SPDX-License-Identifier: Apache-2.0 */
/* What we encode, read by the code that rpcgen makes from wire/skyfall.x. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "skyfall_x.h"
#include "wire_sample.h"

/* The one flow sample and our record in it; n_samples as asked. All bytes must be used. */
struct frame {
	sky_datagram d;
	sky_flow_sample sample;
};

static void xdr_all(bool_t (*fn)(XDR *, void *), const char *p, size_t n, void *to)
{
	XDR x;

	xdrmem_create(&x, (char *)(uintptr_t)p, n, XDR_DECODE);
	assert_true(fn(&x, to));
	assert_int_equal(xdr_getpos(&x), n);
	xdr_destroy(&x);
}
#define XDR_ALL(type, p, n, to) xdr_all((bool_t(*)(XDR *, void *))(void (*)(void))xdr_##type, p, n, to)
#define XDR_FREE(type, what) xdr_free((xdrproc_t)(void (*)(void))xdr_##type, (char *)(what))

static sky_record *open_frame(struct frame *f, const struct sample *s, unsigned n_samples, unsigned n_records)
{
	memset(f, 0, sizeof(*f));
	XDR_ALL(sky_datagram, (const char *)s->p, s->n, &f->d);
	assert_int_equal(f->d.sflow_version, 5);
	assert_int_equal(f->d.agent.type, 1);
	assert_memory_equal(f->d.agent.sky_address_u.v4, "\xc0\x00\x02\x07", 4);
	assert_int_equal(f->d.sub_agent, 8);
	assert_int_equal(f->d.sequence, 42);
	assert_int_equal(f->d.samples.samples_len, n_samples);
	sky_sample *sample = f->d.samples.samples_val;
	assert_int_equal(sample->data_format, 1);
	XDR_ALL(sky_flow_sample, sample->body.body_val, sample->body.body_len, &f->sample);
	assert_int_equal(f->sample.source_id, 2 << 24 | 1);
	assert_int_equal(f->sample.sampling_rate, 1);
	assert_int_equal(f->sample.drops, 3);
	assert_int_equal(f->sample.records.records_len, n_records);
	return f->sample.records.records_val;
}

static void close_frame(struct frame *f)
{
	XDR_FREE(sky_flow_sample, &f->sample);
	XDR_FREE(sky_datagram, &f->d);
}

static void check_head(const sky_head *h)
{
	assert_int_equal(h->wire_version, 1);
	assert_int_equal(h->interval, SAMPLE_INTERVAL);
	assert_int_equal(h->interval_s, 10);
	assert_int_equal(h->spread_ms, 8000);
	assert_true(h->boot == 0x1122334455667788);
	assert_string_equal(h->net, "lab");
	assert_string_equal(h->host, sample_head.host.p);
}

static void check_text(const sky_string *strings, unsigned n, unsigned index, struct str want)
{
	assert_true(index <= n);
	const char *text = index ? strings[index - 1] : "";

	assert_int_equal(strlen(text), want.n);
	assert_memory_equal(text, want.p, want.n);
}

static void check_names(const sky_string *strings, unsigned n, const sky_names *got, const struct flow_names *want)
{
	check_text(strings, n, got->service, want->service);
	check_text(strings, n, got->process, want->process);
	check_text(strings, n, got->unit, want->unit);
	check_text(strings, n, got->container, want->container);
	check_text(strings, n, got->pod, want->pod);
	check_text(strings, n, got->via, want->via);
	assert_int_equal(got->quality, want->quality);
}

static uint32_t word(const char *p, size_t at)
{
	const uint8_t *b = (const uint8_t *)p + at;

	return (uint32_t)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3];
}

/* The body, read by the words of the schema and the field table alone. */
static void check_body(const sky_row *row, const struct flow_stats *want)
{
	const char *p = row->body.body_val;
	size_t at = 0;

	for (unsigned f = 0; f < FLOW_FIELDS; f++) {
		if (!(row->present >> f & 1)) {
			assert_true(flow_fields[f].width == FLOW_HIST ? !flow_hist_count(flow_stats_hist_get(want, f))
								      : !flow_stats_get(want, f));
			continue;
		}
		if (flow_fields[f].width == FLOW_HIST) {
			uint32_t got[FLOW_BUCKETS] = {0}, head = word(p, at);

			for (unsigned i = 0; i < (head & 0xffff); i++)
				got[(head >> 16) + i] = word(p, at + 4 + 4 * i);
			at += 4 + 4 * (head & 0xffff);
			assert_memory_equal(got, flow_stats_hist_get(want, f), sizeof(got));
		} else if (flow_fields[f].width == FLOW_U64) {
			assert_true(((uint64_t)word(p, at) << 32 | word(p, at + 4)) == flow_stats_get(want, f));
			at += 8;
		} else {
			assert_true(word(p, at) == flow_stats_get(want, f));
			at += 4;
		}
	}
	assert_int_equal(at, row->body.body_len);
	assert_true(row->present >> FLOW_FIELDS == 0);
}

static void check_row(const sky_flows *f, const sky_row *got, unsigned i)
{
	struct flow_names names = sample_names(i / 4);
	struct wire_flow want = sample_flow(i, false, &names);
	struct flow_stats stats = sample_stats(i);

	assert_int_equal(got->service_ports, want.port << 16 | want.other_port);
	assert_int_equal(got->kind, want.view << 24 | 6 << 16 | want.flags);
	assert_int_equal(got->scope, want.scope);
	assert_int_equal(got->ports_more, want.ports_more);
	assert_int_equal(got->ephemeral.ephemeral_len, 2 * want.n_ports);
	for (unsigned p = 0; p < want.n_ports; p++) {
		const uint8_t *b = (const uint8_t *)got->ephemeral.ephemeral_val + 2 * p;

		assert_int_equal(b[0] << 8 | b[1], want.ports[p]);
	}
	assert_true(got->names < f->names.names_len);
	check_names(f->strings.strings_val, f->strings.strings_len, &f->names.names_val[got->names], &names);
	check_body(got, &stats);
}

static void check_flows(bool v6)
{
	struct frame fr;
	struct sample s;
	unsigned n = sample_flows(&s, v6, 4000);
	sky_record *r = open_frame(&fr, &s, 1, 1);
	sky_flows f = {0};

	assert_true(n > 4);
	assert_int_equal(fr.sample.sample_pool, 1000 + n);
	assert_int_equal(r->data_format, 32473 << 12 | 1);
	XDR_ALL(sky_flows, r->body.body_val, r->body.body_len, &f);
	check_head(&f.head);
	assert_int_equal(f.rows.family, v6 ? 2 : 1);
	/* rows come four a name: no name and no string twice */
	assert_int_equal(f.names.names_len, (n + 3) / 4);
	for (unsigned i = 0; i < f.strings.strings_len; i++)
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(f.strings.strings_val[i], f.strings.strings_val[j]);
	assert_int_equal(v6 ? f.rows.sky_rows_u.v6.v6_len : f.rows.sky_rows_u.v4.v4_len, n);
	for (unsigned i = 0; i < n; i++) {
		struct wire_flow want = sample_flow(i, v6, NULL);

		if (v6) {
			sky_row6 *row = &f.rows.sky_rows_u.v6.v6_val[i];

			assert_memory_equal(row->local, want.local.b, 16);
			assert_memory_equal(row->remote, want.remote.b, 16);
			check_row(&f, &row->row, i);
		} else {
			sky_row4 *row = &f.rows.sky_rows_u.v4.v4_val[i];

			assert_memory_equal(row->local, want.local.b + 12, 4);
			assert_memory_equal(row->remote, want.remote.b + 12, 4);
			check_row(&f, &row->row, i);
		}
	}
	XDR_FREE(sky_flows, &f);
	close_frame(&fr);
}

static void test_flows_v4(void **state)
{
	check_flows(false);
}

static void test_flows_v6(void **state)
{
	check_flows(true);
}

static void test_host(void **state)
{
	struct frame fr;
	struct sample s;
	sky_host h = {0};
	sky_counter_sample counters = {0};
	sky_host_descr descr = {0};

	sample_host(&s);
	struct flow_host want = sample_host_of(5);
	sky_record *r = open_frame(&fr, &s, 2, 1);

	assert_int_equal(r->data_format, 32473 << 12 | 2);
	XDR_ALL(sky_host, r->body.body_val, r->body.body_len, &h);
	check_head(&h.head);
	assert_string_equal(h.hostname, "box1");
	assert_string_equal(h.kernel, "6.1.0-18-amd64");
	assert_string_equal(h.mode, "bpf");
	assert_string_equal(h.agent_version, "0.1.0");
	assert_int_equal(h.part, 0);
	assert_int_equal(h.parts, 1);
	assert_int_equal(h.addresses.addresses_len, 5);
	for (unsigned i = 0; i < 5; i++) {
		sky_host_address *a = &h.addresses.addresses_val[i];

		assert_int_equal(a->address.type, i % 2 ? 2 : 1);
		assert_int_equal(a->bits, i % 2 ? 64 : 24);
		assert_int_equal(a->host_only, want.addresses[i].host_only);
		assert_int_equal(a->netns, want.addresses[i].netns);
		assert_memory_equal(a->address.sky_address_u.v4, want.addresses[i].ip.b + (i % 2 ? 0 : 12),
				    i % 2 ? 16 : 4);
	}
	sky_sample *second = fr.d.samples.samples_val + 1;
	assert_int_equal(second->data_format, 2);
	XDR_ALL(sky_counter_sample, second->body.body_val, second->body.body_len, &counters);
	r = counters.records.records_val;
	assert_int_equal(r->data_format, 2000);
	XDR_ALL(sky_host_descr, r->body.body_val, r->body.body_len, &descr);
	assert_string_equal(descr.hostname, "box1");
	assert_memory_equal(descr.uuid, "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef", 16);
	assert_int_equal(descr.os, 2);
	XDR_FREE(sky_host_descr, &descr);
	XDR_FREE(sky_counter_sample, &counters);
	XDR_FREE(sky_host, &h);
	close_frame(&fr);
}

/* host_adapters beside host_descr; with a small bound as many as leave room to addresses. */
static void test_adapters(void **state)
{
	struct wire_adapters adapters = {.n = WIRE_ADAPTERS};
	struct wire_opts opts = {.adapters = &adapters};
	struct wire_build *b = malloc(sizeof(*b));
	struct flow_host h = sample_host_of(5);

	assert_non_null(b);
	for (unsigned i = 0; i < WIRE_ADAPTERS; i++)
		adapters.v[i] = (struct wire_adapter){7 + i, {2, 0, 0xab, 1, 2, (uint8_t)i}};
	for (unsigned k = 0; k < 4; k++) {
		struct wire_sender sender = sample_sender();
		sky_counter_sample counters = {0};
		sky_host_adapters got = {0};
		struct frame fr;
		struct sample s;

		adapters.n = k == 0 ? 0 : k == 1 ? 3 : WIRE_ADAPTERS;
		opts.size = k == 3 ? WIRE_SIZE_MIN : 0;
		s.n = wire_host_put(b, &h, 0, &sample_head, &opts, &sender, 1, s.p, sizeof(s.p));
		assert_in_range(s.n, 100, k == 3 ? WIRE_SIZE_MIN : WIRE_SIZE);
		open_frame(&fr, &s, 2, 1);
		sky_sample *second = fr.d.samples.samples_val + 1;
		XDR_ALL(sky_counter_sample, second->body.body_val, second->body.body_len, &counters);
		assert_int_equal(counters.records.records_len, 2);
		assert_int_equal(counters.records.records_val[0].data_format, 2000);
		sky_record *r = &counters.records.records_val[1];
		assert_int_equal(r->data_format, 2001);
		XDR_ALL(sky_host_adapters, r->body.body_val, r->body.body_len, &got);
		if (k < 3)
			assert_int_equal(got.adapters.adapters_len, adapters.n);
		else
			assert_in_range(got.adapters.adapters_len, 1, WIRE_ADAPTERS - 1);
		for (unsigned i = 0; i < got.adapters.adapters_len; i++) {
			const sky_host_adapter *a = &got.adapters.adapters_val[i];

			assert_int_equal(a->ifindex, 7 + i);
			assert_int_equal(a->macs.macs_len, 1);
			assert_memory_equal(a->macs.macs_val[0].address, adapters.v[i].mac, 6);
		}
		XDR_FREE(sky_host_adapters, &got);
		XDR_FREE(sky_counter_sample, &counters);
		close_frame(&fr);
	}
	free(b);
}

static void test_listeners(void **state)
{
	struct frame fr;
	struct sample s;
	sky_listeners l = {0};

	sample_listeners(&s, 6);
	sky_record *r = open_frame(&fr, &s, 1, 1);

	assert_int_equal(r->data_format, 32473 << 12 | 3);
	XDR_ALL(sky_listeners, r->body.body_val, r->body.body_len, &l);
	check_head(&l.head);
	assert_int_equal(l.listeners.listeners_len, 6);
	for (unsigned i = 0; i < 6; i++) {
		sky_listener *got = &l.listeners.listeners_val[i];
		struct flow_listener want = sample_listener(i);

		assert_int_equal(got->netns, want.netns);
		assert_int_equal(got->address.type, i % 2 ? 2 : 1);
		assert_int_equal(got->kind, want.port << 16 | 6 << 8 | want.alive);
		assert_int_equal(got->since, want.since);
		assert_true(got->drops == want.drops);
		assert_int_equal(got->queue, want.queue);
		assert_int_equal(got->queue_max, want.queue_max);
		check_names(l.strings.strings_val, l.strings.strings_len, &l.names.names_val[got->names], &want.names);
	}
	XDR_FREE(sky_listeners, &l);
	close_frame(&fr);
}

static void check_counts(const sky_health *h, const sky_count *got, unsigned n, const struct flow_count *want)
{
	for (unsigned i = 0; i < n; i++) {
		check_text(h->strings.strings_val, h->strings.strings_len, got[i].name, want[i].name);
		assert_true(got[i].n == want[i].n);
	}
}

static void test_health(void **state)
{
	struct frame fr;
	struct sample s;
	sky_health h = {0};

	sample_health(&s, 5);
	sky_record *r = open_frame(&fr, &s, 1, 1);

	assert_int_equal(r->data_format, 32473 << 12 | 4);
	XDR_ALL(sky_health, r->body.body_val, r->body.body_len, &h);
	check_head(&h.head);
	assert_int_equal(h.strings.strings_len, 5);
	assert_int_equal(h.lines.lines_len, 5);
	for (unsigned i = 0; i < 5; i++) {
		sky_line *got = &h.lines.lines_val[i];
		struct flow_ledger want = sample_line(i);

		assert_int_equal(got->interval, want.interval);
		assert_int_equal(got->interval_s, 10);
		assert_true(got->rows_in == want.rows_in);
		assert_true(got->rows_out == want.rows_out);
		assert_int_equal(got->lost.lost_len, 2);
		assert_int_equal(got->info.info_len, 3);
		check_counts(&h, got->lost.lost_val, 2, want.lost);
		check_counts(&h, got->info.info_val, 3, want.info);
	}
	XDR_FREE(sky_health, &h);
	close_frame(&fr);
}

static void test_ack(void **state)
{
	uint8_t p[WIRE_ACK_SIZE];
	sky_ack a = {0};

	wire_ack_put(&sample_ack_value, p);
	XDR_ALL(sky_ack, (const char *)p, sizeof(p), &a);
	assert_int_equal(a.magic, SKY_ACK_MAGIC);
	assert_int_equal(a.wire_version, 1);
	assert_true(a.boot == sample_ack_value.boot);
	assert_int_equal(a.sub_agent, 8);
	assert_int_equal(a.interval, SAMPLE_INTERVAL);
	assert_int_equal(a.interval_s, 10);
	assert_int_equal(a.datagrams, 12);
	assert_true(a.rows == sample_ack_value.rows);
	assert_int_equal(a.flags, SKY_ACK_STOPPING);
	assert_int_equal(a.auth.auth_len, 0);
	XDR_FREE(sky_ack, &a);
}

/* A run of equal sizes: the padding is a record of its own. */
static void test_padding(void **state)
{
	struct wire_build *b = malloc(sizeof(*b));
	struct wire_sender sender = sample_sender();
	struct flow_names names = sample_names(0);
	struct wire_flow row = sample_flow(0, false, &names);
	struct flow_stats stats = sample_stats(0);
	struct frame fr;
	struct sample s;
	sky_flows f = {0};

	wire_build_open(b, WIRE_FLOWS, &sample_head, NULL);
	assert_int_equal(wire_flows_add(b, &row, &stats), 1);
	s.n = wire_build_close(b, &sender, 0, WIRE_SIZE, s.p, sizeof(s.p));
	assert_int_equal(s.n, WIRE_SIZE);
	sky_record *r = open_frame(&fr, &s, 1, 2);
	XDR_ALL(sky_flows, r->body.body_val, r->body.body_len, &f);
	check_row(&f, &f.rows.sky_rows_u.v4.v4_val->row, 0);
	assert_int_equal(r[1].data_format, 32473 << 12 | SKY_PAD);
	XDR_FREE(sky_flows, &f);
	close_frame(&fr);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flows_v4),  cmocka_unit_test(test_flows_v6), cmocka_unit_test(test_host),
		cmocka_unit_test(test_listeners), cmocka_unit_test(test_health),   cmocka_unit_test(test_ack),
		cmocka_unit_test(test_padding),   cmocka_unit_test(test_adapters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
